#![expect(
    clippy::doc_markdown,
    reason = "the comments are the help, which is shown as it is written"
)]

use clap::{ArgGroup, Args, ValueHint};

use backstay::PlatformChoice;

use super::{IdentityArguments, OutputArguments};

#[derive(Args, Debug, Default)]
#[command(group = ArgGroup::new("way_back").args(["single_transaction", "safety_backup", "accept_loss"]).multiple(true))]
pub(crate) struct RestoreArguments {
    /// A backup: the path of a file, an id, or latest.
    #[arg(value_name = "FILE|ID|latest", value_hint = ValueHint::FilePath, required_unless_present = "undo")]
    pub(crate) backup: Option<String>,
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    /// With latest: of which database, by its name or by the prefix of its backups.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
    /// The database to restore into, as a URL or key=value pairs; never taken from DATABASE_URL.
    ///
    /// Other users of the machine can see arguments: leave the password to PGPASSWORD or ~/.pgpass.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) to: String,
    /// Make the database, with the encoding and locale of the source.
    #[arg(long, conflicts_with_all = ["clean", "data_only"])]
    pub(crate) create: bool,
    /// Restore beside the database, prove every row, and then swap the names; clients are cut off for a moment only.
    ///
    /// What was there is kept as NAME_before_TIME, with all that was written after the backup. Settings, owner and rights
    /// of the database go with the name.
    #[arg(long, conflicts_with_all = ["create", "clean", "data_only", "schema_only", "table", "schema"])]
    pub(crate) swap: bool,
    /// With --swap: replace the database by a backup from which something was excluded, which the new one will not have.
    #[arg(long, requires = "swap")]
    pub(crate) accept_partial: bool,
    /// Put the rows of --table beside the living ones, in this new schema of the database, and print SQL that copies them back.
    ///
    /// All or nothing, with every row compared; nothing else is changed. The tables have columns and rows alone: no keys,
    /// defaults, triggers, policies or grants. A partitioned table comes with its partitions.
    #[arg(long, value_name = "SCHEMA", requires = "table")]
    #[arg(conflicts_with_all = ["swap", "create", "clean", "single_transaction", "jobs", "schema", "data_only",
        "schema_only", "no_owner", "no_privileges", "globals"])]
    pub(crate) into_schema: Option<String>,
    /// Swap the names back: the database that the newest --swap kept (or NAME) gets its name again; no backup is named.
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    #[arg(conflicts_with_all = ["backup", "store", "database", "identity", "swap", "into_schema", "create", "clean", "single_transaction",
        "jobs", "table", "schema", "data_only", "schema_only", "no_owner", "no_privileges", "globals", "prove"])]
    pub(crate) undo: Option<Option<String>>,
    /// First drop what the backup contains; needs --single-transaction, --safety-backup or --accept-loss.
    #[arg(long, requires = "way_back", conflicts_with = "data_only")]
    pub(crate) clean: bool,
    /// Restore everything or nothing, over one connection.
    #[arg(long, conflicts_with = "jobs")]
    pub(crate) single_transaction: bool,
    /// With --clean: first make and verify a backup of the target in this store.
    #[arg(long, value_name = "STORE", requires = "clean", conflicts_with = "accept_loss")]
    pub(crate) safety_backup: Option<String>,
    /// With --clean: go without a way back; NAME is the name of the target database.
    #[arg(long, value_name = "NAME", requires = "clean")]
    pub(crate) accept_loss: Option<String>,
    /// Connections that write at the same time (default: the number of processors, at most 4).
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: Option<u16>,
    /// Only tables that match, as schema.table or table with * and ?; may be repeated.
    #[arg(long, short, value_name = "TABLE")]
    pub(crate) table: Vec<String>,
    /// Only schemas that match, with everything in them; may be repeated.
    #[arg(long, short = 'n', value_name = "SCHEMA")]
    pub(crate) schema: Vec<String>,
    /// Only rows, into tables that are there.
    #[arg(long, short = 'a', conflicts_with = "schema_only")]
    pub(crate) data_only: bool,
    /// Only definitions.
    #[arg(long, short = 's')]
    pub(crate) schema_only: bool,
    /// Leave everything to the role that restores.
    #[arg(long, short = 'O')]
    pub(crate) no_owner: bool,
    /// Restore no grants.
    #[arg(long, short = 'x')]
    pub(crate) no_privileges: bool,
    /// First make the roles and tablespaces that the backup has.
    #[arg(long)]
    pub(crate) globals: bool,
    /// Afterwards read every row in the target again and compare it with the backup.
    #[arg(long, conflicts_with = "schema_only")]
    pub(crate) prove: bool,
    /// By the rules of which hosted platform: auto, plain, supabase, rds, neon or cloudsql.
    #[arg(long, value_name = "PLATFORM", default_value = "auto", hide_default_value = true)]
    pub(crate) platform: PlatformChoice,
    /// Print what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask; NAME must be the name of the target database.
    #[arg(long, value_name = "NAME")]
    pub(crate) yes: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    /// Whether standard input is asked for the name though it is no terminal, as `recover` does.
    #[arg(skip)]
    pub(crate) asks_any_input: bool,
}
