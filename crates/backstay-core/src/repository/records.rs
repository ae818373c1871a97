//! What is said of a backup when it exists: holds, releases, proofs. Each is an object of its own that never changes.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::id::BackupId;
use crate::retention::{HoldFacts, ProofState};
use crate::store::{Error, ErrorKind, ObjectKey, Store};

use super::pending::put;
use super::{BackupSummary, Repository, RepositoryError, names, object_role, read_small};

/// The longest record that is written or read.
pub(super) const RECORD_BYTES_MAX: u64 = 64 << 10;

/// A hold: while it is in force, nothing removes the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hold {
    /// The record.
    pub key: ObjectKey,
    /// Who, when, why; `None` where the record cannot be read. It holds all the same.
    pub said: Option<Statement>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// Who said something, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "who, when and why")]
pub struct Statement {
    /// Who: a person or a program, as they call themselves.
    pub who: String,
    /// When, by the clock of whoever said it.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

/// What was proven of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "how deep, and what came of it")]
pub struct Proof {
    /// How it was looked at, such as `standard`, `deep` or `restore`: lower-case letters. What passed at
    /// [`LEVEL_RULES`] or [`LEVEL_QUICK`] is not proven.
    pub level: String,
    /// Whether there was no error.
    pub passed: bool,
    /// What was found.
    pub findings: NotedFindings,
}

/// The level of a proof for which nothing of the backup but its manifest was looked at.
pub const LEVEL_RULES: &str = "rules";

/// The level of a proof for which no rows were read.
pub const LEVEL_QUICK: &str = "quick";

/// How many findings a proof had, and the first of them. Of an encrypted backup only how many, because a record is in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "how many, and the first")]
pub struct NotedFindings {
    /// How many errors.
    pub errors: u64,
    /// How many warnings.
    pub warnings: u64,
    /// How many notes.
    pub notes: u64,
    /// The first, errors before warnings; of many not all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<NotedFinding>,
}

/// A finding in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "what a line about it says")]
pub struct NotedFinding {
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// Which rule.
    pub rule: String,
    /// What it is about.
    pub subject: String,
    /// What is the matter.
    pub message: String,
}

/// A proof as the name of its record tells it, so that a listing is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProofSummary {
    /// When, to the second.
    pub at: Timestamp,
    /// How it was looked at.
    pub level: String,
    /// Whether there was no error.
    pub passed: bool,
}

/// A proof with who wrote it down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotedProof {
    /// Who and when.
    pub said: Statement,
    /// What was proven.
    pub proof: Proof,
}

impl ProofSummary {
    pub(super) fn of_name(key: &ObjectKey) -> Option<Self> {
        let (at, level, passed) = names::proof_of_name(key)?;
        Some(Self { at, level, passed })
    }

    /// Whether it tells if the backup is any good: below `standard` only a failure does, and by the rules none.
    #[must_use]
    pub fn decides(&self) -> bool {
        decides(&self.level, self.passed)
    }

    /// Whether more was looked at than the manifest.
    #[must_use]
    pub fn is_of_the_backup(&self) -> bool {
        self.level != LEVEL_RULES
    }
}

