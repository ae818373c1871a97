//! The log of what was done with backups: objects that are created once, each one deed.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::id::{BackupId, Prefix};
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
    /// Where there is no backup, such as after a failure: the prefix that one would have had.
    pub prefix: Option<Prefix>,
    /// Of an export that was made: when it was begun.
    pub begun_at: Option<Timestamp>,
    /// Of an export that was made: its database, for those who know which that is.
    pub source: Option<Sha256Digest>,
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
    /// The files of a project were backed up.
    Files,
}

const DEEDS: [(Deed, &str); 12] = [
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
    (Deed::Files, "files"),
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
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
            prefix: entry.prefix.as_ref().map(ToString::to_string),
            begun_at: entry.begun_at,
            source: entry.source.map(|source| source.to_string()),
            detail: entry.detail.clone(),
        };
        let mut bytes = serde_json::to_vec(&json).unwrap_or_default();
        bytes.push(b'\n');
        let at = entry.at.to_zoned(TimeZone::UTC);
        let folder = format!("{}{}", names::LOG, at.strftime("%Y/%m"));
        let subject = json.id.as_deref().or(json.prefix.as_deref()).unwrap_or(NO_SUBJECT);
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
            let entry = self.read_entry(&object.key)?;
            items.push(LogItem { key: object.key, entry });
        }
        Ok(items)
    }

    /// When a deed was done with backups of a prefix and what came of it, oldest first, by the names of the entries alone.
    /// Costs a listing of the log.
    ///
    /// # Errors
    /// Those of the store.
    pub fn outcomes(&self, deed: Deed, prefix: &Prefix) -> Result<Vec<(Timestamp, Outcome)>, RepositoryError> {
        let named = self.named(deed, prefix)?;
        Ok(named.into_iter().map(|(at, outcome, _)| (at, outcome)).collect())
    }

    /// The newest entry of a deed that was done with backups of a prefix, or of the export of that name, of those that `is_it`
    /// tells. Costs a listing of the log, and a read of each entry from the newest to that one. What is not understood is passed
    /// over.
    ///
    /// # Errors
    /// Those of the store.
    pub fn newest_done(
        &self,
        deed: Deed,
        prefix: &Prefix,
        is_it: impl Fn(&LogEntry) -> bool,
    ) -> Result<Option<LogEntry>, RepositoryError> {
        for (_, outcome, key) in self.named(deed, prefix)?.into_iter().rev() {
            if outcome == Outcome::Done
                && let Some(entry) = self.read_entry(&key)?.filter(&is_it)
            {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The entries of a deed with backups of a prefix, oldest first, as their names tell them.
    fn named(&self, deed: Deed, prefix: &Prefix) -> Result<Vec<(Timestamp, Outcome, ObjectKey)>, RepositoryError> {
        let mut named: Vec<(Timestamp, Outcome, ObjectKey)> = Vec::new();
        for object in self.store().list(names::LOG)? {
            let Some(parts) = parts(&object.key) else { continue };
            let is_of_prefix = match parts.subject.parse::<BackupId>() {
                Ok(id) => id.prefix() == prefix,
                Err(_) => parts.subject == prefix.as_str(),
            };
            let outcome = parts.outcome.parse().ok();
            if let Some(outcome) = outcome.filter(|_| parts.deed == deed.to_string() && is_of_prefix) {
                named.push((parts.at, outcome, object.key));
            }
        }
        named.sort_by_key(|(at, ..)| *at);
        Ok(named)
    }

    /// What an object of the log says; nothing where it is not understood.
    fn read_entry(&self, key: &ObjectKey) -> Result<Option<LogEntry>, RepositoryError> {
        match read_small(&**self.store(), key, RECORD_BYTES_MAX) {
            Ok(json) => Ok(entry(&json)),
            Err(RepositoryError::Store(error)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }
}

/// The backup that an entry is about, by its name alone, unless that was none in the end.
pub(super) fn noted_backup(key: &ObjectKey) -> Option<BackupId> {
    if !key.as_str().starts_with(names::LOG) {
        return None;
    }
    let parts = parts(key)?;
    let is_attempt = parts.deed == Deed::Backup.to_string() && parts.outcome != Outcome::Done.to_string();
    parts.subject.parse().ok().filter(|_| !is_attempt)
}

const TIME: &str = "%Y%m%d_%H%M%S";
const NO_SUBJECT: &str = "store";

impl LogFilter {
    /// By the name alone, as far as it tells; what has another name is let through.
    fn lets_through(&self, key: &ObjectKey) -> bool {
        let Some(parts) = parts(key) else { return true };
        let is_late = self.since.is_none_or(|since| parts.at.as_second() >= since.as_second());
        is_late && self.id.as_ref().is_none_or(|id| parts.subject == id.to_string())
    }
}

/// What the name of an entry tells.
struct Parts<'k> {
    at: Timestamp,
    deed: &'k str,
    outcome: &'k str,
    subject: &'k str,
}

fn parts(key: &ObjectKey) -> Option<Parts<'_>> {
    let name = key.as_str().rsplit('/').next()?.strip_suffix(".json")?;
    let mut parts = name.splitn(4, '-');
    let time = DateTime::strptime(TIME, parts.next()?).ok()?;
    let (deed, outcome) = (parts.next()?, parts.next()?);
    let (subject, _number) = parts.next()?.rsplit_once('-')?;
    Some(Parts {
        at: time.to_zoned(TimeZone::UTC).ok()?.timestamp(),
        deed,
        outcome,
        subject,
    })
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
        prefix: json.prefix.map(|prefix| prefix.parse()).transpose().ok()?,
        begun_at: json.begun_at,
        source: json.source.map(|source| source.parse()).transpose().ok()?,
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
            prefix: None,
            begun_at: None,
            source: None,
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
    fn outcomes_are_those_of_one_prefix_and_one_deed() {
        let repository = Repository::new(Arc::new(MemoryStore::new()));
        let note = |at: &str, deed, outcome, id: Option<&str>, prefix: Option<&str>| {
            let entry = LogEntry {
                deed,
                outcome,
                prefix: prefix.map(|prefix| prefix.parse().unwrap()),
                ..deletion(at, id)
            };
            let key = repository.note(&entry).unwrap();
            assert_eq!(repository.log(&LogFilter::default()).unwrap().last().unwrap().key, key);
        };
        let id = Some("a-b_backup_20250116_143022");
        note("2025-03-01T00:00:00Z", Deed::Backup, Outcome::Failed, None, Some("a-b"));
        note("2025-03-02T00:00:00Z", Deed::Backup, Outcome::Failed, None, Some("b"));
        note("2025-03-03T00:00:00Z", Deed::Backup, Outcome::Failed, None, None);
        note("2025-03-04T00:00:00Z", Deed::Drill, Outcome::Failed, id, None);
        note("2025-03-05T00:00:00Z", Deed::Backup, Outcome::Done, id, None);
        let outcomes = repository.outcomes(Deed::Backup, &"a-b".parse().unwrap()).unwrap();
        let expected = [("2025-03-01", Outcome::Failed), ("2025-03-05", Outcome::Done)];
        let expected = expected.map(|(day, outcome)| (format!("{day}T00:00:00Z").parse().unwrap(), outcome));
        assert_eq!(outcomes, expected);
    }

    #[test]
    fn the_newest_that_was_done_is_found_among_those_of_others() {
        let store = MemoryStore::new();
        let repository = Repository::new(Arc::new(store.clone()));
        let source = |of: &str| Some(Sha256Digest::of(of.as_bytes()));
        let note = |at: &str, outcome, name: &str, of: &str| {
            let entry = LogEntry {
                deed: Deed::Export,
                outcome,
                prefix: name.parse().ok(),
                begun_at: Some("2025-02-28T23:00:00.5Z".parse().unwrap()),
                source: source(of),
                ..deletion(at, None)
            };
            repository.note(&entry).unwrap();
        };
        note("2025-03-01T00:00:00Z", Outcome::Done, "users", "ours");
        note("2025-03-02T00:00:00Z", Outcome::Done, "users", "theirs");
        note("2025-03-03T00:00:00Z", Outcome::Failed, "users", "ours");
        note("2025-03-04T00:00:00Z", Outcome::Done, "orders", "ours");
        let unknown = "log/2025/03/20250305_000000-export-done-users-0001.json"
            .parse()
            .unwrap();
        let mut object = crate::store::Store::create(&store, &unknown).unwrap();
        object.append(b"[").unwrap();
        object.publish().unwrap();
        let found = |of: &str| {
            let is_it = |entry: &LogEntry| entry.source == source(of);
            let newest = repository.newest_done(Deed::Export, &"users".parse().unwrap(), is_it);
            newest.unwrap().map(|entry| (entry.at, entry.begun_at))
        };
        let begun = Some("2025-02-28T23:00:00.5Z".parse().unwrap());
        assert_eq!(found("ours"), Some(("2025-03-01T00:00:00Z".parse().unwrap(), begun)));
        assert_eq!(found("theirs"), Some(("2025-03-02T00:00:00Z".parse().unwrap(), begun)));
        assert_eq!(found("nobody's"), None);
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
