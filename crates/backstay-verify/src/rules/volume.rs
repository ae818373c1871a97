//! How much data there is, compared with earlier backups.

use std::collections::BTreeSet;

use backstay_core::manifest::Manifest;

use super::history::{Held, PastBackup, Series, TableName, Volume};
use super::{Rules, TableRule};
use crate::finding::Finding;
use crate::inventory::is_meant;

/// A table of fewer rows is only worth a finding when it has lost all of them.
const LOSS_ROWS_MIN: u64 = 10;

/// What has fewer rows than this has not grown worth telling.
const GROWTH_ROWS_MIN: u64 = 1000;

/// The earlier backups up to the first that is of another database; tells where that is the newest.
pub(super) fn of_same_database<'p>(
    manifest: &Manifest,
    earlier: &'p [PastBackup],
    findings: &mut Vec<Finding>,
) -> &'p [PastBackup] {
    let is_other = |past: &PastBackup| past.database != manifest.source.database;
    let end = earlier.iter().position(is_other).unwrap_or(earlier.len());
    if let (0, Some(newest)) = (end, earlier.first()) {
        let message = "the earlier backup is of another database";
        findings.push(
            Finding::warning("other-database", &manifest.id, message)
                .with("this", &manifest.source.database)
                .with("earlier", &newest.database),
        );
    }
    &earlier[..end]
}

/// Those that are of the same part of the database as this one: others would show losses where there are none, and hide those
/// that are there.
pub(super) fn of_same_part<'p>(manifest: &Manifest, earlier: &'p [PastBackup]) -> Vec<&'p PastBackup> {
    let part = PastBackup::of(manifest).part;
    earlier.iter().filter(|past| past.part == part).collect()
}

/// Compares tables and the whole with earlier backups, newest first.
pub(super) fn check(manifest: &Manifest, earlier: &[&PastBackup], rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    if earlier.is_empty() {
        return findings;
    }
    let earlier = &earlier[..earlier.len().min(rules.history.max(1))];
    let now = PastBackup::of(manifest);
    let names: BTreeSet<&TableName> = earlier.iter().flat_map(|past| past.tables.keys()).collect();
    for (index, name) in names.into_iter().enumerate() {
        let subject = format!("{}.{}", name.0, name.1);
        let past: Vec<Option<&Held>> = earlier.iter().map(|past| past.tables.get(name)).collect();
        let finding = match now.tables.get(name).map(|held| held.volume) {
            None if is_usual(&past, |held| held.volume.is_some()) && !is_rotated(&past, &now) => {
                Some(Finding::warning(
                    "table-vanished",
                    subject,
                    "the earlier backup has this table, and this one has not",
                ))
            }
            Some(None) if is_usual(&past, |held| held.volume.is_some_and(|volume| volume.rows > 0)) => {
                let message = "the earlier backup has its rows, and this one leaves them out";
                Some(Finding::warning("table-emptied", subject, message))
            }
            None | Some(None) => None,
            Some(Some(now)) => {
                let rule = rules
                    .tables
                    .iter()
                    .find(|rule| is_meant(&rule.table, Some(name.0.as_bytes()), name.1.as_bytes()));
                let volumes = past.iter().filter_map(|held| held.as_ref()?.volume);
                check_table(subject, volumes, now.rows, &Bounds::of(rules, rule))
            }
        };
        findings.extend(finding.map(|finding| finding.at(index)));
    }
    let database = manifest.source.database.to_string();
    findings.extend(check_whole(&database, earlier, now.whole(), rules));
    findings
}

/// Whether it was so in the newest or in most of the earlier backups: what changed does not count as usual from the next night
/// on.
fn is_usual(past: &[Option<&Held>], was: impl Fn(&Held) -> bool) -> bool {
    let was = |held: &Option<&Held>| held.is_some_and(&was);
    past.first().is_some_and(was) || past.iter().filter(|held| was(held)).count() * 2 > past.len()
}

