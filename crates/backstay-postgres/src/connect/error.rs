//! How connecting fails, by what is to be done about it.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::config::ConnectionConfig;
use crate::wire::{Fault, ServerError, SqlState, WireError};

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectErrorKind {
    /// Nothing listens there, or no way leads there.
    Unreachable,
    /// The host name has no address.
    NameNotFound,
    /// No answer within the limit.
    TimedOut,
    /// No TLS, or none that can be trusted.
    Tls,
    /// The server does not let this user in: wrong password (28P01), or no such role, no right to log in, or no entry
    /// in `pg_hba.conf` (28000).
    Denied,
    /// The server wants a password, and none is known.
    NoPassword,
    /// The two sides cannot agree on how to authenticate, or the server failed to prove that it knows the password.
    Authentication,
    /// The database does not exist (3D000).
    DatabaseMissing,
    /// All connections that the server allows are taken (53300).
    TooManyConnections,
    /// The server is starting up, shutting down or recovering (57P03); worth another try.
    NotAccepting,
    /// The connection ended in the middle of the start.
    Lost,
    /// What answers does not speak the protocol.
    Protocol,
    /// A pooler in transaction mode answers, which gives each transaction another session.
    TransactionPooler,
    /// The settings contradict each other, or name files that cannot be read; nothing was sent.
    Settings,
    /// The cancel token was used.
    Cancelled,
    /// Anything else, mostly another error of the server.
    Other,
}

impl ConnectErrorKind {
    fn describe(self) -> &'static str {
        match self {
            Self::Unreachable => "the server cannot be reached",
            Self::NameNotFound => "the host name has no address",
            Self::TimedOut => "no answer in time",
            Self::Tls => "no trusted TLS connection",
            Self::Denied => "the server denies access",
            Self::NoPassword => "the server asks for a password, and none is given",
            Self::Authentication => "no agreement on how to authenticate",
            Self::DatabaseMissing => "the database does not exist",
            Self::TooManyConnections => "the server has no free connection",
            Self::NotAccepting => "the server does not accept connections now",
            Self::Lost => "the connection broke off",
            Self::Protocol => "what answers does not keep to the protocol",
            Self::TransactionPooler => "a pooler in transaction mode answers, which keeps no session",
            Self::Settings => "the settings cannot be used",
            Self::Cancelled => "cancelled",
            Self::Other => "the server refuses",
        }
    }

    fn of_sql_state(code: SqlState) -> Self {
        match code {
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION => Self::Denied,
            SqlState::INVALID_CATALOG_NAME => Self::DatabaseMissing,
            SqlState::TOO_MANY_CONNECTIONS => Self::TooManyConnections,
            SqlState::CANNOT_CONNECT_NOW => Self::NotAccepting,
            _ => Self::Other,
        }
    }

    /// For errors after the socket was opened, or where it is not known when.
    fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind as Io;
        if error
            .get_ref()
            .is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>)
        {
            return Self::Tls;
        }
        match error.kind() {
            Io::TimedOut => Self::TimedOut,
            Io::ConnectionRefused
            | Io::NotFound
            | Io::PermissionDenied
            | Io::HostUnreachable
            | Io::NetworkUnreachable
            | Io::AddrNotAvailable => Self::Unreachable,
            // The framing of the `postgres` crate says so.
            Io::InvalidInput | Io::InvalidData => Self::Protocol,
            _ => Self::Lost,
        }
    }
}

/// Why there is no connection, and to what.
#[derive(Debug)]
pub struct ConnectError {
    server: String,
    failure: Failure,
}

