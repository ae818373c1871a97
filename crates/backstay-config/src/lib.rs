//! The file `backstay.toml`: databases, stores, retention, rules, exports and notifications by name, and where their secrets
//! are.
//!
//! It is a crate of its own because it brings a TOML parser, and because services that keep their backups by the same file
//! need it without the program. [`Config::parse`] takes a text and finds all mistakes in it at once, each with its line and
//! column. It reads no environment: variables are looked up by what the caller hands in, and a file or command that holds a
//! secret is only read or run when that secret is [resolved](SecretSource::resolve).
//!
//! A section is a module, and each key of it is asked for in one line, which says its name, its type and what
//! it is for. Reading, the hint at the nearest known key and the JSON schema are made of that line.
//!
//! ```
//! use std::path::Path;
//!
//! use backstay_config::Config;
//!
//! let text = r#"
//!     [store.offsite]
//!     url = "s3://${BUCKET}/prod"
//!
//!     [database.kulti]
//!     host = "db.example.org"
//!     password = { env = "KULTI_PASSWORD" }
//!     store = "offsite"
//! "#;
//! let config = Config::parse(text, Path::new("backstay.toml"))?;
//! let variables = |name: &str| (name == "BUCKET").then(|| "backups".to_owned());
//! let store = config.store("offsite").unwrap();
//! assert_eq!(store.location(&variables)?, "s3://backups/prod");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod database;
mod export;
mod fields;
mod nearest;
mod notification;
mod place;
mod platform;
mod problem;
mod reference;
mod resolve;
mod retention;
mod rules;
mod schedule;
mod schema;
mod secret;
mod size;
mod store;
mod text;
mod time_limit;
mod value;

pub use config::{Config, EXAMPLE, FILE_NAME};
pub use database::{Connection, Database, Encryption, ResolvedConnection, Selection, StorageFiles};
pub use export::{Export, ExportCompression, ExportRows};
pub use nearest::nearest;
pub use notification::{EmailAccount, Notification, NotificationChannel};
pub use place::At;
pub use platform::PlatformWord;
pub use problem::{ConfigError, Problem};
pub use reference::Reference;
pub use resolve::{Lookup, ResolveError};
pub use retention::{Retention, RetentionChoice};
pub use rules::RulesChoice;
pub use schedule::Schedule;
pub use schema::schema;
pub use secret::{Given, Secret, SecretSource, SecretWarning};
pub use store::{ResolvedStore, Store};
pub use text::{PathText, Text};
pub use time_limit::{InvalidTimeLimit, TimeLimit};
pub use value::is_name;
