//! Reading chunks of tables and making members of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backstay_core::manifest::{Chunk, MemberContent, ROWS_FOOTER, RowBlock};
use backstay_core::sql::quote_literal;
use backstay_core::{CodecError, Compression, DbText, EncodedMember, MemberEncoder, RowDigest, RowHasher};

use super::sequencer::{Sequencer, Stopped};
use super::{SourceError, SourceEvent, SourceObserver};
use crate::CancelToken;
use crate::config::ConnectionConfig;
use crate::session;
use crate::snapshot::{Holder, SnapshotError, blockers};
use crate::wire::{SqlState, TransactionStatus, WireConnection, WireError};

/// COPY text after which a member ends with the row that is being read.
const MEMBER_TEXT_BYTES: usize = 8 << 20;

/// A table to be read.
#[derive(Debug)]
pub(super) struct TableJob {
    /// Its index in the manifest.
    pub(super) table: u32,
    pub(super) oid: u32,
    pub(super) schema: DbText,
    /// `schema.name` for people.
    pub(super) display_name: String,
    /// Quoted, schema-qualified name.
    pub(super) source: Vec<u8>,
    /// Quoted columns with commas; empty where there are none.
    pub(super) columns: Vec<u8>,
    /// The line that begins each member: `COPY … FROM stdin;` and a line feed.
    pub(super) header: Vec<u8>,
    /// The condition of an extension's configuration table, `WHERE …`, or empty.
    pub(super) filter: DbText,
    /// Whether it is read by ranges of pages.
    pub(super) by_pages: bool,
}

/// One chunk of one table; its place in the list is its place in the pack.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkJob {
    pub(super) job: usize,
    pub(super) chunk: Chunk,
    /// Bytes on the server that reading it gets done, for the progress.
    pub(super) heap_bytes: u64,
}

/// What all workers share.
pub(super) struct Shared<'a> {
    pub(super) config: &'a ConnectionConfig,
    pub(super) encoding: &'a str,
    pub(super) snapshot: &'a str,
    /// How long a worker may wait for a lock that comes with a query, such as those on indexes.
    pub(super) lock_wait: Duration,
    pub(super) compression: Compression,
    pub(super) row_hasher: RowHasher,
    pub(super) cancel: &'a CancelToken,
    pub(super) observer: &'a dyn SourceObserver,
    pub(super) tables: &'a [TableJob],
    pub(super) chunks: &'a [ChunkJob],
    pub(super) next: AtomicUsize,
    pub(super) holder: &'a Mutex<Holder>,
    pub(super) sequencer: &'a Sequencer<(EncodedMember, MemberContent)>,
}

/// Reads chunks until none is left.
pub(super) fn work(shared: &Shared<'_>) -> Result<(), SourceError> {
    let mut worker = Worker {
        shared,
        connection: None,
        table: None,
    };
    let mut encoder = MemberEncoder::new(shared.compression)?;
    let mut buffer = Vec::new();
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(&ChunkJob { job, chunk, heap_bytes }) = shared.chunks.get(number) else {
            return worker.end();
        };
        let table = &shared.tables[job];
        let fail = |source: ChunkError| source.of(&table.display_name);
        let mut members = Members {
            shared,
            number,
            table,
            chunk,
            encoder: &mut encoder,
            text: std::mem::take(&mut buffer),
            digest: RowDigest::default(),
        };
        members.begin();
        match worker.read(job, chunk, &mut members).and_then(|()| members.end()) {
            Ok(()) => {}
            Err(ChunkError::Stopped) => return Ok(()),
            Err(error) => return Err(fail(error)),
        }
        buffer = members.into_buffer();
        shared.sequencer.finish(number);
        shared.observer.event(SourceEvent::ChunkRead {
            table: &table.display_name,
            heap_bytes,
        });
    }
}

struct Worker<'s, 'a> {
    shared: &'s Shared<'a>,
    connection: Option<WireConnection>,
    /// The table that the open transaction has locked.
    table: Option<usize>,
}

enum ChunkError {
    Wire(WireError),
    Codec(CodecError),
    Other(Box<SourceError>),
    Stopped,
}

