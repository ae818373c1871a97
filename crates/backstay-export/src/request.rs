use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use backstay_core::repository::ReadBack;
use backstay_core::seal::Sealer;
use backstay_core::store::Store;
use backstay_core::{Compression, ObjectKey, Prefix};

/// An export that is to be made.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever asks for one must say each")]
pub struct Export {
    /// Its name, the first part of the names of its files.
    pub name: Prefix,
    /// What is in it.
    pub rows: ExportRows,
    /// How rows are written.
    pub format: ExportFormat,
    /// How the file is compressed; within Parquet, its pages are. `None` leaves it as it is.
    pub compression: Option<Compression>,
    /// Where it goes.
    pub place: ExportPlace,
}

/// Which rows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "all of a table, or what a query gives")]
pub enum ExportRows {
    /// All rows and columns of a table or view, named as in SQL.
    Table(String),
    /// What a query gives: one statement that reads.
    Query(String),
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every match must see a new one")]
pub enum ExportFormat {
    /// As `psql`'s `\copy (…) TO … CSV HEADER` writes them.
    Csv,
    /// One JSON object in a line for each row.
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

impl ExportFormat {
    /// Its name in options and manifests, which is also the ending of its files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ExportFormat {
    type Err = InvalidExportFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Csv, Self::JsonLines, Self::Parquet]
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| InvalidExportFormat { text: text.to_owned() })
    }
}

/// A text that names no format.
#[derive(Clone, Debug, thiserror::Error)]
#[error("unknown format {text:?} (known: csv, jsonl, parquet)")]
pub struct InvalidExportFormat {
    text: String,
}

/// Where files of exports go, and to whom they are sealed.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever asks for one must say each")]
pub struct ExportPlace {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The first part of the names of all objects, without the `/` behind it.
    pub folder: ObjectKey,
    /// Seals the files; `None` leaves them in clear.
    pub sealer: Option<Arc<dyn Sealer>>,
}

impl ExportPlace {
    /// The object of that name in the folder.
    pub(crate) fn key(&self, name: &str) -> Result<ObjectKey, backstay_core::InvalidObjectKey> {
        format!("{}/{name}", self.folder).parse()
    }
}

/// How exports are made; every default is safe.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExportOptions {
    /// Whether files are read again before they count.
    pub read_back: ReadBack,
    /// How long to wait for the lock on a table.
    pub lock_wait: Duration,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            read_back: ReadBack::Yes,
            lock_wait: Duration::from_secs(30),
        }
    }
}
