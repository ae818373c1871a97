//! Notifications: what became of work on backups, told to webhooks, by mail, to services that miss a sign of life, to commands.
//!
//! It is a crate of its own because it brings a client of mail servers, and because nobody who makes backups by the library has
//! to want it. It knows no store and no database: an [`Event`] says in words what happened. To deliver is bounded in time,
//! tries again only what may succeed then, and never shows the URL or the password that it uses.

mod channel;
mod deliver;
mod event;

pub use channel::{Channel, Email, InvalidChannel, Tls};
pub use deliver::{DeliveryError, Limits, deliver, deliver_all};
pub use event::{Event, EventKind, UnknownWord, Work};
