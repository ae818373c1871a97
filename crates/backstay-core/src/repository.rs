//! The handle to the backups in a store: naming, write order and read-back live here and nowhere else.

mod copy;
mod drill;
mod log;
mod names;
mod pending;
mod pruning;
mod reader;
mod records;
mod rekey;
mod removal;
mod reuse;
mod survey;
mod volumes;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use flate2::read::GzDecoder;
use jiff::Timestamp;

use crate::codec::CodecError;
use crate::id::BackupId;
use crate::manifest::{
    MANIFEST_TEXT_BYTES_MAX, Manifest, ManifestError, SealedManifest, Sidecar, from_json, sidecar_from_json,
};
use crate::pack::{PackError, VOLUMES_MAX, WritePackError, open_pack};
use crate::retention::HoldFacts;
use crate::seal::{ClearStore, SealError, SealMethod, Sealer, Unsealer};
use crate::store::{Error, ErrorKind, ObjectKey, ObjectMeta, Store};

pub use copy::{Copied, CopyError, CopyWatch};
pub use drill::{DrillEvidence, DrillHoldings, DrillPhase};
pub use log::{Deed, LogEntry, LogFilter, LogItem, Outcome, UnknownLogWord};
pub use names::{ObjectRole, checksum_line, checksum_name, object_role, parse_checksums};
pub use pending::{PendingBackup, PublishedBackup, ReadBack};
pub use pruning::Pruning;
pub use reader::BackupReader;
pub use records::{
    Hold, LEVEL_QUICK, LEVEL_RULES, NotedFinding, NotedFindings, NotedProof, Proof, ProofSummary, Standing, Statement,
};
pub use rekey::Rekeyed;
pub use removal::{Litter, LitterItem, Removal};
pub use survey::Survey;

use volumes::VolumeIntents;

/// The backups in one store.
///
/// A backup exists exactly when its manifest exists. Cloning is cheap; all methods may be called from several threads.
#[derive(Clone, Debug)]
pub struct Repository {
    store: Arc<dyn Store>,
    seals: Option<Seals>,
    /// The store with sealed objects in clear, where there are keys. Clones share what is open in it.
    clear: Option<Arc<ClearStore>>,
    volume_bytes_max: Option<u64>,
}

/// With what new backups are sealed.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the two kinds of sealed objects of a backup")]
pub struct Seals {
    /// Packs: to those who may restore.
    pub packs: Arc<dyn Sealer>,
    /// The index: to the same, and perhaps to the host that makes the backups, which then can compare one with another
    /// and still open no pack.
    pub index: Arc<dyn Sealer>,
}

/// What one listing tells of a backup, without reading anything.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupSummary {
    /// Its id.
    pub id: BackupId,
    /// Bytes of the packs that bear its name.
    pub pack_bytes: u64,
    /// Names of the packs that bear its name.
    pub packs: Vec<ObjectKey>,
    /// Bytes of its manifest.
    pub manifest_bytes: u64,
    /// Whether there is a `.sha256` beside it.
    pub has_checksum: bool,
    /// Names of the records about it (proofs, holds, releases).
    pub records: Vec<ObjectKey>,
}

impl BackupSummary {
    /// The proofs about it, newest first, as their names tell them.
    #[must_use]
    pub fn proofs(&self) -> Vec<ProofSummary> {
        let mut proofs: Vec<ProofSummary> = self.records.iter().filter_map(ProofSummary::of_name).collect();
        proofs.sort_by_key(|proof| std::cmp::Reverse(proof.at));
        proofs
    }

    /// The records of drills with it and their times, oldest first, as their names tell them.
    #[must_use]
    pub fn drills(&self) -> Vec<(Timestamp, ObjectKey)> {
        let drills = self.records.iter();
        drills
            .filter_map(|record| Some((names::drill_time(record)?, record.clone())))
            .collect()
    }

    /// Whether somebody held it at any time.
    #[must_use]
    pub fn was_held(&self) -> bool {
        self.records
            .iter()
            .any(|record| names::record_kind(record) == Some(records::HOLD))
    }
}

/// What is in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// Backups, by prefix and then by time.
    pub backups: Vec<BackupSummary>,
    /// Packs without a manifest: a backup that was interrupted before its last step, or whose manifest was lost; of volumes
    /// the last. They can be opened by their path; nothing here deletes them.
    pub adoptable: Vec<ObjectKey>,
    /// Backups of which some volumes are there and the last is not: somebody writes them, or was interrupted.
    pub unfinished: Vec<BackupId>,
}

