//! The handle to the backups in a store: naming, write order and read-back live here and nowhere else.

mod names;
mod pending;
mod reader;
mod removal;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::CodecError;
use crate::id::BackupId;
use crate::manifest::{MANIFEST_TEXT_BYTES_MAX, Manifest, ManifestError, from_json};
use crate::pack::PackError;
use crate::store::{Error, ErrorKind, ObjectKey, Store};

pub use names::{ObjectRole, checksum_line, object_role, parse_checksums};
pub use pending::{PendingBackup, PublishedBackup, ReadBack};
pub use reader::BackupReader;
pub use removal::{Litter, LitterItem, Removal};

/// The backups in one store.
///
/// A backup exists exactly when its manifest exists. Cloning is cheap; all methods may be called from several threads.
#[derive(Clone, Debug)]
pub struct Repository {
    store: Arc<dyn Store>,
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

/// What is in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// Backups, by prefix and then by time.
    pub backups: Vec<BackupSummary>,
    /// Packs without a manifest: a backup that was interrupted before its last step, or whose manifest was lost. They
    /// can be opened by their path; nothing here deletes them.
    pub adoptable: Vec<ObjectKey>,
}

impl Repository {
    /// The backups in that store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The store itself.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Lists the backups; costs one listing of the store and no read.
    ///
    /// # Errors
    /// Those of the store.
    pub fn list(&self) -> Result<Listing, Error> {
        let mut found: BTreeMap<BackupId, (BackupSummary, bool)> = BTreeMap::new();
        for object in self.store.list("")? {
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
                    summary.packs.push(object.key);
                }
                ObjectRole::Checksum => summary.has_checksum = true,
                ObjectRole::Record => summary.records.push(object.key),
            }
        }
        let mut listing = Listing::default();
        for (summary, has_manifest) in found.into_values() {
            if has_manifest {
                listing.backups.push(summary);
            } else {
                listing.adoptable.extend(summary.packs);
            }
        }
        Ok(listing)
    }

    /// Reads and checks the manifest of a backup.
    ///
    /// # Errors
    /// The backup does not exist (then [`RepositoryError::is_not_found`]), the store fails, or the manifest is refused.
    pub fn read_manifest(&self, id: &BackupId) -> Result<Manifest, RepositoryError> {
        let key = names::manifest_key(id);
        let json = self.read_small(&key, MANIFEST_TEXT_BYTES_MAX)?;
        let manifest = from_json(&json).map_err(|source| RepositoryError::Manifest {
            key: key.clone(),
            source,
        })?;
        if manifest.id == *id {
            Ok(manifest)
        } else {
            Err(RepositoryError::ForeignManifest { key, id: manifest.id })
        }
    }

    /// Opens a backup for reading.
    ///
    /// # Errors
    /// Those of [`Repository::read_manifest`].
    pub fn open(&self, id: &BackupId) -> Result<BackupReader, RepositoryError> {
        Ok(BackupReader::new(Arc::clone(&self.store), self.read_manifest(id)?))
    }

    /// Reads an object of at most `bytes_max` bytes into memory.
    fn read_small(&self, key: &ObjectKey, bytes_max: u64) -> Result<Vec<u8>, RepositoryError> {
        let size = self.store.head(key)?.size;
        if size > bytes_max {
            return Err(RepositoryError::TooLarge {
                key: key.clone(),
                bytes: size,
                bytes_max,
            });
        }
        Ok(crate::pack::read_whole(&*self.store, key, size)?)
    }
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
    /// A pack or member could not be read.
    #[error("{key} cannot be read")]
    Pack {
        /// Name of the pack.
        key: ObjectKey,
        /// Why.
        source: PackError,
    },
    /// A member could not be compressed.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl RepositoryError {
    /// Whether what was asked for does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Store(error) if error.kind() == ErrorKind::NotFound)
    }
}
