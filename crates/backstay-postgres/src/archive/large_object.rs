//! Entries that stand for many large objects (format 1.16; `IssueCommandPerBlob` and `IssueACLPerBlob` of
//! `pg_backup_db.c`).

use super::{Toc, TocEntry};

/// Prints one statement for each large object in the list, which has one OID a line.
pub(super) fn for_each(list: &[u8], before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in list.split_inclusive(|&byte| byte == b'\n') {
        // A last line without its end is not a line.
        if let Some(oid) = line.strip_suffix(b"\n") {
            out.extend_from_slice(before);
            out.extend_from_slice(oid);
            out.extend_from_slice(after);
            out.extend_from_slice(b";\n");
        }
    }
    out.push(b'\n');
    out
}

/// Prints the privileges of each large object that the entry depends on: its definition has the statements for one of
/// them. `None` where it does not, or where that list of large objects is not in the archive.
pub(super) fn acl(toc: &Toc, entry: &TocEntry) -> Option<Vec<u8>> {
    let objects = toc
        .entry(*entry.dependencies.first()?)
        .filter(|objects| objects.kind == b"BLOB METADATA")?;
    let mut out = Vec::new();
    let mut rest = entry.definition.as_slice();
    while let Some(end) = find_unquoted(rest, b";") {
        let statement = &rest[..end];
        let split = find_unquoted(statement, b"LARGE OBJECT ")? + b"LARGE OBJECT ".len();
        let (before, after) = statement.split_at(split);
        let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
        out.extend_from_slice(&for_each(&objects.definition, before, &after[digits..]));
        rest = rest[end + 1..].trim_ascii_start();
    }
    Some(out)
}

/// Where the text begins outside of quoted names.
fn find_unquoted(within: &[u8], text: &[u8]) -> Option<usize> {
    let mut quoted = false;
    for (at, byte) in within.iter().enumerate() {
        if *byte == b'"' {
            quoted = !quoted;
        } else if !quoted && within[at..].starts_with(text) {
            return Some(at);
        }
    }
    None
}
