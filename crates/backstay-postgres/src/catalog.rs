//! What a database holds, as its system catalogs say within one snapshot.

mod facts;
mod objects;
mod relations;
mod stamp;

use backstay_core::DbText;
use postgres::Transaction;

pub(crate) use facts::{read_facts, system_identifier};
pub(crate) use objects::{
    KeyOfIndex, LargeObjectOwner, invalid_indexes, large_object_entries, public_is_closed, read_keys, read_objects,
    unusable_indexes,
};
pub(crate) use relations::{
    Relation, RelationKind, RelationSize, lockable_relations, read_columns, read_relations, sizes_query,
};
pub(crate) use stamp::CatalogStamp;

/// A query of the catalogs that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what} from the catalogs")]
pub struct CatalogError {
    what: &'static str,
    #[source]
    source: postgres::Error,
}

impl CatalogError {
    /// The server's or the connection's error.
    #[must_use]
    pub fn cause(&self) -> &postgres::Error {
        &self.source
    }

    /// Whether a lock could not be had in time.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        self.source.code() == Some(&postgres::error::SqlState::LOCK_NOT_AVAILABLE)
    }
}

/// Names the query in the error of a result.
pub(crate) trait Reading<T> {
    fn reading(self, what: &'static str) -> Result<T, CatalogError>;
}

impl<T> Reading<T> for Result<T, postgres::Error> {
    fn reading(self, what: &'static str) -> Result<T, CatalogError> {
        self.map_err(|source| CatalogError { what, source })
    }
}

/// Reads a column of type `bytea` as a text of the database.
///
/// Names come as `bytea`, made by `convert_to(…, getdatabaseencoding())`, because the client's own texts are UTF-8 and
/// a database may hold others.
fn db_text(row: &postgres::Row, column: usize) -> Result<DbText, postgres::Error> {
    row.try_get::<_, Vec<u8>>(column).map(DbText::new)
}

fn optional_db_text(row: &postgres::Row, column: usize) -> Result<Option<DbText>, postgres::Error> {
    Ok(row.try_get::<_, Option<Vec<u8>>>(column)?.map(DbText::new))
}

/// Runs a query and turns each row into a value.
pub(crate) fn rows<T>(
    transaction: &mut Transaction<'_>,
    what: &'static str,
    sql: &str,
    read: impl Fn(&postgres::Row) -> Result<T, postgres::Error>,
) -> Result<Vec<T>, CatalogError> {
    let rows = transaction.query(sql, &[]).reading(what)?;
    rows.iter().map(read).collect::<Result<_, _>>().reading(what)
}

/// The schemas that are nobody's own: system schemas, temporary ones, and what extensions keep for themselves is told
/// apart by membership instead.
const OWN_SCHEMA: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// An array of OIDs as SQL.
pub(crate) fn oid_list(oids: &[u32]) -> String {
    let oids: Vec<String> = oids.iter().map(u32::to_string).collect();
    format!("'{{{}}}'::pg_catalog.oid[]", oids.join(","))
}
