//! A database as the source of a backup: one snapshot, the schema by `pg_dump`, the rows by parallel COPY.

mod chunks;
mod definitions;
mod error;
mod globals;
pub(crate) mod large_objects;
mod names;
mod omissions;
mod options;
mod plan;
mod platform;
mod prepare;
mod schema;
mod selection;
mod sequencer;
mod values;

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use backstay_core::manifest::{MemberContent, Source, Stage, Table, TableRows};
use backstay_core::sql::settings_text;
use backstay_core::{Compression, MemberEncoder};

use crate::CancelToken;
use crate::ask::{Answer, Asking};
use crate::config::ConnectionConfig;
use crate::connect::connect_client;
use crate::pg_dump::PgDump;
use crate::platform::{Platform, Profile, find};
use crate::snapshot::Holder;

use chunks::{ChunkJob, Shared, TableJob};
pub(crate) use definitions::{Definition, read_definitions};
pub use error::SourceError;
use names::SchemaNames;
pub use omissions::excluded;
pub use options::{DatabaseImage, Globals, Inclusion, MemberSink, SourceEvent, SourceObserver, SourceOptions};
pub(crate) use platform::{CRON_JOB, OWN_KINDS, OnPlatform, PLATFORM_GRANT, rights};
use prepare::{Prepared, UsualSession};
use schema::Schema;
pub(crate) use schema::is_of_application;
pub use selection::{InvalidPattern, Selection};
use sequencer::Sequencer;

