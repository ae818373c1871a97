//! What a restore would do and did, for people and for machines.

use std::time::Duration;

use backstay::manifest::Manifest;
use backstay::{DefinitionsCompared, ForeignArchive, ForeignPlan, RestorePlan, RestoreReport, Swap, TargetState};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{Columns, count, duration};

/// Failures that are shown; all are in the JSON.
const FAILURES_SHOWN: usize = 50;

#[derive(Serialize)]
pub(super) struct PlanJson {
    dry_run: bool,
    subject: String,
    taken_at: Option<String>,
    bytes: u64,
    database: String,
    database_exists: bool,
    objects_there_now: u64,
    server_version: String,
    role: String,
    tables: Option<u64>,
    rows: Option<u64>,
    text_bytes: Option<u64>,
    definitions: Option<u64>,
    warnings: Vec<String>,
    /// The name that the database gets by a swap.
    becomes: Option<String>,
    /// The name that the database which has it now gets.
    kept: Option<String>,
}

impl PlanJson {
    pub(super) fn of_backup(manifest: &Manifest, plan: &RestorePlan) -> Self {
        Self {
            taken_at: Some(manifest.taken_at.to_string()),
            bytes: manifest.stored_bytes(),
            tables: Some(plan.tables),
            rows: Some(plan.rows),
            text_bytes: Some(plan.text_bytes),
            definitions: Some(plan.entries),
            warnings: plan.warnings.clone(),
            ..Self::of_target(manifest.id.to_string(), &plan.database, &plan.target)
        }
    }

    pub(super) fn of_dump(dump: &ForeignArchive, plan: &ForeignPlan) -> Self {
        Self {
            bytes: dump.bytes,
            ..Self::of_target(dump.key.to_string(), &plan.database, &plan.target)
        }
    }

    pub(super) fn with_swap(self, swap: Option<&Swap>) -> Self {
        Self {
            becomes: swap.map(|swap| swap.database.clone()),
            kept: swap.map(|swap| swap.kept.clone()),
            ..self
        }
    }

    fn of_target(subject: String, database: &str, target: &TargetState) -> Self {
        Self {
            dry_run: true,
            subject,
            taken_at: None,
            bytes: 0,
            database: database.to_owned(),
            database_exists: target.database.is_some(),
            objects_there_now: target.database.as_ref().map_or(0, |found| found.object_count),
            server_version: target.server_version.clone(),
            role: target.role.clone(),
            tables: None,
            rows: None,
            text_bytes: None,
            definitions: None,
            warnings: Vec::new(),
            becomes: None,
            kept: None,
        }
    }
}

/// What a restore did.
pub(super) struct Outcome<'o> {
    pub(super) database: &'o str,
    pub(super) report: RestoreReport,
    pub(super) took: Duration,
    pub(super) safety_backup: Option<String>,
    /// The swap that a complete restore was followed by.
    pub(super) swap: Option<&'o Swap>,
    /// What the backup has not.
    pub(super) not_in_backup: Vec<String>,
}

