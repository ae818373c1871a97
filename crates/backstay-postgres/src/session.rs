//! The settings of a session that writes or reads COPY text.

use backstay_core::sql::{PRIVILEGED_SETTINGS, SESSION_SETTINGS, quote_literal};

use crate::wire::{WireConnection, WireError};

/// Further settings of sessions that read chunks: a range of pages must be read by a TID range scan, because a
/// sequential scan would read the whole table for each chunk.
pub(crate) const READING: &[(&str, &str)] = &[("enable_tidscan", "on"), ("enable_seqscan", "off")];

/// What a session is told before it asks anything, in statements that take no snapshot.
///
/// A transaction that is serializable, read-only and deferrable by default waits for those of others to end before it
/// reads the first row; and the role's time-out may end it meanwhile.
pub(crate) const FIRST: &str = "SET statement_timeout = 0; SET default_transaction_isolation = 'read committed'; \
                                SET default_transaction_deferrable = off";

/// Why a session is not fit for copying rows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The server refuses or the connection is lost.
    #[error("cannot prepare the session")]
    Wire(#[from] WireError),
    /// A setting has another value than was set: something between us and the server changes or drops settings.
    #[error("the setting {name} is {found:?} although it was set to {expected:?}")]
    NotTaken {
        /// Name of the setting.
        name: String,
        /// What was asked for.
        expected: String,
        /// What the server says.
        found: String,
    },
}

/// Sets everything that shapes COPY text, and checks that it took.
pub(crate) fn prepare(
    connection: &mut WireConnection,
    encoding: &str,
    more: &[(&str, &str)],
) -> Result<(), SessionError> {
    connection.discard_at_end();
    let mut sql = format!("{FIRST}; SET client_encoding = ").into_bytes();
    sql.extend(quote_literal(encoding.as_bytes()));
    sql.extend_from_slice(b"; SET standard_conforming_strings = on;");
    connection.execute(&sql)?;
    connection.query(settings_query(more).as_bytes())?;
    let expected = SESSION_SETTINGS
        .iter()
        .chain(more)
        .copied()
        .chain([("client_encoding", encoding)]);
    let expected: Vec<(&str, &str)> = expected.collect();
    let names: Vec<String> = expected.iter().map(|(name, _)| format!("'{name}'")).collect();
    let rows = connection.query(
        format!(
            "SELECT pg_catalog.lower(name), setting FROM pg_catalog.pg_settings WHERE pg_catalog.lower(name) IN ({})",
            names.join(", ")
        )
        .as_bytes(),
    )?;
    for (name, value) in expected {
        let found = rows
            .iter()
            .find(|row| row.get(0) == Some(name.as_bytes()))
            .and_then(|row| row.get(1));
        if let Some(found) = found
            && found != value.as_bytes()
        {
            return Err(SessionError::NotTaken {
                name: name.to_owned(),
                expected: value.to_owned(),
                found: String::from_utf8_lossy(found).into_owned(),
            });
        }
    }
    Ok(())
}

/// Sets the same in a session that only reads catalogs.
pub(crate) fn prepare_client(client: &mut postgres::Client) -> Result<(), postgres::Error> {
    client.batch_execute(FIRST)?;
    client.batch_execute(&settings_query(&[]))
}

/// One query that sets all settings which the server knows.
pub(crate) fn settings_query(more: &[(&str, &str)]) -> String {
    let values: Vec<String> = SESSION_SETTINGS
        .iter()
        .chain(more)
        .filter(|(name, _)| !PRIVILEGED_SETTINGS.contains(name))
        .map(|(name, value)| format!("('{name}', '{value}')"))
        .collect();
    format!(
        "SELECT pg_catalog.count(pg_catalog.set_config(s.name, v.value, false)) \
         FROM pg_catalog.pg_settings s, (VALUES {}) v (name, value) \
         WHERE pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) v.name",
        values.join(", ")
    )
}
