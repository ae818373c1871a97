use std::collections::BTreeSet;
use std::io::{self, Read};

use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::id::BackupId;
use crate::manifest::{MANIFEST_TEXT_BYTES_MAX, Pack, PackId, Sidecar};
use crate::pack::VolumeName;
use crate::store::{Error, ErrorKind, ObjectKey, Store};

use super::pending::{publish_manifest, put};
use super::reuse::uses_json;
use super::{ObjectRole, ReadBack, Repository, RepositoryError, checksum_line, names, object_role, read_small};

const PIECE_BYTES: usize = 1 << 20;

/// What copying a backup did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Objects that were written, in this order.
    pub written: Vec<ObjectKey>,
    /// Objects that were there already, with the same bytes.
    pub present: Vec<ObjectKey>,
    /// Bytes of what was written.
    pub bytes: u64,
}

/// Is told how copying goes on, and says whether it should.
pub trait CopyWatch {
    /// So many bytes of packs are to be copied, or to be seen to be there.
    fn planned(&self, bytes_total: u64);
    /// So many more are.
    fn advanced(&self, bytes: u64);
    /// Whether to stop.
    fn is_cancelled(&self) -> bool;
}

/// Why a backup was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// It cannot be read where it is.
    #[error("cannot copy {id} from {location}")]
    From {
        /// The backup.
        id: BackupId,
        /// The store.
        location: String,
        /// Why.
        source: Box<RepositoryError>,
    },
    /// It cannot be written.
    #[error("cannot copy {id} to {location}")]
    To {
        /// The backup.
        id: BackupId,
        /// The store.
        location: String,
        /// Why.
        source: Box<RepositoryError>,
    },
    /// What is read is not what the manifest says; nothing was published under that name.
    #[error("{key} in {location} is not what its manifest says, and was not copied")]
    Damaged {
        /// The object.
        key: ObjectKey,
        /// The store that it was read from.
        location: String,
    },
    /// What has no digest read differently a second time.
    #[error("{key} in {location} was changed while it was copied")]
    Changed {
        /// The object.
        key: ObjectKey,
        /// The store that it was read from.
        location: String,
    },
    /// The name is taken by something else.
    #[error("{key} is in {location} already, with other bytes")]
    Taken {
        /// The object.
        key: ObjectKey,
        /// The store that it should be written to.
        location: String,
    },
    /// A pack is longer than the other store takes. It is not cut anew.
    #[error("{key} has {bytes} bytes, and {location} takes no more than {bytes_max}")]
    TooLong {
        /// The pack.
        key: ObjectKey,
        /// Its length.
        bytes: u64,
        /// The store that it should be written to.
        location: String,
        /// The longest object there.
        bytes_max: u64,
    },
    /// It was asked to stop.
    #[error("cancelled; what was copied stays, and the next copy goes on from there")]
    Cancelled,
}

impl Repository {
    /// Copies a backup to another store, as it is stored, so no keys are needed: every pack that its manifest names, index,
    /// `.sha256`, records, and the manifest last. Each pack is hashed on its way and published only if it has the digest
    /// that the manifest says; then it is read back. The manifest itself is read a second time before it is written.
    ///
    /// What is there already is kept if it has the right bytes. So a copy that was interrupted is taken up, and one that
    /// is whole costs only the reading of it; with [`ReadBack::No`] the lengths of packs are compared instead, and nothing
    /// is read back but the manifest.
    ///
    /// The `.sha256` is written as the manifest says, also where it is missing or damaged here.
    ///
    /// # Errors
    /// See [`CopyError`]. The backup does not exist at the other store then, unless it was there before; or the cause is
    /// [`RepositoryError::Unknown`], or somebody removed it meanwhile. Whole packs stay there for the next time.
    pub fn copy_to(
        &self,
        to: &Self,
        id: &BackupId,
        read_back: ReadBack,
        watch: &dyn CopyWatch,
    ) -> Result<Copied, CopyError> {
        let copying = Copying {
            id,
            from: &**self.store(),
            to: &**to.store(),
            read_back,
            watch,
            copied: Copied::default(),
        };
        copying.run(self, to)
    }
}

