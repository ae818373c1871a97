//! Proving that a database holds the rows of a backup: each is read again and the digests are compared.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use backstay_core::RowDigest;
use backstay_core::manifest::{LargeObjects, Manifest, Sequence, TableKind, TableRows};
use backstay_core::sql::{quote_identifier, quote_literal, quote_qualified};

use super::{RestoreEvent, RestoreObserver, TargetError};
use crate::CancelToken;
use crate::config::ConnectionConfig;
use crate::plan::{chunk_pages, chunks};
use crate::session;
use crate::source::large_objects::{Access, LargeObjectDigest, for_each_piece};
use crate::wire::{Row, WireConnection, WireError};

/// The outcome of a proof.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProofReport {
    /// Tables, or roots of partitions, that were compared.
    pub tables: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Sequences that were compared.
    pub sequences: u64,
    /// What is different.
    pub mismatches: Vec<ProofMismatch>,
}

/// Something that is different in the copy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProofMismatch {
    /// What kind of thing.
    pub kind: MismatchKind,
    /// What, for people.
    pub what: String,
    /// What the backup says.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// What a proof compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what holds data is of one of these kinds")]
pub enum MismatchKind {
    /// Rows of a table, or of all leaves of a root.
    Rows,
    /// The value of a sequence.
    Sequence,
    /// Large objects.
    LargeObjects,
}

impl ProofReport {
    /// Whether nothing is different.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.mismatches.is_empty()
    }
}

/// Tables whose rows count together: one table, or all leaves of a root through which rows are loaded.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) digest: RowDigest,
    /// Quoted name of the table or root.
    relation: Vec<u8>,
    columns: Vec<u8>,
    filter: Vec<u8>,
    /// Whether rows of other tables must be kept out (`ONLY`).
    only: bool,
    text_bytes: u64,
}

impl Group {
    /// What follows `FROM` to read the group's rows.
    pub(super) fn relation_clause(&self) -> Vec<u8> {
        let mut clause = if self.only { b"ONLY ".to_vec() } else { Vec::new() };
        clause.extend_from_slice(&self.relation);
        clause.push(b' ');
        clause.extend_from_slice(&self.filter);
        clause
    }
}

/// The groups of the selected tables that have rows in the backup.
pub(super) fn groups(manifest: &Manifest, selected: impl Fn(usize) -> bool) -> Vec<Group> {
    let mut groups: BTreeMap<u32, Group> = BTreeMap::new();
    for (index, table) in manifest.tables.iter().enumerate() {
        let TableRows::Included { digest, text_bytes } = &table.rows else {
            continue;
        };
        if table.kind != TableKind::Table || !selected(index) {
            continue;
        }
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let root = table.load_through.unwrap_or(index);
        let of = &manifest.tables[root as usize];
        let group = groups.entry(root).or_insert_with(|| {
            let columns: Vec<Vec<u8>> = table
                .columns
                .iter()
                .map(|c| quote_identifier(c.name.as_bytes()))
                .collect();
            Group {
                name: of.display_name(),
                digest: RowDigest::default(),
                relation: quote_qualified(of.schema.as_bytes(), of.name.as_bytes()),
                columns: columns.join(&b", "[..]),
                filter: table.filter.clone().unwrap_or_default().into_bytes(),
                only: root == index,
                text_bytes: 0,
            }
        });
        group.digest.merge(digest);
        group.text_bytes += text_bytes;
    }
    groups.into_values().collect()
}

/// Compares a database with a backup: every row of every table, sequences, large objects.
///
/// # Errors
/// Only what keeps it from looking; what is different stands in the report.
pub fn prove_copy(
    manifest: &Manifest,
    config: &ConnectionConfig,
    jobs: usize,
    observer: &dyn RestoreObserver,
    cancel: &CancelToken,
) -> Result<ProofReport, TargetError> {
    super::on_a_thread(|| {
        prove(
            manifest,
            |_| true,
            Some(&manifest.sequences),
            config,
            jobs,
            observer,
            cancel,
        )
    })
}

struct Piece {
    group: usize,
    sql: Vec<u8>,
    bytes: u64,
}

