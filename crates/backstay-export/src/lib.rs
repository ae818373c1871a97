//! Rows of a database for other programs and people: named exports as CSV, JSON Lines or Parquet, and all rows that
//! belong to one person.
//!
//! It is a crate of its own because Parquet weighs much, and because whoever only backs up and restores needs none of it. It
//! knows a server and the `Store` contract, and neither backups nor the clock. An export is no backup: it has no definitions
//! and cannot be restored.
//!
//! All exports of one call are read in one snapshot. An export exists exactly when its manifest does, as a backup does.

mod columns;
mod error;
mod id;
mod json_lines;
mod listing;
mod manifest;
mod output;
mod parquet;
mod request;
mod run;
mod session;
mod source;
mod subject;
mod text;

pub use columns::{Column, ColumnKind};
pub use error::ExportError;
pub use id::{ExportId, InvalidExportId};
pub use listing::{ExportListing, ExportSummary, PrunedExports, list_exports, plan_export_prune, prune_exports};
pub use manifest::{ExportManifest, ExportSeal};
pub use output::ExportFile;
pub use request::{Export, ExportFormat, ExportOptions, ExportPlace, ExportRows, InvalidExportFormat};
pub use run::{PublishedExport, export_data, export_data_in_snapshot};
pub use source::ExportSource;
pub use subject::{
    InvalidSubject, InvalidSubjectLink, Subject, SubjectExport, SubjectLink, SubjectPlan, SubjectTable, export_subject,
    plan_subject,
};
