//! What a backup is expected to hold, by its own inventory.

mod required;

use std::collections::HashSet;

use backstay_core::DbText;
use backstay_core::manifest::{Entry, Manifest, RowSecurity, Table, TableKind, TableRows};

use crate::finding::{Finding, Severity};

pub(crate) use required::{Partitions, check as check_required, is_meant, rows_of};

/// Bytes on the server above which a table without any row is worth a note.
const EMPTY_HEAP_BYTES_MAX: u64 = 1 << 20;

/// The extension that `pg_dump` leaves out, because every new database has it.
const BUILT_IN_EXTENSION: &str = "plpgsql";

/// Compares the tables of a manifest with its entries.
pub(crate) fn check(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    let definitions = Definitions::of(manifest);
    for (index, table) in manifest.tables.iter().enumerate() {
        findings.extend(
            check_table(table, &definitions)
                .into_iter()
                .map(|finding| finding.at(index)),
        );
    }
    check_extensions(manifest, &definitions, &mut findings);
    check_volume(manifest, &mut findings);
    for (index, omission) in manifest.omissions.iter().enumerate() {
        let message = format!("not in the backup: {}", omission.reason);
        findings.push(Finding::note("omission", &omission.subject, message).at(index));
    }
    findings
}

/// The entries that have SQL, by kind, schema and name.
struct Definitions<'m>(HashSet<Definition<'m>>);

/// Kind, schema and name.
type Definition<'m> = (&'m str, Option<&'m [u8]>, &'m [u8]);

impl<'m> Definitions<'m> {
    fn of(manifest: &'m Manifest) -> Self {
        let defined = manifest.entries.iter().filter(|entry| entry.definition.is_some());
        Self(
            defined
                .map(|entry: &Entry| {
                    let schema = entry.schema.as_ref().map(DbText::as_bytes);
                    (entry.kind.as_str(), schema, entry.name.as_bytes())
                })
                .collect(),
        )
    }

    fn has(&self, kind: &str, schema: &DbText, name: &[u8]) -> bool {
        self.0.contains(&(kind, Some(schema.as_bytes()), name))
    }

    /// Policies and constraints have the name of their table and a space before their own.
    fn has_of_table(&self, kind: &str, table: &Table, name: &DbText) -> bool {
        let name = [table.name.as_bytes(), b" ", name.as_bytes()].concat();
        self.has(kind, &table.schema, &name)
    }
}

/// A table that the extension makes which it belongs to has no entries of its own, nor have its indexes.
fn is_of_extension(table: &Table) -> bool {
    table.filter.is_some()
}

fn check_table(table: &Table, definitions: &Definitions<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let subject = table.display_name();
    let mut error = |rule, message: String| findings.push(Finding::error(rule, &subject, message));
    let kind = match table.kind {
        TableKind::Foreign => "FOREIGN TABLE",
        TableKind::Table | TableKind::Partitioned => "TABLE",
    };
    if !definitions.has(kind, &table.schema, table.name.as_bytes()) {
        if !is_of_extension(table) {
            error("table-definition", "the backup has no definition of it".to_owned());
        }
        return findings;
    }
    if table.row_security != RowSecurity::Off && !definitions.has("ROW SECURITY", &table.schema, table.name.as_bytes())
    {
        error(
            "row-security",
            "it has row level security, and the backup does not enable it".to_owned(),
        );
    }
    for policy in &table.policies {
        if !definitions.has_of_table("POLICY", table, policy) {
            error("policy", format!("the backup lacks its policy {policy}"));
        }
    }
    for index in &table.indexes {
        // The index of a key comes with the constraint, and they have one name. An index of a partition has an entry of
        // its own, whether or not it is attached to one of the parent's.
        let defined = definitions.has("INDEX", &table.schema, index.as_bytes())
            || definitions.has_of_table("CONSTRAINT", table, index);
        if !defined {
            error("index", format!("the backup lacks its index {index}"));
        }
    }
    findings
}

fn check_extensions(manifest: &Manifest, definitions: &Definitions<'_>, findings: &mut Vec<Finding>) {
    for (index, extension) in manifest.source.extensions.iter().enumerate() {
        let name = extension.name.as_bytes();
        let entry = definitions
            .0
            .iter()
            .any(|&(kind, _, entry)| kind == "EXTENSION" && entry == name);
        if entry || extension.name == *BUILT_IN_EXTENSION {
            continue;
        }
        // A backup of a part of a database has no extensions, and says among its omissions that it is one.
        let severity = if manifest.omissions.is_empty() {
            Severity::Error
        } else {
            Severity::Warning
        };
        let message = "the database has this extension, and the backup does not create it";
        findings.push(Finding::new(severity, "extension", &extension.name, message).at(index));
    }
}

fn check_volume(manifest: &Manifest, findings: &mut Vec<Finding>) {
    if manifest.row_count() == 0 {
        let message = if manifest.tables.is_empty() {
            "the backup has no table"
        } else {
            "the backup has no row of any table"
        };
        findings.push(Finding::warning("no-rows", &manifest.source.database, message));
    }
    for (index, table) in manifest.tables.iter().enumerate() {
        let empty = matches!(&table.rows, TableRows::Included { digest, .. } if digest.rows() == 0);
        if empty && table.heap_bytes > EMPTY_HEAP_BYTES_MAX && !is_of_extension(table) {
            let message = "the table was large on the server, and no row of it was visible";
            findings.push(
                Finding::note("empty-but-large", table.display_name(), message)
                    .with("on the server", format!("{} bytes", table.heap_bytes))
                    .at(index),
            );
        }
    }
}