impl Hold {
    /// What a plan says of it.
    #[must_use]
    pub fn facts(&self) -> HoldFacts {
        let said = self.said.as_ref();
        HoldFacts {
            who: said.map(|said| said.who.clone()).unwrap_or_default(),
            why: said.map(|said| said.why.clone()).unwrap_or_default(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct RecordJson {
    record: String,
    who: String,
    at: Timestamp,
    why: String,
    /// Of a hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// Of a release: the names of the holds that it ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ends: Vec<String>,
    /// Of a proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    level: Option<String>,
    /// Of a proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passed: Option<bool>,
    /// Of a proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    findings: Option<NotedFindings>,
}

impl RecordJson {
    fn new(record: &str, said: &Statement) -> Self {
        Self {
            record: record.to_owned(),
            who: said.who.clone(),
            at: said.at,
            why: said.why.clone(),
            until: None,
            ends: Vec::new(),
            level: None,
            passed: None,
            findings: None,
        }
    }
}

/// Whether a proof tells if the backup is any good: below `standard` only a failure does, and by the rules none.
fn decides(level: &str, has_passed: bool) -> bool {
    match level {
        LEVEL_RULES => false,
        LEVEL_QUICK => !has_passed,
        _ => true,
    }
}

impl RecordJson {
    fn decides(&self) -> bool {
        decides(self.level.as_deref().unwrap_or_default(), self.passed == Some(true))
    }
}

/// What records say of a backup now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// The holds that are in force.
    pub holds: Vec<Hold>,
    /// Whether it was proven, by the newest of its proofs.
    pub proof: ProofState,
}

/// The records beside one backup, as far as they matter for keeping it.
#[derive(Debug, Default)]
pub(super) struct Records {
    holds: Vec<Hold>,
    ended: Vec<String>,
    proof: Option<ProofState>,
    /// The newest proof that can be read, and says something of the backup, has decided; its time, by its name.
    decided_at: Option<Option<Timestamp>>,
}

impl Records {
    /// The holds that nobody released and that did not end by themselves.
    pub(super) fn in_force(self, now: Timestamp) -> Vec<Hold> {
        let Self { holds, ended, .. } = self;
        let holds = holds.into_iter().filter(|hold| {
            let is_over = hold.until.is_some_and(|until| until <= now);
            !is_over && !ended.iter().any(|name| name == hold.key.as_str())
        });
        holds.collect()
    }

    pub(super) fn proof(&self) -> ProofState {
        self.proof.unwrap_or(ProofState::None)
    }
}

impl Repository {
    /// Holds a backup: nothing removes it until the hold is released, or until `until`. Gives the record.
    ///
    /// # Errors
    /// The backup does not exist (then [`RepositoryError::is_not_found`]); somebody is removing it, or was interrupted
    /// ([`RepositoryError::BeingRemoved`]): then the record is there, and nobody knows whether it came in time; those of
    /// the store.
    pub fn hold(
        &self,
        id: &BackupId,
        said: &Statement,
        until: Option<Timestamp>,
    ) -> Result<ObjectKey, RepositoryError> {
        let manifest = names::manifest_key(id);
        self.store().head(&manifest)?;
        let record = RecordJson {
            until,
            ..RecordJson::new(HOLD, said)
        };
        let key = self.record(id, &record)?;
        // Behind the record: who removes looks for holds after the tombstone was written, so one of the two sees the other.
        match self.store().head(&names::tombstone_key(id)) {
            Ok(_) => return Err(RepositoryError::BeingRemoved { id: id.clone() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        // Behind the tombstone: where the removal ended, it is gone, and so is the manifest.
        match self.store().head(&manifest) {
            Ok(_) => Ok(key),
            Err(error) => {
                if error.kind() == ErrorKind::NotFound {
                    // There is nothing that it could hold.
                    let _ = self.store().delete(&key);
                }
                Err(error.into())
            }
        }
    }

    /// Releases all holds of a backup that are in force, and tells which those are. A hold that comes meanwhile stays.
    ///
    /// # Errors
    /// The backup does not exist (then [`RepositoryError::is_not_found`]); those of the store.
    pub fn release(&self, id: &BackupId, said: &Statement) -> Result<Vec<Hold>, RepositoryError> {
        self.store().head(&names::manifest_key(id))?;
        let holds = self.holds(id, said.at)?;
        if !holds.is_empty() {
            let record = RecordJson {
                ends: holds.iter().map(|hold| hold.key.to_string()).collect(),
                ..RecordJson::new(RELEASE, said)
            };
            self.record(id, &record)?;
        }
        Ok(holds)
    }

    /// Notes what was proven of a backup. Gives the record.
    ///
    /// # Errors
    /// The backup does not exist (then [`RepositoryError::is_not_found`]); those of the store.
    pub fn note_proof(&self, id: &BackupId, said: &Statement, proof: &Proof) -> Result<ObjectKey, RepositoryError> {
        self.store().head(&names::manifest_key(id))?;
        let record = RecordJson {
            level: Some(proof.level.clone()),
            passed: Some(proof.passed),
            findings: Some(proof.findings.clone()),
            ..RecordJson::new(PROOF, said)
        };
        let at = second(said.at);
        let name = |number: u32| names::proof_key(id, &at, &proof.level, proof.passed, number);
        put_numbered(&**self.store(), name, &json_of(&record))
    }

    /// The newest proof of a backup that can be read; one listing, and as a rule one read.
    ///
    /// # Errors
    /// Those of the store.
    pub fn newest_proof(&self, id: &BackupId) -> Result<Option<NotedProof>, RepositoryError> {
        self.newest_proof_among(&self.beside(id)?)
    }

    /// The newest proof that can be read, of records by their names in the order of a listing.
    ///
    /// # Errors
    /// Those of the store.
    pub fn newest_proof_among(&self, keys: &[ObjectKey]) -> Result<Option<NotedProof>, RepositoryError> {
        let proofs = keys.iter().rev().filter(|key| names::record_kind(key) == Some(PROOF));
        for key in proofs {
            let json = match read_small(&**self.store(), key, RECORD_BYTES_MAX) {
                Ok(json) => json,
                Err(error) if error.is_not_found() => continue,
                Err(error @ RepositoryError::Store(_)) => return Err(error),
                Err(_) => continue,
            };
            let Ok(json) = serde_json::from_slice::<RecordJson>(&json) else {
                continue;
            };
            if let (PROOF, Some(level), Some(passed)) = (json.record.as_str(), json.level, json.passed) {
                let said = Statement {
                    who: json.who,
                    at: json.at,
                    why: json.why,
                };
                let findings = json.findings.unwrap_or_default();
                let proof = Proof {
                    level,
                    passed,
                    findings,
                };
                return Ok(Some(NotedProof { said, proof }));
            }
        }
        Ok(None)
    }

    /// The holds of a backup that are in force at `now`.
    ///
    /// # Errors
    /// Those of the store. A hold that cannot be read is in force; a release that cannot be read releases nothing.
    pub fn holds(&self, id: &BackupId, now: Timestamp) -> Result<Vec<Hold>, RepositoryError> {
        Ok(self.read_records(&self.beside(id)?)?.in_force(now))
    }

    /// The holds of a backup of a listing that are in force at `now`, and whether it was proven.
    ///
    /// # Errors
    /// Those of the store. A hold that cannot be read is in force.
    pub fn standing(&self, backup: &BackupSummary, now: Timestamp) -> Result<Standing, Error> {
        let records = self.read_records(&backup.records)?;
        let proof = records.proof();
        let holds = records.in_force(now);
        Ok(Standing { holds, proof })
    }

    /// Whether a backup of a listing was proven, by the newest of its proofs.
    ///
    /// # Errors
    /// Those of the store.
    pub fn proof_state(&self, backup: &BackupSummary) -> Result<ProofState, Error> {
        Ok(self.read_records(&backup.records)?.proof())
    }

    /// The names of the objects of a backup.
    pub(super) fn beside(&self, id: &BackupId) -> Result<Vec<ObjectKey>, Error> {
        let listed = self
            .store()
            .list(&format!("{id}."))?
            .into_iter()
            .map(|object| object.key);
        // The id of another backup may begin with this one and a dot.
        Ok(listed
            .filter(|key| object_role(key).is_some_and(|(found, _)| found == *id))
            .collect())
    }

    /// Reads those that are records, by their names; of proofs only as many as it takes to find the newest.
    pub(super) fn read_records(&self, keys: &[ObjectKey]) -> Result<Records, Error> {
        let mut records = Records::default();
        // The newest first.
        for key in keys.iter().rev() {
            let Some(kind) = names::record_kind(key) else { continue };
            let of_name = || names::proof_of_name(key).map(|(at, ..)| at);
            if kind == PROOF && records.decided_at.is_some_and(|at| at != of_name()) {
                continue;
            }
            let json = match read_small(&**self.store(), key, RECORD_BYTES_MAX) {
                Ok(json) => serde_json::from_slice::<RecordJson>(&json).ok(),
                // Removed with its backup in the meantime.
                Err(error) if error.is_not_found() => continue,
                Err(RepositoryError::Store(error)) => return Err(error),
                Err(_) => None,
            };
            let json = json.filter(|json| json.record == kind);
            match (kind, json) {
                (HOLD, json) => records.holds.push(Hold {
                    key: key.clone(),
                    until: json.as_ref().and_then(|json| json.until),
                    said: json.map(|json| Statement {
                        who: json.who,
                        at: json.at,
                        why: json.why,
                    }),
                }),
                (RELEASE, Some(json)) => records.ended.extend(json.ends),
                (PROOF, Some(json)) if json.decides() => {
                    // Names do not tell which of two of one second came later, so it must have passed both times.
                    let has_failed = records.decided_at.is_some() && records.proof != Some(ProofState::Proven);
                    let has_passed = json.passed == Some(true) && !has_failed;
                    records.proof = Some(if has_passed {
                        ProofState::Proven
                    } else {
                        ProofState::None
                    });
                    records.decided_at = Some(of_name());
                }
                (PROOF, None) if records.decided_at.is_none() => records.proof = Some(ProofState::Unread),
                _ => {}
            }
        }
        records.holds.reverse();
        Ok(records)
    }

    fn record(&self, id: &BackupId, record: &RecordJson) -> Result<ObjectKey, RepositoryError> {
        let at = second(record.at);
        let name = |number: u32| names::record_key(id, &record.record, &at, number);
        put_numbered(&**self.store(), name, &json_of(record))
    }
}

fn json_of(record: &RecordJson) -> Vec<u8> {
    let mut json = serde_json::to_vec(record).unwrap_or_default();
    json.push(b'\n');
    json
}

/// A time as names of records have it.
fn second(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y%m%d_%H%M%S").to_string()
}

pub(super) const HOLD: &str = "hold";
pub(super) const RELEASE: &str = "release";
pub(super) const PROOF: &str = "proof";
pub(super) const DRILL: &str = "drill";

/// More records of one second than that are a program gone wild.
const NUMBER_MAX: u32 = 9_999;

/// Creates an object under the first of several names that is free.
pub(super) fn put_numbered(
    store: &dyn Store,
    name: impl Fn(u32) -> ObjectKey,
    bytes: &[u8],
) -> Result<ObjectKey, RepositoryError> {
    let bytes_max = RECORD_BYTES_MAX;
    let mut number = 1;
    loop {
        let key = name(number);
        if bytes.len() as u64 > bytes_max {
            let bytes = bytes.len() as u64;
            return Err(RepositoryError::TooLarge { key, bytes, bytes_max });
        }
        match put(store, &key, bytes) {
            Ok(()) => return Ok(key),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < NUMBER_MAX => number += 1,
            // The answer may be lost, and the record there.
            Err(error) => match read_small(store, &key, bytes_max) {
                Ok(found) if found == bytes => return Ok(key),
                _ => return Err(error.into()),
            },
        }
    }
}
