//! The rows of a person as files, and what describes them.

use std::collections::BTreeSet;

use backstay_core::Prefix;
use backstay_postgres::{CancelToken, CsvHeader, Row, WireConnection};
use jiff::Timestamp;
use serde::Serialize;

use super::SubjectExport;
use super::graph::Graph;
use super::search::{Found, batches, ctids};
use crate::error::ExportError;
use crate::id::ExportId;
use crate::json_lines;
use crate::output::{ExportFile, Output, Published, name_of};
use crate::request::{ExportOptions, ExportPlace};
use crate::session::Session;

#[derive(Serialize)]
struct DescriptionJson {
    writer: &'static str,
    taken_at: Timestamp,
    tables: Vec<TableJson>,
}

#[derive(Serialize)]
struct TableJson {
    table: String,
    comment: Option<String>,
    rows: u64,
    /// How the rows were found.
    by: Vec<String>,
    files: Vec<FileJson>,
    columns: Vec<ColumnJson>,
}

#[derive(Serialize)]
struct FileJson {
    name: String,
    bytes: u64,
    sha256: String,
}

#[derive(Serialize)]
struct ColumnJson {
    name: String,
    #[serde(skip)]
    quoted: String,
    r#type: String,
    nullable: bool,
    comment: Option<String>,
}

pub(super) fn write(
    connection: &mut WireConnection,
    graph: &Graph,
    found: &Found,
    place: &ExportPlace,
    now: Timestamp,
    options: &ExportOptions,
    cancel: &CancelToken,
) -> Result<SubjectExport, ExportError> {
    Session::shape_exactly(connection)?;
    // It has the form of an id of an export, and is no export that others list: what belongs to a person is kept apart.
    let id = ExportId::new(Prefix::for_database("subject"), now);
    let place = ExportPlace {
        folder: place.key(&id.to_string())?,
        ..place.clone()
    };
    if let Some(object) = place.store.list(&format!("{}/", place.folder))?.first() {
        return Err(ExportError::Exists {
            key: object.key.clone(),
        });
    }
    let plan = found.plan(graph);
    let mut published = Published::new(&*place.store, options.read_back);
    let (mut files, mut tables, mut stems) = (Vec::new(), Vec::new(), BTreeSet::new());
    for root in found.roots(graph) {
        let name = graph.name(root);
        let columns = columns(connection, root, name)?;
        let stem = stem(name, &mut stems);
        let mut of_table = Vec::new();
        for form in [Form::Csv, Form::Json] {
            let mut output = Output::create(&place, &format!("{stem}.{}", form.extension()), None)?;
            write_rows(connection, graph, found, root, &columns, form, &mut output)?;
            of_table.push(output.finish(&mut published)?);
        }
        let planned = plan.tables.iter().find(|table| table.table == name);
        tables.push(TableJson {
            table: name.to_owned(),
            comment: comment(connection, root, name)?,
            rows: planned.map_or(0, |table| table.rows),
            by: planned.map(|table| table.by.clone()).unwrap_or_default(),
            files: of_table.iter().map(file_json).collect(),
            columns,
        });
        files.extend(of_table);
    }
    if cancel.is_cancelled() {
        return Err(ExportError::Cancelled);
    }
    tables.sort_by(|a, b| a.table.cmp(&b.table));
    let description = DescriptionJson {
        writer: concat!("backstay ", env!("CARGO_PKG_VERSION")),
        taken_at: now,
        tables,
    };
    let mut json = serde_json::to_vec_pretty(&description).unwrap_or_default();
    json.push(b'\n');
    let mut key = place.key("description.json")?;
    if let Some(sealer) = &place.sealer {
        let mut sealed = Vec::new();
        let mut sealing = sealer.begin()?;
        sealing.seal(&json, &mut sealed)?;
        sealing.finish(&mut sealed)?;
        json = sealed;
        key = place.key(&format!("description.json.{}", sealer.method().extension()))?;
    }
    published.commit(&key, &json)?;
    Ok(SubjectExport {
        plan,
        files,
        description: key,
    })
}