impl Outcome<'_> {
    pub(super) fn text(&self) -> String {
        let report = &self.report;
        let mut columns = Columns::default();
        let mut fact = |name: &str, value: String| columns.row([name.to_owned(), value]);
        let mut restored = format!(
            "{} with {}, {}",
            count(report.tables, "table", "tables"),
            count(report.rows, "row", "rows"),
            count(report.entries, "definition", "definitions"),
        );
        if report.indexes > 0 {
            let indexes = count(report.indexes, "index or constraint", "indexes and constraints");
            restored.push_str(&format!(", among them {indexes}"));
        }
        fact("restored", restored);
        fact("took", duration(self.took));
        if let Some(proof) = &report.proof {
            let verdict = match proof.mismatches.len() as u64 {
                0 => "equal".to_owned(),
                different => count(different, "difference", "differences"),
            };
            fact(
                "compared",
                format!(
                    "{} with {}, {}: {verdict}",
                    count(proof.tables, "table", "tables"),
                    count(proof.rows, "row", "rows"),
                    count(proof.sequences, "sequence", "sequences"),
                ),
            );
        }
        if let Some(seen) = &report.examination {
            let verdict = match seen.differences.len() as u64 {
                0 => "equal".to_owned(),
                different => count(different, "difference", "differences"),
            };
            let definitions = count(seen.definitions, "definition", "definitions");
            match seen.compared {
                DefinitionsCompared::Text => {
                    fact(
                        "compared",
                        format!("{definitions}, with rights and policies: {verdict}"),
                    );
                }
                DefinitionsCompared::Names => {
                    fact("compared", format!("{definitions}, by their names alone: {verdict}"));
                }
                DefinitionsCompared::Not => fact("NOT compared", "definitions, rights and policies".to_owned()),
            }
        }
        if let Some(id) = &self.safety_backup {
            fact("before", format!("the target is kept in {id}"));
        }
        for subject in &report.left_out {
            fact("left out", subject.clone());
        }
        for subject in &self.not_in_backup {
            fact("not in backup", subject.clone());
        }
        if report.rows_of_files > 0 {
            let files = count(report.rows_of_files, "file", "files");
            fact(
                "next",
                format!("{files} of storage, whose rows are here: backstay storage-files restore latest --to REF"),
            );
        }
        let mut text = columns.to_string();
        for mismatch in report.proof.iter().flat_map(|proof| &proof.mismatches) {
            text.push_str(&format!(
                "different: {}: expected {}, found {}\n",
                mismatch.what, mismatch.expected, mismatch.found
            ));
        }
        if let Some(seen) = &report.examination {
            for difference in &seen.differences {
                text.push_str(&format!("different: {difference}\n"));
            }
            for key in &seen.foreign_keys {
                if let Ok(orphans @ 1..) = key.orphans {
                    text.push_str(&format!("different: {}: {orphans} rows refer to nothing\n", key.what));
                }
            }
        }
        for failure in report.failures.iter().take(FAILURES_SHOWN) {
            text.push_str(&format!("missing: {}\n", failure.to_string().replace('\n', "\n  ")));
            if let Some(statement) = &failure.statement {
                text.push_str(&format!(
                    "  statement: {}\n",
                    statement.trim_end().replace('\n', "\n  ")
                ));
            }
        }
        if let Some(more) = report
            .failures
            .len()
            .checked_sub(FAILURES_SHOWN)
            .filter(|more| *more > 0)
        {
            text.push_str(&format!("and {more} more: --json lists all\n"));
        }
        let verdict = match (report.is_complete(), self.swap) {
            (true, None) => format!("{} is restored", self.database),
            (true, Some(swap)) => format!("{} is restored; what was there is kept as {}", swap.database, swap.kept),
            (false, None) => format!("{} is NOT WHOLE", self.database),
            (false, Some(swap)) => format!("{} is NOT WHOLE; {} is as it was", self.database, swap.database),
        };
        format!("{verdict}\n{text}")
    }

    pub(super) fn exit(&self) -> Exit {
        match self.report.is_complete() && self.report.is_proven() {
            true => Exit::Done,
            false => Exit::Incomplete,
        }
    }

    pub(super) fn json(&self) -> OutcomeJson<'_> {
        let report = &self.report;
        OutcomeJson {
            complete: report.is_complete(),
            database: match self.swap {
                Some(swap) if report.is_complete() => &swap.database,
                _ => self.database,
            },
            tables: report.tables,
            rows: report.rows,
            definitions: report.entries,
            indexes: report.indexes,
            duration_secs: self.took.as_secs_f64(),
            safety_backup: self.safety_backup.as_deref(),
            kept: self
                .swap
                .filter(|_| report.is_complete())
                .map(|swap| swap.kept.as_str()),
            left_out: &report.left_out,
            not_in_backup: &self.not_in_backup,
            rows_of_files: report.rows_of_files,
            failures: report
                .failures
                .iter()
                .map(|failure| FailureJson {
                    what: &failure.what,
                    statement: failure.statement.as_deref(),
                    error: &failure.error,
                    sql_state: failure.sql_state.as_deref(),
                })
                .collect(),
            proof: report.proof.as_ref().map(|proof| ProofJson {
                equal: proof.is_equal(),
                tables: proof.tables,
                rows: proof.rows,
                sequences: proof.sequences,
                mismatches: proof
                    .mismatches
                    .iter()
                    .map(|mismatch| MismatchJson {
                        what: &mismatch.what,
                        expected: &mismatch.expected,
                        found: &mismatch.found,
                    })
                    .collect(),
            }),
            definitions_compared: report.examination.as_ref().map(|seen| match seen.compared {
                DefinitionsCompared::Not => "not",
                DefinitionsCompared::Names => "names",
                DefinitionsCompared::Text => "text",
            }),
            definitions_different: report
                .examination
                .as_ref()
                .filter(|seen| seen.compared != DefinitionsCompared::Not || !seen.differences.is_empty())
                .map(|seen| seen.differences.iter().map(ToString::to_string).collect()),
        }
    }
}

