//! PostgreSQL's own dump programs: finding them and running them.
//!
//! Everything that says where to connect goes into the environment of the child, never into its arguments, which
//! every user of the machine can see.

mod child;
mod find;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempPath;

pub use child::ProgramError;
pub use find::{FindProgramError, find_pg_dump, find_pg_dumpall};

use crate::conninfo::ChildEnvironment;

/// Most bytes that a dump of the schema or of the globals may have: it is held in memory.
pub const MAX_DUMP_BYTES: u64 = 2 << 30;

/// Version of a PostgreSQL program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "PostgreSQL versions have had two numbers since 10"
)]
pub struct ProgramVersion {
    /// First number: 17 of 17.6.
    pub major: u32,
    /// Second number: 6 of 17.6; 0 of a beta.
    pub minor: u32,
}

impl fmt::Display for ProgramVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A `pg_dump` that was run once to ask for its version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PgDump {
    /// The program.
    pub path: PathBuf,
    /// What it said of itself.
    pub version: ProgramVersion,
}

/// A `pg_dumpall` that was run once to ask for its version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PgDumpall {
    /// The program.
    pub path: PathBuf,
    /// What it said of itself.
    pub version: ProgramVersion,
}

/// What a dump of the schema covers; the default is all of the database.
///
/// The patterns are those of `pg_dump`'s options of the same names and are handed through as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "callers fill it with struct update syntax")]
pub struct SchemaDumpOptions<'a> {
    /// Exported snapshot to read in; `None` lets `pg_dump` take its own.
    pub snapshot: Option<&'a str>,
    /// Encoding of the archive; `None` takes the database's own, unless `PGCLIENTENCODING` or a setting of the role or
    /// database says otherwise.
    pub encoding: Option<&'a str>,
    /// How long to wait for the lock on a table before giving up; `None` waits for ever.
    pub lock_wait_timeout: Option<Duration>,
    /// Only these schemas.
    pub schemas: Vec<OsString>,
    /// Not these schemas.
    pub exclude_schemas: Vec<OsString>,
    /// Only these tables.
    pub tables: Vec<OsString>,
    /// Not these tables.
    pub exclude_tables: Vec<OsString>,
    /// Further arguments; nothing secret.
    pub extra: Vec<OsString>,
}

/// Whether a dump of the roles has their password hashes, which only a superuser can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum RolePasswords {
    /// With them.
    Included,
    /// Without them (`--no-role-passwords`).
    LeftOut,
}