/// Without sequences only rows are compared.
pub(super) fn prove(
    manifest: &Manifest,
    selected: impl Fn(usize) -> bool,
    sequences: Option<&[Sequence]>,
    config: &ConnectionConfig,
    jobs: usize,
    observer: &dyn RestoreObserver,
    cancel: &CancelToken,
) -> Result<ProofReport, TargetError> {
    let encoding = &manifest.source.encoding;
    let groups = groups(manifest, selected);
    let mut holder = WireConnection::connect(config, cancel)?;
    session::prepare(&mut holder, encoding, session::READING)?;
    let failed = |doing| move |source| TargetError::Wire { doing, source };
    holder
        .execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .map_err(failed("begin the proof"))?;
    let rows = holder
        .query(b"SELECT pg_catalog.pg_export_snapshot()")
        .map_err(failed("take a snapshot"))?;
    let snapshot = rows.first().and_then(|row| row.get(0)).unwrap_or_default().to_vec();
    let pieces = pieces(&mut holder, &groups)?;

    let hasher = manifest.row_hasher();
    let next = AtomicUsize::new(0);
    let sums: Mutex<Vec<Result<RowDigest, String>>> = Mutex::new(vec![Ok(RowDigest::default()); groups.len()]);
    let fatal: Mutex<Option<TargetError>> = Mutex::default();
    let work = || -> Result<(), TargetError> {
        let mut connection = WireConnection::connect(config, cancel)?;
        session::prepare(&mut connection, encoding, session::READING)?;
        let import = [b"SET TRANSACTION SNAPSHOT ".to_vec(), quote_literal(&snapshot)].concat();
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            // A transaction each: a table that is missing must not spoil the next.
            connection
                .execute(
                    &[
                        b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ".to_vec(),
                        import.clone(),
                    ]
                    .concat(),
                )
                .map_err(failed("share the snapshot"))?;
            let mut digest = RowDigest::default();
            let read = connection.copy_out(&piece.sql, |row| {
                hasher.add_row(&mut digest, &row[..row.len() - 1]);
                Ok::<(), WireError>(())
            });
            let outcome = match read {
                Ok(_) => Ok(digest),
                Err(error) if error.server_error().is_some() => Err(error.to_string()),
                Err(source) => {
                    return Err(TargetError::Wire {
                        doing: "read the copy",
                        source,
                    });
                }
            };
            connection.execute(b"ROLLBACK").map_err(failed("end the proof"))?;
            let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
            match (&mut sums[piece.group], outcome) {
                (Ok(sum), Ok(digest)) => sum.merge(&digest),
                (sum @ Ok(_), Err(error)) => *sum = Err(error),
                (Err(_), _) => {}
            }
            drop(sums);
            observer.event(RestoreEvent::Rows {
                table: &groups[piece.group].name,
                text_bytes: piece.bytes,
            });
        }
        connection.close();
        Ok(())
    };
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, pieces.len().max(1)) {
            scope.spawn(|| {
                if let Err(error) = work() {
                    fatal
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get_or_insert(error);
                    next.store(usize::MAX / 2, Ordering::Relaxed);
                }
            });
        }
    });
    if let Some(error) = fatal.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut report = ProofReport {
        tables: groups.len() as u64,
        ..ProofReport::default()
    };
    for (group, sum) in groups
        .iter()
        .zip(sums.into_inner().unwrap_or_else(PoisonError::into_inner))
    {
        report.rows += sum.as_ref().map_or(0, RowDigest::rows);
        if sum.as_ref() != Ok(&group.digest) {
            report.mismatches.push(ProofMismatch {
                kind: MismatchKind::Rows,
                what: format!("rows of {}", group.name),
                expected: describe(&group.digest),
                found: sum.map_or_else(|error| error, |digest| describe(&digest)),
            });
        }
    }
    if let Some(sequences) = sequences {
        compare_sequences(&mut holder, sequences, &mut report)?;
        compare_large_objects(&mut holder, manifest, &mut report)?;
    }
    holder.close();
    Ok(report)
}

fn describe(digest: &RowDigest) -> String {
    format!("{} rows, digest {}", digest.rows(), digest.sum_hex())
}

/// Cuts the groups into pieces that several connections read, by the pages that the copy has.
fn pieces(holder: &mut WireConnection, groups: &[Group]) -> Result<Vec<Piece>, TargetError> {
    let version = holder
        .server_parameter("server_version")
        .and_then(|v| v.split(['.', ' ']).next()?.parse().ok());
    let by_pages = version.is_some_and(|major: u32| major >= 14);
    let mut pieces = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let select = |more: &str| {
            let mut sql = b"COPY (SELECT ".to_vec();
            sql.extend_from_slice(&group.columns);
            sql.extend_from_slice(b" FROM ");
            sql.extend(group.relation_clause());
            sql.extend_from_slice(more.as_bytes());
            sql.extend_from_slice(b") TO STDOUT");
            sql
        };
        let (pages, bytes) = if by_pages && group.only && group.filter.is_empty() {
            size(holder, group)
        } else {
            (0, 0)
        };
        let chunk = chunk_pages(pages, bytes, 8192).saturating_mul(8);
        if pages <= chunk {
            pieces.push(Piece {
                group: index,
                sql: select(""),
                bytes: group.text_bytes,
            });
            continue;
        }
        let all: Vec<_> = chunks(pages, chunk).collect();
        let share = group.text_bytes / all.len() as u64;
        for part in all {
            let upper = part
                .end_page
                .map(|end| format!(" AND ctid < '({end},0)'"))
                .unwrap_or_default();
            let sql = select(&format!("WHERE ctid >= '({},0)'{upper}", part.first_page));
            pieces.push(Piece {
                group: index,
                sql,
                bytes: share,
            });
        }
    }
    Ok(pieces)
}

