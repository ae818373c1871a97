//! What became of a rescue whose end nobody heard of.

use backstay_core::sql::{quote_identifier, quote_literal};

use super::{Rescue, RescueError, connect, execute, query};
use crate::CancelToken;
use crate::wire::{WireConnection, WireError};

/// `duplicate_schema`, and `unique_violation` where somebody made it in the meantime.
const IS_THERE: [&[u8; 5]; 2] = [b"42P06", b"23505"];
/// How long a transaction is waited for that nobody answers for any more.
const LOCK_WAIT: &[u8] = b"SET lock_timeout = '20s'";

impl Rescue<'_> {
    /// Looks what became of a transaction that ended with an error, which may have come after its commit.
    pub(super) fn settle_doubt(&self, made: Option<&[u8]>, error: WireError) -> Result<(), RescueError> {
        let doing = "commit".to_owned();
        match self.schema_kept() {
            Ok(kept) if made.is_some() && kept.as_deref() == made => Ok(()),
            Ok(_) => Err(RescueError::Wire { doing, source: error }),
            Err(_) => Err(RescueError::Unknown {
                schema: self.plan.schema.clone(),
                database: self.config.database.clone(),
                source: error,
            }),
        }
    }

    /// The schema that is there when nobody is about to make it any more.
    fn schema_kept(&self) -> Result<Option<Vec<u8>>, RescueError> {
        // Not even a cancellation keeps from this.
        let mut connection = connect(self.manifest, self.config, &CancelToken::new())?;
        let doing = "look for the schema";
        execute(&mut connection, LOCK_WAIT, doing)?;
        execute(&mut connection, b"BEGIN", doing)?;
        // Whoever makes a schema waits for those who make one of that name, and then fails if it is there.
        let schema = quote_identifier(self.plan.schema.as_bytes());
        match connection.execute(&[b"CREATE SCHEMA ", &schema[..]].concat()) {
            Ok(_) => return Ok(None),
            Err(error)
                if error
                    .sql_state()
                    .is_some_and(|code| IS_THERE.contains(&code.as_bytes())) => {}
            Err(source) => {
                let doing = doing.to_owned();
                return Err(RescueError::Wire { doing, source });
            }
        }
        execute(&mut connection, b"ROLLBACK", doing)?;
        self.schema_made(&mut connection)
    }

    /// What the schema is to the server; `None` where there is none.
    pub(super) fn schema_made(&self, connection: &mut WireConnection) -> Result<Option<Vec<u8>>, RescueError> {
        let mut sql = b"SELECT oid FROM pg_namespace WHERE nspname = ".to_vec();
        sql.extend(quote_literal(self.plan.schema.as_bytes()));
        let rows = query(connection, &sql, "look for the schema")?;
        let found = rows.first().and_then(|row| row.get(0));
        Ok(found.map(<[u8]>::to_vec))
    }
}
