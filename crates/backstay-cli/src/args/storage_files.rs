#![expect(
    clippy::doc_markdown,
    reason = "the comments are the help, which is shown as it is written"
)]

use clap::{Args, Subcommand, ValueHint};

use super::{EncryptArguments, IdentityArguments, OutputArguments};

#[derive(Debug, Subcommand)]
pub(crate) enum StorageFilesCommand {
    /// Save the files of all buckets of a project, beside the backups of its database.
    ///
    /// What is as in the newest backup of files is not read again. Ends with status 1 where the project has rows of files whose
    /// content is not there, or a row of the backup that --id names has no file.
    Backup(Box<FilesBackupArguments>),
    /// Write files into a project. What is there with other content stays, unless --replace says otherwise.
    Restore(FilesRestoreArguments),
    /// Read all of a backup of files.
    Verify(FilesVerifyArguments),
    /// List the backups of files in a store.
    List(FilesListArguments),
}

#[derive(Args, Debug)]
pub(crate) struct FilesBackupArguments {
    /// Where the files go: a folder, made if missing, s3://bucket/prefix, or a name in the configuration (default:
    /// BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    /// The database of the project by its name in the configuration, which says the store, to whom files are encrypted, who is
    /// told, and which project it is (default: the only one there).
    #[arg(long, value_name = "NAME")]
    pub(crate) db: Option<String>,
    /// The project, by its reference (default: what the configuration says, SUPABASE_PROJECT_REF, or what SUPABASE_URL names).
    /// Its key is SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY.
    #[arg(long, value_name = "REF")]
    pub(crate) project: Option<String>,
    /// URL of a project that is not at Supabase.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) endpoint: Option<String>,
    /// First part of the names (default: the reference of the project, else project).
    #[arg(long, value_name = "PREFIX")]
    pub(crate) name: Option<String>,
    /// Files that are read at the same time (default: 4).
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) jobs: Option<u8>,
    #[command(flatten)]
    pub(crate) rows: RowsArguments,
    #[command(flatten)]
    pub(crate) encrypt: EncryptArguments,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Which backup of the database is compared with.
#[derive(Args, Debug)]
pub(crate) struct RowsArguments {
    /// Compare the files with the rows of storage.objects in this backup of the database in the same store: an id, or latest.
    #[arg(long, value_name = "ID|latest")]
    pub(crate) id: Option<String>,
    /// With --id latest: of which database, by its name or by the prefix of its backups (default: what --db names).
    #[arg(long, value_name = "NAME", requires = "id")]
    pub(crate) database: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct FilesRestoreArguments {
    /// A backup of files: an id, or latest.
    #[arg(value_name = "ID|latest")]
    pub(crate) backup: String,
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    /// The project to write to, by its reference; never taken from variables. Its key is SUPABASE_SECRET_KEY or
    /// SUPABASE_SERVICE_ROLE_KEY.
    #[arg(long, value_name = "REF", required_unless_present = "endpoint")]
    pub(crate) to: Option<String>,
    /// URL of a project that is not at Supabase.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) endpoint: Option<String>,
    /// Only this bucket; may be repeated.
    #[arg(long, value_name = "BUCKET")]
    pub(crate) bucket: Vec<String>,
    /// Replace files that are there with other content.
    #[arg(long, requires = "yes")]
    pub(crate) replace: bool,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Files that are written at the same time (default: 4).
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) jobs: Option<u8>,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct FilesVerifyArguments {
    /// A backup of files: an id, or latest.
    #[arg(value_name = "ID|latest")]
    pub(crate) backup: String,
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) rows: RowsArguments,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct FilesListArguments {
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}
