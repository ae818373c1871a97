//! Deciding which rows are read, table by table.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use backstay_core::RowDigest;
use backstay_core::manifest::{
    Chunk, INVALID_INDEX, Omission, PART_OF_DATABASE, Persistence, Table, TableKind, TableRows,
};
use backstay_core::script::depends_on_session;
use backstay_core::sql::{literal_settings, quote_identifier, quote_qualified};

use super::chunks::{ChunkJob, TableJob};
use super::omissions::{FOREIGN_TABLE, ROWS_OF_PLATFORM};
use super::prepare::Prepared;
use super::{Inclusion, SourceError, SourceOptions, profile_of};
use crate::catalog::{Relation, RelationKind};
use crate::plan::{chunk_pages, chunks};

/// What will be read.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) tables: Vec<Table>,
    pub(super) jobs: Vec<TableJob>,
    pub(super) chunks: Vec<ChunkJob>,
    pub(super) omissions: Vec<Omission>,
    pub(super) large_objects: bool,
}

impl Plan {
    fn omit(&mut self, subject: String, reason: &str) {
        self.omissions.push(Omission {
            subject,
            reason: reason.to_owned(),
        });
    }

    fn add_job(&mut self, index: u32, relation: &Relation, root: Option<&Relation>, encoding: &str) {
        let table = &self.tables[index as usize];
        let columns: Vec<Vec<u8>> = table
            .columns
            .iter()
            .map(|c| quote_identifier(c.name.as_bytes()))
            .collect();
        let columns = columns.join(&b", "[..]);
        let target = root.unwrap_or(relation);
        let mut header = Vec::new();
        if depends_on_session(&columns)
            || depends_on_session(target.name.as_bytes())
            || depends_on_session(target.schema.as_bytes())
        {
            header.extend(literal_settings(encoding));
        }
        header.extend_from_slice(b"COPY ");
        header.extend(quote_qualified(target.schema.as_bytes(), target.name.as_bytes()));
        if !columns.is_empty() {
            header.extend_from_slice(b" (");
            header.extend_from_slice(&columns);
            header.push(b')');
        }
        header.extend_from_slice(b" FROM stdin;\n");
        let job = self.jobs.len();
        self.jobs.push(TableJob {
            table: index,
            oid: relation.oid,
            schema: relation.schema.clone(),
            display_name: table.display_name(),
            source: quote_qualified(relation.schema.as_bytes(), relation.name.as_bytes()),
            columns,
            header,
            filter: relation.configuration.clone().unwrap_or_default(),
            by_pages: table.chunk_pages.is_some(),
        });
        match table.chunk_pages {
            None => self.chunks.push(ChunkJob {
                job,
                chunk: Chunk::default(),
                heap_bytes: relation.size.bytes,
            }),
            Some(pages) => {
                let all: Vec<_> = chunks(relation.size.pages, pages).collect();
                let share = relation.size.bytes / all.len() as u64;
                self.chunks.extend(all.into_iter().map(|chunk| ChunkJob {
                    job,
                    chunk,
                    heap_bytes: share,
                }));
            }
        }
    }
}

