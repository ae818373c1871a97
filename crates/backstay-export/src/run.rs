//! Named exports, all in one snapshot.

use backstay_core::Prefix;
use backstay_core::sql::quote_literal;
use backstay_postgres::{CancelToken, ConnectionConfig, CsvHeader, WireConnection};
use jiff::Timestamp;

use crate::columns::{Column, describe, one_value};
use crate::error::ExportError;
use crate::id::ExportId;
use crate::json_lines;
use crate::manifest::{ColumnJson, ContentsJson, ExportManifest, ExportSeal};
use crate::output::{ExportFile, Output, Published, name_of};
use crate::parquet::ParquetWriter;
use crate::request::{Export, ExportFormat, ExportOptions, ExportRows};
use crate::session::{Afterwards, Session, blocked, guarded, refuse_replaced};
use crate::source::ExportSource;

/// An export that was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PublishedExport {
    /// What stands in its manifest.
    pub manifest: ExportManifest,
    /// Its file.
    pub file: ExportFile,
    /// The database, where it is known of which cluster that is.
    pub source: Option<ExportSource>,
}

/// Makes exports of the database at `source`, all of them in one snapshot; `now` becomes their time and a part of their
/// ids. Gives what became of each, in their order: one that fails does not spoil the others, unless the snapshot is lost
/// with it.
///
/// Nothing is written to the database, and no file of the server is used.
///
/// # Errors
/// Nothing was exported: no connection, no snapshot, or it was cancelled before that; later, those that were not made are
/// [`ExportError::Cancelled`]. Whatever the error of one export, the store does
/// not hold it then, unless it is [`ExportError::Unknown`], which says so.
#[expect(clippy::type_complexity, reason = "a name and what became of it")]
pub fn export_data(
    source: &ConnectionConfig,
    exports: &[Export],
    now: Timestamp,
    options: &ExportOptions,
    cancel: &CancelToken,
) -> Result<Vec<(Prefix, Result<PublishedExport, ExportError>)>, ExportError> {
    export_from(source, None, exports, now, options, cancel)
}

/// Makes exports in a snapshot that somebody exported, and holds until this is done: that of a backup. All else is as
/// [`export_data`] does it.
///
/// # Errors
/// Those of [`export_data`]; a table that was emptied or rewritten since the snapshot, and was not locked by whoever holds it, is
/// [`ExportError::Replaced`] for the exports that read it.
#[expect(clippy::type_complexity, reason = "a name and what became of it")]
pub fn export_data_in_snapshot(
    source: &ConnectionConfig,
    snapshot: &str,
    exports: &[Export],
    now: Timestamp,
    options: &ExportOptions,
    cancel: &CancelToken,
) -> Result<Vec<(Prefix, Result<PublishedExport, ExportError>)>, ExportError> {
    export_from(source, Some(snapshot), exports, now, options, cancel)
}

