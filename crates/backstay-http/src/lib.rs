//! HTTP for stores: one client, why a request failed, trying again, reading on where a connection broke, objects in parts.
//!
//! It is a crate of its own because three kinds of stores need it and no other part of Backstay should wait for HTTP and TLS
//! to be compiled. It knows the protocol of none of them: what the words of a server mean, its store says.

mod client;
mod failure;
mod flight;
mod part_writer;
mod reader;
mod retry;

pub use client::{Answer, Http};
pub use failure::{Failure, GivenUp};
pub use flight::InFlight;
pub use part_writer::{PartWriter, WriteInParts};
pub use reader::{Fetch, RangeReader, content_range};
pub use retry::{Retries, Tries, random};
