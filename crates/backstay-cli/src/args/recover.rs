#![expect(
    clippy::doc_markdown,
    reason = "the comments are the help, which is shown as it is written"
)]

use clap::{Args, ValueEnum, ValueHint};

use super::{IdentityArguments, OutputArguments};

/// What happened to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HappenedArgument {
    /// Rows were deleted or overwritten, and the rest is good: they are put beside, to be copied back.
    Rows,
    /// The database is damaged, or a migration spoilt it: it is restored beside, and then replaced.
    Damage,
    /// The database is gone: it is made anew.
    Gone,
}

#[derive(Args, Debug)]
pub(crate) struct RecoverArguments {
    /// What happened.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) what: Option<HappenedArgument>,
    /// The database to recover, as a URL or key=value pairs; never taken from DATABASE_URL.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) to: Option<String>,
    /// The backup: an id, a number of the list, or the path of a file.
    #[arg(long, value_name = "ID|FILE", value_hint = ValueHint::FilePath)]
    pub(crate) backup: Option<String>,
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    /// Of which database the backup is, by its name or by the prefix of its backups (default: that of --to).
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// Where rows were lost: tables as schema.table or table with * and ?; may be repeated.
    #[arg(long, short, value_name = "TABLE")]
    pub(crate) table: Vec<String>,
    /// Where rows were lost: the new schema to put them into (default: rescue_TIME).
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) into_schema: Option<String>,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for the name of the database before it is done; NAME must be that name.
    #[arg(long, value_name = "NAME")]
    pub(crate) yes: Option<String>,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}
