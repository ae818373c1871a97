//! How much earlier backups held, and whether what is there now is unusual for it.

use std::collections::{BTreeMap, BTreeSet};

use backstay_core::manifest::{Manifest, Omission, PART_OF_DATABASE, Table, TableKind, TableRows};
use backstay_core::{BackupId, DbText};

use crate::inventory::Partitions;

/// Fewer changes than this do not show how much a number varies.
const CHANGES_MIN: usize = 4;

/// How many times the usual spread a change must be away from the usual one. 3.5 is what is common for the score that is
/// made of median and MAD.
const SPREADS_MAX: f64 = 3.5;

/// What makes of a median absolute deviation the standard deviation of values that are normally distributed.
const MAD_SCALE: f64 = 1.4826;

/// A loss or growth that was there so often is usual, however seldom: of a table that is filled anew each week.
const TIMES_USUAL: usize = 2;

/// How much an earlier backup held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastBackup {
    pub(super) id: BackupId,
    pub(super) database: DbText,
    /// Which part of the database was selected; empty for all of it.
    pub(super) part: BTreeSet<String>,
    pub(super) tables: BTreeMap<TableName, Held>,
}

/// Schema and name.
pub(super) type TableName = (DbText, DbText);

/// What a backup held of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Of a partitioned table that of its partitions; `None` where the rows are left out.
    pub(super) volume: Option<Volume>,
    /// The partitioned table at the top that it is a part of.
    pub(super) root: Option<TableName>,
    is_partitioned: bool,
}

/// Rows and bytes of COPY text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl PastBackup {
    /// What a manifest tells of it.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let partitions = Partitions::of(manifest);
        let roots = partitions.roots();
        let name = |table: &Table| (table.schema.clone(), table.name.clone());
        let tables = manifest.tables.iter().enumerate().map(|(index, table)| {
            let leaves = partitions.leaves(manifest, index);
            // Foreign partitions never have their rows in a backup, and do not hide what the others lose.
            let volume = match leaves.is_empty() {
                true => Some(Volume::default()),
                false => leaves.into_iter().filter_map(volume_of).reduce(Volume::plus),
            };
            let root = roots.get(&index).and_then(|root| manifest.tables.get(*root));
            let held = Held {
                volume,
                root: root.map(name),
                is_partitioned: table.kind == TableKind::Partitioned,
            };
            (name(table), held)
        });
        let is_part = |omission: &&Omission| omission.reason == PART_OF_DATABASE;
        let parts = manifest.omissions.iter().filter(is_part);
        Self {
            id: manifest.id.clone(),
            database: manifest.source.database.clone(),
            part: parts.map(|omission| omission.subject.clone()).collect(),
            tables: tables.collect(),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &BackupId {
        &self.id
    }

    /// How many rows it had of a table, of a partitioned one those of its partitions; `None` where it had not the table or
    /// left its rows out.
    #[must_use]
    pub fn rows(&self, schema: &DbText, name: &DbText) -> Option<u64> {
        let held = self.tables.get(&(schema.clone(), name.clone()))?;
        held.volume.map(|volume| volume.rows)
    }

    /// The sum of all tables; rows of partitions count once.
    pub(super) fn whole(&self) -> Volume {
        let tables = self.tables.values().filter(|held| !held.is_partitioned);
        tables
            .filter_map(|held| held.volume)
            .fold(Volume::default(), Volume::plus)
    }
}

impl Volume {
    fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

fn volume_of(table: &Table) -> Option<Volume> {
    match &table.rows {
        TableRows::Included { digest, text_bytes } => Some(Volume {
            rows: digest.rows(),
            bytes: *text_bytes,
        }),
        TableRows::Excluded { .. } => None,
    }
}

/// A number as it was in earlier backups, newest first.
#[derive(Debug)]
pub(super) struct Series(Vec<u64>);

impl Series {
    /// `None` where there is no earlier backup with the number.
    pub(super) fn new(numbers: impl Iterator<Item = u64>) -> Option<Self> {
        let numbers: Vec<u64> = numbers.collect();
        (!numbers.is_empty()).then_some(Self(numbers))
    }

    /// With what a number is compared to see a loss or growth: with the newest or, where that is more, with the median, so
    /// that a loss does not count as usual from the next night on.
    pub(super) fn before(&self) -> u64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        // Of two in the middle the lower: no number that never was.
        let median = sorted[(sorted.len() - 1) / 2];
        self.0[0].max(median)
    }

    /// Whether the change to `now` is one that this number does not make as a rule: it lies outside of what the median of
    /// the changes and their median absolute deviation let expect, and was not there twice before. Changes are compared as
    /// ratios, in logarithms, so a table that grows is no table that varies.
    pub(super) fn is_unusual(&self, now: u64) -> bool {
        if now == 0 {
            // However much it varies, that there is nothing is another matter.
            let emptied = self.0.windows(2).filter(|pair| pair[0] == 0 && pair[1] > 0);
            return emptied.count() < TIMES_USUAL;
        }
        let change = ratio(self.before(), now);
        let changes: Vec<f64> = self.0.windows(2).map(|pair| ratio(pair[1], pair[0])).collect();
        let was_there = changes.iter().filter(|past| {
            // As much or more, in the same direction.
            (change < 0.0 && **past <= change) || (change > 0.0 && **past >= change)
        });
        if was_there.count() >= TIMES_USUAL {
            return false;
        }
        if changes.len() < CHANGES_MIN {
            return true;
        }
        let usual = median(changes.clone());
        let spread = MAD_SCALE * median(changes.iter().map(|past| (past - usual).abs()).collect());
        (change - usual).abs() > SPREADS_MAX * spread
    }
}

/// The logarithm of how many times as much; one more of each, since there may be none.
fn ratio(before: u64, now: u64) -> f64 {
    let more = |number: u64| number as f64 + 1.0;
    (more(now) / more(before)).ln()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests;