/// Pages of the main fork and bytes with TOAST of a heap table; nothing where that is not known.
fn size(holder: &mut WireConnection, group: &Group) -> (u32, u64) {
    let mut sql = b"SELECT pg_catalog.pg_relation_size(c.oid) / 8192, pg_catalog.pg_relation_size(c.oid) \
        + CASE WHEN c.reltoastrelid <> 0 THEN pg_catalog.pg_relation_size(c.reltoastrelid) ELSE 0 END \
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam \
        WHERE a.amname = 'heap' AND c.oid = pg_catalog.to_regclass("
        .to_vec();
    sql.extend(quote_literal(&group.relation));
    sql.extend_from_slice(b")");
    let rows = holder.query(&sql).unwrap_or_default();
    let number = |column| {
        let text = rows.first().and_then(|row| row.get(column))?;
        std::str::from_utf8(text).ok()?.parse::<u64>().ok()
    };
    (
        number(0).and_then(|pages| u32::try_from(pages).ok()).unwrap_or(0),
        number(1).unwrap_or(0),
    )
}

fn compare_sequences(
    holder: &mut WireConnection,
    sequences: &[Sequence],
    report: &mut ProofReport,
) -> Result<(), TargetError> {
    for sequence in sequences {
        let mut sql = b"SAVEPOINT s; SELECT last_value, is_called FROM ".to_vec();
        sql.extend(quote_qualified(sequence.schema.as_bytes(), sequence.name.as_bytes()));
        let expected = format!(
            "{} {}",
            sequence.last_value,
            if sequence.is_called { "called" } else { "not called" }
        );
        let found = match holder.query(&sql) {
            Ok(rows) => match rows.first() {
                Some(row) => {
                    let value = String::from_utf8_lossy(row.get(0).unwrap_or_default()).into_owned();
                    let called = if row.get(1) == Some(b"t") {
                        "called"
                    } else {
                        "not called"
                    };
                    format!("{value} {called}")
                }
                None => "nothing".to_owned(),
            },
            Err(error) if error.server_error().is_some() => error.to_string(),
            Err(source) => {
                return Err(TargetError::Wire {
                    doing: "read a sequence",
                    source,
                });
            }
        };
        holder
            .execute(b"ROLLBACK TO SAVEPOINT s")
            .map_err(|source| TargetError::Wire {
                doing: "read a sequence",
                source,
            })?;
        report.sequences += 1;
        if found != expected {
            let what = format!("sequence {}.{}", sequence.schema, sequence.name);
            report.mismatches.push(ProofMismatch {
                kind: MismatchKind::Sequence,
                what,
                expected,
                found,
            });
        }
    }
    Ok(())
}

/// Compares the large objects of the backup; a target that was not empty may have others beside them.
fn compare_large_objects(
    holder: &mut WireConnection,
    manifest: &Manifest,
    report: &mut ProofReport,
) -> Result<(), TargetError> {
    let failed = |source| TargetError::Wire {
        doing: "read the large objects",
        source,
    };
    let Some(expected) = &manifest.large_objects else {
        return Ok(());
    };
    let oids: HashSet<u32> = manifest
        .entries
        .iter()
        .filter(|entry| entry.kind == "LARGE OBJECT")
        .filter_map(|entry| entry.name.to_lossy().strip_prefix("LARGE OBJECT ")?.parse().ok())
        .collect();
    let readable = holder
        .query(b"SELECT pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')")
        .map_err(failed)?;
    let readable = readable.first().and_then(|row| row.get(0)) == Some(b"t");
    let access = if readable { Access::Table } else { Access::Function };
    let rows = holder
        .query(b"SELECT oid FROM pg_catalog.pg_largeobject_metadata")
        .map_err(failed)?;
    let oid = |row: &Row| std::str::from_utf8(row.get(0)?).ok()?.parse().ok();
    let count = rows.iter().filter_map(oid).filter(|oid| oids.contains(oid)).count() as u64;
    let mut digest = LargeObjectDigest::new(manifest.row_hasher());
    for_each_piece(holder, access, |oid, offset, hex| {
        if oids.contains(&oid) {
            digest.piece(oid, offset, hex);
        }
        Ok::<(), WireError>(())
    })
    .map_err(failed)?;
    let found = digest.finish(count);
    if found != *expected {
        let describe =
            |l: &LargeObjects| format!("{} objects, {} bytes, digest {}", l.count, l.bytes, l.digest.sum_hex());
        report.mismatches.push(ProofMismatch {
            kind: MismatchKind::LargeObjects,
            what: "large objects".to_owned(),
            expected: describe(expected),
            found: describe(&found),
        });
    }
    Ok(())
}
