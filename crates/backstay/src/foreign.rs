//! Archives that other tools left: the plain output of `pg_dump`, compressed or not.

use std::io::Read;

use backstay_core::script::{Event, Format, OpenError, ReadError, ScriptReader};
use backstay_core::store::{Error, ObjectKey, Store};
use backstay_postgres::{
    Atomicity, CancelToken, ConnectionConfig, ForeignPlan, RestoreReport, TargetError, TargetPolicy,
};

use crate::progress::Progress;
use crate::restore::Observer;

/// Parts of a script in which its encoding is looked for.
const HEAD_EVENTS: usize = 200;

/// Why a foreign archive cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// It is no script, or compressed in an unknown way.
    #[error("the archive cannot be opened")]
    Open(#[from] OpenError),
    /// The script cannot be read.
    #[error("the archive cannot be read")]
    Read(#[from] ReadError),
}

/// A foreign archive: its object and how it is compressed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ForeignArchive {
    /// Name of the object.
    pub key: ObjectKey,
    /// How it is compressed.
    pub format: Format,
    /// Its length in bytes.
    pub bytes: u64,
    /// The encoding that it states.
    pub encoding: Option<String>,
}

impl ForeignArchive {
    /// Opens an archive and looks at its beginning.
    ///
    /// # Errors
    /// The store fails, or the object is no script.
    pub fn open(store: &dyn Store, key: &ObjectKey) -> Result<Self, ForeignError> {
        let bytes = store.head(key)?.size;
        let (format, script) = open(store, key)?;
        let mut reader = ScriptReader::new(script);
        let mut encoding = None;
        for _ in 0..HEAD_EVENTS {
            match reader.next_event() {
                Ok(Some(Event::Statement(statement))) => {
                    encoding = client_encoding(statement.part.text);
                    if encoding.is_some() {
                        break;
                    }
                }
                Ok(Some(_)) => {}
                // Whoever verifies or restores it meets the error again, where it can be told in full.
                Ok(None) | Err(_) => break,
            }
        }
        Ok(Self {
            key: key.clone(),
            format,
            bytes,
            encoding,
        })
    }

    /// Reads the archive's text from its beginning.
    ///
    /// # Errors
    /// Those of the store and of the compression.
    pub fn script(&self, store: &dyn Store) -> Result<Box<dyn Read + Send>, ForeignError> {
        open(store, &self.key).map(|(_, script)| script)
    }

    /// Decides whether the archive may be restored into a database; changes nothing.
    ///
    /// # Errors
    /// The target cannot be reached, or is refused.
    pub fn plan_restore(
        &self,
        target: &ConnectionConfig,
        policy: TargetPolicy,
        atomicity: Atomicity,
    ) -> Result<ForeignPlan, TargetError> {
        backstay_postgres::plan_foreign_restore(self.encoding.clone(), target, policy, atomicity)
    }

    /// Runs the archive's statements. The caller has verified it before.
    ///
    /// # Errors
    /// Only what keeps the restore from going on; see [`RestoreReport::is_complete`] for the rest.
    pub fn restore(
        &self,
        store: &dyn Store,
        plan: &ForeignPlan,
        target: &ConnectionConfig,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<RestoreReport, TargetError> {
        let script = self.script(store).map_err(|error| TargetError::Backup(error.into()))?;
        backstay_postgres::apply_foreign_restore(plan, script, target, &Observer(progress), cancel)
    }
}

fn open(store: &dyn Store, key: &ObjectKey) -> Result<(Format, Box<dyn Read + Send>), ForeignError> {
    Ok(backstay_core::script::open(store.read(key, None)?)?)
}

/// The encoding in `SET client_encoding = 'UTF8';`.
fn client_encoding(statement: &[u8]) -> Option<String> {
    let statement = std::str::from_utf8(statement).ok()?;
    let value = statement
        .trim()
        .strip_prefix("SET client_encoding = '")?
        .strip_suffix("';")?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::client_encoding;

    #[test]
    fn the_encoding_is_found() {
        assert_eq!(
            client_encoding(b"SET client_encoding = 'LATIN1';").as_deref(),
            Some("LATIN1")
        );
        assert_eq!(client_encoding(b"SET statement_timeout = 0;"), None);
    }
}
