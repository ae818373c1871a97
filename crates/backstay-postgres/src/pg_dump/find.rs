//! Finding dump programs that are new enough for a server.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fmt, fs};

use super::child::{self, ProgramError};
use super::{PgDump, PgDumpall, ProgramVersion};
use crate::search_path::SearchPath;

/// How long a program may take to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
const VERSION_BYTES: u64 = 4 << 10;

/// Why no program can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindProgramError {
    /// Nowhere is one that is new enough.
    #[error("no {program} of version {at_least_major} or newer was found{}", Seen(found))]
    NotFound {
        /// Name of the program.
        program: &'static str,
        /// Major version of the server.
        at_least_major: u32,
        /// Those that were found but are too old.
        found: Vec<(PathBuf, ProgramVersion)>,
    },
    /// The one that was named is older than the server, which it then refuses to dump.
    #[error("{} is of version {version}, but the server is of version {at_least_major}", path.display())]
    TooOld {
        /// Name of the program.
        program: &'static str,
        /// The one that was named.
        path: PathBuf,
        /// Its version.
        version: ProgramVersion,
        /// Major version of the server.
        at_least_major: u32,
    },
    /// The one that was named cannot tell its version.
    #[error("{} does not tell its version", path.display())]
    Unusable {
        /// The one that was named.
        path: PathBuf,
        /// Why, if it could not be run.
        source: Option<ProgramError>,
    },
    /// The one that was named is another program.
    #[error("{} is not {program}; of its version it says \"{said}\"", path.display())]
    Foreign {
        /// Name of the program that was wanted.
        program: &'static str,
        /// The one that was named.
        path: PathBuf,
        /// What it says.
        said: String,
    },
}

impl FindProgramError {
    /// What a person can do: which package to install, and how to name a program that is elsewhere.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::NotFound {
                at_least_major: major, ..
            } => Some(format!(
                "install the package postgresql-client-{major} (Debian, Ubuntu), postgresql{major} (Red Hat and \
                 relatives) or postgresql@{major} (Homebrew), or a newer one, or name the program with --pg-dump PATH"
            )),
            Self::TooOld {
                at_least_major: major, ..
            } => Some(format!(
                "name a program of version {major} or newer with --pg-dump PATH; it is in the package \
                 postgresql-client-{major} (Debian, Ubuntu), postgresql{major} (Red Hat and relatives) or \
                 postgresql@{major} (Homebrew)"
            )),
            Self::Unusable { .. } | Self::Foreign { .. } => None,
        }
    }
}

struct Seen<'a>(&'a [(PathBuf, ProgramVersion)]);

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (path, version)) in self.0.iter().enumerate() {
            let before = if at == 0 { " (only " } else { ", " };
            write!(f, "{before}{} of version {version}", path.display())?;
        }
        if self.0.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

/// Finds the `pg_dump` for a server: one of its own major version, or else the next newer.
///
/// Each candidate is run once to ask for its version; of several alike the newest minor version is taken, of those the
/// first.
///
/// # Errors
/// [`FindProgramError::NotFound`]; its [`advice`](FindProgramError::advice) says what to install.
pub fn find_pg_dump(search: &SearchPath, at_least_major: u32) -> Result<PgDump, FindProgramError> {
    let (path, version) = find(search, "pg_dump", at_least_major)?;
    Ok(PgDump { path, version })
}

/// Finds the `pg_dumpall` for a server, as [`find_pg_dump`] does.
///
/// # Errors
/// As [`find_pg_dump`].
pub fn find_pg_dumpall(search: &SearchPath, at_least_major: u32) -> Result<PgDumpall, FindProgramError> {
    let (path, version) = find(search, "pg_dumpall", at_least_major)?;
    Ok(PgDumpall { path, version })
}

impl PgDump {
    /// Takes a program that somebody named.
    ///
    /// # Errors
    /// When it cannot be run, is another program, or is older than the server.
    pub fn at(path: PathBuf, at_least_major: u32) -> Result<Self, FindProgramError> {
        let version = named_version(&path, "pg_dump", at_least_major)?;
        Ok(Self { path, version })
    }
}

