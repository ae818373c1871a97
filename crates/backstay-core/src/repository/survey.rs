//! What a store tells by the names, sizes and ages of its objects.

use std::collections::HashMap;

use crate::id::BackupId;
use crate::manifest::Pack;
use crate::store::{Error, ObjectKey};

use super::removal::Litter;
use super::{Listing, Repository, log, names};

/// All that one listing of a store tells, without reading anything.
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The backups.
    pub listing: Listing,
    /// How many objects there are, of backups or not.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the youngest was written, in seconds since the Unix epoch by the store's own clock.
    pub youngest_unix_secs: Option<i64>,
    /// What crashes left; an error where the store does not tell what interrupted writers left.
    pub litter: Result<Litter, Error>,
    sizes: HashMap<ObjectKey, u64>,
}

impl Survey {
    /// Backups that the names of the log tell of, whether they are there or were deleted; some more than once.
    pub fn noted(&self) -> impl Iterator<Item = BackupId> {
        self.sizes.keys().filter_map(log::noted_backup)
    }

    /// Whether a pack is there, with the right length.
    #[must_use]
    pub fn has(&self, pack: &Pack) -> bool {
        let key = pack.name.parse::<ObjectKey>().ok();
        key.is_some_and(|key| self.sizes.get(&key) == Some(&pack.bytes))
    }
}

impl Repository {
    /// Looks at the store as a whole; costs one listing, and one of what interrupted writers left. Litter is what
    /// [`Repository::litter`] says.
    ///
    /// # Errors
    /// Those of listing the store.
    pub fn survey(&self, now_unix_secs: i64, grace_secs: i64) -> Result<Survey, Error> {
        let leftovers = self.store().list_leftovers();
        let objects = self.store().list("")?;
        let is_tombstone = |key: &ObjectKey| key.as_str().starts_with(names::TOMBSTONES);
        let tombstones: Vec<_> = objects
            .iter()
            .filter(|object| is_tombstone(&object.key))
            .cloned()
            .collect();
        let litter =
            leftovers.map(|leftovers| Litter::among(leftovers, &tombstones, &objects, now_unix_secs, grace_secs));
        Ok(Survey {
            listing: Listing::of(&objects),
            objects: objects.len() as u64,
            bytes: objects.iter().fold(0, |sum, object| sum.saturating_add(object.size)),
            youngest_unix_secs: objects.iter().map(|object| object.modified_unix_secs).max(),
            litter,
            sizes: objects.into_iter().map(|object| (object.key, object.size)).collect(),
        })
    }
}
