//! The entries of the schema, as text in members and as a list for the manifest.

use std::collections::HashMap;

use backstay_core::manifest::{Entry, KeyConstraint, MemberContent, Span, Stage};
use backstay_core::script::{check_statements, depends_on_session, statements};
use backstay_core::sql::literal_settings;
use backstay_core::{DbText, MemberEncoder};

use super::platform::OwnEntry;
use super::{Definition, MemberSink, SourceError};
use crate::archive::{RestorePass, Section, Toc, TocEntry};
use crate::catalog::{KeyOfIndex, LargeObjectOwner};
use crate::platform::{Described, Profile};

/// Definitions after which a member ends.
const MEMBER_TEXT_BYTES: usize = 4 << 20;

/// OID of `pg_constraint`, which archives name as the catalog of a constraint.
const CONSTRAINT_CATALOG: u32 = 2606;

/// One entry with its text, ready to be written.
struct Piece {
    entry: Entry,
    session: Vec<u8>,
    header: Vec<u8>,
    definition: Vec<u8>,
    owner: Vec<u8>,
    access_method: Vec<u8>,
}

/// The schema of a backup, cut into stages.
pub(super) struct Schema {
    pieces: Vec<Piece>,
    /// Behind those of `pg_dump`, for what is ours.
    next_id: i32,
}

impl Schema {
    /// Prints the entries of an archive, with the statements about large objects where they belong.
    ///
    /// # Errors
    /// An entry cannot be printed, or its statements could become commands of psql.
    pub(super) fn new(
        toc: &Toc,
        mut keys: HashMap<u32, KeyOfIndex>,
        large_objects: &[LargeObjectOwner],
    ) -> Result<Self, SourceError> {
        let by_id: HashMap<i32, usize> = toc
            .entries
            .iter()
            .enumerate()
            .map(|(index, entry)| (entry.dump_id, index))
            .collect();
        let mut stages = HashMap::new();
        // What has no section of its own (comments, security labels) stands behind what it belongs to.
        let mut stage = Stage::PreData;
        for entry in &toc.entries {
            match entry.section {
                Section::PreData => stage = Stage::PreData,
                Section::Data | Section::PostData => stage = Stage::PostData,
                Section::None => {}
            }
            stages.insert(entry.dump_id, stage);
        }
        let mut pieces = Vec::new();
        for printed in toc.print() {
            let printed = printed?;
            let Some(source) = by_id.get(&printed.dump_id).map(|&index| &toc.entries[index]) else {
                continue;
            };
            if publishes_nothing(source, &toc.entries, &by_id) {
                continue;
            }
            let key = if source.table_oid == CONSTRAINT_CATALOG {
                keys.remove(&source.oid)
            } else {
                None
            };
            let stage = match printed.pass {
                RestorePass::Main => stages.get(&printed.dump_id).copied().unwrap_or(Stage::PostData),
                RestorePass::Acl => Stage::Privileges,
                RestorePass::PostAcl => Stage::Last,
            };
            let text = |bytes: &Option<Vec<u8>>| {
                bytes
                    .as_ref()
                    .filter(|bytes| !bytes.is_empty())
                    .map(|bytes| DbText::new(bytes.clone()))
            };
            let entry = Entry {
                id: printed.dump_id,
                kind: String::from_utf8_lossy(&source.kind).into_owned(),
                schema: text(&source.namespace),
                name: DbText::new(source.tag.clone()),
                owner: text(&source.owner),
                stage,
                dependencies: source.dependencies.clone(),
                drop_statement: (!source.drop_statement.is_empty()).then(|| DbText::new(source.drop_statement.clone())),
                tablespace: source.tablespace.clone().map(DbText::new),
                access_method: if printed.access_method.is_some() {
                    None
                } else {
                    text(&source.table_access_method)
                },
                definition: None,
                owner_statement: None,
                access_method_statement: None,
                key: key.map(|key| KeyConstraint {
                    index_definition: key.index_definition,
                    attach_statement: key.attach_statement,
                }),
            };
            let piece = Piece {
                entry,
                session: printed.session,
                header: printed.header,
                definition: printed.definition,
                owner: printed.owner.unwrap_or_default(),
                access_method: printed.access_method.unwrap_or_default(),
            };
            piece.check()?;
            pieces.push(piece);
        }
        let next_id = toc.entries.iter().map(|entry| entry.dump_id).max().unwrap_or(0) + 1;
        let mut schema = Self { pieces, next_id };
        schema.add_large_objects(large_objects)?;
        Ok(schema)
    }

