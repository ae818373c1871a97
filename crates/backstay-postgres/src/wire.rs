//! The connection that carries data: rows by the million, whatever their encoding.
//!
//! It speaks the simple query protocol and COPY only
//! (<https://www.postgresql.org/docs/current/protocol-flow.html>). Statements and results are bytes, since a database
//! may be in LATIN1 or in no encoding at all. No row is copied or allocated for on its way out.

mod channel;
mod copy;
mod error;
mod fault;
mod frame;
mod message;
mod server_error;
mod socket;
mod startup;
mod transport;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use memchr::memchr;

pub use copy::{CopyIn, CsvHeader};
pub use error::{RowFault, WireError};
pub(crate) use fault::Fault;
pub use message::{ColumnDescription, CommandTag, Row, TransactionStatus};
pub use server_error::{ServerError, SqlState};
pub(crate) use socket::{Socket, TICK};

use crate::cancel::CancelToken;
use crate::config::ConnectionConfig;
use crate::connect::{ConnectError, try_each};
use channel::{Channel, Frame};
use message::BackendKey;
use startup::Route;

/// How long a server may take to empty a session that is left.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);

/// Which way rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Out,
    In,
}

/// A session for statements and COPY.
///
/// Every wait looks at the cancel token at least four times a second; once cancelled, the server is asked to stop the
/// statement, and the connection is closed. Dropping the connection closes it, and the server rolls back. Where
/// [something was set](Self::discard_at_end) in the session, that is undone before, for two seconds at most.
pub struct WireConnection {
    channel: Channel,
    route: Route,
    /// `user@host:port/database`, for messages.
    server: String,
    key: Option<BackendKey>,
    status: TransactionStatus,
    broken: bool,
    /// Whether something was set in the session that must not be left there.
    discards: bool,
    /// The message that is being put together.
    outgoing: Vec<u8>,
}

impl WireConnection {
    /// Connects to the first endpoint that can be reached.
    ///
    /// `client_encoding` and all other settings are the database's and the role's own.
    ///
    /// # Errors
    /// Of the endpoint that was tried last; its [kind](ConnectError::kind) says what to do.
    pub fn connect(config: &ConnectionConfig, cancel: &CancelToken) -> Result<Self, ConnectError> {
        try_each(config, cancel, |attempt| startup::establish(config, attempt, cancel))
    }

    /// Runs one or several statements and throws their rows away; gives the tag of the last.
    ///
    /// # Errors
    /// Of the first statement that fails; the server does not run those behind it.
    pub fn execute(&mut self, sql: &[u8]) -> Result<CommandTag, WireError> {
        self.run(sql, |_| Ok(()))
    }

