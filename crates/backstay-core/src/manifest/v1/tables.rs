use serde::{Deserialize, Serialize};

use super::{ManifestError, digest_from, invalid, text};
use crate::manifest::{Column, Persistence, RowSecurity, Table, TableKind, TableRows};
use crate::text::DbText;

#[derive(Serialize, Deserialize)]
pub(super) struct TableJson {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) persistence: String,
    pub(super) columns: Vec<ColumnJson>,
    pub(super) row_security: String,
    pub(super) policies: Vec<String>,
    pub(super) indexes: Vec<String>,
    pub(super) load_through: Option<u32>,
    pub(super) load_last: bool,
    pub(super) heap_bytes: u64,
    pub(super) chunk_pages: Option<u32>,
    pub(super) filter: Option<String>,
    pub(super) rows: Option<u64>,
    pub(super) row_digest: Option<String>,
    pub(super) text_bytes: Option<u64>,
    pub(super) excluded: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ColumnJson {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) data_type: String,
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
