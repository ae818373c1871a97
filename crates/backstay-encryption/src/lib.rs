//! Sealing backups so that only those who may open them can: age files (<https://c2sp.org/age>), to public keys, SSH keys
//! or a passphrase; with the feature `openpgp` also `OpenPGP` messages (RFC 4880) with a passphrase.
//!
//! It is a crate of its own because cryptography is trusted in another way than the rest, and weighs much: what seals and
//! opens stands behind the contract of `backstay_core::seal`, so nothing else has to be looked at for it.
//!
//! It reads no files (and writes one without a name, for what an `OpenPGP` message holds), asks for no passphrases and knows
//! no environment: whoever uses it hands the texts in. Secrets are wiped from memory when they are dropped, and no message
//! repeats one.

mod age_file;
mod identity;
mod opened;
#[cfg(feature = "openpgp")]
mod openpgp;
mod output;
mod passphrase;
mod recipient;
mod stored;

pub use age_file::AgeSealer;
pub use identity::{Identities, IdentityError, SecretKey};
#[cfg(feature = "openpgp")]
pub use openpgp::OpenPgpSealer;
pub use passphrase::Passphrase;
pub use recipient::{InvalidRecipient, Recipient, RecipientsError, parse_recipients};
