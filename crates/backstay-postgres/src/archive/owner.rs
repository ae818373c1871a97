//! Statements that give an object to its owner (`_getObjectDescription` of `pg_backup_archiver.c`).

use super::identifier::{push_identifier, push_qualified};
use super::print::PrintError;
use super::{TocEntry, large_object};

/// Prints `ALTER … OWNER TO …`; `None` for what has no owner of its own.
pub(super) fn statement(entry: &TocEntry, major: u32) -> Result<Option<Vec<u8>>, PrintError> {
    // What has no drop statement is not an object of its own.
    let Some(owner) = entry
        .owner
        .as_ref()
        .filter(|owner| !owner.is_empty() && !entry.drop_statement.is_empty())
    else {
        return Ok(None);
    };
    let mut new_owner = b" OWNER TO ".to_vec();
    push_identifier(&mut new_owner, owner, major);
    if entry.kind == b"BLOB METADATA" {
        return Ok(Some(large_object::for_each(
            &entry.definition,
            b"ALTER LARGE OBJECT ",
            &new_owner,
        )));
    }
    let mut out = b"ALTER ".to_vec();
    match entry.kind.as_slice() {
        b"COLLATION"
        | b"CONVERSION"
        | b"DOMAIN"
        | b"FOREIGN TABLE"
        | b"MATERIALIZED VIEW"
        | b"SEQUENCE"
        | b"STATISTICS"
        | b"TABLE"
        | b"TEXT SEARCH DICTIONARY"
        | b"TEXT SEARCH CONFIGURATION"
        | b"TYPE"
        | b"VIEW"
        | b"DATABASE"
        | b"PROCEDURAL LANGUAGE"
        | b"SCHEMA"
        | b"EVENT TRIGGER"
        | b"FOREIGN DATA WRAPPER"
        | b"SERVER"
        | b"PUBLICATION"
        | b"SUBSCRIPTION" => {
            // pg_dump up to 15 does so for servers older than any that matters, and we print what it prints.
            let as_table = major < 16 && matches!(entry.kind.as_slice(), b"VIEW" | b"SEQUENCE" | b"MATERIALIZED VIEW");
            out.extend_from_slice(if as_table { b"TABLE" } else { &entry.kind });
            out.push(b' ');
            push_qualified(&mut out, entry.namespace.as_deref(), &entry.tag, major);
        }
        b"BLOB" => {
            out.extend_from_slice(b"LARGE OBJECT ");
            out.extend_from_slice(&entry.tag);
        }
        // The types of the arguments belong to the name, and the drop statement has them.
        b"AGGREGATE" | b"FUNCTION" | b"OPERATOR" | b"OPERATOR CLASS" | b"OPERATOR FAMILY" | b"PROCEDURE" => {
            let named = entry.drop_statement.strip_prefix(b"DROP ");
            let named = named.ok_or(PrintError::DropStatement { dump_id: entry.dump_id })?;
            let end = named
                .iter()
                .rposition(|byte| !matches!(byte, b'\n' | b';'))
                .map_or(0, |last| last + 1);
            out.extend_from_slice(&named[..end]);
        }
        b"CAST"
        | b"CHECK CONSTRAINT"
        | b"CONSTRAINT"
        | b"DATABASE PROPERTIES"
        | b"DEFAULT"
        | b"FK CONSTRAINT"
        | b"INDEX"
        | b"RULE"
        | b"TRIGGER"
        | b"ROW SECURITY"
        | b"POLICY"
        | b"USER MAPPING" => return Ok(None),
        kind => {
            let kind = String::from_utf8_lossy(kind).into_owned();
            return Err(PrintError::UnknownOwnedKind {
                dump_id: entry.dump_id,
                kind,
            });
        }
    }
    out.extend_from_slice(&new_owner);
    out.extend_from_slice(b";\n\n");
    Ok(Some(out))
}
