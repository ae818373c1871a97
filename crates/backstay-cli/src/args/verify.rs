use clap::{Args, ValueEnum};

use super::{BackupNameArguments, OutputArguments};

#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) backup: BackupNameArguments,
    /// How deep to check.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) level: LevelArgument,
    /// A table that must be in the backup with its rows, as schema.table or table; may be repeated.
    #[arg(long, value_name = "TABLE")]
    pub(crate) require_table: Vec<String>,
    /// Threads that check at the same time (default: the number of processors).
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
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
