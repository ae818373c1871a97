use backstay::{BackupId, Deed, OpenStoreError, Outcome, Prefix, Repository, StoreErrorKind, WhenMissing};
use jiff::Timestamp;

use crate::environment::Environment;
use crate::failure::Failure;
use crate::schedule::Job;
use crate::settle::{SettledStore, store_of, store_of_export};

/// The backups of a database.
pub(super) fn backups(section: &str, prefix: &Prefix, environment: &Environment) -> Result<Vec<BackupId>, Failure> {
    let Some(repository) = open(&store_of(section, environment)?)? else {
        return Ok(Vec::new());
    };
    let backups = repository.list()?.backups.into_iter().map(|backup| backup.id);
    Ok(backups.filter(|id| id.prefix() == prefix).collect())
}

/// When a job was done, as the store tells.
pub(super) fn done(
    job: &Job,
    section: &str,
    prefix: &Prefix,
    environment: &Environment,
) -> Result<Vec<Timestamp>, Failure> {
    match job {
        Job::Backup => {
            let backups = backups(section, prefix, environment)?;
            Ok(backups.iter().map(BackupId::time).collect())
        }
        // A drill that failed was held, too.
        Job::Drill => {
            let Some(repository) = open(&store_of(section, environment)?)? else {
                return Ok(Vec::new());
            };
            let outcomes = repository.outcomes(Deed::Drill, prefix)?;
            Ok(outcomes.into_iter().map(|(at, _)| at).collect())
        }
        Job::Export(name) => {
            let store = store_of_export(name, section, environment)?;
            let Some(repository) = open(&store)? else {
                return Ok(Vec::new());
            };
            let outcomes = repository.outcomes(Deed::Export, &name.parse()?)?;
            let done = outcomes.into_iter().filter(|(_, outcome)| *outcome == Outcome::Done);
            Ok(done.map(|(at, _)| at).collect())
        }
    }
}

/// The store; nothing where it is a folder that is not there yet.
fn open(store: &SettledStore) -> Result<Option<Repository>, Failure> {
    match store.open(WhenMissing::Fail) {
        Ok(repository) => Ok(Some(repository)),
        Err(OpenStoreError::Open { source, .. }) if source.kind() == StoreErrorKind::StoreMissing => Ok(None),
        Err(error) => Err(error.into()),
    }
}
