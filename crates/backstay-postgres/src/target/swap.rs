//! Giving a restored database the name of the one that it replaces.
//!
//! `ALTER DATABASE … RENAME` takes a lock that keeps newcomers waiting at the door and then waits five seconds for those
//! who are inside to leave. So both names change in one transaction, while another connection ends the sessions: there is
//! no moment at which the name is missing, and whoever dies half-way leaves everything as it was.

mod inspect;
mod properties;

use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::Duration;

use backstay_core::sql::{quote_identifier, quote_literal};

use super::on_a_thread;
use crate::CancelToken;
use crate::config::ConnectionConfig;
use crate::connect::{ConnectError, ConnectErrorKind, settle_endpoint};
use crate::pooling::connect_to_session;
use crate::session::{self, SessionError};
use crate::wire::{Row, WireConnection, WireError};

pub use inspect::{SwapState, database_names, plan_swap};

/// How long one lock is waited for; somebody may be changing the database itself.
const LOCK_WAIT: &str = "SET lock_timeout = '20s'";
/// How often sessions are ended while the server waits for that.
const END_EVERY: Duration = Duration::from_millis(100);
/// How often it is looked whether a transaction has ended that nobody answers for any more.
const LOOKS: u32 = 100;
/// `object_in_use`: somebody is connected.
const OBJECT_IN_USE: &[u8; 5] = b"55006";
/// Databases that every server has, to connect to where others change their names.
const ANCHORS: [&str; 2] = ["postgres", "template1"];

/// Which databases change names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the names and the way")]
pub struct Swap {
    /// The name that clients know.
    pub database: String,
    /// The database that gets it.
    pub replacement: String,
    /// The name under which the database that has it now is kept.
    pub kept: String,
    /// Which way it goes.
    pub way: SwapWay,
}

/// Which way a swap goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there and back")]
pub enum SwapWay {
    /// The replacement is made by a restore, and gets what belongs to the name and not to the content: owner, rights on the
    /// database, settings, limit of connections, comment.
    There,
    /// The replacement is a database that had the name before, and has all that.
    Back,
}

/// Why names were not swapped. Each database has the name that it had, but for [`SwapError::Unknown`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The session is not fit.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A statement failed.
    #[error("cannot {doing}")]
    Wire {
        /// What.
        doing: &'static str,
        /// Why.
        source: WireError,
    },
    /// One of the two does not exist.
    #[error("there is no database {database}")]
    Missing {
        /// Which.
        database: String,
    },
    /// A name that is to be given is another database's.
    #[error("there is a database {database} already")]
    Taken {
        /// The name.
        database: String,
    },
    /// New databases are made of it.
    #[error("the database {database} is a template, whose name must stay")]
    Template {
        /// Which.
        database: String,
    },
    /// The role may not do it.
    #[error("the role {role} may not rename the database {database}: {lacks}")]
    Rights {
        /// The role.
        role: String,
        /// The database.
        database: String,
        /// The right that is missing.
        lacks: String,
        /// The statement by which a superuser gives it.
        grant: String,
        /// Which way the swap would have gone.
        way: SwapWay,
    },
    /// Transactions that no session holds.
    #[error("the database {database} has prepared transactions: {}", transactions.join(", "))]
    Prepared {
        /// Which.
        database: String,
        /// Their names.
        transactions: Vec<String>,
    },
    /// Somebody stays connected.
    #[error("sessions that could not be ended: {}", sessions.join(", "))]
    InUse {
        /// Process, role and program of each.
        sessions: Vec<String>,
        /// What the server said.
        source: WireError,
    },
    /// The names did not change, and everything before that was done.
    #[error("cannot swap the names")]
    Rename {
        /// Why.
        source: WireError,
    },
    /// What belongs to the name could not be given to the replacement.
    #[error("the database {replacement} could not be given what {database} has: {}", what.join("; "))]
    Properties {
        /// Which has it.
        database: String,
        /// Which should get it.
        replacement: String,
        /// Which statements failed, or what is different.
        what: Vec<String>,
    },
    /// The connection was lost at the end, and nobody could be asked what became of it.
    #[error("it is not known whether {database} was swapped")]
    Unknown {
        /// The name.
        database: String,
        /// Why.
        source: WireError,
    },
    /// It was asked to stop.
    #[error("cancelled; no database has another name")]
    Cancelled,
}

