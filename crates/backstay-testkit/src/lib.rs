//! The conformance suite of stores, stores that fail on purpose, and fixtures.
//!
//! It is a crate of its own because only tests use it: it is not published, and it may panic.

pub mod conformance;
pub mod crash_safety;
mod damage;
mod faulty;
pub mod fixtures;
mod garage_server;
#[cfg(feature = "http-server")]
pub mod http_server;
mod interleaved;
mod moto_server;
pub mod objects;
mod recording;
#[cfg(feature = "s3-server")]
mod s3_server;
#[cfg(feature = "http-server")]
mod smtp_server;
#[cfg(feature = "http-server")]
mod supabase_server;
pub mod tcp_proxy;
mod toy_seal;
mod verb;
#[cfg(feature = "http-server")]
mod vercel_server;

pub use damage::Damage;
pub use faulty::{Fault, Faulty, When};
pub use garage_server::GarageServer;
pub use interleaved::Interleaved;
pub use moto_server::MotoServer;
pub use recording::{Call, Recording};
#[cfg(feature = "s3-server")]
pub use s3_server::S3Server;
#[cfg(feature = "http-server")]
pub use smtp_server::{SmtpServer, SmtpTls};
#[cfg(feature = "http-server")]
pub use supabase_server::{ProjectFile, SupabaseProject, SupabaseServer, SupabaseTraits};
pub use toy_seal::ToyKey;
pub use verb::Verb;
#[cfg(feature = "http-server")]
pub use vercel_server::{VercelBlobServer, VercelTraits};
