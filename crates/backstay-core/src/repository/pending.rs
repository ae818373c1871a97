use crate::codec::{Codec, Compression, EncodedMember, MemberEncoder};
use crate::digest::{DigestKey, RowHasher, Sha256Digest};
use crate::id::BackupId;
use crate::manifest::{
    Manifest, ManifestError, Member, MemberContent, Pack, SealedManifest, keyed, manifest_from_member,
    manifest_member_text, to_json,
};
use crate::seal::{SealError, Sealer};
use crate::store::{Error, ErrorKind, ObjectKey, Store};

use super::reader::object_digest;
use super::volumes::{FinishedVolume, NewPacks, PublishedPacks};
use super::{Repository, RepositoryError, checksum_line, names, object_role};

/// Whether a backup is read again, whole, before its manifest makes it one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum ReadBack {
    /// Yes.
    #[default]
    Yes,
    /// No: what the store confirmed is believed.
    No,
}

/// A backup that was published.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PublishedBackup {
    /// The manifest as it stands in the store.
    pub manifest: Manifest,
    /// Name of the pack; of volumes the last, which has the manifest.
    pub pack: ObjectKey,
    /// SHA-256 of that pack.
    pub sha256: Sha256Digest,
    /// Length of the pack, or of all volumes, in bytes.
    pub bytes: u64,
}

/// A backup that is being written. Dropping it leaves nothing.
#[must_use = "a backup that is not finished is discarded"]
pub struct PendingBackup {
    repository: Repository,
    id: BackupId,
    compression: Compression,
    packs: NewPacks,
    members: Vec<Member>,
    /// Packs of other backups that hold some of the members.
    reused: Vec<Pack>,
    /// Of each of the members, whether it lies in one of those; its pack is an index in them then.
    is_reused: Vec<bool>,
    /// Where the backup is sealed.
    digest_key: Option<DigestKey>,
}

