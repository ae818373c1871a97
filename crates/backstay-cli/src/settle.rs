//! From what a person typed to what it means: defaults, conflicts and variables are settled here and nowhere else.

mod encryption;
mod restore;
mod retention;
mod stores;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use backstay::{
    BackupOptions, ConninfoError, EarlierBackups, GlobalsOption, Inclusion, OpenStoreError, ReadBack, Repository,
    Resolved, SourceOptions, Variables, WhenMissing, open_store_with, resolve_source,
};

use crate::args::{
    BackupArguments, BackupNameArguments, DoctorArguments, FromArguments, ListArguments, OutputArguments,
    SelectionArguments, ShowArguments,
};
use crate::environment::Environment;
use crate::keys::{Keys, SealRequest};
use crate::output::{Form, Output, Voice};
use crate::select::{BackupName, NameError, PathKind, looks_like_a_connection};

pub(crate) use encryption::{RekeyWhich, SettledKey, SettledKeyCheck, SettledRekey};
use encryption::{settle_keys, settle_seals};
pub(crate) use restore::{Confirmation, RestoreMode, SettledRestore, WayBack};
pub(crate) use retention::{PruneMode, SettledHold, SettledLog, SettledPrune};
pub(crate) use stores::{CopyWhich, SettledCopy, SettledSign, SettledStoreCheck};
pub(crate) use verify::SettledVerify;

/// Where backups are where nobody says otherwise.
const DEFAULT_STORE: &str = "./backups";
/// More connections than this are a burden to a server that others use.
const DEFAULT_JOBS_MAX: usize = 4;

/// Arguments and variables that do not fit together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettleError {
    #[error(transparent)]
    Source(#[from] ConninfoError),
    #[error(transparent)]
    Name(#[from] NameError),
    /// The text is not repeated, because it may hold a password.
    #[error("a store is a folder, and not the connection of a database")]
    StoreIsConnection,
    #[error("--sse goes with a bucket (s3://…) only")]
    SseWithoutBucket,
    #[error("the store that was given is empty text")]
    StoreEmpty,
    #[error("the reason that was given is empty text")]
    ReasonEmpty,
    #[error("{location} is named twice, and a copy in the same store is none")]
    SameStore { location: String },
    /// Two names that must be one.
    #[error("{option} names {given:?}, and the target database is {database:?}")]
    OtherDatabase {
        option: &'static str,
        given: String,
        database: String,
    },
    /// A question that nobody can answer.
    #[error("nobody can be asked for the name of the target database, because standard input is no terminal")]
    NobodyToAsk { database: String },
}

/// What `backup` is to do.
#[derive(Debug)]
pub(crate) struct SettledBackup {
    pub(crate) source: Resolved,
    pub(crate) store: SettledStore,
    pub(crate) also: Vec<SettledStore>,
    pub(crate) options: BackupOptions,
    pub(crate) seals: SealRequest,
    pub(crate) keep_days: Option<u32>,
    pub(crate) output: Output,
}

/// What `list` is to do.
#[derive(Debug)]
pub(crate) struct SettledList {
    pub(crate) store: SettledStore,
    pub(crate) output: Output,
}

/// What `show` is to do.
#[derive(Debug)]
pub(crate) struct SettledShow {
    pub(crate) backup: SettledBackupName,
    pub(crate) tables: TablesShown,
    pub(crate) output: Output,
}

/// How many tables `show` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TablesShown {
    Largest,
    All,
}

/// What `doctor` is to do.
#[derive(Debug)]
pub(crate) struct SettledDoctor {
    pub(crate) source: Resolved,
    pub(crate) jobs: usize,
    pub(crate) pg_dump: Option<PathBuf>,
    pub(crate) output: Output,
}

/// The place of backups, not opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettledStore {
    /// Path or URL.
    pub(crate) location: String,
    /// What a person must type to mean it again; nothing where it would be taken anyway.
    pub(crate) argument: Option<String>,
    /// Where credentials and keys come from.
    pub(crate) variables: Variables,
}

/// A backup, not opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettledBackupName {
    pub(crate) name: BackupName,
    pub(crate) store: SettledStore,
    /// What opens it if it is encrypted.
    pub(crate) keys: Keys,
}

impl SettledBackup {
    pub(crate) fn settle(arguments: BackupArguments, environment: &Environment) -> Result<Self, SettleError> {
        let mut source = SourceOptions::default();
        source.jobs = jobs(arguments.jobs, environment);
        source.lock_wait = Duration::from_secs(arguments.lock_wait.into());
        source.unlogged = inclusion(arguments.no_unlogged_data);
        source.large_objects = inclusion(arguments.no_large_objects);
        let SelectionArguments {
            schema,
            table,
            exclude_schema,
            exclude_table,
            exclude_table_data,
        } = arguments.selection;
        source.selection.schemas = schema;
        source.selection.tables = table;
        source.selection.exclude_schemas = exclude_schema;
        source.selection.exclude_tables = exclude_table;
        source.selection.exclude_data = exclude_table_data;
        let mut options = BackupOptions::default();
        options.source = source;
        options.prefix = arguments.name;
        options.compression = arguments.compress;
        options.tags = arguments.tag;
        options.keep_at_least = arguments.keep_at_least;
        options.pg_dump = arguments.pg_dump;
        options.volume_bytes_max = arguments.volume_size;
        if arguments.no_read_back {
            options.read_back = ReadBack::No;
        }
        if arguments.globals {
            options.globals = GlobalsOption::Included;
        }
        if arguments.same_database {
            options.earlier = EarlierBackups::OfThisDatabase;
        }
        let store = SettledStore::settle(arguments.store.or(arguments.positional_store), environment)?
            .with_server_side_encryption(arguments.sse.as_deref())?;
        let mut also: Vec<SettledStore> = Vec::new();
        for typed in arguments.also {
            let mut other = SettledStore::settle(Some(typed), environment)?;
            // Who wants one bucket encrypted wants no copy that is not.
            if other.is_bucket() {
                other = other.with_server_side_encryption(arguments.sse.as_deref())?;
            }
            for known in [&store].into_iter().chain(&also) {
                known.refuse_same(&other)?;
            }
            also.push(other);
        }
        Ok(Self {
            store,
            also,
            source: settle_source(&arguments.from, environment)?,
            options,
            seals: settle_seals(arguments.encrypt),
            keep_days: arguments.keep_days,
            output: arguments.output.into(),
        })
    }
}