/// Ends the sessions of both databases and swaps their names in one transaction; afterwards it looks whether it is so.
///
/// On the way there, what belongs to the name is copied before that, and compared.
///
/// # Errors
/// See [`SwapError`]; but for one, nothing has another name then.
pub fn swap_databases(config: &ConnectionConfig, swap: &Swap, cancel: &CancelToken) -> Result<(), SwapError> {
    // Of several hosts all connections must reach the same.
    let config = &settle_endpoint(config, cancel)?;
    on_a_thread(|| match swap_names(config, swap, cancel) {
        Err(error) if cancel.is_cancelled() && !matches!(error, SwapError::Unknown { .. }) => Err(SwapError::Cancelled),
        other => other,
    })
}

fn swap_names(config: &ConnectionConfig, swap: &Swap, cancel: &CancelToken) -> Result<(), SwapError> {
    let mut connection = connect(config, swap, cancel)?;
    let (old, new) = (
        oid(&mut connection, &swap.database)?,
        oid(&mut connection, &swap.replacement)?,
    );
    if swap.way == SwapWay::There {
        properties::copy(&mut connection, swap)?;
    }
    let ending = connect(config, swap, cancel)?;
    if let Err(error) = rename_both(&mut connection, ending, swap, [&old, &new]) {
        if error.sql_state().is_some_and(|code| code.as_bytes() == OBJECT_IN_USE) {
            let sessions = sessions(&mut connection, [&old, &new])?;
            return Err(SwapError::InUse {
                sessions,
                source: error,
            });
        }
        return settle_doubt(config, swap, [&old, &new], error);
    }
    connection.close();
    Ok(())
}

/// Looks what became of a transaction that ended with an error, which may have come after its commit.
fn settle_doubt(config: &ConnectionConfig, swap: &Swap, oids: [&[u8]; 2], error: WireError) -> Result<(), SwapError> {
    match who_has_the_name(config, swap, oids) {
        Ok(Some(found)) if found == oids[1] => Ok(()),
        Ok(Some(_)) => Err(SwapError::Rename { source: error }),
        Ok(None) | Err(_) => Err(SwapError::Unknown {
            database: swap.database.clone(),
            source: error,
        }),
    }
}

/// The database that has the name, when nobody is about to change that; `None` where somebody is for too long.
fn who_has_the_name(config: &ConnectionConfig, swap: &Swap, oids: [&[u8]; 2]) -> Result<Option<Vec<u8>>, SwapError> {
    // Not even a cancellation keeps from this.
    let mut connection = connect(config, swap, &CancelToken::new())?;
    let locks = [
        b"SELECT FROM pg_catalog.pg_locks WHERE classid = 'pg_catalog.pg_database'::pg_catalog.regclass \
          AND mode = 'AccessExclusiveLock' AND granted AND objid IN ("
            .to_vec(),
        list_of(oids),
        b")".to_vec(),
    ]
    .concat();
    for _ in 0..LOOKS {
        if query(&mut connection, &locks, "look who renames")?.is_empty() {
            return Ok(Some(oid(&mut connection, &swap.database)?));
        }
        thread::sleep(END_EVERY);
    }
    Ok(None)
}

/// Swaps the names in one transaction, while another connection ends sessions.
fn rename_both(
    connection: &mut WireConnection,
    ending: WireConnection,
    swap: &Swap,
    oids: [&[u8]; 2],
) -> Result<(), WireError> {
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || end_sessions(ending, oids, &is_done));
        let renamed = connection
            .execute(b"BEGIN")
            .and_then(|_| connection.execute(&rename(&swap.database, &swap.kept)))
            .and_then(|_| connection.execute(&rename(&swap.replacement, &swap.database)))
            .and_then(|_| connection.commit());
        if renamed.is_err() && !connection.is_broken() {
            // The server undoes the transaction either way.
            drop(connection.execute(b"ROLLBACK"));
        }
        drop(done);
        renamed
    })
}

