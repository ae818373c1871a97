//! Taking one consistent snapshot that several connections share.
//!
//! Locks come first: a snapshot taken before the lock reads a table that was truncated or rewritten in between as
//! empty, without any error (`TRUNCATE` is not MVCC-safe, PostgreSQL documentation, "Caveats" of concurrency control).
//! `LOCK TABLE` takes no snapshot, so inside one `REPEATABLE READ` transaction the locks can precede it.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use backstay_core::DbText;
use backstay_core::sql::{quote_literal, quote_qualified};

use crate::catalog::{
    CatalogError, Relation, RelationKind, RelationSize, lockable_relations, oid_list, read_relations, sizes_query,
};
use crate::config::ConnectionConfig;
use crate::platform::Profile;
use crate::session::{self, SessionError};
use crate::wire::{SqlState, WireConnection, WireError};
use crate::{CancelToken, ConnectError};

/// How often taking the snapshot is begun anew because the database changed meanwhile.
pub(crate) const ATTEMPTS_MAX: u32 = 5;

/// Tables locked by one statement.
const LOCK_BATCH: usize = 200;

/// The connection that holds the locks and the snapshot.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) connection: WireConnection,
    /// Its process at the server.
    pid: i32,
    locked: HashSet<u32>,
}

/// Why no snapshot could be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// No connection.
    #[error("cannot connect for the snapshot")]
    Connect(#[from] ConnectError),
    /// The session is not fit.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The server refuses or the connection is lost.
    #[error("cannot take the snapshot: {doing} failed")]
    Wire {
        /// What failed.
        doing: &'static str,
        /// Why.
        source: WireError,
    },
    /// The catalogs cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A table is locked by somebody.
    #[error("cannot lock the tables within {}s: {blockers}", waited.as_secs())]
    Locked {
        /// How long was waited.
        waited: Duration,
        /// Who has or waits for the lock, for people.
        blockers: String,
        /// The server's error.
        source: WireError,
    },
    /// Tables were created, dropped or rewritten, or definitions changed, each time.
    #[error("no consistent snapshot in {ATTEMPTS_MAX} attempts; in the last one {last}")]
    Unstable {
        /// What changed in the last attempt.
        last: String,
    },
}

impl Holder {
    /// Connects; there is neither lock nor snapshot yet.
    pub(crate) fn connect(
        config: &ConnectionConfig,
        encoding: &str,
        cancel: &CancelToken,
    ) -> Result<Self, SnapshotError> {
        let mut connection = WireConnection::connect(config, cancel)?;
        session::prepare(&mut connection, encoding, session::READING)?;
        let doing = "pg_backend_pid";
        let rows = connection
            .query(b"SELECT pg_catalog.pg_backend_pid()")
            .map_err(|source| SnapshotError::Wire { doing, source })?;
        let pid = rows.first().and_then(|row| number(row.get(0)));
        Ok(Self {
            connection,
            // None has this id, so with an answer that is no number nothing counts as locked.
            pid: pid.unwrap_or(-1),
            locked: HashSet::new(),
        })
    }

