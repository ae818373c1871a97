//! Telling a pooler in transaction mode, which gives each transaction another session, from a server.

use crate::cancel::CancelToken;
use crate::catalog::{CatalogError, Reading};
use crate::config::ConnectionConfig;
use crate::connect::{ConnectError, ConnectErrorKind, Failure};
use crate::wire::{WireConnection, WireError};

/// Why it is not known whether sessions are kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolingError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("cannot ask which session it is")]
    Wire(#[from] WireError),
}

/// How often two connections are compared. While others are busy, each may get the session that it had before, by chance.
const ROUNDS: usize = 7;

/// Begins a transaction in which a question waits for nobody, whatever the role's defaults are.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE";

/// A session, as far as it can be asked about without leaving anything behind: nothing is set, nothing is prepared.
#[derive(Debug)]
pub(crate) struct SessionFacts {
    /// The server's process.
    pub(crate) pid: String,
    /// `server_version`.
    pub(crate) server_version: String,
    /// `server_version_num`.
    pub(crate) server_version_num: u32,
    /// Encoding of the database.
    pub(crate) encoding: String,
}

/// Asks about a session.
pub(crate) fn session_facts(client: &mut postgres::Client) -> Result<SessionFacts, CatalogError> {
    let sql = format!(
        "{BEGIN}; SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('server_version'),
                  pg_catalog.current_setting('server_version_num'), pg_catalog.getdatabaseencoding(); COMMIT"
    );
    let messages = client.simple_query(&sql).reading("the server's settings")?;
    let row = messages.iter().find_map(|message| match message {
        postgres::SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |column| row.and_then(|row| row.get(column)).unwrap_or_default().to_owned();
    Ok(SessionFacts {
        pid: text(0),
        server_version: text(1),
        server_version_num: text(2).parse().unwrap_or(0),
        encoding: text(3),
    })
}

/// Connects, and refuses a pooler in transaction mode before anything is set in a session; for that it takes a second connection
/// for a moment.
///
/// # Errors
/// Those of [`WireConnection::connect`], and [`ConnectErrorKind::TransactionPooler`].
pub fn connect_to_session(config: &ConnectionConfig, cancel: &CancelToken) -> Result<WireConnection, ConnectError> {
    let mut first = WireConnection::connect(config, cancel)?;
    let is_shared = ask_pid(&mut first, "; COMMIT")
        .map_err(PoolingError::Wire)
        .and_then(|pid| is_shared(config, &pid, cancel, || Ok(ask_pid(&mut first, "; COMMIT")?)));
    let failure = match is_shared {
        Ok(false) => return Ok(first),
        Ok(true) => Failure::new(ConnectErrorKind::TransactionPooler),
        Err(PoolingError::Connect(error)) => return Err(error),
        Err(PoolingError::Wire(error)) => error.into(),
        Err(PoolingError::Catalog(error)) => Failure::new(ConnectErrorKind::Other).because(error),
    };
    Err(ConnectError::new(first.server().to_owned(), failure))
}

/// Whether a second connection gets the session of the first, which is idle, so that only a pooler can have given it away; or
/// whether one of them is given another session than it had.
pub(crate) fn shares_sessions(
    second: &mut WireConnection,
    first: &mut postgres::Client,
    facts: &SessionFacts,
) -> Result<bool, PoolingError> {
    compare(second, facts.pid.as_bytes(), || {
        Ok(session_facts(first)?.pid.into_bytes())
    })
}

/// Whether the sessions of a target are shared; it takes a second connection for a moment.
pub(crate) fn is_transaction_pooler(
    config: &ConnectionConfig,
    first: &mut postgres::Client,
    cancel: &CancelToken,
) -> Result<bool, PoolingError> {
    let facts = session_facts(first)?;
    is_shared(config, facts.pid.as_bytes(), cancel, || {
        Ok(session_facts(first)?.pid.into_bytes())
    })
}

fn is_shared(
    config: &ConnectionConfig,
    pid: &[u8],
    cancel: &CancelToken,
    ask_first: impl FnMut() -> Result<Vec<u8>, PoolingError>,
) -> Result<bool, PoolingError> {
    match WireConnection::connect(config, cancel) {
        // A server that lets no second one in; a pooler in transaction mode lets in more than its server.
        Err(error) if error.kind() == ConnectErrorKind::TooManyConnections => Ok(false),
        second => compare(&mut second?, pid, ask_first),
    }
}

/// A session never changes. So it is asked several times for both, while the second keeps its own by a transaction.
fn compare(
    second: &mut WireConnection,
    pid: &[u8],
    mut ask_first: impl FnMut() -> Result<Vec<u8>, PoolingError>,
) -> Result<bool, PoolingError> {
    let mut second_pid = None;
    for _ in 0..ROUNDS {
        let found = ask_pid(second, "")?;
        let is_shared = found == pid || *second_pid.get_or_insert(found.clone()) != found || ask_first()? != pid;
        second.execute(b"ROLLBACK")?;
        if is_shared {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The server's process, in a transaction that ends as told.
fn ask_pid(connection: &mut WireConnection, end: &str) -> Result<Vec<u8>, WireError> {
    let rows = connection.query(format!("{BEGIN}; SELECT pg_catalog.pg_backend_pid(){end}").as_bytes())?;
    let pid = rows.first().and_then(|row| row.get(0));
    Ok(pid.unwrap_or_default().to_vec())
}
