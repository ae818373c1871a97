use std::fmt;

use backstay_store_supabase::{FileAttributes, FileBucket};
use serde::{Deserialize, Serialize};

use crate::error::FilesError;
use crate::manifest::Part;

/// A file by its bucket and its path in it; `Display` has no control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct FileName {
    /// Id of the bucket.
    pub bucket: String,
    /// Path in the bucket.
    pub name: String,
}

impl FileName {
    pub(crate) fn new(bucket: &str, name: &str) -> Self {
        Self {
            bucket: bucket.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}/{}", self.bucket, self.name);
        f.write_str(&text.replace(char::is_control, "\u{fffd}"))
    }
}

/// A file in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FileEntry {
    /// Which.
    pub file: FileName,
    /// Id of its row in `storage.objects`, as it was listed.
    pub id: Option<String>,
    /// When it was last written, as it was listed.
    pub updated_at: Option<String>,
    /// The tag of its content, as it was listed.
    pub etag: Option<String>,
    /// The version that was read.
    pub object_version: Option<String>,
    /// Its length in bytes.
    pub size: u64,
    /// Digest of its content.
    pub sha256: String,
    /// What is told of it beside its content.
    pub attributes: FileAttributes,
    /// Its content, piece by piece.
    pub parts: Vec<Part>,
}

/// A line of a listing.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Bucket(FileBucket),
    File(FileEntry),
    WithoutFile(FileName),
}

/// All that a backup of files has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilesListing {
    /// The buckets, by id.
    pub buckets: Vec<FileBucket>,
    /// The files, by bucket and name.
    pub files: Vec<FileEntry>,
    /// Files that the project listed, and whose content was not there.
    pub without_file: Vec<FileName>,
}

impl FilesListing {
    /// As lines of JSON.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, FilesError> {
        let mut text = Vec::new();
        let buckets = self.buckets.iter().cloned().map(Line::Bucket);
        let files = self.files.iter().cloned().map(Line::File);
        let without = self.without_file.iter().cloned().map(Line::WithoutFile);
        for line in buckets.chain(files).chain(without) {
            serde_json::to_writer(&mut text, &line).map_err(FilesError::Document)?;
            text.push(b'\n');
        }
        Ok(text)
    }

    /// From lines of JSON; `Err` tells which one is none.
    pub(crate) fn decode(text: &[u8]) -> Result<Self, String> {
        let mut listing = Self::default();
        for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
            match serde_json::from_slice(line) {
                Ok(Line::Bucket(bucket)) => listing.buckets.push(bucket),
                Ok(Line::File(file)) => listing.files.push(file),
                Ok(Line::WithoutFile(file)) => listing.without_file.push(file),
                Err(error) => return Err(format!("line {} of the listing: {error}", index + 1)),
            }
        }
        Ok(listing)
    }
}