/// Decides which rows are read, table by table.
pub(super) fn plan(options: &SourceOptions, prepared: &Prepared) -> Result<Plan, SourceError> {
    let mut plan = Plan::default();
    let by_oid: HashMap<u32, &Relation> = prepared.relations.iter().map(|r| (r.oid, r)).collect();
    let dumped: HashSet<u32> = prepared
        .toc
        .entries
        .iter()
        .filter(|entry| matches!(entry.kind.as_slice(), b"TABLE" | b"FOREIGN TABLE"))
        .map(|entry| entry.oid)
        .collect();
    let dumped_extensions: HashSet<&[u8]> = prepared
        .toc
        .entries
        .iter()
        .filter(|entry| entry.kind == b"EXTENSION")
        .map(|entry| entry.tag.as_slice())
        .collect();
    if let Some(missing) = dumped.iter().find(|oid| !by_oid.contains_key(oid)) {
        return Err(SourceError::Disagreement {
            what: format!("the table with OID {missing}"),
        });
    }
    let is_table = |r: &&Relation| {
        matches!(
            r.kind,
            RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign
        )
    };
    let mut selected: Vec<&Relation> = Vec::new();
    for relation in prepared.relations.iter().filter(is_table) {
        let configuration = relation.configuration.is_some()
            && relation
                .extension
                .as_ref()
                .is_some_and(|e| dumped_extensions.contains(e.as_bytes()));
        if dumped.contains(&relation.oid) || configuration {
            selected.push(relation);
        } else if relation.extension.is_none() && options.selection.is_whole_database() {
            let what = format!("{}.{}", relation.schema, relation.name);
            return Err(SourceError::Disagreement { what });
        }
    }
    let index_of: HashMap<u32, u32> = selected
        .iter()
        .zip(0..)
        .map(|(relation, index)| (relation.oid, index))
        .collect();
    let mut order = Vec::new();
    for (relation, index) in selected.iter().zip(0u32..) {
        let root = relation
            .load_through
            .and_then(|root| Some((*index_of.get(&root)?, *by_oid.get(&root)?)));
        let (table, omission) = plan_table(options, relation, root.map(|(index, _)| index), prepared);
        if let Some(omission) = omission {
            plan.omissions.push(omission);
        }
        if matches!(table.rows, TableRows::Included { .. }) && relation.kind == RelationKind::Table {
            if !relation.readable {
                return Err(SourceError::Denied {
                    what: format!("table {}", table.display_name()),
                });
            }
            order.push((index, *relation, root.map(|(_, root)| root)));
        }
        plan.tables.push(table);
    }
    // Tables whose checks may read other tables come last. Else largest first, so that no worker is left alone with
    // a large table at the end.
    order.sort_by(|(_, a, _), (_, b, _)| {
        let last = a.checks_by_function.cmp(&b.checks_by_function);
        let size = if a.checks_by_function {
            Ordering::Equal
        } else {
            b.size.bytes.cmp(&a.size.bytes)
        };
        last.then(size)
            .then_with(|| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)))
    });
    for (index, relation, root) in order {
        plan.add_job(index, relation, root, &prepared.facts.encoding);
    }
    for (schema, name) in &prepared.invalid_indexes {
        plan.omit(format!("index {schema}.{name}"), INVALID_INDEX);
    }
    plan.large_objects = options.large_objects == Inclusion::Included && options.selection.is_whole_database();
    if !plan.large_objects {
        plan.omit(
            "large objects".to_owned(),
            "they were excluded or only a part of the database was selected",
        );
    }
    if !options.selection.is_whole_database() {
        plan.omit(options.selection.to_string(), PART_OF_DATABASE);
    }
    Ok(plan)
}

fn leaves_rows(prepared: &Prepared, relation: &Relation) -> bool {
    profile_of(&prepared.facts)
        .is_some_and(|profile| profile.leaves_rows(relation.schema.as_bytes(), relation.name.as_bytes()))
}

fn plan_table(
    options: &SourceOptions,
    relation: &Relation,
    root: Option<u32>,
    prepared: &Prepared,
) -> (Table, Option<Omission>) {
    let kind = match relation.kind {
        RelationKind::Partitioned => TableKind::Partitioned,
        RelationKind::Foreign => TableKind::Foreign,
        _ => TableKind::Table,
    };
    let unlogged = relation.persistence == Persistence::Unlogged;
    let reason = match kind {
        TableKind::Foreign => Some(FOREIGN_TABLE),
        TableKind::Table if leaves_rows(prepared, relation) => Some(ROWS_OF_PLATFORM),
        TableKind::Table if prepared.excluded_data.contains(&relation.oid) => Some("its rows were excluded"),
        TableKind::Table if unlogged && options.unlogged == Inclusion::Excluded => {
            Some("unlogged tables were excluded")
        }
        _ => None,
    };
    let by_pages = relation.heap
        && relation.configuration.is_none()
        && prepared.facts.server_version_num >= 140_000
        && relation.size.pages > 0;
    let pages = chunk_pages(relation.size.pages, relation.size.bytes, 8192);
    let table = Table {
        oid: relation.oid,
        schema: relation.schema.clone(),
        name: relation.name.clone(),
        kind,
        persistence: relation.persistence,
        columns: prepared.columns.get(&relation.oid).cloned().unwrap_or_default(),
        row_security: relation.row_security,
        policies: relation.policies.clone(),
        indexes: relation.indexes.clone(),
        load_through: root,
        load_last: relation.checks_by_function,
        heap_bytes: relation.size.bytes,
        chunk_pages: (by_pages && relation.size.pages > pages).then_some(pages),
        filter: relation.configuration.clone(),
        rows: match reason {
            None => TableRows::Included {
                digest: RowDigest::default(),
                text_bytes: 0,
            },
            Some(reason) => TableRows::Excluded {
                reason: reason.to_owned(),
            },
        },
    };
    let omission = reason.map(|reason| Omission {
        subject: format!("rows of {}", table.display_name()),
        reason: reason.to_owned(),
    });
    (table, omission)
}
