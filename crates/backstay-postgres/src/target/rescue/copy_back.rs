//! The script that copies rescued rows back.

use backstay_core::manifest::{Manifest, Table};
use backstay_core::sql::{quote_identifier, quote_literal, quote_qualified};

use super::{RescueError, RescuedTable, query};
use crate::wire::WireConnection;

/// A table as it is now.
struct Living {
    oid: Vec<u8>,
    /// Columns that can be inserted into.
    columns: Vec<Vec<u8>>,
    /// Whether an identity column must be told that it is to take the value.
    is_identity_always: bool,
    /// Whether something unique keeps a row from being there twice.
    has_unique: bool,
}

/// Writes the script, for the columns that both have. Tables that others refer to come first.
pub(super) fn script(
    connection: &mut WireConnection,
    manifest: &Manifest,
    tables: &[RescuedTable],
    schema: &str,
) -> Result<Vec<u8>, RescueError> {
    let mut living = Vec::new();
    let mut notes = Vec::new();
    for table in tables.iter().filter(|table| table.root.is_none()) {
        let of_backup = &manifest.tables[table.index];
        match look(connection, of_backup)? {
            Some(found) => living.push((of_backup, found)),
            None => notes.extend(comment(&format!(
                "{} is not there any more: make it first, then INSERT INTO … SELECT",
                table.name
            ))),
        }
    }
    let living = in_order(connection, living)?;
    let mut script = b"BEGIN;\n".to_vec();
    for (table, found) in &living {
        script.extend(insert(table, found, schema));
    }
    script.extend(notes);
    script.extend_from_slice(b"COMMIT;\n");
    script.extend(comment("when all is well:"));
    let drop = [
        &b"-- DROP SCHEMA "[..],
        &one_line(&quote_identifier(schema.as_bytes())),
        b" CASCADE;\n",
    ]
    .concat();
    script.extend(drop);
    Ok(script)
}

fn look(connection: &mut WireConnection, table: &Table) -> Result<Option<Living>, RescueError> {
    let name = quote_literal(&quote_qualified(table.schema.as_bytes(), table.name.as_bytes()));
    let sql = [
        b"SELECT c.oid, a.attname, a.attidentity = 'a', \
            EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate) \
          FROM pg_class c LEFT JOIN pg_attribute a \
            ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
          WHERE c.relkind IN ('r', 'p') AND c.oid = to_regclass("
            .to_vec(),
        name,
        b") ORDER BY a.attnum".to_vec(),
    ];
    let rows = query(connection, &sql.concat(), "look at the living tables")?;
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some(Living {
        oid: first.get(0).unwrap_or_default().to_vec(),
        columns: rows.iter().filter_map(|row| row.get(1)).map(<[u8]>::to_vec).collect(),
        is_identity_always: rows.iter().any(|row| row.get(2) == Some(b"t")),
        has_unique: first.get(3) == Some(b"t"),
    }))
}

/// Sorts tables so that each comes behind those that it refers to, as far as that goes.
fn in_order<'m>(
    connection: &mut WireConnection,
    mut tables: Vec<(&'m Table, Living)>,
) -> Result<Vec<(&'m Table, Living)>, RescueError> {
    let sql = b"SELECT DISTINCT conrelid, confrelid FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid";
    let rows = query(connection, sql, "look at foreign keys")?;
    let refers = |from: &Living, to: &Living| {
        let is_it = |row: &crate::wire::Row| row.get(0) == Some(&from.oid) && row.get(1) == Some(&to.oid);
        rows.iter().any(is_it)
    };
    let mut sorted = Vec::new();
    while !tables.is_empty() {
        let is_free = |at: usize| !tables.iter().any(|(_, other)| refers(&tables[at].1, other));
        // Those that refer to each other in a circle come as they are.
        let next = (0..tables.len()).find(|&at| is_free(at)).unwrap_or(0);
        sorted.push(tables.remove(next));
    }
    Ok(sorted)
}

fn insert(table: &Table, living: &Living, schema: &str) -> Vec<u8> {
    let (mut columns, mut lost) = (Vec::new(), Vec::new());
    for column in &table.columns {
        let quoted = quote_identifier(column.name.as_bytes());
        match living.columns.iter().any(|name| name == column.name.as_bytes()) {
            true => columns.push(quoted),
            false => lost.push(column.name.to_string()),
        }
    }
    let columns = columns.join(&b", "[..]);
    let mut sql = Vec::new();
    if !lost.is_empty() {
        sql.extend(comment(&format!(
            "not in {} now, or generated there: {}",
            table.display_name(),
            lost.join(", ")
        )));
    }
    if !living.has_unique {
        sql.extend(comment(&format!(
            "nothing in {} is unique, so nothing keeps a row from being there twice: say which are missing, in place of false",
            table.display_name()
        )));
    }
    sql.extend_from_slice(b"INSERT INTO ");
    sql.extend(quote_qualified(table.schema.as_bytes(), table.name.as_bytes()));
    sql.extend_from_slice(b" (");
    sql.extend_from_slice(&columns);
    sql.push(b')');
    if living.is_identity_always {
        sql.extend_from_slice(b" OVERRIDING SYSTEM VALUE");
    }
    sql.extend_from_slice(b"\n  SELECT ");
    sql.extend_from_slice(&columns);
    sql.extend_from_slice(b" FROM ");
    sql.extend(quote_qualified(schema.as_bytes(), table.name.as_bytes()));
    sql.extend_from_slice(match living.has_unique {
        true => b"\n  ON CONFLICT DO NOTHING;\n",
        false => b"\n  WHERE false;\n",
    });
    if columns.is_empty() {
        return comment(&format!("no column of {} is left", table.display_name()));
    }
    sql
}

/// A comment of one line, whatever names are in it.
fn comment(text: &str) -> Vec<u8> {
    [&b"-- "[..], &one_line(text.as_bytes()), b"\n"].concat()
}

fn one_line(text: &[u8]) -> Vec<u8> {
    text.iter()
        .map(|&byte| if byte.is_ascii_control() { b'?' } else { byte })
        .collect()
}
