//! Where the members of a new backup go: into one pack, or into volumes, and what tells whole volumes from unfinished ones.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::codec::{Codec, EncodedMember};
use crate::digest::Sha256Digest;
use crate::id::BackupId;
use crate::manifest::{MemberContent, Pack, PackId};
use crate::pack::{FinishedPack, PackWriter, TRAILER_BYTES_MAX, VOLUMES_MAX, VolumeName, WritePackError};
use crate::seal::Sealer;
use crate::store::{Error, ErrorKind, ObjectKey, ObjectMeta, Store};

use super::names::VolumesIntent;
use super::pending::{discard, put, taken};
use super::{ObjectRole, Repository, RepositoryError, names, object_role};

/// The packs of a backup that is being written. Dropping it leaves nothing.
pub(super) struct NewPacks {
    store: Arc<dyn Store>,
    id: BackupId,
    codec: Codec,
    sealer: Option<Arc<dyn Sealer>>,
    /// The name of the pack, or of the whole that its volumes make.
    whole: ObjectKey,
    /// What a volume may have at most; `None` where the pack is not cut.
    bytes_max: Option<u64>,
    /// The one that is being written; `None` after an error.
    writer: Option<PackWriter>,
    key: ObjectKey,
    finished: Vec<FinishedVolume>,
    written: Written,
}

/// A pack or volume that was published.
pub(super) struct FinishedVolume {
    pub(super) key: ObjectKey,
    pub(super) sha256: Sha256Digest,
    pub(super) bytes: u64,
}

impl FinishedVolume {
    /// As a manifest names it.
    pub(super) fn pack(&self) -> Pack {
        Pack {
            id: PackId::Sha256(self.sha256),
            name: self.key.to_string(),
            bytes: self.bytes,
        }
    }
}

/// What this process has put into the store for a backup that does not exist yet; dropping it deletes that.
pub(super) struct Written {
    store: Arc<dyn Store>,
    keys: Vec<ObjectKey>,
}

impl Written {
    /// Writes an object.
    pub(super) fn put(&mut self, key: &ObjectKey, bytes: &[u8]) -> Result<(), Error> {
        let put = put(&*self.store, key, bytes);
        let is_others = matches!(&put, Err(error) if error.kind() == ErrorKind::AlreadyExists);
        // If the answer was lost, it may be there; where somebody else put it there since this backup began, it is not
        // ours to delete.
        if !is_others {
            self.keys.push(key.clone());
        }
        put
    }

    /// Leaves it where it is.
    pub(super) fn keep(mut self) {
        self.keys.clear();
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        discard(&*self.store, &self.keys);
    }
}

/// All packs of a backup, published.
pub(super) struct PublishedPacks {
    /// The last one has the manifest.
    pub(super) packs: Vec<FinishedVolume>,
    pub(super) written: Written,
}

impl NewPacks {
    pub(super) fn begin(repository: &Repository, id: &BackupId, codec: Codec) -> Result<Self, RepositoryError> {
        let store = Arc::clone(repository.store());
        let sealer = repository.seals.as_ref().map(|seals| Arc::clone(&seals.packs));
        let whole = names::pack_key(id, codec, sealer.as_ref().map(|sealer| sealer.method()));
        let bounds = [repository.volume_bytes_max, store.object_bytes_max()];
        let mut packs = Self {
            written: Written {
                store: Arc::clone(&store),
                keys: Vec::new(),
            },
            store,
            id: id.clone(),
            codec,
            sealer,
            key: whole.clone(),
            whole,
            bytes_max: bounds.into_iter().flatten().min(),
            writer: None,
            finished: Vec::new(),
        };
        packs.open_next()?;
        Ok(packs)
    }

    /// What was put into the store so far.
    pub(super) fn written(&mut self) -> &mut Written {
        &mut self.written
    }

    /// Bytes of members so far.
    pub(super) fn bytes(&self) -> u64 {
        let finished: u64 = self.finished.iter().map(|pack| pack.bytes).sum();
        finished + self.bytes_here()
    }

