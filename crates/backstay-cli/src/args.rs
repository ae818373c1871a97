//! What a person can type. Nothing here knows what it means: that is settled in [`crate::settle`].
#![expect(
    clippy::doc_markdown,
    reason = "the comments are the help, which is shown as it is written"
)]

mod config;
mod drill;
mod encryption;
mod export;
mod notify;
mod recover;
mod restore;
mod retention;
mod run;
mod schedule;
mod status;
mod storage_files;
mod stores;
mod verify;

use std::path::PathBuf;

use backstay::{Age, Compression, PlatformChoice, Prefix, Tag};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::exit::Exit;

pub(crate) use config::ConfigCommand;
pub(crate) use drill::DrillArguments;
pub(crate) use encryption::{EncryptArguments, IdentityArguments, KeyCheckArguments, KeyCommand, RekeyArguments};
pub(crate) use export::ExportArguments;
pub(crate) use notify::NotifyCommand;
pub(crate) use recover::{HappenedArgument, RecoverArguments};
pub(crate) use restore::RestoreArguments;
pub(crate) use retention::{
    HoldArguments, LogArguments, PlaceArguments, PolicyArguments, PruneArguments, ReleaseArguments,
};
pub(crate) use run::{JobArgument, RunArguments};
pub(crate) use schedule::{ScheduleCommand, SchedulerArgument};
pub(crate) use status::{ReportArguments, StatusArguments, WatchArguments};
pub(crate) use storage_files::{
    FilesBackupArguments, FilesListArguments, FilesRestoreArguments, FilesVerifyArguments, RowsArguments,
    StorageFilesCommand,
};
pub(crate) use stores::{CopyArguments, PeriodArgument, SignArguments, StoreCheckArguments, StoreCommand};
pub(crate) use verify::{LevelArgument, RulesArguments, VerifyArguments};

/// Back up a PostgreSQL database, prove that the backup is good, and restore it.
///
/// A backup is a plain .sql.gz (or .sql.zst) that psql alone can restore, with a manifest beside it that says what is
/// in it. The database comes from --from, else DATABASE_URL, else SUPABASE_PROJECT_REF with SUPABASE_DB_PASSWORD, else
/// SUPABASE_POOLER_URL, else the PG* variables. Variables are also read from .env.local and .env in the working
/// folder; those of the environment win.
#[derive(Debug, Parser)]
#[command(name = "backstay", version, max_term_width = 100, arg_required_else_help = true)]
#[command(subcommand_required = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// The configuration (default: BACKSTAY_CONFIG, else backstay.toml here, else in the user's configuration folder).
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// The definition with everything that is not known before the program runs.
    pub(crate) fn definition() -> clap::Command {
        let exits = format!("Exit status:\n{}", Exit::table());
        Self::command().after_help(exits)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a backup of a database.
    Backup(Box<BackupArguments>),
    /// Check a backup, or a plain dump made by pg_dump.
    Verify(VerifyArguments),
    /// Restore a backup, or a plain dump made by pg_dump, into a database.
    Restore(Box<RestoreArguments>),
    /// Restore a backup where nothing else is, examine what is there, and remove it again.
    ///
    /// It goes into a PostgreSQL server that is started for it, or to where --to says. Every row, definition, policy, sequence
    /// and foreign key is looked at, and each phase is measured. The evidence is kept beside the backup.
    Drill(Box<DrillArguments>),
    /// Get data back, led step by step: asks what happened, shows the backups and the plan, and restores.
    ///
    /// Each answer can be given by an option, or stand in a line of standard input. Nothing is done before the name of the
    /// database was typed (or given with --yes). It runs backstay restore, and shows what it runs.
    Recover(RecoverArguments),
    /// List the backups in a store.
    List(ListArguments),
    /// Tell how the backups of databases are doing: their age, proofs, sizes, and how long a restore takes.
    ///
    /// All of it is read from the stores, so a scheduler that died shows. Ends with status 1 if something is late, missing or
    /// broken, and with 5 if a store cannot be asked.
    Status(StatusArguments),
    /// Write a page of HTML about the backups of databases: when, how large, proven and kept as what; drills, and what is amiss.
    ///
    /// The page loads nothing and runs no script. Every manifest is read. Ends as backstay status does.
    Report(ReportArguments),
    /// Tell what a backup holds.
    Show(ShowArguments),
    /// Look whether a backup of a database would work, and write nothing.
    Doctor(DoctorArguments),
    /// Remove backups that a policy does not keep, and what crashes left.
    ///
    /// Each rule keeps backups of each database by itself, and a backup stays if one rule keeps it. Try it with --dry-run.
    Prune(Box<PruneArguments>),
    /// Hold a backup, so that nothing removes it.
    Hold(HoldArguments),
    /// End the holds of a backup.
    Release(ReleaseArguments),
    /// Tell what was done with the backups of a store: by whom, when, from where.
    Log(LogArguments),
    /// Copy backups to another store, as far as they are not there.
    ///
    /// A copy that was interrupted is taken up. No keys are needed for encrypted backups.
    Copy(CopyArguments),
    /// Print URLs by which a backup can be fetched without credentials, for a while.
    Sign(SignArguments),
    /// Look at a store itself.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Save the files that an application keeps in Supabase Storage, and bring them back.
    #[command(subcommand)]
    StorageFiles(StorageFilesCommand),
    /// Encrypt backups anew to exactly the keys that are named, without the database.
    ///
    /// All recipients have to be named again. Those that stand in the store are not taken over, because whoever can write
    /// there could have added one.
    Rekey(Box<RekeyArguments>),
    /// Export rows for other programs, by the configuration, or all that belongs to one person.
    ///
    /// An export is no backup: it cannot be restored. Exports stand in a folder of their own, exports, and have a retention of
    /// their own.
    ExportData(Box<ExportArguments>),
    /// Do the work when it is due, by the schedules of the configuration: for containers.
    ///
    /// Makes backups, verifies them and removes old ones; makes exports; holds drills. What was missed while it was away is made up
    /// for, once. It works on a database alone, also among machines. SIGTERM ends it in order.
    Run(RunArguments),
    /// Schedules of the configuration, for schedulers of others.
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Try how people are told what happens.
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Make and try the keys of encrypted backups.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Look at the configuration, backstay.toml.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write a script that completes commands in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the manual page.
    Man,
}

