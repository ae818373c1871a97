//! Servers, databases and comparisons that the tests share.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use backstay::{
    BackupOptions, BackupReader, BackupReport, CancelToken, ConnectionConfig, ProofReport, Repository, RestoreOptions,
    RestoreReport, SearchPath, Silent, TargetError, WhenMissing,
};
use backstay_postgres::{Authentication, Installation, ServerOptions, ThrowawayServer};
use tempfile::TempDir;

/// Where PostgreSQL's programs are: first what the test command names, then the usual places.
pub(crate) fn programs() -> SearchPath {
    let named = std::env::var_os("BACKSTAY_TEST_PG_BINS").unwrap_or_default();
    SearchPath::with_usual_places(std::env::var_os("PATH").as_deref()).preferring(std::env::split_paths(&named))
}

/// The servers that the test command names, else the newest that is found. The first is the one to test on; `cargo xtask
/// test` lets each be the first in turn.
pub(crate) fn installations() -> Vec<Installation> {
    let named = std::env::var_os("BACKSTAY_TEST_PG_BINS").unwrap_or_default();
    let named: Vec<Installation> = std::env::split_paths(&named)
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(|folder| Installation::at(&folder).expect("BACKSTAY_TEST_PG_BINS names a folder without a server"))
        .collect();
    if !named.is_empty() {
        return named;
    }
    vec![Installation::find(&programs()).expect(
        "no PostgreSQL server found: run `cargo xtask test`, or install one (Debian: apt-get install postgresql)",
    )]
}

/// The server to test on.
pub(crate) fn default_installation() -> Installation {
    installations().swap_remove(0)
}

/// The first of the servers that is at least of this version, for tests of what older ones do not have.
pub(crate) fn installation_since(major: u32) -> Installation {
    let mut found = installations().into_iter().chain(Installation::find(&programs()));
    let fitting = found.find(|installation| installation.major() >= major);
    fitting.unwrap_or_else(|| panic!("PostgreSQL {major} or later is needed: run `cargo xtask test`"))
}

/// A running server with a folder for files.
pub(crate) struct Cluster {
    pub(crate) server: ThrowawayServer,
    folder: TempDir,
}

impl Cluster {
    pub(crate) fn start(installation: &Installation) -> Self {
        Self::start_as(installation, "postgres", &[])
    }

    pub(crate) fn start_as(installation: &Installation, superuser: &str, settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut options = ServerOptions::new(Authentication::Trust);
        superuser.clone_into(&mut options.superuser);
        options.settings.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let server = ThrowawayServer::start(installation, &std::env::temp_dir(), &options).expect("a server starts");
        Self { server, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self, database: &str) -> ConnectionConfig {
        self.server.connection_config(database)
    }

    /// A store in the cluster's folder.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        let location = self.path(name).display().to_string();
        Repository::new(backstay::open_store(&location, WhenMissing::Create).expect("a store"))
    }

    /// A client program of the server's own version, with the connection in its environment.
    pub(crate) fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.server.installation().program(program));
        let environment = self.config(database).child_environment();
        for name in environment.remove {
            command.env_remove(name);
        }
        command.envs(environment.set).stdin(Stdio::null());
        command
    }

    /// Runs SQL and gives what `psql -At` prints.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let output = checked(
            self.client("psql", database)
                .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]),
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    pub(crate) fn sql_file<S: AsRef<OsStr>>(&self, database: &str, file: &Path, more: &[S]) {
        checked(
            self.client("psql", database)
                .args(["-Xq", "-v", "ON_ERROR_STOP=1"])
                .args(more)
                .arg("-f")
                .arg(file),
        );
    }

    pub(crate) fn create_database(&self, name: &str) {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\" TEMPLATE template0"));
    }

    /// `pg_dump` in a session that does not follow the settings of the database.
    fn pg_dump(&self, database: &str) -> Command {
        let mut command = self.client("pg_dump", database);
        command.env(
            "PGOPTIONS",
            "-c standard_conforming_strings=on -c timezone=UTC -c bytea_output=hex",
        );
        command
    }

    /// The definitions of a database as `pg_dump` prints them, without what differs from run to run.
    pub(crate) fn schema(&self, database: &str) -> String {
        self.schema_of(database, &[])
    }

    /// The definitions of the part of a database that `pg_dump` takes these arguments for.
    pub(crate) fn schema_of(&self, database: &str, part: &[&str]) -> String {
        let output = checked(self.pg_dump(database).arg("--schema-only").args(part));
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// Everything in a database, or in such a part of it, as `pg_dump` prints it: rows in the order of their text.
    pub(crate) fn content_of(&self, database: &str, part: &[&str]) -> Vec<String> {
        let output = checked(self.pg_dump(database).arg("--data-only").args(part));
        let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
            .map(str::to_owned)
            .collect();
        lines.sort_unstable();
        lines
    }

    /// Restores a pack with nothing but PostgreSQL's own client.
    pub(crate) fn restore_by_psql(&self, database: &str, pack: &Path) -> Output {
        let mut unpack = Command::new(if pack.extension() == Some(OsStr::new("zst")) {
            "zstd"
        } else {
            "gzip"
        })
        .arg("-dc")
        .arg(pack)
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip and zstd run");
        let stdout = unpack.stdout.take().expect("a pipe");
        let output = self
            .client("psql", database)
            .args(["-Xq"])
            .stdin(stdout)
            .output()
            .expect("psql runs");
        // It ends by a broken pipe where psql stops early, which the caller sees by psql's status.
        let unpacked = unpack.wait().expect("gzip ends");
        assert!(unpacked.success() || !output.status.success());
        output
    }
}

