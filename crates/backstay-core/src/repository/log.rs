//! The log of what was done with backups: objects that are created once, each one deed.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::id::BackupId;
use crate::store::ObjectKey;

use super::records::{RECORD_BYTES_MAX, put_numbered};
use super::{Repository, RepositoryError, names, read_small};

/// One deed, as it is noted in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever notes must say each")]
pub struct LogEntry {
    /// When, by the clock of whoever did it.
    pub at: Timestamp,
    /// Who: a person or a program, as they call themselves.
    pub who: String,
    /// From where, such as the name of a host.
    pub from: String,
    /// What was done.
    pub deed: Deed,
    /// What came of it.
    pub outcome: Outcome,
    /// The backup that it was done with; `None` where there is no single one.
    pub id: Option<BackupId>,
    /// More about it, for people; never anything secret.
    pub detail: String,
}

/// What can be done with backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deed {
    /// One was made.
    Backup,
    /// One was verified.
    Verification,
    /// One was restored to see whether it can be.
    Drill,
    /// One was restored.
    Restore,
    /// One was held.
    Hold,
    /// Holds of one were ended.
    Release,
    /// One was deleted.
    Deletion,
    /// One was copied to another store.
    Copy,
    /// One was encrypted anew.
    Rekey,
    /// What crashes left was removed.
    Litter,
    /// Rows were exported.
    Export,
}

const DEEDS: [(Deed, &str); 11] = [
    (Deed::Backup, "backup"),
    (Deed::Verification, "verification"),
    (Deed::Drill, "drill"),
    (Deed::Restore, "restore"),
    (Deed::Hold, "hold"),
    (Deed::Release, "release"),
    (Deed::Deletion, "deletion"),
    (Deed::Copy, "copy"),
    (Deed::Rekey, "rekey"),
    (Deed::Litter, "litter"),
    (Deed::Export, "export"),
];

/// What came of a deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it goes on, well or badly")]
pub enum Outcome {
    /// It was begun; another entry says how it ended, unless its process was killed.
    Begun,
    /// It ended well.
    Done,
    /// It did not.
    Failed,
}

const OUTCOMES: [(Outcome, &str); 3] = [
    (Outcome::Begun, "begun"),
    (Outcome::Done, "done"),
    (Outcome::Failed, "failed"),
];

fn word<T: PartialEq + Copy>(words: &[(T, &'static str)], value: T) -> &'static str {
    let found = words.iter().find(|(known, _)| *known == value);
    found.map_or("unknown", |(_, word)| word)
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(word(&DEEDS, *self))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(word(&OUTCOMES, *self))
    }
}

/// A word that is no deed, or no outcome, of this version.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{word:?} is nothing that the log of this version tells")]
pub struct UnknownLogWord {
    word: String,
}

impl FromStr for Deed {
    type Err = UnknownLogWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = DEEDS.iter().find(|(_, word)| *word == text);
        found
            .map(|(deed, _)| *deed)
            .ok_or_else(|| UnknownLogWord { word: text.to_owned() })
    }
}

impl FromStr for Outcome {
    type Err = UnknownLogWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = OUTCOMES.iter().find(|(_, word)| *word == text);
        found
            .map(|(outcome, _)| *outcome)
            .ok_or_else(|| UnknownLogWord { word: text.to_owned() })
    }
}

/// Which entries of the log are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a filter is what it says")]
pub struct LogFilter {
    /// Only those about this backup.
    pub id: Option<BackupId>,
    /// Only those of then and later, to the second.
    pub since: Option<Timestamp>,
}

/// An entry of the log, or a name in it whose object says nothing that this program understands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a name and what stands there")]
pub struct LogItem {
    /// The object.
    pub key: ObjectKey,
    /// What it says.
    pub entry: Option<LogEntry>,
}

