//! A database as the source of a backup: one snapshot, the schema by `pg_dump`, the rows by parallel COPY.

mod chunks;
pub(crate) mod large_objects;
mod schema;
mod selection;
mod sequencer;

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::ffi::OsStr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use backstay_core::manifest::{
    Entry, LargeObjects, MemberContent, Omission, Persistence, Refresh, Sequence, Source, Stage, Table, TableKind,
    TableRows,
};
use backstay_core::script::{ScriptHazard, depends_on_session};
use backstay_core::sql::{literal_settings, quote_identifier, quote_literal, quote_qualified, settings_text};
use backstay_core::{CodecError, Compression, DbText, EncodedMember, MemberEncoder, RowDigest};

use crate::archive::{PrintError, ReadArchiveError, Toc};
use crate::catalog::{self, CatalogError, KeyOfIndex, LargeObjectOwner, Objects, Relation, RelationKind};
use crate::config::ConnectionConfig;
use crate::connect::connect_client;
use crate::pg_dump::{PgDump, PgDumpall, ProgramError, RolePasswords, dump_globals, dump_schema};
use crate::plan::{chunk_pages, chunks};
use crate::session::{self, SessionError};
use crate::snapshot::{self, ATTEMPTS_MAX, Holder, SnapshotError};
use crate::wire::{WireConnection, WireError};
use crate::{CancelToken, ConnectError};

use chunks::{ChunkJob, Shared, TableJob};
use large_objects::Access;
use schema::Schema;
pub use selection::{InvalidPattern, Selection};
use sequencer::Sequencer;

/// Bytes of finished members that may wait for their turn.
const WAITING_BYTES_MAX: usize = 48 << 20;
/// How often the connection that holds the snapshot is spoken to, so that nobody between takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// What is read, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceOptions {
    /// Connections that read rows at the same time.
    pub jobs: usize,
    /// How long a table's lock is waited for.
    pub lock_wait: Duration,
    /// Which schemas and tables.
    pub selection: Selection,
    /// Whether the rows of unlogged tables are read.
    pub unlogged: Inclusion,
    /// Whether large objects are read.
    pub large_objects: Inclusion,
    /// Whether roles and tablespaces of the cluster are added.
    pub globals: Globals,
}

/// Whether something is part of the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Inclusion {
    /// It is.
    Included,
    /// It is not, and the manifest says so.
    Excluded,
}

/// Whether roles and tablespaces are part of the backup.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Globals {
    /// They are not.
    Excluded,
    /// They are, read by this program.
    Included(PgDumpall),
}

impl Default for SourceOptions {
    /// Everything of the database, with two connections.
    fn default() -> Self {
        Self {
            jobs: 2,
            lock_wait: Duration::from_secs(30),
            selection: Selection::default(),
            unlogged: Inclusion::Included,
            large_objects: Inclusion::Included,
            globals: Globals::Excluded,
        }
    }
}

/// Where members go, in the order in which they come.
pub trait MemberSink {
    /// Takes a member and gives its index among all members.
    ///
    /// # Errors
    /// Any; the backup ends with it.
    fn append(&mut self, member: EncodedMember, content: MemberContent)
    -> Result<u32, Box<dyn StdError + Send + Sync>>;
}

/// Is told how a backup goes on; called from several threads.
pub trait SourceObserver: Sync {
    /// Something happened.
    fn event(&self, event: SourceEvent<'_>);
}

/// What an observer is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SourceEvent<'e> {
    /// The snapshot could not be used because of the reason given, and is taken anew.
    Retry {
        /// What changed.
        reason: &'e str,
    },
    /// The snapshot is taken and the schema is read.
    Planned {
        /// Tables whose rows will be read.
        tables: usize,
        /// Bytes that they have on the server.
        heap_bytes: u64,
    },
    /// A member with rows was made.
    Rows {
        /// How many.
        rows: u64,
        /// Bytes of COPY text.
        text_bytes: u64,
        /// Bytes compressed.
        stored_bytes: u64,
    },
    /// A chunk was read.
    ChunkRead {
        /// Its table, for people.
        table: &'e str,
        /// The bytes on the server that this stands for.
        heap_bytes: u64,
    },
}

/// What was read of a database, beside its members.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseImage {
    /// Facts about server, database and snapshot.
    pub source: Source,
    /// Tables.
    pub tables: Vec<Table>,
    /// Sequences.
    pub sequences: Vec<Sequence>,
    /// Large objects.
    pub large_objects: Option<LargeObjects>,
    /// Schema entries.
    pub entries: Vec<Entry>,
    /// Materialized views to refresh.
    pub refreshes: Vec<Refresh>,
    /// What is missing.
    pub omissions: Vec<Omission>,
}

