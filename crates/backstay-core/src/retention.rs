//! Which backups may go: plans as values, made of a listing and a time, that delete nothing by themselves.

use std::fmt;

use jiff::Timestamp;

use crate::id::{BackupId, Prefix};
use crate::repository::{BackupSummary, Listing};

/// What a plan says of one backup, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionDecision {
    /// The backup.
    pub id: BackupId,
    /// What shall happen to it.
    pub action: RetentionAction,
    /// Why.
    pub reason: RetentionReason,
}

/// What shall happen to a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a backup stays or goes")]
pub enum RetentionAction {
    /// It stays.
    Keep,
    /// It goes.
    Delete,
}

/// Why a backup stays or goes; `Display` is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetentionReason {
    /// It is the newest of its series.
    Newest,
    /// It is the newest of which the store still has a pack.
    NewestWithPack,
    /// It is the newest that has a proof.
    NewestProven,
    /// Somebody holds it.
    Held,
    /// It is not older than the limit.
    Recent,
    /// It is older than the limit.
    Expired {
        /// Its age in whole days.
        age_days: u64,
    },
}

impl RetentionReason {
    fn action(self) -> RetentionAction {
        match self {
            Self::Expired { .. } => RetentionAction::Delete,
            Self::Newest | Self::NewestWithPack | Self::NewestProven | Self::Held | Self::Recent => {
                RetentionAction::Keep
            }
        }
    }
}

impl fmt::Display for RetentionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("the newest"),
            Self::NewestWithPack => f.write_str("the newest that has its pack"),
            Self::NewestProven => f.write_str("the newest with a proof"),
            Self::Held => f.write_str("held"),
            Self::Recent => f.write_str("recent"),
            Self::Expired { age_days } => write!(f, "{age_days} days old"),
        }
    }
}

const SECONDS_PER_DAY: i64 = 86_400;

/// Plans to delete the backups of one prefix that are more than `days` days old at `now`; gives a decision for each
/// backup of the prefix, oldest first.
///
/// Whatever its age, a backup stays if it is the newest, the newest of which the listing shows a pack, the newest
/// that has a proof, or one that ever was held: whether a hold was released or a proof went well stands inside the
/// records, which a listing does not read. A backup of exactly `days` days stays.
#[must_use]
pub fn plan_keep_days(listing: &Listing, prefix: &Prefix, now: Timestamp, days: u32) -> Vec<RetentionDecision> {
    let series: Vec<&BackupSummary> = listing
        .backups
        .iter()
        .filter(|backup| backup.id.prefix() == prefix)
        .collect();
    let newest_that = |condition: fn(&BackupSummary) -> bool| {
        let fitting = series.iter().filter(|backup| condition(backup));
        fitting.map(|backup| &backup.id).max_by_key(|id| id.time())
    };
    let newest = newest_that(|_| true);
    let newest_with_pack = newest_that(|backup| backup.pack_bytes > 0);
    let newest_proven = newest_that(|backup| has_record(backup, "proof"));
    let reason = |backup: &BackupSummary| {
        let id = Some(&backup.id);
        let age_secs = now.as_second().saturating_sub(backup.id.time().as_second());
        if id == newest {
            RetentionReason::Newest
        } else if id == newest_with_pack {
            RetentionReason::NewestWithPack
        } else if id == newest_proven {
            RetentionReason::NewestProven
        } else if has_record(backup, "hold") {
            RetentionReason::Held
        } else if age_secs <= i64::from(days) * SECONDS_PER_DAY {
            RetentionReason::Recent
        } else {
            let age_days = u64::try_from(age_secs / SECONDS_PER_DAY).unwrap_or(0);
            RetentionReason::Expired { age_days }
        }
    };
    series
        .iter()
        .map(|backup| {
            let reason = reason(backup);
            RetentionDecision {
                id: backup.id.clone(),
                action: reason.action(),
                reason,
            }
        })
        .collect()
}

