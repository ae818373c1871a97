//! A database as the source of a backup: one snapshot, the schema by `pg_dump`, the rows by parallel COPY.

mod chunks;
mod error;
pub(crate) mod large_objects;
mod options;
mod plan;
mod schema;
mod selection;
mod sequencer;
mod values;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use backstay_core::manifest::{MemberContent, Source, Stage, Table, TableRows};
use backstay_core::sql::settings_text;
use backstay_core::{Compression, DbText, MemberEncoder};

use crate::CancelToken;
use crate::archive::Toc;
use crate::catalog::{self, KeyOfIndex, LargeObjectOwner, Objects, Relation};
use crate::config::ConnectionConfig;
use crate::connect::connect_client;
use crate::pg_dump::{PgDump, PgDumpall, ProgramError, RolePasswords, dump_globals, dump_schema};
use crate::session;
use crate::snapshot::{self, ATTEMPTS_MAX, Holder, SnapshotError};

use chunks::{ChunkJob, Shared, TableJob};
pub use error::SourceError;
use large_objects::Access;
pub use options::{DatabaseImage, Globals, Inclusion, MemberSink, SourceEvent, SourceObserver, SourceOptions};
use schema::Schema;
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

/// Everything that is known before the first row is read.
struct Prepared {
    snapshot: String,
    facts: Source,
    relations: Vec<Relation>,
    columns: HashMap<u32, Vec<backstay_core::manifest::Column>>,
    objects: Objects,
    keys: HashMap<u32, KeyOfIndex>,
    large_objects: Vec<LargeObjectOwner>,
    large_object_access: Access,
    invalid_indexes: Vec<(DbText, DbText)>,
    excluded_data: HashSet<u32>,
    toc: Toc,
}

