//! Tables that must be there with their rows.

use std::collections::{HashMap, HashSet};

use backstay_core::DbText;
use backstay_core::manifest::{Manifest, Table, TableKind, TableRows};

use crate::finding::Finding;

/// Whether a name as people write it, with or without schema, means a table.
pub(crate) fn is_meant(required: &str, schema: Option<&[u8]>, name: &[u8]) -> bool {
    let required = required.as_bytes();
    let in_schema = |schema| required.strip_prefix(schema)?.strip_prefix(b".");
    required == name || schema.and_then(in_schema) == Some(name)
}

/// Checks every table that is meant; the rows of a partitioned one are those of its partitions.
pub(crate) fn check(manifest: &Manifest, required: &[String]) -> Vec<Finding> {
    let partitions = Partitions::of(manifest);
    let mut findings = Vec::new();
    for required in required {
        let mut found = false;
        for (index, table) in manifest.tables.iter().enumerate() {
            if is_meant(required, Some(table.schema.as_bytes()), table.name.as_bytes()) {
                found = true;
                findings.extend(check_table(table, &partitions.leaves(manifest, index)));
            }
        }
        if !found {
            let message = "the backup does not have this table";
            findings.push(Finding::error("required-table", required, message));
        }
    }
    findings
}

/// How many rows the tables have together, or the first that is left out, and why.
pub(crate) fn rows_of<'m>(leaves: &[&'m Table]) -> Result<u64, (&'m Table, &'m str)> {
    let mut rows = 0_u64;
    for leaf in leaves {
        match &leaf.rows {
            TableRows::Included { digest, .. } => rows = rows.saturating_add(digest.rows()),
            TableRows::Excluded { reason } => return Err((leaf, reason)),
        }
    }
    Ok(rows)
}

fn check_table(table: &Table, leaves: &[&Table]) -> Option<Finding> {
    let rows = match rows_of(leaves) {
        Ok(rows) => rows,
        Err((leaf, reason)) => {
            let message = format!("the backup does not have the rows of this table: {reason}");
            let finding = Finding::error("required-table", table.display_name(), message);
            return Some(finding.with("table", leaf.display_name()));
        }
    };
    (rows == 0).then(|| {
        let message = "this table is required, and it is empty";
        Finding::warning("required-table-empty", table.display_name(), message)
    })
}

/// The partitions right below each partitioned table, by index, as the entries that attach them tell.
pub(crate) struct Partitions(HashMap<usize, Vec<usize>>);

impl Partitions {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let tables: HashMap<(&DbText, &DbText), usize> = manifest
            .tables
            .iter()
            .enumerate()
            .map(|(index, table)| ((&table.schema, &table.name), index))
            .collect();
        let table_of = |schema: &Option<DbText>, name| tables.get(&(schema.as_ref()?, name)).copied();
        let by_entry: HashMap<i32, usize> = manifest
            .entries
            .iter()
            .filter(|entry| entry.kind == "TABLE")
            .filter_map(|entry| Some((entry.id, table_of(&entry.schema, &entry.name)?)))
            .collect();
        let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
        for attach in manifest.entries.iter().filter(|entry| entry.kind == "TABLE ATTACH") {
            // Such an entry has the name of the partition, and depends on both tables.
            let Some(child) = table_of(&attach.schema, &attach.name) else {
                continue;
            };
            let parents = attach.dependencies.iter().filter_map(|id| by_entry.get(id));
            for &parent in parents.filter(|&&parent| parent != child) {
                children.entry(parent).or_default().push(child);
            }
        }
        Self(children)
    }

    /// Of each partition the table at the top.
    pub(crate) fn roots(&self) -> HashMap<usize, usize> {
        // A manifest that is wrong may go in a circle.
        const LEVELS_MAX: usize = 100;
        let children = self.0.iter();
        let parents: HashMap<usize, usize> = children
            .flat_map(|(parent, children)| children.iter().map(|child| (*child, *parent)))
            .collect();
        let above = |table: &usize| parents.get(table).copied();
        let root = |table: usize| std::iter::successors(Some(table), above).take(LEVELS_MAX).last();
        parents
            .keys()
            .filter_map(|&child| Some((child, root(child)?)))
            .collect()
    }

    /// The tables that hold the rows of a table: itself, or the partitions at the bottom.
    pub(crate) fn leaves<'m>(&self, manifest: &'m Manifest, table: usize) -> Vec<&'m Table> {
        let mut leaves = Vec::new();
        let mut seen = HashSet::new();
        let mut waiting = vec![table];
        while let Some(index) = waiting.pop() {
            if !seen.insert(index) {
                continue;
            }
            match manifest.tables.get(index) {
                Some(table) if table.kind != TableKind::Partitioned => leaves.push(table),
                _ => waiting.extend(self.0.get(&index).into_iter().flatten()),
            }
        }
        leaves.sort_by_key(|table| (&table.schema, &table.name));
        leaves
    }
}