/// Whether a record of that kind stands beside the backup: `ID.KIND-….json`.
fn has_record(backup: &BackupSummary, kind: &str) -> bool {
    let beginning = format!("{}.{kind}-", backup.id);
    backup
        .records
        .iter()
        .any(|record| record.as_str().starts_with(&beginning))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::repository::Repository;
    use crate::store::{MemoryStore, ObjectKey, Store};

    const NOW: &str = "2025-01-31T12:00:00Z";

    /// A listing of a store that has a manifest for each time and whatever else is named.
    fn listing(backups: &[(&str, &[&str])]) -> Listing {
        let store = MemoryStore::new();
        for (id, suffixes) in backups {
            for suffix in ["manifest.json"].iter().chain(*suffixes) {
                let key: ObjectKey = format!("{id}.{suffix}").parse().unwrap();
                let mut object = store.create(&key).unwrap();
                object.append(b"x").unwrap();
                object.publish().unwrap();
            }
        }
        Repository::new(Arc::new(store)).list().unwrap()
    }

    fn check(backups: &[(&str, &[&str])], days: u32, expected: &[(&str, &str)]) {
        let plan = plan_keep_days(&listing(backups), &"a".parse().unwrap(), NOW.parse().unwrap(), days);
        let found: Vec<(String, String)> = plan
            .iter()
            .map(|decision| {
                let action = match decision.action {
                    RetentionAction::Keep => "keep",
                    RetentionAction::Delete => "delete",
                };
                (decision.id.to_string(), format!("{action}: {}", decision.reason))
            })
            .collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(id, what)| (id.as_str(), what.as_str())).collect();
        assert_eq!(found, expected);
    }

    const PACK: &[&str] = &["sql.gz", "sql.gz.sha256"];

    #[test]
    fn old_ones_go_and_others_stay() {
        let backups = [
            ("a_backup_20250123_120000", PACK),
            ("a_backup_20250124_115959", PACK),
            ("a_backup_20250124_120000", PACK),
            ("a_backup_20250130_120000", PACK),
            ("a_backup_20250131_120000", PACK),
        ];
        let expected = [
            ("a_backup_20250123_120000", "delete: 8 days old"),
            ("a_backup_20250124_115959", "delete: 7 days old"),
            ("a_backup_20250124_120000", "keep: recent"),
            ("a_backup_20250130_120000", "keep: recent"),
            ("a_backup_20250131_120000", "keep: the newest"),
        ];
        check(&backups, 7, &expected);
    }

    #[test]
    fn other_series_are_left_alone() {
        check(
            &[("ab_backup_20240101_000000", PACK), ("b_backup_20240101_000000", PACK)],
            1,
            &[],
        );
    }

    #[test]
    fn the_last_ones_stay_whatever_their_age() {
        let backups: [(&str, &[&str]); 6] = [
            ("a_backup_20240101_000000", &["sql.gz", "hold-legal.json"]),
            ("a_backup_20240102_000000", &["sql.gz", "proof-1.json"]),
            ("a_backup_20240103_000000", &["sql.gz", "proof-2.json"]),
            ("a_backup_20240104_000000", PACK),
            ("a_backup_20240105_000000", PACK),
            ("a_backup_20240106_000000", &[]),
        ];
        let expected = [
            ("a_backup_20240101_000000", "keep: held"),
            ("a_backup_20240102_000000", "delete: 395 days old"),
            ("a_backup_20240103_000000", "keep: the newest with a proof"),
            ("a_backup_20240104_000000", "delete: 393 days old"),
            ("a_backup_20240105_000000", "keep: the newest that has its pack"),
            ("a_backup_20240106_000000", "keep: the newest"),
        ];
        check(&backups, 7, &expected);
    }

    #[test]
    fn a_clock_that_goes_wrong_deletes_no_newer_backup() {
        let backups = [("a_backup_20260101_000000", PACK), ("a_backup_20260102_000000", PACK)];
        let expected = [
            ("a_backup_20260101_000000", "keep: recent"),
            ("a_backup_20260102_000000", "keep: the newest"),
        ];
        check(&backups, 1, &expected);
    }

    proptest! {
        #[test]
        fn something_whole_always_stays(
            backups in prop::collection::btree_map(0i64..40, (any::<bool>(), any::<bool>()), 1..12),
            days in 1u32..50,
        ) {
            let now: Timestamp = NOW.parse().unwrap();
            let id = |days_old: i64| {
                let time = Timestamp::from_second(now.as_second() - days_old * SECONDS_PER_DAY).unwrap();
                BackupId::new("a".parse().unwrap(), time)
            };
            let ids: Vec<(String, Vec<&str>)> = backups
                .iter()
                .map(|(&age, &(pack, held))| {
                    let pack = pack.then_some("sql.zst");
                    (id(age).to_string(), pack.into_iter().chain(held.then_some("hold-x.json")).collect())
                })
                .collect();
            let given: Vec<(&str, &[&str])> = ids.iter().map(|(id, all)| (id.as_str(), all.as_slice())).collect();
            let plan = plan_keep_days(&listing(&given), &"a".parse().unwrap(), now, days);
            prop_assert_eq!(plan.len(), backups.len());
            let kept = |age: i64| plan.iter().any(|d| d.id == id(age) && d.action == RetentionAction::Keep);
            prop_assert!(kept(*backups.keys().next().unwrap()), "the newest");
            if let Some((&age, _)) = backups.iter().find(|(_, (pack, _))| *pack) {
                prop_assert!(kept(age), "the newest with its pack");
            }
            for (&age, &(_, held)) in &backups {
                prop_assert!(kept(age) || (age > i64::from(days) && !held));
            }
        }
    }
}
