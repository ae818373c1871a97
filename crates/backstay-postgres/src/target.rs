//! A database as the target of a restore.

mod apply;
mod create;
mod examine;
mod foreign;
mod inspect;
mod plan;
mod platform;
mod prove;
mod rehearsal;
mod rescue;
mod schedule;
mod select;
mod swap;

use std::error::Error as StdError;
use std::fmt;

use backstay_core::DbText;
use backstay_core::manifest::{Manifest, Span};

use crate::catalog::{CatalogError, Reading as _};
use crate::config::ConnectionConfig;
use crate::connect::{ConnectErrorKind, connect_client};
use crate::platform::{FoundPlatform, PlatformChoice, find as platform_of};
use crate::pooling::{PoolingError, connect_to_session};
use crate::search_path::SearchPath;
use crate::session::{self, SessionError};
use crate::source::SourceError;
use crate::wire::WireError;
use crate::{CancelToken, ConnectError};

pub use examine::{
    DefinitionsCompared, Difference, DifferenceKind, Examination, ExamineOptions, ForeignKey, ForeignKeyState,
    examine_copy,
};
pub use foreign::{ForeignPlan, apply_foreign_restore, plan_foreign_restore};
pub use inspect::{ExistingDatabase, TargetState};
pub use plan::{RestorePlan, RestoreRefusal};
pub use platform::TargetPlatform;
pub use prove::{MismatchKind, ProofMismatch, ProofReport, prove_copy};
pub use rehearsal::{DatabaseOfDrill, Lent, remove_dead_drills};
pub use rescue::{RescueError, RescuePlan, RescuedTable, apply_rescue, plan_rescue};
pub use select::RestoreSelection;
pub use swap::{Swap, SwapError, SwapState, SwapWay, database_names, plan_swap, swap_databases};

/// Gives the text of members.
pub trait MemberSource: Sync {
    /// The text of the member with that index, checked against its digest.
    ///
    /// # Errors
    /// Any; what needs the member fails with it.
    fn text(&self, member: usize) -> Result<Vec<u8>, Box<dyn StdError + Send + Sync>>;

    /// Says which members will be asked for next, in about that order; whoever is far from them may read ahead.
    fn expect(&self, _members: &[usize]) {}
}

/// How a backup is restored; every default is safe.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// Connections that work at the same time.
    pub jobs: usize,
    /// What the target must be like.
    pub target: TargetPolicy,
    /// Whether it is all or nothing.
    pub atomicity: Atomicity,
    /// Which part of the backup.
    pub selection: RestoreSelection,
    /// Definitions, rows, or both.
    pub parts: Parts,
    /// Whether objects get their owners.
    pub owners: Keep,
    /// Whether grants are restored.
    pub privileges: Keep,
    /// Whether roles and tablespaces in the backup are made first.
    pub globals: Keep,
    /// What becomes of roles and tablespaces that the cluster has not.
    pub surroundings: Surroundings,
    /// Whether every row is read again and compared; on a platform the definitions, too.
    pub prove: Prove,
    /// By the rules of which platform.
    pub platform: PlatformChoice,
    /// Where the `pg_dump` is looked for by which a proof reads the definitions of a copy; they are not compared without.
    pub programs: Option<SearchPath>,
}

impl Default for RestoreOptions {
    /// Everything into an empty database, in parallel, without globals and without proof.
    fn default() -> Self {
        Self {
            jobs: 2,
            target: TargetPolicy::Empty,
            atomicity: Atomicity::StepByStep,
            selection: RestoreSelection::default(),
            parts: Parts::All,
            owners: Keep::Yes,
            privileges: Keep::Yes,
            globals: Keep::No,
            surroundings: Surroundings::AsTheyAre,
            prove: Prove::No,
            platform: PlatformChoice::Auto,
            programs: None,
        }
    }
}

/// What the target must be like before a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each is another danger")]
pub enum TargetPolicy {
    /// The database exists and is empty.
    Empty,
    /// The database does not exist and is made with the source's encoding and locale.
    Create,
    /// What the backup contains is dropped first. The caller has seen to it that there is a way back, or that none is
    /// wanted.
    Clean,
}

/// Whether a restore is one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Atomicity {
    /// Each step for itself, in parallel; errors are collected.
    StepByStep,
    /// One transaction over one connection; the first error undoes everything.
    SingleTransaction,
    /// One transaction into a platform for which it is known to be right, while the backup is small; else step by step.
    Fitting,
}

/// Which parts of a backup are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the list is whole")]
pub enum Parts {
    /// Definitions and rows.
    All,
    /// Definitions only.
    Schema,
    /// Rows only, into tables that exist.
    Data,
}

