//! The files that an application keeps in Supabase Storage: backed up into a store, verified, restored.
//!
//! It is a crate of its own because it knows no database and no pack: files are no rows, and who backs up rows needs none of
//! it. What is in a store is described in `docs/format.md`. It never prints and reads neither clock nor environment; its
//! work is on threads of its own.

mod backup;
mod compare;
mod error;
mod listing;
mod manifest;
mod objects;
mod progress;
mod repository;
mod restore;
mod verify;

pub use backstay_store_supabase::{
    FileBucket, Incomplete, InvalidSupabaseUrl, ProjectFiles, SupabaseUrl, Variables as SupabaseVariables,
};
pub use backup::{EarlierFiles, FilesBackupOptions, FilesBackupReport, back_up_files};
pub use compare::{FileRow, RowsAndFiles, compare_rows};
pub use error::FilesError;
pub use listing::{FileEntry, FileName, FilesListing};
pub use manifest::{FilesManifest, Part};
pub use progress::{FilesPhase, FilesProgress};
pub use repository::{FilesBackup, FilesId, FilesRepository, InvalidFilesId};
pub use restore::{ExistingFiles, FilesRestoreOptions, FilesRestoreReport, restore_files};
pub use verify::{FilesFinding, FilesVerification, verify_files};
