use serde::{Deserialize, Serialize};

use super::{ManifestError, invalid, stage_from, stage_word, text};
use crate::manifest::{Entry, KeyConstraint, Span};
use crate::text::DbText;

#[derive(Serialize, Deserialize)]
pub(super) struct EntryJson {
    pub(super) id: i32,
    pub(super) kind: String,
    pub(super) schema: Option<String>,
    pub(super) name: String,
    pub(super) owner: Option<String>,
    pub(super) stage: String,
    pub(super) dependencies: Vec<i32>,
    pub(super) drop: Option<String>,
    pub(super) tablespace: Option<String>,
    pub(super) access_method: Option<String>,
    pub(super) definition: Option<SpanJson>,
    pub(super) owner_statement: Option<SpanJson>,
    pub(super) access_method_statement: Option<SpanJson>,
    pub(super) key_index: Option<String>,
    pub(super) key_attach: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SpanJson {
    pub(super) member: u32,
    pub(super) offset: u64,
    pub(super) length: u64,
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
