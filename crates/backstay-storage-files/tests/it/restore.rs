use std::num::NonZeroUsize;
use std::sync::Mutex;

use backstay_storage_files::{
    ExistingFiles, FileName, FilesBackupOptions, FilesError, FilesPhase, FilesProgress, FilesRestoreOptions,
    back_up_files, restore_files, verify_files,
};
use backstay_testkit::{ProjectFile, SupabaseProject};
use serde_json::json;

use crate::support::{at, back_up, client, memory, project, restore};

/// A file without what is another one in each project.
fn kept(file: Option<ProjectFile>) -> Option<ProjectFile> {
    file.map(|file| ProjectFile {
        version: String::new(),
        ..file
    })
}

#[test]
fn files_come_back_with_all_that_is_told_of_them() {
    let (server, (_, repository)) = (project(), memory());
    let long: Vec<u8> = (0..20_000_000u32).map(|i| (i / 3) as u8).collect();
    server.put("documents", "long", &long);
    let report = back_up(&server, &repository, 0).unwrap();
    let other = SupabaseProject::start();
    let restored = restore(&other, &repository, &report, ExistingFiles::Keep);
    assert!(restored.is_complete(), "{restored:?}");
    assert_eq!((restored.written, restored.same), (6, 0));
    assert_eq!(restored.buckets_made, ["avatars", "documents"]);
    assert_eq!(restored.attributes_differing, []);
    assert_eq!(other.bucket("avatars").unwrap()["public"], json!(true));
    let files = server.files();
    assert_eq!(files.len(), other.files().len());
    for ((bucket, name), file) in files {
        assert_eq!(kept(other.file(&bucket, &name)), kept(Some(file)), "{bucket}/{name}");
    }
    let again = restore(&other, &repository, &report, ExistingFiles::Keep);
    assert_eq!((again.written, again.same), (0, 6));
}

#[test]
fn what_is_there_is_replaced_only_where_that_is_asked_for() {
    let (server, (_, repository)) = (project(), memory());
    let report = back_up(&server, &repository, 0).unwrap();
    server.put("avatars", "ada.png", b"bob");
    server.put("documents", "later", b"later");
    // Its row came back with the database, its content did not.
    server.lose_content("documents", "same");
    let kept = restore(&server, &repository, &report, ExistingFiles::Keep);
    assert_eq!((kept.kept.len(), kept.written, kept.same), (1, 1, 3));
    assert!(!kept.is_complete());
    let content = |name: &str, bucket: &str| server.file(bucket, name).unwrap().content.unwrap().to_vec();
    assert_eq!(content("ada.png", "avatars"), b"bob");
    assert_eq!(content("same", "documents"), b"ada");
    let replaced = restore(&server, &repository, &report, ExistingFiles::Replace);
    assert!(replaced.is_complete());
    assert_eq!((replaced.written, replaced.same), (1, 4));
    assert_eq!(content("ada.png", "avatars"), b"ada");
    assert_eq!(content("later", "documents"), b"later");
}

#[test]
fn what_is_written_meanwhile_is_not_overwritten() {
    let (server, (_, repository)) = (project(), memory());
    let long = vec![7; 20_000_000];
    server.put("documents", "long", &long);
    let report = back_up(&server, &repository, 0).unwrap();
    let other = SupabaseProject::start();
    // One in one request, one in pieces, and one with the content of the backup.
    other.put_when_missed("avatars/ada.png", b"bob");
    other.put_when_missed("documents/long", b"short");
    other.put_when_missed("documents/same", b"ada");
    let kept = restore(&other, &repository, &report, ExistingFiles::Keep);
    assert_eq!((kept.kept.len(), kept.written, kept.same), (2, 3, 1), "{kept:?}");
    assert_eq!(
        other.file("avatars", "ada.png").unwrap().content.as_deref(),
        Some(&b"bob"[..])
    );
    let replaced = restore(&other, &repository, &report, ExistingFiles::Replace);
    assert!(replaced.is_complete() && replaced.written == 2, "{replaced:?}");
}

#[test]
fn an_empty_file_is_there_only_where_its_content_is() {
    let (server, (_, repository)) = (project(), memory());
    let report = back_up(&server, &repository, 0).unwrap();
    server.lose_content("avatars", "empty");
    let restored = restore(&server, &repository, &report, ExistingFiles::Keep);
    assert_eq!((restored.written, restored.same), (1, 4), "{restored:?}");
    assert!(server.file("avatars", "empty").unwrap().content.is_some());
}

#[test]
fn a_bucket_that_the_backup_has_not_is_told() {
    let (server, (_, repository)) = (project(), memory());
    let report = back_up(&server, &repository, 0).unwrap();
    let options = FilesRestoreOptions {
        buckets: vec!["avatars".to_owned(), "avatar".to_owned()],
        existing: ExistingFiles::Keep,
        jobs: NonZeroUsize::MIN,
    };
    let other = SupabaseProject::start();
    let error = restore_files(&repository, &report.backup, &client(&other), &options, &|| false).unwrap_err();
    assert!(
        matches!(&error, FilesError::NoBucket(name) if name == "avatar"),
        "{error:?}"
    );
    assert!(other.files().is_empty() && other.bucket("avatars").is_none());
}

#[test]
fn a_name_that_the_service_refuses_keeps_no_other_file_back() {
    let (server, (_, repository)) = (project(), memory());
    server.put("documents", "été/\u{1f600}", b"once upon a time it took such names");
    let report = back_up(&server, &repository, 0).unwrap();
    assert_eq!(report.listing.files.len(), 6);
    let other = SupabaseProject::start();
    let restored = restore(&other, &repository, &report, ExistingFiles::Keep);
    assert_eq!((restored.written, restored.failed.len()), (5, 1));
    assert_eq!(restored.failed[0].0.name, "été/\u{1f600}");
    assert!(!restored.is_complete());
}

#[derive(Default)]
struct Counted(Mutex<Vec<(FilesPhase, u64, u64)>>);

impl FilesProgress for Counted {
    fn is_stopped(&self) -> bool {
        false
    }

    fn begins(&self, phase: FilesPhase, bytes: u64) {
        self.0.lock().unwrap().push((phase, bytes, 0));
    }

    fn advances(&self, _: &FileName, bytes: u64) {
        self.0.lock().unwrap().last_mut().unwrap().2 += bytes;
    }
}

/// What is told of the work adds up to what there is to do, also where nothing is to be read.
#[test]
fn progress_comes_to_its_end() {
    let (server, (_, repository)) = (project(), memory());
    let told = Counted::default();
    let bytes = ["ada", "odd", "long", "ada"].concat().len() as u64;
    for second in [0, 1] {
        let options = FilesBackupOptions::new("abc", at(second));
        let report = back_up_files(&client(&server), &repository, &options, &told).unwrap();
        verify_files(&repository, &report.backup, &told).unwrap();
        let options = FilesRestoreOptions {
            buckets: Vec::new(),
            existing: ExistingFiles::Keep,
            jobs: NonZeroUsize::new(2).unwrap(),
        };
        restore_files(&repository, &report.backup, &client(&server), &options, &told).unwrap();
    }
    let once = [
        (FilesPhase::List, 0, 0),
        (FilesPhase::BackUp, bytes, bytes),
        (FilesPhase::Verify, bytes, bytes),
        (FilesPhase::Restore, bytes, bytes),
    ];
    assert_eq!(told.0.into_inner().unwrap(), [once, once].concat());
}