    /// Bytes of members in the pack that is being written.
    pub(super) fn bytes_here(&self) -> u64 {
        self.writer.as_ref().map_or(0, PackWriter::bytes)
    }

    /// Fails where one of them could not be written.
    pub(super) fn refuse_spent(&self) -> Result<(), Error> {
        self.writer.as_ref().map(drop).ok_or_else(|| spent(&self.key))
    }

    /// The packs as the manifest in the last one names them, if the one that is being written is it.
    pub(super) fn embedded(&self) -> Vec<Pack> {
        let own = Pack {
            id: PackId::Own,
            name: self.key.to_string(),
            bytes: 0,
        };
        self.finished.iter().map(FinishedVolume::pack).chain([own]).collect()
    }

    /// Adds a member; gives the index of its pack, and its offset in it.
    pub(super) fn append(
        &mut self,
        member: &EncodedMember,
        content: &MemberContent,
    ) -> Result<(u32, u64), RepositoryError> {
        let length = member.stored.len() as u64;
        if !self.has_room(length) && self.bytes_here() > 0 {
            self.next_volume()?;
        }
        if !self.has_room(length) {
            self.writer = None;
            return Err(self.too_long(what(content), length));
        }
        let writer = self.writer.as_mut().ok_or_else(|| spent(&self.key))?;
        match writer.append(member) {
            Ok(offset) => Ok((index(&self.finished), offset)),
            Err(error) => {
                self.writer = None;
                Err(error.into())
            }
        }
    }

    /// Whether so many bytes fit behind what is in the pack that is being written.
    fn has_room(&self, more: u64) -> bool {
        match (self.bytes_max, &self.writer) {
            (Some(bytes_max), Some(writer)) => writer.stored_bytes_with(more) <= bytes_max,
            // After an error, which the next step tells.
            (None, _) | (_, None) => true,
        }
    }

    /// Makes room for a manifest member and the trailer, which must be together; gives whether that took a new volume, so
    /// that the manifest is another one now.
    pub(super) fn make_room_for_manifest(&mut self, member: &EncodedMember) -> Result<bool, RepositoryError> {
        let length = member.stored.len() as u64 + TRAILER_BYTES_MAX;
        if self.has_room(length) {
            return Ok(false);
        }
        if self.bytes_here() == 0 {
            return Err(self.too_long("the manifest".to_owned(), length));
        }
        self.next_volume()?;
        Ok(true)
    }

    fn next_volume(&mut self) -> Result<(), RepositoryError> {
        if self.finished.is_empty() {
            // Where the store does not confirm it, it may be another writer's. Left alone it does no harm.
            let key = names::volumes_key(&self.id);
            put(&*self.store, &key, b"{}\n").map_err(|error| taken(error, &self.id, &key))?;
            self.written.keys.push(key);
        }
        let full = self.writer.take().ok_or_else(|| spent(&self.key))?;
        let finished = self.publish(|| full.publish())?;
        self.finish_one(&finished);
        self.open_next()
    }

    fn open_next(&mut self) -> Result<(), RepositoryError> {
        if let Some(bytes_max) = self.bytes_max {
            let number = index(&self.finished) + 1;
            if number > VOLUMES_MAX {
                return Err(RepositoryError::TooManyVolumes { bytes_max });
            }
            self.key = names::volume_key(&self.whole, number);
        }
        let sealing = self.sealer.as_ref().map(|sealer| sealer.begin()).transpose()?;
        let object = self.store.create(&self.key);
        let object = object.map_err(|error| taken(error, &self.id, &self.key))?;
        self.writer = Some(PackWriter::new(object, self.codec, sealing));
        Ok(())
    }

