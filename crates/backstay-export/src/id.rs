use std::fmt;
use std::str::FromStr;

use backstay_core::{BackupId, Prefix};
use jiff::Timestamp;

/// The id of an export and the stem of its files: `users_export_20250116_143022`.
///
/// Invariants: a [`Prefix`], which is the name of the export, `_export_`, and a UTC time to the second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExportId(BackupId);

const MIDDLE: &str = "_export_";
const TIME_BYTES: usize = "20250116_143022".len();

impl ExportId {
    /// The id of an export of that name at `time`, cut to the second.
    #[must_use]
    pub fn new(name: Prefix, time: Timestamp) -> Self {
        Self(BackupId::new(name, time))
    }

    /// The name of the export.
    #[must_use]
    pub fn name(&self) -> &Prefix {
        self.0.prefix()
    }

    /// The time in the id.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.0.time()
    }

    /// What a plan of retention calls it, which knows names and times.
    pub(crate) fn as_planned(&self) -> &BackupId {
        &self.0
    }

    /// Whose object a name is, and what follows the id there.
    pub(crate) fn of_object(name: &str) -> Option<(Self, &str)> {
        let end = name.rfind(MIDDLE)? + MIDDLE.len() + TIME_BYTES;
        let rest = name.get(end..)?.strip_prefix('.')?;
        Some((name.get(..end)?.parse().ok()?, rest))
    }
}

impl fmt::Display for ExportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let planned = self.0.to_string();
        let time = &planned[planned.len() - TIME_BYTES..];
        f.pad(&format!("{}{MIDDLE}{time}", self.0.prefix()))
    }
}

impl FromStr for ExportId {
    type Err = InvalidExportId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidExportId { text: text.to_owned() };
        let (name, time) = text.rsplit_once(MIDDLE).ok_or_else(invalid)?;
        // Of the same make but for the word between.
        format!("{name}_backup_{time}").parse().map(Self).map_err(|_| invalid())
    }
}

/// A text that is not the id of an export.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text:?} is not the id of an export (such as users_export_20250116_143022)")]
pub struct InvalidExportId {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_and_show_themselves() {
        for text in [
            "users_export_20250116_143022",
            "a.b_export_x_export_20250116_143022",
            "a_backup_20240101_000000_export_20250116_143022",
        ] {
            let id: ExportId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(id.time().to_string(), "2025-01-16T14:30:22Z");
            let object = format!("{text}.csv.gz");
            let (of_object, rest) = ExportId::of_object(&object).unwrap();
            assert_eq!((of_object, rest), (id, "csv.gz"));
        }
        for text in [
            "",
            "users",
            "users_export_20250116",
            "users_backup_20250116_143022",
            "_export_20250116_143022",
            "u_export_20250230_000000",
        ] {
            assert!(text.parse::<ExportId>().is_err(), "{text}");
        }
        assert!(ExportId::of_object("users_export_20250116_143022").is_none());
        assert!(ExportId::of_object("users_export_20250116_1430.csv").is_none());
    }
}
