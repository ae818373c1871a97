use std::error::Error as StdError;

use backstay_core::CodecError;
use backstay_core::script::ScriptHazard;

use super::InvalidPattern;
use crate::ConnectError;
use crate::archive::{PrintError, ReadArchiveError};
use crate::catalog::CatalogError;
use crate::pg_dump::ProgramError;
use crate::session::SessionError;
use crate::snapshot::SnapshotError;
use crate::wire::WireError;

/// Why a database could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A session is not fit.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// No snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The catalogs cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// `pg_dump` failed.
    #[error("cannot read the schema")]
    PgDump(#[from] ProgramError),
    /// `pg_dumpall` failed.
    #[error("cannot read roles and tablespaces")]
    Globals(#[source] ProgramError),
    /// The output of `pg_dump` cannot be read.
    #[error("cannot understand the output of pg_dump")]
    Archive(#[from] ReadArchiveError),
    /// An entry of the schema cannot be printed.
    #[error("cannot write the schema")]
    Print(#[from] PrintError),
    /// A definition could become a command of psql.
    #[error("the definition of {kind} {name} is not safe to write into a backup")]
    Hazard {
        /// Kind of the entry.
        kind: String,
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: ScriptHazard,
    },
    /// A table cannot be read.
    #[error("cannot read the rows of {table}")]
    Table {
        /// Which, for people.
        table: String,
        /// Why.
        source: WireError,
    },
    /// Something else cannot be read.
    #[error("cannot {doing}")]
    Wire {
        /// What.
        doing: &'static str,
        /// Why.
        source: WireError,
    },
    /// The role may not read a table.
    #[error("permission denied for {what}")]
    Denied {
        /// What may not be read, for people.
        what: String,
    },
    /// A pattern of the selection is not one.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// `pg_dump` and the catalogs disagree about what there is.
    #[error("{what} is in the snapshot and not in the output of pg_dump, or the other way round")]
    Disagreement {
        /// What.
        what: String,
    },
    /// A name may have meant another table while rows were read by it.
    #[error("{what} changed while rows were read, which may be those of another table of that name")]
    Renamed {
        /// What, for people.
        what: String,
    },
    /// `pg_dump` was kept from using standard literals.
    #[error(
        "the database or role sets standard_conforming_strings to off, and the pooler between drops the option that sets it on"
    )]
    StandardStrings,
    /// A member could not be compressed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A member could not be written.
    #[error("cannot write the backup")]
    Sink(#[source] Box<dyn StdError + Send + Sync>),
    /// A member with rows could not be written.
    #[error("cannot write rows of {table} into the backup")]
    SinkRows {
        /// The table.
        table: String,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl From<WireError> for SourceError {
    fn from(source: WireError) -> Self {
        Self::Wire {
            doing: "read from the server",
            source,
        }
    }
}
