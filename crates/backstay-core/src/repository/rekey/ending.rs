//! How sealing anew comes to its end: by who began it, or by somebody else where that was interrupted.
//!
//! Nobody can lock a store. So who began looks behind the second intent for one to end it, and who ends it looks behind that
//! one for the second. Whoever is later sees the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::BackupId;
use crate::manifest::{MANIFEST_TEXT_BYTES_MAX, PackId, SealedManifest, Sidecar, sidecar_from_json};
use crate::store::{ErrorKind, ObjectKey, ObjectMeta};

use crate::repository::names::RekeyIntent;
use crate::repository::pending::{publish_and_look, put, read_again};
use crate::repository::{ObjectRole, Repository, RepositoryError, names, object_role, read_small};

/// The longest manifest of a sealed backup that is read: it has no list of members.
const SIDECAR_BYTES_MAX: u64 = 16 << 20;
/// The longest first intent that can be the own one.
const MARK_BYTES_MAX: u64 = 1 << 10;

/// The manifest that is to be, as the second intent has it.
pub(super) struct Intended {
    pub(super) json: Vec<u8>,
    pub(super) manifest: SealedManifest,
}

impl Intended {
    pub(super) fn new(manifest: SealedManifest) -> Self {
        Self {
            json: manifest.to_json(),
            manifest,
        }
    }
}

/// By what somebody replaces and deletes. It is looked at right before each such step: a process may sleep for days, and
/// others end then what it began.
pub(super) enum Claim {
    /// The own first intent is there, with these bytes.
    Begun(Vec<u8>),
    /// The intent to end what another began is there.
    Ending,
}

impl Repository {
    /// Ends what was interrupted between the two manifests; does nothing where there is no second intent. Where a manifest
    /// stands, whoever began may be about to delete it, or the intents, and would delete what came after them.
    pub(super) fn finish_rekeying(&self, id: &BackupId) -> Result<(), RepositoryError> {
        let intent = names::rekey_key(id);
        if !self.is_there(&intent)? {
            return Ok(());
        }
        let exists = |key| RepositoryError::Exists { id: id.clone(), key };
        if self.is_there(&names::manifest_key(id))? {
            Err(exists(intent))
        } else if self.end_rekeying(id, false)? {
            Ok(())
        } else {
            Err(exists(names::rekey_removal_key(id)))
        }
    }

    /// Ends at once that the backup is sealed anew, for a caller who knows that whoever began it is not going to: forward
    /// from the second intent on, else back. Gives whether there was something to end. Somebody who is about it after all
    /// finds that, loses nothing, and fails with [`RepositoryError::Superseded`].
    ///
    /// # Errors
    /// Somebody removes the backup ([`RepositoryError::Exists`] with the tombstone); what is to be kept is not whole; those of
    /// the store.
    pub fn take_over_rekeying(&self, id: &BackupId) -> Result<bool, RepositoryError> {
        for intent in [
            names::rekey_begun_key(id),
            names::rekey_key(id),
            names::rekey_removal_key(id),
        ] {
            if self.is_there(&intent)? {
                return self.end_rekeying(id, true);
            }
        }
        Ok(false)
    }

