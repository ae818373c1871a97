use std::collections::BTreeMap;

use crate::id::BackupId;
use crate::store::{Error, ErrorKind, Leftover, ObjectKey, ObjectMeta};

use super::rekey::Rekeyings;
use super::volumes::VolumeIntents;
use super::{Listing, Pruning, Repository, RepositoryError, names, object_role};

/// For how long neither an intent nor a volume of a backup must have been written before its volumes count as litter, or
/// what was begun of sealing it anew, or an intent to use packs of other backups. Nothing tells whether their writer lives,
/// and one that reads a large table from a slow server writes nothing for hours; waiting costs room and nothing else.
const INTENTS_GRACE_SECS: i64 = 7 * 24 * 3600;
/// How old the mark of a sweep must be before it counts as litter. A sweep reads manifests and deletes packs; while its
/// mark stands, new backups write what they could have found in the packs.
const SWEEP_GRACE_SECS: i64 = 24 * 3600;

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
    /// A backup that was going to name packs of others, and whose writer did not come to the end.
    HalfReused(BackupId),
    /// A mark that packs of a backup are about to be deleted, whose writer did not come to the end.
    Sweep(ObjectKey),
}

impl Litter {
    /// What crashes left among all that is in a store; tombstones may have been listed before.
    pub(super) fn among(
        leftovers: Vec<Leftover>,
        tombstones: &[ObjectMeta],
        objects: &[ObjectMeta],
        now_unix_secs: i64,
        grace_secs: i64,
    ) -> Self {
        let mut items: Vec<LitterItem> = leftovers
            .into_iter()
            .filter(|left| !left.in_use && left.modified_unix_secs <= now_unix_secs.saturating_sub(grace_secs))
            .filter(|left| left.key.as_ref().is_none_or(names::is_own))
            .map(LitterItem::Temporary)
            .collect();
        let not_later = now_unix_secs.saturating_sub(grace_secs);
        let doomed_at = |object: &ObjectMeta| Some((names::tombstone_id(&object.key)?, object.modified_unix_secs));
        let doomed: BTreeMap<BackupId, i64> = tombstones.iter().filter_map(doomed_at).collect();
        let sweeps_not_later = now_unix_secs.saturating_sub(grace_secs.max(SWEEP_GRACE_SECS));
        let is_old_sweep =
            |object: &ObjectMeta| names::is_sweep(&object.key) && object.modified_unix_secs <= sweeps_not_later;
        let sweeps: Vec<ObjectKey> = tombstones
            .iter()
            .filter(|object| is_old_sweep(object))
            .map(|object| object.key.clone())
            .collect();
        let rekeyings = Rekeyings::of(objects);
        let intents = VolumeIntents::of(objects);
        let intents_not_later = now_unix_secs.saturating_sub(grace_secs.max(INTENTS_GRACE_SECS));
        let half_written = intents
            .not_later(intents_not_later)
            .filter(|(id, _)| !doomed.contains_key(id));
        items.extend(half_written.map(|(id, removal_begun)| LitterItem::HalfWritten {
            id: id.clone(),
            removal_begun,
        }));
        let old = objects
            .iter()
            .filter(|object| object.modified_unix_secs <= intents_not_later);
        items.extend(
            old.filter_map(|object| names::uses_id(&object.key))
                .map(LitterItem::HalfReused),
        );
        let mut adoptable = Listing::of(objects).adoptable;
        let is_known = |id: &BackupId| doomed.contains_key(id) || rekeyings.has(id);
        adoptable.retain(|key| object_role(key).is_none_or(|(id, _)| !is_known(&id)));
        // A removal takes along what was begun.
        let half_rekeyed = rekeyings
            .not_later(intents_not_later, not_later)
            .filter(|(id, _)| !doomed.contains_key(id));
        items.extend(half_rekeyed.map(|(id, end_begun)| LitterItem::HalfRekeyed {
            id: id.clone(),
            end_begun,
        }));
        // Whoever wrote a younger one may still be about it: where it went, a hold would come too late and not know.
        let half_deleted = doomed.into_iter().filter(|(_, written)| *written <= not_later);
        items.extend(half_deleted.map(|(id, _)| LitterItem::HalfDeleted(id)));
        items.extend(sweeps.into_iter().map(LitterItem::Sweep));
        Self { items, adoptable }
    }
}

impl Repository {
    /// Looks for what crashes left. What is younger than `grace_secs` at `now_unix_secs` by the store's clock is passed
    /// over, and so are temporary objects whose writer lives, or that were to be no file of a backup. Volumes and intents
    /// have to be seven days old, marks of sweeps one.
    ///
    /// # Errors
    /// Those of the store.
    pub fn litter(&self, now_unix_secs: i64, grace_secs: i64) -> Result<Litter, Error> {
        let leftovers = self.store().list_leftovers()?;
        let tombstones = self.store().list(names::TOMBSTONES)?;
        let objects = self.store().list("")?;
        Ok(Litter::among(
            leftovers,
            &tombstones,
            &objects,
            now_unix_secs,
            grace_secs,
        ))
    }

    /// Removes what [`Repository::litter`] found, also where some of it cannot be removed. A backup that has a tombstone and
    /// still its manifest exists, so only the tombstone goes.
    ///
    /// # Errors
    /// Those of the store and of what is found; of several [`RepositoryError::Several`].
    pub fn remove_litter(&self, litter: &Litter) -> Result<(), RepositoryError> {
        let mut pruning = self.pruning();
        let failed = litter
            .items
            .iter()
            .filter_map(|item| self.remove_item(item, &mut pruning).err());
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

    fn remove_item(&self, item: &LitterItem, pruning: &mut Pruning<'_>) -> Result<(), RepositoryError> {
        match item {
            LitterItem::Temporary(leftover) => self.store().delete_leftover(leftover)?,
            LitterItem::HalfRekeyed { id, end_begun } => drop(self.end_rekeying(id, *end_begun)?),
            LitterItem::HalfWritten { id, removal_begun } => self.remove_half_written(id, *removal_begun)?,
            LitterItem::HalfReused(id) => self.store().delete(&names::uses_key(id))?,
            LitterItem::Sweep(key) => self.store().delete(key)?,
            LitterItem::HalfDeleted(id) => match self.store().head(&names::manifest_key(id)) {
                Ok(_) if self.is_removed_in_part(id)? => {
                    self.store().delete(&names::manifest_key(id))?;
                    pruning.finish_removal(id)?;
                }
                Ok(_) => self.store().delete(&names::tombstone_key(id))?,
                Err(error) if error.kind() == ErrorKind::NotFound => drop(pruning.finish_removal(id)?),
                Err(error) => return Err(error.into()),
            },
        }
        Ok(())
    }
}
