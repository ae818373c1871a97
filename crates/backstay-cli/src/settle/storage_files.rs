use std::num::NonZeroUsize;

use backstay::storage_files::{ExistingFiles, FilesId, FilesRestoreOptions, SupabaseUrl};

use crate::args::{
    BackupNameArguments, FilesBackupArguments, FilesListArguments, FilesRestoreArguments, FilesVerifyArguments,
    IdentityArguments, RowsArguments,
};
use crate::environment::Environment;
use crate::keys::{Keys, SealRequest};
use crate::output::Output;

use super::encryption::{settle_keys, settle_seals};
use super::{SettleError, SettledBackupName, SettledStore};

/// Files at a time where nobody says otherwise.
const JOBS: u8 = 4;

/// What `storage-files backup` is to do.
#[derive(Debug)]
pub(crate) struct SettledFilesBackup {
    pub(crate) project: SupabaseUrl,
    /// What names begin with, where that is typed.
    pub(crate) name: Option<String>,
    pub(crate) store: SettledStore,
    pub(crate) jobs: NonZeroUsize,
    pub(crate) rows: Option<SettledBackupName>,
    pub(crate) seals: SealRequest,
    pub(crate) keys: Keys,
    pub(crate) output: Output,
}

/// What `storage-files restore` is to do.
#[derive(Debug)]
pub(crate) struct SettledFilesRestore {
    pub(crate) backup: FilesName,
    pub(crate) project: SupabaseUrl,
    pub(crate) store: SettledStore,
    pub(crate) options: FilesRestoreOptions,
    pub(crate) keys: Keys,
    pub(crate) output: Output,
}

/// What `storage-files verify` is to do.
#[derive(Debug)]
pub(crate) struct SettledFilesVerify {
    pub(crate) backup: FilesName,
    pub(crate) store: SettledStore,
    pub(crate) rows: Option<SettledBackupName>,
    pub(crate) keys: Keys,
    pub(crate) output: Output,
}

/// What `storage-files list` is to do.
#[derive(Debug)]
pub(crate) struct SettledFilesList {
    pub(crate) store: SettledStore,
    pub(crate) output: Output,
}

/// Which backup of files.
#[derive(Debug)]
pub(crate) enum FilesName {
    Latest,
    Id(FilesId),
}

impl FilesName {
    fn settle(text: &str) -> Result<Self, SettleError> {
        match text {
            "latest" => Ok(Self::Latest),
            id => Ok(Self::Id(id.parse()?)),
        }
    }
}

impl SettledFilesBackup {
    pub(crate) fn settle(typed: FilesBackupArguments, environment: &Environment) -> Result<Self, SettleError> {
        let rows = rows(typed.rows, typed.store.as_ref(), &typed.identity, environment)?;
        Ok(Self {
            project: SupabaseUrl::of_project(typed.project.as_deref(), typed.endpoint.as_deref())?,
            name: typed.name,
            store: SettledStore::settle(typed.store, environment)?,
            jobs: jobs(typed.jobs),
            rows,
            seals: settle_seals(typed.encrypt),
            keys: settle_keys(typed.identity, environment),
            output: typed.output.into(),
        })
    }
}

impl SettledFilesRestore {
    pub(crate) fn settle(typed: FilesRestoreArguments, environment: &Environment) -> Result<Self, SettleError> {
        Ok(Self {
            backup: FilesName::settle(&typed.backup)?,
            project: SupabaseUrl::of_project(typed.to.as_deref(), typed.endpoint.as_deref())?,
            store: SettledStore::settle(typed.store, environment)?,
            options: FilesRestoreOptions {
                buckets: typed.bucket,
                existing: match typed.replace && typed.yes {
                    true => ExistingFiles::Replace,
                    false => ExistingFiles::Keep,
                },
                jobs: jobs(typed.jobs),
            },
            keys: settle_keys(typed.identity, environment),
            output: typed.output.into(),
        })
    }
}

impl SettledFilesVerify {
    pub(crate) fn settle(typed: FilesVerifyArguments, environment: &Environment) -> Result<Self, SettleError> {
        let rows = rows(typed.rows, typed.store.as_ref(), &typed.identity, environment)?;
        Ok(Self {
            backup: FilesName::settle(&typed.backup)?,
            store: SettledStore::settle(typed.store, environment)?,
            rows,
            keys: settle_keys(typed.identity, environment),
            output: typed.output.into(),
        })
    }
}

impl SettledFilesList {
    pub(crate) fn settle(typed: FilesListArguments, environment: &Environment) -> Result<Self, SettleError> {
        Ok(Self {
            store: SettledStore::settle(typed.store, environment)?,
            output: typed.output.into(),
        })
    }
}

fn jobs(typed: Option<u8>) -> NonZeroUsize {
    NonZeroUsize::new(typed.unwrap_or(JOBS).into()).unwrap_or(NonZeroUsize::MIN)
}

/// The backup of the database whose rows are compared with.
fn rows(
    typed: RowsArguments,
    store: Option<&String>,
    identity: &IdentityArguments,
    environment: &Environment,
) -> Result<Option<SettledBackupName>, SettleError> {
    let Some(backup) = typed.id else { return Ok(None) };
    let name = BackupNameArguments {
        backup,
        store: store.cloned(),
        database: typed.database,
        identity: identity.clone(),
    };
    SettledBackupName::settle(name, environment).map(Some)
}
