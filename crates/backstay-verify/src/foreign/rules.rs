//! What a script must be and hold.

use std::collections::BTreeMap;

use backstay_core::script::{Incomplete, Name, Outline, QualifiedName, ReadError};

use super::raw::Raw;
use super::script::Script;
use crate::finding::{Finding, Findings};
use crate::inventory::is_meant;
use crate::rules::Rules;

pub(super) fn check(script: &Script, raw: &Raw, rules: &Rules, name: &str, findings: &Findings) {
    let outline = &script.outline;
    if let Some(error) = outline.error() {
        findings.extend(check_error(error, script.text_bytes, raw, name));
    }
    if let Some(line) = script.statement_behind_end {
        let message = "statements stand behind the comment with which pg_dump ends";
        findings.add(Finding::warning("text-behind-end", name, message).with("line", line));
    }
    check_completeness(outline, name, findings);
    check_tables(script, rules, name, findings);
}

/// Tells a failing decompression, which means a damaged archive, from a script that psql would not read either.
fn check_error(error: &ReadError, text_bytes: u64, raw: &Raw, name: &str) -> Option<Finding> {
    let finding = match error {
        ReadError::Source { .. } if !raw.failed() => {
            let message = "it cannot be unpacked to its end: it is cut off, damaged, or followed by something else";
            Finding::error("decompression", name, message)
        }
        // That the source itself failed is told when its rest is read.
        ReadError::Source { .. } => return None,
        _ => Finding::error("script", name, "the script cannot be read further"),
    };
    Some(finding.because(error).with(
        "behind",
        format!("{text_bytes} bytes of text, {} bytes of the archive", raw.bytes()),
    ))
}

fn check_completeness(outline: &Outline, name: &str, findings: &Findings) {
    if outline.statement_count() == 0 && outline.error().is_none() {
        findings.add(Finding::error("empty-script", name, "there is no statement in it"));
    }
    for problem in outline.completeness() {
        let finding = match &problem {
            Incomplete::NoHeader if outline.entries().is_empty() => {
                let message = "it is not from pg_dump, so whether it is whole cannot be told";
                Finding::warning("no-header", name, message)
            }
            Incomplete::NoHeader => Finding::error(
                "no-header",
                name,
                "its beginning is lost: pg_dump's first comment is missing",
            ),
            Incomplete::NoCompletionMarker => Finding::error("no-completion-marker", name, &problem),
            // The error itself has been reported.
            Incomplete::Unreadable => continue,
            _ => Finding::error("incomplete", name, &problem),
        };
        findings.add(finding);
    }
    // Many alike, such as the \connect lines of pg_dumpall, are one finding.
    let mut seen: Vec<(&Name, u64, u64)> = Vec::new();
    for command in outline.commands() {
        match seen.iter_mut().find(|(known, ..)| **known == command.name) {
            Some((.., count)) => *count += 1,
            None => seen.push((&command.name, command.line, 1)),
        }
    }
    for (command, line, count) in seen {
        let message = format!("a restore by Backstay does not run psql's command \\{command}");
        findings.add(
            Finding::warning("psql-command", name, message)
                .with("first line", line)
                .with("times", count),
        );
    }
    if outline.left_out() > 0 {
        let message = format!("it holds {} entries more than were looked at", outline.left_out());
        findings.add(Finding::warning("left-out", name, message));
    }
}

fn check_tables(script: &Script, rules: &Rules, name: &str, findings: &Findings) {
    let outline = &script.outline;
    for required in &rules.require_tables {
        findings.extend(check_required(script, required));
    }
    if outline.error().is_some() {
        // What is missing may stand where nothing can be read.
        return;
    }
    let rows: u64 = outline.tables().values().map(|rows| rows.rows).sum();
    if rows == 0 {
        findings.add(Finding::warning("no-rows", name, "it brings no row of any table"));
    }
    let policy_is_of = |table: &QualifiedName, schema: Option<&Name>, policy: &Name| {
        let rest = policy.as_bytes().strip_prefix(table.name.as_bytes());
        schema == table.schema.as_ref() && rest.is_some_and(|rest| rest.starts_with(b" "))
    };
    for table in outline.row_security() {
        let has_policy = outline
            .entries_of("POLICY")
            .any(|policy| policy_is_of(table, policy.schema.as_ref(), &policy.name));
        if !has_policy {
            let message = "it enables row level security, and has no policy: only the owner will see rows";
            findings.add(Finding::warning("policy", table, message));
        }
    }
    for policy in outline.entries_of("POLICY") {
        let enabled = outline
            .row_security()
            .iter()
            .any(|table| policy_is_of(table, policy.schema.as_ref(), &policy.name));
        if !enabled {
            let message = "it has a policy, and does not enable row level security for its table";
            findings.add(Finding::warning("row-security", &policy.name, message).with("line", policy.line));
        }
    }
}

/// The rows of a partitioned table are those of its partitions.
fn check_required(script: &Script, required: &str) -> Vec<Finding> {
    let outline = &script.outline;
    let is_meant = |schema: Option<&Name>, name: &Name| is_meant(required, schema.map(Name::as_bytes), name.as_bytes());
    let mut rows: BTreeMap<&QualifiedName, u64> = BTreeMap::new();
    for (table, brought) in outline.tables() {
        for table in script.with_parents(table) {
            if is_meant(table.schema.as_ref(), &table.name) {
                *rows.entry(table).or_default() += brought.rows;
            }
        }
    }
    if rows.is_empty() {
        let mut tables = outline.entries_of("TABLE");
        let defined = tables.any(|entry| is_meant(entry.schema.as_ref(), &entry.name));
        let message = match (defined, outline.error()) {
            (_, Some(_)) => "what can be read of the archive does not have the rows of this table",
            (true, None) => "it has this table, but not its rows",
            (false, None) => "it does not have this table",
        };
        return vec![Finding::error("required-table", required, message)];
    }
    let message = "this table is required, and it is empty";
    rows.into_iter()
        .filter(|(_, rows)| *rows == 0)
        .map(|(table, _)| Finding::warning("required-table-empty", table, message))
        .collect()
}
