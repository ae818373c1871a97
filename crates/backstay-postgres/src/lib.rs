//! A PostgreSQL server as source and target of a backup.
//!
//! It knows nothing of stores, packs on disk or policies. It is a crate of its own because it brings TLS and two
//! PostgreSQL clients, which a program that only reads backups need not carry.

mod config;
mod search_path;
mod server;

pub use config::{ChannelBinding, ConnectionConfig, Endpoint, Host, RootCertificates, Secret, SslMode};
pub use search_path::SearchPath;
pub use server::{
    Authentication, Durability, Installation, ServerError, ServerOptions, ThrowawayServer, remove_leftovers,
};
