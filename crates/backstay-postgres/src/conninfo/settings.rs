use std::collections::BTreeMap;

use super::error::{ConninfoError, Origin};
use super::keys::{KEYS, Key, Treatment};
use super::variables::Variables;

/// Values by key, before they are understood; it has no `Debug`, since the password is among them.
#[derive(Default)]
pub(super) struct Settings(BTreeMap<&'static str, Setting>);

pub(super) struct Setting {
    value: Vec<u8>,
    pub(super) origin: Origin,
}

impl Settings {
    /// Sets a value; an earlier one is forgotten.
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Vec<u8>>, origin: Origin) {
        let value = value.into();
        self.0.insert(key, Setting { value, origin });
    }

    /// Sets a value unless there is one, be it empty.
    pub(super) fn set_if_absent(&mut self, key: &'static str, value: impl Into<Vec<u8>>, origin: Origin) {
        if !self.0.contains_key(key) {
            self.set(key, value, origin);
        }
    }

    /// Sets what a connection string says. `requiressl` is libpq's old way to write `sslmode`.
    ///
    /// Returns `None` where there is no such key.
    pub(super) fn set_by_name(&mut self, name: &[u8], value: Vec<u8>, origin: &Origin) -> Option<()> {
        if name == b"requiressl" {
            self.set("sslmode", required_ssl_mode(&value), origin.clone());
            return Some(());
        }
        let key = super::keys::find(name)?;
        self.set(key.name, value, origin.clone());
        Some(())
    }

    /// Adds the variables of all keys that were not set so far.
    pub(super) fn add_environment(&mut self, variables: &Variables) {
        for key in KEYS {
            if let Some((name, value)) = key.variable.and_then(|name| Some((name, variables.get(name)?))) {
                self.set_if_absent(key.name, value.as_encoded_bytes(), Origin::Variable(name));
            }
        }
        if let Some(value) = variables.get("PGREQUIRESSL")
            && value.as_encoded_bytes().starts_with(b"1")
        {
            self.set_if_absent("sslmode", "require", Origin::Variable("PGREQUIRESSL"));
        }
    }

    /// Refuses what Backstay does not do, and must not seem to do.
    pub(super) fn refuse_unsupported(&self) -> Result<(), ConninfoError> {
        for Key { name, treatment, .. } in KEYS {
            if let Treatment::Only { accepted, reason } = treatment
                && let Some(Setting { value, origin }) = self.filled(name)
                && !accepted.iter().any(|accepted| accepted.as_bytes() == value)
            {
                return Err(ConninfoError::Unsupported {
                    key: name,
                    origin: origin.clone(),
                    reason,
                });
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, key: &'static str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// The setting, unless its value is empty.
    pub(super) fn filled(&self, key: &'static str) -> Option<&Setting> {
        self.get(key).filter(|setting| !setting.value.is_empty())
    }

    /// The value as text, if it is set and not empty.
    pub(super) fn filled_text(&self, key: &'static str) -> Result<Option<&str>, ConninfoError> {
        self.filled(key).map(|setting| setting.text(key)).transpose()
    }
}

impl Setting {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.value
    }

    pub(super) fn text(&self, key: &'static str) -> Result<&str, ConninfoError> {
        std::str::from_utf8(&self.value).map_err(|_| self.invalid(key, "UTF-8 text"))
    }

    pub(super) fn invalid(&self, key: &'static str, expected: &'static str) -> ConninfoError {
        ConninfoError::InvalidValue {
            key,
            origin: self.origin.clone(),
            expected,
        }
    }
}

fn required_ssl_mode(requiressl: &[u8]) -> &'static str {
    if requiressl.starts_with(b"1") {
        "require"
    } else {
        "prefer"
    }
}