/// Whether a property is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Keep {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// What becomes of roles and tablespaces that a restore needs and the cluster has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the cluster is somebody's, or it is ours")]
pub enum Surroundings {
    /// What needs them fails.
    AsTheyAre,
    /// They are made up, as roles that cannot log in and tablespaces in the folder of the server; statements about
    /// tablespaces among the globals are passed over, since their folders may be another server's. For a server that is
    /// thrown away, whose messages are in English.
    StandIns,
}

/// Whether the copy is proven equal after the restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Prove {
    /// Every row is read and its digest compared.
    Yes,
    /// Rows are only counted.
    No,
}

/// Is told how a restore goes on; called from several threads.
pub trait RestoreObserver: Sync {
    /// Something happened.
    fn event(&self, event: RestoreEvent<'_>);
}

/// What an observer is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RestoreEvent<'e> {
    /// A phase begins.
    Phase {
        /// Which.
        phase: RestorePhase,
        /// Bytes of text to load, where that measures the phase.
        bytes: u64,
    },
    /// A worker begins to build an index.
    IndexBegun,
    /// A worker has built one, or has failed to.
    IndexEnded,
    /// Rows of a table were loaded or compared.
    Rows {
        /// Which table, for people.
        table: &'e str,
        /// Bytes of text.
        text_bytes: u64,
    },
}

/// The phases of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestorePhase {
    /// Definitions before the rows.
    PreData,
    /// Rows, and indexes as soon as their rows are there.
    Data,
    /// What needs everything before it.
    PostData,
    /// Counting or proving.
    Check,
}

/// One thing that could not be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreFailure {
    /// What, for people: `TABLE public.users`, `rows of public.users`.
    pub what: String,
    /// The statement, cut to its beginning.
    pub statement: Option<String>,
    /// What went wrong.
    pub error: String,
    /// The server's code, where it was the server that refused.
    pub sql_state: Option<String>,
}

impl fmt::Display for RestoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

/// What a restore did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Tables whose rows were loaded and counted.
    pub tables: u64,
    /// Rows loaded.
    pub rows: u64,
    /// Schema entries restored.
    pub entries: u64,
    /// Indexes and constraints among them.
    pub indexes: u64,
    /// Rows among them that are each about a file of the platform, which is in no backup of a database.
    pub rows_of_files: u64,
    /// What could not be restored.
    pub failures: Vec<RestoreFailure>,
    /// Things that were left out on purpose.
    pub left_out: Vec<String>,
    /// Roles and tablespaces that were made up: `role app`.
    pub stand_ins: Vec<String>,
    /// The proof, where one was asked for.
    pub proof: Option<ProofReport>,
    /// What the comparison of the definitions gave, where a proof was asked for and they were compared.
    pub examination: Option<Examination>,
}

impl RestoreReport {
    /// Whether everything that was planned is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
            && self.proof.as_ref().is_none_or(ProofReport::is_equal)
            && self.examination.as_ref().is_none_or(Examination::is_equal)
    }

    /// Whether all that was to be proven was compared: without a `pg_dump` for the server definitions are not.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        let is_compared = |seen: &Examination| seen.compared != DefinitionsCompared::Not;
        self.examination.as_ref().is_none_or(is_compared)
    }
}

