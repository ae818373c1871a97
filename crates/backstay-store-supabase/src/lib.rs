//! A bucket of Supabase Storage as a store of backups, by its REST interface.
//!
//! This crate is one of its own because it alone speaks to Supabase; it depends on the core, and on `backstay-http` for
//! what all stores on other machines need, and knows nothing of databases. Supabase speaks S3 too, but ignores conditions
//! there and wants keys of its own; here one key of the project is enough, and `move` decides who made an object.
//!
//! [`ProjectFiles`] is the other side: what an application keeps there, for those who back it up.
//!
//! It reads no environment: the key comes from [`Variables`] that the caller hands in. It waits between two tries.

mod answers;
mod client;
mod config;
mod delete;
mod dialect;
mod files;
mod key;
mod list;
mod publish;
mod reader;
mod sign;
mod store;
mod tus;
mod url;
mod writer;

pub use config::SupabaseConfig;
pub use files::{FileAttributes, FileBucket, FileInfo, ListedFile, OpenedFile, ProjectFiles};
pub use key::{ApiKey, InvalidApiKey};
pub use store::SupabaseStore;
pub use tus::Existing;
pub use url::{Incomplete, InvalidSupabaseUrl, SupabaseUrl, Variables};