/// Bytes of finished members that may wait for their turn.
const WAITING_BYTES_MAX: usize = 48 << 20;
/// How often the connection that holds the snapshot is spoken to, so that nobody between takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Reads a database: hands members to `sink` in the order of a pack and gives what the manifest says of them.
///
/// Works on threads of its own, so it may be called from a thread that runs an asynchronous runtime.
///
/// # Errors
/// See [`SourceError`]; members handed in before an error are worth nothing.
pub fn read_database(
    config: &ConnectionConfig,
    pg_dump: &PgDump,
    compression: Compression,
    options: &SourceOptions,
    sink: &mut (dyn MemberSink + Send),
    observer: &dyn SourceObserver,
    cancel: &CancelToken,
) -> Result<DatabaseImage, SourceError> {
    thread::scope(|scope| {
        let read = scope.spawn(|| {
            let reading = Reading {
                config,
                pg_dump,
                compression,
                options,
                observer,
                cancel,
            };
            reading.run(sink)
        });
        match read.join() {
            Ok(Err(_)) if cancel.is_cancelled() => Err(SourceError::Cancelled),
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

struct Reading<'a> {
    config: &'a ConnectionConfig,
    pg_dump: &'a PgDump,
    compression: Compression,
    options: &'a SourceOptions,
    observer: &'a dyn SourceObserver,
    cancel: &'a CancelToken,
}

impl Reading<'_> {
    fn run(&self, sink: &mut dyn MemberSink) -> Result<DatabaseImage, SourceError> {
        let mut client = connect_client(self.config)?;
        let usual = UsualSession::of(&mut client)?;
        let mut holder = Holder::connect(self.config, &usual.encoding, self.cancel)?;
        let found = find(&mut client, self.config, self.options.platform)?;
        let prepared = self.prepare(&mut client, &mut holder, &usual, found.as_ref())?;
        drop(client);
        self.write(prepared, &usual.encoding, holder, sink)
    }

    /// Writes all members.
    fn write(
        &self,
        prepared: Prepared,
        encoding: &str,
        mut holder: Holder,
        sink: &mut dyn MemberSink,
    ) -> Result<DatabaseImage, SourceError> {
        let mut encoder = MemberEncoder::new(self.compression)?;
        let mut schema = Schema::new(&prepared.toc, prepared.keys.clone(), &prepared.large_objects)?;
        if prepared.public_is_closed {
            schema.close_public(&prepared.toc, prepared.facts.server_version_num);
        }
        for entry in &prepared.on_platform.entries {
            schema.add_own(entry)?;
        }
        let mut plan = plan::plan(self.options, &prepared)?;
        plan.omissions.extend(prepared.on_platform.omissions.iter().cloned());

        let profile = profile_of(&prepared.facts);
        let settings = encoder.encode(&settings_text(encoding))?;
        sink.append(settings, MemberContent::Settings)
            .map_err(SourceError::Sink)?;
        if let Globals::Included(program) = &self.options.globals {
            let (text, omission) = globals::text(program, self.config, profile, &mut holder.connection, self.cancel)?;
            plan.omissions.extend(omission);
            sink.append(encoder.encode(&text)?, MemberContent::Globals)
                .map_err(SourceError::Sink)?;
        }
        let mut entries = schema.write(Stage::PreData, encoding, &mut encoder, sink)?;
        self.observer.event(SourceEvent::Planned {
            tables: plan.jobs.len(),
            heap_bytes: plan.chunks.iter().map(|chunk| chunk.heap_bytes).sum(),
        });

        let names = SchemaNames::read(&mut holder.connection)?;
        let holder = Mutex::new(holder);
        let mut tables = plan.tables;
        self.read_rows(
            &prepared.snapshot,
            encoding,
            &plan.jobs,
            &plan.chunks,
            &holder,
            sink,
            &mut tables,
        )?;
        let mut holder = holder.into_inner().unwrap_or_else(PoisonError::into_inner);

        let large_objects = if plan.large_objects {
            let oids: Vec<u32> = prepared.large_objects.iter().map(|object| object.oid).collect();
            let access = prepared.large_object_access;
            Some(large_objects::write(
                &mut holder.connection,
                access,
                encoding,
                &oids,
                self.options.row_hasher,
                &mut encoder,
                sink,
            )?)
        } else {
            None
        };
        values::write_sequences(encoding, &prepared.sequences, &mut encoder, sink)?;
        entries.extend(schema.write(Stage::PostData, encoding, &mut encoder, sink)?);
        entries.extend(schema.write(Stage::Privileges, encoding, &mut encoder, sink)?);
        if !prepared.refreshes.is_empty() {
            let text = values::refresh_text(&prepared.refreshes, encoding);
            sink.append(encoder.encode(&text)?, MemberContent::Refreshes)
                .map_err(SourceError::Sink)?;
        }
        entries.extend(schema.write(Stage::Last, encoding, &mut encoder, sink)?);

        let answers = self.answers(&prepared.snapshot, &mut holder)?;
        self.others(&prepared.snapshot, &mut holder)?;
        // A lost holder means lost locks: what was read since may not belong together.
        holder.connection.commit().map_err(|source| SourceError::Wire {
            doing: "keep the snapshot to the end",
            source,
        })?;
        names.compare(&SchemaNames::read(&mut holder.connection)?, &plan.jobs)?;
        holder.connection.close();
        Ok(DatabaseImage {
            source: prepared.facts,
            tables,
            sequences: prepared.sequences,
            large_objects,
            entries,
            refreshes: prepared.refreshes,
            omissions: plan.omissions,
            answers,
        })
    }

    /// Asks the queries in the snapshot. A query that fails is no reason to be without a backup.
    fn answers(&self, snapshot: &str, holder: &mut Holder) -> Result<Vec<Answer>, SourceError> {
        let SourceOptions {
            queries, query_limit, ..
        } = self.options;
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        // On a connection of its own, which may be lost; those of the workers are closed.
        let mut asking = Asking::begin(self.config, Some(snapshot), *query_limit, self.cancel);
        let mut answers = Vec::new();
        for query in queries {
            answers.push(asking.ask(query));
            keep(holder)?;
        }
        Ok(answers)
    }

    /// Lets others read in the snapshot, and speaks to the holder meanwhile.
    fn others(&self, snapshot: &str, holder: &mut Holder) -> Result<(), SourceError> {
        let (ended, has_ended) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                let _ended = ended;
                self.observer.in_snapshot(snapshot);
            });
            while let Err(RecvTimeoutError::Timeout) = has_ended.recv_timeout(KEEP_ALIVE) {
                keep(holder)?;
            }
            Ok(())
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call; a struct of them would only move the list"
    )]
    fn read_rows(
        &self,
        snapshot: &str,
        encoding: &str,
        jobs: &[TableJob],
        chunks: &[ChunkJob],
        holder: &Mutex<Holder>,
        sink: &mut dyn MemberSink,
        tables: &mut [Table],
    ) -> Result<(), SourceError> {
        let sequencer = Sequencer::new(chunks.len(), WAITING_BYTES_MAX);
        let shared = Shared {
            config: self.config,
            encoding,
            snapshot,
            lock_wait: self.options.lock_wait,
            compression: self.compression,
            row_hasher: self.options.row_hasher,
            cancel: self.cancel,
            observer: self.observer,
            tables: jobs,
            chunks,
            next: AtomicUsize::new(0),
            holder,
            sequencer: &sequencer,
        };
        let first_error: Mutex<Option<SourceError>> = Mutex::new(None);
        let fail = |error: SourceError| {
            first_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
            sequencer.stop();
        };
        let (ended, keep_alive_ends) = mpsc::channel::<()>();
        thread::scope(|scope| {
            for _ in 0..self.options.jobs.clamp(1, chunks.len().max(1)) {
                scope.spawn(|| {
                    let _stopping = StopOnPanic(&sequencer);
                    if let Err(error) = chunks::work(&shared) {
                        fail(error);
                    }
                });
            }
            let fail = &fail;
            scope.spawn(move || keep_alive(holder, &keep_alive_ends, fail));
            let _stopping = StopOnPanic(&sequencer);
            while let Ok(Some((member, content))) = sequencer.pop() {
                let mut table = None;
                if let MemberContent::Rows(block) = &content {
                    add_rows(tables, block, member.text_bytes);
                    table = Some(block.table as usize);
                }
                if let Err(source) = sink.append(member, content) {
                    fail(match table {
                        Some(table) => SourceError::SinkRows {
                            table: tables[table].display_name(),
                            source,
                        },
                        None => SourceError::Sink(source),
                    });
                }
            }
            drop(ended);
        });
        match first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// The profile that a backup was made by.
pub(crate) fn profile_of(source: &Source) -> Option<&'static Profile> {
    let word = &source.platform.as_ref()?.name;
    word.parse::<Platform>().ok()?.profile()
}

