use crate::cancel::CancelToken;
use crate::config::ConnectionConfig;
use crate::connect::ConnectError;
use crate::session::{self, SessionError};
use crate::wire::{WireConnection, WireError};

/// Among advisory locks of two numbers, these are of those who make backups of a database by a schedule.
const CLASS: i32 = 0x6261_636b;
const RUN: i32 = 1;

/// The right to work on a database by a schedule, which one has at a time, on whatever machine. Who goes away loses it, because
/// it is a lock that the server holds for a connection.
///
/// It is held by a transaction that has no snapshot and so keeps no row from being vacuumed: behind a pooler that hands its
/// connections on with each transaction, a lock of the session would go to anybody.
#[derive(Debug)]
pub struct Claim {
    connection: WireConnection,
}

/// Why nobody knows who works on a database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// The database cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The session cannot be set up.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The lock cannot be asked for.
    #[error("cannot ask for the lock of scheduled runs")]
    Lock(#[source] WireError),
}

impl Claim {
    /// Takes it; nothing where somebody else has it.
    ///
    /// # Errors
    /// The database cannot be reached or asked.
    pub fn take(config: &ConnectionConfig, cancel: &CancelToken) -> Result<Option<Self>, ClaimError> {
        let mut connection = WireConnection::connect(config, cancel)?;
        connection
            .execute(b"BEGIN ISOLATION LEVEL READ COMMITTED")
            .map_err(ClaimError::Lock)?;
        // Among other things, that the server ends no transaction because nothing happens in it.
        session::prepare(&mut connection, "UTF8", &[])?;
        let mut claim = Self { connection };
        let sql = format!("SELECT pg_catalog.pg_try_advisory_xact_lock({CLASS}, {RUN})");
        Ok(claim.is(&sql).map_err(ClaimError::Lock)?.then_some(claim))
    }

    /// Whether it still is ours. Asking keeps the connection from being taken for idle.
    pub fn is_held(&mut self) -> bool {
        self.is("SELECT true").unwrap_or(false)
    }

    /// Gives it back.
    pub fn release(mut self) {
        // Who hears nothing any more has taken it from us.
        let _ = self.connection.execute(b"ROLLBACK");
        self.connection.close();
    }

    fn is(&mut self, sql: &str) -> Result<bool, WireError> {
        let rows = self.connection.query(sql.as_bytes())?;
        Ok(rows.first().and_then(|row| row.get(0)) == Some(b"t"))
    }
}
