use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The id of a backup and the stem of its files: `kulti_backup_20250116_143022`.
///
/// Invariants: a [`Prefix`], `_backup_`, and a UTC time to the second. Ids sort by prefix, then by time.
///
/// ```
/// use backstay_core::BackupId;
/// let id: BackupId = "kulti_backup_20250116_143022".parse()?;
/// assert_eq!(id.prefix().as_str(), "kulti");
/// assert_eq!(id.time().to_string(), "2025-01-16T14:30:22Z");
/// # Ok::<(), backstay_core::InvalidBackupId>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupId {
    prefix: Prefix,
    time: Timestamp,
}

const MIDDLE: &str = "_backup_";
/// 0000-01-01T00:00:00Z in seconds since the Unix epoch.
const YEAR_0_SECS: i64 = -62_167_219_200;

impl BackupId {
    /// The id of a backup of `prefix` at `time`, cut to the second; a time before the year 0, which four digits cannot
    /// tell, counts as its first second.
    #[must_use]
    pub fn new(prefix: Prefix, time: Timestamp) -> Self {
        let time = Timestamp::from_second(time.as_second().max(YEAR_0_SECS)).unwrap_or(time);
        Self { prefix, time }
    }

    /// What comes before `_backup_`: the name of the series.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The time in the id.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.to_zoned(TimeZone::UTC).strftime("%Y%m%d_%H%M%S").to_string();
        f.pad(&format!("{}{MIDDLE}{time}", self.prefix))
    }
}

impl FromStr for BackupId {
    type Err = InvalidBackupId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidBackupId { text: text.to_owned() };
        let (prefix, time) = text.rsplit_once(MIDDLE).ok_or_else(invalid)?;
        let shape = time
            .bytes()
            .enumerate()
            .all(|(i, b)| if i == 8 { b == b'_' } else { b.is_ascii_digit() });
        if time.len() != 15 || !shape {
            return Err(invalid());
        }
        let time = DateTime::strptime("%Y%m%d_%H%M%S", time)
            .and_then(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|_| invalid())?;
        let id = Self {
            prefix: prefix.parse().map_err(|_| invalid())?,
            time: time.timestamp(),
        };
        // A leap second would read as another time and give a second name to one backup.
        if id.to_string() == text { Ok(id) } else { Err(invalid()) }
    }
}

/// A text that is not the id of a backup.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text:?} is not the id of a backup (such as kulti_backup_20250116_143022)")]
pub struct InvalidBackupId {
    text: String,
}

/// The first part of a backup's id: one series of backups of one database.
///
/// Invariants: 1 to 128 of `A-Z a-z 0-9 . _ -`, of which the first is a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(String);

const PREFIX_BYTES_MAX: usize = 128;

impl Prefix {
    /// The prefix for a database of that name: what a prefix cannot hold becomes `-`.
    #[must_use]
    pub fn for_database(name: &str) -> Self {
        let mut prefix: String = name
            .chars()
            .map(|c| if allowed(c) { c } else { '-' })
            .take(PREFIX_BYTES_MAX - 1)
            .collect();
        if !prefix.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            prefix.insert(0, 'd');
        }
        Self(prefix)
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if first && text.len() <= PREFIX_BYTES_MAX && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPrefix { text: text.to_owned() })
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that cannot begin the names of backups.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{text:?} cannot begin the name of a backup: use 1 to 128 letters, digits, '.', '_' or '-', a letter or digit first"
)]
pub struct InvalidPrefix {
    text: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_read_and_show_themselves() {
        for good in [
            "kulti_backup_20250116_143022",
            "a_backup_b_backup_19700101_000000",
            "x.y-z_backup_20240229_235959",
        ] {
            assert_eq!(good.parse::<BackupId>().unwrap().to_string(), good);
        }
        for bad in [
            "kulti_backup_20250230_143022",
            "kulti_backup_20250116_143060",
            "kulti_backup_2025011_1430220",
            "_backup_20250116_143022",
            "kulti_20250116_143022",
            "kul/ti_backup_20250116_143022",
            "kulti_backup_20250116_143022x",
            "kulti_backup_+2025116_143022",
        ] {
            assert!(bad.parse::<BackupId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_database_name_has_a_prefix() {
        for (name, prefix) in [
            ("kulti", "kulti"),
            ("a=b", "a-b"),
            ("", "d"),
            ("-x", "d-x"),
            ("größe", "gr--e"),
        ] {
            assert_eq!(Prefix::for_database(name).as_str(), prefix);
        }
    }

    proptest! {
        #[test]
        fn prefixes_of_databases_are_valid(name: String, secs in 0i64..253_402_300_000) {
            let prefix = Prefix::for_database(&name);
            prop_assert!(prefix.as_str().parse::<Prefix>().is_ok());
            let id = BackupId::new(prefix, Timestamp::from_second(secs).unwrap());
            prop_assert_eq!(id.to_string().parse::<BackupId>().unwrap(), id);
        }
    }
}
