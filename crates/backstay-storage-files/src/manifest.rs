use backstay_core::Sha256Digest;
use serde::{Deserialize, Serialize};

/// The name and the version of what is written.
pub(crate) const FORMAT: &str = "backstay-storage-files";
pub(crate) const VERSION: u32 = 1;

/// A piece of content in an object of its own, which bears the digest of its stored bytes as its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a further field is a new version of the format"
)]
pub struct Part {
    /// Name of the object: the SHA-256 of its stored bytes, with `.age` or `.gpg` behind it where it is sealed.
    pub object: String,
    /// Length of the object in the store, in bytes.
    pub stored: u64,
    /// Length of what is in it, in bytes.
    pub bytes: u64,
}

/// What says that a backup of files is there, and what belongs to it. It is written last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FilesManifest {
    /// Always `backstay-storage-files`.
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// Its id.
    pub id: String,
    /// When the listing was begun, in RFC 3339.
    pub taken: String,
    /// How objects are sealed: `age`, `gpg`, or nothing.
    pub sealed: Option<String>,
    /// Who can open them.
    pub recipients: Vec<String>,
    /// Buckets of the project.
    pub buckets: u64,
    /// Files in it.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Rows whose files were not there.
    pub without_file: u64,
    /// Digest of the listing, in clear.
    pub listing_sha256: String,
    /// The listing, piece by piece.
    pub listing: Vec<Part>,
    /// Digest of the file that names every object, `ID.sha256`.
    pub checksums_sha256: String,
}

/// A digest in a document of ours.
pub(crate) fn digest(text: &str) -> Option<Sha256Digest> {
    text.parse().ok()
}