#[derive(Serialize)]
pub(super) struct OutcomeJson<'r> {
    complete: bool,
    database: &'r str,
    tables: u64,
    rows: u64,
    definitions: u64,
    indexes: u64,
    duration_secs: f64,
    safety_backup: Option<&'r str>,
    kept: Option<&'r str>,
    left_out: &'r [String],
    not_in_backup: &'r [String],
    /// Each is about a file of the platform, to be restored by `storage-files restore`.
    rows_of_files: u64,
    failures: Vec<FailureJson<'r>>,
    proof: Option<ProofJson<'r>>,
    /// How far definitions, rights and policies were compared: `not`, by their `names`, or their `text`; missing where that is
    /// no part of a restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    definitions_compared: Option<&'static str>,
    /// What differs among definitions; missing where they were not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    definitions_different: Option<Vec<String>>,
}

#[derive(Serialize)]
struct FailureJson<'r> {
    what: &'r str,
    statement: Option<&'r str>,
    error: &'r str,
    sql_state: Option<&'r str>,
}

#[derive(Serialize)]
struct ProofJson<'r> {
    equal: bool,
    tables: u64,
    rows: u64,
    sequences: u64,
    mismatches: Vec<MismatchJson<'r>>,
}

#[derive(Serialize)]
struct MismatchJson<'r> {
    what: &'r str,
    expected: &'r str,
    found: &'r str,
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use backstay::Examination;

    use super::*;

    #[test]
    fn equal_is_said_of_what_was_compared_alone() {
        let exits = RefCell::new(Vec::new());
        let told = |compared| {
            let mut seen = Examination::default();
            (seen.definitions, seen.compared) = (307, compared);
            let mut report = RestoreReport::default();
            report.examination = Some(seen);
            let outcome = Outcome {
                report,
                database: "app",
                took: Duration::from_secs(1),
                safety_backup: None,
                swap: None,
                not_in_backup: Vec::new(),
            };
            exits.borrow_mut().push(outcome.exit());
            let json = serde_json::to_value(outcome.json()).unwrap();
            let text = outcome.text();
            let line = text
                .lines()
                .find(|line| line.contains("compared"))
                .unwrap_or_default()
                .trim()
                .to_owned();
            (
                line,
                json["definitions_compared"].clone(),
                json["definitions_different"].is_null(),
            )
        };
        let (line, json, is_unknown) = told(DefinitionsCompared::Text);
        assert_eq!(
            (line.as_str(), is_unknown),
            ("compared  307 definitions, with rights and policies: equal", false)
        );
        assert_eq!(json, "text");
        let (line, json, is_unknown) = told(DefinitionsCompared::Names);
        assert_eq!(
            (line.as_str(), is_unknown),
            ("compared  307 definitions, by their names alone: equal", false)
        );
        assert_eq!(json, "names");
        let (line, json, is_unknown) = told(DefinitionsCompared::Not);
        assert_eq!(
            (line.as_str(), is_unknown),
            ("NOT compared  definitions, rights and policies", true)
        );
        assert_eq!(json, "not");
        assert_eq!(exits.into_inner(), [Exit::Done, Exit::Done, Exit::Incomplete]);
    }
}
