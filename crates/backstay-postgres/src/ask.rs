//! Questions that rules put to a database, in a transaction that can change nothing.

use std::time::Duration;

use backstay_core::script::{check_statements, statements};
use backstay_core::sql::quote_literal;

use crate::config::ConnectionConfig;
use crate::pooling::connect_to_session;
use crate::session;
use crate::wire::{TransactionStatus, WireConnection, WireError};
use crate::{CancelToken, ConnectError, SessionError};

/// What a query gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever asked must know each")]
pub enum Answer {
    /// One row of one column: its text, `None` for a null.
    Value(Option<String>),
    /// So many rows, which are not one value.
    Rows(u64),
    /// Nothing, for the reason given.
    Failed(String),
}

/// Asks queries one after another, each for `limit` at most, in one read-only transaction.
///
/// Each is one `SELECT` or `VALUES`. The session has the settings of one that reads a backup, so that values are written
/// alike wherever they are asked for: the search path is empty, so names need their schema; times are in UTC. What fails
/// is an answer too, also where there is no connection.
#[must_use]
pub fn ask(config: &ConnectionConfig, queries: &[String], limit: Duration, cancel: &CancelToken) -> Vec<Answer> {
    let mut asking = Asking::begin(config, None, limit, cancel);
    queries.iter().map(|query| asking.ask(query)).collect()
}

/// A transaction for questions, or why there is none.
pub(crate) struct Asking(Result<WireConnection, String>);

#[derive(Debug, thiserror::Error)]
enum BeginError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl Asking {
    /// Begins one, in a snapshot that somebody has exported if it is named.
    pub(crate) fn begin(
        config: &ConnectionConfig,
        snapshot: Option<&str>,
        limit: Duration,
        cancel: &CancelToken,
    ) -> Self {
        let begin = || -> Result<WireConnection, BeginError> {
            // Whoever has a snapshot of this server is in a session.
            let mut connection = match snapshot {
                None => connect_to_session(config, cancel)?,
                Some(_) => WireConnection::connect(config, cancel)?,
            };
            session::prepare(&mut connection, "UTF8", &[])?;
            connection.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
            if let Some(snapshot) = snapshot {
                let name = quote_literal(snapshot.as_bytes());
                connection.execute(&[b"SET TRANSACTION SNAPSHOT ", &name[..]].concat())?;
            }
            let limit = limit.as_millis().max(1);
            connection.execute(format!("SET LOCAL statement_timeout = {limit}").as_bytes())?;
            Ok(connection)
        };
        Self(begin().map_err(|error| reason(&error)))
    }

    /// Asks one query. What it failed with spoils none that comes later, unless the connection is lost.
    pub(crate) fn ask(&mut self, query: &str) -> Answer {
        let connection = match &mut self.0 {
            Ok(connection) => connection,
            Err(reason) => return Answer::Failed(reason.clone()),
        };
        // A comment at its end ends with its line.
        let statement = format!("{}\n;", query.trim_end().trim_end_matches(';'));
        // It must not end the transaction, which alone keeps it from changing anything.
        if let Err(hazard) = check_statements(statement.as_bytes()) {
            return Answer::Failed(hazard.to_string());
        }
        if statements(statement.as_bytes()).count() != 1 {
            return Answer::Failed("it is not one statement".to_owned());
        }
        match try_to_ask(connection, &statement) {
            Ok(answer) => answer,
            Err(error) => {
                let reason = reason(&error);
                let undone = connection.execute(b"ROLLBACK TO SAVEPOINT backstay_question");
                if undone.is_err() || connection.transaction_status() != TransactionStatus::Open {
                    self.0 = Err(reason.clone());
                }
                Answer::Failed(reason)
            }
        }
    }
}

/// By a cursor, so that neither rows nor their number take memory.
fn try_to_ask(connection: &mut WireConnection, statement: &str) -> Result<Answer, WireError> {
    connection.execute(b"SAVEPOINT backstay_question")?;
    connection.execute(format!("DECLARE backstay_question NO SCROLL CURSOR FOR {statement}").as_bytes())?;
    let first = connection.query(b"FETCH 2 FROM backstay_question")?;
    let answer = match &first[..] {
        [row] if row.len() == 1 => Answer::Value(row.get(0).map(|value| String::from_utf8_lossy(value).into_owned())),
        rows => {
            let more = connection.execute(b"MOVE FORWARD ALL FROM backstay_question")?;
            Answer::Rows(rows.len() as u64 + more.rows().unwrap_or(0))
        }
    };
    connection.execute(b"CLOSE backstay_question; RELEASE SAVEPOINT backstay_question")?;
    Ok(answer)
}

/// An error with its causes; of one of the server what the server says.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = chain.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