    /// Runs one or several statements and gives the rows of all of them, in order.
    ///
    /// # Errors
    /// Of the first statement that fails; the server does not run those behind it.
    pub fn query(&mut self, sql: &[u8]) -> Result<Vec<Row>, WireError> {
        let mut rows = Vec::new();
        self.run(sql, |body| {
            rows.push(Row::parse(body)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Runs one statement and gives its rows and what the server says of its columns.
    ///
    /// # Errors
    /// Of the statement.
    pub fn query_described(&mut self, sql: &[u8]) -> Result<(Vec<ColumnDescription>, Vec<Row>), WireError> {
        let (mut columns, mut rows) = (Vec::new(), Vec::new());
        self.run_described(
            sql,
            |body| {
                columns = ColumnDescription::parse_all(body)?;
                Ok(())
            },
            |body| {
                rows.push(Row::parse(body)?);
                Ok(())
            },
        )?;
        Ok((columns, rows))
    }

    /// Ends the transaction and keeps what it did.
    ///
    /// # Errors
    /// [`WireError::NotCommitted`] where the server kept nothing: it answers `COMMIT` without an error even where a
    /// statement before failed. Otherwise as of [`Self::execute`].
    pub fn commit(&mut self) -> Result<(), WireError> {
        let before = self.status;
        let tag = self.execute(b"COMMIT")?;
        if before == TransactionStatus::Open && tag.as_str() == "COMMIT" {
            Ok(())
        } else {
            Err(WireError::NotCommitted {
                server: self.server.clone(),
                said: tag.as_str().to_owned(),
            })
        }
    }

    /// Takes the notices that came since the last call; of more than 100 the last 100.
    pub fn take_notices(&mut self) -> Vec<ServerError> {
        self.channel.take_notices()
    }

    /// Says good-bye and closes, as dropping it does.
    pub fn close(self) {
        drop(self);
    }

    /// Has the session emptied (`DISCARD ALL`) when the connection is closed: a pooler may give it to somebody else, who
    /// would find in it what was set here.
    pub fn discard_at_end(&mut self) {
        self.discards = true;
    }

    /// `user@host:port/database`.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// What the transaction is up to, as of the last statement.
    #[must_use]
    pub fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    /// A parameter that the server reports and keeps up to date: `server_version`, `server_encoding`,
    /// `client_encoding`, `standard_conforming_strings` and some more.
    #[must_use]
    pub fn server_parameter(&self, name: &str) -> Option<&str> {
        self.channel.parameter(name)
    }

    /// The server's process, as in `pg_stat_activity`; `None` where a pooler hides it.
    #[must_use]
    pub fn backend_pid(&self) -> Option<u32> {
        self.key.map(|key| key.process_id)
    }

    /// Whether the connection was closed after an error.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    fn run(&mut self, sql: &[u8], on_row: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<CommandTag, WireError> {
        self.run_described(sql, |_| Ok(()), on_row)
    }

    fn run_described(
        &mut self,
        sql: &[u8],
        mut on_columns: impl FnMut(&[u8]) -> Result<(), Fault>,
        mut on_row: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<CommandTag, WireError> {
        self.start(sql)?;
        let mut error = None;
        let mut tag = CommandTag::default();
        loop {
            let done = match self.channel.receive() {
                Ok(Frame { tag: b'D', body }) => on_row(body),
                Ok(Frame { tag: b'T', body }) => on_columns(body),
                Ok(Frame { tag: b'I', .. }) => Ok(()),
                Ok(Frame { tag: b'C', body }) => CommandTag::parse(body).map(|said| tag = said),
                Ok(Frame { tag: b'E', body }) => {
                    error.get_or_insert_with(|| ServerError::parse(body));
                    Ok(())
                }
                Ok(Frame { tag: b'Z', body }) => match message::parse_ready(body) {
                    Ok(status) => {
                        self.status = status;
                        break;
                    }
                    Err(fault) => Err(fault),
                },
                Ok(Frame { tag, .. }) => Err(Fault::unexpected(tag, "in the answer to a statement")),
                Err(fault) => Err(fault),
            };
            if let Err(fault) = done {
                return Err(self.fail(fault, error));
            }
        }
        match error {
            Some(error) => Err(Box::new(error).into()),
            None => Ok(tag),
        }
    }

    /// Sends a statement.
    fn start(&mut self, sql: &[u8]) -> Result<(), WireError> {
        if memchr(0, sql).is_some() {
            return Err(WireError::NulInSql);
        }
        self.put(b'Q', &[sql, b"\0"])
    }

    /// Sends one message.
    fn put(&mut self, tag: u8, parts: &[&[u8]]) -> Result<(), WireError> {
        if self.broken {
            return Err(WireError::Broken {
                server: self.server.clone(),
            });
        }
        message::frame(&mut self.outgoing, tag, parts).ok_or(WireError::TooLong)?;
        match self.channel.send(&self.outgoing) {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.fail(fault, None)),
        }
    }

    /// Waits until a COPY begins.
    fn read_start(&mut self, kind: Kind) -> Result<(), WireError> {
        let (expected, opposite) = match kind {
            Kind::Out => (b'H', b'G'),
            Kind::In => (b'G', b'H'),
        };
        let fault = match self.channel.receive() {
            Ok(Frame { tag, body }) if tag == expected => match message::parse_copy_response(tag, body) {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            },
            // The server waits for rows, or sends some: there is no short way back.
            Ok(Frame { tag, .. }) if tag == opposite => {
                self.break_off();
                return Err(WireError::NotACopy);
            }
            Ok(Frame {
                tag: b'C' | b'I' | b'T',
                ..
            }) => return Err(self.skip_answer()),
            Ok(Frame { tag: b'E', body }) => {
                let error = ServerError::parse(body);
                return Err(self.refused(error));
            }
            Ok(Frame { tag, .. }) => Fault::unexpected(tag, "in place of a COPY"),
            Err(fault) => fault,
        };
        Err(self.fail(fault, None))
    }

    /// Reads to the end of the answer to a statement that is no COPY.
    fn skip_answer(&mut self) -> WireError {
        loop {
            match self.channel.receive() {
                Ok(Frame {
                    tag: b'D' | b'C' | b'I' | b'T',
                    ..
                }) => {}
                Ok(Frame { tag: b'E', body }) => {
                    let error = ServerError::parse(body);
                    return self.refused(error);
                }
                Ok(Frame { tag: b'Z', body }) => match message::parse_ready(body) {
                    Ok(status) => {
                        self.status = status;
                        return WireError::NotACopy;
                    }
                    Err(fault) => return self.fail(fault, None),
                },
                Ok(Frame { tag, .. }) => return self.fail(Fault::unexpected(tag, "in place of a COPY"), None),
                Err(fault) => return self.fail(fault, None),
            }
        }
    }

    /// Reads how a COPY ended.
    fn read_verdict(&mut self) -> Result<CommandTag, WireError> {
        let verdict = match self.channel.receive() {
            Ok(Frame { tag: b'C', body }) => CommandTag::parse(body),
            Ok(Frame { tag: b'E', body }) => {
                let error = ServerError::parse(body);
                return Err(self.refused(error));
            }
            Ok(Frame { tag, .. }) => Err(Fault::unexpected(tag, "at the end of a COPY")),
            Err(fault) => Err(fault),
        };
        match verdict {
            Ok(tag) => self.read_ready().map(|()| tag),
            Err(fault) => Err(self.fail(fault, None)),
        }
    }

    /// Reads `ReadyForQuery`, which must come now.
    fn read_ready(&mut self) -> Result<(), WireError> {
        let ready = match self.channel.receive() {
            Ok(Frame { tag: b'Z', body }) => message::parse_ready(body),
            Ok(Frame { tag: b'E', body }) => {
                let error = ServerError::parse(body);
                return Err(self.refused(error));
            }
            Ok(Frame { tag, .. }) => Err(Fault::unexpected(tag, "where the server should be ready")),
            Err(fault) => Err(fault),
        };
        match ready {
            Ok(status) => {
                self.status = status;
                Ok(())
            }
            Err(fault) => Err(self.fail(fault, None)),
        }
    }

    /// Gets ready for the next statement after an error, which it gives back.
    fn refused(&mut self, error: ServerError) -> WireError {
        let ready = loop {
            match self.channel.receive() {
                Ok(Frame { tag: b'Z', body }) => break message::parse_ready(body),
                // A second error, say of the shutdown that follows: the first says why.
                Ok(Frame { tag: b'E', .. }) => {}
                Ok(Frame { tag, .. }) => break Err(Fault::unexpected(tag, "after an error")),
                Err(fault) => break Err(fault),
            }
        };
        match ready {
            Ok(status) => {
                self.status = status;
                Box::new(error).into()
            }
            Err(fault) => self.fail(fault, Some(error)),
        }
    }

    /// Closes the connection and says why: what the server said before counts more than that it went.
    fn fail(&mut self, fault: Fault, said: Option<ServerError>) -> WireError {
        let error = match fault {
            Fault::Cancelled => {
                if let Some(key) = self.key {
                    self.route.request_cancel(key);
                }
                WireError::Cancelled
            }
            Fault::Violation(what) => WireError::Protocol {
                server: self.server.clone(),
                what,
            },
            Fault::Lost(source) => match said.or_else(|| self.channel.last_words()) {
                Some(said) => Box::new(said).into(),
                None => self.lost(source),
            },
            Fault::TimedOut => self.lost(std::io::ErrorKind::TimedOut.into()),
        };
        self.break_off();
        error
    }

    fn lost(&self, source: std::io::Error) -> WireError {
        WireError::ConnectionLost {
            server: self.server.clone(),
            source,
        }
    }

    /// Closes the connection at once.
    fn break_off(&mut self) {
        self.broken = true;
        self.channel.transport.shut_down();
    }
}

impl Drop for WireConnection {
    fn drop(&mut self) {
        if self.broken {
            return;
        }
        // Whether the server hears it does not matter any more: if not, the pooler sees a session that is not idle, and
        // gives it to nobody.
        if self.discards {
            self.channel.transport.begin_farewell(FAREWELL);
            if self.status != TransactionStatus::Idle {
                let _ = self.execute(b"ROLLBACK");
            }
            let _ = self.execute(b"DISCARD ALL");
        }
        if !self.broken {
            let _ = self.put(b'X', &[]);
        }
    }
}

impl fmt::Debug for WireConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireConnection")
            .field("server", &self.server)
            .field("status", &self.status)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}