    /// Begins the transaction and locks the tables; no snapshot is taken by that.
    pub(crate) fn lock(
        &mut self,
        client: &mut postgres::Client,
        lock_wait: Duration,
        profile: Option<&Profile>,
    ) -> Result<Locking, SnapshotError> {
        self.locked.clear();
        let mut tables = lockable_relations(client)?;
        tables.retain(|(_, schema, _)| !leaves_schema(profile, schema));
        self.execute("begin", b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        // Not the session's setting: what is read later may wait as long as it takes.
        self.execute(
            "lock_timeout",
            format!("SET LOCAL lock_timeout = {}", lock_wait.as_millis().max(1)).as_bytes(),
        )?;
        for batch in tables.chunks(LOCK_BATCH) {
            let mut sql = b"LOCK TABLE ".to_vec();
            for (index, (_, schema, name)) in batch.iter().enumerate() {
                sql.extend_from_slice(if index == 0 { b"ONLY " } else { b", ONLY " });
                sql.extend(quote_qualified(schema.as_bytes(), name.as_bytes()));
            }
            sql.extend_from_slice(b" IN ACCESS SHARE MODE");
            let Err(source) = self.connection.execute(&sql) else {
                continue;
            };
            let doing = "LOCK TABLE";
            match source.sql_state() {
                Some(SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME | SqlState::WRONG_OBJECT_TYPE) => {
                    return Ok(Locking::Changed("a table was dropped".to_owned()));
                }
                Some(SqlState::DEADLOCK_DETECTED) => {
                    return Ok(Locking::Changed("the locks met those of somebody else".to_owned()));
                }
                Some(SqlState::LOCK_NOT_AVAILABLE) => {
                    self.release()?;
                    let oids: Vec<u32> = batch.iter().map(|(oid, _, _)| *oid).collect();
                    let found = blockers(&mut self.connection, &oids);
                    return Err(SnapshotError::Locked {
                        waited: lock_wait,
                        blockers: found.map_err(|source| SnapshotError::Wire { doing, source })?,
                        source,
                    });
                }
                _ => return Err(SnapshotError::Wire { doing, source }),
            }
        }
        self.execute("lock_timeout", b"SET LOCAL lock_timeout = 0")?;
        self.locked = locks_of(client, self.pid)?;
        Ok(Locking::Locked)
    }

    /// Takes and exports the snapshot; gives its name.
    pub(crate) fn export(&mut self) -> Result<String, SnapshotError> {
        let rows = self
            .connection
            .query(b"SELECT pg_catalog.pg_export_snapshot()")
            .map_err(|source| SnapshotError::Wire {
                doing: "pg_export_snapshot",
                source,
            })?;
        let name = rows.first().and_then(|row| row.get(0)).unwrap_or_default();
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// Compares what the snapshot sees with what is locked: `None` when each readable table is locked and its storage is
    /// the one that the snapshot means.
    pub(crate) fn difference(&self, relations: &[Relation]) -> Option<String> {
        let tables = relations
            .iter()
            .filter(|relation| matches!(relation.kind, RelationKind::Table | RelationKind::Partitioned));
        for table in tables {
            let name = format!("{}.{}", table.schema, table.name);
            if !table.storage_is_current {
                return Some(format!("{name} was truncated, rewritten or dropped"));
            }
            if table.readable && !self.locked.contains(&table.oid) {
                return Some(format!("{name} was created"));
            }
        }
        None
    }

    /// Measures the locked tables, by OID.
    ///
    /// The holder does it, because measuring locks a table for a moment: anybody else would wait behind somebody who
    /// waits for the holder.
    pub(crate) fn sizes(&mut self) -> Result<HashMap<u32, RelationSize>, SnapshotError> {
        let oids: Vec<u32> = self.locked.iter().copied().collect();
        let doing = "pg_relation_size";
        let rows = self
            .connection
            .query(sizes_query(&oids).as_bytes())
            .map_err(|source| SnapshotError::Wire { doing, source })?;
        let sizes = rows.iter().filter_map(|row| {
            let size = RelationSize {
                pages: number(row.get(1))?,
                bytes: number(row.get(2))?,
            };
            Some((number(row.get(0))?, size))
        });
        Ok(sizes.collect())
    }

    /// Says who waits for an exclusive lock on a table that the holder has locked; empty when nobody does.
    pub(crate) fn waiting(&mut self) -> Result<Option<String>, SnapshotError> {
        let oids: Vec<u32> = self.locked.iter().copied().collect();
        let found = blockers_found(&mut self.connection, &oids).map_err(|source| SnapshotError::Wire {
            doing: "look who waits",
            source,
        })?;
        Ok((!found.is_empty()).then(|| found.join("; ")))
    }

    /// Ends the transaction and gives up the locks.
    pub(crate) fn release(&mut self) -> Result<(), SnapshotError> {
        self.execute("rollback", b"ROLLBACK")
    }

    fn execute(&mut self, doing: &'static str, sql: &[u8]) -> Result<(), SnapshotError> {
        self.connection
            .execute(sql)
            .map(drop)
            .map_err(|source| SnapshotError::Wire { doing, source })
    }
}

/// What an attempt to lock gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Locking {
    /// Every table is locked.
    Locked,
    /// The tables changed meanwhile; the transaction is to be rolled back and begun anew.
    Changed(String),
}

/// Begins a transaction of the catalog connection that sees the snapshot.
pub(crate) fn import<'c>(
    client: &'c mut postgres::Client,
    snapshot: &str,
) -> Result<postgres::Transaction<'c>, CatalogError> {
    use crate::catalog::Reading;
    let what = "the snapshot";
    let mut transaction = client
        .build_transaction()
        .isolation_level(postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .reading(what)?;
    let name = String::from_utf8_lossy(&quote_literal(snapshot.as_bytes())).into_owned();
    transaction
        .batch_execute(&format!("SET TRANSACTION SNAPSHOT {name}"))
        .reading(what)?;
    Ok(transaction)
}

