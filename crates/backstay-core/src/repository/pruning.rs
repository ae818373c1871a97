use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::id::BackupId;
use crate::manifest::{Pack, Sidecar, Source};
use crate::retention::BackupFacts;
use crate::store::{Error, ErrorKind, ObjectKey, ObjectMeta, ObjectWriter};
use crate::tag::Tag;

use super::reuse::{SweepMark, read_uses};
use super::{Listing, ObjectRole, Removal, Repository, RepositoryError, names, object_role};

/// Planning and removing, which read each manifest once however many backups are removed.
#[derive(Debug)]
pub struct Pruning<'r> {
    repository: &'r Repository,
    /// What was read of manifests, by name, with length and age of the object that it was read from.
    read: HashMap<ObjectKey, (u64, i64, Known)>,
}

/// What a manifest says that matters here.
#[derive(Clone, Debug)]
struct Known {
    origin: Option<String>,
    part: Option<String>,
    packs: Vec<Pack>,
    tags: Vec<Tag>,
    keep_until: Option<Timestamp>,
}

impl Repository {
    /// Begins to plan and to remove.
    #[must_use]
    pub fn pruning(&self) -> Pruning<'_> {
        Pruning {
            repository: self,
            read: HashMap::new(),
        }
    }

    /// Removes one backup; see [`Pruning::remove`].
    ///
    /// # Errors
    /// Those of [`Pruning::remove`].
    pub fn remove(&self, id: &BackupId, now: Timestamp) -> Result<Removal, RepositoryError> {
        self.pruning().remove(id, now)
    }
}

