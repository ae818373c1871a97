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
    /// The columns of each key that every row has, and no two rows alike.
    keys: Vec<Vec<Vec<u8>>>,
}

/// Index and column of what keeps a row from being there twice: indexes over all rows, whose keys are columns that are never
/// null, since nulls are not equal. An index with an expression is none of them.
const KEYS: &[u8] = b"SELECT i.indexrelid, a.attname \
    FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place) \
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
    WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND k.place <= i.indnkeyatts \
      AND NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) n LEFT JOIN pg_attribute o \
        ON o.attrelid = i.indrelid AND o.attnum = i.indkey[n] WHERE o.attnotnull IS NOT TRUE) \
      AND i.indrelid = ";

/// Writes the script, for the columns that both have. Tables that others refer to come first. Warns of each that it does not
/// copy back.
pub(super) fn script(
    connection: &mut WireConnection,
    manifest: &Manifest,
    tables: &[RescuedTable],
    schema: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<u8>, RescueError> {
    let mut living = Vec::new();
    let mut notes = Vec::new();
    for table in tables.iter().filter(|table| table.root.is_none()) {
        let of_backup = &manifest.tables[table.index];
        match look(connection, of_backup)? {
            Some(found) => living.push((of_backup, found)),
            None => {
                warnings.push(not_copied(of_backup, "it is not there any more"));
                notes.extend(comment(&format!(
                    "{} is not there any more: make it first, then INSERT INTO … SELECT",
                    table.name
                )));
            }
        }
    }
    let living = in_order(connection, living)?;
    let mut script = b"\\set ON_ERROR_STOP on\nBEGIN;\n".to_vec();
    for (table, found) in &living {
        script.extend(insert(table, found, schema, warnings));
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
    let doing = "look at the living tables";
    let name = quote_literal(&quote_qualified(table.schema.as_bytes(), table.name.as_bytes()));
    let sql = [
        b"SELECT c.oid, a.attname, a.attidentity = 'a' \
          FROM pg_class c LEFT JOIN pg_attribute a \
            ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
          WHERE c.relkind IN ('r', 'p') AND c.oid = to_regclass("
            .to_vec(),
        name,
        b") ORDER BY a.attnum".to_vec(),
    ];
    let rows = query(connection, &sql.concat(), doing)?;
    let Some(first) = rows.first() else { return Ok(None) };
    let oid = first.get(0).unwrap_or_default().to_vec();
    let keys = [KEYS, &quote_literal(&oid)[..], b" ORDER BY i.indexrelid, k.place"].concat();
    let keys = query(connection, &keys, doing)?;
    let of_index = keys.chunk_by(|one, next| one.get(0) == next.get(0));
    Ok(Some(Living {
        oid,
        columns: rows.iter().filter_map(|row| row.get(1)).map(<[u8]>::to_vec).collect(),
        is_identity_always: rows.iter().any(|row| row.get(2) == Some(b"t")),
        keys: of_index
            .map(|rows| rows.iter().map(|row| row.get(1).unwrap_or_default().to_vec()).collect())
            .collect(),
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

fn not_copied(table: &Table, why: &str) -> String {
    format!("the SQL copies no row of {} back: {why}", table.display_name())
}

fn insert(table: &Table, living: &Living, schema: &str, warnings: &mut Vec<String>) -> Vec<u8> {
    let (mut columns, mut lost) = (Vec::new(), Vec::new());
    for column in &table.columns {
        let quoted = quote_identifier(column.name.as_bytes());
        match living.columns.iter().any(|name| name == column.name.as_bytes()) {
            true => columns.push(quoted),
            false => lost.push(column.name.to_string()),
        }
    }
    // A key that the server fills by itself is another one each time.
    let is_filled = |key: &Vec<u8>| {
        table.columns.iter().any(|column| column.name.as_bytes() == *key) && living.columns.contains(key)
    };
    let has_key = living.keys.iter().any(|key| key.iter().all(is_filled));
    if columns.is_empty() {
        warnings.push(not_copied(table, "no column of it is left"));
        return comment(&format!("no column of {} is left", table.display_name()));
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
    if !has_key {
        warnings.push(not_copied(table, "no key tells which are missing"));
        sql.extend(comment(&format!(
            "no key without nulls, of columns in the backup, keeps a row of {} from being there twice: say which are missing, \
             in place of false",
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
    sql.extend_from_slice(match has_key {
        true => b"\n  ON CONFLICT DO NOTHING;\n",
        false => b"\n  WHERE false;\n",
    });
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
