use backstay_core::Sha256Digest;
use backstay_postgres::{CancelToken, ConnectionConfig};

use crate::error::ExportError;
use crate::id::ExportId;
use crate::request::ExportOptions;
use crate::session::Session;

/// The database that exports are of: one name in one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportSource {
    cluster: u64,
    database: String,
}

impl ExportSource {
    /// The database of that name in the cluster with that `system_identifier`.
    #[must_use]
    pub fn new(cluster: u64, database: String) -> Self {
        Self { cluster, database }
    }

    /// Asks a database which one it is; `None` where the role may not read the identifier of the cluster.
    ///
    /// # Errors
    /// The database cannot be reached or asked.
    pub fn ask(config: &ConnectionConfig, cancel: &CancelToken) -> Result<Option<Self>, ExportError> {
        let mut session = Session::connect(config, cancel)?;
        session.begin(&ExportOptions::default())?;
        let facts = session.facts()?;
        session.connection.close();
        Ok(facts.source())
    }

    /// Tells whether an export is of this database to whoever knows which that is, and nothing to anybody else. It is another
    /// one for each id.
    #[must_use]
    pub fn fingerprint(&self, id: &ExportId) -> Sha256Digest {
        let Self { cluster, database } = self;
        Sha256Digest::of(format!("{id}\n{cluster}\n{database}").as_bytes())
    }
}
