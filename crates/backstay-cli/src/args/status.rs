#![expect(
    clippy::doc_markdown,
    reason = "the comments are the help, which is shown as it is written"
)]

use std::path::PathBuf;

use backstay::Age;
use backstay_config::TimeLimit;
use clap::{Args, ValueHint};

use super::{IdentityArguments, OutputArguments};

/// Which databases, in which stores, and what is expected of them.
#[derive(Args, Debug)]
pub(crate) struct WatchArguments {
    /// A database by its name in the configuration; may be repeated (default: all that it has, in their stores; else all that
    /// there are in the store).
    #[arg(long, value_name = "NAME")]
    pub(crate) db: Vec<String>,
    /// Only this store: a folder, s3://bucket/prefix, or a name in the configuration (default: those of each database; without
    /// databases BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) positional_store: Option<String>,
    /// The same as STORE.
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath, conflicts_with = "positional_store")]
    pub(crate) store: Option<String>,
    /// How old the newest backup may be (default: what the configuration says, else 24h).
    #[arg(long, value_name = "AGE")]
    pub(crate) rpo: Option<Age>,
    /// How long it may take to have the database back: 90s, 30min, 1h (default: what the configuration says, else 1h).
    #[arg(long, value_name = "TIME")]
    pub(crate) rto: Option<TimeLimit>,
    /// How old the newest backup that was proven may be (default: what the configuration says, else 8d).
    #[arg(long, value_name = "AGE")]
    pub(crate) proven_within: Option<Age>,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub(crate) watch: WatchArguments,
    /// Print metrics in the text format of Prometheus.
    #[arg(long, conflicts_with_all = ["json", "textfile"])]
    pub(crate) prometheus: bool,
    /// Write these metrics into a file for the textfile collector of node_exporter, all at once, and print nothing.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "json")]
    pub(crate) textfile: Option<PathBuf>,
    /// Tell those in notify of each database of the configuration what is missing or broken; all of it with each call.
    #[arg(long)]
    pub(crate) notify: bool,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct ReportArguments {
    #[command(flatten)]
    pub(crate) watch: WatchArguments,
    /// The file, written all at once; - is standard output.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) html: PathBuf,
    /// Print nothing but errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}
