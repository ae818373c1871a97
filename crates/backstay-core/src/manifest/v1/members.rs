use serde::{Deserialize, Serialize};

use super::{ManifestError, digest_from, invalid, stage_from, stage_word};
use crate::manifest::{Chunk, Member, MemberContent, RowBlock};

#[derive(Serialize, Deserialize)]
pub(super) struct MemberJson {
    pub(super) pack: u32,
    pub(super) offset: u64,
    pub(super) stored_bytes: u64,
    pub(super) text_bytes: u64,
    sha256: String,
    pub(super) content: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rows: Option<RowBlockJson>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RowBlockJson {
    pub(super) table: u32,
    pub(super) header_bytes: u32,
    pub(super) count: u64,
    pub(super) digest: String,
    pub(super) first_page: u32,
    pub(super) end_page: Option<u32>,
    pub(super) part: u32,
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
