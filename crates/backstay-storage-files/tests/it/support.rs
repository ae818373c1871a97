//! A project and a store that tests share the making of.

use std::num::NonZeroUsize;
use std::sync::Arc;

use backstay_core::store::{MemoryStore, Store};
use backstay_storage_files::{
    ExistingFiles, FilesBackupOptions, FilesBackupReport, FilesError, FilesRepository, FilesRestoreOptions,
    FilesRestoreReport, ProjectFiles, SupabaseUrl, SupabaseVariables, back_up_files, restore_files,
};
use backstay_testkit::{SupabaseProject, SupabaseServer};
use jiff::Timestamp;

/// The client of a project of tests.
pub(crate) fn client(server: &SupabaseProject) -> ProjectFiles {
    let url = SupabaseUrl::of_project(None, Some(&server.http.endpoint())).unwrap();
    let key = ("SUPABASE_SECRET_KEY", SupabaseServer::SECRET_KEY);
    let mut config = url.config(&SupabaseVariables::from_iter([key])).unwrap();
    config.retries.first_wait = std::time::Duration::from_millis(1);
    ProjectFiles::new(config).unwrap()
}

pub(crate) fn memory() -> (Arc<MemoryStore>, FilesRepository) {
    let store = Arc::new(MemoryStore::new());
    let repository = FilesRepository::new(Arc::clone(&store) as Arc<dyn Store>);
    (store, repository)
}

/// A project with files of each kind.
pub(crate) fn project() -> SupabaseProject {
    let server = SupabaseProject::start();
    server.create_bucket("avatars", true);
    server.create_bucket("documents", false);
    server.put("avatars", "ada.png", b"ada");
    server.put("avatars", "empty", b"");
    server.put("documents", "a folder/with (odd) names/..;x=1&y", b"odd");
    server.put("documents", &format!("{}/long", "d".repeat(200)), b"long");
    server.put("documents", "same", b"ada");
    server
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_796_000_000 + second).unwrap()
}

pub(crate) fn back_up(
    server: &SupabaseProject,
    repository: &FilesRepository,
    second: i64,
) -> Result<FilesBackupReport, FilesError> {
    let options = FilesBackupOptions::new("abc", at(second));
    back_up_files(&client(server), repository, &options, &|| false)
}

pub(crate) fn restore(
    server: &SupabaseProject,
    repository: &FilesRepository,
    report: &FilesBackupReport,
    existing: ExistingFiles,
) -> FilesRestoreReport {
    let options = FilesRestoreOptions {
        buckets: Vec::new(),
        existing,
        jobs: NonZeroUsize::new(2).unwrap(),
    };
    restore_files(repository, &report.backup, &client(server), &options, &|| false).unwrap()
}

/// Requests for the content of files so far.
pub(crate) fn reads(server: &SupabaseProject) -> usize {
    server.http.seen("GET", "/object/authenticated/").len()
}