/// Why a database could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A session is not fit.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// No snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The catalogs cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// `pg_dump` failed.
    #[error("cannot read the schema")]
    PgDump(#[from] ProgramError),
    /// The output of `pg_dump` cannot be read.
    #[error("cannot understand the output of pg_dump")]
    Archive(#[from] ReadArchiveError),
    /// An entry of the schema cannot be printed.
    #[error("cannot write the schema")]
    Print(#[from] PrintError),
    /// A definition could become a command of psql.
    #[error("the definition of {kind} {name} is not safe to write into a backup")]
    Hazard {
        /// Kind of the entry.
        kind: String,
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: ScriptHazard,
    },
    /// A table cannot be read.
    #[error("cannot read the rows of {table}")]
    Table {
        /// Which, for people.
        table: String,
        /// Why.
        source: WireError,
    },
    /// Something else cannot be read.
    #[error("cannot {doing}")]
    Wire {
        /// What.
        doing: &'static str,
        /// Why.
        source: WireError,
    },
    /// The role may not read a table.
    #[error("permission denied for {what}")]
    Denied {
        /// What may not be read, for people.
        what: String,
    },
    /// A pattern of the selection is not one.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// `pg_dump` and the catalogs disagree about what there is.
    #[error("{what} is in the snapshot and not in the output of pg_dump, or the other way round")]
    Disagreement {
        /// What.
        what: String,
    },
    /// `pg_dump` was kept from using standard literals.
    #[error(
        "the database or role sets standard_conforming_strings to off, and the pooler between drops the option that sets it on"
    )]
    StandardStrings,
    /// Definitions changed each time.
    #[error("definitions changed during each of {ATTEMPTS_MAX} attempts to read the schema")]
    Unstable,
    /// A member could not be compressed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A member could not be written.
    #[error("cannot write the backup")]
    Sink(#[source] Box<dyn StdError + Send + Sync>),
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl From<WireError> for SourceError {
    fn from(source: WireError) -> Self {
        Self::Wire {
            doing: "read from the server",
            source,
        }
    }
}

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
        let objects = catalog::read_objects(&mut transaction, &relations, |relation| in_dump.contains(&relation.oid))?;
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
        let plan = self.plan(&prepared)?;

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
        let sequences = write_sequences(
            &mut holder.connection,
            encoding,
            &prepared.objects.sequences,
            &mut encoder,
            sink,
        )?;
        entries.extend(schema.write(Stage::PostData, encoding, &mut encoder, sink)?);
        entries.extend(schema.write(Stage::Privileges, encoding, &mut encoder, sink)?);
        if !prepared.objects.refreshes.is_empty() {
            let text = refresh_text(&prepared.objects.refreshes, encoding);
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

    /// Decides which rows are read, table by table.
    fn plan(&self, prepared: &Prepared) -> Result<Plan, SourceError> {
        let mut plan = Plan::default();
        let by_oid: HashMap<u32, &Relation> = prepared.relations.iter().map(|r| (r.oid, r)).collect();
        let dumped: HashSet<u32> = prepared
            .toc
            .entries
            .iter()
            .filter(|entry| matches!(entry.kind.as_slice(), b"TABLE" | b"FOREIGN TABLE"))
            .map(|entry| entry.oid)
            .collect();
        let dumped_extensions: HashSet<&[u8]> = prepared
            .toc
            .entries
            .iter()
            .filter(|entry| entry.kind == b"EXTENSION")
            .map(|entry| entry.tag.as_slice())
            .collect();
        if let Some(missing) = dumped.iter().find(|oid| !by_oid.contains_key(oid)) {
            return Err(SourceError::Disagreement {
                what: format!("the table with OID {missing}"),
            });
        }
        let is_table = |r: &&Relation| {
            matches!(
                r.kind,
                RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign
            )
        };
        let mut selected: Vec<&Relation> = Vec::new();
        for relation in prepared.relations.iter().filter(is_table) {
            let configuration = relation.configuration.is_some()
                && relation
                    .extension
                    .as_ref()
                    .is_some_and(|e| dumped_extensions.contains(e.as_bytes()));
            if dumped.contains(&relation.oid) || configuration {
                selected.push(relation);
            } else if relation.extension.is_none() && self.options.selection.is_whole_database() {
                let what = format!("{}.{}", relation.schema, relation.name);
                return Err(SourceError::Disagreement { what });
            }
        }
        let index_of: HashMap<u32, u32> = selected
            .iter()
            .zip(0..)
            .map(|(relation, index)| (relation.oid, index))
            .collect();
        let mut order = Vec::new();
        for (relation, index) in selected.iter().zip(0u32..) {
            let root = relation
                .load_through
                .and_then(|root| Some((*index_of.get(&root)?, *by_oid.get(&root)?)));
            let (table, omission) = self.table(relation, root.map(|(index, _)| index), prepared);
            if let Some(omission) = omission {
                plan.omissions.push(omission);
            }
            if matches!(table.rows, TableRows::Included { .. }) && relation.kind == RelationKind::Table {
                if !relation.readable {
                    return Err(SourceError::Denied {
                        what: format!("table {}", table.display_name()),
                    });
                }
                order.push((index, *relation, root.map(|(_, root)| root)));
            }
            plan.tables.push(table);
        }
        // Tables whose checks may read other tables come last. Else largest first, so that no worker is left alone with
        // a large table at the end.
        order.sort_by(|(_, a, _), (_, b, _)| {
            let last = a.checks_by_function.cmp(&b.checks_by_function);
            let size = if a.checks_by_function {
                Ordering::Equal
            } else {
                b.heap_bytes.cmp(&a.heap_bytes)
            };
            last.then(size)
                .then_with(|| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)))
        });
        for (index, relation, root) in order {
            plan.add_job(index, relation, root, &prepared.facts.encoding);
        }
        for (schema, name) in &prepared.invalid_indexes {
            plan.omit(format!("index {schema}.{name}"), "it is invalid in the source");
        }
        plan.large_objects =
            self.options.large_objects == Inclusion::Included && self.options.selection.is_whole_database();
        if !plan.large_objects {
            plan.omit(
                "large objects".to_owned(),
                "they were excluded or only a part of the database was selected",
            );
        }
        if !self.options.selection.is_whole_database() {
            plan.omit(
                self.options.selection.to_string(),
                "only a part of the database was selected",
            );
        }
        Ok(plan)
    }

    fn table(&self, relation: &Relation, root: Option<u32>, prepared: &Prepared) -> (Table, Option<Omission>) {
        let kind = match relation.kind {
            RelationKind::Partitioned => TableKind::Partitioned,
            RelationKind::Foreign => TableKind::Foreign,
            _ => TableKind::Table,
        };
        let unlogged = relation.persistence == Persistence::Unlogged;
        let reason = match kind {
            TableKind::Foreign => Some("a foreign table: its rows are on another server"),
            TableKind::Table if prepared.excluded_data.contains(&relation.oid) => Some("its rows were excluded"),
            TableKind::Table if unlogged && self.options.unlogged == Inclusion::Excluded => {
                Some("unlogged tables were excluded")
            }
            _ => None,
        };
        let by_pages = relation.heap
            && relation.configuration.is_none()
            && prepared.facts.server_version_num >= 140_000
            && relation.pages > 0;
        let pages = chunk_pages(relation.pages, relation.heap_bytes, 8192);
        let table = Table {
            oid: relation.oid,
            schema: relation.schema.clone(),
            name: relation.name.clone(),
            kind,
            persistence: relation.persistence,
            columns: prepared.columns.get(&relation.oid).cloned().unwrap_or_default(),
            row_security: relation.row_security,
            policies: relation.policies.clone(),
            indexes: relation.indexes.clone(),
            load_through: root,
            load_last: relation.checks_by_function,
            heap_bytes: relation.heap_bytes,
            chunk_pages: (by_pages && relation.pages > pages).then_some(pages),
            filter: relation.configuration.clone(),
            rows: match reason {
                None => TableRows::Included {
                    digest: RowDigest::default(),
                    text_bytes: 0,
                },
                Some(reason) => TableRows::Excluded {
                    reason: reason.to_owned(),
                },
            },
        };
        let omission = reason.map(|reason| Omission {
            subject: format!("rows of {}", table.display_name()),
            reason: reason.to_owned(),
        });
        (table, omission)
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

#[derive(Default)]
struct Plan {
    tables: Vec<Table>,
    jobs: Vec<TableJob>,
    chunks: Vec<ChunkJob>,
    omissions: Vec<Omission>,
    large_objects: bool,
}

impl Plan {
    fn omit(&mut self, subject: String, reason: &str) {
        self.omissions.push(Omission {
            subject,
            reason: reason.to_owned(),
        });
    }

    fn add_job(&mut self, index: u32, relation: &Relation, root: Option<&Relation>, encoding: &str) {
        let table = &self.tables[index as usize];
        let columns: Vec<Vec<u8>> = table
            .columns
            .iter()
            .map(|c| quote_identifier(c.name.as_bytes()))
            .collect();
        let columns = columns.join(&b", "[..]);
        let target = root.unwrap_or(relation);
        let mut header = Vec::new();
        if depends_on_session(&columns)
            || depends_on_session(target.name.as_bytes())
            || depends_on_session(target.schema.as_bytes())
        {
            header.extend(literal_settings(encoding));
        }
        header.extend_from_slice(b"COPY ");
        header.extend(quote_qualified(target.schema.as_bytes(), target.name.as_bytes()));
        if !columns.is_empty() {
            header.extend_from_slice(b" (");
            header.extend_from_slice(&columns);
            header.push(b')');
        }
        header.extend_from_slice(b" FROM stdin;\n");
        let job = self.jobs.len();
        self.jobs.push(TableJob {
            table: index,
            display_name: table.display_name(),
            source: quote_qualified(relation.schema.as_bytes(), relation.name.as_bytes()),
            columns,
            header,
            filter: relation.configuration.clone().unwrap_or_default(),
            by_pages: table.chunk_pages.is_some(),
        });
        match table.chunk_pages {
            None => self.chunks.push(ChunkJob {
                job,
                chunk: backstay_core::manifest::Chunk::default(),
                heap_bytes: relation.heap_bytes,
            }),
            Some(pages) => {
                let all: Vec<_> = chunks(relation.pages, pages).collect();
                let share = relation.heap_bytes / all.len() as u64;
                self.chunks.extend(all.into_iter().map(|chunk| ChunkJob {
                    job,
                    chunk,
                    heap_bytes: share,
                }));
            }
        }
    }
}

/// Reads the sequences, which are not part of any snapshot: their values are those of now, never too small.
fn write_sequences(
    connection: &mut WireConnection,
    encoding: &str,
    names: &[(DbText, DbText)],
    encoder: &mut MemberEncoder,
    sink: &mut dyn MemberSink,
) -> Result<Vec<Sequence>, SourceError> {
    let doing = "read the sequences";
    let mut sequences = Vec::new();
    let mut text = Vec::new();
    for batch in names.chunks(100) {
        let mut sql = Vec::new();
        for (index, (schema, name)) in batch.iter().enumerate() {
            if index > 0 {
                sql.extend_from_slice(b" UNION ALL ");
            }
            sql.extend(format!("SELECT {index}, last_value, is_called FROM ").into_bytes());
            sql.extend(quote_qualified(schema.as_bytes(), name.as_bytes()));
        }
        sql.extend_from_slice(b" ORDER BY 1");
        let rows = connection
            .query(&sql)
            .map_err(|source| SourceError::Wire { doing, source })?;
        if rows.len() != batch.len() {
            return Err(SourceError::Disagreement {
                what: "a sequence".to_owned(),
            });
        }
        for ((schema, name), row) in batch.iter().zip(&rows) {
            let value = row
                .get(1)
                .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
            let called = row.get(2).map(|called| called == b"t");
            let (Some(last_value), Some(is_called)) = (value, called) else {
                return Err(SourceError::Disagreement {
                    what: format!("the sequence {schema}.{name}"),
                });
            };
            if depends_on_session(name.as_bytes()) || depends_on_session(schema.as_bytes()) {
                text.extend(literal_settings(encoding));
            }
            text.extend_from_slice(b"SELECT pg_catalog.setval(");
            text.extend(quote_literal(&quote_qualified(schema.as_bytes(), name.as_bytes())));
            text.extend(format!(", {last_value}, {is_called});\n").into_bytes());
            sequences.push(Sequence {
                schema: schema.clone(),
                name: name.clone(),
                last_value,
                is_called,
            });
        }
    }
    if !text.is_empty() {
        sink.append(encoder.encode(&text)?, MemberContent::Sequences)
            .map_err(SourceError::Sink)?;
    }
    Ok(sequences)
}

fn add_rows(tables: &mut [Table], block: &backstay_core::manifest::RowBlock, member_text_bytes: u64) {
    let framing = u64::from(block.header_bytes) + backstay_core::manifest::ROWS_FOOTER.len() as u64;
    if let TableRows::Included { digest, text_bytes } = &mut tables[block.table as usize].rows {
        digest.merge(&block.digest);
        *text_bytes += member_text_bytes - framing;
    }
}

fn refresh_text(refreshes: &[Refresh], encoding: &str) -> Vec<u8> {
    let mut text = Vec::new();
    for view in refreshes {
        if depends_on_session(view.name.as_bytes()) || depends_on_session(view.schema.as_bytes()) {
            text.extend(literal_settings(encoding));
        }
        text.extend_from_slice(b"REFRESH MATERIALIZED VIEW ");
        text.extend(quote_qualified(view.schema.as_bytes(), view.name.as_bytes()));
        text.extend_from_slice(b";\n");
    }
    text
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