/// A snapshot with the relations in it, all of them locked.
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) relations: Vec<Relation>,
}

/// Takes a snapshot in one attempt; `Err` of the inner result says what changed meanwhile.
pub(crate) fn attempt(
    holder: &mut Holder,
    client: &mut postgres::Client,
    server_version_num: u32,
    lock_wait: Duration,
    profile: Option<&Profile>,
) -> Result<Result<Taken, String>, SnapshotError> {
    if let Locking::Changed(what) = holder.lock(client, lock_wait, profile)? {
        return Ok(Err(what));
    }
    let name = holder.export()?;
    let mut transaction = import(client, &name)?;
    let mut relations = read_relations(&mut transaction, server_version_num)?;
    drop(transaction);
    relations.retain(|relation| !leaves_schema(profile, &relation.schema));
    if let Some(what) = holder.difference(&relations) {
        return Ok(Err(what));
    }
    let sizes = holder.sizes()?;
    for relation in &mut relations {
        relation.size = sizes.get(&relation.oid).copied().unwrap_or_default();
    }
    Ok(Ok(Taken { name, relations }))
}

fn leaves_schema(profile: Option<&Profile>, schema: &DbText) -> bool {
    profile.is_some_and(|profile| profile.leaves_schema(schema.as_bytes()))
}

/// The relations of this database that a process has locked at least for reading.
///
/// Names were locked, and a name may have gone from one table to another since it was read: what is locked in the end
/// only the server knows.
fn locks_of(client: &mut postgres::Client, pid: i32) -> Result<HashSet<u32>, CatalogError> {
    use crate::catalog::Reading;
    let what = "the locks";
    let rows = client
        .query(
            "SELECT l.relation FROM pg_catalog.pg_locks l
             WHERE l.pid = $1 AND l.locktype = 'relation' AND l.mode = 'AccessShareLock' AND l.granted
               AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())",
            &[&pid],
        )
        .reading(what)?;
    rows.iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()
        .reading(what)
}

/// Says for people who has or awaits an exclusive lock on one of the tables or its indexes.
pub(crate) fn blockers(connection: &mut WireConnection, tables: &[u32]) -> Result<String, WireError> {
    let found = blockers_found(connection, tables)?;
    Ok(if found.is_empty() {
        "the one who had the lock is gone by now".to_owned()
    } else {
        found.join("; ")
    })
}

fn blockers_found(connection: &mut WireConnection, tables: &[u32]) -> Result<Vec<String>, WireError> {
    let oids = oid_list(tables);
    let sql = format!(
        "SELECT l.relation::pg_catalog.regclass, l.pid, coalesce(a.usename, '?'), l.granted,
                left(regexp_replace(coalesce(a.query, ''), '\\s+', ' ', 'g'), 80)
         FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
         WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation' AND l.pid <> pg_catalog.pg_backend_pid()
           AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
           AND (l.relation = ANY ({oids})
             OR l.relation IN (SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid = ANY ({oids})))
         ORDER BY l.granted DESC, l.pid LIMIT 3"
    );
    let rows = connection.query(sql.as_bytes())?;
    let found = rows.iter().map(|row| {
        let text = |column| String::from_utf8_lossy(row.get(column).unwrap_or_default());
        let verb = if row.get(3) == Some(b"t") { "has" } else { "waits for" };
        let (table, pid, role, query) = (text(0), text(1), text(2), text(4));
        format!("process {pid} of {role} {verb} an exclusive lock on {table} ({query})")
    });
    Ok(found.collect())
}

fn number<T: std::str::FromStr>(text: Option<&[u8]>) -> Option<T> {
    std::str::from_utf8(text?).ok()?.parse().ok()
}
