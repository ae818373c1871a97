use std::collections::HashMap;

use backstay_core::DbText;
use backstay_core::manifest::{Manifest, TableRows};

use crate::finding::Finding;
use crate::options::Rules;

/// A table of fewer rows is only worth a finding when it has lost all of them.
const LOSS_ROWS_MIN: u64 = 10;

/// A table of fewer rows than this has not grown worth telling.
const GROWTH_ROWS_MIN: u64 = 1000;

/// Rows and bytes of COPY text.
#[derive(Clone, Copy, Debug, Default)]
struct Volume {
    rows: u64,
    bytes: u64,
}

/// Compares the volume of data with that of an earlier backup.
pub(crate) fn compare(manifest: &Manifest, previous: &Manifest, rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    if manifest.source.database != previous.source.database {
        let finding = Finding::warning(
            "other-database",
            &manifest.id,
            "the earlier backup is of another database",
        );
        return vec![
            finding
                .with("this", &manifest.source.database)
                .with("earlier", &previous.source.database),
        ];
    }
    let now = volumes(manifest);
    let before = volumes(previous);
    for (index, table) in previous.tables.iter().enumerate() {
        let name = (&table.schema, &table.name);
        let Some(&Some(before)) = before.get(&name) else {
            continue;
        };
        let subject = table.display_name();
        let finding = match now.get(&name) {
            None => Some(Finding::warning(
                "table-vanished",
                subject,
                "the earlier backup has this table, and this one has not",
            )),
            Some(None) if before.rows > 0 => {
                let message = "the earlier backup has its rows, and this one leaves them out";
                Some(Finding::warning("table-emptied", subject, message))
            }
            Some(None) => None,
            Some(Some(now)) => compare_table(subject, before, *now, rules),
        };
        findings.extend(finding.map(|finding| finding.at(index)));
    }
    let sum = |volumes: &HashMap<_, Option<Volume>>| {
        volumes
            .values()
            .flatten()
            .fold(Volume::default(), |sum, volume| Volume {
                rows: sum.rows.saturating_add(volume.rows),
                bytes: sum.bytes.saturating_add(volume.bytes),
            })
    };
    let (before, now) = (sum(&before), sum(&now));
    let percent = rules.database_loss_percent_max;
    if lost_more_than(percent, before.rows, now.rows) || lost_more_than(percent, before.bytes, now.bytes) {
        let message = format!("the database lost more than {percent} % of its rows or bytes since the earlier backup");
        findings.push(with_volumes(
            Finding::warning("database-shrank", &manifest.source.database, message),
            before,
            now,
        ));
    }
    findings
}

fn compare_table(subject: String, before: Volume, now: Volume, rules: &Rules) -> Option<Finding> {
    let percent = rules.table_loss_percent_max;
    let finding = if before.rows > 0 && now.rows == 0 {
        Finding::warning(
            "table-emptied",
            subject,
            "the table had rows in the earlier backup, and now has none",
        )
    } else if before.rows >= LOSS_ROWS_MIN && lost_more_than(percent, before.rows, now.rows) {
        let message = format!("the table lost more than {percent} % of its rows since the earlier backup");
        Finding::warning("table-shrank", subject, message)
    } else if before.rows > 0
        && now.rows >= GROWTH_ROWS_MIN
        && now.rows / before.rows >= u64::from(rules.growth_factor_max)
    {
        let message = format!(
            "the table has {} times the rows of the earlier backup",
            now.rows / before.rows
        );
        Finding::note("table-grew", subject, message)
    } else {
        return None;
    };
    Some(with_volumes(finding, before, now))
}

fn with_volumes(finding: Finding, before: Volume, now: Volume) -> Finding {
    let shown = |volume: Volume| format!("{} rows, {} bytes", volume.rows, volume.bytes);
    finding.with("earlier", shown(before)).with("this", shown(now))
}

fn lost_more_than(percent: u8, before: u64, now: u64) -> bool {
    let lost = u128::from(before.saturating_sub(now));
    lost * 100 > u128::from(before) * u128::from(percent)
}

/// The volume of each table by schema and name; `None` where its rows are left out.
fn volumes(manifest: &Manifest) -> HashMap<(&DbText, &DbText), Option<Volume>> {
    manifest
        .tables
        .iter()
        .map(|table| {
            let volume = match &table.rows {
                TableRows::Included { digest, text_bytes } => Some(Volume {
                    rows: digest.rows(),
                    bytes: *text_bytes,
                }),
                TableRows::Excluded { .. } => None,
            };
            ((&table.schema, &table.name), volume)
        })
        .collect()
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
