//! One connection that reads everything in one snapshot.
//!
//! `TRUNCATE` and rewrites of tables are not MVCC-safe: a snapshot that is older than the lock on such a table reads it as
//! empty, without any error. Which tables a query reads only the server knows. So the queries are planned once, which
//! locks their tables; then the transaction is begun anew, the same tables are locked first, for `LOCK TABLE` takes no
//! snapshot, and the queries are planned again. When that locks nothing new, every table was locked before the snapshot.
//!
//! What a plan does not lock, above all tables that only functions read, and what the role may not lock is looked at when
//! the rows are read: see [`refuse_replaced`].

use std::collections::BTreeMap;

use backstay_core::sql::quote_literal;
use backstay_postgres::{CancelToken, ConnectionConfig, SqlState, WireConnection, connect_to_session};

use crate::columns::one_value;
use crate::error::ExportError;
use crate::request::ExportOptions;
use crate::source::ExportSource;

/// How often it is begun anew because tables change meanwhile. The first attempt only finds out which there are.
const ATTEMPTS_MAX: u32 = 6;

/// The settings of a session, as far as the server knows them. What shapes text is left as the role and the database have it,
/// because CSV is to be what psql writes. Rows that the role may not see are an error: an export that lacks them would look whole.
const SETTINGS: &[(&str, &str)] = &[
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("transaction_timeout", "0"),
    ("default_transaction_deferrable", "off"),
    ("row_security", "off"),
    ("synchronize_seqscans", "off"),
    // The lock that a function takes in a parallel worker is gone before it is looked at.
    ("max_parallel_workers_per_gather", "0"),
];

/// Further settings for formats that are read by programs: what values look like must not depend on the role.
const EXACT: &[(&str, &str)] = &[
    ("bytea_output", "hex"),
    // The order of day and month, which is also that of what is read, stays as it is.
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "3"),
];

pub(crate) struct Session {
    pub(crate) connection: WireConnection,
}

/// What a transaction reads.
pub(crate) struct Facts {
    /// `system_identifier` of the cluster, where it may be read.
    cluster: Option<u64>,
    /// The name of the database.
    pub(crate) database: String,
    /// The snapshot, as the server writes it.
    pub(crate) snapshot: String,
}

impl Facts {
    /// Which database that is, where it is known.
    pub(crate) fn source(&self) -> Option<ExportSource> {
        Some(ExportSource::new(self.cluster?, self.database.clone()))
    }
}

impl Session {
    pub(crate) fn connect(config: &ConnectionConfig, cancel: &CancelToken) -> Result<Self, ExportError> {
        let mut connection = connect_to_session(config, cancel)?;
        let prepare = || ExportError::wire("prepare the session");
        connection.discard_at_end();
        connection.execute(b"SET client_encoding = 'UTF8'").map_err(prepare())?;
        connection.query(set(SETTINGS, false).as_bytes()).map_err(prepare())?;
        Ok(Self { connection })
    }

    /// Reads in a snapshot that somebody has exported, and holds meanwhile. Nothing is locked yet: a table may have been replaced
    /// since, which is seen when its rows are read.
    pub(crate) fn join(&mut self, snapshot: &str, options: &ExportOptions) -> Result<(), ExportError> {
        self.begin(options)?;
        let name = quote_literal(snapshot.as_bytes());
        let join = [b"SET TRANSACTION SNAPSHOT ", &name[..]].concat();
        self.execute("take part in the snapshot", &join)
    }

