//! The evidence of a drill: a record beside the backup, which never changes.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::id::BackupId;
use crate::store::ObjectKey;

use super::records::{DRILL, NotedFindings, RECORD_BYTES_MAX, Statement, put_numbered};
use super::{Repository, RepositoryError, names, object_role, read_small};

/// What came of a drill. It stands in clear, so that of an encrypted backup it must not tell what the backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever notes must say each")]
pub struct DrillEvidence {
    /// Whether there was no error.
    pub passed: bool,
    /// Where it was restored, for people.
    pub place: String,
    /// `server_version` of the server there.
    pub server_version: String,
    /// How long each phase took, in order.
    pub phases: Vec<DrillPhase>,
    /// How long it would have taken to have the database back.
    pub recovery: Duration,
    /// How long that may take.
    pub recovery_limit: Option<Duration>,
    /// What was restored; `None` for an encrypted backup, and where nothing was.
    pub holdings: Option<DrillHoldings>,
    /// What was found; of an encrypted backup only how many.
    pub findings: NotedFindings,
    /// What was not looked at, and why; empty for an encrypted backup.
    pub not_checked: Vec<String>,
}

/// How long a phase of a drill took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a name and its time")]
pub struct DrillPhase {
    /// Its name.
    pub name: String,
    /// How long, to the millisecond.
    pub took: Duration,
}

/// What a drill restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "three numbers")]
pub struct DrillHoldings {
    /// Tables with rows.
    pub tables: u64,
    /// Rows.
    pub rows: u64,
    /// Definitions.
    pub definitions: u64,
}

/// Of more things that were not looked at the first are kept, each cut to so much, so that the record stays in its bound.
const NOT_CHECKED_MAX: usize = 10;
const TEXT_CHARS_MAX: usize = 200;

#[derive(Serialize, Deserialize)]
struct DrillJson {
    record: String,
    who: String,
    at: Timestamp,
    why: String,
    passed: bool,
    place: String,
    server_version: String,
    phases: Vec<PhaseJson>,
    recovery_millis: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recovery_limit_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holdings: Option<DrillHoldings>,
    findings: NotedFindings,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    not_checked: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct PhaseJson {
    name: String,
    millis: u64,
}

impl Repository {
    /// Notes what came of a drill with a backup. Gives the record.
    ///
    /// # Errors
    /// The backup does not exist (then [`RepositoryError::is_not_found`]); those of the store.
    pub fn note_drill(
        &self,
        id: &BackupId,
        said: &Statement,
        evidence: &DrillEvidence,
    ) -> Result<ObjectKey, RepositoryError> {
        self.store().head(&names::manifest_key(id))?;
        let mut json = serde_json::to_vec(&DrillJson::new(said, evidence)).unwrap_or_default();
        json.push(b'\n');
        let at = said.at.to_zoned(TimeZone::UTC).strftime("%Y%m%d_%H%M%S").to_string();
        let name = |number: u32| names::record_key(id, DRILL, &at, number);
        put_numbered(&**self.store(), name, &json)
    }

    /// The drills that were noted about a backup, oldest first; those that cannot be understood are passed over.
    ///
    /// # Errors
    /// Those of the store.
    pub fn drills(&self, id: &BackupId) -> Result<Vec<(Statement, DrillEvidence)>, RepositoryError> {
        let mut drills = Vec::new();
        for object in self.store().list(&format!("{id}.{DRILL}-"))? {
            if object_role(&object.key).is_none() || names::record_kind(&object.key) != Some(DRILL) {
                continue;
            }
            drills.extend(self.read_drill(&object.key)?);
        }
        Ok(drills)
    }

    /// Reads one that a listing tells; `None` where it cannot be understood, or was removed with its backup meanwhile.
    ///
    /// # Errors
    /// Those of the store.
    pub fn read_drill(&self, record: &ObjectKey) -> Result<Option<(Statement, DrillEvidence)>, RepositoryError> {
        match read_small(&**self.store(), record, RECORD_BYTES_MAX) {
            Ok(json) => Ok(serde_json::from_slice::<DrillJson>(&json)
                .ok()
                .map(DrillJson::into_drill)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error @ RepositoryError::Store(_)) => Err(error),
            Err(_) => Ok(None),
        }
    }
}

impl DrillJson {
    fn new(said: &Statement, evidence: &DrillEvidence) -> Self {
        let phase = |phase: &DrillPhase| PhaseJson {
            name: phase.name.clone(),
            millis: millis(phase.took),
        };
        let not_checked = evidence.not_checked.iter().take(NOT_CHECKED_MAX);
        Self {
            record: DRILL.to_owned(),
            who: said.who.clone(),
            at: said.at,
            why: said.why.clone(),
            passed: evidence.passed,
            place: evidence.place.clone(),
            server_version: evidence.server_version.clone(),
            phases: evidence.phases.iter().map(phase).collect(),
            recovery_millis: millis(evidence.recovery),
            recovery_limit_millis: evidence.recovery_limit.map(millis),
            holdings: evidence.holdings,
            findings: evidence.findings.clone(),
            not_checked: not_checked
                .map(|text| text.chars().take(TEXT_CHARS_MAX).collect())
                .collect(),
        }
    }

    fn into_drill(self) -> (Statement, DrillEvidence) {
        let said = Statement {
            who: self.who,
            at: self.at,
            why: self.why,
        };
        let phase = |phase: PhaseJson| DrillPhase {
            name: phase.name,
            took: Duration::from_millis(phase.millis),
        };
        let evidence = DrillEvidence {
            passed: self.passed,
            place: self.place,
            server_version: self.server_version,
            phases: self.phases.into_iter().map(phase).collect(),
            recovery: Duration::from_millis(self.recovery_millis),
            recovery_limit: self.recovery_limit_millis.map(Duration::from_millis),
            holdings: self.holdings,
            findings: self.findings,
            not_checked: self.not_checked,
        };
        (said, evidence)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
