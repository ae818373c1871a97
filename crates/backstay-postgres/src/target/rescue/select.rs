//! Which tables of a backup stand beside the living ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use backstay_core::DbText;
use backstay_core::manifest::{Manifest, TableKind, TableRows};

use super::{RescueError, RescuedTable};
use crate::target::RestoreSelection;

/// The tables that were named, roots before their partitions.
pub(super) fn select(manifest: &Manifest, patterns: &[String]) -> Result<Vec<RescuedTable>, RescueError> {
    let selection = RestoreSelection {
        tables: patterns.to_vec(),
        ..RestoreSelection::default()
    };
    let selected = selection.select(manifest);
    // A pattern may name a view, of which there is nothing to rescue.
    if !selected.unmatched.is_empty() || selected.tables.is_empty() {
        let patterns = match selected.unmatched.is_empty() {
            true => patterns.to_vec(),
            false => selected.unmatched,
        };
        return Err(RescueError::NoMatch { patterns });
    }
    let parents = parents(manifest);
    let named: BTreeSet<usize> = selected.tables.into_iter().collect();
    let mut tables = Vec::new();
    for (index, table) in manifest.tables.iter().enumerate() {
        let root = root_among(&named, &parents, index);
        let is_partition = root.is_some() && table.kind != TableKind::Partitioned;
        let is_below_root = root.is_some() && !is_partition;
        if is_below_root || !(named.contains(&index) || is_partition) {
            continue;
        }
        let rows = match (&table.rows, table.kind) {
            (_, TableKind::Partitioned) => 0,
            (TableRows::Included { digest, .. }, _) => digest.rows(),
            (TableRows::Excluded { reason }, _) => {
                return Err(RescueError::NoRows {
                    table: table.display_name(),
                    reason: reason.clone(),
                });
            }
        };
        tables.push(RescuedTable {
            name: table.display_name(),
            rows,
            index,
            root,
        });
    }
    tables.sort_by_key(|table| table.root.is_some());
    let mut names: HashMap<&DbText, &RescuedTable> = HashMap::new();
    for table in &tables {
        if let Some(other) = names.insert(&manifest.tables[table.index].name, table) {
            return Err(RescueError::SameName {
                first: other.name.clone(),
                second: table.name.clone(),
            });
        }
    }
    Ok(tables)
}

/// The outermost partitioned table above a table that was named too.
fn root_among(named: &BTreeSet<usize>, parents: &BTreeMap<usize, usize>, index: usize) -> Option<usize> {
    let mut root = None;
    let mut at = index;
    // A damaged manifest may lead round in a circle.
    for _ in 0..parents.len() {
        let Some(&parent) = parents.get(&at) else { break };
        if named.contains(&parent) {
            root = Some(parent);
        }
        at = parent;
    }
    root
}

/// The partitioned table of each partition, as the entries tell that attach them.
fn parents(manifest: &Manifest) -> BTreeMap<usize, usize> {
    let tables = manifest.tables.iter().enumerate();
    let by_name: HashMap<(&DbText, &DbText), usize> = tables
        .map(|(index, table)| ((&table.schema, &table.name), index))
        .collect();
    let by_id: HashMap<i32, usize> = manifest
        .entries
        .iter()
        .filter(|entry| matches!(entry.kind.as_str(), "TABLE" | "FOREIGN TABLE"))
        .filter_map(|entry| Some((entry.id, *by_name.get(&(entry.schema.as_ref()?, &entry.name))?)))
        .collect();
    let mut parents = BTreeMap::new();
    for entry in manifest.entries.iter().filter(|entry| entry.kind == "TABLE ATTACH") {
        let child = entry
            .schema
            .as_ref()
            .and_then(|schema| by_name.get(&(schema, &entry.name)));
        let Some(&child) = child else { continue };
        let parent = entry
            .dependencies
            .iter()
            .filter_map(|id| by_id.get(id).copied())
            .find(|&table| table != child);
        parents.extend(parent.map(|parent| (child, parent)));
    }
    parents
}
