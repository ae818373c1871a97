use std::collections::HashSet;

use crate::id::BackupId;
use crate::store::{Error, ErrorKind, Leftover, ObjectKey, ObjectWriter};

use super::rekey::Rekeyings;
use super::volumes::VolumeIntents;
use super::{Listing, ObjectRole, Repository, RepositoryError, names, object_role};

/// For how long neither an intent nor a volume of a backup must have been written before its volumes count as litter, or
/// what was begun of sealing it anew. Nothing tells whether their writer lives, and one that reads a large table from a slow
/// server writes nothing for hours; waiting costs room and nothing else.
const INTENTS_GRACE_SECS: i64 = 7 * 24 * 3600;

/// What removing a backup did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removal {
    /// Objects deleted.
    pub deleted: Vec<ObjectKey>,
    /// Packs kept because another backup needs them, or because a manifest could not be read.
    pub kept: Vec<ObjectKey>,
}

/// What crashes left in a store.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Litter {
    /// What may be removed.
    pub items: Vec<LitterItem>,
    /// Packs without a manifest, which are never removed as litter; of volumes the last.
    pub adoptable: Vec<ObjectKey>,
}

/// One thing that a crash left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the format says what counts as litter")]
pub enum LitterItem {
    /// An unpublished object whose writer is gone.
    Temporary(Leftover),
    /// A backup whose deletion was begun and did not end.
    HalfDeleted(BackupId),
    /// A backup whose sealing anew was begun and did not end.
    HalfRekeyed {
        /// Which.
        id: BackupId,
        /// Whether somebody began to end it, and did not come to the end either.
        end_begun: bool,
    },
    /// A backup whose volumes were begun, and whose writer did not come to the end.
    HalfWritten {
        /// Which.
        id: BackupId,
        /// Whether somebody began to remove them, and did not come to the end either.
        removal_begun: bool,
    },
}

impl Repository {
    /// Removes a backup: a tombstone first, then the manifest (which ends the backup's existence), then the packs that
    /// no other manifest names, then what stood beside them, and the tombstone last.
    ///
    /// # Errors
    /// The backup does not exist (then [`RepositoryError::is_not_found`]; a pack without a manifest is no backup, and
    /// stays); those of the store. What was begun is finished by [`Repository::remove_litter`].
    pub fn remove(&self, id: &BackupId) -> Result<Removal, RepositoryError> {
        self.store().head(&names::manifest_key(id))?;
        let tombstone = names::tombstone_key(id);
        match self.store().create(&tombstone).and_then(ObjectWriter::publish) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        let manifest = names::manifest_key(id);
        self.store().delete(&manifest)?;
        let mut removal = self.finish_removal(id)?;
        removal.deleted.insert(0, manifest);
        Ok(removal)
    }

    /// Looks for what crashes left. Temporary objects younger than `grace_secs` at `now_unix_secs` by the store's
    /// clock, or whose writer lives, are passed over, and so are volumes, and what was begun of sealing a backup anew, of
    /// which the newest is younger, or younger than seven days.
    ///
    /// # Errors
    /// Those of the store.
    pub fn litter(&self, now_unix_secs: i64, grace_secs: i64) -> Result<Litter, Error> {
        let mut items: Vec<LitterItem> = self
            .store()
            .list_leftovers()?
            .into_iter()
            .filter(|left| !left.in_use && left.modified_unix_secs <= now_unix_secs.saturating_sub(grace_secs))
            .map(LitterItem::Temporary)
            .collect();
        let tombstones = self.store().list(names::TOMBSTONES)?;
        let half_deleted: Vec<BackupId> = tombstones
            .iter()
            .filter_map(|object| names::tombstone_id(&object.key))
            .collect();
        let not_later = now_unix_secs.saturating_sub(grace_secs);
        let objects = self.store().list("")?;
        let rekeyings = Rekeyings::of(&objects);
        let intents = VolumeIntents::of(&objects);
        let intents_not_later = now_unix_secs.saturating_sub(grace_secs.max(INTENTS_GRACE_SECS));
        let half_written = intents
            .not_later(intents_not_later)
            .filter(|(id, _)| !half_deleted.contains(id));
        items.extend(half_written.map(|(id, removal_begun)| LitterItem::HalfWritten {
            id: id.clone(),
            removal_begun,
        }));
        let mut adoptable = Listing::of(&objects).adoptable;
        let is_known = |id: &BackupId| half_deleted.contains(id) || rekeyings.has(id);
        adoptable.retain(|key| object_role(key).is_none_or(|(id, _)| !is_known(&id)));
        // A removal takes along what was begun.
        let half_rekeyed = rekeyings
            .not_later(intents_not_later, not_later)
            .filter(|(id, _)| !half_deleted.contains(id));
        items.extend(half_rekeyed.map(|(id, end_begun)| LitterItem::HalfRekeyed {
            id: id.clone(),
            end_begun,
        }));
        items.extend(half_deleted.into_iter().map(LitterItem::HalfDeleted));
        Ok(Litter { items, adoptable })
    }

