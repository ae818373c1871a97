use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use backstay_core::manifest::{Manifest, MemberContent, Source};
use backstay_core::repository::{PendingBackup, PublishedBackup, ReadBack, Repository, RepositoryError};
use backstay_core::retention::Age;
use backstay_core::{BackupId, Codec, Compression, DbText, EncodedMember, Prefix, Tag};
use backstay_postgres::{
    CancelToken, ConnectionConfig, FindProgramError, Globals, Inclusion, MemberSink, PgDumpall, Platform, Preflight,
    PreflightError, PreflightFinding, PreflightNeeds, SearchPath, SourceError, SourceEvent, SourceObserver,
    SourceOptions, find_pg_dumpall, preflight, read_database, settle_endpoint,
};
use backstay_verify::SqlCheck;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::checks::{queries, values_to_keep};
use crate::origin::{Origin, is_another, origin};
use crate::progress::{Phase, Progress, ProgressEvent};

/// How a backup is made; every default is safe.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BackupOptions {
    /// First part of the id; from the name of the database where it is `None`.
    pub prefix: Option<Prefix>,
    /// Codec and level.
    pub compression: Compression,
    /// Cuts the pack into volumes of at most so many bytes; of less where the store takes less. What a volume holds is
    /// cut nowhere within: 16 MiB are enough for all but rows that are longer than that when they are compressed.
    pub volume_bytes_max: Option<u64>,
    /// The words that it is given, for people and for policies of retention. They stand in clear also where it is sealed.
    pub tags: Vec<Tag>,
    /// For how long no policy of retention lets it go.
    pub keep_at_least: Option<Age>,
    /// Whether the backup is read again before it counts.
    pub read_back: ReadBack,
    /// What is read of the database, and by how many connections.
    pub source: SourceOptions,
    /// Whether roles and tablespaces of the cluster are added.
    pub globals: GlobalsOption,
    /// What is believed of the earlier backups with the same prefix.
    pub earlier: EarlierBackups,
    /// Queries whose values in the snapshot are kept, for comparing what is restored with them. One that fails is told in
    /// [`Manifest::check_values`], and is no reason to be without a backup.
    pub checks: Vec<SqlCheck>,
    /// The `pg_dump` to use; looked for where it is `None`.
    pub pg_dump: Option<PathBuf>,
    /// What else is read in the snapshot, such as exports. What becomes of it is nothing to the backup.
    pub in_snapshot: Option<InSnapshot>,
}

/// Something that reads in the snapshot of a backup, which is held meanwhile.
#[derive(Clone)]
pub struct InSnapshot(Arc<Reading>);

type Reading = dyn Fn(&ConnectionConfig, &str) + Send + Sync;

impl InSnapshot {
    /// It is called once, when all rows were read, with where to connect and the name of the exported snapshot.
    pub fn new(read: impl Fn(&ConnectionConfig, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl fmt::Debug for InSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InSnapshot(..)")
    }
}

/// Whether roles and tablespaces of the cluster are part of a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes, no, or where they are needed")]
pub enum GlobalsOption {
    /// Where a project on a platform is one database, they are: else they are not.
    #[default]
    ByPlatform,
    /// They are not.
    Excluded,
    /// They are.
    Included,
}

/// What is believed of the earlier backups with the prefix of a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum EarlierBackups {
    /// What they say: those of another cluster are of another database, even where it has the same name.
    #[default]
    AsTheySay,
    /// That they are of this database, which has moved here from another cluster.
    OfThisDatabase,
}

/// A backup that was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackupReport {
    /// What was published.
    pub published: PublishedBackup,
    /// What the preflight found; nothing that forbids a backup.
    pub findings: Vec<PreflightFinding>,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The server cannot be looked at.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// Something forbids a backup of this database by this role.
    #[error("{} cannot be backed up: {}", .0.database, .0.refusals().map(|f| f.message.as_str()).collect::<Vec<_>>().join("; "))]
    Refused(Box<Preflight>),
    /// No `pg_dumpall` for the globals.
    #[error("cannot read roles and tablespaces")]
    Globals(#[from] FindProgramError),
    /// The database cannot be read.
    #[error(transparent)]
    Source(SourceError),
    /// The backup cannot be stored.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The prefix belongs to another database's backups.
    #[error("the newest backup with the prefix {prefix} is of the database {other}, not of {database}")]
    ForeignPrefix {
        /// The prefix.
        prefix: Prefix,
        /// The database of the backups that are there.
        other: String,
        /// The database to be backed up.
        database: String,
    },
    /// The prefix belongs to the backups of another cluster.
    #[error(
        "the newest backup with the prefix {prefix} is of another cluster, and not of the database {database} of this one"
    )]
    ForeignCluster {
        /// The prefix.
        prefix: Prefix,
        /// The database to be backed up.
        database: String,
    },
    /// It was asked to stop; nothing was left behind.
    #[error("cancelled; nothing was left behind")]
    Cancelled,
}

