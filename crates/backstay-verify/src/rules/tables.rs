//! What is expected of single tables.

use backstay_core::manifest::{Manifest, RowSecurity, Table};

use super::grants::Grants;
use super::{Right, TableRule};
use crate::finding::Finding;
use crate::inventory::{Partitions, is_meant, rows_of};

pub(super) fn check(
    manifest: &Manifest,
    rule: &TableRule,
    partitions: &Partitions,
    grants: Option<&Grants>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_there = false;
    for (index, table) in manifest.tables.iter().enumerate() {
        if is_meant(&rule.table, Some(table.schema.as_bytes()), table.name.as_bytes()) {
            is_there = true;
            let before = findings.len();
            check_rows(manifest, rule, table, partitions, index, &mut findings);
            check_definitions(rule, table, &mut findings);
            if let Some(grants) = grants {
                check_grants(manifest, rule, table, grants, &mut findings);
            }
            for finding in &mut findings[before..] {
                finding.place = index;
            }
        }
    }
    if !is_there {
        let message = "a rule is about this table, and the backup does not have it";
        findings.push(Finding::error("unknown-table", &rule.table, message));
    }
    findings
}

fn check_rows(
    manifest: &Manifest,
    rule: &TableRule,
    table: &Table,
    partitions: &Partitions,
    index: usize,
    findings: &mut Vec<Finding>,
) {
    let Some(min) = rule.rows_min else { return };
    // Rows that were left out are none that could be restored.
    let rows = rows_of(&partitions.leaves(manifest, index)).unwrap_or(0);
    if rows < min {
        let message = "the table has fewer rows than it must have";
        let finding = Finding::error("few-rows", table.display_name(), message);
        findings.push(finding.with("expected", format!("at least {min}")).with("found", rows));
    }
}

fn check_definitions(rule: &TableRule, table: &Table, findings: &mut Vec<Finding>) {
    let subject = table.display_name();
    let message = match (rule.row_security, table.row_security) {
        (Some(RowSecurity::Enabled), RowSecurity::Off) => Some("row level security is not enabled for it"),
        (Some(RowSecurity::Forced), RowSecurity::Off | RowSecurity::Enabled) => {
            Some("row level security is not forced for its owner")
        }
        _ => None,
    };
    findings.extend(message.map(|message| Finding::error("missing-row-security", &subject, message)));
    for policy in rule
        .policies
        .iter()
        .filter(|name| !table.policies.iter().any(|has| *has == ***name))
    {
        let message = format!("it does not have the policy {policy}");
        findings.push(Finding::error("missing-policy", &subject, message));
    }
    for index in rule
        .indexes
        .iter()
        .filter(|name| !table.indexes.iter().any(|has| *has == ***name))
    {
        let message = format!("it does not have the index {index}, or that is not valid");
        findings.push(Finding::error("missing-index", &subject, message));
    }
}

fn check_grants(manifest: &Manifest, rule: &TableRule, table: &Table, grants: &Grants, findings: &mut Vec<Finding>) {
    let subject = table.display_name();
    for Right { role, right } in &rule.grants {
        if !grants.has(manifest, table, role, right) {
            let message = format!("{role} does not have the right {right} on it");
            findings.push(Finding::error("missing-grant", &subject, message));
        }
    }
    for Right { role, right } in &rule.denied {
        if grants.has(manifest, table, role, right) || grants.has_on_column(table, role, right) {
            let message = format!("{role} has the right {right} on it, and must not have it");
            findings.push(Finding::error("forbidden-grant", &subject, message));
        }
    }
}
