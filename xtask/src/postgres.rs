use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::Failure;
use crate::system;

mod fetch;

pub(crate) use fetch::{fetch, majors};

/// What a folder of PostgreSQL's programs must hold: server and client.
const PROGRAMS: [&str; 5] = ["postgres", "initdb", "psql", "pg_dump", "pg_restore"];

/// Where packages put each version into a folder of its own; as in `Installation` of backstay-postgres, which is not
/// used here because `tidy` should not wait for a database client to be compiled.
const PACKAGE_FOLDERS: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr", "bin"), // /usr/pgsql-17/bin of the RPMs
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
];

/// Debian reads it when a server package is installed.
const CLUSTER_CONFIGURATION: &str = "/etc/postgresql-common/createcluster.conf";

/// Finds the programs of PostgreSQL, and installs them first where there are none and it is possible.
///
/// `who` needs them, for the message that says what to install.
pub(crate) fn find_or_install(who: &str) -> Result<PathBuf, Failure> {
    if let Some(bin) = find() {
        return Ok(bin);
    }
    let packages = ["postgresql", "postgresql-contrib"];
    let need = format!("{who} needs PostgreSQL: server, client programs and contrib modules");
    if system::has_program("apt-get") && system::is_root() {
        forbid_a_cluster()?;
    }
    system::install(&packages, &need)?;
    find().ok_or_else(|| Failure::new("PostgreSQL was installed, but its programs are not where they should be"))
}

/// The programs of one server, with client programs beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) bin: PathBuf,
    pub(crate) major: u32,
    /// As it states it, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub(crate) version: String,
}

impl Server {
    /// Takes the programs in a folder.
    pub(crate) fn at(bin: &Path) -> Result<Self, Failure> {
        let version = if is_complete(bin) { stated_version(bin) } else { None };
        let (major, version) = version.ok_or_else(|| {
            let programs = PROGRAMS.join(", ");
            Failure::new(format!("not all of {programs} are in {} and run there", bin.display()))
        })?;
        Ok(Self {
            bin: bin.to_owned(),
            major,
            version,
        })
    }
}

/// The extension that one test needs beside contrib modules.
const SCHEDULER: &str = "extension/pg_cron.control";

/// Installs Debian's package of `pg_cron` for a server of Debian's, where it is missing and that is possible.
///
/// Elsewhere the test takes another server that has it, or says what to install.
pub(crate) fn provide_scheduler(server: &Server) -> Result<(), Failure> {
    let major = server.major;
    let is_debians = server.bin.starts_with("/usr/lib/postgresql");
    let control = Path::new("/usr/share/postgresql")
        .join(major.to_string())
        .join(SCHEDULER);
    if !is_debians || control.is_file() {
        return Ok(());
    }
    let package = format!("postgresql-{major}-cron");
    system::install(&[&package], &format!("the tests need {package}"))
}

fn stated_version(bin: &Path) -> Option<(u32, String)> {
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(line: &str) -> Option<(u32, String)> {
    let version = line.trim().strip_prefix("postgres (PostgreSQL) ")?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((digits.parse().ok()?, version.to_owned()))
}

/// Keeps the server package from creating and starting a database cluster of its own.
fn forbid_a_cluster() -> Result<(), Failure> {
    let path = Path::new(CLUSTER_CONFIGURATION);
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let present = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        fs::write(path, without_a_cluster(&present))
    };
    write().map_err(|error| Failure::new(format!("cannot write {CLUSTER_CONFIGURATION}: {error}")))?;
    println!("{CLUSTER_CONFIGURATION} now says that packages shall not create a cluster");
    Ok(())
}

/// Changes the one setting and keeps the rest of the file.
fn without_a_cluster(present: &str) -> String {
    let mut lines: Vec<&str> = present
        .lines()
        .filter(|line| !line.trim_start().starts_with("create_main_cluster"))
        .collect();
    lines.push("create_main_cluster = false");
    lines.join("\n") + "\n"
}

fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let of_path: Vec<PathBuf> = env::split_paths(&path).collect();
    let of_packages = PACKAGE_FOLDERS.iter().flat_map(|&(parent, bin)| {
        let mut folders: Vec<PathBuf> = fs::read_dir(parent)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join(bin)))
            .collect();
        folders.sort_unstable();
        folders.reverse();
        folders
    });
    of_path.into_iter().chain(of_packages).find(|bin| is_complete(bin))
}

fn is_complete(bin: &Path) -> bool {
    PROGRAMS.iter().all(|program| bin.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_states_its_version() {
        let check = |line: &str, expected: Option<(u32, &str)>| {
            let expected = expected.map(|(major, version)| (major, version.to_owned()));
            assert_eq!(parse_version(line), expected, "{line}");
        };
        check("postgres (PostgreSQL) 13.23\n", Some((13, "13.23")));
        check(
            "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
            Some((15, "15.18 (Debian 15.18-0+deb12u1)")),
        );
        check("postgres (PostgreSQL) 19devel\n", Some((19, "19devel")));
        check("postgres (PostgreSQL) new\n", None);
        check("", None);
    }

    #[test]
    fn packages_are_told_not_to_create_a_cluster() {
        assert_eq!(without_a_cluster(""), "create_main_cluster = false\n");
        let present = "# a comment\ncreate_main_cluster = true\nssl = on\n";
        assert_eq!(
            without_a_cluster(present),
            "# a comment\nssl = on\ncreate_main_cluster = false\n"
        );
    }
}