/// Makes a backup of the database at `source` in `repository`; `now` becomes its time and a part of its id.
///
/// ```no_run
/// use backstay::{BackupOptions, CancelToken, Repository, SearchPath, Silent, Variables, WhenMissing};
/// # fn example(now: jiff::Timestamp) -> Result<(), Box<dyn std::error::Error>> {
/// let variables = Variables::from_iter(std::env::vars_os());
/// let source = backstay::resolve_source(Some("postgres://app@localhost/app"), &variables)?.config;
/// let repository = Repository::new(backstay::open_store("./backups", WhenMissing::Create)?);
/// let programs = SearchPath::with_usual_places(std::env::var_os("PATH").as_deref());
/// let options = BackupOptions::default();
/// let report =
///     backstay::back_up(&source, &repository, now, &programs, &options, &Silent, &CancelToken::new())?;
/// assert!(report.published.bytes > 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// See [`BackupError`]. Whatever the error, the store holds no new backup then, unless it is
/// [`RepositoryError::Unknown`], which says so.
pub fn back_up(
    source: &ConnectionConfig,
    repository: &Repository,
    now: Timestamp,
    programs: &SearchPath,
    options: &BackupOptions,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<BackupReport, BackupError> {
    progress.event(ProgressEvent::Phase {
        phase: Phase::Preflight,
        bytes_total: 0,
    });
    let needs = PreflightNeeds {
        jobs: options.source.jobs,
        programs,
        pg_dump: options.pg_dump.as_deref(),
        whole_database: options.source.selection.is_whole_database(),
        large_objects: options.source.large_objects,
        platform: options.source.platform,
    };
    let source = &settle_endpoint(source, cancel).map_err(PreflightError::from)?;
    let found = preflight(source, needs)?;
    let Some(pg_dump) = found.pg_dump.clone().filter(|_| found.refusals().next().is_none()) else {
        return Err(BackupError::Refused(Box::new(found)));
    };
    let mut source_options = options.source.clone();
    if repository.is_sealing() {
        source_options.secrets = Inclusion::Included;
    }
    let is_project = found
        .platform
        .as_ref()
        .is_some_and(|found| found.platform == Platform::Supabase);
    let has_globals = match options.globals {
        GlobalsOption::Included => true,
        GlobalsOption::ByPlatform => is_project && options.source.selection.is_whole_database(),
        GlobalsOption::Excluded => false,
    };
    if has_globals {
        source_options.globals = Globals::Included(dumpall_beside(&pg_dump.path, programs, &found)?);
    }
    let prefix = options
        .prefix
        .clone()
        .unwrap_or_else(|| Prefix::for_database(&found.database));
    check_prefix(repository, &prefix, &found, options.earlier)?;
    let id = BackupId::new(prefix, now);
    let mut pending = repository
        .clone()
        .with_volume_bytes_max(options.volume_bytes_max)
        .begin(&id, options.compression)?;

    progress.event(ProgressEvent::Phase {
        phase: Phase::Schema,
        bytes_total: 0,
    });
    source_options.row_hasher = pending.row_hasher();
    source_options.queries = queries(&options.checks);
    let image = read_database(
        source,
        &pg_dump,
        options.compression,
        &source_options,
        &mut Sink(&mut pending),
        &Observer {
            progress,
            source,
            in_snapshot: options.in_snapshot.as_ref(),
        },
        cancel,
    );
    let image = match image {
        Ok(image) => image,
        Err(_) if cancel.is_cancelled() => return Err(BackupError::Cancelled),
        Err(error) => return Err(error.into()),
    };
    if image.source.database.to_lossy() != found.database {
        // Two connections of one configuration reached two databases; an id would be a lie.
        return Err(BackupError::ForeignPrefix {
            prefix: id.prefix().clone(),
            other: image.source.database.to_string(),
            database: found.database,
        });
    }
    if is_another(image.source.system_identifier, found.system_identifier) {
        return Err(BackupError::ForeignCluster {
            prefix: id.prefix().clone(),
            database: found.database,
        });
    }
    if cancel.is_cancelled() {
        return Err(BackupError::Cancelled);
    }
    progress.event(ProgressEvent::Phase {
        phase: Phase::Publish,
        bytes_total: pending.bytes(),
    });
    let manifest = Manifest {
        writer: concat!("backstay ", env!("CARGO_PKG_VERSION")).to_owned(),
        id,
        taken_at: now,
        tags: options.tags.clone(),
        keep_until: options.keep_at_least.map(|age| age.after(now, &TimeZone::UTC)),
        codec: Codec::Gzip,
        digest_key: None,
        source: image.source,
        tables: image.tables,
        sequences: image.sequences,
        large_objects: image.large_objects,
        entries: image.entries,
        refreshes: image.refreshes,
        omissions: image.omissions,
        left_out: source_options.left_out(),
        check_values: values_to_keep(&options.checks, image.answers),
        packs: Vec::new(),
        members: Vec::new(),
    };
    let published = pending.finish(manifest, options.read_back)?;
    Ok(BackupReport {
        published,
        findings: found.findings,
    })
}

/// Two databases must not share a prefix, or `latest` would be now the one and now the other.
fn check_prefix(
    repository: &Repository,
    prefix: &Prefix,
    found: &Preflight,
    earlier: EarlierBackups,
) -> Result<(), BackupError> {
    let listing = repository.list().map_err(RepositoryError::from)?;
    let Some(newest) = listing.backups.iter().rev().find(|backup| backup.id.prefix() == prefix) else {
        return Ok(());
    };
    let source = Source {
        database: DbText::from(&*found.database),
        system_identifier: found.system_identifier,
        ..Source::default()
    };
    match origin(repository, &newest.id, &source) {
        Origin::OtherDatabase(other) => Err(BackupError::ForeignPrefix {
            prefix: prefix.clone(),
            other,
            database: found.database.clone(),
        }),
        Origin::OtherCluster if earlier == EarlierBackups::AsTheySay => Err(BackupError::ForeignCluster {
            prefix: prefix.clone(),
            database: found.database.clone(),
        }),
        // What cannot be read is no reason to be without a backup tonight.
        Origin::OtherCluster | Origin::Same | Origin::Unknown => Ok(()),
    }
}

/// The `pg_dumpall` beside the `pg_dump`, else one that is looked for.
fn dumpall_beside(
    pg_dump: &std::path::Path,
    programs: &SearchPath,
    found: &Preflight,
) -> Result<PgDumpall, FindProgramError> {
    let major = found.server_version_num / 10_000;
    let beside = pg_dump.with_file_name("pg_dumpall");
    PgDumpall::at(beside, major).or_else(|_| find_pg_dumpall(programs, major))
}

impl From<SourceError> for BackupError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Cancelled => Self::Cancelled,
            // The store's errors come wrapped, because the reader of the database knows no store.
            SourceError::Sink(inner) => match inner.downcast::<RepositoryError>() {
                Ok(error) => Self::Repository(*error),
                Err(inner) => Self::Source(SourceError::Sink(inner)),
            },
            SourceError::SinkRows { table, source } => match source.downcast::<RepositoryError>() {
                Ok(error) => Self::Repository(of_table(*error, &table)),
                Err(source) => Self::Source(SourceError::SinkRows { table, source }),
            },
            error => Self::Source(error),
        }
    }
}

