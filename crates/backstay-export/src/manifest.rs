//! What is written beside the file of an export, last, and makes it one.

use backstay_core::{Compression, Sha256Digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::ExportError;
use crate::id::ExportId;
use crate::request::ExportFormat;

/// The version of the manifest that is written, and the newest that is read.
const VERSION: u32 = 1;
/// The longest manifest that is read, in bytes.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// What an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportManifest {
    /// Its id.
    pub id: ExportId,
    /// When it was begun.
    pub taken_at: Timestamp,
    /// How rows are written.
    pub format: ExportFormat,
    /// How the file, or what is in it, is compressed.
    pub compression: Option<Compression>,
    /// To whom the file is sealed; `None` where it is in clear.
    pub seal: Option<ExportSeal>,
    /// How many rows it has.
    pub rows: u64,
    /// The name of the file, beside the manifest.
    pub file: String,
    /// Its length as it is stored, in bytes.
    pub bytes: u64,
    /// SHA-256 of the stored bytes.
    pub sha256: Sha256Digest,
    /// Its database, as [`ExportSource::fingerprint`](crate::ExportSource::fingerprint) tells it; `None` where its cluster is
    /// not known, and in what older versions wrote.
    pub source: Option<Sha256Digest>,
    /// What the file is of, where that may stand in clear: the file is not sealed.
    pub(crate) contents: Option<ContentsJson>,
    pub(crate) writer: String,
}

/// How a file is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExportSeal {
    /// `age` or `openpgp`.
    pub method: String,
    /// To whom; kinds or public keys, never a secret.
    pub recipients: Vec<String>,
}

/// What stands in clear of an export that is in clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContentsJson {
    pub(crate) database: String,
    /// `pg_current_snapshot()`: equal in the exports of one call.
    pub(crate) snapshot: String,
    /// The table or the query.
    pub(crate) of: String,
    pub(crate) columns: Vec<ColumnJson>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColumnJson {
    pub(crate) name: String,
    pub(crate) r#type: String,
}

#[derive(Serialize, Deserialize)]
struct ManifestJson {
    backstay_export: u32,
    writer: String,
    id: String,
    taken_at: Timestamp,
    format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compression: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encryption: Option<ExportSeal>,
    rows: u64,
    file: String,
    bytes: u64,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contents: Option<ContentsJson>,
}

/// What is read of any version.
#[derive(Deserialize)]
struct VersionJson {
    backstay_export: u32,
}

impl ExportManifest {
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let json = ManifestJson {
            backstay_export: VERSION,
            writer: self.writer.clone(),
            id: self.id.to_string(),
            taken_at: self.taken_at,
            format: self.format.to_string(),
            compression: self.compression.map(|compression| compression.to_string()),
            encryption: self.seal.clone(),
            rows: self.rows,
            file: self.file.clone(),
            bytes: self.bytes,
            sha256: self.sha256.to_string(),
            source: self.source.map(|source| source.to_string()),
            contents: self.contents.clone(),
        };
        // Strings and numbers always have a JSON text.
        let mut text = serde_json::to_vec_pretty(&json).unwrap_or_default();
        text.push(b'\n');
        text
    }

    pub(crate) fn parse(id: &ExportId, json: &[u8]) -> Result<Self, ExportError> {
        let wrong = |why: String| ExportError::Manifest { id: id.clone(), why };
        let version: VersionJson = serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))?;
        if version.backstay_export != VERSION {
            return Err(wrong(format!("it is of version {}", version.backstay_export)));
        }
        let json: ManifestJson = serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))?;
        let is_beside = ExportId::of_object(&json.file).is_some_and(|(of, _)| of == *id) && !json.file.contains('/');
        if json.id != id.to_string() || !is_beside {
            return Err(wrong("it is that of another export".to_owned()));
        }
        let compression = json.compression.map(|text| text.parse()).transpose();
        Ok(Self {
            id: id.clone(),
            taken_at: json.taken_at,
            format: json
                .format
                .parse()
                .map_err(|_| wrong(format!("format {:?}", json.format)))?,
            compression: compression.map_err(|error: backstay_core::InvalidCompression| wrong(error.to_string()))?,
            seal: json.encryption,
            rows: json.rows,
            file: json.file,
            bytes: json.bytes,
            sha256: json
                .sha256
                .parse()
                .map_err(|_| wrong("its SHA-256 is none".to_owned()))?,
            source: json
                .source
                .map(|source| source.parse())
                .transpose()
                .map_err(|_| wrong("its source is no SHA-256".to_owned()))?,
            contents: json.contents,
            writer: json.writer,
        })
    }
}
