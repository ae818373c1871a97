mod ending;

use std::io::Read as _;

use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::id::BackupId;
use crate::manifest::{Pack, PackId, SealedManifest, Sidecar};
use crate::seal::Sealer;
use crate::store::{Error, ErrorKind, ObjectKey, Store};

use super::pending::{put, read_again, taken};
use super::{Repository, RepositoryError, Seals, checksum_line, names, object_role};

pub(super) use ending::Rekeyings;
use ending::{Claim, Intended};

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
    /// exist between the two manifests, for as long as one write takes. What a crash left in between is ended here before
    /// anything else, by reading the new packs again. What it left before or later, nobody can tell from what another process
    /// is about: [`Repository::remove_litter`] ends it when it is seven days old, forward from the second intent on, else
    /// back; [`Repository::take_over_rekeying`] at once.
    ///
    /// # Errors
    /// The backup does not exist, is not sealed ([`RepositoryError::NotSealed`]), or no key at hand opens it; another
    /// backup needs its packs ([`RepositoryError::Shared`]); it is being sealed anew or removed, or that was interrupted
    /// ([`RepositoryError::Exists`] with the intent or tombstone); somebody ended what was begun
    /// ([`RepositoryError::Superseded`]); those of the store and of sealing. The backup is then as it was, unless it was
    /// removed, or the store failed after the second intent was written.
    pub fn rekey(&self, id: &BackupId, seals: &Seals) -> Result<Rekeyed, RepositoryError> {
        self.finish_rekeying(id)?;
        let Sidecar::Sealed(old) = self.read_sidecar(id)? else {
            return Err(RepositoryError::NotSealed { id: id.clone() });
        };
        self.refuse_shared(&old)?;
        // That it opens, and is this backup, is seen before anything is written.
        let clear = self.open_sealed(&old)?.clear_store().clone();
        self.refuse_ending(id)?;
        let begun = names::rekey_begun_key(id);
        // Random, so that it is known again.
        let mark = format!("{{\"mark\":\"{}\"}}\n", seals.packs.new_digest_key().reveal()).into_bytes();
        let intended = put(&**self.store(), &begun, &mark)
            .map_err(|error| taken(error, id, &begun))
            .and_then(|()| self.write_anew(&*clear, &old, seals))
            .and_then(|manifest| self.intend(Intended::new(manifest), &mark));
        let intended = match intended {
            Ok(intended) => intended,
            Err(error) => {
                // What this leaves is litter.
                let _ = self.give_up_rekeying(&old, &mark);
                return Err(error);
            }
        };
        let removed = self.replace_sealed(&intended, &Claim::Begun(mark))?;
        Ok(Rekeyed {
            manifest: intended.manifest,
            removed,
        })
    }

    /// Writes the second intent, and looks behind it that nobody is about to take back or to remove what it names.
    fn intend(&self, intended: Intended, mark: &[u8]) -> Result<Intended, RepositoryError> {
        let store = &**self.store();
        let id = &intended.manifest.id;
        let intent = names::rekey_key(id);
        let written = put(store, &intent, &intended.json);
        if let Err(error) = &written
            && error.kind() == ErrorKind::AlreadyExists
        {
            return Err(RepositoryError::Exists {
                id: id.clone(),
                key: intent,
            });
        }
        let looked = written
            .map_err(RepositoryError::from)
            .and_then(|()| self.refuse_ending(id))
            .and_then(|()| self.refuse_without(id, &Claim::Begun(mark.to_vec())))
            .and_then(|()| self.refuse_incomplete(&intended.manifest));
        match looked {
            Ok(()) => Ok(intended),
            Err(error) => {
                // Nothing was replaced here. But somebody else may be about that, and needs the intent.
                if let Ok(false) = self.is_being_replaced(id, mark) {
                    let _ = store.delete(&intent);
                }
                Err(error)
            }
        }
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
            let (sha256, bytes) = seal_anew(clear, &from, store, &key, &*seals.packs)?;
            lines.push_str(&checksum_line(&sha256, key.as_str()));
            packs.push(Pack {
                id: PackId::Sha256(sha256),
                name: key.to_string(),
                bytes,
            });
        }
        if let Some(first) = packs.first() {
            let checksum = names::checksum_key(&ObjectKey::from_valid(first.name.clone()));
            put(store, &checksum, lines.as_bytes())?;
            read_again(store, &checksum, Sha256Digest::of(lines.as_bytes()))?;
        }
        let index = names::index_beside(old);
        let to = rekeyed(index.as_str(), seals.index.method());
        match seal_anew(clear, &index, store, &to, &*seals.index) {
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
            scope: old.scope.clone(),
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
    object.publish()?;
    let sha256 = hasher.finish();
    read_again(store, to, sha256)?;
    Ok((sha256, bytes))
}