impl Reading<'_> {
    fn run(&self, sink: &mut dyn MemberSink) -> Result<DatabaseImage, SourceError> {
        let mut client = connect_client(self.config)?;
        let usual_search_path: String = client
            .query_one("SELECT current_setting('search_path')", &[])
            .and_then(|row| row.try_get(0))
            .map_err(|e| catalog::Reading::reading(Err::<(), _>(e), "search_path").unwrap_err())?;
        catalog::Reading::reading(client.batch_execute(&session::settings_query(&[])), "the settings")?;
        let encoding: String = catalog::Reading::reading(
            client
                .query_one("SELECT getdatabaseencoding()::text", &[])
                .and_then(|row| row.try_get(0)),
            "the encoding",
        )?;
        let mut holder = Holder::connect(self.config, &encoding, self.cancel)?;
        let prepared = self.prepare(&mut client, &mut holder, &usual_search_path)?;
        drop(client);
        self.write(prepared, &encoding, holder, sink)
    }

    /// Takes the snapshot and reads the schema in it; begins anew when something changed meanwhile.
    fn prepare(
        &self,
        client: &mut postgres::Client,
        holder: &mut Holder,
        usual_search_path: &str,
    ) -> Result<Prepared, SourceError> {
        let number: String = catalog::Reading::reading(
            client
                .query_one("SELECT current_setting('server_version_num')", &[])
                .and_then(|row| row.try_get(0)),
            "the version",
        )?;
        let number = number.parse().unwrap_or(0);
        let mut unstable = None;
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                holder.release()?;
            }
            if self.cancel.is_cancelled() {
                return Err(SourceError::Cancelled);
            }
            let taken = match snapshot::attempt(holder, client, number, self.options.lock_wait)? {
                Ok(taken) => taken,
                Err(reason) => {
                    self.observer.event(SourceEvent::Retry { reason: &reason });
                    unstable = Some(SnapshotError::Unstable { last: reason });
                    continue;
                }
            };
            if let Some(prepared) = self.read_schema(client, taken, number, usual_search_path)? {
                return Ok(prepared);
            }
            self.observer.event(SourceEvent::Retry {
                reason: "a definition changed",
            });
            unstable = None;
        }
        Err(unstable.map_or(SourceError::Unstable, SourceError::Snapshot))
    }

    /// Reads everything but rows; `None` where definitions changed since the snapshot.
    fn read_schema(
        &self,
        client: &mut postgres::Client,
        taken: snapshot::Taken,
        number: u32,
        usual_search_path: &str,
    ) -> Result<Option<Prepared>, SourceError> {
        let snapshot::Taken { name, relations } = taken;
        let mut transaction = snapshot::import(client, &name)?;
        let stamp = catalog::catalog_stamp(&mut transaction)?;
        let mut facts = catalog::read_facts(&mut transaction)?;
        let columns = catalog::read_columns(&mut transaction, number)?;
        let keys = catalog::read_keys(&mut transaction, number)?;
        let invalid_indexes = catalog::invalid_indexes(&mut transaction)?;
        let excluded_data = self
            .options
            .selection
            .excluded_data(&mut transaction, usual_search_path)?;
        let whole = self.options.selection.is_whole_database();
        let mut large_objects = Vec::new();
        let mut large_object_access = Access::Table;
        if whole && self.options.large_objects == Inclusion::Included {
            large_objects = catalog::large_object_entries(&mut transaction)?;
            let readable: bool = catalog::Reading::reading(
                transaction
                    .query_one("SELECT has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')", &[])
                    .and_then(|row| row.try_get(0)),
                "the rights on large objects",
            )?;
            large_object_access = if readable { Access::Table } else { Access::Function };
        }

        let environment = self.dump_environment();
        let dump = dump_schema(
            self.pg_dump,
            &environment,
            &self
                .options
                .selection
                .dump_options(&name, &facts.encoding, self.options.lock_wait),
            &|| self.cancel.is_cancelled(),
        )?;
        let toc = Toc::parse(&dump)?;
        drop(dump);
        if toc
            .standard_strings_statement()
            .is_some_and(|sql| memchr::memmem::find(sql, b"on").is_none())
        {
            return Err(SourceError::StandardStrings);
        }
        let in_dump: HashSet<u32> = toc.entries.iter().map(|entry| entry.oid).collect();
        let extensions: HashSet<&[u8]> = toc
            .entries
            .iter()
            .filter(|entry| entry.kind == b"EXTENSION")
            .map(|entry| entry.tag.as_slice())
            .collect();
        let objects = catalog::read_objects(&mut transaction, &relations, |relation| {
            // Configuration of an extension comes with the extension, which the dump names instead of its members.
            let of_extension = relation
                .extension
                .as_ref()
                .is_some_and(|name| extensions.contains(name.as_bytes()));
            in_dump.contains(&relation.oid) || (relation.configuration.is_some() && of_extension)
        })?;
        facts.pg_dump_version = self.pg_dump.version.to_string();
        catalog::Reading::reading(transaction.rollback(), "the end of the snapshot")?;
        let mut now = catalog::Reading::reading(client.transaction(), "the definitions of now")?;
        let unchanged = catalog::catalog_stamp(&mut now)? == stamp;
        drop(now);
        Ok(unchanged.then_some(Prepared {
            snapshot: name,
            facts,
            relations,
            columns,
            objects,
            keys,
            large_objects,
            large_object_access,
            invalid_indexes,
            excluded_data,
            toc,
        }))
    }

    /// The environment of `pg_dump`. It writes literals as its session reads them, and a pack reads them by the
    /// standard, whatever the database or the role has set.
    fn dump_environment(&self) -> crate::ChildEnvironment {
        let mut config = self.config.clone();
        let options = config.options.take().map(|options| options + " ").unwrap_or_default();
        config.options = Some(options + "-c standard_conforming_strings=on");
        config.child_environment()
    }

    /// Writes all members.
    fn write(
        &self,
        prepared: Prepared,
        encoding: &str,
        holder: Holder,
        sink: &mut dyn MemberSink,
    ) -> Result<DatabaseImage, SourceError> {
        let mut encoder = MemberEncoder::new(self.compression)?;
        let mut schema = Schema::new(&prepared.toc, prepared.keys.clone(), &prepared.large_objects)?;
        let plan = plan::plan(self.options, &prepared)?;

        let settings = encoder.encode(&settings_text(encoding))?;
        sink.append(settings, MemberContent::Settings)
            .map_err(SourceError::Sink)?;
        if let Globals::Included(program) = &self.options.globals {
            let text = self.globals(program)?;
            sink.append(encoder.encode(&text)?, MemberContent::Globals)
                .map_err(SourceError::Sink)?;
        }
        let mut entries = schema.write(Stage::PreData, encoding, &mut encoder, sink)?;
        self.observer.event(SourceEvent::Planned {
            tables: plan.jobs.len(),
            heap_bytes: plan.chunks.iter().map(|chunk| chunk.heap_bytes).sum(),
        });

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
                &oids,
                &mut encoder,
                sink,
            )?)
        } else {
            None
        };
        let sequences = values::write_sequences(
            &mut holder.connection,
            encoding,
            &prepared.objects.sequences,
            &mut encoder,
            sink,
        )?;
        entries.extend(schema.write(Stage::PostData, encoding, &mut encoder, sink)?);
        entries.extend(schema.write(Stage::Privileges, encoding, &mut encoder, sink)?);
        if !prepared.objects.refreshes.is_empty() {
            let text = values::refresh_text(&prepared.objects.refreshes, encoding);
            sink.append(encoder.encode(&text)?, MemberContent::Refreshes)
                .map_err(SourceError::Sink)?;
        }
        entries.extend(schema.write(Stage::Last, encoding, &mut encoder, sink)?);

        // A lost holder means lost locks: what was read since may not belong together.
        holder
            .connection
            .execute(b"COMMIT")
            .map_err(|source| SourceError::Wire {
                doing: "keep the snapshot to the end",
                source,
            })?;
        holder.connection.close();
        Ok(DatabaseImage {
            source: prepared.facts,
            tables,
            sequences,
            large_objects,
            entries,
            refreshes: prepared.objects.refreshes,
            omissions: plan.omissions,
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
            compression: self.compression,
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
        let (ended, keep_alive_ends) = std::sync::mpsc::channel::<()>();
        thread::scope(|scope| {
            for _ in 0..self.options.jobs.clamp(1, chunks.len().max(1)) {
                scope.spawn(|| {
                    if let Err(error) = chunks::work(&shared) {
                        fail(error);
                    }
                });
            }
            let fail = &fail;
            scope.spawn(move || keep_alive(holder, &keep_alive_ends, fail));
            while let Ok(Some((member, content))) = sequencer.pop() {
                if let MemberContent::Rows(block) = &content {
                    add_rows(tables, block, member.text_bytes);
                }
                if let Err(error) = sink.append(member, content) {
                    fail(SourceError::Sink(error));
                }
            }
            drop(ended);
        });
        match first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn globals(&self, program: &PgDumpall) -> Result<Vec<u8>, SourceError> {
        let environment = self.config.child_environment();
        let cancelled = || self.cancel.is_cancelled();
        let database = OsStr::new(&self.config.database);
        // The verifiers of passwords may only be read by superusers; on a refusal the roles come without.
        let script = match dump_globals(program, &environment, database, RolePasswords::Included, &cancelled) {
            Err(ProgramError::Failed { .. }) => {
                dump_globals(program, &environment, database, RolePasswords::LeftOut, &cancelled)?
            }
            other => other?,
        };
        let mut text = b"-- Roles and tablespaces of the cluster; psql passes over them. To have them run:\n\
            --   gunzip -c FILE | sed -n 's/^--G //p' | psql -X -v ON_ERROR_STOP=0 -d postgres\n"
            .to_vec();
        for line in script.split(|&byte| byte == b'\n') {
            let keep = !line.is_empty() && !line.starts_with(b"--") && !line.starts_with(b"\\");
            if keep {
                text.extend_from_slice(b"--G ");
                text.extend_from_slice(line);
                text.push(b'\n');
            }
        }
        Ok(text)
    }
}

fn add_rows(tables: &mut [Table], block: &backstay_core::manifest::RowBlock, member_text_bytes: u64) {
    let framing = u64::from(block.header_bytes) + backstay_core::manifest::ROWS_FOOTER.len() as u64;
    if let TableRows::Included { digest, text_bytes } = &mut tables[block.table as usize].rows {
        digest.merge(&block.digest);
        *text_bytes += member_text_bytes - framing;
    }
}

/// Speaks to the holder now and then, and fails the backup when it is gone.
fn keep_alive(holder: &Mutex<Holder>, ended: &std::sync::mpsc::Receiver<()>, fail: &dyn Fn(SourceError)) {
    loop {
        match ended.recv_timeout(KEEP_ALIVE) {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            _ => return,
        }
        // A holder that is reading a chunk is alive.
        if let Ok(mut holder) = holder.try_lock()
            && let Err(source) = holder.connection.execute(b"SELECT 1")
        {
            fail(SourceError::Wire {
                doing: "keep the snapshot",
                source,
            });
            return;
        }
    }
}
