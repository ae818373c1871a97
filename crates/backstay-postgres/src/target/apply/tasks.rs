use std::collections::{BTreeMap, HashMap, HashSet};

use backstay_core::manifest::{Entry, Stage, TableKind};

use super::Restore;
use crate::target::schedule::{Lock, Task};

/// One thing that a worker does.
#[derive(Debug)]
pub(super) enum Work {
    /// Loads the rows of a member.
    Rows { member: usize },
    /// Makes large objects, one member after another.
    LargeObjects { members: Vec<usize> },
    /// Sets the sequences.
    Sequences,
    /// Builds an index: the first statement of an entry, or the index of a key.
    Build { entry: usize },
    /// What an entry needs its table alone for, after its index was built.
    Attach { entry: usize },
    /// Restores a whole entry.
    Entry { entry: usize },
    /// Gathers statistics.
    Analyze { sql: Vec<u8> },
    /// Nothing: others wait for it.
    Gate,
}

/// Indexes go before rows, so that a table's are built as soon as it is loaded.
const RANK_INDEX: u32 = 0;
const RANK_ROWS: u32 = 1;
const RANK_LATE: u32 = 2;

/// Entries that are restored as soon as their table is loaded.
pub(super) fn is_early(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "INDEX" | "CONSTRAINT" | "INDEX ATTACH")
}

pub(super) fn is_foreign_key(entry: &Entry) -> bool {
    entry.kind == "FK CONSTRAINT"
}

/// Everything that can be done in parallel, with what waits for what.
pub(super) fn tasks(restore: &Restore<'_>) -> Vec<Task<Work>> {
    let mut tasks = Tasks {
        tasks: Vec::new(),
        done_by: HashMap::new(),
    };
    let tables = TableEntries::new(restore);
    // A table is loaded when all members of its group are: rows may move between the leaves of one root.
    let group = |table: u32| restore.manifest.tables[table as usize].load_through.unwrap_or(table);
    let mut loads: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let is_last = |table: u32| restore.manifest.tables[table as usize].load_last;
    let mut first_rows = Vec::new();
    for (member, block) in restore.row_members().filter(|(_, block)| !is_last(block.table)) {
        let locks = tables
            .entry_of_table(block.table)
            .map(|entry| (entry, Lock::Shared))
            .into_iter()
            .collect();
        let number = tasks.add(Work::Rows { member }, Vec::new(), locks, RANK_ROWS);
        first_rows.push(number);
        loads.entry(group(block.table)).or_default().push(number);
    }
    // One after another, in the order of the pack: their checks may read each other's tables, too.
    let mut before = tasks.add(Work::Gate, first_rows, Vec::new(), RANK_ROWS);
    for (member, block) in restore.row_members().filter(|(_, block)| is_last(block.table)) {
        before = tasks.add(Work::Rows { member }, vec![before], Vec::new(), RANK_ROWS);
        loads.entry(group(block.table)).or_default().push(before);
    }
    let mut before_keys = Vec::new();
    let mut loaded: HashMap<u32, usize> = HashMap::new();
    for (group, after) in loads {
        let gate = tasks.add(Work::Gate, after, Vec::new(), RANK_INDEX);
        before_keys.push(gate);
        loaded.insert(group, gate);
    }
    let members = restore.large_object_members();
    if !members.is_empty() {
        before_keys.push(tasks.add(Work::LargeObjects { members }, Vec::new(), Vec::new(), RANK_ROWS));
    }
    if !restore.sequence_statements().is_empty() {
        before_keys.push(tasks.add(Work::Sequences, Vec::new(), Vec::new(), RANK_ROWS));
    }
    let mut indexed: HashMap<u32, Vec<usize>> = HashMap::new();
    for (index, entry) in restore.entries(Stage::PostData).filter(|(_, entry)| is_early(entry)) {
        let used = tables.used_by(entry);
        let gates = used
            .iter()
            .filter_map(|entry| loaded.get(&group(tables.table_of_entry(*entry)?)).copied());
        // Entries come in an order in which what they need is before them.
        let needed = entry
            .dependencies
            .iter()
            .filter_map(|id| tasks.done_by.get(id).copied());
        let after: Vec<usize> = gates.chain(needed).collect();
        let with = |lock: Lock| used.iter().map(|table| (*table, lock)).collect::<Vec<_>>();
        let number = if entry.key.is_some() || entry.kind == "INDEX" {
            let build = tasks.add(Work::Build { entry: index }, after, with(Lock::Shared), RANK_INDEX);
            tasks.add(
                Work::Attach { entry: index },
                vec![build],
                with(Lock::Exclusive),
                RANK_INDEX,
            )
        } else {
            tasks.add(Work::Entry { entry: index }, after, with(Lock::Exclusive), RANK_INDEX)
        };
        tasks.done_by.insert(entry.id, number);
        before_keys.push(number);
        for table in used {
            indexed.entry(table).or_default().push(number);
        }
    }
    let everything = tasks.add(Work::Gate, before_keys, Vec::new(), RANK_LATE);
    for (index, entry) in restore
        .entries(Stage::PostData)
        .filter(|(_, entry)| is_foreign_key(entry))
    {
        let used = tables.used_by(entry);
        let needed = entry
            .dependencies
            .iter()
            .filter_map(|id| tasks.done_by.get(id).copied());
        // Rows below a root are in tables that the entry does not name.
        let named: Option<Vec<u32>> = used.iter().map(|&entry| tables.plain_table(restore, entry)).collect();
        let after = match named {
            Some(named) => needed
                .chain(named.into_iter().filter_map(|table| loaded.get(&group(table)).copied()))
                .collect(),
            None => needed.chain([everything]).collect(),
        };
        let exclusive = used.into_iter().map(|table| (table, Lock::Exclusive)).collect();
        let number = tasks.add(Work::Entry { entry: index }, after, exclusive, RANK_LATE);
        tasks.done_by.insert(entry.id, number);
    }
    for (table, sql) in restore.tables_to_analyze() {
        // Behind its indexes, since those of expressions have statistics of their own.
        let entry = tables.entry_of_table(table);
        let indexed = entry.and_then(|entry| indexed.remove(&entry)).unwrap_or_default();
        let after = indexed.into_iter().chain(loaded.get(&group(table)).copied()).collect();
        let alone = entry.map(|entry| (entry, Lock::Exclusive)).into_iter().collect();
        tasks.add(Work::Analyze { sql }, after, alone, RANK_LATE);
    }
    tasks.tasks
}