/// Ends the sessions of databases until it is told that nobody waits for that any more: who connects then is a client of
/// the new one. What it may not end, the server tells to the one who waits.
fn end_sessions(mut connection: WireConnection, oids: [&[u8]; 2], is_done: &mpsc::Receiver<()>) {
    let list = list_of(oids);
    let query = [
        b"SELECT pid FROM pg_catalog.pg_stat_activity WHERE datid IN (".to_vec(),
        list,
        b")".to_vec(),
    ]
    .concat();
    let is_wanted = || is_done.try_recv() == Err(TryRecvError::Empty);
    while is_wanted() && !connection.is_broken() {
        // One by one: the right to end one session does not say that of another.
        for row in connection.query(&query).unwrap_or_default() {
            if !is_wanted() {
                return;
            }
            let sql = [
                b"SELECT pg_catalog.pg_terminate_backend(",
                row.get(0).unwrap_or(b"0"),
                b")",
            ]
            .concat();
            drop(connection.execute(&sql));
        }
        if is_done.recv_timeout(END_EVERY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// What keeps databases in use, for people.
fn sessions(connection: &mut WireConnection, oids: [&[u8]; 2]) -> Result<Vec<String>, SwapError> {
    let list = list_of(oids);
    let sql = [
        b"SELECT pid || ' (' || coalesce(usename, backend_type) || coalesce(nullif(', ' || application_name, ', '), '') || ')' \
          FROM pg_catalog.pg_stat_activity WHERE datid IN (",
        &list[..],
        b") UNION ALL SELECT 'prepared transaction ' || p.gid FROM pg_catalog.pg_prepared_xacts p \
          JOIN pg_catalog.pg_database d ON d.datname = p.database WHERE d.oid IN (",
        &list[..],
        b") ORDER BY 1 LIMIT 10",
    ]
    .concat();
    let rows = query(connection, &sql, "look who is connected")?;
    Ok(rows.iter().map(|row| text(row, 0)).collect())
}

fn list_of(oids: [&[u8]; 2]) -> Vec<u8> {
    oids.map(quote_literal).join(&b", "[..])
}

fn rename(from: &str, to: &str) -> Vec<u8> {
    let mut sql = b"ALTER DATABASE ".to_vec();
    sql.extend(quote_identifier(from.as_bytes()));
    sql.extend_from_slice(b" RENAME TO ");
    sql.extend(quote_identifier(to.as_bytes()));
    sql
}

/// Connects to a database that keeps its name.
fn connect(config: &ConnectionConfig, swap: &Swap, cancel: &CancelToken) -> Result<WireConnection, SwapError> {
    connect_by(swap, config, |at| WireConnection::connect(at, cancel))
}

/// The same before anything else was done, where a pooler in transaction mode is refused.
fn connect_first(config: &ConnectionConfig, swap: &Swap) -> Result<WireConnection, SwapError> {
    connect_by(swap, config, |at| connect_to_session(at, &CancelToken::new()))
}

fn connect_by(
    swap: &Swap,
    config: &ConnectionConfig,
    open: impl Fn(&ConnectionConfig) -> Result<WireConnection, ConnectError>,
) -> Result<WireConnection, SwapError> {
    let mut last = None;
    let is_fixed = |anchor: &&str| ![&swap.database, &swap.replacement].contains(&&(**anchor).to_owned());
    for anchor in ANCHORS.into_iter().filter(is_fixed) {
        let at = ConnectionConfig {
            database: anchor.to_owned(),
            ..config.clone()
        };
        match open(&at) {
            Ok(mut connection) => {
                session::prepare(&mut connection, "UTF8", &[])?;
                execute(&mut connection, LOCK_WAIT.as_bytes(), "prepare the session")?;
                return Ok(connection);
            }
            Err(error) if error.kind() == ConnectErrorKind::DatabaseMissing => last = Some(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.unwrap_or_else(|| SwapError::Missing {
        database: ANCHORS[0].to_owned(),
    }))
}

fn oid(connection: &mut WireConnection, database: &str) -> Result<Vec<u8>, SwapError> {
    let mut sql = b"SELECT oid FROM pg_catalog.pg_database WHERE datname = ".to_vec();
    sql.extend(quote_literal(database.as_bytes()));
    let rows = query(connection, &sql, "look for the database")?;
    let found = rows.first().and_then(|row| row.get(0));
    found.map(<[u8]>::to_vec).ok_or_else(|| SwapError::Missing {
        database: database.to_owned(),
    })
}

fn query(connection: &mut WireConnection, sql: &[u8], doing: &'static str) -> Result<Vec<Row>, SwapError> {
    connection
        .query(sql)
        .map_err(|source| SwapError::Wire { doing, source })
}

fn execute(connection: &mut WireConnection, sql: &[u8], doing: &'static str) -> Result<(), SwapError> {
    let done = connection.execute(sql).map(drop);
    done.map_err(|source| SwapError::Wire { doing, source })
}

fn text(row: &Row, column: usize) -> String {
    String::from_utf8_lossy(row.get(column).unwrap_or_default()).into_owned()
}