/// Keeps a panic, which may come from the caller's observer or sink, from leaving others waiting for ever.
struct StopOnPanic<'s, T>(&'s Sequencer<T>);

impl<T> Drop for StopOnPanic<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

fn add_rows(tables: &mut [Table], block: &backstay_core::manifest::RowBlock, member_text_bytes: u64) {
    let framing = u64::from(block.header_bytes) + backstay_core::manifest::ROWS_FOOTER.len() as u64;
    if let TableRows::Included { digest, text_bytes } = &mut tables[block.table as usize].rows {
        digest.merge(&block.digest);
        *text_bytes += member_text_bytes - framing;
    }
}

/// Speaks to the holder.
fn keep(holder: &mut Holder) -> Result<(), SourceError> {
    let spoken = holder.connection.execute(b"SELECT 1");
    spoken.map(drop).map_err(|source| SourceError::Wire {
        doing: "keep the snapshot",
        source,
    })
}

/// Speaks to the holder now and then, and fails the backup when it is gone.
fn keep_alive(holder: &Mutex<Holder>, ended: &mpsc::Receiver<()>, fail: &dyn Fn(SourceError)) {
    loop {
        match ended.recv_timeout(KEEP_ALIVE) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return,
        }
        // A holder that is reading a chunk is alive.
        if let Ok(mut holder) = holder.try_lock()
            && let Err(error) = keep(&mut holder)
        {
            fail(error);
            return;
        }
    }
}
