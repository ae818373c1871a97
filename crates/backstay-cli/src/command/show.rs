use std::cmp::Reverse;
use std::collections::BTreeMap;

use backstay::manifest::{PackId, RowSecurity, Table, TableKind, TableRows, to_json};
use backstay::{Archive, Manifest, NotedFinding, NotedProof, Repository, Tag};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Columns, Form, bytes, count, harmless, print, print_text, time};
use crate::select::{SelectError, open_archive};
use crate::settle::{SettledShow, TablesShown};

use super::backup::{elsewhere, holdings, platform_text};

/// Tables that are listed where not all were asked for.
const LARGEST: usize = 10;
/// Kinds of definitions that are counted one by one.
const KINDS_SHOWN: usize = 8;

/// Tells what a backup holds.
pub(crate) fn show(settled: &SettledShow) -> Result<Exit, Failure> {
    let archive = open_archive(&settled.backup)?;
    let manifest = match &archive {
        Archive::Backup(reader) | Archive::Pack(reader) => reader.manifest(),
        Archive::Sealed { manifest, .. } => {
            let id = manifest.id.clone();
            return Err(SelectError::Sealed { id }.into());
        }
        Archive::Foreign { archive, .. } => {
            let key = archive.key.clone();
            return Err(SelectError::PlainDump { key }.into());
        }
    };
    match settled.output.form {
        Form::Json => print(&to_json(manifest))?,
        Form::Text => {
            let proof = match &archive {
                Archive::Backup(reader) => Repository::new(reader.store().clone()).newest_proof(&manifest.id)?,
                _ => None,
            };
            let proof = proof.map(|proof| proof_text(&proof)).unwrap_or_default();
            print_text(&format!("{}{proof}", text(manifest, settled.tables)))?;
        }
    }
    Ok(Exit::Done)
}

fn text(manifest: &Manifest, shown: TablesShown) -> String {
    let mut text = format!("{}\n{}", manifest.id, facts(manifest));
    let mut tables: Vec<&Table> = manifest.tables.iter().collect();
    tables.sort_by_key(|table| (Reverse(table_bytes(table)), table.schema.clone(), table.name.clone()));
    let limit = match shown {
        TablesShown::Largest => LARGEST,
        TablesShown::All => usize::MAX,
    };
    if !tables.is_empty() {
        let mut columns = Columns::default();
        columns.row(["TABLE", "ROWS", "TEXT", "ON THE SERVER", "REMARKS"]);
        for table in tables.iter().take(limit) {
            columns.row(table_row(table));
        }
        text.push_str(&format!("tables by size\n{columns}"));
    }
    if let Some(more) = tables.len().checked_sub(limit).filter(|more| *more > 0) {
        text.push_str(&format!("  and {more} more: --tables lists all\n"));
    }
    if !manifest.omissions.is_empty() {
        let mut columns = Columns::default();
        for omission in &manifest.omissions {
            columns.row([&omission.subject, &omission.reason]);
        }
        text.push_str(&format!("left out\n{columns}"));
    }
    text.push_str(&elsewhere(manifest));
    text
}

/// The newest proof, and what was found.
fn proof_text(noted: &NotedProof) -> String {
    let NotedProof { said, proof, .. } = noted;
    let outcome = if proof.passed { "passed" } else { "FAILED" };
    let mut text = format!(
        "last looked at\n  {} {outcome}, {} by {}\n",
        proof.level,
        time(said.at),
        harmless(&said.who)
    );
    let counts = [
        count(proof.findings.errors, "error", "errors"),
        count(proof.findings.warnings, "warning", "warnings"),
        count(proof.findings.notes, "note", "notes"),
    ];
    text.push_str(&format!("  {}\n", counts.join(", ")));
    for finding in &proof.findings.first {
        let NotedFinding {
            severity,
            rule,
            subject,
            message,
        } = finding;
        text.push_str(&harmless(&format!("  {severity}: [{rule}] {subject}: {message}")));
        text.push('\n');
    }
    let told = proof.findings.first.len() as u64;
    let untold = (proof.findings.errors + proof.findings.warnings).saturating_sub(told);
    if untold > 0 {
        text.push_str(&format!("  and {untold} more, which backstay verify tells\n"));
    }
    text
}

