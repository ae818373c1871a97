use backstay_core::seal::SealError;
use backstay_core::store::Error;
use backstay_core::{CodecError, InvalidObjectKey, ObjectKey};
use backstay_postgres::{CancelToken, ConnectError, WireError};

use crate::id::ExportId;

/// Why rows could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server refuses, or the connection is lost.
    #[error("cannot {doing}")]
    Wire {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: WireError,
    },
    /// A table is locked by somebody.
    #[error("a table of the export is locked by somebody, also after {secs} s")]
    Locked {
        /// For how long was waited.
        secs: u64,
        /// The server's error.
        source: WireError,
    },
    /// Tables were created, dropped or put in the place of others each time.
    #[error("no consistent snapshot in {attempts} attempts, because tables change meanwhile")]
    Unstable {
        /// How often it was tried.
        attempts: u32,
    },
    /// A table that could not be locked before the snapshot, such as one that a function reads, was emptied or rewritten
    /// before it was read.
    #[error("{table} was emptied or rewritten between the snapshot and the lock on it")]
    Replaced {
        /// The table.
        table: String,
    },
    /// Another export failed in a way that closed the connection.
    #[error("not read: the snapshot was lost when another export failed")]
    SnapshotLost,
    /// Two columns have one name.
    #[error("two columns of the rows are called {column:?}, which {format} cannot tell apart")]
    SameColumn {
        /// The name.
        column: String,
        /// The format.
        format: &'static str,
    },
    /// There is no column, and the format needs one.
    #[error("the rows have no columns, and {format} needs one")]
    NoColumn {
        /// The format.
        format: &'static str,
    },
    /// A value that the format has no place for. It is not repeated, because it may be somebody's.
    #[error("row {row} has in column {column:?} {what}, which Parquet has no place for")]
    Value {
        /// The name of the column.
        column: String,
        /// The number of the row, from 1.
        row: u64,
        /// What it is.
        what: &'static str,
    },
    /// Something that the server must not send.
    #[error("the server sent what cannot be a row: {what}")]
    Malformed {
        /// What.
        what: String,
    },
    /// Parquet cannot be written.
    #[error("cannot write Parquet")]
    Parquet(#[source] ::parquet::errors::ParquetError),
    /// It cannot be compressed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// A name that no object can have.
    #[error("no object can be called that")]
    Key(#[from] InvalidObjectKey),
    /// An object of that name is there already.
    #[error("{key} exists already")]
    Exists {
        /// The object.
        key: ObjectKey,
    },
    /// What was read again is not what was written.
    #[error("{key} is not what was written when it is read again")]
    ReadBack {
        /// The object.
        key: ObjectKey,
    },
    /// The store takes no object of that length.
    #[error("{key} is longer than the {bytes_max} bytes that the store takes")]
    TooLong {
        /// The object.
        key: ObjectKey,
        /// What the store takes.
        bytes_max: u64,
    },
    /// Nobody knows whether the export exists.
    #[error("the store does not tell whether {key} is there, and with it the export")]
    Unknown {
        /// The manifest.
        key: ObjectKey,
        /// The store's error.
        source: Error,
    },
    /// The manifest of an export cannot be understood.
    #[error("the manifest of the export {id} cannot be understood: {why}")]
    Manifest {
        /// The export.
        id: ExportId,
        /// Why.
        why: String,
    },
    /// The subject of an export is not there.
    #[error("no row of {table} is the subject")]
    NoSubject {
        /// The table.
        table: String,
    },
    /// More than one row is the subject.
    #[error("more than one row of {table} is the subject")]
    SeveralSubjects {
        /// The table.
        table: String,
    },
    /// The row that was named adds to one of another table, by which all of the person is found.
    #[error("{table} only adds to {to}: a row of it leads to a part of what belongs to the person")]
    SubjectAdds {
        /// The table that was named.
        table: String,
        /// The table whose row is the person.
        to: String,
    },
    /// A name that the database does not have.
    #[error("{subject} has no column {column:?}")]
    NoSuchColumn {
        /// The table.
        subject: String,
        /// The column.
        column: String,
    },
    /// More rows belong to the subject than are followed.
    #[error("more than {rows_max} rows belong to the subject")]
    TooManyRows {
        /// The bound.
        rows_max: usize,
    },
    /// It was asked to stop; nothing was left behind.
    #[error("cancelled; nothing was left behind")]
    Cancelled,
}

impl ExportError {
    /// What it is where it was asked to stop: whatever failed then failed because of that. But where nobody knows what is there,
    /// it cannot be said that nothing is.
    pub(crate) fn or_cancelled(self, cancel: &CancelToken) -> Self {
        match self {
            Self::Unknown { .. } => self,
            _ if cancel.is_cancelled() => Self::Cancelled,
            _ => self,
        }
    }

    /// The server's error while something was tried.
    pub(crate) fn wire(doing: impl Into<String>) -> impl FnOnce(WireError) -> Self {
        let doing = doing.into();
        |source| match source {
            WireError::Cancelled => Self::Cancelled,
            source => Self::Wire { doing, source },
        }
    }
}

/// For the closures that are handed to a COPY; who calls it says what was tried.
impl From<WireError> for ExportError {
    fn from(source: WireError) -> Self {
        Self::wire("read the rows")(source)
    }
}