struct Tasks {
    tasks: Vec<Task<Work>>,
    /// The task that ends each entry, by the entry's id.
    done_by: HashMap<i32, usize>,
}

impl Tasks {
    fn add(&mut self, work: Work, after: Vec<usize>, locks: Vec<(u32, Lock)>, rank: u32) -> usize {
        self.tasks.push(Task {
            work,
            after,
            locks,
            rank,
        });
        self.tasks.len() - 1
    }
}

/// Which entries are tables, and which of them others use.
struct TableEntries<'m> {
    by_id: HashMap<i32, &'m Entry>,
    entry_of_table: HashMap<u32, u32>,
    table_of_entry: HashMap<u32, u32>,
    index_of_id: HashMap<i32, u32>,
}

impl<'m> TableEntries<'m> {
    fn new(restore: &Restore<'m>) -> Self {
        let manifest = restore.manifest;
        let mut tables: HashMap<(&[u8], &[u8]), u32> = HashMap::new();
        for (table, index) in manifest.tables.iter().zip(0..) {
            if table.kind != TableKind::Foreign {
                tables.insert((table.schema.as_bytes(), table.name.as_bytes()), index);
            }
        }
        let mut this = Self {
            by_id: HashMap::new(),
            entry_of_table: HashMap::new(),
            table_of_entry: HashMap::new(),
            index_of_id: HashMap::new(),
        };
        for (entry, index) in manifest.entries.iter().zip(0u32..) {
            this.by_id.insert(entry.id, entry);
            if matches!(entry.kind.as_str(), "TABLE" | "MATERIALIZED VIEW" | "FOREIGN TABLE") {
                this.index_of_id.insert(entry.id, index);
                let schema = entry.schema.as_ref().map_or(&b""[..], |schema| schema.as_bytes());
                if let Some(&table) = tables.get(&(schema, entry.name.as_bytes())) {
                    this.entry_of_table.insert(table, index);
                    this.table_of_entry.insert(index, table);
                }
            }
        }
        this
    }

    fn entry_of_table(&self, table: u32) -> Option<u32> {
        self.entry_of_table.get(&table).copied()
    }

    fn table_of_entry(&self, entry: u32) -> Option<u32> {
        self.table_of_entry.get(&entry).copied()
    }

    /// The table that an entry makes, if its rows are in itself alone.
    fn plain_table(&self, restore: &Restore<'_>, entry: u32) -> Option<u32> {
        self.table_of_entry(entry)
            .filter(|&table| restore.manifest.tables[table as usize].kind == TableKind::Table)
    }

    /// The tables that an entry is about, directly or through the indexes that it names.
    fn used_by(&self, entry: &Entry) -> Vec<u32> {
        let mut used = HashSet::new();
        let mut ids: Vec<i32> = entry.dependencies.clone();
        for depth in 0..2 {
            let mut next = Vec::new();
            for id in ids {
                if let Some(&table) = self.index_of_id.get(&id) {
                    used.insert(table);
                } else if depth == 0
                    && let Some(needed) = self.by_id.get(&id).filter(|needed| is_early(needed))
                {
                    next.extend(needed.dependencies.iter().copied());
                }
            }
            ids = next;
        }
        let mut used: Vec<u32> = used.into_iter().collect();
        used.sort_unstable();
        used
    }
}
