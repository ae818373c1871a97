//! What a drill saw, as findings.

use std::collections::HashSet;
use std::time::Duration;

use backstay_core::BackupId;
use backstay_core::manifest::CheckValue;
use backstay_postgres::{
    Difference, DifferenceKind, Examination, ForeignKeyState, MismatchKind, ProofReport, RestoreFailure, RestoreReport,
};
use backstay_verify::{Finding, Report, Rules, Severity, SqlOutcome};
use jiff::Timestamp;

use super::place::Place;

/// Gathers findings while a drill goes on.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    not_checked: Vec<String>,
    /// Those of rules, from which there are exemptions.
    judged: Vec<Finding>,
    /// What could not be restored, so that its absence is not told again.
    missing: HashSet<String>,
}

impl Findings {
    pub(super) fn is_sound(&self) -> bool {
        self.found.iter().all(|finding| finding.severity != Severity::Error)
    }

    /// Findings, errors first, and what was not looked at.
    pub(super) fn finish(mut self, rules: &Rules, now: Option<Timestamp>) -> (Vec<Finding>, Vec<String>) {
        self.found.extend(match now {
            Some(now) => rules.settle(self.judged, now),
            None => self.judged,
        });
        self.found
            .sort_by(|a, b| (a.severity, a.rule).cmp(&(b.severity, b.rule)));
        (self.found, self.not_checked)
    }

    fn error(&mut self, rule: &'static str, subject: &str, message: &str) -> &mut Finding {
        self.add(Finding::new(Severity::Error, rule, subject, message))
    }

    fn add(&mut self, finding: Finding) -> &mut Finding {
        self.found.push(finding);
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    pub(super) fn of_place(&mut self, place: &Place) {
        if let Some((source, here)) = place.newer() {
            let message = format!("no PostgreSQL {source} was found here, so it was restored into the newer {here}");
            self.add(Finding::new(
                Severity::Note,
                "newer-server",
                "the server of the drill",
                message,
            ));
        }
    }

    pub(super) fn of_verification(&mut self, report: Report) {
        self.found.extend(report.findings);
    }

    pub(super) fn of_stand_ins(&mut self, made: Vec<String>) {
        for what in made {
            let message = "it is not in the backup, and was made up for the drill: a restore elsewhere needs it";
            self.add(Finding::new(Severity::Note, "stand-in", what, message));
        }
    }

    pub(super) fn of_restore(&mut self, report: &RestoreReport) {
        self.of_stand_ins(report.stand_ins.clone());
        self.of_failures(&report.failures);
    }

    pub(super) fn of_failures(&mut self, failures: &[RestoreFailure]) {
        for failure in failures {
            let rule = match failure.what.split_once(' ').map_or("", |(kind, _)| kind) {
                "EXTENSION" => "extension",
                "FK" => "foreign-key",
                _ => "restore",
            };
            let mut finding = Finding::new(Severity::Error, rule, &failure.what, "it could not be restored")
                .with("cause", one_line(&failure.error));
            if let Some(statement) = &failure.statement {
                finding = finding.with("statement", one_line(statement));
            }
            self.add(finding);
            self.missing.insert(failure.what.clone());
        }
    }

    pub(super) fn of_proof(&mut self, proof: &ProofReport) {
        for mismatch in &proof.mismatches {
            let (rule, message) = match mismatch.kind {
                MismatchKind::Rows => ("rows", "the rows are not those of the backup"),
                MismatchKind::Sequence => ("sequence", "it has another value than in the backup"),
                MismatchKind::LargeObjects => ("large-objects", "they are not those of the backup"),
            };
            let finding = Finding::new(Severity::Error, rule, &mismatch.what, message)
                .with("expected", &mismatch.expected)
                .with("found", &mismatch.found);
            self.add(finding);
        }
    }

    pub(super) fn of_examination(&mut self, examined: Examination) {
        let Examination {
            differences,
            foreign_keys,
            invalid_indexes,
            partial_indexes,
            not_compared,
            ..
        } = examined;
        for difference in differences {
            self.of_difference(&difference);
        }
        for key in foreign_keys {
            match (key.orphans, key.state) {
                (Ok(0), _) => {}
                (Ok(orphans), ForeignKeyState::Valid) => {
                    let message = "rows refer to what is not there, though the key says that none does";
                    let finding = Finding::new(Severity::Error, "foreign-key", &key.what, message);
                    self.add(finding.with("rows", orphans));
                }
                (Ok(orphans), ForeignKeyState::NotValid) => {
                    let message = "rows refer to what is not there; the key is not valid, so it does not say otherwise";
                    let finding = Finding::new(Severity::Warning, "foreign-key", &key.what, message);
                    self.add(finding.with("rows", orphans));
                }
                (Err(why), _) => {
                    let message = "rows that refer to nothing could not be counted";
                    self.add(Finding::new(Severity::Error, "foreign-key", &key.what, message).with("cause", why));
                }
            }
        }
        for index in invalid_indexes {
            self.error("invalid-index", &index, "it is not valid, so no query uses it");
        }
        for index in partial_indexes {
            let message = "it is not valid: the table has partitions without this index";
            self.add(Finding::new(Severity::Warning, "invalid-index", index, message));
        }
        self.not_checked.extend(not_compared);
    }

    fn of_difference(&mut self, difference: &Difference) {
        let Difference {
            kind,
            what,
            expected,
            found,
            ..
        } = difference;
        if self.missing.contains(what) {
            return;
        }
        let (severity, rule) = match kind {
            DifferenceKind::Table => (Severity::Error, "table"),
            DifferenceKind::Columns => (Severity::Error, "columns"),
            DifferenceKind::RowSecurity => (Severity::Error, "row-security"),
            DifferenceKind::Policy => (Severity::Error, "policy"),
            DifferenceKind::Index => (Severity::Error, "index"),
            DifferenceKind::Extension => (Severity::Error, "extension"),
            // The server has what it has; the backup does not say which version to install.
            DifferenceKind::ExtensionVersion => (Severity::Warning, "extension"),
            DifferenceKind::Setting => (Severity::Error, "setting"),
            _ => (Severity::Error, "definition"),
        };
        let message = match (expected, found) {
            (Some(_), None) => "it is in the backup, and not there",
            (None, Some(_)) => "it is there, and not in the backup",
            _ => "it is not as in the backup",
        };
        let mut finding = Finding::new(severity, rule, what, message);
        // That something is there says nothing more.
        let both = expected.is_some() && found.is_some();
        for (name, text) in [("expected", expected), ("found", found)] {
            if let Some(text) = text.as_ref().filter(|text| both || *text != "there") {
                finding = finding.with(name, one_line(text));
            }
        }
        self.add(finding);
    }

    pub(super) fn of_checks(&mut self, rules: &Rules, outcomes: &[SqlOutcome], taken: &[CheckValue]) {
        for (check, outcome) in rules.sql.iter().zip(outcomes) {
            self.judged.extend(check.judge(outcome, taken));
        }
    }

    pub(super) fn of_time(&mut self, id: &BackupId, rules: &Rules, took: Duration) {
        self.judged.extend(rules.judge_restore_time(id, took));
    }
}

/// A text of several lines in one, since findings have no control characters.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
