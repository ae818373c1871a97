#![expect(
    clippy::doc_markdown,
    reason = "the comments are the help, which is shown as it is written"
)]

use backstay::{Age, BackupId, Prefix, Tag};
use clap::{ArgGroup, Args, ValueHint};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::OutputArguments;

/// What is to be kept. A backup stays if one of these keeps it.
///
/// Whatever they say, the newest backup of a database stays, the newest that is whole, the newest with a proof, what is held,
/// and what cannot be read.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PolicyArguments {
    /// Keep the newest N.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_last: Option<u32>,
    /// Keep the newest of each of the last N days that have one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_daily: Option<u32>,
    /// Keep the newest of each of the last N weeks that have one; weeks begin on Monday.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_weekly: Option<u32>,
    /// Keep the newest of each of the last N months that have one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_monthly: Option<u32>,
    /// Keep the newest of each of the last N years that have one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_yearly: Option<u32>,
    /// Keep all that are older than the newest by no more than this: 36h, 7d, 2w, 12m (months), 1y, 1y6m.
    #[arg(long, value_name = "AGE")]
    pub(crate) keep_within: Option<Age>,
    /// The same in days.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500), conflicts_with = "keep_within")]
    pub(crate) keep_days: Option<u32>,
    /// Keep all with this tag, with any value where only its name is given; may be repeated.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) keep_tag: Vec<Tag>,
    /// Remove nothing that is not older than this, whatever the others say.
    #[arg(long, value_name = "AGE")]
    pub(crate) min_age: Option<Age>,
    /// The zone whose calendar says what a day is, such as Europe/Berlin (default: UTC).
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub(crate) time_zone: Option<TimeZone>,
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args([
    "litter", "keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "keep_within", "keep_days", "keep_tag",
    "db",
]))]
pub(crate) struct PruneArguments {
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) positional_store: Option<String>,
    /// The same as STORE.
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath, conflicts_with = "positional_store")]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) policy: PolicyArguments,
    /// Only backups whose names begin with this prefix.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) name: Option<Prefix>,
    /// Only backups of this database of the configuration, in its store and, unless rules are typed, by its retention.
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    pub(crate) db: Option<String>,
    /// Remove unpublished files whose writer is gone, and what deletions that were begun left.
    #[arg(long)]
    pub(crate) litter: bool,
    /// With --litter: pass over files that were written to within this time.
    #[arg(long, value_name = "SECS", default_value_t = 86_400)]
    pub(crate) grace: u32,
    /// Print what would be removed, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// A backup in a store, and what is to be said of it.
#[derive(Args, Debug)]
pub(crate) struct HoldArguments {
    /// The backup.
    #[arg(value_name = "ID")]
    pub(crate) id: BackupId,
    /// Why; it stands in the store in clear.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Until when, as 2026-12-31 (to its end, in UTC) or 2026-12-31T12:00:00Z (default: until it is released).
    #[arg(long, value_name = "DATE", value_parser = end)]
    pub(crate) until: Option<Timestamp>,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
}

#[derive(Args, Debug)]
pub(crate) struct ReleaseArguments {
    /// The backup.
    #[arg(value_name = "ID")]
    pub(crate) id: BackupId,
    /// Why; it stands in the store in clear.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
}

/// Where, and who.
#[derive(Args, Debug)]
pub(crate) struct PlaceArguments {
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    /// Who does it (default: BACKSTAY_ACTOR, else the user).
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) actor: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct LogArguments {
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) positional_store: Option<String>,
    /// The same as STORE.
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath, conflicts_with = "positional_store")]
    pub(crate) store: Option<String>,
    /// Only what was done with this backup.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<BackupId>,
    /// Only since then: 2026-12-31 or 2026-12-31T12:00:00Z.
    #[arg(long, value_name = "DATE", value_parser = begin)]
    pub(crate) since: Option<Timestamp>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("{name:?} is no time zone that this machine knows"))
}

fn begin(text: &str) -> Result<Timestamp, &'static str> {
    match text.parse::<Date>() {
        Ok(day) if text.len() == DAY_LENGTH => day.to_zoned(TimeZone::UTC).map(|day| day.timestamp()),
        _ => text.parse(),
    }
    .map_err(|_| "a date is 2026-12-31 or 2026-12-31T12:00:00Z")
}

/// A day ends when the next one begins.
fn end(text: &str) -> Result<Timestamp, &'static str> {
    let begin = begin(text)?;
    if text.len() == DAY_LENGTH {
        begin
            .checked_add(jiff::SignedDuration::from_hours(24))
            .map_err(|_| "the calendar does not go so far")
    } else {
        Ok(begin)
    }
}

const DAY_LENGTH: usize = "2026-12-31".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_or_times() {
        for (text, begins, ends) in [
            ("2026-12-31", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("2026-12-31T12:00:00Z", "2026-12-31T12:00:00Z", "2026-12-31T12:00:00Z"),
            (
                "2026-12-31T12:00:00+01:00",
                "2026-12-31T11:00:00Z",
                "2026-12-31T11:00:00Z",
            ),
        ] {
            assert_eq!(begin(text).unwrap().to_string(), begins, "{text}");
            assert_eq!(end(text).unwrap().to_string(), ends, "{text}");
        }
        for text in [
            "",
            "2026-02-30",
            "2026-12-31T12:00:00",
            "31.12.2026",
            "tomorrow",
            "2026-1-1",
        ] {
            assert!(begin(text).is_err() && end(text).is_err(), "{text}");
        }
    }
}
