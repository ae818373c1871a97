use std::io::Read as _;

use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::id::BackupId;
use crate::manifest::{Pack, PackId, SealedManifest, Sidecar, sidecar_from_json};
use crate::seal::Sealer;
use crate::store::{Error, ErrorKind, ObjectKey, Store};

use super::pending::{discard, publish_manifest, put, read_again, taken};
use super::{Repository, RepositoryError, Seals, checksum_line, names, object_role, read_small};

/// The longest manifest of a sealed backup that is read: it has no list of members.
const SIDECAR_BYTES_MAX: u64 = 16 << 20;
const PIECE_BYTES: usize = 1 << 20;

/// What sealing a backup anew did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rekeyed {
    /// What stands beside it now.
    pub manifest: SealedManifest,
    /// What was sealed otherwise and is gone.
    pub removed: Vec<ObjectKey>,
}

impl Repository {
    /// Seals a backup anew, to others than before, without any database: what is in it stays the same, byte for byte.
    ///
    /// A first intent says that it is under way; new packs are written beside the old ones and read back; a second intent
    /// says what is to stand beside them; then the manifest is replaced and the old packs are deleted. The backup does not
    /// exist between the two manifests, for as long as one write takes. After a crash the next call, or
    /// [`Repository::remove_litter`], ends it: forward from the second intent on, else back.
    ///
    /// # Errors
    /// The backup does not exist, is not sealed ([`RepositoryError::NotSealed`]), or no key at hand opens it; another
    /// backup needs its packs ([`RepositoryError::Shared`]); it is being sealed anew already, or that was interrupted
    /// ([`RepositoryError::Exists`] with the intent); those of the store and of sealing. The backup is then as it was,
    /// unless the store failed after the second intent was written.
    pub fn rekey(&self, id: &BackupId, seals: &Seals) -> Result<Rekeyed, RepositoryError> {
        self.finish_rekeying(id)?;
        let Sidecar::Sealed(old) = self.read_sidecar(id)? else {
            return Err(RepositoryError::NotSealed { id: id.clone() });
        };
        self.refuse_shared(&old)?;
        // That it opens, and is this backup, is seen before anything is written.
        let clear = self.open_sealed(&old)?.clear_store().clone();
        let store = &**self.store();
        let begun = names::rekey_begun_key(id);
        put(store, &begun, b"{}\n").map_err(|error| taken(error, id, &begun))?;
        let mut written = vec![begun];
        let made = self.write_anew(&*clear, &old, seals, &mut written);
        let manifest = match made {
            Ok(manifest) => manifest,
            Err(error) => {
                discard(store, &written);
                return Err(error);
            }
        };
        let intent = names::rekey_key(id);
        // Where it fails, it may be there all the same, so what it names must stay.
        put(store, &intent, &manifest.to_json())?;
        let removed = self.finish_rekeying(id)?;
        Ok(Rekeyed {
            manifest,
            removed: removed.unwrap_or_default(),
        })
    }