impl From<WireError> for ChunkError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl ChunkError {
    fn of(self, table: &str) -> SourceError {
        match self {
            Self::Wire(source) => SourceError::Table {
                table: table.to_owned(),
                source,
            },
            Self::Codec(source) => source.into(),
            Self::Other(error) => *error,
            Self::Stopped => SourceError::Wire {
                doing: "read",
                source: WireError::Cancelled,
            },
        }
    }
}

impl Worker<'_, '_> {
    fn read(&mut self, job: usize, chunk: Chunk, members: &mut Members<'_, '_>) -> Result<(), ChunkError> {
        let sql = select(&self.shared.tables[job], chunk);
        if self.enter(job)? {
            let connection = self.connection.as_mut().ok_or(ChunkError::Stopped)?;
            let read = connection.copy_out(&sql, |row| members.row(row));
            return match read {
                Err(ChunkError::Wire(error)) => Err(self.refused(job, error)),
                read => read.map(drop),
            };
        }
        // Somebody waits for an exclusive lock on the table, so no further lock can be had without waiting behind
        // them, and they wait for the holder's. The holder has its lock already and reads the chunk. One after another
        // in the order of the pack: who has the holder must not wait for somebody who waits for it.
        let Ok(()) = self.shared.sequencer.await_turn(members.number) else {
            return Err(ChunkError::Stopped);
        };
        let mut holder = self
            .shared
            .holder
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        holder.connection.copy_out(&sql, |row| members.row(row))?;
        Ok(())
    }

    /// Says who was in the way, where it was a lock.
    ///
    /// A query locks a table's indexes, too. `REINDEX` may wait for one that another worker has, which waits for this
    /// worker's chunk to be written; the server does not see that they wait for each other.
    fn refused(&mut self, job: usize, source: WireError) -> ChunkError {
        let waited = self.shared.lock_wait;
        match &mut self.connection {
            Some(connection) if source.sql_state() == Some(SqlState::LOCK_NOT_AVAILABLE) => {
                let found = connection
                    .execute(b"ROLLBACK")
                    .and_then(|_| blockers(connection, &[self.shared.tables[job].oid]));
                match found {
                    Ok(blockers) => ChunkError::Other(Box::new(SourceError::Snapshot(SnapshotError::Locked {
                        waited,
                        blockers,
                        source,
                    }))),
                    Err(error) => error.into(),
                }
            }
            _ => source.into(),
        }
    }

