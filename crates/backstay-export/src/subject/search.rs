//! Following what refers to the person's rows until nothing new comes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use backstay_postgres::WireConnection;

use super::graph::Graph;
use super::{SubjectPlan, SubjectTable};
use crate::error::ExportError;

/// How many rows are followed; each is remembered.
const ROWS_MAX: usize = 1_000_000;
/// How many are looked up at once.
const BATCH: usize = 1000;

/// Where a row is stored, which no writer changes in a snapshot: block and place in it.
type Place = (u32, u16);

/// The rows that belong to the person, by the table or partition that stores them.
#[derive(Default)]
pub(super) struct Found {
    rows: BTreeMap<u32, BTreeSet<Place>>,
    /// How they were found, by the root of their table.
    by: BTreeMap<u32, BTreeSet<String>>,
    count: usize,
}

impl Found {
    /// What was found of each table that has some, by name.
    pub(super) fn plan(&self, graph: &Graph) -> SubjectPlan {
        let mut tables: Vec<SubjectTable> = self
            .roots(graph)
            .into_iter()
            .map(|root| SubjectTable {
                table: graph.name(root).to_owned(),
                rows: self.stored_in(graph, root).map(|(_, rows)| rows.len() as u64).sum(),
                by: self.by.get(&root).into_iter().flatten().cloned().collect(),
            })
            .collect();
        tables.sort_by(|a, b| a.table.cmp(&b.table));
        SubjectPlan { tables }
    }

    /// The tables that have some.
    pub(super) fn roots(&self, graph: &Graph) -> BTreeSet<u32> {
        self.rows.keys().map(|stored| graph.root(*stored)).collect()
    }

    /// The rows of a table, by the partition that stores them.
    pub(super) fn stored_in(&self, graph: &Graph, root: u32) -> impl Iterator<Item = (u32, &BTreeSet<Place>)> {
        self.rows
            .iter()
            .filter(move |(stored, _)| graph.root(**stored) == root)
            .map(|(stored, rows)| (*stored, rows))
    }

    /// Adds what a query found; gives what is new.
    fn add(&mut self, rows: Vec<(u32, Place)>) -> Result<BTreeMap<u32, Vec<Place>>, ExportError> {
        let mut new: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
        for (stored, place) in rows {
            if self.rows.entry(stored).or_default().insert(place) {
                new.entry(stored).or_default().push(place);
                self.count += 1;
            }
        }
        if self.count > ROWS_MAX {
            return Err(ExportError::TooManyRows { rows_max: ROWS_MAX });
        }
        Ok(new)
    }
}

pub(super) fn search(connection: &mut WireConnection, graph: &Graph) -> Result<Found, ExportError> {
    let mut found = Found::default();
    let name = graph.name(graph.subject);
    let first = format!(
        "SELECT t.tableoid, t.ctid FROM {} t WHERE {} LIMIT 2",
        graph.readable(graph.subject),
        graph.condition
    );
    let subject = places(connection, &first, name)?;
    match subject.len() {
        0 => return Err(ExportError::NoSubject { table: name.to_owned() }),
        1 => {}
        // They may be several persons.
        _ => return Err(ExportError::SeveralSubjects { table: name.to_owned() }),
    }
    let mut next: VecDeque<(u32, Vec<Place>)> = found.add(subject)?.into_iter().collect();
    while let Some((stored, rows)) = next.pop_front() {
        for batch in rows.chunks(BATCH) {
            let ctids = ctids(batch);
            for edge in graph.edges_to(stored) {
                let described = graph.describe(edge);
                // One more than are followed is enough to see that they are too many.
                let sql = format!("{} LIMIT {}", graph.referring(edge, stored, &ctids), ROWS_MAX + 1);
                let referring = places(connection, &sql, &described)?;
                let Some((table, _)) = referring.first() else { continue };
                let root = graph.root(*table);
                let new = found.add(referring)?;
                if !new.is_empty() {
                    found.by.entry(root).or_default().insert(described);
                }
                next.extend(new);
            }
        }
    }
    Ok(found)
}

/// Places as an array of `tid`.
pub(super) fn ctids(places: &[Place]) -> String {
    let places: Vec<String> = places.iter().map(|(block, at)| format!("\"({block},{at})\"")).collect();
    format!("{{{}}}", places.join(","))
}

pub(super) fn batches(places: &BTreeSet<Place>) -> Vec<Vec<Place>> {
    let places: Vec<Place> = places.iter().copied().collect();
    places.chunks(BATCH).map(<[Place]>::to_vec).collect()
}

fn places(connection: &mut WireConnection, sql: &str, what: &str) -> Result<Vec<(u32, Place)>, ExportError> {
    let rows = connection
        .query(sql.as_bytes())
        .map_err(ExportError::wire(format!("look for rows by {what}")))?;
    let place = |row: &backstay_postgres::Row| -> Option<(u32, Place)> {
        let text = |column| std::str::from_utf8(row.get(column)?).ok();
        let (block, at) = text(1)?.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        Some((text(0)?.parse().ok()?, (block.parse().ok()?, at.parse().ok()?)))
    };
    rows.iter()
        .map(|row| {
            place(row).ok_or_else(|| ExportError::Malformed {
                what: "the place of a row is none".to_owned(),
            })
        })
        .collect()
}
