use std::fmt;

use age::secrecy::{ExposeSecret as _, SecretString};

/// A passphrase; wiped from memory when it is dropped, and never shown.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// The passphrase of that text. `None` for an empty one, which would protect nothing.
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        let secret = SecretString::from(text);
        (!secret.expose_secret().is_empty()).then_some(Self(secret))
    }

    pub(crate) fn secret(&self) -> SecretString {
        self.0.clone()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}