struct Copying<'c> {
    id: &'c BackupId,
    from: &'c dyn Store,
    to: &'c dyn Store,
    read_back: ReadBack,
    watch: &'c dyn CopyWatch,
    copied: Copied,
}

impl Copying<'_> {
    fn run(mut self, from: &Repository, to: &Repository) -> Result<Copied, CopyError> {
        let (json, sidecar) = from
            .read_sidecar_text(self.id)
            .map_err(|source| self.failed_from(source))?;
        let packs = sidecar.packs();
        let keys: Vec<ObjectKey> = packs
            .iter()
            .map(|pack| ObjectKey::from_valid(pack.name.clone()))
            .collect();
        self.refuse_too_long(packs)?;
        // Before anything is written: another backup of that name stays as it is.
        let manifest = names::manifest_key(self.id);
        let is_present = self.has(&manifest, Sha256Digest::of(&json), json.len() as u64)?;
        to.refuse_removed(self.id, [])
            .map_err(|source| self.failed_to(source))?;

        self.watch.planned(packs.iter().map(|pack| pack.bytes).sum());
        let volumes = keys.iter().filter(|key| self.is_own_volume(key)).count();
        if volumes > 1 && !is_present {
            self.intend(volumes)?;
        }
        let is_foreign = |pack: &&Pack| !pack.name.starts_with(&format!("{}.", self.id));
        let foreign: Vec<Pack> = packs.iter().filter(is_foreign).cloned().collect();
        let is_sharing = !foreign.is_empty() && !is_present;
        if is_sharing {
            self.intend_uses(to, &foreign)?;
        }
        for (pack, key) in packs.iter().zip(&keys) {
            self.copy_pack(pack, key)?;
        }
        if let Sidecar::Sealed(sealed) = &sidecar {
            self.copy_beside(&names::index_beside(sealed))?;
        }
        self.copy_checksums(packs, &keys)?;
        self.copy_records()?;

        self.refuse_cancelled()?;
        self.refuse_changed(&manifest, &json)?;
        // Somebody who removes such a backup may have taken what was found here.
        let refuse_removed = || {
            to.refuse_removed(self.id, &keys)
                .map_err(|source| self.failed_to(source))
        };
        refuse_removed()?;
        if is_present {
            to.end_volumes(self.id, volumes);
            self.copied.present.push(manifest);
            return Ok(self.copied);
        }
        publish_manifest(self.to, self.id, &manifest, &json).map_err(|source| match source {
            RepositoryError::Exists { key, .. } => self.taken(&key),
            source => self.failed_to(source),
        })?;
        refuse_removed()?;
        to.end_volumes(self.id, volumes);
        if is_sharing {
            to.refuse_without_uses(self.id)
                .map_err(|source| self.failed_to(source))?;
            // What this leaves is litter, and no reason to fail.
            let _ = self.to.delete(&names::uses_key(self.id));
        }
        self.copied.bytes += json.len() as u64;
        self.copied.written.push(manifest);
        Ok(self.copied)
    }

    fn is_own_volume(&self, key: &ObjectKey) -> bool {
        VolumeName::of(key.as_str()).is_some() && object_role(key).is_some_and(|(id, _)| id == *self.id)
    }

    fn refuse_too_long(&self, packs: &[Pack]) -> Result<(), CopyError> {
        let Some(bytes_max) = self.to.object_bytes_max() else {
            return Ok(());
        };
        match packs.iter().find(|pack| pack.bytes > bytes_max) {
            None => Ok(()),
            Some(pack) => Err(CopyError::TooLong {
                key: ObjectKey::from_valid(pack.name.clone()),
                bytes: pack.bytes,
                location: self.to.location(),
                bytes_max,
            }),
        }
    }

    /// Says which volume is going to be the last, so that nobody takes those before it for all. A copy that was
    /// interrupted may have said so.
    fn intend(&self, volumes: usize) -> Result<(), CopyError> {
        let last = u32::try_from(volumes).unwrap_or(u32::MAX);
        for key in [names::volumes_key(self.id), names::last_volume_key(self.id, last)] {
            match put(self.to, &key, b"{}\n") {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(self.failed_to(error.into())),
                _ => {}
            }
        }
        Ok(())
    }

    /// Says which packs of other backups are going to be named, so that nobody who removes those deletes what was found
    /// or copied here. A copy that was interrupted may have said so.
    fn intend_uses(&self, to: &Repository, packs: &[Pack]) -> Result<(), CopyError> {
        match put(self.to, &names::uses_key(self.id), &uses_json(packs)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(self.failed_to(error.into())),
            _ => {}
        }
        to.refuse_swept(packs).map_err(|source| self.failed_to(source))
    }

    fn copy_pack(&mut self, pack: &Pack, key: &ObjectKey) -> Result<(), CopyError> {
        let PackId::Sha256(sha256) = pack.id else {
            return Err(self.damaged(key));
        };
        if self.has(key, sha256, pack.bytes)? {
            self.watch.advanced(pack.bytes);
            self.copied.present.push(key.clone());
            return Ok(());
        }
        let reader = self
            .from
            .read(key, None)
            .map_err(|error| self.failed_from(error.into()))?;
        let advance = |bytes| self.watch.advanced(bytes);
        self.write(key, reader, sha256, pack.bytes, &advance)?;
        self.note(key, pack.bytes);
        Ok(())
    }

    /// What is beside the packs of each backup: one line for each of its packs.
    fn copy_checksums(&mut self, packs: &[Pack], keys: &[ObjectKey]) -> Result<(), CopyError> {
        let checksums: BTreeSet<ObjectKey> = keys.iter().map(names::checksum_key).collect();
        for checksum in checksums {
            if object_role(&checksum).is_none_or(|(id, _)| id != *self.id) {
                // Of another backup, whose other packs are not known here.
                self.copy_beside(&checksum)?;
                continue;
            }
            let lines = packs.iter().zip(keys).filter_map(|(pack, key)| match pack.id {
                PackId::Sha256(sha256) if names::checksum_key(key) == checksum => {
                    Some(checksum_line(&sha256, &pack.name))
                }
                _ => None,
            });
            self.put_small(&checksum, &lines.collect::<String>().into_bytes())?;
        }
        Ok(())
    }

    fn copy_records(&mut self) -> Result<(), CopyError> {
        let beside = self
            .from
            .list(&format!("{}.", self.id))
            .map_err(|error| self.failed_from(error.into()))?;
        for object in beside {
            // The id of another backup may begin with this one and a dot.
            if object_role(&object.key).is_some_and(|(id, role)| id == *self.id && role == ObjectRole::Record) {
                self.copy_beside(&object.key)?;
            }
        }
        Ok(())
    }

    /// Copies a small object of which no manifest knows the digest, if there is one.
    fn copy_beside(&mut self, key: &ObjectKey) -> Result<(), CopyError> {
        let bytes = match read_small(self.from, key, MANIFEST_TEXT_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(self.failed_from(error)),
        };
        self.refuse_changed(key, &bytes)?;
        self.put_small(key, &bytes)
    }

    /// Reads again what no digest tells right from wrong.
    fn refuse_changed(&self, key: &ObjectKey, bytes: &[u8]) -> Result<(), CopyError> {
        match read_small(self.from, key, MANIFEST_TEXT_BYTES_MAX) {
            Ok(again) if again == bytes => Ok(()),
            Ok(_) => Err(CopyError::Changed {
                key: key.clone(),
                location: self.from.location(),
            }),
            Err(error) => Err(self.failed_from(error)),
        }
    }

    fn put_small(&mut self, key: &ObjectKey, bytes: &[u8]) -> Result<(), CopyError> {
        let (sha256, length) = (Sha256Digest::of(bytes), bytes.len() as u64);
        if self.has(key, sha256, length)? {
            self.copied.present.push(key.clone());
            return Ok(());
        }
        self.write(key, bytes, sha256, length, &|_| {})?;
        self.note(key, length);
        Ok(())
    }

    fn note(&mut self, key: &ObjectKey, bytes: u64) {
        self.copied.written.push(key.clone());
        self.copied.bytes += bytes;
    }

    /// Writes an object and publishes it only if it has that digest.
    fn write(
        &self,
        key: &ObjectKey,
        reader: impl Read,
        sha256: Sha256Digest,
        bytes: u64,
        advance: &dyn Fn(u64),
    ) -> Result<(), CopyError> {
        let mut object = match self.to.create(key) {
            Ok(object) => object,
            Err(error) => return self.believe_if_there(key, sha256, bytes, error),
        };
        let mut hasher = Sha256Hasher::new();
        let mut length = 0;
        self.each_piece(reader, |piece| {
            let piece = piece.map_err(|error| self.failed_from(Error::io("read", key.as_str(), error).into()))?;
            length += piece.len() as u64;
            if length > bytes {
                return Err(self.damaged(key));
            }
            hasher.update(piece);
            object.append(piece).map_err(|error| self.failed_to(error.into()))?;
            advance(piece.len() as u64);
            Ok(())
        })?;
        if length != bytes || hasher.finish() != sha256 {
            return Err(self.damaged(key));
        }
        match object.publish() {
            Err(error) => self.believe_if_there(key, sha256, bytes, error),
            Ok(_) if self.read_back == ReadBack::No || self.digest(key)? == sha256 => Ok(()),
            Ok(_) => {
                // It is ours, and in the way of the next attempt.
                let _ = self.to.delete(key);
                Err(self.failed_to(RepositoryError::ReadBack { key: key.clone() }))
            }
        }
    }

    /// The answer may be lost and the object there; or somebody else copies the same backup.
    fn believe_if_there(
        &self,
        key: &ObjectKey,
        sha256: Sha256Digest,
        bytes: u64,
        error: Error,
    ) -> Result<(), CopyError> {
        match self.has(key, sha256, bytes) {
            Ok(true) => Ok(()),
            Err(taken @ CopyError::Taken { .. }) => Err(taken),
            Ok(false) | Err(_) => Err(self.failed_to(error.into())),
        }
    }

    /// Whether the object is at the other store; it must have these bytes then.
    fn has(&self, key: &ObjectKey, sha256: Sha256Digest, bytes: u64) -> Result<bool, CopyError> {
        let size = match self.to.head(key) {
            Ok(found) => found.size,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.failed_to(error.into())),
        };
        let is_pack = object_role(key).is_some_and(|(_, role)| role == ObjectRole::Pack);
        let is_believed = self.read_back == ReadBack::No && is_pack;
        if size == bytes && (is_believed || self.digest(key)? == sha256) {
            Ok(true)
        } else {
            Err(self.taken(key))
        }
    }

    /// The digest of an object at the other store.
    fn digest(&self, key: &ObjectKey) -> Result<Sha256Digest, CopyError> {
        let reader = self.to.read(key, None).map_err(|error| self.failed_to(error.into()))?;
        let mut hasher = Sha256Hasher::new();
        self.each_piece(reader, |piece| {
            let piece = piece.map_err(|error| self.failed_to(Error::io("read", key.as_str(), error).into()))?;
            hasher.update(piece);
            Ok(())
        })?;
        Ok(hasher.finish())
    }

    fn each_piece(
        &self,
        mut reader: impl Read,
        mut each: impl FnMut(io::Result<&[u8]>) -> Result<(), CopyError>,
    ) -> Result<(), CopyError> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            self.refuse_cancelled()?;
            match reader.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(length) => each(Ok(&piece[..length]))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => each(Err(error))?,
            }
        }
    }

    fn refuse_cancelled(&self) -> Result<(), CopyError> {
        if self.watch.is_cancelled() {
            Err(CopyError::Cancelled)
        } else {
            Ok(())
        }
    }

    fn failed_from(&self, source: RepositoryError) -> CopyError {
        CopyError::From {
            id: self.id.clone(),
            location: self.from.location(),
            source: source.into(),
        }
    }

    fn failed_to(&self, source: RepositoryError) -> CopyError {
        CopyError::To {
            id: self.id.clone(),
            location: self.to.location(),
            source: source.into(),
        }
    }

    fn damaged(&self, key: &ObjectKey) -> CopyError {
        CopyError::Damaged {
            key: key.clone(),
            location: self.from.location(),
        }
    }

    fn taken(&self, key: &ObjectKey) -> CopyError {
        CopyError::Taken {
            key: key.clone(),
            location: self.to.location(),
        }
    }
}