    /// Takes from everybody, before all other grants, the right to create in the schema `public`.
    ///
    /// `pg_dump` from 15 on writes the grants on it as they differ from those that it has in a new database of 15, where
    /// nobody but its owner has that right. An older server gives it to everybody.
    pub(super) fn close_public(&mut self, toc: &Toc, server_version_num: u32) {
        if server_version_num >= 150_000 || toc.dump_major() < 15 {
            return;
        }
        let is_public = |entry: &&TocEntry| entry.kind == b"SCHEMA" && entry.tag == b"public";
        if let Some(public) = toc.entries.iter().find(is_public) {
            let owner = public.owner.clone().map(DbText::new);
            let mut piece = Piece::of_ours(self.next_id, "ACL", "SCHEMA public", owner, Stage::Privileges);
            piece.entry.dependencies.push(public.dump_id);
            piece.definition = b"REVOKE CREATE ON SCHEMA public FROM PUBLIC;\n".to_vec();
            self.next_id += 1;
            self.pieces.insert(0, piece);
        }
    }

    /// Adds an entry that `pg_dump` has not.
    pub(super) fn add_own(&mut self, own: &OwnEntry) -> Result<(), SourceError> {
        let mut piece = Piece::of_ours(self.next_id, own.kind, &own.name, own.owner.clone(), own.stage);
        self.next_id += 1;
        piece.definition.clone_from(&own.definition);
        piece.entry.drop_statement = own.drop_statement.clone().map(DbText::new);
        piece.check()?;
        self.pieces.push(piece);
        Ok(())
    }

    /// Leaves out what is the platform's.
    pub(super) fn retain_of_application(&mut self, profile: &Profile, guests: &[i32]) {
        self.pieces
            .retain(|piece| is_of_application(&piece.entry, profile, guests));
    }

    /// The entries with their statements, as they would stand in members.
    pub(super) fn into_definitions(self, encoding: &str) -> Vec<Definition> {
        let definition = |piece: Piece| Definition {
            kind: piece.entry.kind,
            schema: piece.entry.schema,
            name: piece.entry.name,
            stage: piece.entry.stage,
            sql: [
                guarded(&piece.definition, encoding),
                guarded(&piece.access_method, encoding),
            ]
            .concat(),
            owner: guarded(&piece.owner, encoding),
        };
        self.pieces.into_iter().map(definition).collect()
    }

    fn add_large_objects(&mut self, objects: &[LargeObjectOwner]) -> Result<(), SourceError> {
        for object in objects {
            let name = format!("LARGE OBJECT {}", object.oid);
            let mut add = |kind, stage, definition: &[u8], owner: &[u8]| {
                let mut piece = Piece::of_ours(self.next_id, kind, &name, Some(object.owner.clone()), stage);
                if kind == "LARGE OBJECT" {
                    let unlink = format!("SELECT pg_catalog.lo_unlink('{}');", object.oid);
                    piece.entry.drop_statement = Some(DbText::from(unlink.as_str()));
                }
                piece.definition = definition.to_vec();
                piece.owner = owner.to_vec();
                self.next_id += 1;
                piece.check()?;
                self.pieces.push(piece);
                Ok::<_, SourceError>(())
            };
            let comment = object.comment_statement.as_deref().unwrap_or_default();
            add("LARGE OBJECT", Stage::PostData, comment, &object.owner_statement)?;
            if !object.grants.is_empty() {
                add("ACL", Stage::Privileges, &object.grants, &[])?;
            }
        }
        Ok(())
    }