/// Why a restore could not be planned, or not be carried on at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A session is not fit.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The catalogs cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The target may not be restored into.
    #[error(transparent)]
    Refused(#[from] RestoreRefusal),
    /// The database could not be made.
    #[error("cannot create the database {database}")]
    Create {
        /// Its name.
        database: String,
        /// Why.
        source: WireError,
    },
    /// A statement that everything else needs failed.
    #[error("cannot {doing}")]
    Wire {
        /// What.
        doing: &'static str,
        /// Why.
        source: WireError,
    },
    /// What was there could not be dropped; nothing was changed.
    #[error("cannot drop {what}; nothing was changed")]
    Clean {
        /// What.
        what: String,
        /// Why.
        source: WireError,
    },
    /// The definitions of a copy cannot be read.
    #[error("cannot read the definitions of the copy")]
    Definitions(#[source] Box<SourceError>),
    /// A part of the backup cannot be read.
    #[error("cannot read the backup")]
    Backup(#[source] Box<dyn StdError + Send + Sync>),
    /// The role that restores acted as the owners of what it restored, and it could not be ended that it may.
    #[error("the restore stopped, and the role {role} may still act as the owners of what it restored")]
    StillLent {
        /// The role.
        role: String,
        /// The statements that end it, to be run by that role.
        statements: Vec<String>,
        /// What stopped the restore, or kept it from giving back.
        source: Box<Self>,
    },
    /// It was asked to stop.
    #[error("cancelled; the target holds a part of the backup")]
    Cancelled,
}

impl From<PoolingError> for TargetError {
    fn from(error: PoolingError) -> Self {
        match error {
            PoolingError::Connect(error) => error.into(),
            PoolingError::Catalog(error) => error.into(),
            PoolingError::Wire(source) => Self::Wire {
                doing: "ask the target which session it is",
                source,
            },
        }
    }
}

/// Looks at the target and decides what is to be done.
///
/// # Errors
/// The target cannot be reached or looked at, or it is refused: see [`RestoreRefusal`].
pub fn plan_restore(
    manifest: &Manifest,
    config: &ConnectionConfig,
    options: &RestoreOptions,
) -> Result<RestorePlan, TargetError> {
    on_a_thread(|| {
        // A server that is thrown away is nobody's.
        let platform = (options.surroundings == Surroundings::AsTheyAre).then_some(options.platform);
        let state = inspect::inspect(config, &inspect::Wanted::of(manifest, platform))?;
        let mut plan = plan::plan(manifest, &config.database, state, options)?;
        plan.warnings.extend(apply::lacking_proof(&plan));
        Ok(plan)
    })
}

/// Tells whether a database is a project of a hosted platform, all of which is in that database: another one beside it lacks
/// what is the platform's.
///
/// # Errors
/// It cannot be reached or looked at, or is behind a pooler in transaction mode.
pub fn find_project(config: &ConnectionConfig, choice: PlatformChoice) -> Result<Option<FoundPlatform>, TargetError> {
    on_a_thread(|| {
        // Before anything is set.
        drop(connect_to_session(config, &CancelToken::new())?);
        let mut client = connect_client(config)?;
        session::prepare_client(&mut client).reading("the target")?;
        let found = platform_of(&mut client, config, choice)?;
        Ok(found.filter(|found| found.platform.is_of_one_project()))
    })
}

/// Refuses a target that is the database which was backed up, or may be.
///
/// # Errors
/// It is refused, or the target cannot be reached or looked at.
pub fn refuse_source(manifest: &Manifest, config: &ConnectionConfig) -> Result<(), TargetError> {
    on_a_thread(|| {
        let state = inspect::inspect(config, &inspect::Wanted::default())?;
        Ok(plan::refuse_source(manifest, &config.database, &state)?)
    })
}

/// Makes up the tablespaces that a backup names, in the folder of a server that is thrown away. Those that cannot be made are
/// missed by what needs them.
///
/// # Errors
/// There is no connection.
pub fn stand_in_for_tablespaces(
    manifest: &Manifest,
    config: &ConnectionConfig,
    cancel: &CancelToken,
) -> Result<Vec<String>, TargetError> {
    on_a_thread(|| create::stand_in_for_tablespaces(manifest, config, cancel))
}

/// Carries out a plan that was made for the same backup and target.
///
/// # Errors
/// Only what keeps the restore from going on; what could not be restored stands in the report.
pub fn apply_restore(
    plan: &RestorePlan,
    manifest: &Manifest,
    source: &dyn MemberSource,
    config: &ConnectionConfig,
    observer: &dyn RestoreObserver,
    cancel: &CancelToken,
) -> Result<RestoreReport, TargetError> {
    on_a_thread(
        || match apply::apply(plan, manifest, source, config, observer, cancel) {
            Err(_) if cancel.is_cancelled() => Err(TargetError::Cancelled),
            other => other,
        },
    )
}

/// Runs on a thread that no asynchronous runtime knows, because the synchronous client panics on one that it does.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// A database that every server has, for what cannot be done from inside the target.
fn maintenance_config(config: &ConnectionConfig) -> Result<ConnectionConfig, ConnectError> {
    let at = |database: &str| ConnectionConfig {
        database: database.to_owned(),
        ..config.clone()
    };
    match connect_client(&at("postgres")) {
        Err(error) if error.kind() == ConnectErrorKind::DatabaseMissing => Ok(at("template1")),
        Err(error) => Err(error),
        Ok(_) => Ok(at("postgres")),
    }
}

/// An entry of the schema for people: `TABLE public.users`.
fn entry_name(kind: &str, schema: Option<&DbText>, name: &DbText) -> String {
    match schema {
        Some(schema) => format!("{kind} {schema}.{name}"),
        None => format!("{kind} {name}"),
    }
}

/// The part of a member's text that an entry says.
fn part_of(text: &[u8], span: Span) -> Result<&[u8], TargetError> {
    let start = usize::try_from(span.offset).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::try_from(span.length).unwrap_or(usize::MAX));
    text.get(start..end)
        .ok_or_else(|| TargetError::Backup("a definition reaches past the end of its member".into()))
}
