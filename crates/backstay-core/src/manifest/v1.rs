//! The manifest as JSON, version 1. Only these types are seen by serde; `docs/format.md` is their reference.

/// The two directions between a small enum and its words.
macro_rules! words {
    ($to:ident, $from:ident, $type:ty, $field:literal, { $($word:literal = $variant:pat => $value:expr),+ $(,)? }) => {
        fn $to(value: $type) -> String {
            match value { $($variant => $word),+ }.to_owned()
        }
        fn $from(word: &str) -> Result<$type, ManifestError> {
            match word { $($word => Ok($value),)+ other => Err(invalid($field, other)) }
        }
    };
}

mod checks;
mod entries;
mod members;
mod source;
mod tables;

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter};

use super::{
    CheckValue, Entry, FORMAT_VERSION, Inconsistency, LargeObjects, MANIFEST_TEXT_BYTES_MAX, Manifest, Member,
    Omission, Pack, PackId, Refresh, Sequence, Source, Stage, Table,
};
use crate::digest::{DigestKey, RowDigest, parse_sum};
use crate::tag::Tag;
use crate::text::DbText;
use checks::CheckValueJson;
use entries::EntryJson;
use members::MemberJson;
use source::SourceJson;
use tables::TableJson;

/// Writes a manifest as one line of JSON in ASCII, ended by a line feed.
#[must_use]
pub fn to_json(manifest: &Manifest) -> Vec<u8> {
    ascii_json(&ManifestJson::from(manifest))
}

/// One line of JSON in ASCII, ended by a line feed.
pub(super) fn ascii_json(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, AsciiFormatter);
    let written = value.serialize(&mut serializer);
    // Neither the types nor a Vec as a target can fail.
    debug_assert!(written.is_ok(), "a manifest is always JSON: {written:?}");
    json.push(b'\n');
    json
}

/// Reads a manifest and checks that it is consistent in itself.
///
/// Fields that this program does not know are passed over; they are never lost, because a manifest is never written
/// anew. A field that may be `null` may also be missing.
///
/// # Errors
/// The text is over [`MANIFEST_TEXT_BYTES_MAX`], is no JSON, has another format version, lacks a field, or
/// contradicts itself.
pub fn from_json(json: &[u8]) -> Result<Manifest, ManifestError> {
    if json.len() as u64 > MANIFEST_TEXT_BYTES_MAX {
        return Err(ManifestError::TooLong);
    }
    check_version(json)?;
    let sealed: SealedJson = serde_json::from_slice(json).map_err(not_json)?;
    if sealed.sealed.is_some() {
        return Err(ManifestError::Sealed);
    }
    let wire: ManifestJson = serde_json::from_slice(json).map_err(not_json)?;
    let manifest = Manifest::try_from(wire)?;
    manifest.check_consistency()?;
    Ok(manifest)
}

/// Refuses what a newer program wrote.
pub(super) fn check_version(json: &[u8]) -> Result<(), ManifestError> {
    let version: VersionJson = serde_json::from_slice(json).map_err(not_json)?;
    match version.format {
        1..=FORMAT_VERSION => Ok(()),
        0 => Err(ManifestError::Unknown { found: 0 }),
        newer => Err(ManifestError::Newer { found: newer }),
    }
}

/// Why a text is not a manifest that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is longer than any manifest may be.
    #[error("the manifest is longer than {MANIFEST_TEXT_BYTES_MAX} bytes")]
    TooLong,
    /// It is not the text of a manifest member.
    #[error("the text is not a Backstay manifest")]
    NotEmbedded,
    /// It is not JSON of the right shape.
    #[error("the manifest cannot be read: {0}")]
    Json(String),
    /// A newer program wrote it.
    #[error("the manifest has format version {found}, this program reads up to {FORMAT_VERSION}: use a newer Backstay")]
    Newer {
        /// The version found.
        found: u32,
    },
    /// There never was such a version.
    #[error("the manifest has format version {found}, which does not exist")]
    Unknown {
        /// The version found.
        found: u32,
    },
    /// A value is not of its kind.
    #[error("the manifest has an invalid {field}: {value}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// It is what stands in clear of a sealed backup; the whole manifest is in the pack.
    #[error("the backup is encrypted, and this manifest has only what may stand in clear")]
    Sealed,
    /// It does not give itself again when it is written and read.
    #[error("the manifest reads differently from what was written")]
    Changed,
    /// Its parts contradict each other.
    #[error("the manifest contradicts itself: {0}")]
    Inconsistent(#[from] Inconsistency),
}