impl ConnectError {
    pub(crate) fn new(server: String, failure: Failure) -> Self {
        Self { server, failure }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ConnectErrorKind {
        self.failure.kind
    }

    /// `user@host:port/database`.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The server's code, where it was the server that refused.
    #[must_use]
    pub fn sql_state(&self) -> Option<SqlState> {
        self.failure.code
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: {}", self.server, self.failure.kind.describe())
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.failure
            .source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// A [`ConnectError`] that does not know yet to what.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: ConnectErrorKind,
    code: Option<SqlState>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(kind: ConnectErrorKind) -> Self {
        Self {
            kind,
            code: None,
            source: None,
        }
    }

    /// The same with its cause.
    pub(crate) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Reads an error of the `postgres` crate, which tells its kinds apart only in its texts; the tests of both
    /// clients watch over them.
    pub(super) fn of_client(error: postgres::Error, config: &ConnectionConfig) -> Self {
        let code = error.code().and_then(|code| SqlState::new(code.code().as_bytes()));
        let kind = match code {
            Some(code) => ConnectErrorKind::of_sql_state(code),
            None => match error.to_string().as_str() {
                "error performing TLS handshake" => ConnectErrorKind::Tls,
                "authentication error" => ConnectErrorKind::Authentication,
                "invalid configuration" if config.password.is_none() => ConnectErrorKind::NoPassword,
                "connection closed" => ConnectErrorKind::Lost,
                "timeout waiting for server" => ConnectErrorKind::TimedOut,
                "unexpected message from server" | "error parsing response from server" => ConnectErrorKind::Protocol,
                _ => error
                    .source()
                    .and_then(|source| source.downcast_ref())
                    .map_or(ConnectErrorKind::Other, ConnectErrorKind::of_io),
            },
        };
        let failure = Self::new(kind).because(error);
        Self { code, ..failure }
    }

    /// Whether another address or endpoint would fail in the same way, or must not be asked.
    pub(super) fn is_final(&self) -> bool {
        !matches!(
            self.kind,
            ConnectErrorKind::Unreachable
                | ConnectErrorKind::NameNotFound
                | ConnectErrorKind::TimedOut
                | ConnectErrorKind::NotAccepting
                | ConnectErrorKind::Lost
        )
    }

    /// Whether a server might accept in plain text what it refused under TLS.
    pub(super) fn may_be_due_to_tls(&self) -> bool {
        self.kind == ConnectErrorKind::Tls || self.code == Some(SqlState::INVALID_AUTHORIZATION)
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let code = error.code();
        let failure = Self::new(ConnectErrorKind::of_sql_state(code)).because(error);
        Self {
            code: Some(code),
            ..failure
        }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        let code = error.sql_state();
        let kind = match (&error, code) {
            (_, Some(code)) => ConnectErrorKind::of_sql_state(code),
            (WireError::Cancelled, _) => ConnectErrorKind::Cancelled,
            (WireError::Protocol { .. }, _) => ConnectErrorKind::Protocol,
            _ => ConnectErrorKind::Lost,
        };
        let failure = Self::new(kind).because(error);
        Self { code, ..failure }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Cancelled => Self::new(ConnectErrorKind::Cancelled),
            Fault::TimedOut => Self::new(ConnectErrorKind::TimedOut),
            Fault::Lost(error) => Self::new(ConnectErrorKind::of_io(&error)).because(error),
            Fault::Violation(what) => Self::new(ConnectErrorKind::Protocol).because(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_states_have_kinds() {
        for (code, expected, is_final) in [
            (&b"28P01"[..], ConnectErrorKind::Denied, true),
            (b"28000", ConnectErrorKind::Denied, true),
            (b"3D000", ConnectErrorKind::DatabaseMissing, true),
            (b"53300", ConnectErrorKind::TooManyConnections, true),
            (b"57P03", ConnectErrorKind::NotAccepting, false),
            (b"42501", ConnectErrorKind::Other, true),
        ] {
            let body = [b"C", code, b"\0Mno\0\0"].concat();
            let failure = Failure::from(ServerError::parse(&body));
            assert_eq!((failure.kind, failure.is_final()), (expected, is_final));
        }
    }

    #[test]
    fn the_message_names_the_server_and_leaves_the_cause_to_the_source() {
        let failure = Failure::new(ConnectErrorKind::Unreachable).because(io::Error::other("cause"));
        let error = ConnectError::new("me@db:5432/shop".to_owned(), failure);
        assert_eq!(
            error.to_string(),
            "cannot connect to me@db:5432/shop: the server cannot be reached"
        );
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("cause"));
    }
}
