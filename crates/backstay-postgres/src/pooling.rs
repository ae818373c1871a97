//! Telling a pooler in transaction mode, which gives each transaction another session, from a server.

use crate::cancel::CancelToken;
use crate::catalog::{CatalogError, Reading};
use crate::config::ConnectionConfig;
use crate::connect::ConnectError;
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

/// Whether a second connection has got the session of the first, which is idle, so that only a pooler can have given it
/// away; or whether the first is given another one while the second keeps its own by a transaction.
pub(crate) fn shares_sessions(
    second: &mut WireConnection,
    first: &mut postgres::Client,
    facts: &SessionFacts,
) -> Result<bool, PoolingError> {
    let rows = second.query(format!("{BEGIN}; SELECT pg_catalog.pg_backend_pid()").as_bytes())?;
    let pid = rows.first().and_then(|row| row.get(0));
    let is_shared = pid == Some(facts.pid.as_bytes()) || session_facts(first)?.pid != facts.pid;
    second.execute(b"ROLLBACK")?;
    Ok(is_shared)
}

/// Whether the sessions of a target are shared; it takes a second connection for a moment.
pub(crate) fn is_transaction_pooler(
    config: &ConnectionConfig,
    first: &mut postgres::Client,
    cancel: &CancelToken,
) -> Result<bool, PoolingError> {
    let facts = session_facts(first)?;
    let mut second = WireConnection::connect(config, cancel)?;
    shares_sessions(&mut second, first, &facts)
}
