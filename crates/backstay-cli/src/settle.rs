//! From what a person typed to what it means: defaults, conflicts and variables are settled here and nowhere else.

mod backup;
mod chosen;
mod drill;
mod encryption;
mod export;
mod recover;
mod restore;
mod retention;
mod run;
mod status;
mod storage_files;
mod stores;
mod verify;

use std::path::PathBuf;

use backstay::export::{InvalidExportFormat, InvalidSubject, InvalidSubjectLink};
use backstay::storage_files::{InvalidFilesId, InvalidSupabaseUrl};
use backstay::{
    ConninfoError, InvalidObjectKey, OpenStoreError, Repository, Resolved, Variables, WhenMissing, open_store_with,
};

use crate::args::{BackupNameArguments, DoctorArguments, ListArguments, OutputArguments, ShowArguments};
use crate::configuration::{self, ConfigurationError, Loaded};
use crate::environment::Environment;
use crate::keys::Keys;
use crate::output::{Form, Output, Voice};
use crate::select::{BackupName, NameError, PathKind};

pub(crate) use backup::SettledBackup;
use chosen::ChosenSource;
pub(crate) use chosen::section_name;
pub(crate) use drill::{DrillPlace, RecoveryLimit, SettledDrill};
use encryption::settle_keys;
pub(crate) use encryption::{RekeyWhich, SettledKey, SettledKeyCheck, SettledRekey};
pub(crate) use export::{
    ExportWhat, ExportsOfDatabase, SettledExport, SettledNamedExport, SettledPlace, SettledSubject, SubjectMode,
    export_sections,
};
pub(crate) use recover::SettledRecover;
pub(crate) use restore::{Confirmation, RestoreMode, SettledRescue, SettledRestore, SettledUndo, SwapOption, WayBack};
pub(crate) use retention::{PruneMode, SettledHold, SettledLog, SettledPrune};
pub(crate) use run::{RunMode, SettledRun, store_of, store_of_export};
pub(crate) use status::{SettledReport, SettledStatus, SettledWatch, StatusForm, WatchedSection, WatchedStore};
pub(crate) use storage_files::{
    FilesName, SettledFilesBackup, SettledFilesList, SettledFilesRestore, SettledFilesVerify, files_section,
};
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
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The text is not repeated, because it may hold a password.
    #[error("a store is a folder, and not the connection of a database")]
    StoreIsConnection,
    #[error("--sse goes with a bucket (s3://…) only")]
    SseWithoutBucket,
    #[error("the store that was given is empty text")]
    StoreEmpty,
    #[error(transparent)]
    Subject(#[from] InvalidSubject),
    #[error(transparent)]
    SubjectLink(#[from] InvalidSubjectLink),
    #[error(transparent)]
    ExportFormat(#[from] InvalidExportFormat),
    #[error(transparent)]
    FilesId(#[from] InvalidFilesId),
    #[error("that names no project")]
    Project(#[from] InvalidSupabaseUrl),
    #[error("that cannot be the name of a folder in a store")]
    Folder(#[from] InvalidObjectKey),
    #[error("the configuration has no [[export]]")]
    NoExports,
    #[error("none of the databases has somebody to tell")]
    NobodyToTell,
    #[error("no database of the configuration has a schedule")]
    NothingScheduled,
    #[error("[database.{name}] has no schedule")]
    NoSchedule { name: String },
    #[error(
        "the configuration has several databases, and does not say which of them tells how these rows are encrypted and linked"
    )]
    WhichSection,
    #[error("the export {export} is of [database.{database}], and the backup is not")]
    ForeignExport { export: String, database: String },
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
    #[error("{option} goes with lost rows only (--what rows)")]
    OnlyForRows { option: &'static str },
    /// A question that nobody can answer.
    #[error("nobody can be asked for the name of the target database, because standard input is no terminal")]
    NobodyToAsk { database: String },
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
        let ChosenSource { source, section } = chosen::source(&arguments.from, environment)?;
        let file = match section {
            Some((name, database)) => configuration::options(name, database, &environment.variables)?,
            None => configuration::DatabaseOptions::default(),
        };
        Ok(Self {
            source,
            jobs: jobs(arguments.jobs.or(file.jobs), environment),
            pg_dump: arguments.pg_dump.or(file.pg_dump),
            output: arguments.output.into(),
        })
    }
}

impl SettledStore {
    fn settle(typed: Option<String>, environment: &Environment) -> Result<Self, SettleError> {
        // Who says where the store is needs no file, which may have mistakes.
        let database = match typed.is_some() || environment.get("BACKSTAY_STORE").is_some() {
            true => None,
            false => environment.configuration.get()?.and_then(Loaded::database_of_the_store),
        };
        Self::settle_for(typed, database, environment)
    }

    /// The same, encrypted by its server, which only a bucket has.
    fn with_server_side_encryption(mut self, how: Option<&str>) -> Result<Self, SettleError> {
        let Some(how) = how else { return Ok(self) };
        if !self.is_bucket() {
            return Err(SettleError::SseWithoutBucket);
        }
        let (place, settings) = self.location.split_once('?').unwrap_or((&self.location, ""));
        // What the configuration or the URL says of it does not count then.
        let is_other = |setting: &&str| !setting.starts_with("sse=") && !setting.starts_with("sse-kms-key=");
        let mut settings: Vec<&str> = settings
            .split('&')
            .filter(|setting| !setting.is_empty())
            .filter(is_other)
            .collect();
        let how = match how.strip_prefix("aws:kms:") {
            Some(key) => format!("sse=aws:kms&sse-kms-key={key}"),
            None => format!("sse={how}"),
        };
        settings.push(&how);
        self.location = format!("{place}?{}", settings.join("&"));
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
        let keys = settle_keys(arguments.identity, environment);
        let name = BackupName::settle(&arguments.backup, arguments.database, PathKind::of)?;
        // A file is opened by itself, whatever the configuration says of stores.
        if matches!(name, BackupName::File(_)) && arguments.store.is_none() {
            let store = SettledStore::unnamed(environment);
            return Ok(Self { name, store, keys });
        }
        let (name, store) = chosen::in_store(name, arguments.store, environment)?;
        Ok(Self { name, store, keys })
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

fn jobs(typed: Option<u16>, environment: &Environment) -> usize {
    typed.map_or_else(|| environment.processors.clamp(1, DEFAULT_JOBS_MAX), usize::from)
}

#[cfg(test)]
mod tests;
