//! What the program is told from outside beside its arguments: variables, `.env` files, the machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use backstay::{DotenvError, SearchPath, Variables, Witness, parse_dotenv};
use jiff::Timestamp;

use crate::configuration::Configuration;

/// The files that are read in the working folder; the first one wins.
const FILES: [&str; 2] = [".env.local", ".env"];
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Beginnings of the names that are taken from files; others may mean anything to anybody. `VERCEL_BLOB_API_URL` is none of
/// them: whoever wrote a file could have the token sent to himself.
const NAMES: [&str; 6] = [
    "DATABASE_URL",
    "SUPABASE_",
    "PG",
    "AWS_",
    "BLOB_READ_WRITE_TOKEN",
    "BACKSTAY_",
];

/// Everything that settling arguments may depend on.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// The variables of the process and, where it has them not, of the files.
    pub(crate) variables: Variables,
    /// Where programs are looked for.
    pub(crate) programs: SearchPath,
    /// Processors that this process may use.
    pub(crate) processors: usize,
    /// Whether somebody sits at the other end of standard input.
    pub(crate) can_ask: bool,
    /// The file that gives names to databases and stores.
    pub(crate) configuration: Configuration,
}

/// Why a `.env` file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot understand {}", path.display())]
    Syntax { path: PathBuf, source: DotenvError },
    #[error("{} is longer than {FILE_BYTES_MAX} bytes", path.display())]
    TooLong { path: PathBuf },
}

impl Environment {
    /// That of this process, with the files of its working folder, and the configuration that an option names.
    pub(crate) fn of_process(configuration: Option<PathBuf>) -> Result<Self, EnvironmentError> {
        Self::load(Path::new("."), std::env::vars_os(), configuration)
    }

    fn load(
        folder: &Path,
        process: impl Iterator<Item = (OsString, OsString)>,
        configuration: Option<PathBuf>,
    ) -> Result<Self, EnvironmentError> {
        let mut merged: BTreeMap<OsString, OsString> = BTreeMap::new();
        for file in FILES.iter().rev() {
            for (name, value) in read_file(folder.join(file))? {
                if NAMES.iter().any(|begin| name.starts_with(begin)) {
                    merged.insert(name.into(), value.into());
                }
            }
        }
        let mut path = None;
        for (name, value) in process {
            if name == "PATH" {
                path = Some(value.clone());
            }
            merged.insert(name, value);
        }
        let variables: Variables = merged.into_iter().collect();
        Ok(Self {
            configuration: Configuration::find(configuration, &variables),
            variables,
            programs: SearchPath::with_usual_places(path.as_deref()),
            processors: std::thread::available_parallelism().map_or(2, usize::from),
            can_ask: io::stdin().is_terminal(),
        })
    }

    /// One with these variables and no others, for tests.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        Self {
            variables: variables.iter().copied().collect(),
            programs: SearchPath::only(Vec::new()),
            processors: 8,
            can_ask: true,
            configuration: Configuration::default(),
        }
    }

    /// Who does what this process does: `BACKSTAY_ACTOR`, else the user of the machine.
    pub(crate) fn witness(&self) -> Witness {
        let named = ["BACKSTAY_ACTOR", "USER", "LOGNAME"]
            .iter()
            .find_map(|name| self.get(name));
        Witness {
            who: named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())),
            from: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            clock: Timestamp::now,
        }
    }

    /// The value of one of the program's own variables, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = self.variables.get(name)?.to_string_lossy().into_owned();
        (!value.is_empty()).then_some(value)
    }
}

/// The entries of a file; none where there is no such file.
fn read_file(path: PathBuf) -> Result<Vec<(String, String)>, EnvironmentError> {
    let text = match File::open(&path).and_then(|file| read_bounded(&file)) {
        Ok(Some(text)) => text,
        Ok(None) => return Err(EnvironmentError::TooLong { path }),
        // A folder of that name is a Python environment, which is none of ours.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {
            return Ok(Vec::new());
        }
        Err(source) => return Err(EnvironmentError::Read { path, source }),
    };
    parse_dotenv(&text).map_err(|source| EnvironmentError::Syntax { path, source })
}

fn read_bounded(file: &File) -> io::Result<Option<String>> {
    let mut text = String::new();
    let length = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    Ok((length as u64 <= FILE_BYTES_MAX).then_some(text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(files: &[(&str, &str)], process: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let process = process.iter().map(|(name, value)| (name.into(), value.into()));
        Environment::load(folder.path(), process, None)
    }

    #[test]
    fn the_process_wins_over_the_local_file_and_that_over_the_other() {
        let files = [
            (".env", "PGHOST=c\nPGUSER=c\nPGPORT=c\nPGPORT=d\nUSER=c\nPATH=/c"),
            (".env.local", "PGHOST=b\nPGUSER=b"),
        ];
        let environment = load(&files, &[("PGHOST", "a"), ("HOME", "/a"), ("PATH", "/a")]).unwrap();
        for (name, expected) in [
            ("PGHOST", Some("a")),
            ("PGUSER", Some("b")),
            ("PGPORT", Some("d")),
            ("USER", None),
            ("HOME", Some("/a")),
            ("PATH", Some("/a")),
        ] {
            assert_eq!(environment.get(name).as_deref(), expected, "{name}");
        }
        assert_eq!(environment.programs.folders()[0], Path::new("/a"));
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_refused_without_showing_it() {
        let error = load(&[(".env", "PGHOST=a\nsecret line")], &[]).unwrap_err();
        assert!(matches!(error, EnvironmentError::Syntax { .. }));
        let long = format!("A={}", "x".repeat(1 << 20));
        let error = load(&[(".env.local", &long)], &[]).unwrap_err();
        assert!(matches!(error, EnvironmentError::TooLong { .. }));
        let fits = format!("A={}", "x".repeat((1 << 20) - 2));
        assert!(load(&[(".env.local", &fits)], &[]).is_ok());
    }

    #[test]
    fn a_folder_called_env_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".env")).unwrap();
        assert!(Environment::load(folder.path(), std::iter::empty(), None).is_ok());
    }
}