fn file_json(file: &ExportFile) -> FileJson {
    FileJson {
        name: name_of(&file.key).to_owned(),
        bytes: file.bytes,
        sha256: file.sha256.to_string(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

impl Form {
    fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

fn write_rows(
    connection: &mut WireConnection,
    graph: &Graph,
    found: &Found,
    root: u32,
    columns: &[ColumnJson],
    form: Form,
    output: &mut Output,
) -> Result<(), ExportError> {
    let list: Vec<String> = columns.iter().map(|column| format!("t.{}", column.quoted)).collect();
    let list = list.join(", ");
    let mut is_first = true;
    let mut buffer = Vec::new();
    if form == Form::Json {
        output.write(b"[")?;
    }
    for (stored, rows) in found.stored_in(graph, root) {
        for batch in batches(rows) {
            let query = format!(
                "SELECT {list} FROM ONLY {} t WHERE t.ctid = ANY ('{}'::tid[])",
                graph.name(stored),
                ctids(&batch)
            );
            let read = match form {
                Form::Csv => {
                    let (header, option) = match is_first {
                        true => (CsvHeader::Present, ", HEADER"),
                        false => (CsvHeader::Absent, ""),
                    };
                    let copy = format!("COPY ({query}) TO STDOUT (FORMAT csv{option})");
                    is_first = false;
                    connection.copy_out_csv(copy.as_bytes(), header, |bytes| output.write(bytes))?
                }
                Form::Json => connection.copy_out(json_lines::copy_statement(&query).as_bytes(), |row| {
                    output.write(if is_first { b"\n" } else { b",\n" })?;
                    is_first = false;
                    output.write(json_lines::line(row, &mut buffer)?)
                })?,
            };
            if read != batch.len() as u64 {
                return Err(ExportError::Malformed {
                    what: format!("{read} rows of {} in place of {}", graph.name(stored), batch.len()),
                });
            }
        }
    }
    if form == Form::Json {
        output.write(b"\n]\n")?;
    }
    Ok(())
}

fn columns(connection: &mut WireConnection, table: u32, name: &str) -> Result<Vec<ColumnJson>, ExportError> {
    let sql = format!(
        "SELECT attname, pg_catalog.quote_ident(attname), pg_catalog.format_type(atttypid, atttypmod), attnotnull, \
         pg_catalog.col_description(attrelid, attnum) FROM pg_catalog.pg_attribute \
         WHERE attrelid = {table} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    );
    let rows = connection
        .query(sql.as_bytes())
        .map_err(ExportError::wire(format!("read the columns of {name}")))?;
    Ok(rows
        .iter()
        .map(|row| ColumnJson {
            name: text(row, 0).unwrap_or_default(),
            quoted: text(row, 1).unwrap_or_default(),
            r#type: text(row, 2).unwrap_or_default(),
            nullable: row.get(3) != Some(b"t"),
            comment: text(row, 4),
        })
        .collect())
}

fn comment(connection: &mut WireConnection, table: u32, name: &str) -> Result<Option<String>, ExportError> {
    let sql = format!("SELECT pg_catalog.obj_description({table}, 'pg_class')");
    let rows = connection
        .query(sql.as_bytes())
        .map_err(ExportError::wire(format!("read the comment on {name}")))?;
    Ok(rows.first().and_then(|row| text(row, 0)))
}

fn text(row: &Row, column: usize) -> Option<String> {
    row.get(column).map(|value| String::from_utf8_lossy(value).into_owned())
}

/// The first part of the names of a table's files: its name, without what not every file system takes.
fn stem(table: &str, taken: &mut BTreeSet<String>) -> String {
    const CHARS_MAX: usize = 100;
    let plain: String = table
        .chars()
        .filter(|c| *c != '"')
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '-'
            }
        })
        .take(CHARS_MAX)
        .collect();
    let plain = plain.trim_start_matches('.');
    let mut stem = plain.to_owned();
    let mut number = 2;
    // Some file systems do not tell capitals.
    while !taken.insert(stem.to_lowercase()) {
        stem = format!("{plain}-{number}");
        number += 1;
    }
    stem
}