/// Writes strings in ASCII, with `\u` escapes for the rest, so that a manifest survives every transport.
struct AsciiFormatter;

impl Formatter for AsciiFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.is_ascii() && !fragment.contains('\u{7f}') {
            return CompactFormatter.write_string_fragment(writer, fragment);
        }
        for c in fragment.chars() {
            if c.is_ascii() && c != '\u{7f}' {
                writer.write_all(&[c as u8])?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct VersionJson {
    format: u32,
}

#[derive(Deserialize)]
struct SealedJson {
    sealed: Option<serde::de::IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
struct ManifestJson {
    format: u32,
    writer: String,
    id: String,
    kind: String,
    taken_at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_until: Option<Timestamp>,
    codec: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest_key: Option<String>,
    source: SourceJson,
    tables: Vec<TableJson>,
    sequences: Vec<SequenceJson>,
    large_objects: Option<LargeObjectsJson>,
    entries: Vec<EntryJson>,
    refreshes: Vec<NameJson>,
    omissions: Vec<OmissionJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left_out: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    check_values: Vec<CheckValueJson>,
    packs: Vec<PackJson>,
    members: Vec<MemberJson>,
}

#[derive(Serialize, Deserialize)]
struct SequenceJson {
    schema: String,
    name: String,
    last_value: i64,
    is_called: bool,
}

#[derive(Serialize, Deserialize)]
struct LargeObjectsJson {
    count: u64,
    bytes: u64,
    rows: u64,
    row_digest: String,
}

#[derive(Serialize, Deserialize)]
struct NameJson {
    schema: String,
    name: String,
}

#[derive(Serialize, Deserialize)]
struct OmissionJson {
    subject: String,
    reason: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PackJson {
    id: String,
    name: String,
    bytes: u64,
}

const OWN_PACK: &str = "self";

pub(super) fn invalid(field: &'static str, value: &str) -> ManifestError {
    ManifestError::Value {
        field,
        value: value.chars().take(80).collect(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
pub(super) fn not_json(error: serde_json::Error) -> ManifestError {
    // It quotes what it found, and a damaged manifest may hold a string of any length.
    ManifestError::Json(error.to_string().chars().take(200).collect())
}

words!(stage_word, stage_from, Stage, "stage", {
    "pre-data" = Stage::PreData => Stage::PreData,
    "post-data" = Stage::PostData => Stage::PostData,
    "privileges" = Stage::Privileges => Stage::Privileges,
    "last" = Stage::Last => Stage::Last,
});

pub(super) fn tag_words(tags: &[Tag]) -> Vec<String> {
    tags.iter().map(ToString::to_string).collect()
}

pub(super) fn tags_from(words: Vec<String>) -> Result<Vec<Tag>, ManifestError> {
    let tag = |word: String| word.parse().map_err(|_| invalid("tag", &word));
    words.into_iter().map(tag).collect()
}

fn text(json: &str) -> DbText {
    DbText::from_json(json)
}

fn digest_from(rows: u64, sum: &str) -> Result<RowDigest, ManifestError> {
    Ok(RowDigest::new(
        rows,
        parse_sum(sum).map_err(|_| invalid("row digest", sum))?,
    ))
}

impl From<&Manifest> for ManifestJson {
    fn from(m: &Manifest) -> Self {
        Self {
            // The lowest that can say it, so that earlier programs read what they can.
            format: if m.digest_key.is_some() || m.has_volumes() {
                2
            } else {
                1
            },
            writer: m.writer.clone(),
            id: m.id.to_string(),
            kind: "full".to_owned(),
            taken_at: m.taken_at,
            tags: tag_words(&m.tags),
            keep_until: m.keep_until,
            codec: m.codec.name().to_owned(),
            digest_key: m.digest_key.as_ref().map(DigestKey::reveal),
            source: SourceJson::from(&m.source),
            tables: m.tables.iter().map(TableJson::from).collect(),
            sequences: m
                .sequences
                .iter()
                .map(|s| SequenceJson {
                    schema: s.schema.to_json(),
                    name: s.name.to_json(),
                    last_value: s.last_value,
                    is_called: s.is_called,
                })
                .collect(),
            large_objects: m.large_objects.as_ref().map(|l| LargeObjectsJson {
                count: l.count,
                bytes: l.bytes,
                rows: l.digest.rows(),
                row_digest: l.digest.sum_hex(),
            }),
            entries: m.entries.iter().map(EntryJson::from).collect(),
            refreshes: m
                .refreshes
                .iter()
                .map(|r| NameJson {
                    schema: r.schema.to_json(),
                    name: r.name.to_json(),
                })
                .collect(),
            omissions: m
                .omissions
                .iter()
                .map(|o| OmissionJson {
                    subject: o.subject.clone(),
                    reason: o.reason.clone(),
                })
                .collect(),
            left_out: m.left_out.clone(),
            check_values: m.check_values.iter().map(CheckValueJson::from).collect(),
            packs: m.packs.iter().map(PackJson::from).collect(),
            members: m.members.iter().map(MemberJson::from).collect(),
        }
    }
}

impl From<&Pack> for PackJson {
    fn from(pack: &Pack) -> Self {
        Self {
            id: match pack.id {
                PackId::Own => OWN_PACK.to_owned(),
                PackId::Sha256(digest) => digest.to_string(),
            },
            name: pack.name.clone(),
            bytes: pack.bytes,
        }
    }
}

impl TryFrom<PackJson> for Pack {
    type Error = ManifestError;

    fn try_from(pack: PackJson) -> Result<Self, ManifestError> {
        let id = match pack.id.as_str() {
            OWN_PACK => PackId::Own,
            digest => PackId::Sha256(digest.parse().map_err(|_| invalid("pack id", digest))?),
        };
        Ok(Self {
            id,
            name: pack.name,
            bytes: pack.bytes,
        })
    }
}

impl TryFrom<ManifestJson> for Manifest {
    type Error = ManifestError;

    fn try_from(m: ManifestJson) -> Result<Self, ManifestError> {
        if m.kind != "full" {
            return Err(invalid("kind of backup", &m.kind));
        }
        Ok(Self {
            writer: m.writer,
            id: m.id.parse().map_err(|_| invalid("id", &m.id))?,
            taken_at: m.taken_at,
            tags: tags_from(m.tags)?,
            keep_until: m.keep_until,
            codec: m.codec.parse().map_err(|_| invalid("codec", &m.codec))?,
            digest_key: match m.digest_key {
                Some(key) => Some(key.parse().map_err(|_| invalid("digest key", "not shown"))?),
                None => None,
            },
            source: Source::try_from(m.source)?,
            tables: m.tables.into_iter().map(Table::try_from).collect::<Result<_, _>>()?,
            sequences: m
                .sequences
                .into_iter()
                .map(|s| Sequence {
                    schema: text(&s.schema),
                    name: text(&s.name),
                    last_value: s.last_value,
                    is_called: s.is_called,
                })
                .collect(),
            large_objects: m
                .large_objects
                .map(|l| {
                    Ok::<_, ManifestError>(LargeObjects {
                        count: l.count,
                        bytes: l.bytes,
                        digest: digest_from(l.rows, &l.row_digest)?,
                    })
                })
                .transpose()?,
            entries: m.entries.into_iter().map(Entry::try_from).collect::<Result<_, _>>()?,
            refreshes: m
                .refreshes
                .iter()
                .map(|r| Refresh {
                    schema: text(&r.schema),
                    name: text(&r.name),
                })
                .collect(),
            omissions: m
                .omissions
                .into_iter()
                .map(|o| Omission {
                    subject: o.subject,
                    reason: o.reason,
                })
                .collect(),
            left_out: m.left_out,
            check_values: m
                .check_values
                .into_iter()
                .map(CheckValue::try_from)
                .collect::<Result<_, _>>()?,
            packs: m.packs.into_iter().map(Pack::try_from).collect::<Result<_, _>>()?,
            members: m.members.into_iter().map(Member::try_from).collect::<Result<_, _>>()?,
        })
    }
}
