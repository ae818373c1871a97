//! Packs of earlier backups in new ones, beside somebody who removes them: intents to use packs, and marks of sweeps.
//!
//! Nobody can lock a store. So the writer says which packs it is going to name before it looks whether anybody deletes
//! packs, and who deletes packs says so before looking whether anybody is going to name them. Whoever is later sees the
//! other. `docs/format.md` has the rules; the testkit tries every order of their steps.

use serde::{Deserialize, Serialize};

use crate::id::BackupId;
use crate::manifest::Pack;
use crate::store::{ErrorKind, ObjectKey, Store};

use super::pending::{put, taken};
use super::volumes::Written;
use super::{Repository, RepositoryError, names, object_role, read_small};

/// The longest intent to use packs that is read.
const USES_BYTES_MAX: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
struct UsesJson {
    packs: Vec<String>,
}

/// The intent to use packs, as it is written.
pub(super) fn uses_json(packs: &[Pack]) -> Vec<u8> {
    let packs = packs.iter().map(|pack| pack.name.clone()).collect();
    let mut json = serde_json::to_vec(&UsesJson { packs }).unwrap_or_default();
    json.push(b'\n');
    json
}

/// Which packs an intent names.
pub(super) fn read_uses(store: &dyn Store, key: &ObjectKey) -> Result<Vec<String>, RepositoryError> {
    let json = read_small(store, key, USES_BYTES_MAX)?;
    let uses: UsesJson = serde_json::from_slice(&json).map_err(|_| RepositoryError::Unreadable { key: key.clone() })?;
    Ok(uses.packs)
}

impl Repository {
    /// Says that a backup is going to name packs that other backups brought, and sees that nobody is about to delete them.
    pub(super) fn declare_uses(
        &self,
        id: &BackupId,
        packs: &[Pack],
        written: &mut Written,
    ) -> Result<(), RepositoryError> {
        let key = names::uses_key(id);
        written
            .put(&key, &uses_json(packs))
            .map_err(|error| taken(error, id, &key))?;
        self.refuse_swept(packs)
    }

    /// Fails where somebody is about to delete packs of those backups. Comes behind the intent, and before it is looked
    /// whether the packs are there: behind a sweep that ended they are gone, and one that begins later sees the intent.
    pub(super) fn refuse_swept(&self, packs: &[Pack]) -> Result<(), RepositoryError> {
        for pack in packs {
            let key = ObjectKey::from_valid(pack.name.clone());
            let Some((owner, _)) = object_role(&key) else {
                return Err(RepositoryError::PackGoing { key });
            };
            if !self.store().list(&names::sweeps_of(&owner))?.is_empty() {
                return Err(RepositoryError::PackGoing { key });
            }
        }
        Ok(())
    }

    /// Fails where a pack is not there as it is described.
    pub(super) fn refuse_missing(&self, packs: &[Pack]) -> Result<(), RepositoryError> {
        for pack in packs {
            let key = ObjectKey::from_valid(pack.name.clone());
            match self.store().head(&key) {
                Ok(found) if found.size == pack.bytes => {}
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                Ok(_) | Err(_) => return Err(RepositoryError::PackGoing { key }),
            }
        }
        Ok(())
    }

    /// Fails where the intent to use packs is not there any more: somebody took it for litter, and whoever deletes packs
    /// does not know of this backup.
    pub(super) fn refuse_without_uses(&self, id: &BackupId) -> Result<(), RepositoryError> {
        let key = names::uses_key(id);
        match self.store().head(&key) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(RepositoryError::PackGoing { key }),
            Err(error) => Err(error.into()),
        }
    }
}

/// A mark that packs of a backup are about to be deleted; each sweep has its own, so none ends another's.
pub(super) struct SweepMark<'s> {
    store: &'s dyn Store,
    key: ObjectKey,
}

/// More sweeps of one backup than that do not run at once.
const SWEEPS_MAX: u32 = 9_999;

impl<'s> SweepMark<'s> {
    pub(super) fn set(store: &'s dyn Store, id: &BackupId) -> Result<Self, RepositoryError> {
        let mut number = 1;
        loop {
            let key = names::sweep_key(id, number);
            match put(store, &key, b"{}\n") {
                Ok(()) => return Ok(Self { store, key }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < SWEEPS_MAX => number += 1,
                Err(error) => return Err(taken(error, id, &key)),
            }
        }
    }

    /// Deletes a pack while the mark stands: who slept for so long that it was taken for litter must not go on.
    pub(super) fn delete(&self, pack: &ObjectKey) -> Result<(), RepositoryError> {
        self.store.head(&self.key)?;
        Ok(self.store.delete(pack)?)
    }

    /// Takes the mark away.
    pub(super) fn clear(self) -> Result<(), RepositoryError> {
        Ok(self.store.delete(&self.key)?)
    }
}
