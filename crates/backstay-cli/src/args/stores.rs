#![expect(
    clippy::doc_markdown,
    reason = "the comments are the help, which is shown as it is written"
)]

use std::time::Duration;

use backstay::BackupId;
use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::OutputArguments;

#[derive(Args, Debug)]
pub(crate) struct CopyArguments {
    /// Where backups are: a folder, s3://bucket/prefix, or a name in the configuration.
    #[arg(value_name = "FROM", value_hint = ValueHint::DirPath)]
    pub(crate) from: String,
    /// Where they go as well; a folder is made if missing.
    #[arg(value_name = "TO", value_hint = ValueHint::DirPath)]
    pub(crate) to: String,
    /// This backup; may be repeated (default: the newest).
    #[arg(long, value_name = "ID", conflicts_with_all = ["all", "newest_per", "database"])]
    pub(crate) id: Vec<BackupId>,
    /// Every backup.
    #[arg(long, conflicts_with_all = ["newest_per", "database"])]
    pub(crate) all: bool,
    /// Of each prefix the newest backup of each period, in UTC.
    #[arg(long, value_name = "PERIOD", value_enum, conflicts_with = "database")]
    pub(crate) newest_per: Option<PeriodArgument>,
    /// The newest of this database, by its name or by the prefix of its backups.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// Do not read what was written; of packs that are there already, compare the lengths only.
    #[arg(long)]
    pub(crate) no_read_back: bool,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// A stretch of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeriodArgument {
    /// A day.
    Day,
    /// A week, from Monday to Sunday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Try whether a store keeps what backups rely on.
    ///
    /// Writes some 21 MiB under names that begin with backstay-check, reads and lists them, races for them, and removes them
    /// again. Ends with status 1 if a promise is broken. Of a folder, an empty folder backstay-check stays.
    Check(StoreCheckArguments),
}

#[derive(Args, Debug)]
pub(crate) struct StoreCheckArguments {
    /// The store: a folder, or s3://bucket/prefix (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct SignArguments {
    /// A backup: an id, or latest.
    #[arg(value_name = "ID|latest")]
    pub(crate) backup: String,
    /// For how long: a number with s, m, h or d behind it.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    pub(crate) expires: Duration,
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    /// With latest: of which database, by its name or by the prefix of its backups.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

fn time(text: &str) -> Result<Duration, &'static str> {
    let seconds = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err("a time is a number with s, m, h or d behind it"),
    };
    let digits = &text[..text.len() - 1];
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = digits.parse().ok().filter(|number| is_number && *number > 0);
    let seconds = number.and_then(|number| number.checked_mul(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or("a time is a number with s, m, h or d behind it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "h",
            "1",
            "0h",
            "-1h",
            "+1h",
            "1.5h",
            "1 h",
            "1H",
            "1ü",
            "99999999999999999999d",
            "9999999999999999999d",
        ] {
            assert!(time(text).is_err(), "{text:?}");
        }
    }
}
