//! Vercel Blob as a store of backups, private or public.
//!
//! This crate is one of its own because it alone speaks to Vercel; it depends on the core, and on `backstay-http` for
//! what all stores on other machines need, and knows nothing of databases. The client is our own and small: the one that
//! others wrote for Rust speaks an older version of the service, which has neither private stores nor conditions.
//!
//! It reads no environment: the token comes from [`Variables`] that the caller hands in. It does read the clock, because
//! a signed URL has the time in it, and waits between two tries.

mod answers;
mod client;
mod config;
mod delete;
mod dialect;
mod list;
mod multipart;
mod publish;
mod reader;
mod sign;
mod store;
mod token;
mod url;
mod writer;

pub use backstay_http::Retries;
pub use config::{Access, VercelBlobConfig};
pub use store::VercelBlobStore;
pub use token::{InvalidToken, Token};
pub use url::{InvalidVercelBlobUrl, UnusableToken, Variables, VercelBlobUrl};