/// Runs a command that must succeed.
pub(crate) fn checked(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A file of the sample data in the workspace.
pub(crate) fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name)
}

/// Backs a database up with the options changed by `with`.
pub(crate) fn back_up(
    cluster: &Cluster,
    database: &str,
    repository: &Repository,
    with: impl FnOnce(&mut BackupOptions),
) -> Result<BackupReport, backstay::BackupError> {
    let mut options = BackupOptions::default();
    with(&mut options);
    let now = jiff::Timestamp::now();
    let config = cluster.config(database);
    backstay::back_up(
        &config,
        repository,
        now,
        &programs(),
        &options,
        &Silent,
        &CancelToken::new(),
    )
}

/// Asserts that two databases have the same definitions and rows, as `pg_dump` sees them.
pub(crate) fn assert_same(cluster: &Cluster, left: &str, right: &str) {
    assert_same_part(cluster, left, right, &[]);
}

/// Asserts the same of the part that `pg_dump` takes these arguments for.
pub(crate) fn assert_same_part(cluster: &Cluster, left: &str, right: &str, part: &[&str]) {
    let (a, b) = (cluster.schema_of(left, part), cluster.schema_of(right, part));
    assert_eq!(first_difference(&a, &b), None, "definitions of {left} and {right}");
    let (a, b) = (cluster.content_of(left, part), cluster.content_of(right, part));
    let (only_a, only_b) = (only_in_first(&a, &b), only_in_first(&b, &a));
    assert!(
        only_a.is_empty() && only_b.is_empty(),
        "rows of {left} and {right}:\n-{only_a:#.300?}\n+{only_b:#.300?}"
    );
}

/// The lines of a sorted list that another sorted list has not, or not as often.
pub(crate) fn only_in_first<'a>(first: &'a [String], second: &[String]) -> Vec<&'a str> {
    let mut second = second.iter().peekable();
    let missing = first.iter().filter(|line| {
        while second.next_if(|other| other < line).is_some() {}
        second.next_if(|other| other == line).is_none()
    });
    missing.map(String::as_str).collect()
}

/// The first line in which two texts differ, with its neighbours.
pub(crate) fn first_difference(left: &str, right: &str) -> Option<String> {
    let mut lines = left.lines().zip(right.lines()).enumerate();
    match lines.find(|(_, (a, b))| a != b) {
        Some((number, (a, b))) => Some(format!("line {}:\n- {a:.300}\n+ {b:.300}", number + 1)),
        None if left.lines().count() == right.lines().count() => None,
        None => Some("one is longer".to_owned()),
    }
}

/// Opens the backup that a report is about.
pub(crate) fn open(repository: &Repository, report: &BackupReport) -> BackupReader {
    repository
        .open(&report.published.manifest.id)
        .expect("the backup can be opened")
}

/// Plans and carries out a restore.
pub(crate) fn restore(
    cluster: &Cluster,
    backup: &BackupReader,
    database: &str,
    options: &RestoreOptions,
) -> Result<RestoreReport, TargetError> {
    let config = cluster.config(database);
    let plan = backstay::plan_restore(backup, &config, options)?;
    backstay::restore(backup, &plan, &config, &Silent, &CancelToken::new())
}

pub(crate) fn prove(cluster: &Cluster, backup: &BackupReader, database: &str) -> ProofReport {
    backstay::prove(backup, &cluster.config(database), 2, &Silent, &CancelToken::new()).expect("the copy can be read")
}
