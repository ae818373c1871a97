//! The file `backstay.toml`: where it is looked for, and what a command takes from it.
//!
//! It is read when a command needs something of it and not before, so that a file with a mistake keeps nobody from a
//! restore that says everything itself.

mod database;
mod store;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use backstay::Variables;
use backstay_config::{Config, ConfigError, Database, FILE_NAME, Reference, ResolveError, nearest};

pub(crate) use database::{DatabaseOptions, options, prefix, seals, source, source_without_secrets};
pub(crate) use store::variables_for;

/// The variable that names the file.
const VARIABLE: &str = "BACKSTAY_CONFIG";
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why the file, or something in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigurationError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is longer than {FILE_BYTES_MAX} bytes", path.display())]
    TooLong { path: PathBuf },
    /// Whoever can write it can have commands run.
    #[error("{} can be written by others, and it may name commands", path.display())]
    Exposed { path: PathBuf },
    #[error(transparent)]
    Mistakes(#[from] ConfigError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("there is no file {FILE_NAME} (looked for: {})", .0.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    Nowhere(Vec<PathBuf>),
    #[error("no [{kind}.{name}] in {}", path.display())]
    Unknown {
        kind: &'static str,
        name: String,
        path: PathBuf,
        nearest: Option<String>,
    },
    #[error("no [[export]] called {name:?} in {}", path.display())]
    UnknownExport {
        name: String,
        path: PathBuf,
        nearest: Option<String>,
    },
    #[error("{} has several of [{kind}]: {}", path.display(), names.join(", "))]
    Several {
        kind: &'static str,
        names: Vec<String>,
        path: PathBuf,
    },
    #[error("[database.{name}] says of no retention")]
    NoRetention { name: String },
    /// What stands there is not what the key means.
    #[error("{at}: a key of {key:?} cannot be used")]
    Recipient {
        at: String,
        key: &'static str,
        source: backstay::encryption::InvalidRecipient,
    },
    #[error("{at}: the connection cannot be used")]
    Connection {
        at: String,
        source: backstay::ConninfoError,
    },
}

/// The file, if there is one; read once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configuration {
    /// The file that is meant, by option or variable.
    named: Option<PathBuf>,
    /// Where it may be, if none is.
    places: Vec<PathBuf>,
    loaded: OnceLock<Option<Loaded>>,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) path: PathBuf,
}

impl Configuration {
    /// The file that an option names, else a variable, else one of the usual places.
    pub(crate) fn find(typed: Option<PathBuf>, variables: &Variables) -> Self {
        let filled = |name| variables.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // As the specification of these folders wants it, a relative one counts as not set.
        let of_user = filled("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute());
        let of_user = of_user.or_else(|| Some(filled("HOME")?.join(".config")));
        let of_user = of_user.map(|folder| folder.join("backstay").join(FILE_NAME));
        Self {
            named: typed.or_else(|| filled(VARIABLE)),
            places: [PathBuf::from(FILE_NAME)].into_iter().chain(of_user).collect(),
            loaded: OnceLock::new(),
        }
    }

    /// One with this text, for tests.
    #[cfg(test)]
    pub(crate) fn of_text(text: &str) -> Self {
        let path = PathBuf::from(FILE_NAME);
        let config = Config::parse(text, &path).unwrap_or_else(|error| panic!("{error}"));
        Self {
            loaded: OnceLock::from(Some(Loaded { config, path })),
            ..Self::default()
        }
    }

    /// The file; `None` where none was named and there is none in the usual places.
    pub(crate) fn get(&self) -> Result<Option<&Loaded>, ConfigurationError> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded.as_ref());
        }
        let loaded = self.load()?;
        Ok(self.loaded.get_or_init(|| loaded).as_ref())
    }

    /// The file, which must be there.
    pub(crate) fn require(&self) -> Result<&Loaded, ConfigurationError> {
        self.get()?
            .ok_or_else(|| ConfigurationError::Nowhere(self.places.clone()))
    }

    /// Reads it anew, as a process that is started now does.
    pub(crate) fn look_again(&self) -> Result<(), ConfigurationError> {
        self.load().map(drop)
    }

    fn load(&self) -> Result<Option<Loaded>, ConfigurationError> {
        if let Some(path) = &self.named {
            return read(path, Trust::Named).map(Some);
        }
        for path in &self.places {
            match read(path, Trust::Found) {
                Err(ConfigurationError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                loaded => return loaded.map(Some),
            }
        }
        Ok(None)
    }
}