    /// Ends the last pack with the manifest, for which there must be room. What is published with it can be adopted.
    pub(super) fn finish(mut self, manifest: &EncodedMember) -> Result<PublishedPacks, RepositoryError> {
        let is_cut = !self.finished.is_empty();
        if is_cut {
            let key = names::last_volume_key(&self.id, index(&self.finished) + 1);
            let put = self.written.put(&key, b"{}\n");
            put.map_err(|error| taken(error, &self.id, &key))?;
        }
        let last = self.writer.take().ok_or_else(|| spent(&self.key))?;
        let last = if is_cut {
            self.publish(|| last.finish(manifest))?
        } else {
            // Where the store does not confirm it, it may be there, and can be adopted.
            let last = last.finish(manifest);
            let last = last.map_err(|error| self.failed(error))?;
            self.written.keys.push(self.key.clone());
            last
        };
        self.finish_one(&last);
        Ok(PublishedPacks {
            packs: self.finished,
            written: self.written,
        })
    }

    /// Publishes one of several volumes. Without its successors nobody could use it, so it goes even where the store did
    /// not confirm it. But the first may be the only one of another writer of this id, which has no intent: it stays, and
    /// the own intent tells what it is.
    fn publish(
        &mut self,
        publish: impl FnOnce() -> Result<FinishedPack, WritePackError>,
    ) -> Result<FinishedPack, RepositoryError> {
        match publish() {
            Ok(finished) => {
                self.written.keys.push(self.key.clone());
                Ok(finished)
            }
            Err(error) => {
                let is_others =
                    matches!(&error, WritePackError::Store(error) if error.kind() == ErrorKind::AlreadyExists);
                if self.finished.is_empty() && !is_others {
                    self.written.keys.clear();
                } else if !is_others {
                    self.written.keys.push(self.key.clone());
                }
                Err(self.failed(error))
            }
        }
    }

    fn failed(&self, error: WritePackError) -> RepositoryError {
        match error {
            WritePackError::Store(error) => taken(error, &self.id, &self.key),
            error @ WritePackError::Seal(_) => error.into(),
        }
    }

    fn finish_one(&mut self, finished: &FinishedPack) {
        self.finished.push(FinishedVolume {
            key: self.key.clone(),
            sha256: finished.sha256,
            bytes: finished.bytes,
        });
    }

    fn too_long(&self, what: String, bytes: u64) -> RepositoryError {
        RepositoryError::VolumeTooSmall {
            what,
            bytes,
            bytes_max: self.bytes_max.unwrap_or_default(),
        }
    }
}

fn index(packs: &[FinishedVolume]) -> u32 {
    u32::try_from(packs.len()).unwrap_or(u32::MAX)
}

fn spent(key: &ObjectKey) -> Error {
    Error::new(ErrorKind::Other, "write", key.as_str())
}

/// What a member is, for the message that it does not fit.
fn what(content: &MemberContent) -> String {
    match content {
        MemberContent::Rows(block) if block.digest.rows() == 1 => "a single row".to_owned(),
        MemberContent::Rows(block) => format!("a block of {} rows", block.digest.rows()),
        MemberContent::LargeObjects => "a piece of the large objects".to_owned(),
        _ => "a block of definitions".to_owned(),
    }
}

