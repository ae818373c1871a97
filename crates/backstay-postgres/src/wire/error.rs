//! How a statement on an open connection fails.

use std::io;

use super::server_error::{ServerError, SqlState};

/// Why a statement did not do what was asked.
///
/// After [`Self::Server`], [`Self::NotCommitted`], [`Self::NulInSql`], [`Self::TooLong`] and [`Self::NotACopy`] the
/// connection may be used on, unless it says that it [is broken](super::WireConnection::is_broken); after all others it
/// is closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The server refused.
    #[error(transparent)]
    Server(#[from] Box<ServerError>),
    /// The connection ended in the middle.
    #[error("lost the connection to {server}")]
    ConnectionLost {
        /// `user@host:port/database`.
        server: String,
        /// What the network said.
        source: io::Error,
    },
    /// The server, or somebody between, does not keep to the protocol.
    #[error("{server} broke the protocol: {what}")]
    Protocol {
        /// `user@host:port/database`.
        server: String,
        /// What it sent.
        what: String,
    },
    /// The server sent as a row what is none; written on, it might become a command.
    #[error("{server} sent a row that is none: row {row} {fault}")]
    BadRow {
        /// `user@host:port/database`.
        server: String,
        /// Which row of the COPY, counted from 1.
        row: u64,
        /// What is wrong with it.
        fault: RowFault,
    },
    /// The server says that it sent another number of rows than arrived.
    #[error("{server} sent {received} rows of a COPY and says {said}")]
    RowCount {
        /// `user@host:port/database`.
        server: String,
        /// How many rows arrived.
        received: u64,
        /// The server's own words.
        said: String,
    },
    /// The server ended a transaction and kept nothing of it.
    #[error("{server} did not commit the transaction and says {said}")]
    NotCommitted {
        /// `user@host:port/database`.
        server: String,
        /// The server's own words.
        said: String,
    },
    /// The statement is not the kind of COPY that was asked for.
    #[error("the statement did not start the COPY that was expected")]
    NotACopy,
    /// The COPY ended with an error before.
    #[error("the COPY has ended already")]
    CopyEnded,
    /// A NUL byte in a statement would end it early.
    #[error("a statement must not contain a NUL byte")]
    NulInSql,
    /// A statement of 2 GiB or more.
    #[error("the statement is too long for the protocol")]
    TooLong,
    /// The cancel token was used.
    #[error("cancelled")]
    Cancelled,
    /// The connection was closed after an earlier error.
    #[error("the connection to {server} was closed after an earlier error")]
    Broken {
        /// `user@host:port/database`.
        server: String,
    },
}

impl WireError {
    /// What the server said, where it was the server that refused.
    #[must_use]
    pub fn server_error(&self) -> Option<&ServerError> {
        match self {
            Self::Server(error) => Some(error),
            _ => None,
        }
    }

    /// The server's code, where it was the server that refused.
    #[must_use]
    pub fn sql_state(&self) -> Option<SqlState> {
        self.server_error().map(ServerError::code)
    }
}

/// Why a `CopyData` message is not one row of COPY's text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowFault {
    /// It is not exactly one line that ends with a line feed.
    #[error("is not exactly one line")]
    NotOneLine,
    /// It has a carriage return, which the format writes as `\r`.
    #[error("has a carriage return")]
    CarriageReturn,
    /// It has a NUL byte, which no value can have.
    #[error("has a NUL byte")]
    Nul,
    /// It is `\.`, the end of the data.
    #[error("is the mark of the end")]
    EndMarker,
}
