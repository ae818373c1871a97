//! Removing what a target has of what the backup brings.

use std::sync::PoisonError;

use backstay_core::manifest::Table;
use backstay_core::sql::quote_qualified;

use super::{Restore, Session, describe};
use crate::target::TargetError;
use crate::wire::{SqlState, WireError};

/// Errors of a `DROP` that only say that there is nothing to drop, or not by itself.
const NOTHING_TO_DROP: &[SqlState] = &[
    SqlState::UNDEFINED_TABLE,
    SqlState::UNDEFINED_OBJECT,
    SqlState::UNDEFINED_FUNCTION,
    SqlState::UNDEFINED_COLUMN,
    SqlState::INVALID_SCHEMA_NAME,
    // The key of a partition that it has from its root goes with the root's.
    SqlState::INVALID_TABLE_DEFINITION,
];

impl Restore<'_> {
    /// Drops what the backup contains, in one transaction: all or nothing. What does not exist is passed over.
    pub(super) fn clean(&self, session: &mut Session) -> Result<(), TargetError> {
        for (index, entry) in self.manifest.entries.iter().enumerate().rev() {
            let Some(statement) = entry
                .drop_statement
                .as_ref()
                .filter(|_| self.plan.selected.entries.contains(&index) && !self.stays(index, entry))
            else {
                continue;
            };
            if statement.as_bytes().trim_ascii_start().starts_with(b"--") {
                continue;
            }
            let what = || describe(entry);
            session
                .remove(statement.as_bytes())
                .map_err(|source| TargetError::Clean { what: what(), source })?;
        }
        for (table, sql) in self.rows_of_extensions() {
            let what = || format!("the rows of {table}");
            session
                .remove(&sql)
                .map_err(|source| TargetError::Clean { what: what(), source })?;
        }
        self.empty_platform(session)
    }

    /// The tables of extensions that stay whose rows the backup has, each with the statement that removes those which a backup
    /// of the target would have.
    fn rows_of_extensions(&self) -> Vec<(String, Vec<u8>)> {
        let selected = self
            .plan
            .selected
            .tables
            .iter()
            .filter(|_| self.extensions_stay() && self.has_data());
        let tables = selected.map(|&index| &self.manifest.tables[index]);
        let statement = |table: &Table| {
            let filter = table.filter.as_ref()?.as_bytes();
            let name = quote_qualified(table.schema.as_bytes(), table.name.as_bytes());
            Some((
                table.display_name(),
                [b"DELETE FROM ONLY ", &name[..], b" ", filter].concat(),
            ))
        };
        tables.filter_map(statement).collect()
    }

    /// Removes the rows of the platform's tables that the backup has, in one statement: they refer to each other. Nothing of
    /// the application refers to them any more, or the server refuses.
    fn empty_platform(&self, session: &mut Session) -> Result<(), TargetError> {
        let Some(on) = self.on_platform().filter(|on| !on.emptied.is_empty()) else {
            return Ok(());
        };
        let refused = |source| TargetError::Clean {
            what: format!("the rows of {}", on.profile.platform),
            source,
        };
        for table in &on.lost {
            let query = [b"SELECT pg_catalog.count(*) FROM ".to_vec(), table.clone()].concat();
            let rows = session.connection.query(&query).map_err(refused)?;
            let count = rows
                .first()
                .and_then(|row| row.get(0))
                .map(String::from_utf8_lossy)
                .unwrap_or_default();
            let table = String::from_utf8_lossy(table);
            self.untold.lock().unwrap_or_else(PoisonError::into_inner).push(format!(
                "{count} rows of {table}, which the backup has not: they referred to rows that were replaced"
            ));
        }
        let sql = [b"TRUNCATE ".to_vec(), on.emptied.join(&b", "[..])].concat();
        let truncated = session.connection.execute(&sql);
        truncated.map(drop).map_err(refused)
    }
}

impl Session {
    /// Removes something, in a transaction; it does no harm if it is not there.
    fn remove(&mut self, statement: &[u8]) -> Result<(), WireError> {
        self.connection.execute(b"SAVEPOINT backstay")?;
        let end: &[u8] = match self.connection.execute(statement) {
            Ok(_) => b"RELEASE SAVEPOINT backstay",
            Err(error) if error.sql_state().is_some_and(|code| NOTHING_TO_DROP.contains(&code)) => {
                b"ROLLBACK TO SAVEPOINT backstay"
            }
            Err(error) => return Err(error),
        };
        self.connection.execute(end).map(drop)
    }
}