    /// Has a transaction with the snapshot and a lock on the table; `false` where the lock cannot be had at once.
    fn enter(&mut self, job: usize) -> Result<bool, ChunkError> {
        let shared = self.shared;
        let other = |error: SourceError| ChunkError::Other(Box::new(error));
        if self.connection.is_none() {
            let mut connection = WireConnection::connect(shared.config, shared.cancel).map_err(|e| other(e.into()))?;
            session::prepare(&mut connection, shared.encoding, session::READING).map_err(|e| other(e.into()))?;
            self.connection = Some(connection);
        }
        let Some(connection) = self.connection.as_mut() else {
            return Ok(false);
        };
        if self.table == Some(job) {
            return Ok(true);
        }
        // A transaction for each table, so that locks do not pile up.
        let mut sql = match connection.transaction_status() {
            TransactionStatus::Idle => Vec::new(),
            _ => b"ROLLBACK; ".to_vec(),
        };
        self.table = None;
        sql.extend_from_slice(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT ");
        sql.extend(quote_literal(shared.snapshot.as_bytes()));
        let lock_wait = shared.lock_wait.as_millis().max(1);
        sql.extend(format!("; SET LOCAL lock_timeout = {lock_wait}; LOCK TABLE ONLY ").into_bytes());
        let table = &shared.tables[job];
        sql.extend_from_slice(&table.source);
        sql.extend_from_slice(b" IN ACCESS SHARE MODE NOWAIT; SELECT pg_catalog.to_regclass(");
        sql.extend(quote_literal(&table.source));
        sql.extend_from_slice(b")::pg_catalog.oid");
        let renamed = || {
            other(SourceError::Renamed {
                what: format!("what {} names", table.display_name),
            })
        };
        match connection.query(&sql) {
            // Not to read for hours what is thrown away at the end, when the names are compared again.
            Ok(rows) if rows.last().and_then(|row| row.get(0)) != Some(table.oid.to_string().as_bytes()) => {
                Err(renamed())
            }
            Ok(_) => {
                self.table = Some(job);
                Ok(true)
            }
            Err(error) => match error.sql_state() {
                Some(SqlState::LOCK_NOT_AVAILABLE) => Ok(false),
                Some(SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME) => Err(renamed()),
                _ => Err(error.into()),
            },
        }
    }

    fn end(self) -> Result<(), SourceError> {
        if let Some(connection) = self.connection {
            connection.close();
        }
        Ok(())
    }
}

/// The COPY that reads a chunk.
fn select(table: &TableJob, chunk: Chunk) -> Vec<u8> {
    let mut sql = b"COPY ".to_vec();
    if !table.by_pages && table.filter.as_bytes().is_empty() && !table.columns.is_empty() {
        sql.extend_from_slice(&table.source);
        sql.extend_from_slice(b" (");
        sql.extend_from_slice(&table.columns);
        sql.extend_from_slice(b") TO STDOUT");
        return sql;
    }
    sql.extend_from_slice(b"(SELECT ");
    sql.extend_from_slice(&table.columns);
    sql.extend_from_slice(b" FROM ONLY ");
    sql.extend_from_slice(&table.source);
    sql.push(b' ');
    sql.extend_from_slice(table.filter.as_bytes());
    if table.by_pages {
        sql.extend(format!("WHERE ctid >= '({},0)'", chunk.first_page).into_bytes());
        if let Some(end) = chunk.end_page {
            sql.extend(format!(" AND ctid < '({end},0)'").into_bytes());
        }
    }
    sql.extend_from_slice(b") TO STDOUT");
    sql
}

/// Collects the rows of one chunk into members.
struct Members<'m, 'a> {
    shared: &'m Shared<'a>,
    number: usize,
    table: &'m TableJob,
    chunk: Chunk,
    encoder: &'m mut MemberEncoder,
    text: Vec<u8>,
    digest: RowDigest,
}

impl Members<'_, '_> {
    fn begin(&mut self) {
        self.text.clear();
        self.text.extend_from_slice(&self.table.header);
        self.digest = RowDigest::default();
    }

    /// Adds a row, given with its line feed.
    fn row(&mut self, row: &[u8]) -> Result<(), ChunkError> {
        if self.text.len() >= MEMBER_TEXT_BYTES {
            self.cut()?;
        }
        self.shared.row_hasher.add_row(&mut self.digest, &row[..row.len() - 1]);
        self.text.extend_from_slice(row);
        Ok(())
    }

    /// Makes a member of what is there and begins the next.
    fn cut(&mut self) -> Result<(), ChunkError> {
        let text_bytes = self.text.len() - self.table.header.len();
        self.text.extend_from_slice(ROWS_FOOTER);
        let member = self.encoder.encode(&self.text).map_err(ChunkError::Codec)?;
        let content = MemberContent::Rows(RowBlock {
            table: self.table.table,
            header_bytes: u32::try_from(self.table.header.len()).unwrap_or(u32::MAX),
            digest: self.digest,
            chunk: self.chunk,
        });
        let event = SourceEvent::Rows {
            rows: self.digest.rows(),
            text_bytes: text_bytes as u64,
            stored_bytes: member.stored.len() as u64,
        };
        let weight = member.stored.len();
        self.shared
            .sequencer
            .push(self.number, weight, (member, content))
            .map_err(|Stopped| ChunkError::Stopped)?;
        self.shared.observer.event(event);
        self.chunk.part += 1;
        self.begin();
        Ok(())
    }

    /// Makes a member of the last rows; a chunk without rows has no member.
    fn end(&mut self) -> Result<(), ChunkError> {
        if self.digest.rows() > 0 { self.cut() } else { Ok(()) }
    }

    /// Gives the buffer back, unless a giant row made it large.
    fn into_buffer(mut self) -> Vec<u8> {
        if self.text.capacity() > 2 * MEMBER_TEXT_BYTES {
            Vec::new()
        } else {
            std::mem::take(&mut self.text)
        }
    }
}