    /// Removes what [`Repository::litter`] found, also where some of it cannot be removed. A backup that has a tombstone and
    /// still its manifest exists, so only the tombstone goes.
    ///
    /// # Errors
    /// Those of the store and of what is found; of several [`RepositoryError::Several`].
    pub fn remove_litter(&self, litter: &Litter) -> Result<(), RepositoryError> {
        let failed = litter.items.iter().filter_map(|item| self.remove_item(item).err());
        let mut failed: Vec<RepositoryError> = failed.collect();
        match failed.pop() {
            None => Ok(()),
            Some(only) if failed.is_empty() => Err(only),
            Some(last) => {
                failed.push(last);
                Err(RepositoryError::Several { errors: failed })
            }
        }
    }

    fn remove_item(&self, item: &LitterItem) -> Result<(), RepositoryError> {
        match item {
            LitterItem::Temporary(leftover) => self.store().delete_leftover(leftover)?,
            LitterItem::HalfRekeyed { id, end_begun } => drop(self.end_rekeying(id, *end_begun)?),
            LitterItem::HalfWritten { id, removal_begun } => self.remove_half_written(id, *removal_begun)?,
            LitterItem::HalfDeleted(id) => match self.store().head(&names::manifest_key(id)) {
                Ok(_) if self.is_removed_in_part(id)? => {
                    self.store().delete(&names::manifest_key(id))?;
                    self.finish_removal(id)?;
                }
                Ok(_) => self.store().delete(&names::tombstone_key(id))?,
                Err(error) if error.kind() == ErrorKind::NotFound => drop(self.finish_removal(id)?),
                Err(error) => return Err(error.into()),
            },
        }
        Ok(())
    }

    pub(super) fn finish_removal(&self, id: &BackupId) -> Result<Removal, RepositoryError> {
        let mut removal = Removal::default();
        let needed = self.packs_in_use_but(id)?;
        let mut beside = Vec::new();
        for object in self.store().list(&format!("{id}."))? {
            // The id of another backup may begin with this one and a dot.
            let Some((_, role)) = object_role(&object.key).filter(|(found, _)| found == id) else {
                continue;
            };
            match role {
                ObjectRole::Pack => {
                    if needed
                        .as_ref()
                        .is_none_or(|needed| needed.contains(object.key.as_str()))
                    {
                        removal.kept.push(object.key);
                    } else {
                        self.store().delete(&object.key)?;
                        removal.deleted.push(object.key);
                    }
                }
                ObjectRole::Checksum | ObjectRole::Index | ObjectRole::Record => beside.push(object.key),
                ObjectRole::Manifest => {}
            }
        }
        if removal.kept.is_empty() {
            for key in beside {
                self.store().delete(&key)?;
                removal.deleted.push(key);
            }
            // Who seals it anew may have published a manifest since. Who does so from here on sees that the packs are gone.
            self.store().delete(&names::manifest_key(id))?;
            for object in self.store().list(&format!("{}{id}.", names::INTENTS))? {
                if names::is_intent_of(&object.key, id) {
                    self.store().delete(&object.key)?;
                }
            }
            self.store().delete(&names::tombstone_key(id))?;
        }
        Ok(removal)
    }

    /// The names of all packs that the manifest of another backup names; `None` where one cannot be read, so that every
    /// pack may be needed.
    fn packs_in_use_but(&self, removed: &BackupId) -> Result<Option<HashSet<String>>, RepositoryError> {
        let mut packs = HashSet::new();
        for backup in self.list()?.backups {
            if backup.id == *removed {
                continue;
            }
            match self.read_sidecar(&backup.id) {
                Ok(sidecar) => packs.extend(sidecar.packs().iter().map(|pack| pack.name.clone())),
                // Deleted by somebody else in the meantime.
                Err(error) if error.is_not_found() => {}
                Err(RepositoryError::Store(error)) => return Err(error.into()),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(packs))
    }
}
