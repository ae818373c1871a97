//! A PostgreSQL server as source and target of a backup.
//!
//! It knows nothing of stores, packs on disk or policies. It is a crate of its own because it brings TLS and two
//! PostgreSQL clients, which a program that only reads backups need not carry.

mod cancel;
mod config;
mod conninfo;
mod connect;
mod tls;
mod wire;

pub use cancel::CancelToken;
pub use config::{ChannelBinding, ConnectionConfig, Endpoint, Host, RootCertificates, Secret, SslMode};
pub use conninfo::{
    ChildEnvironment, ConninfoError, DotenvError, DotenvProblem, Origin, Resolved, Source, Variables, Warning,
    parse_dotenv, resolve, resolve_source,
pub use connect::{ConnectError, ConnectErrorKind, connect_client};
pub use tls::TlsSetupError;
pub use wire::{
    CommandTag, CopyIn, Row, RowFault, ServerError, SqlState, TransactionStatus, WireConnection, WireError,
mod archive;
mod config;
mod pg_dump;

pub use archive::{
    MAX_ARCHIVE_ENTRIES, MAX_ARCHIVE_STRING_BYTES, MAX_ARCHIVE_TOC_BYTES, PrintError, PrintedEntry, Printer,
    ReadArchiveError, RestorePass, Section, Session, Toc, TocEntry,
};
pub use config::{ChannelBinding, ConnectionConfig, Endpoint, Host, RootCertificates, Secret, SslMode};
pub use pg_dump::{
    ChildEnvironment, FindProgramError, MAX_DUMP_BYTES, PgDump, PgDumpall, ProgramError, ProgramVersion, RolePasswords,
    SchemaDumpOptions, SearchPath, dump_globals, dump_schema, find_pg_dump, find_pg_dumpall,
};