#[expect(clippy::type_complexity, reason = "a name and what became of it")]
fn export_from(
    source: &ConnectionConfig,
    snapshot: Option<&str>,
    exports: &[Export],
    now: Timestamp,
    options: &ExportOptions,
    cancel: &CancelToken,
) -> Result<Vec<(Prefix, Result<PublishedExport, ExportError>)>, ExportError> {
    let mut session = Session::connect(source, cancel)?;
    let plan =
        |connection: &mut WireConnection, export| plan(connection, export).map_err(|error| blocked(error, options));
    // In a snapshot of others each is planned by itself, so that a table that is locked too late spoils no other export.
    let mut planned = match snapshot {
        Some(snapshot) => {
            session.join(snapshot, options)?;
            None
        }
        None => Some(session.snapshot(options, |connection| {
            let planned = exports.iter().map(|export| plan(connection, export));
            Ok::<_, ExportError>(planned.collect::<Vec<_>>().into_iter())
        })?),
    };
    let facts = session.facts()?;
    let mut results = Vec::new();
    for export in exports {
        let further = match results.len() + 1 < exports.len() {
            true => Further::Follow,
            false => Further::None,
        };
        let planned = planned.as_mut().and_then(Iterator::next);
        let make = |connection: &mut WireConnection, planned: Planned| {
            let of = ContentsJson {
                database: facts.database.clone(),
                snapshot: facts.snapshot.clone(),
                of: match &export.rows {
                    ExportRows::Table(table) => table.clone(),
                    ExportRows::Query(query) => query.clone(),
                },
                columns: planned.columns.iter().map(column_json).collect(),
            };
            let rows = |output: &mut Output| {
                guarded(connection, Afterwards::Undo, |connection| {
                    let rows = write_rows(connection, export, &planned, further, output)?;
                    refuse_replaced(connection)?;
                    Ok(rows)
                })
            };
            make(export, rows, of, facts.source(), now, options, cancel)
        };
        let connection = &mut session.connection;
        let made = match planned {
            Some(Err(error)) => Err(error),
            _ if cancel.is_cancelled() => Err(ExportError::Cancelled),
            _ if connection.is_broken() => Err(ExportError::SnapshotLost),
            Some(Ok(planned)) => make(connection, planned),
            None => guarded(connection, Afterwards::Undo, |connection| {
                let planned = plan(connection, export)?;
                make(connection, planned)
            }),
        };
        results.push((export.name.clone(), made.map_err(|error| error.or_cancelled(cancel))));
    }
    session.connection.close();
    Ok(results)
}

fn column_json(column: &Column) -> ColumnJson {
    ColumnJson {
        name: column.name.clone(),
        r#type: column.type_name.clone(),
    }
}

/// A query that the server can run, and its columns.
struct Planned {
    query: String,
    columns: Vec<Column>,
}

/// Plans a query without running it, which locks its tables.
fn plan(connection: &mut WireConnection, export: &Export) -> Result<Planned, ExportError> {
    guarded(connection, Afterwards::Keep, |connection| {
        let query = match &export.rows {
            ExportRows::Query(query) => query.trim().trim_end_matches(';').to_owned(),
            ExportRows::Table(table) => {
                let literal = String::from_utf8_lossy(&quote_literal(table.as_bytes())).into_owned();
                let name = one_value(connection, &format!("SELECT {literal}::pg_catalog.regclass"))
                    .map_err(ExportError::wire(format!("find the table {table}")))?;
                format!("SELECT * FROM {}", name.unwrap_or_default())
            }
        };
        // In lines of their own, because the last may end with a comment.
        let (described, _) = connection
            .query_described(format!("SELECT * FROM (\n{query}\n) AS x LIMIT 0").as_bytes())
            .map_err(ExportError::wire("plan the query"))?;
        let columns = describe(connection, &described)?;
        if export.format != ExportFormat::Csv {
            refuse_same(&columns, export.format.name())?;
        }
        if export.format == ExportFormat::Parquet && columns.is_empty() {
            return Err(ExportError::NoColumn {
                format: export.format.name(),
            });
        }
        Ok(Planned { query, columns })
    })
}

fn refuse_same(columns: &[Column], format: &'static str) -> Result<(), ExportError> {
    let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(ExportError::SameColumn {
            column: pair[0].to_owned(),
            format,
        }),
        None => Ok(()),
    }
}

