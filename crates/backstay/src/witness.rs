use backstay_core::repository::{Deed, LogEntry, Outcome, Repository, RepositoryError, Statement};
use backstay_core::{BackupId, ObjectKey, Prefix};
use jiff::Timestamp;

/// Who does something with backups, from where, and by which clock: what the log of a store and its records say.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "who, from where and when")]
pub struct Witness {
    /// Who: a person or a program.
    pub who: String,
    /// From where, such as the name of a host.
    pub from: String,
    /// The clock; `Timestamp::now` for everybody who has one.
    pub clock: fn() -> Timestamp,
}

impl Witness {
    /// What a record says.
    #[must_use]
    pub fn statement(&self, why: &str) -> Statement {
        Statement {
            who: self.who.clone(),
            at: (self.clock)(),
            why: why.to_owned(),
        }
    }

    /// Notes a deed in the log of a store.
    ///
    /// # Errors
    /// Those of the store. The deed is none the worse for it.
    pub fn note(
        &self,
        repository: &Repository,
        deed: Deed,
        outcome: Outcome,
        id: Option<&BackupId>,
        detail: &str,
    ) -> Result<ObjectKey, RepositoryError> {
        repository.note(&LogEntry {
            at: (self.clock)(),
            who: self.who.clone(),
            from: self.from.clone(),
            deed,
            outcome,
            id: id.cloned(),
            prefix: None,
            begun_at: None,
            source: None,
            detail: detail.to_owned(),
        })
    }

    /// Notes what came of a deed without a backup, for those of that prefix.
    ///
    /// # Errors
    /// Those of the store.
    pub fn note_without_backup(
        &self,
        repository: &Repository,
        deed: Deed,
        outcome: Outcome,
        prefix: &Prefix,
        detail: &str,
    ) -> Result<ObjectKey, RepositoryError> {
        repository.note(&LogEntry {
            at: (self.clock)(),
            who: self.who.clone(),
            from: self.from.clone(),
            deed,
            outcome,
            id: None,
            prefix: Some(prefix.clone()),
            begun_at: None,
            source: None,
            detail: detail.to_owned(),
        })
    }
}