impl PgDumpall {
    /// Takes a program that somebody named.
    ///
    /// # Errors
    /// As [`PgDump::at`].
    pub fn at(path: PathBuf, at_least_major: u32) -> Result<Self, FindProgramError> {
        let version = named_version(&path, "pg_dumpall", at_least_major)?;
        Ok(Self { path, version })
    }
}

fn find(
    search: &SearchPath,
    program: &'static str,
    at_least_major: u32,
) -> Result<(PathBuf, ProgramVersion), FindProgramError> {
    let mut found: Vec<(PathBuf, ProgramVersion)> = Vec::new();
    let mut seen = Vec::new();
    for folder in search.folders() {
        let path = folder.join(program);
        // Debian's wrapper in /usr/bin chooses another version each time by other rules; what it chooses from is in
        // the usual places.
        let Ok(real) = fs::canonicalize(&path) else { continue };
        if real.file_name() == Some(OsStr::new("pg_wrapper")) || seen.contains(&real) {
            continue;
        }
        // What cannot be run is no candidate.
        if let Ok(version) = version_of(&path, program) {
            found.push((path, version));
        }
        seen.push(real);
    }
    let fits = |(_, version): &&(PathBuf, ProgramVersion)| version.major >= at_least_major;
    let best = found
        .iter()
        .filter(fits)
        .min_by_key(|(_, version)| (version.major, std::cmp::Reverse(version.minor)));
    best.cloned().ok_or(FindProgramError::NotFound {
        program,
        at_least_major,
        found,
    })
}

fn named_version(path: &Path, program: &'static str, at_least_major: u32) -> Result<ProgramVersion, FindProgramError> {
    let version = version_of(path, program)?;
    if version.major < at_least_major {
        return Err(FindProgramError::TooOld {
            program,
            path: path.to_owned(),
            version,
            at_least_major,
        });
    }
    Ok(version)
}

fn version_of(path: &Path, program: &'static str) -> Result<ProgramVersion, FindProgramError> {
    let mut command = Command::new(path);
    command.arg("--version");
    let started = Instant::now();
    let output = child::output(command, VERSION_BYTES, &|| started.elapsed() > VERSION_TIMEOUT).map_err(|source| {
        FindProgramError::Unusable {
            path: path.to_owned(),
            source: Some(source),
        }
    })?;
    let said = String::from_utf8_lossy(&output);
    let said = said.lines().next().unwrap_or_default();
    if said.is_empty() {
        return Err(FindProgramError::Unusable {
            path: path.to_owned(),
            source: None,
        });
    }
    parse_version(said, program).ok_or_else(|| FindProgramError::Foreign {
        program,
        path: path.to_owned(),
        said: said.chars().filter(|c| !c.is_control()).take(200).collect(),
    })
}

