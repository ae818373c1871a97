//! The manifest as JSON, version 1. Only these types are seen by serde; `docs/format.md` is their reference.

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter};

use super::{
    Chunk, Column, DatabaseSetting, Entry, Extension, FORMAT_VERSION, Inconsistency, KeyConstraint, LargeObjects,
    MANIFEST_TEXT_BYTES_MAX, Manifest, Member, MemberContent, Omission, Pack, PackId, Persistence, Refresh, RowBlock,
    RowSecurity, Sequence, SnapshotFacts, Source, Span, Stage, Table, TableKind, TableRows,
};
use crate::digest::{RowDigest, parse_sum};
use crate::text::DbText;

/// Writes a manifest as one line of JSON in ASCII, ended by a line feed.
#[must_use]
pub fn to_json(manifest: &Manifest) -> Vec<u8> {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, AsciiFormatter);
    let written = ManifestJson::from(manifest).serialize(&mut serializer);
    // Neither the types nor a Vec as a target can fail.
    debug_assert!(written.is_ok(), "a manifest is always JSON: {written:?}");
    json.push(b'\n');
    json
}

/// Reads a manifest and checks that it is consistent in itself.
///
/// Fields that this program does not know are passed over; they are never lost, because a manifest is never written
/// anew.
///
/// # Errors
/// The text is over [`MANIFEST_TEXT_BYTES_MAX`], is no JSON, has another format version, lacks a field, or
/// contradicts itself.
pub fn from_json(json: &[u8]) -> Result<Manifest, ManifestError> {
    if json.len() as u64 > MANIFEST_TEXT_BYTES_MAX {
        return Err(ManifestError::TooLong);
    }
    let version: VersionJson = serde_json::from_slice(json).map_err(|e| ManifestError::Json(e.to_string()))?;
    match version.format {
        FORMAT_VERSION => {}
        newer if newer > FORMAT_VERSION => return Err(ManifestError::Newer { found: newer }),
        other => return Err(ManifestError::Unknown { found: other }),
    }
    let wire: ManifestJson = serde_json::from_slice(json).map_err(|e| ManifestError::Json(e.to_string()))?;
    let manifest = Manifest::try_from(wire)?;
    manifest.check_consistency()?;
    Ok(manifest)
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

#[derive(Serialize, Deserialize)]
struct ManifestJson {
    format: u32,
    writer: String,
    id: String,
    kind: String,
    taken_at: Timestamp,
    codec: String,
    source: SourceJson,
    tables: Vec<TableJson>,
    sequences: Vec<SequenceJson>,
    large_objects: Option<LargeObjectsJson>,
    entries: Vec<EntryJson>,
    refreshes: Vec<NameJson>,
    omissions: Vec<OmissionJson>,
    packs: Vec<PackJson>,
    members: Vec<MemberJson>,
}

#[derive(Serialize, Deserialize)]
struct SourceJson {
    server_version_num: u32,
    server_version: String,
    pg_dump_version: String,
    system_identifier: Option<u64>,
    database: String,
    owner: String,
    encoding: String,
    collate: String,
    ctype: String,
    locale_provider: String,
    provider_locale: Option<String>,
    icu_rules: Option<String>,
    settings: Vec<SettingJson>,
    extensions: Vec<ExtensionJson>,
    database_bytes: Option<u64>,
    snapshot: SnapshotJson,
}

#[derive(Serialize, Deserialize)]
struct SnapshotJson {
    wal_insert_lsn: Option<String>,
    timeline: Option<u32>,
    postmaster_start_unix_micros: Option<i64>,
    xmax: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct SettingJson {
    role: Option<String>,
    name: String,
    value: String,
}

#[derive(Serialize, Deserialize)]
struct ExtensionJson {
    name: String,
    schema: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
struct TableJson {
    oid: u32,
    schema: String,
    name: String,
    kind: String,
    persistence: String,
    columns: Vec<ColumnJson>,
    row_security: String,
    policies: Vec<String>,
    indexes: Vec<String>,
    load_through: Option<u32>,
    load_last: bool,
    heap_bytes: u64,
    chunk_pages: Option<u32>,
    filter: Option<String>,
    rows: Option<u64>,
    row_digest: Option<String>,
    text_bytes: Option<u64>,
    excluded: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ColumnJson {
    name: String,
    #[serde(rename = "type")]
    data_type: String,
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
struct EntryJson {
    id: i32,
    kind: String,
    schema: Option<String>,
    name: String,
    owner: Option<String>,
    stage: String,
    dependencies: Vec<i32>,
    drop: Option<String>,
    tablespace: Option<String>,
    access_method: Option<String>,
    definition: Option<SpanJson>,
    owner_statement: Option<SpanJson>,
    access_method_statement: Option<SpanJson>,
    key_index: Option<String>,
    key_attach: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SpanJson {
    member: u32,
    offset: u64,
    length: u64,
}

#[derive(Serialize, Deserialize)]
struct PackJson {
    id: String,
    name: String,
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct MemberJson {
    pack: u32,
    offset: u64,
    stored_bytes: u64,
    text_bytes: u64,
    sha256: String,
    content: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<RowBlockJson>,
}

#[derive(Serialize, Deserialize)]
struct RowBlockJson {
    table: u32,
    header_bytes: u32,
    count: u64,
    digest: String,
    first_page: u32,
    end_page: Option<u32>,
    part: u32,
}

const OWN_PACK: &str = "self";

fn invalid(field: &'static str, value: &str) -> ManifestError {
    ManifestError::Value {
        field,
        value: value.chars().take(80).collect(),
    }
}

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

words!(kind_word, kind_from, TableKind, "kind of table", {
    "table" = TableKind::Table => TableKind::Table,
    "partitioned" = TableKind::Partitioned => TableKind::Partitioned,
    "foreign" = TableKind::Foreign => TableKind::Foreign,
});
words!(persistence_word, persistence_from, Persistence, "persistence", {
    "permanent" = Persistence::Permanent => Persistence::Permanent,
    "unlogged" = Persistence::Unlogged => Persistence::Unlogged,
});
words!(security_word, security_from, RowSecurity, "row security", {
    "off" = RowSecurity::Off => RowSecurity::Off,
    "enabled" = RowSecurity::Enabled => RowSecurity::Enabled,
    "forced" = RowSecurity::Forced => RowSecurity::Forced,
});
words!(stage_word, stage_from, Stage, "stage", {
    "pre-data" = Stage::PreData => Stage::PreData,
    "post-data" = Stage::PostData => Stage::PostData,
    "privileges" = Stage::Privileges => Stage::Privileges,
    "last" = Stage::Last => Stage::Last,
});

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
            format: FORMAT_VERSION,
            writer: m.writer.clone(),
            id: m.id.to_string(),
            kind: "full".to_owned(),
            taken_at: m.taken_at,
            codec: m.codec.name().to_owned(),
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
            packs: m
                .packs
                .iter()
                .map(|p| PackJson {
                    id: match p.id {
                        PackId::Own => OWN_PACK.to_owned(),
                        PackId::Sha256(digest) => digest.to_string(),
                    },
                    name: p.name.clone(),
                    bytes: p.bytes,
                })
                .collect(),
            members: m.members.iter().map(MemberJson::from).collect(),
        }
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
            codec: m.codec.parse().map_err(|_| invalid("codec", &m.codec))?,
            source: Source::from(m.source),
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
            packs: m
                .packs
                .into_iter()
                .map(|p| {
                    let id = match p.id.as_str() {
                        OWN_PACK => PackId::Own,
                        digest => PackId::Sha256(digest.parse().map_err(|_| invalid("pack id", digest))?),
                    };
                    Ok::<_, ManifestError>(Pack {
                        id,
                        name: p.name,
                        bytes: p.bytes,
                    })
                })
                .collect::<Result<_, _>>()?,
            members: m.members.into_iter().map(Member::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Source> for SourceJson {
    fn from(s: &Source) -> Self {
        Self {
            server_version_num: s.server_version_num,
            server_version: s.server_version.clone(),
            pg_dump_version: s.pg_dump_version.clone(),
            system_identifier: s.system_identifier,
            database: s.database.to_json(),
            owner: s.owner.to_json(),
            encoding: s.encoding.clone(),
            collate: s.collate.clone(),
            ctype: s.ctype.clone(),
            locale_provider: s.locale_provider.clone(),
            provider_locale: s.provider_locale.clone(),
            icu_rules: s.icu_rules.clone(),
            settings: s
                .settings
                .iter()
                .map(|setting| SettingJson {
                    role: setting.role.as_ref().map(DbText::to_json),
                    name: setting.name.to_json(),
                    value: setting.value.to_json(),
                })
                .collect(),
            extensions: s
                .extensions
                .iter()
                .map(|e| ExtensionJson {
                    name: e.name.to_json(),
                    schema: e.schema.to_json(),
                    version: e.version.clone(),
                })
                .collect(),
            database_bytes: s.database_bytes,
            snapshot: SnapshotJson {
                wal_insert_lsn: s.snapshot.wal_insert_lsn.clone(),
                timeline: s.snapshot.timeline,
                postmaster_start_unix_micros: s.snapshot.postmaster_start_unix_micros,
                xmax: s.snapshot.xmax,
            },
        }
    }
}

impl From<SourceJson> for Source {
    fn from(s: SourceJson) -> Self {
        Self {
            server_version_num: s.server_version_num,
            server_version: s.server_version,
            pg_dump_version: s.pg_dump_version,
            system_identifier: s.system_identifier,
            database: text(&s.database),
            owner: text(&s.owner),
            encoding: s.encoding,
            collate: s.collate,
            ctype: s.ctype,
            locale_provider: s.locale_provider,
            provider_locale: s.provider_locale,
            icu_rules: s.icu_rules,
            settings: s
                .settings
                .into_iter()
                .map(|setting| DatabaseSetting {
                    role: setting.role.as_deref().map(text),
                    name: text(&setting.name),
                    value: text(&setting.value),
                })
                .collect(),
            extensions: s
                .extensions
                .into_iter()
                .map(|e| Extension {
                    name: text(&e.name),
                    schema: text(&e.schema),
                    version: e.version,
                })
                .collect(),
            database_bytes: s.database_bytes,
            snapshot: SnapshotFacts {
                wal_insert_lsn: s.snapshot.wal_insert_lsn,
                timeline: s.snapshot.timeline,
                postmaster_start_unix_micros: s.snapshot.postmaster_start_unix_micros,
                xmax: s.snapshot.xmax,
            },
        }
    }
}

impl From<&Table> for TableJson {
    fn from(t: &Table) -> Self {
        let (rows, row_digest, text_bytes, excluded) = match &t.rows {
            TableRows::Included { digest, text_bytes } => {
                (Some(digest.rows()), Some(digest.sum_hex()), Some(*text_bytes), None)
            }
            TableRows::Excluded { reason } => (None, None, None, Some(reason.clone())),
        };
        Self {
            oid: t.oid,
            schema: t.schema.to_json(),
            name: t.name.to_json(),
            kind: kind_word(t.kind),
            persistence: persistence_word(t.persistence),
            columns: t
                .columns
                .iter()
                .map(|c| ColumnJson {
                    name: c.name.to_json(),
                    data_type: c.data_type.to_json(),
                })
                .collect(),
            row_security: security_word(t.row_security),
            policies: t.policies.iter().map(DbText::to_json).collect(),
            indexes: t.indexes.iter().map(DbText::to_json).collect(),
            load_through: t.load_through,
            load_last: t.load_last,
            heap_bytes: t.heap_bytes,
            chunk_pages: t.chunk_pages,
            filter: t.filter.as_ref().map(DbText::to_json),
            rows,
            row_digest,
            text_bytes,
            excluded,
        }
    }
}

impl TryFrom<TableJson> for Table {
    type Error = ManifestError;

    fn try_from(t: TableJson) -> Result<Self, ManifestError> {
        let rows = match (t.rows, t.row_digest, t.text_bytes, t.excluded) {
            (Some(rows), Some(sum), Some(text_bytes), None) => TableRows::Included {
                digest: digest_from(rows, &sum)?,
                text_bytes,
            },
            (None, None, None, Some(reason)) => TableRows::Excluded { reason },
            _ => return Err(invalid("statement of rows of the table", &t.name)),
        };
        Ok(Self {
            oid: t.oid,
            schema: text(&t.schema),
            name: text(&t.name),
            kind: kind_from(&t.kind)?,
            persistence: persistence_from(&t.persistence)?,
            columns: t
                .columns
                .iter()
                .map(|c| Column {
                    name: text(&c.name),
                    data_type: text(&c.data_type),
                })
                .collect(),
            row_security: security_from(&t.row_security)?,
            policies: t.policies.iter().map(|p| text(p)).collect(),
            indexes: t.indexes.iter().map(|i| text(i)).collect(),
            load_through: t.load_through,
            load_last: t.load_last,
            heap_bytes: t.heap_bytes,
            chunk_pages: t.chunk_pages,
            filter: t.filter.as_deref().map(text),
            rows,
        })
    }
}

impl From<&Entry> for EntryJson {
    fn from(e: &Entry) -> Self {
        let span = |s: &Span| SpanJson {
            member: s.member,
            offset: s.offset,
            length: s.length,
        };
        Self {
            id: e.id,
            kind: e.kind.clone(),
            schema: e.schema.as_ref().map(DbText::to_json),
            name: e.name.to_json(),
            owner: e.owner.as_ref().map(DbText::to_json),
            stage: stage_word(e.stage),
            dependencies: e.dependencies.clone(),
            drop: e.drop_statement.as_ref().map(DbText::to_json),
            tablespace: e.tablespace.as_ref().map(DbText::to_json),
            access_method: e.access_method.as_ref().map(DbText::to_json),
            definition: e.definition.as_ref().map(span),
            owner_statement: e.owner_statement.as_ref().map(span),
            access_method_statement: e.access_method_statement.as_ref().map(span),
            key_index: e.key.as_ref().map(|k| k.index_definition.to_json()),
            key_attach: e.key.as_ref().map(|k| k.attach_statement.to_json()),
        }
    }
}

impl TryFrom<EntryJson> for Entry {
    type Error = ManifestError;

    fn try_from(e: EntryJson) -> Result<Self, ManifestError> {
        let span = |s: SpanJson| Span {
            member: s.member,
            offset: s.offset,
            length: s.length,
        };
        let key = match (e.key_index, e.key_attach) {
            (Some(index), Some(attach)) => Some(KeyConstraint {
                index_definition: text(&index),
                attach_statement: text(&attach),
            }),
            (None, None) => None,
            _ => return Err(invalid("key of the entry", &e.name)),
        };
        Ok(Self {
            id: e.id,
            stage: stage_from(&e.stage)?,
            kind: e.kind,
            schema: e.schema.as_deref().map(text),
            name: text(&e.name),
            owner: e.owner.as_deref().map(text),
            dependencies: e.dependencies,
            drop_statement: e.drop.as_deref().map(text),
            tablespace: e.tablespace.as_deref().map(text),
            access_method: e.access_method.as_deref().map(text),
            definition: e.definition.map(span),
            owner_statement: e.owner_statement.map(span),
            access_method_statement: e.access_method_statement.map(span),
            key,
        })
    }
}

impl From<&Member> for MemberJson {
    fn from(m: &Member) -> Self {
        let (content, rows) = match &m.content {
            MemberContent::Settings => ("settings".to_owned(), None),
            MemberContent::Schema(stage) => (stage_word(*stage), None),
            MemberContent::LargeObjects => ("large-objects".to_owned(), None),
            MemberContent::Sequences => ("sequences".to_owned(), None),
            MemberContent::Refreshes => ("refreshes".to_owned(), None),
            MemberContent::Globals => ("globals".to_owned(), None),
            MemberContent::Rows(block) => (
                "rows".to_owned(),
                Some(RowBlockJson {
                    table: block.table,
                    header_bytes: block.header_bytes,
                    count: block.digest.rows(),
                    digest: block.digest.sum_hex(),
                    first_page: block.chunk.first_page,
                    end_page: block.chunk.end_page,
                    part: block.chunk.part,
                }),
            ),
        };
        Self {
            pack: m.pack,
            offset: m.offset,
            stored_bytes: m.stored_bytes,
            text_bytes: m.text_bytes,
            sha256: m.sha256.to_string(),
            content,
            rows,
        }
    }
}

impl TryFrom<MemberJson> for Member {
    type Error = ManifestError;

    fn try_from(m: MemberJson) -> Result<Self, ManifestError> {
        let content = match (m.content.as_str(), m.rows) {
            ("rows", Some(rows)) => MemberContent::Rows(RowBlock {
                table: rows.table,
                header_bytes: rows.header_bytes,
                digest: digest_from(rows.count, &rows.digest)?,
                chunk: Chunk {
                    first_page: rows.first_page,
                    end_page: rows.end_page,
                    part: rows.part,
                },
            }),
            ("settings", None) => MemberContent::Settings,
            ("large-objects", None) => MemberContent::LargeObjects,
            ("sequences", None) => MemberContent::Sequences,
            ("refreshes", None) => MemberContent::Refreshes,
            ("globals", None) => MemberContent::Globals,
            (stage, None) => {
                MemberContent::Schema(stage_from(stage).map_err(|_| invalid("content of a member", stage))?)
            }
            (content, Some(_)) => return Err(invalid("content of a member", content)),
        };
        Ok(Self {
            pack: m.pack,
            offset: m.offset,
            stored_bytes: m.stored_bytes,
            text_bytes: m.text_bytes,
            sha256: m.sha256.parse().map_err(|_| invalid("SHA-256", &m.sha256))?,
            content,
        })
    }
}