#[derive(Serialize, Deserialize)]
struct LogJson {
    at: Timestamp,
    who: String,
    from: String,
    deed: String,
    outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl Repository {
    /// Notes a deed in the store. Gives the object.
    ///
    /// # Errors
    /// Those of the store; [`RepositoryError::TooLarge`] for more than 64 KiB.
    pub fn note(&self, entry: &LogEntry) -> Result<ObjectKey, RepositoryError> {
        let json = LogJson {
            at: entry.at,
            who: entry.who.clone(),
            from: entry.from.clone(),
            deed: entry.deed.to_string(),
            outcome: entry.outcome.to_string(),
            id: entry.id.as_ref().map(ToString::to_string),
            detail: entry.detail.clone(),
        };
        let mut bytes = serde_json::to_vec(&json).unwrap_or_default();
        bytes.push(b'\n');
        let at = entry.at.to_zoned(TimeZone::UTC);
        let folder = format!("{}{}", names::LOG, at.strftime("%Y/%m"));
        let subject = json.id.as_deref().unwrap_or(NO_SUBJECT);
        let stem = format!("{}-{}-{}-{subject}", at.strftime(TIME), json.deed, json.outcome);
        let name = |number: u32| ObjectKey::from_valid(format!("{folder}/{stem}-{number:04}.json"));
        put_numbered(&**self.store(), name, &bytes)
    }

    /// Reads the log, oldest first. Costs a listing of the log, and a read of each entry that the filter lets through.
    ///
    /// # Errors
    /// Those of the store.
    pub fn log(&self, filter: &LogFilter) -> Result<Vec<LogItem>, RepositoryError> {
        let mut items = Vec::new();
        for object in self.store().list(names::LOG)? {
            if !filter.lets_through(&object.key) {
                continue;
            }
            let entry = match read_small(&**self.store(), &object.key, RECORD_BYTES_MAX) {
                Ok(json) => entry(&json),
                Err(RepositoryError::Store(error)) => return Err(error.into()),
                Err(_) => None,
            };
            items.push(LogItem { key: object.key, entry });
        }
        Ok(items)
    }
}

const TIME: &str = "%Y%m%d_%H%M%S";
const NO_SUBJECT: &str = "store";

impl LogFilter {
    /// By the name alone, as far as it tells; what has another name is let through.
    fn lets_through(&self, key: &ObjectKey) -> bool {
        let Some((time, subject)) = parts(key) else { return true };
        let is_late = self.since.is_none_or(|since| time.as_second() >= since.as_second());
        is_late && self.id.as_ref().is_none_or(|id| subject == id.to_string())
    }
}

/// Time and subject of an entry, by its name.
fn parts(key: &ObjectKey) -> Option<(Timestamp, &str)> {
    let name = key.as_str().rsplit('/').next()?.strip_suffix(".json")?;
    let mut parts = name.splitn(4, '-');
    let time = DateTime::strptime(TIME, parts.next()?).ok()?;
    let (subject, _number) = parts.nth(2)?.rsplit_once('-')?;
    Some((time.to_zoned(TimeZone::UTC).ok()?.timestamp(), subject))
}

fn entry(json: &[u8]) -> Option<LogEntry> {
    let json: LogJson = serde_json::from_slice(json).ok()?;
    Some(LogEntry {
        at: json.at,
        who: json.who,
        from: json.from,
        deed: json.deed.parse().ok()?,
        outcome: json.outcome.parse().ok()?,
        id: json.id.map(|id| id.parse()).transpose().ok()?,
        detail: json.detail,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::MemoryStore;

    fn deletion(at: &str, id: Option<&str>) -> LogEntry {
        LogEntry {
            at: at.parse().unwrap(),
            who: "ann".to_owned(),
            from: "db1".to_owned(),
            deed: Deed::Deletion,
            outcome: Outcome::Begun,
            id: id.map(|id| id.parse().unwrap()),
            detail: String::new(),
        }
    }

    #[test]
    fn words_read_and_show_themselves() {
        for (deed, word) in DEEDS {
            assert_eq!((deed.to_string().as_str(), word.parse::<Deed>().unwrap()), (word, deed));
            assert!(!word.contains('-'), "names of entries are cut at them");
        }
        for (outcome, word) in OUTCOMES {
            assert_eq!(
                (outcome.to_string().as_str(), word.parse::<Outcome>().unwrap()),
                (word, outcome)
            );
            assert!(!word.contains('-'), "names of entries are cut at them");
        }
    }

    #[test]
    fn names_tell_time_and_backup() {
        let repository = Repository::new(Arc::new(MemoryStore::new()));
        let id = "a-b-1_backup_20250116_143022";
        let entry = deletion("2025-03-01T02:03:04.5Z", Some(id));
        let key = repository.note(&entry).unwrap();
        assert_eq!(
            key.as_str(),
            "log/2025/03/20250301_020304-deletion-begun-a-b-1_backup_20250116_143022-0001.json"
        );
        // The same deed in the same second is another entry.
        assert!(repository.note(&entry).unwrap().as_str().ends_with("-0002.json"));
        let of_all = deletion("2025-04-01T00:00:00Z", None);
        repository.note(&of_all).unwrap();
        let count = |id: Option<&str>, since: Option<&str>| {
            let filter = LogFilter {
                id: id.map(|id| id.parse().unwrap()),
                since: since.map(|since| since.parse().unwrap()),
            };
            repository.log(&filter).unwrap().len()
        };
        assert_eq!(count(None, None), 3);
        assert_eq!(count(Some(id), None), 2);
        assert_eq!(count(Some("b-1_backup_20250116_143022"), None), 0);
        assert_eq!(count(None, Some("2025-03-01T02:03:04.9Z")), 3);
        assert_eq!(count(None, Some("2025-03-01T02:03:05Z")), 1);
        assert_eq!(count(Some(id), Some("2025-03-01T02:03:05Z")), 0);
        let all = repository.log(&LogFilter::default()).unwrap();
        assert_eq!(all[0].entry.as_ref(), Some(&entry));
        assert_eq!(all[2].entry.as_ref(), Some(&of_all));
    }

    #[test]
    fn what_is_not_understood_is_shown_by_its_name() {
        let store = MemoryStore::new();
        let repository = Repository::new(Arc::new(store.clone()));
        for (name, content) in [
            ("log/x.json", "{}"),
            ("log/2025/03/20250301_020304-x-y-store-0001.json", "["),
        ] {
            let mut object = crate::store::Store::create(&store, &name.parse().unwrap()).unwrap();
            object.append(content.as_bytes()).unwrap();
            object.publish().unwrap();
        }
        let items = repository.log(&LogFilter::default()).unwrap();
        assert!(
            items.len() == 2 && items.iter().all(|item| item.entry.is_none()),
            "{items:?}"
        );
    }

    #[test]
    fn an_entry_is_bounded() {
        let repository = Repository::new(Arc::new(MemoryStore::new()));
        let mut entry = deletion("2025-03-01T02:03:04Z", None);
        entry.detail = "x".repeat(64 << 10);
        assert!(matches!(repository.note(&entry), Err(RepositoryError::TooLarge { .. })));
    }
}