    /// Writes the entries of a stage and gives them with their places.
    pub(super) fn write(
        &mut self,
        stage: Stage,
        encoding: &str,
        encoder: &mut MemberEncoder,
        sink: &mut dyn MemberSink,
    ) -> Result<Vec<Entry>, SourceError> {
        let (now, later) = std::mem::take(&mut self.pieces)
            .into_iter()
            .partition(|piece| piece.entry.stage == stage);
        self.pieces = later;
        let mut done: Vec<Entry> = Vec::new();
        let mut text = Vec::new();
        let mut first_in_member = 0;
        for piece in now {
            let Piece {
                mut entry,
                session,
                header,
                definition,
                owner,
                access_method,
            } = piece;
            text.extend(guarded(&session, encoding));
            text.extend(header);
            entry.definition = push(&mut text, &guarded(&definition, encoding));
            entry.owner_statement = push(&mut text, &guarded(&owner, encoding));
            entry.access_method_statement = push(&mut text, &guarded(&access_method, encoding));
            done.push(entry);
            if text.len() >= MEMBER_TEXT_BYTES {
                place(&mut done[first_in_member..], flush(&mut text, stage, encoder, sink)?);
                first_in_member = done.len();
            }
        }
        if !text.is_empty() {
            place(&mut done[first_in_member..], flush(&mut text, stage, encoder, sink)?);
        }
        Ok(done)
    }
}

impl Piece {
    /// An entry that `pg_dump` has not, without statements yet.
    fn of_ours(id: i32, kind: &str, name: &str, owner: Option<DbText>, stage: Stage) -> Self {
        Self {
            entry: Entry {
                id,
                kind: kind.to_owned(),
                schema: None,
                name: DbText::from(name),
                owner,
                stage,
                dependencies: Vec::new(),
                drop_statement: None,
                tablespace: None,
                access_method: None,
                definition: None,
                owner_statement: None,
                access_method_statement: None,
                key: None,
            },
            session: Vec::new(),
            header: format!("-- Name: {}; Type: {kind}\n", in_a_comment(name)).into_bytes(),
            definition: Vec::new(),
            owner: Vec::new(),
            access_method: Vec::new(),
        }
    }

    /// Refuses statements that psql would take for commands of its own: what a hostile server may have put in.
    fn check(&self) -> Result<(), SourceError> {
        for sql in [&self.session, &self.definition, &self.owner, &self.access_method] {
            check_statements(sql).map_err(|source| SourceError::Hazard {
                kind: self.entry.kind.clone(),
                name: self.entry.name.to_string(),
                source,
            })?;
        }
        Ok(())
    }
}

/// Whether an entry adds to a publication what the archive has not: `pg_dump` of 18 writes it also where the table, or the
/// schema, is left out, and nobody could restore it.
fn publishes_nothing(entry: &TocEntry, all: &[TocEntry], by_id: &HashMap<i32, usize>) -> bool {
    match entry.kind.as_slice() {
        b"PUBLICATION TABLE" => {
            let mut needed = entry.dependencies.iter().filter_map(|id| by_id.get(id));
            !needed.any(|&index| all[index].kind == b"TABLE")
        }
        b"PUBLICATION TABLES IN SCHEMA" => {
            let schema = entry.namespace.as_deref().unwrap_or_default();
            // That one is in every database, and has no entry where nothing of it was changed.
            let is_it = |found: &TocEntry| found.kind == b"SCHEMA" && found.tag == schema;
            schema != b"public" && !all.iter().any(is_it)
        }
        _ => false,
    }
}

/// A name that ends no comment, in any encoding.
fn in_a_comment(name: &str) -> String {
    let harmless = |c: char| if c.is_ascii_graphic() { c } else { ' ' };
    name.chars().map(harmless).collect()
}