fn facts(manifest: &Manifest) -> Columns {
    let source = &manifest.source;
    let mut columns = Columns::default();
    let mut fact = |name: &str, value: String| columns.row([name.to_owned(), value]);
    let provider_locale = source.provider_locale.as_deref().unwrap_or(&source.collate);
    fact(
        "database",
        format!(
            "{}, owner {}, {}, {} {provider_locale}",
            source.database, source.owner, source.encoding, source.locale_provider
        ),
    );
    fact(
        "server",
        format!(
            "PostgreSQL {}, read by pg_dump {}",
            source.server_version, source.pg_dump_version
        ),
    );
    if let Some(platform) = platform_text(manifest) {
        fact("platform", platform);
    }
    fact("taken", format!("{} by {}", time(manifest.taken_at), manifest.writer));
    if !manifest.tags.is_empty() {
        let tags: Vec<&str> = manifest.tags.iter().map(Tag::as_str).collect();
        fact("tags", tags.join(", "));
    }
    if let Some(until) = manifest.keep_until {
        fact("keep until", time(until));
    }
    fact("holds", holdings(manifest));
    if let Some(size) = source.database_bytes {
        fact("on server", bytes(size));
    }
    fact("definitions", kinds(manifest));
    if !manifest.sequences.is_empty() {
        fact("sequences", manifest.sequences.len().to_string());
    }
    if !source.extensions.is_empty() {
        let extensions = source.extensions.iter();
        let names: Vec<String> = extensions.map(|e| format!("{} {}", e.name, e.version)).collect();
        fact("extensions", names.join(", "));
    }
    let members = manifest.members.len() as u64;
    let text_bytes: u64 = manifest.members.iter().map(|member| member.text_bytes).sum();
    fact(
        "members",
        format!(
            "{}, {} in {}, {} unpacked",
            count(members, "member", "members"),
            bytes(manifest.stored_bytes()),
            manifest.codec,
            bytes(text_bytes)
        ),
    );
    for pack in &manifest.packs {
        fact("pack", format!("{}, {}", pack.name, bytes(pack.bytes)));
        if let PackId::Sha256(digest) = pack.id {
            fact("sha256", digest.to_string());
        }
    }
    columns
}

/// `54 index, 8 policy, … and 3 others`: how many definitions of each kind, the most frequent first.
fn kinds(manifest: &Manifest) -> String {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &manifest.entries {
        *kinds.entry(entry.kind.to_lowercase()).or_default() += 1;
    }
    let mut kinds: Vec<(String, usize)> = kinds.into_iter().collect();
    kinds.sort_by_key(|(kind, count)| (Reverse(*count), kind.clone()));
    let others: usize = kinds.iter().skip(KINDS_SHOWN).map(|(_, count)| count).sum();
    let shown = kinds.into_iter().take(KINDS_SHOWN);
    let mut text = shown
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect::<Vec<_>>()
        .join(", ");
    if others > 0 {
        text.push_str(&format!(" and {others} others"));
    }
    text
}

fn table_bytes(table: &Table) -> u64 {
    match &table.rows {
        TableRows::Included { text_bytes, .. } => (*text_bytes).max(table.heap_bytes),
        TableRows::Excluded { .. } => table.heap_bytes,
    }
}

fn table_row(table: &Table) -> [String; 5] {
    let (rows, text) = match &table.rows {
        TableRows::Included { digest, text_bytes } => (digest.rows().to_string(), bytes(*text_bytes)),
        TableRows::Excluded { .. } => ("-".to_owned(), "-".to_owned()),
    };
    let mut remarks = Vec::new();
    match table.kind {
        TableKind::Table => {}
        TableKind::Partitioned => remarks.push("partitioned".to_owned()),
        TableKind::Foreign => remarks.push("foreign".to_owned()),
    }
    if table.row_security != RowSecurity::Off {
        let policies = table.policies.len() as u64;
        remarks.push(format!("RLS with {}", count(policies, "policy", "policies")));
    }
    if let TableRows::Excluded { reason } = &table.rows {
        remarks.push(format!("no rows: {reason}"));
    }
    [
        table.display_name(),
        rows,
        text,
        bytes(table.heap_bytes),
        remarks.join("; "),
    ]
}