/// Reads `pg_dump (PostgreSQL) 17.6 (Debian 17.6-1)`; betas are `18beta1`.
fn parse_version(line: &str, program: &str) -> Option<ProgramVersion> {
    let version = line.strip_prefix(program)?.strip_prefix(" (PostgreSQL) ")?;
    let number = |text: &str| -> Option<u32> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    let major = number(version)?;
    let rest = version.trim_start_matches(|c: char| c.is_ascii_digit());
    Some(ProgramVersion {
        major,
        minor: rest.strip_prefix('.').and_then(number).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::tests::write_script;
    use super::*;

    fn check_version(line: &str, expected: Option<(u32, u32)>) {
        let expected = expected.map(|(major, minor)| ProgramVersion { major, minor });
        assert_eq!(parse_version(line, "pg_dump"), expected, "{line}");
    }

    #[test]
    fn versions_are_read() {
        check_version("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some((15, 18)));
        check_version("pg_dump (PostgreSQL) 18beta1", Some((18, 0)));
        check_version("pg_dump (PostgreSQL) 19devel", Some((19, 0)));
        check_version("pg_dump (PostgreSQL) 9.6.24", Some((9, 6)));
        check_version("pg_dumpall (PostgreSQL) 17.1", None);
        check_version("pg_dump (PostgreSQL) new", None);
        check_version("", None);
    }

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new(programs: &[(&str, &str)]) -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            for (name, script) in programs {
                machine.install(name, script);
            }
            machine
        }

        fn install(&self, name: &str, script: &str) {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_script(&path, script);
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn search(&self, folders: &[&str]) -> SearchPath {
            SearchPath::only(folders.iter().map(|folder| self.path(folder)).collect())
        }
    }

    #[test]
    fn the_exact_major_version_comes_first_then_the_next_newer() {
        let say = |version: &str| format!("echo 'pg_dump (PostgreSQL) {version}'");
        let machine = Machine::new(&[
            ("a/pg_dump", &say("18.1")),
            ("b/pg_dump", &say("15.3")),
            ("c/pg_dump", &say("15.9")),
            ("d/pg_dump", "exit 127"),
            ("e/pg_dump", &say("9.6.24")),
            ("wrapped/pg_wrapper", &say("16.0")),
            ("f/pg_dump", "echo 'mysqldump 17.0'"),
        ]);
        symlink("pg_wrapper", machine.path("wrapped/pg_dump")).unwrap();
        let search = machine.search(&["missing", "wrapped", "a", "a", "b", "c", "d", "e", "f"]);
        let check = |major: u32, expected: &str| {
            assert_eq!(
                find_pg_dump(&search, major).unwrap().path,
                machine.path(expected),
                "{major}"
            );
        };
        check(15, "c/pg_dump");
        check(14, "c/pg_dump");
        check(16, "a/pg_dump");
        check(18, "a/pg_dump");
        check(9, "e/pg_dump");

        let error = find_pg_dump(&machine.search(&["b", "e"]), 17).unwrap_err();
        let expected = format!(
            "no pg_dump of version 17 or newer was found (only {} of version 15.3, {} of version 9.6)",
            machine.path("b/pg_dump").display(),
            machine.path("e/pg_dump").display()
        );
        assert_eq!(error.to_string(), expected);
        let advice = error.advice().unwrap();
        for part in ["postgresql-client-17 ", "postgresql@17 ", "--pg-dump PATH"] {
            assert!(advice.contains(part), "{advice}");
        }
        let error = find_pg_dumpall(&search, 17).unwrap_err();
        assert_eq!(error.to_string(), "no pg_dumpall of version 17 or newer was found");
    }

    #[test]
    fn a_named_program_must_fit() {
        let machine = Machine::new(&[
            ("pg_dump", "echo 'pg_dump (PostgreSQL) 15.3'"),
            ("mysqldump", "echo 'mysqldump 10.13'"),
            ("silent", ":"),
            ("broken", "echo no >&2; exit 2"),
        ]);
        let at = |name: &str, major| PgDump::at(machine.path(name), major);
        assert_eq!(
            at("pg_dump", 15).unwrap().version,
            ProgramVersion { major: 15, minor: 3 }
        );
        let too_old = at("pg_dump", 16).unwrap_err();
        assert!(matches!(too_old, FindProgramError::TooOld { .. }), "{too_old:?}");
        assert!(too_old.advice().unwrap().contains("postgresql-client-16 "));
        assert!(
            at("mysqldump", 15)
                .unwrap_err()
                .to_string()
                .ends_with("is not pg_dump; of its version it says \"mysqldump 10.13\"")
        );
        assert!(matches!(
            at("silent", 15),
            Err(FindProgramError::Unusable { source: None, .. })
        ));
        assert!(matches!(
            at("broken", 15),
            Err(FindProgramError::Unusable {
                source: Some(ProgramError::Failed { status: 2, .. }),
                ..
            })
        ));
        assert!(matches!(
            at("missing", 15),
            Err(FindProgramError::Unusable {
                source: Some(ProgramError::Start { .. }),
                ..
            })
        ));
    }
}
