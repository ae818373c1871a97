use backstay_core::seal::SealError;
use backstay_core::store::Error as StoreError;

use crate::listing::FileName;
use crate::repository::FilesId;

/// Why files were not backed up, verified or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The project's storage fails.
    #[error("the storage of the project fails")]
    Service(#[source] StoreError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Sealing or opening fails.
    #[error("cannot seal or open {subject}")]
    Seal {
        /// What.
        subject: String,
        /// Why.
        source: SealError,
    },
    /// There is no such backup.
    #[error("there is no backup of files {0} in the store")]
    NotFound(FilesId),
    /// There is none at all.
    #[error("there is no backup of files in the store")]
    Empty,
    /// There are those of several projects, and nothing says which is meant.
    #[error("there are backups of files of several projects in the store: {}", .0.join(", "))]
    Several(Vec<String>),
    /// The backup has no bucket that was named.
    #[error("the backup has no bucket {0}")]
    NoBucket(String),
    /// There is one of that name already.
    #[error("there is a backup of files {0} already")]
    Exists(FilesId),
    /// What is in the store is not what was written.
    #[error("{subject} is damaged: {why}")]
    Damaged {
        /// Which object.
        subject: String,
        /// What is wrong.
        why: String,
    },
    /// It was written by a later version of Backstay.
    #[error("{subject} has the format {version}, which this version of Backstay does not read")]
    Newer {
        /// Which object.
        subject: String,
        /// Its version.
        version: u32,
    },
    /// There are more contents than the names of one backup may tell; nothing was published.
    #[error("the files have {objects} contents, more than one backup can name")]
    TooMany {
        /// How many objects of the store they need.
        objects: usize,
    },
    /// A file was another one each time that it was read.
    #[error("{0} changes faster than it can be read")]
    KeepsChanging(FileName),
    /// A file could not be read; nothing was published.
    #[error("cannot read {file}")]
    Read {
        /// Which.
        file: FileName,
        /// Why.
        source: std::io::Error,
    },
    /// A document could not be written.
    #[error("cannot write a document")]
    Document(#[source] serde_json::Error),
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
}
