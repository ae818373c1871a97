use std::io;

use backstay_core::store::Error;

/// Why a backup could not be looked at; what is wrong with one that could is a [`Finding`](crate::Finding).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The store is not there.
    #[error("cannot look at the backup")]
    Store(#[source] Error),
    /// The archive cannot be read at all.
    #[error("cannot read {subject}")]
    Read {
        /// Name of the archive.
        subject: String,
        /// Why.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}
