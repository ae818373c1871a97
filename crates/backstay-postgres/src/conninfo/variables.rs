use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

/// A snapshot of environment variables, handed in by the caller (for instance from `std::env::vars_os()`).
///
/// Where a name comes twice, the later one counts: a caller chains what it read from a `.env` file and the process's
/// own environment in the order of their weight. `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables {
    values: BTreeMap<OsString, OsString>,
    os_user: Option<String>,
}

impl Variables {
    /// Names the operating system's user, libpq's default for `user`; without it `USER` and then `LOGNAME` count.
    #[must_use]
    pub fn with_os_user(mut self, name: impl Into<String>) -> Self {
        self.os_user = Some(name.into());
        self
    }

    /// The same with another value of one of them.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }

    /// The same without some of them.
    pub(super) fn without(&self, names: &[&str]) -> Self {
        let mut rest = self.clone();
        rest.values
            .retain(|name, _| !names.iter().any(|removed| name == removed));
        rest
    }

    /// The value of a variable; an empty one is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.values.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// All of them that are text, for those who take variables of their own.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.values.iter();
        all.filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }

    /// The value of a variable, unless it is empty.
    pub(super) fn get_filled(&self, name: &str) -> Option<&OsStr> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A file in the home folder, if that is known.
    pub(super) fn in_home(&self, relative: &str) -> Option<PathBuf> {
        self.get_filled("HOME").map(|home| PathBuf::from(home).join(relative))
    }

    pub(super) fn os_user(&self) -> Option<&str> {
        let variable = || self.get_filled("USER").or_else(|| self.get_filled("LOGNAME"))?.to_str();
        self.os_user.as_deref().or_else(variable)
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self {
            values: variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            os_user: None,
        }
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}