/// Whether it was a partition of a table that is there; that one is judged by the rows of all.
fn is_rotated(past: &[Option<&Held>], now: &PastBackup) -> bool {
    let newest = past.iter().flatten().next();
    let root = newest.and_then(|held| held.root.as_ref());
    root.is_some_and(|root| now.tables.contains_key(root))
}

/// How much a table may lose and grow.
struct Bounds {
    loss_percent: u8,
    growth_factor: u32,
}

impl Bounds {
    fn of(rules: &Rules, table: Option<&TableRule>) -> Self {
        let own_loss = table.and_then(|table| table.loss_percent_max);
        let own_growth = table.and_then(|table| table.growth_factor_max);
        Self {
            loss_percent: own_loss.unwrap_or(rules.table_loss_percent_max),
            growth_factor: own_growth.unwrap_or(rules.growth_factor_max),
        }
    }
}

fn check_table(subject: String, past: impl Iterator<Item = Volume>, now: u64, bounds: &Bounds) -> Option<Finding> {
    let series = Series::new(past.map(|volume| volume.rows))?;
    let before = series.before();
    let percent = bounds.loss_percent;
    let finding = if lost_more_than(percent, before, now) && now == 0 {
        let message = "the table had rows in the earlier backups, and now has none";
        Finding::warning("table-emptied", subject, message)
    } else if before >= LOSS_ROWS_MIN && lost_more_than(percent, before, now) {
        let message = format!("the table lost more than {percent} % of its rows");
        Finding::warning("table-shrank", subject, message)
    } else if has_grown(bounds.growth_factor, before, now) {
        let message = format!("the table has {} times the rows of the earlier backups", now / before);
        Finding::note("table-grew", subject, message)
    } else {
        return None;
    };
    let shown = |rows: u64| format!("{rows} rows");
    series
        .is_unusual(now)
        .then(|| finding.with("earlier", shown(before)).with("this", shown(now)))
}

fn check_whole(database: &str, earlier: &[&PastBackup], now: Volume, rules: &Rules) -> Option<Finding> {
    let of = |number: fn(Volume) -> u64| Series::new(earlier.iter().map(|past| number(past.whole())));
    let (rows, bytes) = (of(|volume| volume.rows)?, of(|volume| volume.bytes)?);
    let percent = rules.database_loss_percent_max;
    let has_shrunk = |series: &Series, now| lost_more_than(percent, series.before(), now) && series.is_unusual(now);
    let finding = if has_shrunk(&rows, now.rows) || has_shrunk(&bytes, now.bytes) {
        let message = format!("the database lost more than {percent} % of its rows or bytes");
        Finding::warning("database-shrank", database, message)
    } else if has_grown(rules.growth_factor_max, rows.before(), now.rows) && rows.is_unusual(now.rows) {
        let times = now.rows / rows.before();
        let message = format!("the database has {times} times the rows of the earlier backups");
        Finding::note("database-grew", database, message)
    } else {
        return None;
    };
    let shown = |rows: u64, bytes: u64| format!("{rows} rows, {bytes} bytes");
    Some(
        finding
            .with("earlier", shown(rows.before(), bytes.before()))
            .with("this", shown(now.rows, now.bytes)),
    )
}

fn has_grown(factor: u32, before: u64, now: u64) -> bool {
    before > 0 && now >= GROWTH_ROWS_MIN && now / before >= u64::from(factor)
}

fn lost_more_than(percent: u8, before: u64, now: u64) -> bool {
    let lost = u128::from(before.saturating_sub(now));
    lost * 100 > u128::from(before) * u128::from(percent)
}

#[cfg(test)]
mod tests {
    use super::lost_more_than;

    #[test]
    fn shares_are_exact() {
        for (percent, before, now, expected) in [
            (50, 100, 50, false),
            (50, 100, 49, true),
            (50, 3, 1, true),
            (0, 1, 1, false),
            (0, 1, 0, true),
            (100, 5, 0, false),
            (50, 0, 0, false),
            (50, u64::MAX, u64::MAX / 4, true),
            (50, 1, u64::MAX, false),
        ] {
            assert_eq!(
                lost_more_than(percent, before, now),
                expected,
                "{percent} {before} {now}"
            );
        }
    }
}
