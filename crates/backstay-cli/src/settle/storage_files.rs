use std::num::NonZeroUsize;

use backstay::Variables;
use backstay::storage_files::{ExistingFiles, FilesId, FilesRestoreOptions, SupabaseUrl, SupabaseVariables};
use backstay_config::{Database, StorageFiles};

use crate::args::{
    BackupNameArguments, FilesBackupArguments, FilesListArguments, FilesRestoreArguments, FilesVerifyArguments,
    IdentityArguments, RowsArguments,
};
use crate::configuration::{self, ConfigurationError};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::keys::{Keys, SealRequest};
use crate::output::Output;

use super::backup::{merge_seals, with_passphrase};
use super::chosen;
use super::encryption::{settle_keys, settle_seals};
use super::{SettleError, SettledBackupName, SettledStore};

const SECRET_KEY: &str = "SUPABASE_SECRET_KEY";
/// Files at a time where nobody says otherwise.
const JOBS: u8 = 4;

/// What `storage-files backup` is to do.
#[derive(Debug)]
pub(crate) struct SettledFilesBackup {
    pub(crate) project: SupabaseUrl,
    /// Where its key is.
    pub(crate) variables: Variables,
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
        let section = files_section(typed.db.as_deref(), environment)?;
        let database = section.map(|(_, database)| database);
        let mut named = typed.rows;
        if named.id.as_deref() == Some("latest") {
            named.database = named.database.or_else(|| typed.db.clone());
        }
        let of_section = match section {
            Some((name, _)) if typed.store.is_none() => chosen::store_name(name, environment)?,
            _ => None,
        };
        let in_store = typed.store.as_ref().or(of_section.as_ref());
        let rows = rows(named, in_store, &typed.identity, environment)?;
        let mut store = SettledStore::settle_for(typed.store, database, environment)?;
        let of_file = match database {
            Some(database) => configuration::seals(&database.encryption, &environment.variables)?,
            None => SealRequest::default(),
        };
        let (seals, is_of_file) = merge_seals(settle_seals(typed.encrypt), of_file);
        if let Some(database) = database.filter(|_| is_of_file && seals.passphrase.is_some()) {
            store.variables = with_passphrase(database, store.variables, &environment.variables)?;
        }
        let of_file = database.and_then(|database| database.storage_files.as_ref());
        let of_file = of_file.filter(|_| typed.project.is_none() && typed.endpoint.is_none());
        let (project, variables) = match of_file {
            Some(files) => of_configuration(files, &environment.variables)?,
            None => (
                SupabaseUrl::of_project(typed.project.as_deref(), typed.endpoint.as_deref())?,
                environment.variables.clone(),
            ),
        };
        Ok(Self {
            project,
            variables,
            name: typed.name,
            store,
            jobs: jobs(typed.jobs),
            rows,
            seals,
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

/// The database of the configuration that is meant: the one that was named, else the only one.
pub(crate) fn files_section<'e>(
    db: Option<&str>,
    environment: &'e Environment,
) -> Result<Option<(&'e str, &'e Database)>, ConfigurationError> {
    match db {
        Some(name) => environment.configuration.require()?.database(name).map(Some),
        None => match environment.configuration.get()? {
            Some(loaded) => loaded.only_database(),
            None => Ok(None),
        },
    }
}

/// What backups of the files of a section's project are called after.
pub(super) fn label(files: &StorageFiles, environment: &Environment) -> Result<String, String> {
    let url = project_of(files, &environment.variables);
    let url = url.map_err(|error| Failure::from(error).in_one_line())?;
    Ok(url.label(&SupabaseVariables::default()).unwrap_or_default())
}

fn project_of(files: &StorageFiles, variables: &Variables) -> Result<SupabaseUrl, SettleError> {
    let project = files.project.resolve(&configuration::lookup(variables));
    let project = project.map_err(ConfigurationError::from)?;
    Ok(match project.contains("://") {
        true => SupabaseUrl::of_project(None, Some(&project))?,
        false => SupabaseUrl::of_project(Some(&project), None)?,
    })
}

/// The project of a section, and variables with its key.
fn of_configuration(files: &StorageFiles, variables: &Variables) -> Result<(SupabaseUrl, Variables), SettleError> {
    let lookup = configuration::lookup(variables);
    let url = project_of(files, variables)?;
    let Some(source) = &files.key else {
        return Ok((url, variables.clone()));
    };
    let key = source.resolve(&lookup).map_err(ConfigurationError::from)?;
    Ok((url, variables.clone().with(SECRET_KEY, key.expose())))
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