/// The error, with the table whose rows no volume can hold.
fn of_table(error: RepositoryError, table: &str) -> RepositoryError {
    match error {
        RepositoryError::VolumeTooSmall { what, bytes, bytes_max } => RepositoryError::VolumeTooSmall {
            what: format!("{what} of {table}"),
            bytes,
            bytes_max,
        },
        error => error,
    }
}

struct Sink<'p>(&'p mut PendingBackup);

impl MemberSink for Sink<'_> {
    fn append(
        &mut self,
        member: EncodedMember,
        content: MemberContent,
    ) -> Result<u32, Box<dyn StdError + Send + Sync>> {
        Ok(self.0.append(&member, content)?)
    }
}

struct Observer<'o> {
    progress: &'o dyn Progress,
    source: &'o ConnectionConfig,
    in_snapshot: Option<&'o InSnapshot>,
}

impl SourceObserver for Observer<'_> {
    fn event(&self, event: SourceEvent<'_>) {
        match event {
            SourceEvent::Retry { reason } => {
                let note = format!("{reason} while the snapshot was taken; taking it again");
                self.progress.event(ProgressEvent::Note(&note));
            }
            SourceEvent::Planned { heap_bytes, .. } => {
                self.progress.event(ProgressEvent::Phase {
                    phase: Phase::Rows,
                    bytes_total: heap_bytes,
                });
            }
            SourceEvent::ChunkRead { table, heap_bytes } => {
                self.progress.event(ProgressEvent::Advance {
                    bytes: heap_bytes,
                    table: Some(table),
                });
            }
            _ => {}
        }
    }

    fn in_snapshot(&self, snapshot: &str) {
        if let Some(InSnapshot(read)) = self.in_snapshot {
            read(self.source, snapshot);
        }
    }
}