impl Repository {
    /// The backups in that store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            seals: None,
            clear: None,
            volume_bytes_max: None,
        }
    }

    /// The same, sealing the backups that are made.
    #[must_use]
    pub fn with_seals(self, seals: Seals) -> Self {
        Self {
            seals: Some(seals),
            ..self
        }
    }

    /// Whether the backups that are made are sealed.
    #[must_use]
    pub fn is_sealing(&self) -> bool {
        self.seals.is_some()
    }

    /// The same, cutting packs between members into volumes of at most so many bytes; of less where the store takes less.
    #[must_use]
    pub fn with_volume_bytes_max(self, bytes_max: Option<u64>) -> Self {
        Self {
            volume_bytes_max: bytes_max,
            ..self
        }
    }

    /// The same, with keys to the backups that are sealed.
    #[must_use]
    pub fn with_unsealer(self, unsealer: Arc<dyn Unsealer>) -> Self {
        Self {
            clear: Some(Arc::new(ClearStore::new(Arc::clone(&self.store), unsealer))),
            ..self
        }
    }

    /// The store itself.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The store in which sealed objects are read in clear, as far as there are keys.
    #[must_use]
    pub fn clear_store(&self) -> Arc<dyn Store> {
        match &self.clear {
            None => Arc::clone(&self.store),
            Some(clear) => Arc::<ClearStore>::clone(clear),
        }
    }

    /// Lists the backups; costs one listing of the store and no read.
    ///
    /// # Errors
    /// Those of the store.
    pub fn list(&self) -> Result<Listing, Error> {
        Ok(Listing::of(&self.store.list("")?))
    }

    /// Reads and checks what stands beside the packs of a backup: its manifest or, where it is sealed, what may stand in
    /// clear of that.
    ///
    /// # Errors
    /// The backup does not exist (then [`RepositoryError::is_not_found`]), the store fails, or the manifest is refused.
    pub fn read_sidecar(&self, id: &BackupId) -> Result<Sidecar, RepositoryError> {
        Ok(self.read_sidecar_text(id)?.1)
    }

    /// The same, and the text that it was read from.
    fn read_sidecar_text(&self, id: &BackupId) -> Result<(Vec<u8>, Sidecar), RepositoryError> {
        let key = names::manifest_key(id);
        let json = read_small(&*self.store, &key, MANIFEST_TEXT_BYTES_MAX)?;
        let sidecar = sidecar_from_json(&json).map_err(|source| RepositoryError::Manifest {
            key: key.clone(),
            source,
        })?;
        if sidecar.id() == id {
            Ok((json, sidecar))
        } else {
            let id = sidecar.id().clone();
            Err(RepositoryError::ForeignManifest { key, id })
        }
    }

    /// Reads and checks the manifest of a backup; that of a sealed one from its index or, where that cannot be read, from
    /// its pack.
    ///
    /// # Errors
    /// Those of [`Repository::read_sidecar`]; [`RepositoryError::Sealed`].
    pub fn read_manifest(&self, id: &BackupId) -> Result<Manifest, RepositoryError> {
        match self.read_sidecar(id)? {
            Sidecar::Plain(manifest) => Ok(*manifest),
            Sidecar::Sealed(sealed) => match self.read_index(&sealed) {
                Ok(manifest) => Ok(manifest),
                Err(_) => Ok(self.open_sealed(&sealed)?.manifest().clone()),
            },
        }
    }

    /// Opens a backup for reading.
    ///
    /// # Errors
    /// Those of [`Repository::read_sidecar`]; for a sealed one [`RepositoryError::Sealed`], and those of reading its pack.
    pub fn open(&self, id: &BackupId) -> Result<BackupReader, RepositoryError> {
        match self.read_sidecar(id)? {
            Sidecar::Plain(manifest) => {
                let store = Arc::clone(&self.store);
                Ok(BackupReader::new(Arc::clone(&store), store, *manifest))
            }
            Sidecar::Sealed(sealed) => self.open_sealed(&sealed),
        }
    }

    /// Opens a sealed backup by the manifest in its last pack.
    fn open_sealed(&self, sealed: &SealedManifest) -> Result<BackupReader, RepositoryError> {
        let last = sealed.packs.last().map(|pack| pack.name.clone()).unwrap_or_default();
        let key = ObjectKey::from_valid(last);
        let clear = self.clear_for(&key, &sealed.recipients)?;
        let pack = open_pack(&*clear, &key).map_err(|source| RepositoryError::Pack {
            key: key.clone(),
            source,
        })?;
        let manifest = with_packs(pack.manifest, sealed)?;
        Ok(BackupReader::new(Arc::clone(&self.store), clear, manifest))
    }

    fn read_index(&self, sealed: &SealedManifest) -> Result<Manifest, RepositoryError> {
        let key = names::index_beside(sealed);
        let clear = self.clear_for(&key, &sealed.recipients)?;
        let compressed = read_small(&*clear, &key, MANIFEST_TEXT_BYTES_MAX)?;
        let mut json = Vec::new();
        // One byte more than may be is refused when it is read as JSON.
        GzDecoder::new(&compressed[..])
            .take(MANIFEST_TEXT_BYTES_MAX + 1)
            .read_to_end(&mut json)
            .map_err(|source| Error::io("read", key.as_str(), source))?;
        let manifest = from_json(&json).map_err(|source| RepositoryError::Manifest { key, source })?;
        with_packs(manifest, sealed)
    }

    /// The store in which an object of that name can be read in clear.
    fn clear_for(&self, key: &ObjectKey, recipients: &[String]) -> Result<Arc<dyn Store>, RepositoryError> {
        match (SealMethod::of_name(key.as_str()), &self.clear) {
            (None, _) | (Some(_), Some(_)) => Ok(self.clear_store()),
            (Some(_), None) => Err(RepositoryError::Sealed {
                key: key.clone(),
                recipients: recipients.to_vec(),
            }),
        }
    }
}