impl Pruning<'_> {
    /// What a plan has to know of every backup in the store. Costs one listing, each manifest, and the records beside
    /// them.
    ///
    /// # Errors
    /// Those of the store. What cannot be read is a fact too.
    pub fn facts(&mut self, now: Timestamp) -> Result<Vec<BackupFacts>, Error> {
        let objects = self.repository.store().list("")?;
        let sizes: HashMap<&str, u64> = objects
            .iter()
            .map(|object| (object.key.as_str(), object.size))
            .collect();
        let manifests = manifests(&objects);
        let mut facts = Vec::new();
        for backup in Listing::of(&objects).backups {
            let Some(manifest) = manifests.get(&backup.id) else {
                continue;
            };
            let known = match self.known(&backup.id, manifest) {
                Ok(known) => Some(known),
                // Removed by somebody else in the meantime.
                Err(error) if error.is_not_found() => continue,
                Err(RepositoryError::Store(error)) => return Err(error),
                Err(_) => None,
            };
            let records = self.repository.read_records(&backup.records)?;
            let is_there = |pack: &Pack| sizes.get(pack.name.as_str()) == Some(&pack.bytes);
            facts.push(BackupFacts {
                origin: known.as_ref().and_then(|known| known.origin.clone()),
                part: known.as_ref().and_then(|known| known.part.clone()),
                is_read: known.is_some(),
                is_whole: known.as_ref().is_some_and(|known| known.packs.iter().all(is_there)),
                proof: records.proof(),
                holds: records.in_force(now).into_iter().map(|hold| hold.facts()).collect(),
                tags: known.as_ref().map(|known| known.tags.clone()).unwrap_or_default(),
                keep_until: known.and_then(|known| known.keep_until),
                id: backup.id,
            });
        }
        Ok(facts)
    }

    /// Removes a backup that nobody holds: a tombstone first; then, if there is no hold still, the manifest, which ends
    /// the backup's existence; then the packs that no other backup names or is going to name, what stood beside them, and
    /// the tombstone last.
    ///
    /// # Errors
    /// The backup does not exist (then [`RepositoryError::is_not_found`]; a pack without a manifest is no backup, and
    /// stays); it is held ([`RepositoryError::Held`]), or somebody removes it already, or was interrupted
    /// ([`RepositoryError::BeingRemoved`]); those of the store. What was begun is finished by
    /// [`Repository::remove_litter`].
    pub fn remove(&mut self, id: &BackupId, now: Timestamp) -> Result<Removal, RepositoryError> {
        let store = &**self.repository.store();
        let manifest = names::manifest_key(id);
        store.head(&manifest)?;
        let tombstone = names::tombstone_key(id);
        match store.create(&tombstone).and_then(ObjectWriter::publish) {
            Ok(_) => {}
            // Whoever wrote it may take it back, if there is a hold, and who holds then believes that nobody removes.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(RepositoryError::BeingRemoved { id: id.clone() });
            }
            Err(error) => return Err(error.into()),
        }
        // Behind the tombstone: who holds looks for it after the hold was written, so one of the two sees the other.
        if let Err(error) = self.refuse_held(id, now) {
            // The tombstone is ours, and nothing was deleted. If it stays, it is litter.
            let _ = store.delete(&tombstone);
            return Err(error);
        }
        store.delete(&manifest)?;
        let mut removal = self.finish_removal(id)?;
        removal.deleted.insert(0, manifest);
        Ok(removal)
    }

    /// Fails where somebody holds the backup, or another has removed it.
    fn refuse_held(&self, id: &BackupId, now: Timestamp) -> Result<(), RepositoryError> {
        let keys = self.repository.beside(id)?;
        let manifest = names::manifest_key(id);
        if !keys.contains(&manifest) {
            return Err(Error::new(ErrorKind::NotFound, "remove", manifest.as_str()).into());
        }
        match self.repository.read_records(&keys)?.in_force(now).first() {
            None => Ok(()),
            Some(hold) => Err(RepositoryError::Held {
                id: id.clone(),
                hold: hold.facts(),
            }),
        }
    }

    /// Removes what is left of a backup that has no manifest any more.
    pub(super) fn finish_removal(&mut self, id: &BackupId) -> Result<Removal, RepositoryError> {
        let store = &**self.repository.store();
        let mut removal = Removal::default();
        let mut packs = Vec::new();
        let mut beside = Vec::new();
        for object in store.list(&format!("{id}."))? {
            // The id of another backup may begin with this one and a dot.
            let Some((_, role)) = object_role(&object.key).filter(|(found, _)| found == id) else {
                continue;
            };
            match role {
                ObjectRole::Pack => packs.push(object.key),
                ObjectRole::Checksum | ObjectRole::Index | ObjectRole::Record => beside.push(object.key),
                ObjectRole::Manifest => {}
            }
        }
        if !packs.is_empty() {
            self.sweep(id, packs, &mut removal)?;
        }
        if removal.kept.is_empty() {
            for key in beside {
                store.delete(&key)?;
                removal.deleted.push(key);
            }
            // Who seals it anew may have published a manifest since. Who does so from here on sees that the packs are gone.
            store.delete(&names::manifest_key(id))?;
            for object in store.list(&format!("{}{id}.", names::INTENTS))? {
                if names::is_intent_of(&object.key, id) {
                    store.delete(&object.key)?;
                }
            }
            store.delete(&names::tombstone_key(id))?;
        }
        Ok(removal)
    }

    /// Deletes those packs of a backup that nobody names or is going to name.
    fn sweep(&mut self, id: &BackupId, packs: Vec<ObjectKey>, removal: &mut Removal) -> Result<(), RepositoryError> {
        let mark = SweepMark::set(&**self.repository.store(), id)?;
        let needed = self.packs_in_use_but(id)?;
        for pack in packs {
            if needed.as_ref().is_none_or(|needed| needed.contains(pack.as_str())) {
                removal.kept.push(pack);
            } else {
                mark.delete(&pack)?;
                removal.deleted.push(pack);
            }
        }
        mark.clear()
    }

    /// The names of all packs that the manifest of another backup names, or that somebody is going to name; `None` where one
    /// of those cannot be read, so that every pack may be needed.
    fn packs_in_use_but(&mut self, removed: &BackupId) -> Result<Option<HashSet<String>>, RepositoryError> {
        let store = &**self.repository.store();
        let mut packs = HashSet::new();
        // Before the manifests: an intent goes when the manifest is there.
        for object in store.list(names::INTENTS)? {
            if names::uses_id(&object.key).is_none() {
                continue;
            }
            match read_uses(store, &object.key) {
                Ok(named) => packs.extend(named),
                Err(error) if error.is_not_found() => {}
                Err(RepositoryError::Store(error)) => return Err(error.into()),
                // It may name any pack.
                Err(_) => return Ok(None),
            }
        }
        for (id, manifest) in manifests(&store.list("")?) {
            // Who seals it anew may have published it again.
            if id == *removed {
                continue;
            }
            match self.known(&id, manifest) {
                Ok(known) => packs.extend(known.packs.into_iter().map(|pack| pack.name)),
                // Deleted by somebody else in the meantime.
                Err(error) if error.is_not_found() => {}
                Err(RepositoryError::Store(error)) => return Err(error.into()),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(packs))
    }

    /// What the manifest of a backup says, which is read where it was not read yet.
    fn known(&mut self, id: &BackupId, manifest: &ObjectMeta) -> Result<Known, RepositoryError> {
        let (size, modified) = (manifest.size, manifest.modified_unix_secs);
        if let Some((found_size, found_modified, known)) = self.read.get(&manifest.key)
            && (*found_size, *found_modified) == (size, modified)
        {
            return Ok(known.clone());
        }
        let sidecar = self.repository.read_sidecar(id)?;
        let origin = match &sidecar {
            Sidecar::Plain(manifest) => {
                let Source {
                    database,
                    system_identifier,
                    ..
                } = &manifest.source;
                let cluster = system_identifier.map(|cluster| cluster.to_string()).unwrap_or_default();
                Some(format!("{cluster}/{}", database.to_lossy()))
            }
            Sidecar::Sealed(_) => None,
        };
        let known = Known {
            origin,
            part: sidecar.scope().into_part(),
            packs: sidecar.packs().to_vec(),
            tags: sidecar.tags().to_vec(),
            keep_until: sidecar.keep_until(),
        };
        self.read.insert(manifest.key.clone(), (size, modified, known.clone()));
        Ok(known)
    }
}

/// The manifests among the objects of a store.
fn manifests(objects: &[ObjectMeta]) -> BTreeMap<BackupId, &ObjectMeta> {
    let manifests = objects.iter().filter_map(|object| match object_role(&object.key)? {
        (id, ObjectRole::Manifest) => Some((id, object)),
        _ => None,
    });
    manifests.collect()
}
