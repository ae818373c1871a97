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
};
