use clap::{ArgGroup, Args, ValueHint};

use super::{EncryptArguments, FromArguments, OutputArguments};

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["names", "all", "subject"]))]
pub(crate) struct ExportArguments {
    /// Exports of the configuration; those of one database are read in one snapshot.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Every export of the configuration.
    #[arg(long)]
    pub(crate) all: bool,
    /// All rows that belong to the person whose row this is; may be repeated for a key of several columns.
    ///
    /// Rows that refer to it belong to it, and rows that refer to those, unless they name another person. Written as CSV and
    /// JSON with a description of every column.
    #[arg(long, value_name = "TABLE.COLUMN=VALUE")]
    pub(crate) subject: Vec<String>,
    /// With --subject: print which tables have rows of the person, and how many, and write nothing.
    #[arg(long, requires = "subject")]
    pub(crate) dry_run: bool,
    /// Where they go, in the place of the stores of the configuration; with --subject without this that of the database.
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) from: FromArguments,
    /// Leave older exports alone, whatever their retention says.
    #[arg(long, conflicts_with = "subject")]
    pub(crate) no_prune: bool,
    /// How long to wait for the lock on a table (default: 30).
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) lock_wait: Option<u32>,
    #[command(flatten)]
    pub(crate) encrypt: EncryptArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}