/// How the file was come by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// A person named it.
    Named,
    /// It was there.
    Found,
}

fn read(path: &Path, trust: Trust) -> Result<Loaded, ConfigurationError> {
    let failed = |source| ConfigurationError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    if trust == Trust::Found && is_writable_by_others(&file).map_err(failed)? {
        return Err(ConfigurationError::Exposed { path: path.to_owned() });
    }
    let mut text = String::new();
    let length = file
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(ConfigurationError::TooLong { path: path.to_owned() });
    }
    Ok(Loaded {
        config: Config::parse(&text, path)?,
        path: path.to_owned(),
    })
}

#[cfg(unix)]
fn is_writable_by_others(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;

    Ok(file.metadata()?.permissions().mode() & 0o002 != 0)
}

#[cfg(not(unix))]
fn is_writable_by_others(_: &File) -> io::Result<bool> {
    Ok(false)
}

impl Loaded {
    /// The database of that name.
    pub(crate) fn database(&self, name: &str) -> Result<(&str, &Database), ConfigurationError> {
        let mut databases = self.config.databases();
        let found = databases.find(|(known, _)| *known == name);
        found.ok_or_else(|| self.unknown("database", name, self.config.databases().map(|(known, _)| known)))
    }

    /// The export of that name.
    pub(crate) fn export(&self, name: &str) -> Result<&backstay_config::Export, ConfigurationError> {
        self.config
            .export(name)
            .ok_or_else(|| ConfigurationError::UnknownExport {
                name: name.to_owned(),
                path: self.path.clone(),
                nearest: nearest(name, self.config.exports().map(|(known, _)| known)).map(str::to_owned),
            })
    }

    /// The store of that name.
    pub(crate) fn store(&self, name: &str) -> Option<&backstay_config::Store> {
        self.config.store(name)
    }

    /// The rules of that name.
    pub(crate) fn rules(&self, name: &str) -> Result<&backstay::Rules, ConfigurationError> {
        let known = || self.config.all_rules().map(|(known, _)| known);
        let found = self.config.rules(name);
        found.ok_or_else(|| self.unknown("rules", name, known()))
    }

    /// The notification of that name.
    pub(crate) fn notification(&self, name: &str) -> Result<&backstay_config::Notification, ConfigurationError> {
        let known = || self.config.notifications().map(|(known, _)| known);
        let found = self.config.notification(name);
        found.ok_or_else(|| self.unknown("notification", name, known()))
    }

    /// The only database, or none.
    pub(crate) fn only_database(&self) -> Result<Option<(&str, &Database)>, ConfigurationError> {
        self.only("database", self.config.databases())
    }

    /// The only store, or none.
    pub(crate) fn only_store(&self) -> Result<Option<(&str, &backstay_config::Store)>, ConfigurationError> {
        self.only("store", self.config.stores())
    }

    /// A database whose store is that of all databases: who looks at backups and names no store means that one.
    pub(crate) fn database_of_the_store(&self) -> Option<&Database> {
        let mut all = self.config.databases().map(|(_, database)| database);
        let first = all.next()?;
        let store = first.store.as_ref().map(Reference::name)?;
        let is_there = |database: &Database| database.store.as_ref().map(Reference::name) == Some(store);
        all.all(is_there).then_some(first)
    }

    fn only<'l, T>(
        &self,
        kind: &'static str,
        all: impl Iterator<Item = (&'l str, T)>,
    ) -> Result<Option<(&'l str, T)>, ConfigurationError> {
        let mut all: Vec<(&str, T)> = all.collect();
        if all.len() > 1 {
            return Err(ConfigurationError::Several {
                kind,
                names: all.iter().map(|(name, _)| (*name).to_owned()).collect(),
                path: self.path.clone(),
            });
        }
        Ok(all.pop())
    }

    fn unknown<'k>(&self, kind: &'static str, name: &str, known: impl Iterator<Item = &'k str>) -> ConfigurationError {
        ConfigurationError::Unknown {
            kind,
            name: name.to_owned(),
            path: self.path.clone(),
            nearest: nearest(name, known).map(str::to_owned),
        }
    }
}

/// How variables are looked up for the file.
pub(crate) fn lookup(variables: &Variables) -> impl Fn(&str) -> Option<String> + '_ {
    |name| Some(variables.get(name)?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests;
