use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The environment variables that matter here, handed in by the caller: those of AWS, and `HOME`.
///
/// Where a name comes twice, the later one counts. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The value of a variable, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of the first of these that has one.
    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// The path that a variable names, else one in the home folder, if that is known.
    pub(crate) fn path(&self, name: &str, in_home: &str) -> Option<PathBuf> {
        let named = self.get(name).map(PathBuf::from);
        named.or_else(|| Some(PathBuf::from(self.get("HOME")?).join(in_home)))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let all = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(
            all.filter(|(name, _)| name.starts_with("AWS_") || name == "HOME")
                .collect(),
        )
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
