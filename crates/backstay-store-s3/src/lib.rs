//! A bucket that speaks the S3 protocol as a store of backups: AWS, `MinIO`, R2, B2, Garage, Ceph, Supabase.
//!
//! This crate is one of its own because it alone brings HTTP, TLS and signatures for a store; it depends on the core and
//! knows nothing of databases. The client is our own and small: a backup needs twelve calls of the protocol, and of these
//! it needs what general clients do not give, such as knowing whose object stands there after an answer was lost.
//!
//! It reads no environment: credentials and defaults come from [`Variables`] that the caller hands in. It does read the
//! clock, because a signature has the time in it, and waits between two tries.

mod client;
mod conditional;
mod config;
mod credentials;
mod failure;
mod leftover;
mod list;
mod multipart;
mod parts;
mod publish;
mod reader;
mod sign;
mod store;
mod url;
mod writer;
mod xml;

pub use backstay_http::Retries;
pub use config::{
    Addressing, Checksums, ConditionalWrites, Encryption, LegalHold, LockMode, ObjectLock, PartSizes, RetainUntil,
    Retention, S3Config,
};
pub use credentials::{Credentials, CredentialsError, CredentialsProvider, DefaultChain, StaticCredentials, Variables};
pub use store::{CreateOnly, Guarantees, S3Store};
pub use url::{InvalidS3Url, S3Url};
