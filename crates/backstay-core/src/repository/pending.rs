use crate::codec::{Compression, EncodedMember, MemberEncoder};
use crate::digest::Sha256Digest;
use crate::id::BackupId;
use crate::manifest::{Manifest, Member, MemberContent, Pack, PackId, manifest_member_text, to_json};
use crate::pack::{FinishedPack, PackWriter};
use crate::store::{Error, ErrorKind, ObjectKey, Store};

use super::reader::object_digest;
use super::{Repository, RepositoryError, checksum_line, names};

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
    /// Name of the pack.
    pub pack: ObjectKey,
    /// SHA-256 of the pack.
    pub sha256: Sha256Digest,
    /// Length of the pack in bytes.
    pub bytes: u64,
}

/// A backup that is being written. Dropping it leaves nothing.
#[must_use = "a backup that is not finished is discarded"]
pub struct PendingBackup {
    repository: Repository,
    id: BackupId,
    compression: Compression,
    pack: PackWriter,
    members: Vec<Member>,
}

impl Repository {
    /// Begins a backup.
    ///
    /// # Errors
    /// [`RepositoryError::Exists`] where any object bears the id; those of the store.
    pub fn begin(&self, id: &BackupId, compression: Compression) -> Result<PendingBackup, RepositoryError> {
        if let Some(object) = self.store().list(&format!("{id}."))?.into_iter().next() {
            return Err(RepositoryError::Exists {
                id: id.clone(),
                key: object.key,
            });
        }
        let object = self.store().create(&names::pack_key(id, compression.codec()))?;
        Ok(PendingBackup {
            repository: self.clone(),
            id: id.clone(),
            compression,
            pack: PackWriter::new(object, compression.codec()),
            members: Vec::new(),
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
        self.pack.bytes()
    }

    /// Adds a member and gives its index in the list of members.
    ///
    /// # Errors
    /// Those of the store; the backup cannot be finished then.
    pub fn append(&mut self, member: &EncodedMember, content: MemberContent) -> Result<u32, RepositoryError> {
        let offset = self.pack.append(member)?;
        self.members.push(Member {
            pack: 0,
            offset,
            stored_bytes: member.stored.len() as u64,
            text_bytes: member.text_bytes,
            sha256: member.sha256,
            content,
        });
        Ok(u32::try_from(self.members.len() - 1).unwrap_or(u32::MAX))
    }

    /// Ends the pack and makes the backup exist, in this order: pack, `.sha256`, read-back, manifest, read-back of the
    /// manifest. `describe` gets the members and gives the manifest; its packs and members are set here.
    ///
    /// A failure before the manifest was begun removes what was written. A failure while it is written is settled by
    /// reading it again.
    ///
    /// # Errors
    /// Those of the store; [`RepositoryError::ReadBack`]; [`RepositoryError::Unknown`] where the store does not tell
    /// whether the backup exists now; a manifest that contradicts itself.
    pub fn finish(self, manifest: Manifest, read_back: ReadBack) -> Result<PublishedBackup, RepositoryError> {
        let Self {
            repository,
            id,
            compression,
            pack,
            members,
        } = self;
        let codec = compression.codec();
        let pack_key = names::pack_key(&id, codec);
        let manifest_key = names::manifest_key(&id);
        let own = Pack {
            id: PackId::Own,
            name: pack_key.to_string(),
            bytes: 0,
        };
        let mut manifest = Manifest {
            id: id.clone(),
            codec,
            packs: vec![own],
            members,
            ..manifest
        };
        let contradiction = |source: crate::manifest::Inconsistency| RepositoryError::Manifest {
            key: manifest_key.clone(),
            source: source.into(),
        };
        manifest.check_consistency().map_err(contradiction)?;
        manifest.check_tiling(pack.bytes()).map_err(contradiction)?;

        let embedded = MemberEncoder::new(compression)?.encode(&manifest_member_text(&manifest))?;
        let finished = pack.finish(&embedded)?;
        manifest.packs[0].id = PackId::Sha256(finished.sha256);
        manifest.packs[0].bytes = finished.bytes;

        let store = &**repository.store();
        let sidecars = write_checksum(store, &id, compression, &finished).and_then(|()| match read_back {
            ReadBack::Yes => read_pack_back(store, &pack_key, &finished),
            ReadBack::No => Ok(()),
        });
        if let Err(error) = sidecars {
            // No manifest names these objects, and this process made them.
            drop(store.delete(&names::checksum_key(&id, codec)));
            drop(store.delete(&pack_key));
            return Err(error);
        }
        publish_manifest(store, &manifest_key, &to_json(&manifest))?;
        Ok(PublishedBackup {
            manifest,
            pack: pack_key,
            sha256: finished.sha256,
            bytes: finished.bytes,
        })
    }
}

fn write_checksum(
    store: &dyn Store,
    id: &BackupId,
    compression: Compression,
    pack: &FinishedPack,
) -> Result<(), RepositoryError> {
    let mut object = store.create(&names::checksum_key(id, compression.codec()))?;
    object.append(checksum_line(&pack.sha256, pack.meta.key.as_str()).as_bytes())?;
    object.publish()?;
    Ok(())
}

fn read_pack_back(store: &dyn Store, key: &ObjectKey, pack: &FinishedPack) -> Result<(), RepositoryError> {
    let same = store.head(key)?.size == pack.bytes && object_digest(store, key)? == pack.sha256;
    if same {
        Ok(())
    } else {
        Err(RepositoryError::ReadBack { key: key.clone() })
    }
}

/// Publishes the manifest and reads it again, because the answer of a store may be lost or wrong.
fn publish_manifest(store: &dyn Store, key: &ObjectKey, json: &[u8]) -> Result<(), RepositoryError> {
    let published = store.create(key).and_then(|mut object| {
        object.append(json)?;
        object.publish()
    });
    let expected = Sha256Digest::of(json);
    let unknown = |source: Error| RepositoryError::Unknown {
        key: key.clone(),
        source,
    };
    match (published, object_digest(store, key)) {
        (_, Ok(found)) if found == expected => Ok(()),
        (Ok(_), Ok(_)) => Err(RepositoryError::ReadBack { key: key.clone() }),
        (Ok(_), Err(error)) => Err(unknown(error)),
        // The write failed for certain: the backup does not exist, its pack can be adopted.
        (Err(error), Err(missing)) if missing.kind() == ErrorKind::NotFound => Err(error.into()),
        (Err(error), Ok(_)) => Err(error.into()),
        (Err(error), Err(_)) => Err(unknown(error)),
    }
}