/// Which database.
#[derive(Args, Debug, Default)]
pub(crate) struct FromArguments {
    /// The database, as a URL or key=value pairs (default: DATABASE_URL, SUPABASE_… or PG* variables).
    ///
    /// Other users of the machine can see arguments: leave the password to a variable or ~/.pgpass.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) from: Option<String>,
    /// A database by its name in the configuration (default: the only one there, where nothing else names a database).
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    pub(crate) db: Option<String>,
}

/// What is printed.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct OutputArguments {
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors and what was asked for.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
pub(crate) struct BackupArguments {
    /// Where the backup goes: a folder, made if missing, s3://bucket/prefix, or a name in the configuration (default:
    /// BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) positional_store: Option<String>,
    /// The same as STORE.
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath, conflicts_with = "positional_store")]
    pub(crate) store: Option<String>,
    /// Another store that is to have the backup too; may be repeated.
    ///
    /// It is copied there when it exists in STORE. A store that is down does not spoil the others; the exit status is 5 then.
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) also: Vec<String>,
    #[command(flatten)]
    pub(crate) from: FromArguments,
    /// First part of the file names (default: the name of the database).
    #[arg(long, value_name = "PREFIX")]
    pub(crate) name: Option<Prefix>,
    /// Take earlier backups of the same prefix for those of this database, though they are of another cluster.
    ///
    /// For a database that has moved, by an upgrade or a restore. Needed once for backups; --keep-days removes those of
    /// before, and encrypted ones that do not tell whose they are, only when this is given.
    #[arg(long)]
    pub(crate) same_database: bool,
    /// gzip or zstd, each with an optional level: gzip:1 to gzip:12, zstd:1 to zstd:19 (default: gzip; level: 1, the fastest).
    #[arg(long, value_name = "CODEC[:LEVEL]")]
    pub(crate) compress: Option<Compression>,
    /// A word to know the backup by, such as pre-migration or release=7; may be repeated. It is not encrypted.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) tag: Vec<Tag>,
    /// Let no policy remove the backup before it is older than this: 36h, 30d, 2w, 12m (months), 1y.
    #[arg(long, value_name = "AGE")]
    pub(crate) keep_at_least: Option<Age>,
    /// Cut the file into volumes of at most so much, at least 16M: bytes, or with K, M or G behind it.
    #[arg(long, value_name = "SIZE", value_parser = volume_bytes)]
    pub(crate) volume_size: Option<u64>,
    /// Connections that read at the same time (default: the number of processors, at most 4).
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: Option<u16>,
    /// Do not read the backup again after it was written.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) no_read_back: Option<bool>,
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Leave large objects out.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) no_large_objects: Option<bool>,
    /// Leave the rows of unlogged tables out.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) no_unlogged_data: Option<bool>,
    /// Add roles and tablespaces of the cluster.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) globals: Option<bool>,
    /// By the rules of which hosted platform: auto, plain, supabase, rds, neon or cloudsql (default: auto).
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<PlatformChoice>,
    /// How long to wait for the lock on a table (default: 30).
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) lock_wait: Option<u32>,
    /// The pg_dump to use (default: the best that is found).
    #[arg(long, value_name = "PATH", value_hint = ValueHint::ExecutablePath)]
    pub(crate) pg_dump: Option<PathBuf>,
    /// After the backup, restore it on a server that is started for it, and examine what is there: see backstay drill.
    ///
    /// Where that fails, no older backup is removed.
    #[arg(long)]
    pub(crate) drill: bool,
    /// Make this export of the configuration too, in the snapshot of the backup; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) export: Vec<String>,
    /// After the backup, remove older ones of the same prefix that are more than N days old.
    ///
    /// The newest is never removed, nor the newest with a proof, nor one under a hold.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) keep_days: Option<u32>,
    /// Remove no older backup, whatever the configuration says.
    #[arg(long, conflicts_with = "keep_days")]
    pub(crate) keep_all: bool,
    /// Have the server of a bucket encrypt what it keeps: AES256, aws:kms or aws:kms:KEY; that it did is read back.
    #[arg(long, value_name = "HOW")]
    pub(crate) sse: Option<String>,
    #[command(flatten)]
    pub(crate) encrypt: EncryptArguments,
    #[command(flatten)]
    pub(crate) rules: RulesArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Which schemas and tables, by psql's patterns.