    pub(crate) fn begin(&mut self, options: &ExportOptions) -> Result<(), ExportError> {
        self.execute("begin", b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let wait = format!("SET LOCAL lock_timeout = {}", options.lock_wait.as_millis().max(1));
        self.execute("begin", wait.as_bytes())
    }

    /// Takes the snapshot for what `plan` reads, which plans all queries without running them and may be called several times.
    pub(crate) fn snapshot<T>(
        &mut self,
        options: &ExportOptions,
        mut plan: impl FnMut(&mut WireConnection) -> Result<T, ExportError>,
    ) -> Result<T, ExportError> {
        let mut to_lock: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for _ in 0..ATTEMPTS_MAX {
            self.begin(options)?;
            match self.lock(&to_lock) {
                Ok(()) => {}
                // One of them is gone: perhaps nothing reads it any more.
                Err(error) if is_gone(&error) => {
                    self.execute("begin anew", b"ROLLBACK")?;
                    to_lock.clear();
                    continue;
                }
                Err(error) => return Err(blocked(error, options)),
            }
            let planned = plan(&mut self.connection).map_err(|error| blocked(error, options))?;
            let locked = self.locked()?;
            if locked.keys().all(|oid| to_lock.contains_key(oid)) {
                self.execute("begin", b"SET LOCAL lock_timeout = 0")?;
                return Ok(planned);
            }
            self.execute("begin anew", b"ROLLBACK")?;
            to_lock = locked;
        }
        Err(ExportError::Unstable { attempts: ATTEMPTS_MAX })
    }

    /// Has values look exact, and the same for everybody, until it is undone.
    pub(crate) fn shape_exactly(connection: &mut WireConnection) -> Result<(), ExportError> {
        connection
            .query(set(EXACT, true).as_bytes())
            .map(drop)
            .map_err(ExportError::wire("prepare the session"))
    }

    /// What the transaction reads.
    pub(crate) fn facts(&mut self) -> Result<Facts, ExportError> {
        let ask = |connection: &mut WireConnection, sql: &str| {
            let value = one_value(connection, sql).map_err(ExportError::wire("read the snapshot"))?;
            Ok(value.unwrap_or_default())
        };
        // Managed servers may refuse to tell it.
        let cluster = guarded(&mut self.connection, Afterwards::Undo, |connection| {
            ask(
                connection,
                "SELECT system_identifier FROM pg_catalog.pg_control_system()",
            )
        });
        let cluster = match cluster {
            Err(error) if self.connection.is_broken() => return Err(error),
            // It is unsigned and comes as a signed number.
            cluster => cluster.ok().and_then(|text| text.parse().ok()).map(i64::cast_unsigned),
        };
        Ok(Facts {
            cluster,
            database: ask(&mut self.connection, "SELECT pg_catalog.current_database()")?,
            snapshot: ask(
                &mut self.connection,
                "SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text",
            )?,
        })
    }

    fn lock(&mut self, tables: &BTreeMap<u32, Vec<u8>>) -> Result<(), ExportError> {
        if tables.is_empty() {
            return Ok(());
        }
        let names: Vec<&[u8]> = tables.values().map(Vec::as_slice).collect();
        let mut sql = b"LOCK TABLE ".to_vec();
        sql.extend(names.join(&b", "[..]));
        sql.extend_from_slice(b" IN ACCESS SHARE MODE");
        self.execute("lock the tables", &sql)
    }

    /// The tables and views that this transaction has locked and may lock, with their quoted names. A table that the role may
    /// not read is read by way of a view, and is locked with that.
    fn locked(&mut self) -> Result<BTreeMap<u32, Vec<u8>>, ExportError> {
        let rows = self
            .connection
            .query(
                b"SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) \
                  FROM pg_catalog.pg_locks l \
                  JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database() \
                  JOIN pg_catalog.pg_class c ON c.oid = l.relation \
                  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                  WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted \
                  AND c.relkind IN ('r', 'p', 'v') AND c.relpersistence <> 't' \
                  AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
                  AND pg_catalog.has_table_privilege(c.oid, 'SELECT')",
            )
            .map_err(ExportError::wire("see which tables are locked"))?;
        let found = rows.iter().filter_map(|row| {
            let oid = std::str::from_utf8(row.get(0)?).ok()?.parse().ok()?;
            Some((oid, row.get(1)?.to_vec()))
        });
        Ok(found.collect())
    }

    fn execute(&mut self, doing: &str, sql: &[u8]) -> Result<(), ExportError> {
        self.connection.execute(sql).map(drop).map_err(ExportError::wire(doing))
    }
}

/// What becomes of what was done in [`guarded`], where it went well: locks and settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// It stays until the end of the transaction.
    Keep,
    /// It is as before.
    Undo,
}

/// Runs something that may fail without ending the transaction.
pub(crate) fn guarded<T>(
    connection: &mut WireConnection,
    afterwards: Afterwards,
    run: impl FnOnce(&mut WireConnection) -> Result<T, ExportError>,
) -> Result<T, ExportError> {
    let go_on = || ExportError::wire("go on in the snapshot");
    connection.execute(b"SAVEPOINT backstay").map_err(go_on())?;
    let result = run(connection);
    if connection.is_broken() {
        return result;
    }
    if result.is_err() || afterwards == Afterwards::Undo {
        connection.execute(b"ROLLBACK TO SAVEPOINT backstay").map_err(go_on())?;
    }
    connection.execute(b"RELEASE SAVEPOINT backstay").map_err(go_on())?;
    result
}

/// Refuses rows, when they are read and still locked, if a table that this transaction has locked was emptied or rewritten between
/// the snapshot and the lock: the catalog in the snapshot says where the table was stored then, and the server where it is.
pub(crate) fn refuse_replaced(connection: &mut WireConnection) -> Result<(), ExportError> {
    let replaced = one_value(
        connection,
        // An index that came meanwhile loses no row; and shared and mapped relations, which are the server's, have no number.
        "SELECT coalesce(c.oid::pg_catalog.regclass::pg_catalog.text, l.relation::pg_catalog.text) FROM pg_catalog.pg_locks l \
         JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database() \
         LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation \
         WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted \
         AND CASE WHEN c.oid IS NULL THEN pg_catalog.pg_get_indexdef(l.relation) IS NULL \
         WHEN c.relkind IN ('i', 'I') OR c.relfilenode = 0 THEN false \
         ELSE c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid)::pg_catalog.oid END LIMIT 1",
    )
    .map_err(ExportError::wire("see which tables changed"))?;
    match replaced {
        Some(table) => Err(ExportError::Replaced { table }),
        None => Ok(()),
    }
}

fn set(settings: &[(&str, &str)], is_local: bool) -> String {
    let values: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("('{name}', '{value}')"))
        .collect();
    format!(
        "SELECT pg_catalog.count(pg_catalog.set_config(s.name, v.value, {is_local})) \
         FROM pg_catalog.pg_settings s, (VALUES {}) v (name, value) WHERE s.name OPERATOR(pg_catalog.=) v.name",
        values.join(", ")
    )
}

/// The error, where it is that of a lock that was waited for too long.
pub(crate) fn blocked(error: ExportError, options: &ExportOptions) -> ExportError {
    match error {
        ExportError::Wire { source, .. } if source.sql_state() == Some(SqlState::LOCK_NOT_AVAILABLE) => {
            ExportError::Locked {
                secs: options.lock_wait.as_secs(),
                source,
            }
        }
        error => error,
    }
}

fn is_gone(error: &ExportError) -> bool {
    let ExportError::Wire { source, .. } = error else {
        return false;
    };
    matches!(
        source.sql_state(),
        Some(SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME | SqlState::WRONG_OBJECT_TYPE)
    )
}

#[cfg(test)]
mod tests;
