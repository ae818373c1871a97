//! Whether names still mean what they meant in the snapshot.

use std::collections::HashMap;

use super::SourceError;
use super::chunks::TableJob;
use crate::wire::{WireConnection, WireError};

/// Every schema that a transaction sees, by its name.
///
/// Rows are read by name, and a name means what the catalogs of *now* say. The lock on a table keeps its own name and its
/// place in a schema as they are, and nothing keeps the name of the schema. So what the snapshot sees is compared with
/// what there is when all rows were read: the same row of the catalog, not only the same name, because a schema may have
/// had its name back by then.
pub(super) struct SchemaNames(HashMap<Vec<u8>, Version>);

/// OID and `xmin` of a schema's row.
type Version = (Vec<u8>, Vec<u8>);

impl SchemaNames {
    /// Asks in the transaction that is open, or else for those of now.
    pub(super) fn read(connection: &mut WireConnection) -> Result<Self, WireError> {
        let rows = connection.query(b"SELECT nspname, oid, xmin FROM pg_catalog.pg_namespace")?;
        let text = |value: Option<&[u8]>| value.unwrap_or_default().to_vec();
        let names = rows
            .iter()
            .map(|row| (text(row.get(0)), (text(row.get(1)), text(row.get(2)))));
        Ok(Self(names.collect()))
    }

    /// Fails where the schema of a table is not exactly the one of before.
    pub(super) fn compare(&self, now: &Self, jobs: &[TableJob]) -> Result<(), SourceError> {
        let is_same = |job: &TableJob| {
            let before = self.0.get(job.schema.as_bytes());
            before.is_some() && before == now.0.get(job.schema.as_bytes())
        };
        match jobs.iter().find(|job| !is_same(job)) {
            Some(job) => Err(SourceError::Renamed {
                what: format!("the schema {}", job.schema),
            }),
            None => Ok(()),
        }
    }
}
