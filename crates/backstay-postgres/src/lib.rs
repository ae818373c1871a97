//! A PostgreSQL server as source and target of a backup.
//!
//! It knows nothing of stores, packs on disk or policies. It is a crate of its own because it brings TLS and two
//! PostgreSQL clients, which a program that only reads backups need not carry.

mod archive;
mod ask;
mod cancel;
mod catalog;
mod claim;
mod config;
mod connect;
mod conninfo;
mod pg_dump;
mod plan;
mod platform;
mod pooling;
mod preflight;
mod search_path;
mod server;
mod session;
mod snapshot;
mod source;
mod supabase;
mod target;
mod tls;
mod wire;

pub use archive::{
    MAX_ARCHIVE_ENTRIES, MAX_ARCHIVE_STRING_BYTES, MAX_ARCHIVE_TOC_BYTES, PrintError, PrintedEntry, Printer,
    ReadArchiveError, RestorePass, Section, Session, Toc, TocEntry,
};
pub use ask::{Answer, ask};
pub use cancel::CancelToken;
pub use catalog::CatalogError;
pub use claim::{Claim, ClaimError};
pub use config::{ChannelBinding, ConnectionConfig, Endpoint, Host, RootCertificates, Secret, SslMode};
pub use connect::{CatalogClient, ConnectError, ConnectErrorKind, connect_client, settle_endpoint};
pub use conninfo::{
    ChildEnvironment, ConninfoError, DotenvError, DotenvProblem, Origin, Resolved, Source, Variables, Warning,
    parse_dotenv, resolve, resolve_described, resolve_source,
};
pub use pg_dump::{
    FindProgramError, MAX_DUMP_BYTES, PgDump, PgDumpall, ProgramError, ProgramVersion, RolePasswords,
    SchemaDumpOptions, dump_globals, dump_schema, find_pg_dump, find_pg_dumpall,
};
pub use platform::{FoundPlatform, KeptElsewhere, Platform, PlatformChoice, UnknownPlatform};
pub use pooling::connect_to_session;
pub use preflight::{Preflight, PreflightError, PreflightFinding, PreflightNeeds, PreflightSeverity, preflight};
pub use search_path::SearchPath;
pub use server::{
    Authentication, Durability, Installation, ServerOptions, ThrowawayError, ThrowawayServer, remove_leftovers,
};
pub use session::SessionError;
pub use snapshot::SnapshotError;
pub use source::{
    DatabaseImage, Globals, Inclusion, InvalidPattern, MemberSink, Selection, SourceError, SourceEvent, SourceObserver,
    SourceOptions, excluded, read_database,
};
pub use target::{
    Atomicity, DatabaseOfDrill, DefinitionsCompared, Difference, DifferenceKind, Examination, ExamineOptions,
    ExistingDatabase, ForeignKey, ForeignKeyState, ForeignPlan, Keep, Lent, MemberSource, MismatchKind, Parts,
    ProofMismatch, ProofReport, Prove, RescueError, RescuePlan, RescuedTable, RestoreEvent, RestoreFailure,
    RestoreObserver, RestoreOptions, RestorePhase, RestorePlan, RestoreRefusal, RestoreReport, RestoreSelection,
    Surroundings, Swap, SwapError, SwapState, SwapWay, TargetError, TargetPlatform, TargetPolicy, TargetState,
    apply_foreign_restore, apply_rescue, apply_restore, database_names, examine_copy, find_project,
    plan_foreign_restore, plan_rescue, plan_restore, plan_swap, prove_copy, refuse_source, remove_dead_drills,
    stand_in_for_tablespaces, swap_databases,
};
pub use tls::TlsSetupError;
pub use wire::{
    ColumnDescription, CommandTag, CopyIn, CsvHeader, Row, RowFault, ServerError, SqlState, TransactionStatus,
    WireConnection, WireError,
};
