use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Age, HoldFacts};
use crate::tag::Tag;

/// Why a backup stays or goes; `Display` is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetentionReason {
    /// It is the newest of its database.
    Newest,
    /// It is the newest of which the store has all packs.
    NewestWhole,
    /// It is the newest that was proven, and whole.
    NewestProven,
    /// It is the newest of which something says that it was proven, and cannot be read.
    NewestPerhapsProven,
    /// Somebody holds it.
    Held(HoldFacts),
    /// What it is and until when it was to be kept cannot be read.
    Unread,
    /// By the clock it is not made yet: one of two clocks is wrong, and nobody knows which.
    FromTheFuture,
    /// It is not older than the policy lets anything go.
    Young {
        /// What it has to be older than.
        min_age: Age,
    },
    /// Whoever made it wanted it kept until then.
    KeptUntil(Timestamp),
    /// It has a tag that the policy keeps.
    Tagged(Tag),
    /// It is one of the last.
    Last {
        /// Of so many.
        count: u32,
    },
    /// It is not older than the newest by more than that.
    Within(Age),
    /// It is the newest of a day that counts.
    Daily(Date),
    /// It is the newest of a week that counts, as ISO 8601 numbers them.
    Weekly {
        /// The year of the week.
        year: i16,
        /// Its number.
        week: i8,
    },
    /// It is the newest of a month that counts.
    Monthly {
        /// The year.
        year: i16,
        /// The month, from 1 on.
        month: i8,
    },
    /// It is the newest of a year that counts.
    Yearly {
        /// The year.
        year: i16,
    },
    /// The policy has no rule, so it keeps everything.
    NoRules,
    /// No rule keeps it. This reason alone lets it go.
    Expired {
        /// Its age in whole days.
        age_days: u64,
    },
}

impl fmt::Display for RetentionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("the newest"),
            Self::NewestWhole => f.write_str("the newest that is whole"),
            Self::NewestProven => f.write_str("the newest with a proof"),
            Self::NewestPerhapsProven => f.write_str("the newest with a proof that cannot be read"),
            Self::Held(hold) => write!(f, "held{hold}"),
            Self::Unread => f.write_str("its manifest cannot be read"),
            Self::FromTheFuture => f.write_str("from the future: a clock is wrong"),
            Self::Young { min_age } => write!(f, "not older than {min_age}"),
            Self::KeptUntil(until) => write!(f, "to be kept until {}", until.strftime("%Y-%m-%d %H:%M")),
            Self::Tagged(tag) => write!(f, "tagged {tag}"),
            Self::Last { count: 1 } => f.write_str("the last one"),
            Self::Last { count } => write!(f, "one of the last {count}"),
            Self::Within(age) => write!(f, "within {age} of the newest"),
            Self::Daily(day) => write!(f, "newest of the day {day}"),
            Self::Weekly { year, week } => write!(f, "newest of the week {year}-W{week:02}"),
            Self::Monthly { year, month } => write!(f, "newest of the month {year}-{month:02}"),
            Self::Yearly { year } => write!(f, "newest of the year {year}"),
            Self::NoRules => f.write_str("no rule lets anything go"),
            Self::Expired { age_days: 1 } => f.write_str("no rule keeps it, 1 day old"),
            Self::Expired { age_days } => write!(f, "no rule keeps it, {age_days} days old"),
        }
    }
}