impl Repository {
    /// Begins a backup.
    ///
    /// # Errors
    /// [`RepositoryError::Exists`] where any object bears the id, also the tombstone of a removal that did not end; those
    /// of the store.
    pub fn begin(&self, id: &BackupId, compression: Compression) -> Result<PendingBackup, RepositoryError> {
        let exists = |key| RepositoryError::Exists { id: id.clone(), key };
        let listed = self.store().list(&format!("{id}."))?;
        // The id of another backup may begin with this one and a dot.
        let is_foreign = |key: &ObjectKey| object_role(key).is_some_and(|(other, _)| other != *id);
        if let Some(object) = listed.into_iter().find(|object| !is_foreign(&object.key)) {
            return Err(exists(object.key));
        }
        // A removal that was cut off would take the new pack for one of the old backup.
        let tombstone = names::tombstone_key(id);
        match self.store().head(&tombstone) {
            Ok(_) => return Err(exists(tombstone)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let sealer = self.seals.as_ref().map(|seals| &*seals.packs);
        Ok(PendingBackup {
            repository: self.clone(),
            id: id.clone(),
            compression,
            packs: NewPacks::begin(self, id, compression.codec())?,
            members: Vec::new(),
            reused: Vec::new(),
            is_reused: Vec::new(),
            digest_key: sealer.map(Sealer::new_digest_key),
        })
    }
}

impl PendingBackup {
    /// The backup's id.
    #[must_use]
    pub fn id(&self) -> &BackupId {
        &self.id
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.packs.bytes()
    }

    /// How the rows of this backup are hashed for their digests.
    #[must_use]
    pub fn row_hasher(&self) -> RowHasher {
        self.digest_key.as_ref().map(DigestKey::row_hasher).unwrap_or_default()
    }

    /// Adds a member and gives its index in the list of members. Where it does not fit into a volume behind the others, that
    /// volume is published and it begins the next.
    ///
    /// # Errors
    /// Those of the store; [`RepositoryError::VolumeTooSmall`] where no volume can hold it, and
    /// [`RepositoryError::TooManyVolumes`]. The backup cannot be finished then.
    pub fn append(&mut self, member: &EncodedMember, content: MemberContent) -> Result<u32, RepositoryError> {
        let (pack, offset) = self.packs.append(member, &content)?;
        self.is_reused.push(false);
        self.members.push(Member {
            pack,
            offset,
            stored_bytes: member.stored.len() as u64,
            text_bytes: member.text_bytes,
            sha256: keyed(self.digest_key.as_ref(), member.sha256),
            content,
        });
        Ok(u32::try_from(self.members.len() - 1).unwrap_or(u32::MAX))
    }

    /// Says that members may lie in these packs of other backups, which must be done once and before anybody relies on
    /// them. While this backup is being written nobody who removes those deletes the packs.
    ///
    /// # Errors
    /// [`RepositoryError::PackGoing`] where a pack is not there as it is described, or somebody is about to delete it;
    /// [`RepositoryError::SealedReuse`]; [`RepositoryError::Exists`] where it was done already; those of the store.
    pub fn reuse(&mut self, packs: Vec<Pack>) -> Result<(), RepositoryError> {
        if self.digest_key.is_some() {
            return Err(RepositoryError::SealedReuse { id: self.id.clone() });
        }
        self.repository.declare_uses(&self.id, &packs, self.packs.written())?;
        self.repository.refuse_missing(&packs)?;
        self.reused = packs;
        Ok(())
    }

    /// Adds a member that lies in a pack of another backup; its `pack` is the index in what [`PendingBackup::reuse`] was
    /// given. Gives its index in the list of members.
    pub fn append_reused(&mut self, member: Member) -> u32 {
        self.is_reused.push(true);
        self.members.push(member);
        u32::try_from(self.members.len() - 1).unwrap_or(u32::MAX)
    }

    /// Ends the pack and makes the backup exist, in this order: pack or last volume, `.sha256`, index where it is sealed, read-back,
    /// manifest, read-back of the manifest. Id, codec, key of digests, packs and members of the manifest are set here.
    ///
    /// After an error other than [`RepositoryError::Unknown`] the backup does not exist. What this process published
    /// before its manifest is removed, as far as the store lets it; what stays is a whole pack that can be adopted: one
    /// whose publication the store did not confirm, or one that waited for its manifest.
    ///
    /// # Errors
    /// Those of the store; [`RepositoryError::Manifest`] where the manifest contradicts itself or could not be read
    /// again, such as one that is too long; [`RepositoryError::ReadBack`]; [`RepositoryError::Exists`] where another
    /// writer was faster; [`RepositoryError::Unknown`] where the store does not tell whether the backup exists now.
    pub fn finish(self, manifest: Manifest, read_back: ReadBack) -> Result<PublishedBackup, RepositoryError> {
        let Self {
            repository,
            id,
            compression,
            mut packs,
            members,
            reused,
            is_reused,
            digest_key,
        } = self;
        packs.refuse_spent()?;
        let codec = compression.codec();
        let manifest_key = names::manifest_key(&id);
        let mut manifest = Manifest {
            id: id.clone(),
            codec,
            digest_key,
            packs: Vec::new(),
            members,
            ..manifest
        };
        let set_packs = |manifest: &mut Manifest, own: Vec<Pack>| {
            // Those of other backups stand behind the own ones, of which there may be more at the end.
            let shift = |packs: usize| u32::try_from(packs).unwrap_or(u32::MAX);
            let before = shift(manifest.packs.len().saturating_sub(reused.len()));
            let now = shift(own.len());
            let in_reused = manifest
                .members
                .iter_mut()
                .zip(&is_reused)
                .filter(|(_, is_reused)| **is_reused);
            for (member, _) in in_reused {
                member.pack = member.pack - before + now;
            }
            manifest.packs = own.into_iter().chain(reused.iter().cloned()).collect();
        };
        set_packs(&mut manifest, packs.embedded());
        let refused = |source: ManifestError| RepositoryError::Manifest {
            key: manifest_key.clone(),
            source,
        };
        let mut encoder = MemberEncoder::new(compression)?;
        let embedded = loop {
            let text = checked_text(&manifest, packs.bytes_here()).map_err(refused)?;
            let embedded = encoder.encode(&text)?;
            if !packs.make_room_for_manifest(&embedded)? {
                break embedded;
            }
            set_packs(&mut manifest, packs.embedded());
        };
        let index = match &repository.seals {
            None => None,
            Some(seals) => {
                let key = names::index_key(&id, seals.index.method());
                let json = MemberEncoder::new(Compression::new(Codec::Gzip))?.encode(&to_json(&manifest))?;
                Some((key, sealed(&*seals.index, &json.stored)?))
            }
        };
        // Dropping `written` deletes what no manifest is going to name.
        let PublishedPacks { packs, mut written } = packs.finish(&embedded)?;
        set_packs(&mut manifest, packs.iter().map(FinishedVolume::pack).collect());
        let Some(last) = packs.last() else {
            unreachable!("the pack that was finished is one of them")
        };

        let store = &**repository.store();
        let lines: String = packs
            .iter()
            .map(|pack| checksum_line(&pack.sha256, pack.key.as_str()))
            .collect();
        let mut beside = vec![(names::checksum_key(&last.key), lines.into_bytes())];
        beside.extend(index);
        for (key, bytes) in &beside {
            written.put(key, bytes).map_err(|error| taken(error, &id, key))?;
        }
        if read_back == ReadBack::Yes {
            for pack in &packs {
                read_again(store, &pack.key, pack.sha256)?;
            }
            for (key, bytes) in &beside {
                read_again(store, key, Sha256Digest::of(bytes))?;
            }
        }
        if packs.len() > 1 {
            repository.refuse_removed(&id, packs.iter().map(|pack| &pack.key))?;
        }
        if !reused.is_empty() {
            repository.refuse_without_uses(&id)?;
        }
        let sidecar = match &repository.seals {
            None => to_json(&manifest),
            Some(seals) => in_clear(&manifest, &*seals.packs).to_json(),
        };
        if let Some(bytes_max) = store.object_bytes_max().filter(|max| sidecar.len() as u64 > *max) {
            return Err(RepositoryError::VolumeTooSmall {
                what: "the manifest beside the volumes".to_owned(),
                bytes: sidecar.len() as u64,
                bytes_max,
            });
        }
        if let Err(error) = publish_manifest(store, &id, &manifest_key, &sidecar) {
            // Where the backup of that name is another writer's, it has a pack of its own.
            if !matches!(error, RepositoryError::Exists { .. }) {
                written.keep();
                repository.end_volumes(&id, packs.len());
            }
            return Err(error);
        }
        if !reused.is_empty() {
            // Behind the manifest: as long as the intent is there, everybody who looked for it kept the packs, and who
            // looks later sees the manifest.
            match repository.refuse_without_uses(&id) {
                Ok(()) => {}
                Err(RepositoryError::Store(source)) => {
                    written.keep();
                    return Err(RepositoryError::Unknown {
                        key: manifest_key,
                        source,
                    });
                }
                Err(error) => {
                    if let Err(source) = store.delete(&manifest_key) {
                        written.keep();
                        return Err(RepositoryError::Unknown {
                            key: manifest_key,
                            source,
                        });
                    }
                    return Err(error);
                }
            }
        }
        written.keep();
        repository.end_volumes(&id, packs.len());
        if !reused.is_empty() {
            // What this leaves is litter, and no reason to fail.
            let _ = store.delete(&names::uses_key(&id));
        }
        Ok(PublishedBackup {
            pack: last.key.clone(),
            sha256: last.sha256,
            bytes: packs.iter().map(|pack| pack.bytes).sum(),
            manifest,
        })
    }
}

/// The error of an object whose name another writer of the same id may have taken since this backup began.
pub(super) fn taken(error: Error, id: &BackupId, key: &ObjectKey) -> RepositoryError {
    match error.kind() {
        ErrorKind::AlreadyExists => RepositoryError::Exists {
            id: id.clone(),
            key: key.clone(),
        },
        _ => error.into(),
    }
}

/// The text of the manifest member, of which it is certain that it gives this very manifest again.
fn checked_text(manifest: &Manifest, members_bytes: u64) -> Result<Vec<u8>, ManifestError> {
    manifest.check_tiling(members_bytes)?;
    let text = manifest_member_text(manifest);
    if manifest_from_member(&text)? == *manifest {
        Ok(text)
    } else {
        Err(ManifestError::Changed)
    }
}

/// What may stand in clear of the manifest of a sealed backup.
fn in_clear(manifest: &Manifest, sealer: &dyn Sealer) -> SealedManifest {
    SealedManifest {
        writer: manifest.writer.clone(),
        id: manifest.id.clone(),
        taken_at: manifest.taken_at,
        tags: manifest.tags.clone(),
        keep_until: manifest.keep_until,
        method: sealer.method(),
        recipients: sealer.recipients(),
        source: manifest.source.fingerprint(&manifest.id),
        scope: manifest.scope_in_clear(),
        packs: manifest.packs.clone(),
    }
}

fn sealed(sealer: &dyn Sealer, bytes: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut out = Vec::new();
    let mut sealing = sealer.begin()?;
    sealing.seal(bytes, &mut out)?;
    sealing.finish(&mut out)?;
    Ok(out)
}

/// Deletes, last first, objects that this process made and that no manifest names; where the store refuses one, those
/// before it stay, so that nothing is left without its pack.
pub(super) fn discard(store: &dyn Store, keys: &[ObjectKey]) {
    let _ = keys.iter().rev().try_for_each(|key| store.delete(key));
}

pub(super) fn put(store: &dyn Store, key: &ObjectKey, bytes: &[u8]) -> Result<(), Error> {
    let mut object = store.create(key)?;
    object.append(bytes)?;
    object.publish().map(drop)
}

/// Reads an object and fails where it is not what was written.
pub(super) fn read_again(store: &dyn Store, key: &ObjectKey, written: Sha256Digest) -> Result<(), RepositoryError> {
    if object_digest(store, key)? == written {
        Ok(())
    } else {
        Err(RepositoryError::ReadBack { key: key.clone() })
    }
}

/// Publishes the manifest and reads it again. What stands there and cannot be read as it was written is deleted: without it
/// there is no backup.
pub(super) fn publish_manifest(
    store: &dyn Store,
    id: &BackupId,
    key: &ObjectKey,
    json: &[u8],
) -> Result<(), RepositoryError> {
    match publish_and_look(store, id, key, json) {
        Err(error @ RepositoryError::ReadBack { .. }) => match store.delete(key) {
            Ok(()) => Err(error),
            Err(source) => Err(RepositoryError::Unknown {
                key: key.clone(),
                source,
            }),
        },
        other => other,
    }
}

/// Publishes the manifest and reads it again, because the answer of a store may be lost or wrong.
pub(super) fn publish_and_look(
    store: &dyn Store,
    id: &BackupId,
    key: &ObjectKey,
    json: &[u8],
) -> Result<(), RepositoryError> {
    let published = put(store, key, json);
    let expected = Sha256Digest::of(json);
    match (published, object_digest(store, key)) {
        (_, Ok(found)) if found == expected => Ok(()),
        (Err(error), _) if error.kind() == ErrorKind::AlreadyExists => Err(taken(error, id, key)),
        // The write failed for certain: the backup does not exist, its pack can be adopted.
        (Err(error), Err(missing)) if missing.kind() == ErrorKind::NotFound => Err(error.into()),
        (Ok(_), Ok(_)) => Err(RepositoryError::ReadBack { key: key.clone() }),
        (Ok(_), Err(source)) | (Err(source), _) => Err(RepositoryError::Unknown {
            key: key.clone(),
            source,
        }),
    }
}
