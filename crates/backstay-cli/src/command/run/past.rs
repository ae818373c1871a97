use std::cell::OnceCell;

use backstay::export::{ExportId, ExportSource};
use backstay::{
    BackupId, BackupSummary, CancelToken, Deed, LogEntry, OpenStoreError, Prefix, ProofSummary, Repository,
    RepositoryError, StoreErrorKind, WhenMissing,
};
use jiff::Timestamp;

use crate::configuration;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::keys::Keys;
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
                is_judged: is_judged(&repository, backup, environment)?,
            });
            break;
        }
    }
    Ok(Backups {
        ids: backups.into_iter().map(|backup| backup.id).collect(),
        newest,
    })
}

/// Whether a verification told if a backup is any good. Of an encrypted one nobody can tell who has no key.
fn is_judged(repository: &Repository, backup: &BackupSummary, environment: &Environment) -> Result<bool, Failure> {
    if backup.proofs().iter().any(ProofSummary::decides) {
        return Ok(true);
    }
    let opened = Keys::of_variables(&environment.variables).give(repository.clone());
    Ok(match opened.map(|repository| repository.read_manifest(&backup.id)) {
        Ok(Ok(_)) => false,
        Ok(Err(error @ RepositoryError::Store(_))) if !error.is_not_found() => return Err(error.into()),
        Ok(Err(_)) | Err(_) => true,
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

/// When the newest export of that name and database was begun, as its store tells.
pub(super) fn exports(name: &str, source: &Source<'_>) -> Result<Vec<Timestamp>, Failure> {
    let store = store_of_export(name, source.section, source.environment)?;
    let Some(repository) = open(&store)? else {
        return Ok(Vec::new());
    };
    // One that a wrong clock dated would hide those before it.
    let (name, now) = (name.parse()?, Timestamp::now());
    let is_own = |entry: &LogEntry| begun(entry) <= now && source.is_of(&name, entry);
    let newest = repository.newest_done(Deed::Export, &name, is_own)?;
    Ok(newest.iter().map(begun).collect())
}

/// When an export was begun, which is the time that it is of, however long it took.
fn begun(entry: &LogEntry) -> Timestamp {
    entry.begun_at.unwrap_or(entry.at)
}

/// Which database is looked at, for exports of one name that several have. It is asked for where that matters, once.
pub(super) struct Source<'a> {
    section: &'a str,
    environment: &'a Environment,
    asked: OnceCell<Option<ExportSource>>,
}

impl<'a> Source<'a> {
    pub(super) fn of(section: &'a str, environment: &'a Environment) -> Self {
        let asked = OnceCell::new();
        Self {
            section,
            environment,
            asked,
        }
    }

    /// Whether an export is of this database, or nobody can tell.
    fn is_of(&self, name: &Prefix, entry: &LogEntry) -> bool {
        let (Some(begun_at), Some(theirs)) = (entry.begun_at, entry.source) else {
            return true;
        };
        let own = self.asked.get_or_init(|| self.ask());
        own.as_ref()
            .is_none_or(|own| own.fingerprint(&ExportId::new(name.clone(), begun_at)) == theirs)
    }

    /// Nothing where it cannot be asked: no export could be made then.
    fn ask(&self) -> Option<ExportSource> {
        let loaded = self.environment.configuration.require().ok()?;
        let (_, database) = loaded.database(self.section).ok()?;
        let source = configuration::source(database, &self.environment.variables).ok()?;
        ExportSource::ask(&source.config, &CancelToken::new()).ok().flatten()
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
