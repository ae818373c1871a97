#![expect(
    clippy::doc_markdown,
    reason = "the comments are the help, which is shown as it is written"
)]

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum, ValueHint};

/// Schedules.
#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Print the schedules of the configuration for another scheduler.
    ///
    /// Each of its jobs does with backstay run --now what backstay run would do. No secret is printed: variables that hold some are
    /// named.
    Print {
        /// For which.
        #[arg(long = "for", value_name = "SCHEDULER", value_enum)]
        scheduler: SchedulerArgument,
        /// Only this database of the configuration; may be repeated (default: all that have a schedule).
        #[arg(long, value_name = "NAME")]
        db: Vec<String>,
        /// The program as the jobs of cron and systemd call it (default: this one).
        #[arg(long, value_name = "PATH", value_hint = ValueHint::ExecutablePath)]
        program: Option<PathBuf>,
        /// The image that has the program, for Kubernetes.
        #[arg(long, value_name = "IMAGE", default_value = concat!("backstay:", env!("CARGO_PKG_VERSION")))]
        image: String,
        /// Write the files into this folder, which must not have them yet, in place of printing them.
        #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
        folder: Option<PathBuf>,
    },
}

/// Schedulers of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchedulerArgument {
    /// Lines for crontab.
    Cron,
    /// Services and timers.
    Systemd,
    /// One CronJob for each job.
    Kubernetes,
    /// A workflow; times are those of UTC.
    GithubActions,
}