impl Listing {
    /// What the names of all objects of a store tell.
    pub(crate) fn of(objects: &[ObjectMeta]) -> Self {
        let mut found: BTreeMap<BackupId, (BackupSummary, bool)> = BTreeMap::new();
        for object in objects {
            let Some((id, role)) = object_role(&object.key) else {
                continue;
            };
            let (summary, has_manifest) = found.entry(id.clone()).or_insert_with(|| {
                let summary = BackupSummary {
                    id,
                    pack_bytes: 0,
                    packs: Vec::new(),
                    manifest_bytes: 0,
                    has_checksum: false,
                    records: Vec::new(),
                };
                (summary, false)
            });
            match role {
                ObjectRole::Manifest => {
                    *has_manifest = true;
                    summary.manifest_bytes = object.size;
                }
                ObjectRole::Pack => {
                    summary.pack_bytes = summary.pack_bytes.saturating_add(object.size);
                    summary.packs.push(object.key.clone());
                }
                ObjectRole::Checksum => summary.has_checksum = true,
                ObjectRole::Index => {}
                ObjectRole::Record => summary.records.push(object.key.clone()),
            }
        }
        let intents = VolumeIntents::of(objects);
        let mut listing = Self::default();
        for (summary, has_manifest) in found.into_values() {
            if has_manifest {
                listing.backups.push(summary);
            } else if intents.is_unfinished(&summary.id) {
                listing.unfinished.push(summary.id);
            } else {
                listing.adoptable.extend(names::without_earlier_volumes(summary.packs));
            }
        }
        listing
    }
}

/// The manifest of a sealed backup, with the packs as they are stored.
fn with_packs(mut manifest: Manifest, sealed: &SealedManifest) -> Result<Manifest, RepositoryError> {
    let key = names::manifest_key(&sealed.id);
    // Names and digests are of the packs as they were sealed first, and what is in them has digests of its own.
    if manifest.id != sealed.id || manifest.packs.len() != sealed.packs.len() {
        return Err(RepositoryError::ForeignManifest { key, id: manifest.id });
    }
    manifest.packs.clone_from(&sealed.packs);
    Ok(manifest)
}

/// Reads an object of at most `bytes_max` bytes into memory.
fn read_small(store: &dyn Store, key: &ObjectKey, bytes_max: u64) -> Result<Vec<u8>, RepositoryError> {
    let size = store.head(key)?.size;
    if size > bytes_max {
        return Err(RepositoryError::TooLarge {
            key: key.clone(),
            bytes: size,
            bytes_max,
        });
    }
    Ok(crate::pack::read_whole(store, key, size)?)
}

