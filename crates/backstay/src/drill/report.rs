//! What came of a drill.

use std::time::Duration;

use backstay_core::repository::{DrillEvidence, DrillHoldings, DrillPhase, Proof, Repository, RepositoryError};
use backstay_core::{BackupId, ObjectKey};
use backstay_postgres::RestoreReport;
use backstay_verify::{Finding, Severity};
use jiff::Timestamp;

use crate::verify::noted;
use crate::witness::Witness;

/// The level of the proof that a drill is.
const LEVEL: &str = "restore";

/// What came of a drill.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DrillReport {
    /// The backup.
    pub id: BackupId,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Whether it is encrypted, so that nothing of what it holds may stand in clear.
    pub is_sealed: bool,
    /// Where it was restored, for people.
    pub place: String,
    /// `server_version` of the server there.
    pub server_version: String,
    /// How long each phase took.
    pub times: DrillTimes,
    /// How long it may take to have the database back.
    pub recovery_limit: Option<Duration>,
    /// What was restored; `None` where the backup was not sound before.
    pub restored: Option<RestoreReport>,
    /// Definitions that were compared.
    pub definitions_compared: u64,
    /// What was found, errors first.
    pub findings: Vec<Finding>,
    /// What was not looked at, and why, in plain words.
    pub not_checked: Vec<String>,
    /// What could not be removed behind it, and why.
    pub left: Option<String>,
}

/// How long the phases of a drill took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrillTimes {
    /// Removing what other drills left and making the place.
    pub prepare: Duration,
    /// Reading and verifying the whole backup.
    pub fetch: Duration,
    /// Making the database and the definitions before the rows.
    pub pre_data: Duration,
    /// Loading rows and building indexes.
    pub data: Duration,
    /// Of which all workers together built indexes; more than the phase where several did at a time.
    pub indexes: Duration,
    /// Triggers, policies, grants, views.
    pub post_data: Duration,
    /// Counting rows.
    pub count: Duration,
    /// Comparing each row.
    pub prove: Duration,
    /// Comparing definitions, counting what refers to nothing, queries.
    pub examine: Duration,
}

impl DrillTimes {
    /// How long it takes to have the database back: to read and verify the backup and to restore it, on a server that runs.
    /// Comparing comes on top, and can be left away.
    #[must_use]
    pub fn recovery(&self) -> Duration {
        self.fetch + self.pre_data + self.data + self.post_data + self.count
    }

    /// Names and times of the phases, in order; those of indexes are a part of the rows before them.
    #[must_use]
    pub fn phases(&self) -> [(&'static str, Duration); 9] {
        [
            ("prepare", self.prepare),
            ("fetch", self.fetch),
            ("definitions", self.pre_data),
            ("rows", self.data),
            ("indexes", self.indexes),
            ("rest", self.post_data),
            ("count", self.count),
            ("prove", self.prove),
            ("examine", self.examine),
        ]
    }
}

impl DrillReport {
    /// Whether the backup was restored and there was no error.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.restored.is_some() && self.count(Severity::Error) == 0
    }

    /// How many findings of a severity there are.
    #[must_use]
    pub fn count(&self, severity: Severity) -> u64 {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count() as u64
    }

    /// What is kept of it beside the backup, in clear.
    #[must_use]
    pub fn evidence(&self) -> DrillEvidence {
        let phases = self.times.phases().into_iter().map(|(name, took)| DrillPhase {
            name: name.to_owned(),
            took,
        });
        let holdings = self.restored.as_ref().map(|restored| DrillHoldings {
            tables: restored.tables,
            rows: restored.rows,
            definitions: restored.entries,
        });
        DrillEvidence {
            passed: self.passed(),
            place: self.place.clone(),
            server_version: self.server_version.clone(),
            phases: phases.collect(),
            recovery: self.times.recovery(),
            recovery_limit: self.recovery_limit,
            // Names, numbers and queries would tell what the backup hides.
            holdings: holdings.filter(|_| !self.is_sealed),
            findings: noted(&self.findings, self.is_sealed),
            not_checked: match self.is_sealed {
                true => Vec::new(),
                false => self.not_checked.clone(),
            },
        }
    }
}

/// Notes what came of a drill beside its backup, and the same as a proof of it. Gives the record of the drill.
///
/// # Errors
/// The backup does not exist (then [`RepositoryError::is_not_found`]); those of the store.
pub fn note_drill(
    repository: &Repository,
    report: &DrillReport,
    witness: &Witness,
) -> Result<ObjectKey, RepositoryError> {
    let key = repository.note_drill(&report.id, &witness.statement(""), &report.evidence())?;
    let proof = Proof {
        level: LEVEL.to_owned(),
        passed: report.passed(),
        findings: noted(&report.findings, report.is_sealed),
    };
    repository.note_proof(&report.id, &witness.statement(""), &proof)?;
    Ok(key)
}