/// Dumps the schema of the database that the environment names (`PGDATABASE`, …) as an archive of the custom format,
/// for [`Toc::parse`](crate::Toc::parse).
///
/// Returns only what a `pg_dump` wrote that then ended well. `cancelled` is asked several times a second; when it
/// says yes, and whenever this function returns, the child is gone; so are the processes it started, unless it ended
/// by itself and left them behind.
///
/// ```no_run
/// use backstay_postgres::{SchemaDumpOptions, SearchPath, Toc, Variables, dump_schema, find_pg_dump, resolve};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pg_dump = find_pg_dump(&SearchPath::with_usual_places(None), 17)?;
/// let config = resolve(Some("postgres://app@localhost/kulti"), &Variables::from_iter([("HOME", "/")]))?.config;
/// let environment = config.child_environment();
/// let archive = dump_schema(&pg_dump, &environment, &SchemaDumpOptions::default(), &|| false)?;
/// for entry in Toc::parse(&archive)?.print() {
///     let sql = entry?.text();
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// See [`ProgramError`].
pub fn dump_schema(
    program: &PgDump,
    environment: &ChildEnvironment,
    options: &SchemaDumpOptions<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<u8>, ProgramError> {
    let mut command = Command::new(&program.path);
    command.args(["--schema-only", "--format=custom", "--compress=0", "--no-password"]);
    let milliseconds = options
        .lock_wait_timeout
        .map(|timeout| timeout.as_millis().max(1).to_string());
    let single = [
        ("--snapshot=", options.snapshot),
        ("--encoding=", options.encoding),
        ("--lock-wait-timeout=", milliseconds.as_deref()),
    ];
    for (option, value) in single {
        command.args(value.map(|value| joined(option, OsStr::new(value))));
    }
    let lists = [
        ("--schema=", &options.schemas),
        ("--exclude-schema=", &options.exclude_schemas),
        ("--table=", &options.tables),
        ("--exclude-table=", &options.exclude_tables),
    ];
    for (option, values) in lists {
        command.args(values.iter().map(|value| joined(option, value)));
    }
    command.args(&options.extra);
    let _roots = apply(environment, &mut command)?;
    child::output(command, MAX_DUMP_BYTES, cancelled)
}

/// Dumps roles, their memberships and settings, and tablespaces as SQL.
///
/// `database` is any database that can be connected to; the environment says where and as whom. What
/// [`dump_schema`] promises of the child holds here too.
///
/// # Errors
/// See [`ProgramError`].
pub fn dump_globals(
    program: &PgDumpall,
    environment: &ChildEnvironment,
    database: &OsStr,
    passwords: RolePasswords,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<u8>, ProgramError> {
    let mut command = Command::new(&program.path);
    command.args(["--globals-only", "--no-password"]);
    if passwords == RolePasswords::LeftOut {
        command.arg("--no-role-passwords");
    }
    // pg_dumpall does not look at PGDATABASE, and reads a name with an equals sign as a connection string.
    command.arg(joined("--database=", &connection_string(database)));
    let _roots = apply(environment, &mut command)?;
    child::output(command, MAX_DUMP_BYTES, cancelled)
}

fn apply(environment: &ChildEnvironment, command: &mut Command) -> Result<Option<TempPath>, ProgramError> {
    environment.apply(command).map_err(|source| ProgramError::Start {
        program: command.get_program().into(),
        source,
    })
}

fn joined(option: &str, value: &OsStr) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(value);
    argument
}

fn connection_string(database: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut bytes = b"dbname='".to_vec();
    for &byte in database.as_bytes() {
        if matches!(byte, b'\'' | b'\\') {
            bytes.push(b'\\');
        }
        bytes.push(byte);
    }
    bytes.push(b'\'');
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::conninfo::{Variables, resolve};
    use crate::supabase::ROOTS;

    /// Makes a program of a shell script.
    ///
    /// A process of its own writes it: a file that this process has open for writing cannot be run while another test
    /// starts a child, which has the file open for a moment too.
    pub(super) fn write_script(path: &Path, script: &str) {
        let write = r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod +x "$1""#;
        let status = Command::new("/bin/sh")
            .args(["-c", write, "sh"])
            .arg(path)
            .arg(script)
            .status();
        assert!(status.unwrap().success(), "cannot write {}", path.display());
    }

    /// A program that prints its arguments, one a line, and some of its environment.
    fn echo(folder: &Path) -> PathBuf {
        let path = folder.join("echo.sh");
        write_script(
            &path,
            r#"printf '%s\n' "$@"; echo "PGPASSWORD=$PGPASSWORD PGSERVICE=$PGSERVICE""#,
        );
        path
    }

    const VERSION: ProgramVersion = ProgramVersion { major: 17, minor: 6 };

    #[test]
    fn arguments_and_environment_reach_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let mut environment = ChildEnvironment::default();
        environment.remove.push("PGSERVICE".into());
        environment.set.push(("PGPASSWORD".into(), "hunter2".into()));
        let options = SchemaDumpOptions {
            snapshot: Some("00000003-1"),
            encoding: Some("LATIN1"),
            lock_wait_timeout: Some(Duration::from_secs(30)),
            schemas: vec!["--verbose".into()],
            exclude_tables: vec!["a.*".into(), "b c".into()],
            extra: vec!["--no-comments".into()],
            ..SchemaDumpOptions::default()
        };
        let program = PgDump {
            path: echo(folder.path()),
            version: VERSION,
        };
        let output = dump_schema(&program, &environment, &options, &|| false).unwrap();
        assert_eq!(
            String::from_utf8(output).unwrap(),
            "--schema-only\n--format=custom\n--compress=0\n--no-password\n--snapshot=00000003-1\n--encoding=LATIN1\n\
             --lock-wait-timeout=30000\n--schema=--verbose\n--exclude-table=a.*\n--exclude-table=b c\n--no-comments\n\
             PGPASSWORD=hunter2 PGSERVICE=\n"
        );
    }

    #[test]
    fn the_roots_of_supabase_are_in_a_file_as_long_as_the_program_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roots.sh");
        write_script(&path, r#"echo "$PGSSLMODE $PGSSLROOTCERT"; cat "$PGSSLROOTCERT""#);
        let config = resolve(Some("postgres://u@db.abc.supabase.co/d"), &Variables::default());
        let environment = config.unwrap().config.child_environment();
        let program = PgDump { path, version: VERSION };
        let output = dump_schema(&program, &environment, &SchemaDumpOptions::default(), &|| false).unwrap();
        let output = String::from_utf8(output).unwrap();
        let (first, rest) = output.split_once('\n').unwrap();
        let (mode, file) = first.split_once(' ').unwrap();
        assert_eq!((mode, rest), ("verify-full", ROOTS.concat().as_str()));
        assert!(!Path::new(file).exists(), "{file}");
    }

    #[test]
    fn globals_name_their_database_without_ambiguity() {
        let folder = tempfile::tempdir().unwrap();
        let program = PgDumpall {
            path: echo(folder.path()),
            version: VERSION,
        };
        let environment = ChildEnvironment::default();
        let output = dump_globals(
            &program,
            &environment,
            OsStr::new("host=x '\\"),
            RolePasswords::LeftOut,
            &|| false,
        )
        .unwrap();
        assert!(
            output.starts_with(
                b"--globals-only\n--no-password\n--no-role-passwords\n--database=dbname='host=x \\'\\\\'\n"
            ),
            "{}",
            output.escape_ascii()
        );
    }
}