/// Why something could not be done with the backups of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// A manifest is refused.
    #[error("{key} cannot be used")]
    Manifest {
        /// Name of the manifest.
        key: ObjectKey,
        /// Why.
        source: ManifestError,
    },
    /// A manifest bears another backup's id.
    #[error("{key} is the manifest of another backup, {id}")]
    ForeignManifest {
        /// Name of the manifest.
        key: ObjectKey,
        /// The id that it states.
        id: BackupId,
    },
    /// It is sealed, and there is no key at hand.
    #[error("{key} is encrypted, and no key was given{}", stated(.recipients))]
    Sealed {
        /// Name of the pack.
        key: ObjectKey,
        /// Who can open it, as far as that is known.
        recipients: Vec<String>,
    },
    /// It cannot be sealed anew, because it is not sealed.
    #[error("{id} is not encrypted, so there are no keys to change")]
    NotSealed {
        /// The backup.
        id: BackupId,
    },
    /// It cannot be sealed anew, because another backup needs its packs as they are.
    #[error("{key} is needed by {id} too, and cannot be encrypted anew")]
    Shared {
        /// The pack.
        key: ObjectKey,
        /// The other backup.
        id: BackupId,
    },
    /// Something could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// An object is larger than it may be.
    #[error("{key} has {bytes} bytes, more than the {bytes_max} that are allowed")]
    TooLarge {
        /// Its name.
        key: ObjectKey,
        /// Its size.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// A backup of that id, or a part of one, is there already.
    #[error("a backup called {id} exists already ({key})")]
    Exists {
        /// The id.
        id: BackupId,
        /// What was found.
        key: ObjectKey,
    },
    /// Somebody ended what was begun of sealing it anew.
    #[error("somebody else ended what was begun of encrypting {id} anew")]
    Superseded {
        /// The backup.
        id: BackupId,
    },
    /// Several things failed, each by itself; the rest was done.
    #[error("{} things failed, and the rest was done:\n{}", .errors.len(), in_lines(.errors))]
    Several {
        /// Why, in this order; more than one.
        errors: Vec<RepositoryError>,
    },
    /// What the store gives back is not what was written.
    #[error("{key} reads back differently from what was written; it was not made a backup")]
    ReadBack {
        /// Its name.
        key: ObjectKey,
    },
    /// The store lost its answer when the manifest was published, and does not tell whether it is there.
    #[error("it is unknown whether {key} was written: look at it again when the store answers")]
    Unknown {
        /// Name of the manifest.
        key: ObjectKey,
        /// What happened.
        source: Error,
    },
    /// A volume was opened, and only the last one has the manifest.
    #[error("{key} does not end with a manifest: {}", last_volume(.last.as_ref()))]
    NotLastVolume {
        /// Name of the volume.
        key: ObjectKey,
        /// The last one that is beside it, if one is.
        last: Option<ObjectKey>,
    },
    /// What may not be cut is longer than a volume may be.
    #[error("{what} takes {bytes} bytes, more than the {bytes_max} that a volume may have")]
    VolumeTooSmall {
        /// What it is.
        what: String,
        /// How long it is, compressed.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// The backup would have more volumes than can be named.
    #[error("the backup does not fit into {VOLUMES_MAX} volumes of {bytes_max} bytes")]
    TooManyVolumes {
        /// The bound.
        bytes_max: u64,
    },
    /// A pack or member could not be read.
    #[error("{key} cannot be read")]
    Pack {
        /// Name of the pack.
        key: ObjectKey,
        /// Why.
        source: PackError,
    },
    /// Somebody holds it.
    #[error("{id} is held{hold}")]
    Held {
        /// The backup.
        id: BackupId,
        /// Who, and why.
        hold: HoldFacts,
    },
    /// There is a tombstone: somebody removes it, or was interrupted.
    #[error("{id} is being removed, or that was interrupted")]
    BeingRemoved {
        /// The backup.
        id: BackupId,
    },
    /// Somebody deletes packs that this backup was going to name, or has done so.
    #[error("{key} is gone or about to go, so no new backup can rely on it")]
    PackGoing {
        /// The pack, or the intent to use packs.
        key: ObjectKey,
    },
    /// Members of sealed backups have digests under keys of their own.
    #[error("{id} is encrypted, so it cannot share members with other backups")]
    SealedReuse {
        /// The new backup.
        id: BackupId,
    },
    /// A small object is not what its name says.
    #[error("{key} cannot be read")]
    Unreadable {
        /// Its name.
        key: ObjectKey,
    },
    /// A member could not be compressed.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Each error with its causes, since none of several is the cause of all.
fn in_lines(errors: &[RepositoryError]) -> String {
    let line = |error: &RepositoryError| {
        let first: &dyn std::error::Error = error;
        let chain = std::iter::successors(Some(first), |error| error.source());
        chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn last_volume(last: Option<&ObjectKey>) -> String {
    last.map_or_else(
        || "it is cut short, or the volumes behind it are not there".to_owned(),
        |last| format!("it is one of several volumes; open the last one, {last}"),
    )
}

fn stated(recipients: &[String]) -> String {
    if recipients.is_empty() {
        String::new()
    } else {
        format!(" (it is for: {})", recipients.join(", "))
    }
}

impl From<WritePackError> for RepositoryError {
    fn from(error: WritePackError) -> Self {
        match error {
            WritePackError::Store(error) => Self::Store(error),
            WritePackError::Seal(error) => Self::Seal(error),
        }
    }
}

impl RepositoryError {
    /// Whether what was asked for does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Store(error) if error.kind() == ErrorKind::NotFound)
    }
}
