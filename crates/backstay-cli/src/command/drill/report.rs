//! What came of a drill, for people and for machines.

use backstay::{DrillReport, Finding, Severity, finding_lines};
use serde::Serialize;

use crate::output::{Columns, count, duration, time};
use crate::settle::RecoveryLimit;

/// The verdict, and how long it took; `limit` is that which not the rules set.
pub(crate) fn text(report: &DrillReport, limit: Option<&RecoveryLimit>) -> String {
    let verdict = match (report.passed(), report.count(Severity::Error)) {
        (true, _) => "passed".to_owned(),
        (false, errors) => format!("FAILED, {}", count(errors, "error", "errors")),
    };
    let mut columns = Columns::default();
    let mut fact = |name: &str, value: String| columns.row([name.to_owned(), value]);
    fact("backup", format!("of {}", time(report.taken_at)));
    fact(
        "into",
        format!("{}, PostgreSQL {}", report.place, report.server_version),
    );
    if let Some(restored) = &report.restored {
        let holds = format!(
            "{} with {}, {}",
            count(restored.tables, "table", "tables"),
            count(restored.rows, "row", "rows"),
            count(restored.entries, "definition", "definitions"),
        );
        fact("restored", holds);
        let recovery = duration(report.times.recovery());
        let recovery = match report.recovery_limit {
            Some(most) => {
                let (most, by) = (duration(most), limit_by(limit));
                format!("{recovery} to have it back, of at most {most} ({by})")
            }
            None => format!("{recovery} to have it back"),
        };
        fact("recovery", recovery);
        for (name, took) in report.times.phases() {
            fact(name, duration(took));
        }
    }
    let mut text = format!("drill of {}: {verdict}\n{columns}", report.id);
    text.push_str(&finding_lines(&report.findings, ": --json lists all"));
    for check in &report.not_checked {
        text.push_str(&format!("  not checked: {check}\n"));
    }
    text
}

/// What the program says of a drill as JSON.
#[derive(Serialize)]
pub(crate) struct DrillJson<'r> {
    id: String,
    passed: bool,
    taken_at: String,
    place: &'r str,
    server_version: &'r str,
    recovery_secs: f64,
    recovery_limit_secs: Option<f64>,
    recovery_limit_by: Option<&'r str>,
    phases: Vec<PhaseJson>,
    tables: Option<u64>,
    rows: Option<u64>,
    definitions: Option<u64>,
    definitions_compared: u64,
    findings: Vec<FindingJson<'r>>,
    not_checked: &'r [String],
    not_removed: Option<&'r str>,
}

#[derive(Serialize)]
struct PhaseJson {
    name: &'static str,
    secs: f64,
}

#[derive(Serialize)]
struct FindingJson<'r> {
    severity: String,
    rule: &'r str,
    subject: &'r str,
    message: &'r str,
    evidence: Vec<EvidenceJson<'r>>,
}

#[derive(Serialize)]
struct EvidenceJson<'r> {
    name: &'r str,
    value: &'r str,
}

pub(crate) fn json<'r>(report: &'r DrillReport, limit: Option<&'r RecoveryLimit>) -> DrillJson<'r> {
    let restored = report.restored.as_ref();
    DrillJson {
        id: report.id.to_string(),
        passed: report.passed(),
        taken_at: report.taken_at.to_string(),
        place: &report.place,
        server_version: &report.server_version,
        recovery_secs: report.times.recovery().as_secs_f64(),
        recovery_limit_secs: report.recovery_limit.map(|limit| limit.as_secs_f64()),
        recovery_limit_by: report.recovery_limit.map(|_| limit_by(limit)),
        phases: report
            .times
            .phases()
            .into_iter()
            .map(|(name, took)| PhaseJson {
                name,
                secs: took.as_secs_f64(),
            })
            .collect(),
        tables: restored.map(|restored| restored.tables),
        rows: restored.map(|restored| restored.rows),
        definitions: restored.map(|restored| restored.entries),
        definitions_compared: report.definitions_compared,
        findings: report.findings.iter().map(of_finding).collect(),
        not_checked: &report.not_checked,
        not_removed: report.left.as_deref(),
    }
}

/// Who says how long it may take.
fn limit_by(limit: Option<&RecoveryLimit>) -> &str {
    limit.map_or("the rules", |limit| limit.by.as_str())
}

fn of_finding(finding: &Finding) -> FindingJson<'_> {
    FindingJson {
        severity: finding.severity.to_string(),
        rule: finding.rule,
        subject: &finding.subject,
        message: &finding.message,
        evidence: finding
            .evidence
            .iter()
            .map(|evidence| EvidenceJson {
                name: evidence.name,
                value: &evidence.value,
            })
            .collect(),
    }
}
