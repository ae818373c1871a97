use backstay::{
    BackupId, BackupSummary, Deed, OpenStoreError, Outcome, Prefix, ProofSummary, Repository, RepositoryError,
    StoreErrorKind, WhenMissing,
};
use jiff::Timestamp;

use crate::environment::Environment;
use crate::failure::Failure;
use crate::settle::{SettledStore, store_of, store_of_export};

/// Of how many backups the manifests are read, newest first, until one counts.
const READ_MAX: usize = 20;

/// What the store of a database tells of its backups.
#[derive(Default)]
pub(super) struct Backups {
    /// All of its prefix.
    pub(super) ids: Vec<BackupId>,
    /// The newest that counts: not from the future, with a manifest that can be read, and not only of a part of the database
    /// where the section means all of it.
    pub(super) newest: Option<Newest>,
}

pub(super) struct Newest {
    pub(super) id: BackupId,
    /// Whether a verification told if it is any good.
    pub(super) is_judged: bool,
}

/// Looks at the backups of a database.
pub(super) fn backups(section: &str, prefix: &Prefix, environment: &Environment) -> Result<Backups, Failure> {
    let Some(repository) = open(&store_of(section, environment)?)? else {
        return Ok(Backups::default());
    };
    let mut backups = repository.list()?.backups;
    backups.retain(|backup| backup.id.prefix() == prefix);
    let (_, database) = environment.configuration.require()?.database(section)?;
    let takes_parts = database.leaves_something_out();
    let now = Timestamp::now();
    let past = backups.iter().rev().filter(|backup| backup.id.time() <= now);
    let mut newest = None;
    for backup in past.take(READ_MAX) {
        if counts(&repository, backup, takes_parts)? {
            newest = Some(Newest {
                id: backup.id.clone(),
                is_judged: backup.proofs().iter().any(ProofSummary::decides),
            });
            break;
        }
    }
    Ok(Backups {
        ids: backups.into_iter().map(|backup| backup.id).collect(),
        newest,
    })
}

fn counts(repository: &Repository, backup: &BackupSummary, takes_parts: bool) -> Result<bool, Failure> {
    match repository.read_sidecar(&backup.id) {
        Ok(sidecar) => Ok(takes_parts || !sidecar.scope().is_part()),
        Err(error @ RepositoryError::Store(_)) if !error.is_not_found() => Err(error.into()),
        // It is gone, or nobody can use it.
        Err(_) => Ok(false),
    }
}

/// When drills were held with backups of a database, as the store tells; one that failed was held, too.
pub(super) fn drills(section: &str, prefix: &Prefix, environment: &Environment) -> Result<Vec<Timestamp>, Failure> {
    let Some(repository) = open(&store_of(section, environment)?)? else {
        return Ok(Vec::new());
    };
    let outcomes = repository.outcomes(Deed::Drill, prefix)?;
    Ok(outcomes.into_iter().map(|(at, _)| at).collect())
}

/// When an export was made, as its store tells.
pub(super) fn exports(name: &str, section: &str, environment: &Environment) -> Result<Vec<Timestamp>, Failure> {
    let Some(repository) = open(&store_of_export(name, section, environment)?)? else {
        return Ok(Vec::new());
    };
    let outcomes = repository.outcomes(Deed::Export, &name.parse()?)?;
    let done = outcomes.into_iter().filter(|(_, outcome)| *outcome == Outcome::Done);
    Ok(done.map(|(at, _)| at).collect())
}

/// The store; nothing where it is a folder that is not there yet.
fn open(store: &SettledStore) -> Result<Option<Repository>, Failure> {
    match store.open(WhenMissing::Fail) {
        Ok(repository) => Ok(Some(repository)),
        Err(OpenStoreError::Open { source, .. }) if source.kind() == StoreErrorKind::StoreMissing => Ok(None),
        Err(error) => Err(error.into()),
    }
}
