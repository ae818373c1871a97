//! The report as JSON. Only these types are seen by serde.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Report, SubjectKind};
use crate::finding::Severity;
use crate::options::Level;

/// Raised when a field changes its meaning or goes; new fields may come without.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct ReportJson<'a> {
    schema_version: u32,
    subject: &'a str,
    kind: &'static str,
    level: &'static str,
    sound: bool,
    counts: CountsJson,
    findings: Vec<FindingJson<'a>>,
    not_checked: &'a [String],
}

#[derive(Serialize)]
struct CountsJson {
    tables: u64,
    members: u64,
    rows: Option<u64>,
    bytes_read: u64,
    errors: usize,
    warnings: usize,
    notes: usize,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    severity: &'static str,
    rule: &'static str,
    subject: &'a str,
    message: &'a str,
    evidence: BTreeMap<&'static str, &'a str>,
}

pub(super) fn to_json(report: &Report) -> String {
    let json = serde_json::to_string(&ReportJson::from(report));
    // Strings, numbers and maps with string keys are always JSON.
    debug_assert!(json.is_ok(), "a report is always JSON: {json:?}");
    json.unwrap_or_default()
}

impl<'a> From<&'a Report> for ReportJson<'a> {
    fn from(report: &'a Report) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            subject: &report.subject,
            kind: match report.kind {
                SubjectKind::Backup => "backup",
                SubjectKind::Pack => "pack",
                SubjectKind::Foreign => "foreign",
            },
            level: match report.level {
                Level::Rules => "rules",
                Level::Quick => "quick",
                Level::Standard => "standard",
            },
            sound: report.is_sound(),
            counts: CountsJson {
                tables: report.counts.tables,
                members: report.counts.members,
                rows: report.counts.rows,
                bytes_read: report.counts.bytes_read,
                errors: report.count(Severity::Error),
                warnings: report.count(Severity::Warning),
                notes: report.count(Severity::Note),
            },
            findings: report
                .findings
                .iter()
                .map(|finding| FindingJson {
                    severity: match finding.severity {
                        Severity::Error => "error",
                        Severity::Warning => "warning",
                        Severity::Note => "note",
                    },
                    rule: finding.rule,
                    subject: &finding.subject,
                    message: &finding.message,
                    evidence: finding
                        .evidence
                        .iter()
                        .map(|evidence| (evidence.name, evidence.value.as_str()))
                        .collect(),
                })
                .collect(),
            not_checked: &report.not_checked,
        }
    }
}
