use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Only this database of the configuration; may be repeated (default: all that have a schedule).
    #[arg(long, value_name = "NAME")]
    pub(crate) db: Vec<String>,
    /// Do what is due now, each once, and end.
    #[arg(long, conflicts_with = "now")]
    pub(crate) once: bool,
    /// Do this now, whether it is due or not, and end: for schedulers of others.
    #[arg(long, value_name = "WORK", value_enum)]
    pub(crate) now: Option<JobArgument>,
    /// With --now export: only this export; may be repeated (default: all of the database).
    #[arg(long, value_name = "NAME")]
    pub(crate) export: Vec<String>,
    /// How long work that is under way may go on when the program is asked to stop; then it is cancelled.
    #[arg(long, value_name = "SECS", default_value_t = 8)]
    pub(crate) grace: u32,
    /// On how many databases to work at the same time.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) at_once: u16,
}

/// Work that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JobArgument {
    /// Make a backup, verify it, and remove old ones.
    Backup,
    /// Restore the newest backup, to see whether it can be.
    Drill,
    /// Make exports.
    Export,
}
