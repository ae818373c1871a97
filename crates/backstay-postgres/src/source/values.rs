//! Statements that give sequences and materialized views what they hold.

use std::time::Duration;

use backstay_core::manifest::{MemberContent, Refresh, Sequence};
use backstay_core::script::depends_on_session;
use backstay_core::sql::{literal_settings, quote_literal, quote_qualified};
use backstay_core::{DbText, MemberEncoder};

use super::{MemberSink, SourceError};
use crate::snapshot::Holder;
use crate::wire::SqlState;

/// Reads the sequences, which are not part of any snapshot: their values are those of now, never too small for rows of
/// the snapshot. They are locked by that until the holder's transaction ends.
///
/// `Err` of the inner result says what changed since the snapshot; the holder's transaction has failed then.
pub(super) fn read_sequences(
    holder: &mut Holder,
    names: &[(DbText, DbText)],
    lock_wait: Duration,
) -> Result<Result<Vec<Sequence>, String>, SourceError> {
    let doing = "read the sequences";
    let wire = |source| SourceError::Wire { doing, source };
    let mut sequences = Vec::new();
    let timeout = |wait: u128| format!("SET LOCAL lock_timeout = {wait}").into_bytes();
    holder
        .connection
        .execute(&timeout(lock_wait.as_millis().max(1)))
        .map_err(wire)?;
    for batch in names.chunks(100) {
        let mut sql = Vec::new();
        for (index, (schema, name)) in batch.iter().enumerate() {
            if index > 0 {
                sql.extend_from_slice(b" UNION ALL ");
            }
            sql.extend(format!("SELECT {index}, last_value, is_called FROM ").into_bytes());
            sql.extend(quote_qualified(schema.as_bytes(), name.as_bytes()));
        }
        sql.extend_from_slice(b" ORDER BY 1");
        let rows = match holder.connection.query(&sql) {
            Ok(rows) => rows,
            Err(error) => match error.sql_state() {
                Some(SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME) => {
                    return Ok(Err("a sequence was dropped".to_owned()));
                }
                Some(SqlState::LOCK_NOT_AVAILABLE) => return Ok(Err("a sequence was locked".to_owned())),
                _ => return Err(wire(error)),
            },
        };
        if rows.len() != batch.len() {
            return Err(SourceError::Disagreement {
                what: "a sequence".to_owned(),
            });
        }
        for ((schema, name), row) in batch.iter().zip(&rows) {
            let value = row
                .get(1)
                .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
            let called = row.get(2).map(|called| called == b"t");
            let (Some(last_value), Some(is_called)) = (value, called) else {
                return Err(SourceError::Disagreement {
                    what: format!("the sequence {schema}.{name}"),
                });
            };
            sequences.push(Sequence {
                schema: schema.clone(),
                name: name.clone(),
                last_value,
                is_called,
            });
        }
    }
    holder.connection.execute(&timeout(0)).map_err(wire)?;
    Ok(Ok(sequences))
}

/// Writes the statements that give sequences their values.
pub(super) fn write_sequences(
    encoding: &str,
    sequences: &[Sequence],
    encoder: &mut MemberEncoder,
    sink: &mut dyn MemberSink,
) -> Result<(), SourceError> {
    let mut text = Vec::new();
    for Sequence {
        schema,
        name,
        last_value,
        is_called,
    } in sequences
    {
        if depends_on_session(name.as_bytes()) || depends_on_session(schema.as_bytes()) {
            text.extend(literal_settings(encoding));
        }
        text.extend_from_slice(b"SELECT pg_catalog.setval(");
        text.extend(quote_literal(&quote_qualified(schema.as_bytes(), name.as_bytes())));
        text.extend(format!(", {last_value}, {is_called});\n").into_bytes());
    }
    if !text.is_empty() {
        sink.append(encoder.encode(&text)?, MemberContent::Sequences)
            .map_err(SourceError::Sink)?;
    }
    Ok(())
}

/// The statements that refresh views, in an order in which that works.
pub(super) fn refresh_text(refreshes: &[Refresh], encoding: &str) -> Vec<u8> {
    let mut text = Vec::new();
    for view in refreshes {
        if depends_on_session(view.name.as_bytes()) || depends_on_session(view.schema.as_bytes()) {
            text.extend(literal_settings(encoding));
        }
        text.extend_from_slice(b"REFRESH MATERIALIZED VIEW ");
        text.extend(quote_qualified(view.schema.as_bytes(), view.name.as_bytes()));
        text.extend_from_slice(b";\n");
    }
    text
}
