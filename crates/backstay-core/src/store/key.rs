use std::fmt;
use std::str::FromStr;

/// The name of one object in a store.
///
/// Invariants:
/// - 1 to 900 bytes of UTF-8, made of one or more parts with `/` between them;
/// - no part is empty, `.` or `..`, and none begins with `.backstay-tmp-`, the prefix of unpublished objects;
/// - no control characters and no backslash.
///
/// ```
/// use backstay_core::ObjectKey;
/// let key: ObjectKey = "kulti_backup_20250116_143022.sql.gz".parse()?;
/// assert_eq!(key.as_str(), "kulti_backup_20250116_143022.sql.gz");
/// assert!("../etc/passwd".parse::<ObjectKey>().is_err());
/// # Ok::<(), backstay_core::InvalidObjectKey>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

/// The prefix of the names of objects that are being written; no [`ObjectKey`] has it.
pub const TEMPORARY_PREFIX: &str = ".backstay-tmp-";

const KEY_BYTES_MAX: usize = 900;

impl ObjectKey {
    /// A key of which the caller knows that it keeps the invariants.
    pub(crate) fn from_valid(text: String) -> Self {
        debug_assert!(text.parse::<Self>().is_ok(), "{text:?} is no key");
        Self(text)
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = InvalidObjectKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reason = if text.is_empty() {
            Some("is empty")
        } else if text.len() > KEY_BYTES_MAX {
            Some("is longer than 900 bytes")
        } else if text.chars().any(|c| c.is_control() || c == '\\') {
            Some("has a control character or a backslash")
        } else if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            Some("has an empty, '.' or '..' part")
        } else if text.split('/').any(|part| part.starts_with(TEMPORARY_PREFIX)) {
            Some("has the prefix of unpublished objects")
        } else {
            None
        };
        match reason {
            None => Ok(Self(text.to_owned())),
            Some(reason) => Err(InvalidObjectKey {
                text: text.to_owned(),
                reason,
            }),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that cannot be an [`ObjectKey`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text:?} {reason}, so it cannot name an object")]
pub struct InvalidObjectKey {
    text: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::ObjectKey;

    #[test]
    fn refuses_what_could_leave_the_store() {
        for bad in [
            "",
            "/",
            "a//b",
            "../a",
            "a/./b",
            "a\\b",
            "a\nb",
            ".backstay-tmp-x",
            "d/.backstay-tmp-x",
        ] {
            assert!(bad.parse::<ObjectKey>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(901).parse::<ObjectKey>().is_err());
        for good in ["a", "log/2026/x.json", "näme with space.sql.gz", ".hidden"] {
            assert_eq!(good.parse::<ObjectKey>().unwrap().as_str(), good);
        }
        assert!("x".repeat(900).parse::<ObjectKey>().is_ok());
    }
}