fn make(
    export: &Export,
    write_rows: impl FnOnce(&mut Output) -> Result<u64, ExportError>,
    contents: ContentsJson,
    source: Option<ExportSource>,
    now: Timestamp,
    options: &ExportOptions,
    cancel: &CancelToken,
) -> Result<PublishedExport, ExportError> {
    let id = ExportId::new(export.name.clone(), now);
    let place = &export.place;
    if let Some(object) = place.store.list(place.key(&format!("{id}."))?.as_str())?.first() {
        return Err(ExportError::Exists {
            key: object.key.clone(),
        });
    }
    let name = format!("{id}.{}", export.format);
    // The pages of Parquet are compressed one by one, so that readers may skip.
    let of_file = export.compression.filter(|_| export.format != ExportFormat::Parquet);
    let mut output = Output::create(place, &name, of_file)?;
    let rows = write_rows(&mut output)?;
    let mut published = Published::new(&*place.store, options.read_back);
    let file = output.finish(&mut published)?;
    if cancel.is_cancelled() {
        return Err(ExportError::Cancelled);
    }
    let seal = place.sealer.as_ref().map(|sealer| ExportSeal {
        method: sealer.method().extension().to_owned(),
        recipients: sealer.recipients(),
    });
    let manifest = ExportManifest {
        taken_at: now,
        format: export.format,
        compression: export.compression,
        rows,
        file: name_of(&file.key).to_owned(),
        bytes: file.bytes,
        sha256: file.sha256,
        source: source.as_ref().map(|source| source.fingerprint(&id)),
        contents: Some(contents).filter(|_| seal.is_none()),
        seal,
        writer: concat!("backstay ", env!("CARGO_PKG_VERSION")).to_owned(),
        id: id.clone(),
    };
    published.commit(&place.key(&format!("{id}.manifest.json"))?, &manifest.to_json())?;
    Ok(PublishedExport { manifest, file, source })
}

/// Whether other exports are to be read in the same snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Further {
    Follow,
    None,
}

/// Reads the rows and writes them. Gives their number.
fn write_rows(
    connection: &mut WireConnection,
    export: &Export,
    planned: &Planned,
    further: Further,
    output: &mut Output,
) -> Result<u64, ExportError> {
    let query = &planned.query;
    match export.format {
        ExportFormat::Csv => {
            let copy = format!("COPY (\n{query}\n) TO STDOUT (FORMAT csv, HEADER)");
            let mut rows = Rows::new(further, |bytes: &[u8]| output.write(bytes));
            let read = connection.copy_out_csv(copy.as_bytes(), CsvHeader::Present, |bytes| rows.take(bytes))?;
            rows.finish(read)
        }
        ExportFormat::JsonLines => {
            Session::shape_exactly(connection)?;
            let mut buffer = Vec::new();
            let mut rows = Rows::new(further, |row: &[u8]| {
                output.write(json_lines::line(row, &mut buffer)?)?;
                output.write(b"\n")
            });
            let copy = json_lines::copy_statement(query);
            let read = connection.copy_out(copy.as_bytes(), |row| rows.take(row))?;
            rows.finish(read)
        }
        ExportFormat::Parquet => {
            Session::shape_exactly(connection)?;
            let mut parquet = ParquetWriter::new(output, &planned.columns, export.compression)?;
            let copy = format!("COPY (\n{query}\n) TO STDOUT");
            let mut rows = Rows::new(further, |row: &[u8]| parquet.row(row));
            let read = connection.copy_out(copy.as_bytes(), |row| rows.take(row))?;
            let read = rows.finish(read)?;
            parquet.finish()?;
            Ok(read)
        }
    }
}

/// Rows on their way. A COPY can only be left with its connection, so where others need that, what comes after a failure is
/// read for nothing.
struct Rows<W> {
    further: Further,
    write: W,
    failed: Option<ExportError>,
}

impl<W: FnMut(&[u8]) -> Result<(), ExportError>> Rows<W> {
    fn new(further: Further, write: W) -> Self {
        Self {
            further,
            write,
            failed: None,
        }
    }

    fn take(&mut self, row: &[u8]) -> Result<(), ExportError> {
        if self.failed.is_some() {
            return Ok(());
        }
        match (self.write)(row) {
            Err(error) if self.further == Further::Follow => {
                self.failed = Some(error);
                Ok(())
            }
            written => written,
        }
    }

    fn finish(self, read: u64) -> Result<u64, ExportError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(read),
        }
    }
}
