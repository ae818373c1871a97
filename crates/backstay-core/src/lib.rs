//! Members, packs, manifests, digests, codecs and the Store contract of Backstay.
//!
//! This crate does no I/O: it opens no file, socket or process and reads neither clock nor environment. It is a crate
//! of its own because its formats are the long-lived promise that all the others depend on.

pub mod script;
pub mod store;

pub use store::{InvalidObjectKey, ObjectKey};
