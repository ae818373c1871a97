#![expect(
    clippy::doc_markdown,
    reason = "the comments are the help, which is shown as it is written"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::{IdentityArguments, OutputArguments, RulesArguments};

#[derive(Args, Debug)]
pub(crate) struct DrillArguments {
    /// A backup: an id, latest, or the path of a file.
    #[arg(value_name = "ID|latest|FILE", value_hint = ValueHint::FilePath, default_value = "latest")]
    pub(crate) backup: String,
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    /// With latest: of which database, by its name or by the prefix of its backups.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
    /// Restore into this empty database, made for drills, in place of a server that is started for it; it is emptied
    /// afterwards.
    ///
    /// Other users of the machine can see arguments: leave the password to PGPASSWORD or ~/.pgpass.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) to: Option<String>,
    /// With --to: make a database with a name of its own on that server, and drop it afterwards.
    #[arg(long, requires = "to")]
    pub(crate) create: bool,
    #[command(flatten)]
    pub(crate) rules: RulesArguments,
    /// Fail if it would take longer to have the database back: 90s, 30min, 1h (default: what the rules say).
    #[arg(long, value_name = "TIME", value_parser = time_limit)]
    pub(crate) rto: Option<Duration>,
    /// Connections that write at the same time (default: the number of processors, at most 4).
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: Option<u16>,
    /// Leave everything to the role that restores, and compare no owners.
    #[arg(long, short = 'O')]
    pub(crate) no_owner: bool,
    /// Restore no grants, and compare none.
    #[arg(long, short = 'x')]
    pub(crate) no_privileges: bool,
    /// Where the server that is started for it has its folder, which needs room for the whole database (default: a folder
    /// of this user in the folder for temporary files).
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with = "to")]
    pub(crate) work_folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// `m` would be minutes to some and months to others.
fn time_limit(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        _ => 0,
    };
    let number: Option<u64> = number.parse().ok();
    let seconds = number
        .and_then(|number| number.checked_mul(seconds))
        .filter(|seconds| *seconds > 0);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "a time is a number with s, min or h behind it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_unit() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("30min", Some(1800)),
            ("1h", Some(3600)),
            ("0h", None),
            ("1", None),
            ("1m", None),
            ("1.5h", None),
            ("-1h", None),
            ("h", None),
            ("", None),
            ("99999999999999999999h", None),
            ("9999999999999999h", None),
        ] {
            assert_eq!(time_limit(text).ok().map(|limit| limit.as_secs()), seconds, "{text}");
        }
    }
}
