//! Taking one consistent snapshot that several connections share.
//!
//! Locks come first: a snapshot taken before the lock reads a table that was truncated or rewritten in between as
//! empty, without any error (`TRUNCATE` is not MVCC-safe, PostgreSQL documentation, "Caveats" of concurrency control).
//! `LOCK TABLE` takes no snapshot, so inside one `REPEATABLE READ` transaction the locks can precede it.

use std::collections::HashSet;
use std::time::Duration;

use backstay_core::DbText;
use backstay_core::sql::{quote_literal, quote_qualified};

use crate::catalog::{CatalogError, Relation, RelationKind, Sizes, lockable_relations, read_relations};
use crate::config::ConnectionConfig;
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
    /// Tables were created, dropped or rewritten each time.
    #[error("the tables changed during each of {ATTEMPTS_MAX} attempts to take a snapshot, {last} at last")]
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
        Ok(Self {
            connection,
            locked: HashSet::new(),
        })
    }

    /// Begins the transaction and locks the tables; no snapshot is taken by that.
    pub(crate) fn lock(
        &mut self,
        client: &mut postgres::Client,
        lock_wait: Duration,
    ) -> Result<Locking, SnapshotError> {
        self.locked.clear();
        let tables = lockable_relations(client)?;
        self.execute("begin", b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        // Not the session's setting: what is read later may wait as long as it takes.
        self.execute(
            "lock_timeout",
            format!("SET LOCAL lock_timeout = {}", lock_wait.as_millis()).as_bytes(),
        )?;
        for batch in tables.chunks(LOCK_BATCH) {
            let mut sql = b"LOCK TABLE ".to_vec();
            for (index, (_, schema, name)) in batch.iter().enumerate() {
                sql.extend_from_slice(if index == 0 { b"ONLY " } else { b", ONLY " });
                sql.extend(quote_qualified(schema.as_bytes(), name.as_bytes()));
            }
            sql.extend_from_slice(b" IN ACCESS SHARE MODE");
            match self.connection.execute(&sql) {
                Ok(_) => self.locked.extend(batch.iter().map(|(oid, _, _)| *oid)),
                Err(source) => match source.sql_state() {
                    Some(SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME) => {
                        return Ok(Locking::Changed("a table was dropped".to_owned()));
                    }
                    Some(SqlState::LOCK_NOT_AVAILABLE) => {
                        let blockers = blockers(client, batch)?;
                        return Err(SnapshotError::Locked {
                            waited: lock_wait,
                            blockers,
                            source,
                        });
                    }
                    _ => {
                        return Err(SnapshotError::Wire {
                            doing: "LOCK TABLE",
                            source,
                        });
                    }
                },
            }
        }
        self.execute("lock_timeout", b"SET LOCAL lock_timeout = 0")?;
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
            .filter(|relation| matches!(relation.kind, RelationKind::Table | RelationKind::Partitioned))
            .filter(|relation| relation.readable);
        for table in tables {
            let name = format!("{}.{}", table.schema, table.name);
            if !self.locked.contains(&table.oid) {
                return Some(format!("{name} was created"));
            }
            if !table.storage_is_current {
                return Some(format!("{name} was truncated or rewritten"));
            }
        }
        None
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
) -> Result<Result<Taken, String>, SnapshotError> {
    if let Locking::Changed(what) = holder.lock(client, lock_wait)? {
        return Ok(Err(what));
    }
    let name = holder.export()?;
    let mut transaction = import(client, &name)?;
    let relations = read_relations(&mut transaction, server_version_num, Sizes::Exact)?;
    drop(transaction);
    Ok(match holder.difference(&relations) {
        None => Ok(Taken { name, relations }),
        Some(what) => Err(what),
    })
}

/// Says who holds or awaits an exclusive lock on one of the tables.
fn blockers(client: &mut postgres::Client, tables: &[(u32, DbText, DbText)]) -> Result<String, CatalogError> {
    use crate::catalog::Reading;
    let oids: Vec<u32> = tables.iter().map(|(oid, _, _)| *oid).collect();
    let what = "the locks";
    let rows = client
        .query(
            "SELECT l.relation::regclass::text, l.pid, coalesce(a.usename::text, '?'), l.granted,
                    left(regexp_replace(coalesce(a.query, ''), '\\s+', ' ', 'g'), 80)
             FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
             WHERE l.relation = ANY ($1) AND l.mode = 'AccessExclusiveLock'
               AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
             ORDER BY l.granted DESC, l.pid LIMIT 3",
            &[&oids],
        )
        .reading(what)?;
    let mut found = Vec::new();
    for row in &rows {
        let granted: bool = row.try_get(3).reading(what)?;
        let (table, pid): (String, i32) = (row.try_get(0).reading(what)?, row.try_get(1).reading(what)?);
        let (role, query): (String, String) = (row.try_get(2).reading(what)?, row.try_get(4).reading(what)?);
        let verb = if granted { "has" } else { "waits for" };
        found.push(format!(
            "process {pid} of {role} {verb} an exclusive lock on {table} ({query})"
        ));
    }
    Ok(if found.is_empty() {
        "the one who had the lock is gone by now".to_owned()
    } else {
        found.join("; ")
    })
}