    /// Ends what a crash interrupted after the intent was written; gives what was deleted, `None` where there is no
    /// intent.
    ///
    /// # Errors
    /// Those of the store; what is left is ended the next time.
    pub fn finish_rekeying(&self, id: &BackupId) -> Result<Option<Vec<ObjectKey>>, RepositoryError> {
        let store = &**self.store();
        let intent = names::rekey_key(id);
        let json = match read_small(store, &intent, SIDECAR_BYTES_MAX) {
            Ok(json) => json,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let refused = |source| RepositoryError::Manifest {
            key: intent.clone(),
            source,
        };
        let Sidecar::Sealed(new) = sidecar_from_json(&json).map_err(refused)? else {
            return Err(RepositoryError::NotSealed { id: id.clone() });
        };
        if new.id != *id {
            return Err(RepositoryError::ForeignManifest {
                key: intent,
                id: new.id,
            });
        }
        for pack in &new.packs {
            // Without all of the new packs nothing of the old may go.
            store.head(&ObjectKey::from_valid(pack.name.clone()))?;
        }
        let manifest = names::manifest_key(id);
        match read_small(store, &manifest, SIDECAR_BYTES_MAX) {
            Ok(present) if present == json => {}
            Ok(_) => {
                store.delete(&manifest)?;
                publish_manifest(store, id, &manifest, &json)?;
            }
            Err(error) if error.is_not_found() => publish_manifest(store, id, &manifest, &json)?,
            Err(error) => return Err(error),
        }
        let present = new.packs.first().map(|pack| names::generation(id, &pack.name));
        let removed = self.delete_sealed_but(id, present)?;
        store.delete(&intent)?;
        store.delete(&names::rekey_begun_key(id))?;
        Ok(Some(removed))
    }

    /// Takes back what was begun and did not come to its second intent; where it did, goes forward.
    pub(super) fn end_rekeying(&self, id: &BackupId) -> Result<(), RepositoryError> {
        if self.finish_rekeying(id)?.is_some() {
            return Ok(());
        }
        if let Sidecar::Sealed(sealed) = self.read_sidecar(id)? {
            let present = sealed.packs.first().map(|pack| names::generation(id, &pack.name));
            self.delete_sealed_but(id, present)?;
        }
        Ok(self.store().delete(&names::rekey_begun_key(id))?)
    }

    /// Deletes the sealed objects of a backup that are of another generation.
    fn delete_sealed_but(&self, id: &BackupId, present: Option<u32>) -> Result<Vec<ObjectKey>, RepositoryError> {
        let mut removed = Vec::new();
        for object in self.store().list(&format!("{id}."))? {
            // The id of another backup may begin with this one and a dot.
            let is_of_this = object_role(&object.key).is_some_and(|(found, _)| found == *id);
            let is_other = Some(names::generation(id, object.key.as_str())) != present;
            if is_of_this && is_other && present.is_some() && names::is_sealed_part(&object.key) {
                self.store().delete(&object.key)?;
                removed.push(object.key);
            }
        }
        Ok(removed)
    }

    /// The backups whose sealing anew was begun, or interrupted, not later than that.
    pub(super) fn half_rekeyed(&self, not_later_unix_secs: i64) -> Result<Vec<BackupId>, Error> {
        let intents = self.store().list(names::INTENTS)?;
        let old = intents
            .iter()
            .filter(|object| object.modified_unix_secs <= not_later_unix_secs);
        let mut ids: Vec<BackupId> = old.filter_map(|object| names::rekey_id(&object.key)).collect();
        ids.dedup();
        Ok(ids)
    }

    /// Fails where another backup's manifest names one of the packs, or cannot be read, or where one is another's.
    fn refuse_shared(&self, sealed: &SealedManifest) -> Result<(), RepositoryError> {
        for pack in &sealed.packs {
            // While the manifest is replaced, nothing would name the pack, and whoever removes its backup would delete it.
            let key = ObjectKey::from_valid(pack.name.clone());
            match object_role(&key) {
                Some((id, _)) if id == sealed.id => {}
                Some((id, _)) => return Err(RepositoryError::Shared { key, id }),
                None => return Err(RepositoryError::PackGoing { key }),
            }
        }
        for backup in self.list()?.backups {
            if backup.id == sealed.id {
                continue;
            }
            let other = match self.read_sidecar(&backup.id) {
                Err(error) if error.is_not_found() => continue,
                other => other?,
            };
            let shared = other
                .packs()
                .iter()
                .find(|pack| sealed.packs.iter().any(|own| own.name == pack.name));
            if let Some(pack) = shared {
                return Err(RepositoryError::Shared {
                    key: ObjectKey::from_valid(pack.name.clone()),
                    id: backup.id,
                });
            }
        }
        Ok(())
    }

    /// Writes the packs, their `.sha256` and the index, sealed otherwise, under names of their own, and reads them back.
    fn write_anew(
        &self,
        clear: &dyn Store,
        old: &SealedManifest,
        seals: &Seals,
        written: &mut Vec<ObjectKey>,
    ) -> Result<SealedManifest, RepositoryError> {
        let store = &**self.store();
        let generation = old
            .packs
            .iter()
            .map(|pack| names::generation(&old.id, &pack.name))
            .max()
            .unwrap_or(1)
            + 1;
        let method = seals.packs.method();
        let rekeyed = |name: &str, method| names::rekeyed(&old.id, name, generation, method);
        let mut packs = Vec::new();
        let mut lines = String::new();
        for pack in &old.packs {
            let key = rekeyed(&pack.name, method);
            let from = ObjectKey::from_valid(pack.name.clone());
            let (sha256, bytes) = seal_anew(clear, &from, store, &key, &*seals.packs, written)?;
            lines.push_str(&checksum_line(&sha256, key.as_str()));
            packs.push(Pack {
                id: PackId::Sha256(sha256),
                name: key.to_string(),
                bytes,
            });
        }
        if let Some(first) = packs.first() {
            let checksum = names::checksum_key(&ObjectKey::from_valid(first.name.clone()));
            written.push(checksum.clone());
            put(store, &checksum, lines.as_bytes())?;
            read_again(store, &checksum, Sha256Digest::of(lines.as_bytes()))?;
        }
        let index = names::index_beside(old);
        let to = rekeyed(index.as_str(), seals.index.method());
        match seal_anew(clear, &index, store, &to, &*seals.index, written) {
            Ok(_) => {}
            // A backup without its index is still a whole one.
            Err(RepositoryError::Store(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(SealedManifest {
            writer: old.writer.clone(),
            id: old.id.clone(),
            taken_at: old.taken_at,
            tags: old.tags.clone(),
            keep_until: old.keep_until,
            method,
            recipients: seals.packs.recipients(),
            source: old.source,
            packs,
        })
    }
}

/// Reads an object in clear and writes it sealed; reads back what is stored, and gives its digest and length.
fn seal_anew(
    clear: &dyn Store,
    from: &ObjectKey,
    store: &dyn Store,
    to: &ObjectKey,
    sealer: &dyn Sealer,
    written: &mut Vec<ObjectKey>,
) -> Result<(Sha256Digest, u64), RepositoryError> {
    let mut reader = clear.read(from, None)?;
    let mut sealing = sealer.begin()?;
    let mut object = store.create(to)?;
    let mut hasher = Sha256Hasher::new();
    let mut bytes = 0;
    let mut piece = vec![0; PIECE_BYTES];
    let mut out = Vec::new();
    let mut write = |out: &mut Vec<u8>| {
        object.append(out)?;
        hasher.update(out);
        bytes += out.len() as u64;
        out.clear();
        Ok::<(), Error>(())
    };
    loop {
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => sealing.seal(&piece[..length], &mut out)?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read", from.as_str(), error).into()),
        }
        write(&mut out)?;
    }
    sealing.finish(&mut out)?;
    write(&mut out)?;
    // If the answer is lost, it may be there.
    written.push(to.clone());
    object.publish()?;
    let sha256 = hasher.finish();
    read_again(store, to, sha256)?;
    Ok((sha256, bytes))
}