    /// Ends what was begun and is not going to be ended by who began it: forward where there is the second intent and all
    /// that it names, else back. Gives whether it did; where somebody else is about it, nothing is done.
    pub(in crate::repository) fn end_rekeying(&self, id: &BackupId, end_begun: bool) -> Result<bool, RepositoryError> {
        let store = &**self.store();
        let ending = names::rekey_removal_key(id);
        match put(store, &ending, b"{}\n") {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if !end_begun {
                    return Ok(false);
                }
            }
            other => other?,
        }
        let ended = self.end_as_it_stands(id);
        // Also where that failed, so that the next try need not wait.
        let deleted = store.delete(&ending);
        ended?;
        deleted?;
        Ok(true)
    }

    /// Takes back what this process began.
    pub(super) fn give_up_rekeying(&self, old: &SealedManifest, mark: &[u8]) -> Result<(), RepositoryError> {
        let id = &old.id;
        if !self.is_there(&names::rekey_key(id))? && !self.is_there(&names::manifest_key(id))? {
            // The backup was removed, and what was written since then may be unknown to who did that.
            for key in self.sealed_parts(id, |found| Some(found) > generation_of(old))? {
                self.store().delete(&key)?;
            }
            return Ok(());
        }
        // Otherwise somebody else took it back, and what is there may be another's.
        self.refuse_without(id, &Claim::Begun(mark.to_vec()))?;
        self.end_rekeying(id, false).map(drop)
    }

    /// Whether somebody else deleted the manifest, to replace it by what the own second intent says.
    pub(super) fn is_being_replaced(&self, id: &BackupId, mark: &[u8]) -> Result<bool, RepositoryError> {
        if self.is_there(&names::manifest_key(id))? || self.is_there(&names::tombstone_key(id))? {
            return Ok(false);
        }
        match self.refuse_without(id, &Claim::Begun(mark.to_vec())) {
            Ok(()) => Ok(true),
            Err(RepositoryError::Superseded { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn end_as_it_stands(&self, id: &BackupId) -> Result<(), RepositoryError> {
        self.refuse_tombstone(id)?;
        let intended = self.intended(id)?;
        // Who takes it back deletes the first intent before anything else, so the second alone says nothing.
        let is_begun = self.is_there(&names::rekey_begun_key(id))?;
        let Some(intended) = intended.filter(|_| is_begun) else {
            return self.take_back(id, self.sidecar_if_there(id)?.as_ref());
        };
        let error = match self.refuse_damaged(&intended.manifest) {
            Ok(()) => return self.replace_sealed(&intended, &Claim::Ending).map(drop),
            Err(error) => error,
        };
        let is_damaged = error.is_not_found() || matches!(error, RepositoryError::ReadBack { .. });
        match self.sidecar_if_there(id)? {
            Some(present) if is_damaged && present != Sidecar::Sealed(intended.manifest) => {
                self.take_back(id, Some(&present))
            }
            _ => Err(error),
        }
    }

    fn sidecar_if_there(&self, id: &BackupId) -> Result<Option<Sidecar>, RepositoryError> {
        match self.read_sidecar(id) {
            Ok(present) => Ok(Some(present)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts the new manifest in the place of the old one, deletes what was sealed before, and both intents; gives what it
    /// deleted of the backup.
    pub(super) fn replace_sealed(&self, intended: &Intended, claim: &Claim) -> Result<Vec<ObjectKey>, RepositoryError> {
        let store = &**self.store();
        let Intended { json, manifest: new } = intended;
        let id = &new.id;
        let manifest = names::manifest_key(id);
        match read_small(store, &manifest, SIDECAR_BYTES_MAX) {
            Ok(present) if present == *json => {}
            Ok(_) => {
                // Who began it deletes the second intent again where he found that to end it.
                if !self.is_there(&names::rekey_key(id))? {
                    return Err(RepositoryError::Superseded { id: id.clone() });
                }
                self.refuse_without(id, claim)?;
                store.delete(&manifest)?;
                self.publish_sealed(intended, claim)?;
            }
            Err(error) if error.is_not_found() => self.publish_sealed(intended, claim)?,
            Err(error) => return Err(error),
        }
        // Behind the manifest: who removes a backup writes the tombstone before deleting anything.
        if let Err(error) = self.refuse_tombstone(id).and_then(|()| self.refuse_incomplete(new)) {
            // Another manifest stands there where it was sealed anew again since others ended this.
            if self.is_all_gone(new)? && read_small(store, &manifest, SIDECAR_BYTES_MAX)? == *json {
                store.delete(&manifest)?;
            }
            return Err(error);
        }
        if matches!(claim, Claim::Begun(_)) && self.is_there(&names::rekey_removal_key(id))? {
            // Somebody found the second intent, and may be replacing the manifest by the same; the rest is left to him.
            return Ok(Vec::new());
        }
        let generation = generation_of(new);
        let older = self.sealed_parts(id, |found| Some(found) < generation)?;
        let intents = [names::rekey_key(id), names::rekey_begun_key(id)];
        self.delete_by(id, claim, older.iter().chain(&intents))?;
        Ok(older)
    }

    fn publish_sealed(&self, intended: &Intended, claim: &Claim) -> Result<(), RepositoryError> {
        let store = &**self.store();
        let id = &intended.manifest.id;
        let key = names::manifest_key(id);
        let published = publish_and_look(store, id, &key, &intended.json);
        if matches!(published, Err(RepositoryError::ReadBack { .. })) {
            // What stands there is the own one, or that of who sealed it anew since others ended this.
            self.refuse_without(id, claim)?;
            store.delete(&key)?;
        }
        published
    }

    /// Deletes what was sealed beside what the manifest names, and the intents.
    fn take_back(&self, id: &BackupId, present: Option<&Sidecar>) -> Result<(), RepositoryError> {
        let mut gone = vec![names::rekey_begun_key(id)];
        // Without a manifest nothing tells which packs count.
        if let Some(Sidecar::Sealed(present)) = present {
            self.refuse_incomplete(present)?;
            let generation = generation_of(present);
            gone.extend(self.sealed_parts(id, |found| Some(found) != generation)?);
        }
        gone.push(names::rekey_key(id));
        self.delete_by(id, &Claim::Ending, &gone)
    }

    /// The sealed objects of a backup that are of such a generation.
    fn sealed_parts(&self, id: &BackupId, is: impl Fn(u32) -> bool) -> Result<Vec<ObjectKey>, RepositoryError> {
        let mut parts = Vec::new();
        for object in self.store().list(&format!("{id}."))? {
            // The id of another backup may begin with this one and a dot.
            let is_of_this = object_role(&object.key).is_some_and(|(found, _)| found == *id);
            if is_of_this && names::is_sealed_part(&object.key) && is(names::generation(id, object.key.as_str())) {
                parts.push(object.key);
            }
        }
        Ok(parts)
    }

    /// Deletes these in order, each while the claim lasts.
    fn delete_by<'k>(
        &self,
        id: &BackupId,
        claim: &Claim,
        keys: impl IntoIterator<Item = &'k ObjectKey>,
    ) -> Result<(), RepositoryError> {
        for key in keys {
            self.refuse_without(id, claim)?;
            self.store().delete(key)?;
        }
        Ok(())
    }

    /// The second intent.
    fn intended(&self, id: &BackupId) -> Result<Option<Intended>, RepositoryError> {
        let key = names::rekey_key(id);
        let json = match read_small(&**self.store(), &key, SIDECAR_BYTES_MAX) {
            Ok(json) => json,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        match sidecar_from_json(&json) {
            Ok(Sidecar::Sealed(manifest)) if manifest.id == *id => Ok(Some(Intended { json, manifest })),
            Ok(Sidecar::Sealed(other)) => Err(RepositoryError::ForeignManifest { key, id: other.id }),
            Ok(Sidecar::Plain(_)) => Err(RepositoryError::NotSealed { id: id.clone() }),
            Err(source) => Err(RepositoryError::Manifest { key, source }),
        }
    }

    /// Fails where the claim does not last.
    pub(super) fn refuse_without(&self, id: &BackupId, claim: &Claim) -> Result<(), RepositoryError> {
        let lasts = match claim {
            Claim::Begun(mark) => match read_small(&**self.store(), &names::rekey_begun_key(id), MARK_BYTES_MAX) {
                Ok(found) => found == *mark,
                Err(error) if error.is_not_found() => false,
                Err(error) => return Err(error),
            },
            Claim::Ending => self.is_there(&names::rekey_removal_key(id))?,
        };
        if lasts {
            Ok(())
        } else {
            Err(RepositoryError::Superseded { id: id.clone() })
        }
    }

    /// Fails where somebody removes the backup, or ends that it is sealed anew.
    pub(super) fn refuse_ending(&self, id: &BackupId) -> Result<(), RepositoryError> {
        self.refuse_tombstone(id)?;
        self.refuse_found(id, names::rekey_removal_key(id))
    }

    fn refuse_tombstone(&self, id: &BackupId) -> Result<(), RepositoryError> {
        self.refuse_found(id, names::tombstone_key(id))
    }

    fn refuse_found(&self, id: &BackupId, key: ObjectKey) -> Result<(), RepositoryError> {
        if self.is_there(&key)? {
            Err(RepositoryError::Exists { id: id.clone(), key })
        } else {
            Ok(())
        }
    }

    /// Fails where a pack is not there, or has another length.
    pub(super) fn refuse_incomplete(&self, sealed: &SealedManifest) -> Result<(), RepositoryError> {
        for pack in &sealed.packs {
            let key = ObjectKey::from_valid(pack.name.clone());
            if self.store().head(&key)?.size != pack.bytes {
                return Err(RepositoryError::ReadBack { key });
            }
        }
        Ok(())
    }

    /// Fails where a pack does not read as it was written. Nothing older may go then.
    fn refuse_damaged(&self, sealed: &SealedManifest) -> Result<(), RepositoryError> {
        self.refuse_incomplete(sealed)?;
        for pack in &sealed.packs {
            let key = ObjectKey::from_valid(pack.name.clone());
            match pack.id {
                PackId::Sha256(sha256) => read_again(&**self.store(), &key, sha256)?,
                PackId::Own => return Err(RepositoryError::ReadBack { key }),
            }
        }
        Ok(())
    }

    /// Whether a removal was cut off that had deleted packs of the new manifest, which was put there since it began.
    pub(in crate::repository) fn is_removed_in_part(&self, id: &BackupId) -> Result<bool, RepositoryError> {
        let Some(Intended { json, manifest }) = self.intended(id)? else {
            return Ok(false);
        };
        if read_small(&**self.store(), &names::manifest_key(id), MANIFEST_TEXT_BYTES_MAX)? != json {
            return Ok(false);
        }
        match self.refuse_incomplete(&manifest) {
            Ok(()) => Ok(false),
            Err(error) if error.is_not_found() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether a removal deleted all packs: they are gone, and the tombstone is there or the second intent went too.
    fn is_all_gone(&self, sealed: &SealedManifest) -> Result<bool, RepositoryError> {
        for pack in &sealed.packs {
            if self.is_there(&ObjectKey::from_valid(pack.name.clone()))? {
                return Ok(false);
            }
        }
        Ok(self.is_there(&names::tombstone_key(&sealed.id))? || !self.is_there(&names::rekey_key(&sealed.id))?)
    }

    fn is_there(&self, key: &ObjectKey) -> Result<bool, RepositoryError> {
        match self.store().head(key) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The number in the names of the packs.
fn generation_of(sealed: &SealedManifest) -> Option<u32> {
    sealed
        .packs
        .first()
        .map(|pack| names::generation(&sealed.id, &pack.name))
}

/// The backups that are being sealed anew, or of which that was interrupted.
pub(in crate::repository) struct Rekeyings(BTreeMap<BackupId, Rekeying>);

#[derive(Default)]
struct Rekeying {
    /// When the newest of its intents and sealed objects was written.
    newest: Option<i64>,
    intents: Vec<RekeyIntent>,
    generations: BTreeSet<u32>,
    has_manifest: bool,
}

impl Rekeying {
    /// Whether there is anything to end. Who writes while another takes that back may leave objects without an intent.
    fn is_begun(&self) -> bool {
        !self.intents.is_empty() || (self.has_manifest && self.generations.len() > 1)
    }

    /// Whether a manifest is to be published, and none is there.
    fn is_urgent(&self) -> bool {
        self.intents.contains(&RekeyIntent::Replace) && !self.has_manifest
    }
}

impl Rekeyings {
    pub(in crate::repository) fn of(objects: &[ObjectMeta]) -> Self {
        let mut found: BTreeMap<BackupId, Rekeying> = BTreeMap::new();
        for object in objects {
            let modified = Some(object.modified_unix_secs);
            if let Some((id, intent)) = names::rekey_intent(&object.key) {
                let rekeying = found.entry(id).or_default();
                rekeying.newest = rekeying.newest.max(modified);
                rekeying.intents.push(intent);
            } else if let Some((id, role)) = object_role(&object.key) {
                let generation = names::generation(&id, object.key.as_str());
                let rekeying = found.entry(id).or_default();
                if role == ObjectRole::Manifest {
                    rekeying.has_manifest = true;
                } else if names::is_sealed_part(&object.key) {
                    rekeying.newest = rekeying.newest.max(modified);
                    rekeying.generations.insert(generation);
                }
            }
        }
        found.retain(|_, rekeying| rekeying.is_begun());
        Self(found)
    }

    pub(in crate::repository) fn has(&self, id: &BackupId) -> bool {
        self.0.contains_key(id)
    }

    /// Those of which nothing is newer than `unix_secs`, and whether somebody began to end them. Where a manifest is to be
    /// published and none is there, the backup does not exist until then, and whoever publishes it hinders nobody: so
    /// `urgent_unix_secs` counts.
    pub(in crate::repository) fn not_later(
        &self,
        unix_secs: i64,
        urgent_unix_secs: i64,
    ) -> impl Iterator<Item = (&BackupId, bool)> {
        let old = self.0.iter().filter(move |(_, rekeying)| {
            let bound = if rekeying.is_urgent() {
                urgent_unix_secs
            } else {
                unix_secs
            };
            rekeying.newest.is_none_or(|newest| newest <= bound)
        });
        old.map(|(id, rekeying)| (id, rekeying.intents.contains(&RekeyIntent::End)))
    }
}