/// Whether a restore into a platform makes an entry.
pub(crate) fn is_of_application(entry: &Entry, profile: &Profile, guests: &[i32]) -> bool {
    profile.is_of_application(Described {
        kind: &entry.kind,
        schema: entry.schema.as_ref().map(DbText::as_bytes),
        name: entry.name.as_bytes(),
        owner: entry.owner.as_ref().map(DbText::as_bytes),
        is_guest: guests.contains(&entry.id),
    })
}

/// Puts the settings that say where literals end before each statement that depends on them.
fn guarded(sql: &[u8], encoding: &str) -> Vec<u8> {
    if !depends_on_session(sql) {
        return sql.to_vec();
    }
    let mut text = Vec::with_capacity(sql.len() + 128);
    let mut end = 0;
    for statement in statements(sql) {
        if depends_on_session(statement) {
            if !text.is_empty() && !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            text.extend(literal_settings(encoding));
        }
        text.extend_from_slice(statement);
        end += statement.len();
    }
    text.extend_from_slice(&sql[end..]);
    text
}

/// Adds statements to a member's text; the member is filled in when it is written.
fn push(text: &mut Vec<u8>, sql: &[u8]) -> Option<Span> {
    if sql.is_empty() {
        return None;
    }
    let span = Span {
        member: 0,
        offset: text.len() as u64,
        length: sql.len() as u64,
    };
    text.extend_from_slice(sql);
    Some(span)
}

fn flush(
    text: &mut Vec<u8>,
    stage: Stage,
    encoder: &mut MemberEncoder,
    sink: &mut dyn MemberSink,
) -> Result<u32, SourceError> {
    let member = encoder.encode(text)?;
    text.clear();
    sink.append(member, MemberContent::Schema(stage))
        .map_err(SourceError::Sink)
}

fn place(entries: &mut [Entry], member: u32) {
    for entry in entries {
        for span in [
            &mut entry.definition,
            &mut entry.owner_statement,
            &mut entry.access_method_statement,
        ]
        .into_iter()
        .flatten()
        {
            span.member = member;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(dump_id: i32, kind: &str, namespace: &str, tag: &str, dependencies: &[i32]) -> TocEntry {
        TocEntry {
            dump_id,
            has_data: false,
            table_oid: 0,
            oid: 0,
            tag: tag.into(),
            kind: kind.into(),
            section: Section::PostData,
            definition: Vec::new(),
            drop_statement: Vec::new(),
            copy_statement: Vec::new(),
            namespace: Some(namespace.into()),
            tablespace: None,
            table_access_method: None,
            relkind: None,
            owner: None,
            with_oids: false,
            dependencies: dependencies.to_vec(),
        }
    }

    #[test]
    fn what_is_left_out_is_not_published() {
        let all = [
            entry(1, "SCHEMA", "", "kept", &[]),
            entry(2, "TABLE", "kept", "t", &[1]),
            entry(3, "PUBLICATION", "", "p", &[]),
            entry(10, "PUBLICATION TABLE", "kept", "p t", &[3, 2]),
            entry(11, "PUBLICATION TABLE", "kept", "p gone", &[3, 9, 1]),
            entry(12, "PUBLICATION TABLES IN SCHEMA", "kept", "p kept", &[3, 1]),
            entry(13, "PUBLICATION TABLES IN SCHEMA", "gone", "p gone", &[3]),
            entry(14, "PUBLICATION TABLES IN SCHEMA", "public", "p public", &[3]),
        ];
        let by_id = all
            .iter()
            .enumerate()
            .map(|(index, entry)| (entry.dump_id, index))
            .collect();
        let dropped = all.iter().filter(|entry| publishes_nothing(entry, &all, &by_id));
        assert_eq!(dropped.map(|entry| entry.dump_id).collect::<Vec<_>>(), [11, 13]);
    }
}