impl SettledList {
    pub(crate) fn settle(arguments: ListArguments, environment: &Environment) -> Result<Self, SettleError> {
        Ok(Self {
            store: SettledStore::settle(arguments.store.or(arguments.positional_store), environment)?,
            output: arguments.output.into(),
        })
    }
}

impl SettledShow {
    pub(crate) fn settle(arguments: ShowArguments, environment: &Environment) -> Result<Self, SettleError> {
        Ok(Self {
            backup: SettledBackupName::settle(arguments.backup, environment)?,
            tables: if arguments.tables {
                TablesShown::All
            } else {
                TablesShown::Largest
            },
            output: arguments.output.into(),
        })
    }
}

impl SettledDoctor {
    pub(crate) fn settle(arguments: DoctorArguments, environment: &Environment) -> Result<Self, SettleError> {
        Ok(Self {
            source: settle_source(&arguments.from, environment)?,
            jobs: jobs(arguments.jobs, environment),
            pg_dump: arguments.pg_dump,
            output: arguments.output.into(),
        })
    }
}

impl SettledStore {
    fn settle(typed: Option<String>, environment: &Environment) -> Result<Self, SettleError> {
        let argument = typed.filter(|typed| Some(typed) != environment.get("BACKSTAY_STORE").as_ref());
        let location = match &argument {
            Some(typed) => typed.clone(),
            None => environment
                .get("BACKSTAY_STORE")
                .unwrap_or_else(|| DEFAULT_STORE.to_owned()),
        };
        if location.trim().is_empty() {
            return Err(SettleError::StoreEmpty);
        }
        if looks_like_a_connection(&location) {
            return Err(SettleError::StoreIsConnection);
        }
        Ok(Self {
            location,
            argument,
            variables: environment.variables.clone(),
        })
    }

    /// The same, encrypted by its server, which only a bucket has.
    fn with_server_side_encryption(mut self, how: Option<&str>) -> Result<Self, SettleError> {
        let Some(how) = how else { return Ok(self) };
        if !self.is_bucket() {
            return Err(SettleError::SseWithoutBucket);
        }
        let separator = if self.location.contains('?') { '&' } else { '?' };
        let settings = match how.strip_prefix("aws:kms:") {
            Some(key) => format!("sse=aws:kms&sse-kms-key={key}"),
            None => format!("sse={how}"),
        };
        self.location.push_str(&format!("{separator}{settings}"));
        Ok(self)
    }

    fn is_bucket(&self) -> bool {
        self.location.starts_with("s3:")
    }

    /// Fails where both are one place, as far as their names tell.
    fn refuse_same(&self, other: &Self) -> Result<(), SettleError> {
        if self.shown() == other.shown() {
            Err(SettleError::SameStore { location: self.shown() })
        } else {
            Ok(())
        }
    }

    /// Where it is, for messages: without the settings behind a URL, which may be secret.
    pub(crate) fn shown(&self) -> String {
        let path = match self.location.split_once(':') {
            Some(("file", path)) => path,
            // A single letter would be a drive, and a path may have a colon further on.
            Some((scheme, _)) if scheme.len() > 1 && !scheme.contains(['/', '.']) => {
                self.location.split('?').next().unwrap_or_default()
            }
            _ => &self.location,
        };
        path.trim_end_matches('/').to_owned()
    }

    /// Opens it.
    pub(crate) fn open(&self, when_missing: WhenMissing) -> Result<Repository, OpenStoreError> {
        open_store_with(&self.location, when_missing, &self.variables).map(Repository::new)
    }
}

impl SettledBackupName {
    fn settle(arguments: BackupNameArguments, environment: &Environment) -> Result<Self, SettleError> {
        Ok(Self {
            name: BackupName::settle(&arguments.backup, arguments.database, PathKind::of)?,
            store: SettledStore::settle(arguments.store, environment)?,
            keys: settle_keys(arguments.identity, environment),
        })
    }
}

impl From<OutputArguments> for Output {
    fn from(arguments: OutputArguments) -> Self {
        Self {
            form: if arguments.json { Form::Json } else { Form::Text },
            voice: if arguments.quiet { Voice::Quiet } else { Voice::Normal },
        }
    }
}

fn settle_source(arguments: &FromArguments, environment: &Environment) -> Result<Resolved, ConninfoError> {
    resolve_source(arguments.from.as_deref(), &environment.variables)
}

fn jobs(typed: Option<u16>, environment: &Environment) -> usize {
    typed.map_or_else(|| environment.processors.clamp(1, DEFAULT_JOBS_MAX), usize::from)
}

fn inclusion(is_excluded: bool) -> Inclusion {
    if is_excluded {
        Inclusion::Excluded
    } else {
        Inclusion::Included
    }
}

#[cfg(test)]
mod tests;