#[derive(Args, Debug, Default)]
pub(crate) struct SelectionArguments {
    /// Only schemas that match, as psql's \d understands patterns; may be repeated.
    #[arg(long, short = 'n', value_name = "PATTERN")]
    pub(crate) schema: Vec<String>,
    /// Only tables that match; may be repeated.
    #[arg(long, short, value_name = "PATTERN")]
    pub(crate) table: Vec<String>,
    /// Leave out schemas that match; may be repeated.
    #[arg(long, short = 'N', value_name = "PATTERN")]
    pub(crate) exclude_schema: Vec<String>,
    /// Leave out tables that match; may be repeated.
    #[arg(long, short = 'T', value_name = "PATTERN")]
    pub(crate) exclude_table: Vec<String>,
    /// Keep the definition of tables that match and leave out their rows; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude_table_data: Vec<String>,
}

/// Which backup.
#[derive(Args, Debug)]
pub(crate) struct BackupNameArguments {
    /// A backup: the path of a file, an id, or latest.
    #[arg(value_name = "FILE|ID|latest", value_hint = ValueHint::FilePath)]
    pub(crate) backup: String,
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    /// With latest: of which database, by its name or by the prefix of its backups.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
}

#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) positional_store: Option<String>,
    /// The same as STORE.
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath, conflicts_with = "positional_store")]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    pub(crate) backup: BackupNameArguments,
    /// List every table.
    #[arg(long)]
    pub(crate) tables: bool,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub(crate) from: FromArguments,
    /// Connections that the backup would use (default: the number of processors, at most 4).
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: Option<u16>,
    /// The pg_dump to use (default: the best that is found).
    #[arg(long, value_name = "PATH", value_hint = ValueHint::ExecutablePath)]
    pub(crate) pg_dump: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// What is never cut, rows of 8 MiB of text and the like, must fit into a volume also where it cannot be compressed.
const VOLUME_BYTES_MIN: u64 = 16 << 20;

fn volume_bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 10),
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (text, 0),
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = digits.parse().ok().filter(|_| is_number);
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    let bytes = bytes.ok_or("a size is a number of bytes, or one with K, M or G behind it")?;
    if bytes < VOLUME_BYTES_MIN {
        return Err("a volume must have room for 16M".to_owned());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_volumes_are_read() {
        for (text, bytes) in [
            ("16777216", Some(16 << 20)),
            ("16384K", Some(16 << 20)),
            ("40M", Some(40 << 20)),
            ("2G", Some(2 << 30)),
            ("16777215", None),
            ("15M", None),
            ("+40M", None),
            ("40m", None),
            ("40MB", None),
            ("M", None),
            ("", None),
            ("99999999999G", None),
        ] {
            assert_eq!(volume_bytes(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn the_definition_contradicts_itself_nowhere() {
        Arguments::definition().debug_assert();
    }
}
