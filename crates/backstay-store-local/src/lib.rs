//! A folder as a store of backups.
//!
//! This crate is one of its own because it alone touches the file system on behalf of a store; it depends on the core
//! and knows nothing of databases. It runs on Unix.

mod folder;
mod leftover;
mod list;
mod place;
mod reader;
mod store;
mod writer;

pub use store::{Durability, LocalStore};
