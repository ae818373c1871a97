use clap::{Args, ValueEnum};

use super::{BackupNameArguments, OutputArguments};

#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) backup: BackupNameArguments,
    /// How deep to check.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) level: LevelArgument,
    /// A table that must be in the backup with its rows, as schema.table or table; may be repeated. In place of those of the
    /// configuration.
    #[arg(long, value_name = "TABLE")]
    pub(crate) require_table: Vec<String>,
    #[command(flatten)]
    pub(crate) rules: RulesArguments,
    /// Threads that check at the same time (default: the number of processors).
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Which rules.
#[derive(Args, Debug, Default)]
pub(crate) struct RulesArguments {
    /// Rules by their name in the configuration (default: those of the database there).
    #[arg(long, value_name = "NAME", conflicts_with = "no_rules")]
    pub(crate) rules: Option<String>,
    /// Judge by no rules of the configuration.
    #[arg(long)]
    pub(crate) no_rules: bool,
}

/// How deep a backup is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LevelArgument {
    /// Every stored byte is there and has its digest.
    Quick,
    /// Also decompress everything, count rows, compute row digests, read the SQL.
    #[default]
    Standard,
}