impl Repository {
    /// Fails where somebody deletes the volumes, or has done so. [`Repository::remove_half_written`] looks for the last
    /// volume after it has written its intent, and deletes that behind the volumes. So who finds no such intent behind the
    /// last volume, and then all volumes, keeps them.
    pub(super) fn refuse_removed<'k>(
        &self,
        id: &BackupId,
        packs: impl IntoIterator<Item = &'k ObjectKey>,
    ) -> Result<(), RepositoryError> {
        for key in [names::volumes_removal_key(id), names::tombstone_key(id)] {
            match self.store().head(&key) {
                Ok(_) => return Err(RepositoryError::Exists { id: id.clone(), key }),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        for pack in packs {
            self.store().head(pack)?;
        }
        Ok(())
    }

    /// Takes the intents back when all volumes are there. What this leaves is litter, and no reason to fail.
    pub(super) fn end_volumes(&self, id: &BackupId, volumes: usize) {
        let Some(volumes) = u32::try_from(volumes).ok().filter(|volumes| *volumes > 1) else {
            return;
        };
        // In this order: the second alone still tells that the volumes are whole.
        for key in [names::volumes_key(id), names::last_volume_key(id, volumes)] {
            if self.store().delete(&key).is_err() {
                return;
            }
        }
    }

    /// Removes the volumes of a backup whose writing was cut off. Where the last one is there they can be adopted, and
    /// where the manifest is they are a backup: then only the intents go. A tombstone would not tell this from a removal
    /// that was decided, so it comes when that is so.
    pub(super) fn remove_half_written(&self, id: &BackupId, removal_begun: bool) -> Result<(), RepositoryError> {
        match put(&**self.store(), &names::volumes_removal_key(id), b"{}\n") {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if !removal_begun {
                    // By another process, which is about it now.
                    return Ok(());
                }
            }
            Err(error) => return Err(error.into()),
        }
        let objects = self.store().list("")?;
        let intents = VolumeIntents::of(&objects);
        // Asked for by its name: a listing may be older than it is.
        let exists = match self.store().head(&names::manifest_key(id)) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error.into()),
        };
        if exists || !intents.is_unfinished(id) {
            for key in intents.keys(id) {
                self.store().delete(key)?;
            }
            return Ok(());
        }
        match put(&**self.store(), &names::tombstone_key(id), b"") {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
            _ => self.pruning().finish_removal(id).map(drop),
        }
    }
}

/// The intents about volumes that are in a store, and what became of them.
pub(super) struct VolumeIntents<'o> {
    /// By backup, in the order in which they are taken back.
    intents: BTreeMap<BackupId, Vec<(VolumesIntent, &'o ObjectMeta)>>,
    packs: HashSet<(BackupId, u32)>,
    newest: BTreeMap<BackupId, i64>,
}

impl<'o> VolumeIntents<'o> {
    pub(super) fn of(objects: &'o [ObjectMeta]) -> Self {
        let mut found = Self {
            intents: BTreeMap::new(),
            packs: HashSet::new(),
            newest: BTreeMap::new(),
        };
        for object in objects {
            let id = if let Some((id, intent)) = names::volumes_intent(&object.key) {
                found.intents.entry(id.clone()).or_default().push((intent, object));
                id
            } else if let Some((id, ObjectRole::Pack)) = object_role(&object.key) {
                if let Some(volume) = VolumeName::of(object.key.as_str()) {
                    found.packs.insert((id.clone(), volume.number()));
                }
                id
            } else {
                continue;
            };
            let newest = found.newest.entry(id).or_insert(i64::MIN);
            *newest = object.modified_unix_secs.max(*newest);
        }
        for intents in found.intents.values_mut() {
            intents.sort_by_key(|(intent, _)| *intent);
        }
        found
    }

    /// Whether the volumes of that backup are still being written, or will never be whole: none is there that the intent
    /// names as the last.
    pub(super) fn is_unfinished(&self, id: &BackupId) -> bool {
        let mut is_begun = false;
        for (intent, _) in self.intents.get(id).into_iter().flatten() {
            match intent {
                VolumesIntent::Write => is_begun = true,
                VolumesIntent::WriteLast(last) if self.packs.contains(&(id.clone(), *last)) => return false,
                VolumesIntent::WriteLast(_) => is_begun = true,
                VolumesIntent::Remove => {}
            }
        }
        is_begun
    }

    fn keys(&self, id: &BackupId) -> impl Iterator<Item = &'o ObjectKey> {
        let intents = self.intents.get(id).into_iter().flatten();
        intents.map(|(_, object)| &object.key)
    }

    /// The backups of which neither an intent nor a pack is newer than that, and whether their removal was begun.
    pub(super) fn not_later(&self, unix_secs: i64) -> impl Iterator<Item = (&BackupId, bool)> {
        let old = self
            .intents
            .iter()
            .filter(move |(id, _)| self.newest.get(*id).is_none_or(|newest| *newest <= unix_secs));
        old.map(|(id, intents)| (id, intents.iter().any(|(intent, _)| *intent == VolumesIntent::Remove)))
    }
}
