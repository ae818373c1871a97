use std::collections::BTreeMap;

use backstay_core::BackupId;
use backstay_core::repository::{Copied, CopyError, CopyWatch, Listing, ReadBack, Repository};
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::CancelToken;
use crate::progress::{Phase, Progress, ProgressEvent};

/// Copies a backup from one store to another as it is stored; see [`Repository::copy_to`].
///
/// # Errors
/// See [`CopyError`].
pub fn copy_backup(
    from: &Repository,
    to: &Repository,
    id: &BackupId,
    read_back: ReadBack,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Copied, CopyError> {
    from.copy_to(to, id, read_back, &Watch { progress, cancel })
}

struct Watch<'w> {
    progress: &'w dyn Progress,
    cancel: &'w CancelToken,
}

impl CopyWatch for Watch<'_> {
    fn planned(&self, bytes_total: u64) {
        self.progress.event(ProgressEvent::Phase {
            phase: Phase::Copy,
            bytes_total,
        });
    }

    fn advanced(&self, bytes: u64) {
        self.progress.event(ProgressEvent::Advance { bytes, table: None });
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// A stretch of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the calendar has no others that people count in")]
pub enum Period {
    /// A day.
    Day,
    /// A week that begins on Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    /// The first day of the period that a day is in.
    fn begin(self, day: Date) -> Date {
        match self {
            Self::Day => day,
            Self::Week => day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days()),
            Self::Month => day.first_of_month(),
            Self::Year => day.first_of_year(),
        }
    }
}

/// The newest backup of each period, of each prefix by itself; by prefix and then by time.
#[must_use]
pub fn newest_per(listing: &Listing, period: Period) -> Vec<BackupId> {
    let mut newest = BTreeMap::new();
    for backup in &listing.backups {
        let date = backup.id.time().to_zoned(TimeZone::UTC).date();
        let newer = newest
            .entry((backup.id.prefix(), period.begin(date)))
            .or_insert(&backup.id);
        *newer = (*newer).max(&backup.id);
    }
    newest.into_values().cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backstay_core::store::{MemoryStore, Store as _};

    use super::*;

    #[test]
    fn the_newest_of_each_period_and_prefix_is_chosen() {
        let store = MemoryStore::new();
        let names = [
            "a_backup_20241230_000000", // a Monday
            "a_backup_20250101_000000",
            "a_backup_20250105_235959", // the Sunday of that week
            "a_backup_20250106_000000",
            "a_backup_20250106_120000",
            "a_backup_20250201_000000",
            "b_backup_20250105_000000",
        ];
        for name in names {
            let key = format!("{name}.manifest.json").parse().unwrap();
            store.create(&key).unwrap().publish().unwrap();
        }
        let listing = Repository::new(Arc::new(store)).list().unwrap();
        for (period, chosen) in [
            (Period::Day, &[0, 1, 2, 4, 5, 6][..]),
            (Period::Week, &[2, 4, 5, 6]),
            (Period::Month, &[0, 4, 5, 6]),
            (Period::Year, &[0, 5, 6]),
        ] {
            let ids: Vec<String> = newest_per(&listing, period).iter().map(ToString::to_string).collect();
            let expected: Vec<&str> = chosen.iter().map(|index| names[*index]).collect();
            assert_eq!(ids, expected, "{period:?}");
        }
        assert!(newest_per(&Listing::default(), Period::Day).is_empty());
    }
}
