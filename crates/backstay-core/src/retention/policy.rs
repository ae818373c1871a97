use jiff::tz::TimeZone;

use super::Age;
use crate::tag::Tag;

/// What is to be kept; each rule by itself, and a backup stays if one rule keeps it. Without any rule everything stays.
///
/// Rules that count count backups, or periods that have backups: where none was made for a month, the ones before stay.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetentionPolicy {
    /// So many of the newest.
    pub keep_last: u32,
    /// The newest of each of so many days.
    pub keep_daily: u32,
    /// The newest of each of so many weeks, which begin on Monday.
    pub keep_weekly: u32,
    /// The newest of each of so many months.
    pub keep_monthly: u32,
    /// The newest of each of so many years.
    pub keep_yearly: u32,
    /// All that are not older than the newest by more than that.
    pub keep_within: Option<Age>,
    /// All that have one of these tags.
    pub keep_tags: Vec<Tag>,
    /// Nothing goes that is not older than that, whatever the rules say; it is no rule by itself.
    pub min_age: Option<Age>,
    /// The zone whose calendar says what a day is.
    pub time_zone: TimeZone,
}

impl RetentionPolicy {
    /// Whether there is no rule, so that everything stays.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let counts = [
            self.keep_last,
            self.keep_daily,
            self.keep_weekly,
            self.keep_monthly,
            self.keep_yearly,
        ];
        counts.iter().all(|count| *count == 0) && self.keep_within.is_none() && self.keep_tags.is_empty()
    }
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            keep_last: 0,
            keep_daily: 0,
            keep_weekly: 0,
            keep_monthly: 0,
            keep_yearly: 0,
            keep_within: None,
            keep_tags: Vec::new(),
            min_age: None,
            time_zone: TimeZone::UTC,
        }
    }
}
