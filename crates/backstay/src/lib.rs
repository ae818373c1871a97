//! PostgreSQL backup and recovery: back up, verify, restore.
//!
//! This is the library that services link; the program `backstay` is a thin layer over it. It never prints, and reads
//! neither the environment nor the clock: what it needs is handed in. All work on databases runs on threads of its own,
//! so every function may be called from a thread that runs an asynchronous runtime (where it blocks, as any
//! synchronous call does; `spawn_blocking` is the place for it).

mod backup;
mod check;
mod checks;
mod copy;
mod drill;
#[cfg(feature = "supabase")]
mod file_rows;
mod foreign;
mod origin;
mod progress;
mod prune;
mod restore;
pub mod status;
mod store;
mod swap;
mod verify;
mod witness;

pub use backstay_core::manifest;
pub use backstay_core::pack::{PackError, TrailerError};
pub use backstay_core::repository::{
    BackupReader, BackupSummary, Copied, CopyError, Deed, DrillEvidence, DrillHoldings, DrillPhase, Hold, LEVEL_RULES,
    Listing, Litter, LitterItem, LogEntry, LogFilter, LogItem, NotedFinding, NotedFindings, NotedProof, ObjectRole,
    Outcome, Proof, ProofSummary, Pruning, PublishedBackup, ReadBack, Removal, Repository, RepositoryError, Seals,
    Statement, UnknownLogWord, checksum_name, object_role,
};
pub use backstay_core::retention::{
    Age, BackupFacts, HoldFacts, InvalidAge, ProofState, RetentionAction, RetentionDecision, RetentionPolicy,
    RetentionReason, plan_retention,
};
pub use backstay_core::seal;
pub use backstay_core::store::{
    Error as StoreError, ErrorKind as StoreErrorKind, Leftover, MemoryStore, ObjectKey, ObjectMeta, ObjectWriter, Store,
};
pub use backstay_core::{
    BackupId, Codec, Compression, DbText, InvalidObjectKey, InvalidPrefix, InvalidTag, Manifest, Prefix, Tag,
};
/// Encryption: to whom backups are sealed, and with what they are opened.
#[cfg(feature = "encryption")]
pub use backstay_encryption as encryption;
/// Exports of rows for other programs, and of all that belongs to one person.
#[cfg(feature = "export")]
pub use backstay_export as export;
pub use backstay_postgres::{
    Atomicity, CancelToken, CatalogError, Claim, ClaimError, ConnectError, ConnectErrorKind, ConnectionConfig,
    ConninfoError, DefinitionsCompared, DotenvError, Examination, FindProgramError, ForeignPlan, FoundPlatform,
    Inclusion, InvalidPattern, Keep, KeptElsewhere, Parts, Platform, PlatformChoice, Preflight, PreflightError,
    PreflightFinding, PreflightNeeds, PreflightSeverity, ProgramError, ProofMismatch, ProofReport, Prove, RescueError,
    RescuePlan, RescuedTable, Resolved, RestoreFailure, RestoreOptions, RestorePlan, RestoreRefusal, RestoreReport,
    RestoreSelection, SearchPath, Selection, ServerError, SessionError, SnapshotError, Source as ConnectionSource,
    SourceError, SourceOptions, SqlState, Swap, SwapError, SwapState, SwapWay, TargetError, TargetPolicy, TargetState,
    ThrowawayError, UnknownPlatform, Variables, WireError, excluded, find_project, parse_dotenv, plan_swap, preflight,
    resolve, resolve_described, resolve_source, swap_databases,
};
/// The files that applications keep in Supabase Storage.
#[cfg(feature = "supabase")]
pub use backstay_storage_files as storage_files;
pub use backstay_verify::{
    Evidence, Exemption, Expectation, Finding, Judged, Level, PastBackup, RULES, Report, Right, Rule, Rules, Severity,
    SqlCheck, SqlOutcome, TableRule, VerifyError, finding_lines,
};
pub use backup::{BackupError, BackupOptions, BackupReport, EarlierBackups, GlobalsOption, InSnapshot, back_up};
pub use check::{PromiseSeen, StoreCheck, check_store};
pub use checks::ask_checks;
pub use copy::{Period, copy_backup, newest_per};
pub use drill::{Drill, DrillError, DrillOptions, DrillReport, DrillTarget, DrillTimes, DrillTools, drill, note_drill};
#[cfg(feature = "supabase")]
pub use file_rows::file_rows;
pub use foreign::{ForeignArchive, ForeignError};
pub use origin::{Origin, origin};
pub use progress::{Phase, Progress, ProgressEvent, Silent};
pub use prune::{Pruned, plan_prune, prune, prune_database};
pub use restore::{plan_rescue, plan_restore, prove, rescue, restore};
pub use store::{OpenStoreError, WhenMissing, open_store, open_store_with, supabase_project_of_store};
pub use swap::{UndoError, swap_at, undo_at};
pub use verify::{Archive, CheckOptions, EarlierVolumes, OpenArchiveError, earlier_volumes, judge, proof_of, verify};
pub use witness::Witness;

/// Compiles the Rust in the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
