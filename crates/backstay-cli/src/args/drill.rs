#![expect(
    clippy::doc_markdown,
    reason = "the comments are the help, which is shown as it is written"
)]

use std::path::PathBuf;

use backstay_config::TimeLimit;
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
    /// Fail if it would take longer to have the database back: 90s, 30min, 1h (default: rto of the database in the configuration,
    /// else what its rules say).
    #[arg(long, value_name = "TIME")]
    pub(crate) rto: Option<TimeLimit>,
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
