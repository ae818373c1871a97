use std::sync::Arc;

use backstay_storage_files::{FileName, FilesError};
use backstay_testkit::ToyKey;
use backstay_testkit::http_server::Fault;

use crate::support::{back_up, memory, project, reads};

fn names(files: &[FileName]) -> Vec<String> {
    files.iter().map(ToString::to_string).collect()
}

#[test]
fn only_what_changed_is_read_again() {
    let (server, (_, repository)) = (project(), memory());
    server.set_page(2);
    let first = back_up(&server, &repository, 0).unwrap();
    assert_eq!((first.listing.files.len(), first.listing.buckets.len()), (5, 2));
    assert_eq!((first.unchanged, first.base.clone()), (0, None));
    // Equal ones are one object.
    assert_eq!(reads(&server), 5);
    assert_eq!(first.backup.objects.len(), 4);
    let entry = &first.listing.files[0];
    assert_eq!(entry.attributes.content_type.as_deref(), Some("text/plain"));
    assert_eq!(entry.object_version.as_deref(), Some("version-1"));

    server.put("avatars", "ada.png", b"ada");
    server.put("documents", "new", b"new");
    server.remove("documents", "same");
    let second = back_up(&server, &repository, 1).unwrap();
    assert_eq!(reads(&server), 7);
    assert_eq!((second.unchanged, second.listing.files.len()), (3, 5));
    assert_eq!(second.base, Some(first.backup.id.clone()));
    assert_eq!(repository.list().unwrap(), [first.backup.id, second.backup.id]);
}

#[test]
fn what_the_store_has_lost_is_read_again() {
    let (server, (store, repository)) = (project(), memory());
    let first = back_up(&server, &repository, 0).unwrap();
    let lost = &first.listing.files[0].parts[0].object;
    let key = format!("storage-files/objects/{}/{lost}", &lost[..2]).parse().unwrap();
    backstay_core::store::Store::delete(&*store, &key).unwrap();
    let second = back_up(&server, &repository, 1).unwrap();
    // Two files had that content; the second may find it there again.
    assert!(matches!(second.unchanged, 3 | 4));
    assert!(backstay_core::store::Store::head(&*store, &key).is_ok());
}

#[test]
fn what_rotted_in_the_store_is_not_taken_over() {
    use backstay_core::store::Store;

    let (server, (store, repository)) = (project(), memory());
    let first = back_up(&server, &repository, 0).unwrap();
    let rotten = &first.listing.files[0].parts[0];
    let key = format!("storage-files/objects/{}/{}", &rotten.object[..2], rotten.object);
    let key = key.parse().unwrap();
    store.delete(&key).unwrap();
    let mut writer = store.create(&key).unwrap();
    writer
        .append(&vec![b'!'; usize::try_from(rotten.stored).unwrap()])
        .unwrap();
    writer.publish().unwrap();
    // The same content, written anew.
    let content = server.file("avatars", "ada.png").unwrap().content.unwrap();
    server.put("avatars", "ada.png", &content);
    let error = back_up(&server, &repository, 1).unwrap_err();
    assert!(
        matches!(&error, FilesError::Damaged { subject, .. } if *subject == rotten.object),
        "{error:?}"
    );
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_again() {
    let (server, (_, repository)) = (project(), memory());
    server.change_when_read("ada.png", 2);
    let report = back_up(&server, &repository, 0).unwrap();
    let entry = &report.listing.files[0];
    assert_eq!((entry.size, server.file("avatars", "ada.png").unwrap().size), (5, 5));
    // What was listed is older than what was read, so it is read the next time too.
    let next = back_up(&server, &repository, 1).unwrap();
    assert_eq!(next.unchanged, 4);

    server.change_when_read("ada.png", u32::MAX);
    server.put("avatars", "ada.png", b"anew");
    let error = back_up(&server, &repository, 2).unwrap_err();
    assert!(matches!(error, FilesError::KeepsChanging(file) if file.name == "ada.png"));
    assert_eq!(repository.list().unwrap().len(), 2);
}

#[test]
fn what_a_cache_has_kept_is_not_taken_for_the_file() {
    let (server, (_, repository)) = (project(), memory());
    server.put_behind_cache("avatars", "ada.png", b"bob", 2);
    let report = back_up(&server, &repository, 0).unwrap();
    let sha256 = backstay_core::Sha256Digest::of(b"bob").to_string();
    assert_eq!(report.listing.files[0].sha256, sha256);
}

#[test]
fn rows_without_files_and_files_that_vanish_are_told() {
    let (server, (_, repository)) = (project(), memory());
    server.lose_content("documents", "same");
    let missing = Fault::Refuse(404, "not_found");
    server.http.fail("GET", "/object/info/avatars/ada.png", missing);
    let report = back_up(&server, &repository, 0).unwrap();
    assert_eq!(names(&report.listing.without_file), ["documents/same"]);
    assert_eq!(names(&report.vanished), ["avatars/ada.png"]);
    assert_eq!(
        (report.listing.files.len(), report.backup.manifest.without_file),
        (3, 1)
    );
}

#[test]
fn long_files_are_cut_and_broken_connections_taken_up() {
    let (server, (_, repository)) = (project(), memory());
    let long: Vec<u8> = (0..40_000_000u32).map(|i| (i / 7) as u8).collect();
    server.put("documents", "long", &long);
    server
        .http
        .fail("GET", "/authenticated/documents/long", Fault::CutAnswer(1_000_000));
    server.http.fail(
        "GET",
        "/object/info/documents/same",
        Fault::Refuse(500, "DatabaseTimeout"),
    );
    let report = back_up(&server, &repository, 0).unwrap();
    let entry = report
        .listing
        .files
        .iter()
        .find(|entry| entry.file.name == "long")
        .unwrap();
    assert_eq!(entry.parts.len(), 3);
    assert_eq!(entry.sha256, backstay_core::Sha256Digest::of(&long).to_string());
}

#[test]
fn a_project_that_refuses_leaves_no_backup() {
    let (server, (store, repository)) = (project(), memory());
    server
        .http
        .fail_times("GET", "/authenticated/", 0, 1000, Fault::Refuse(403, "Unauthorized"));
    let error = back_up(&server, &repository, 0).unwrap_err();
    assert!(matches!(error, FilesError::Service(_)), "{error:?}");
    assert!(repository.list().unwrap().is_empty());
    let left = backstay_core::store::Store::list(&*store, "storage-files/").unwrap();
    assert!(left.iter().all(|meta| meta.key.as_str().contains("/objects/")));
}

#[test]
fn the_newest_is_of_one_project() {
    use backstay_storage_files::{FilesBackupOptions, back_up_files};

    let (server, (_, repository)) = (project(), memory());
    assert!(matches!(repository.latest(None), Err(FilesError::Empty)));
    let first = back_up(&server, &repository, 0).unwrap().backup.id;
    assert_eq!(repository.latest(None).unwrap(), first);
    let options = FilesBackupOptions::new("other", crate::support::at(1));
    let other = back_up_files(&crate::support::client(&server), &repository, &options, &|| false);
    assert_eq!(other.unwrap().unchanged, 0, "another project is no base");
    let error = repository.latest(None).unwrap_err();
    assert!(matches!(error, FilesError::Several(prefixes) if prefixes == ["abc", "other"]));
    assert_eq!(repository.latest(Some("abc")).unwrap(), first);
    assert!(matches!(back_up(&server, &repository, 0), Err(FilesError::Exists(id)) if id == first));
}

#[test]
fn what_is_far_less_than_before_is_told() {
    let (server, (_, repository)) = (project(), memory());
    let first = back_up(&server, &repository, 0).unwrap();
    assert!(first.shrank().is_none() && first.gone_buckets.is_empty());
    for name in ["ada.png", "empty"] {
        server.remove("avatars", name);
    }
    let second = back_up(&server, &repository, 1).unwrap();
    assert!(second.shrank().is_none(), "three of five are more than half");
    server.remove_bucket("documents");
    let third = back_up(&server, &repository, 2).unwrap();
    assert_eq!(third.gone_buckets, ["documents"]);
    let earlier = third.shrank().unwrap();
    assert_eq!((&earlier.id, earlier.buckets, earlier.files), (&second.backup.id, 2, 3));
    // Whoever has no key for it knows how much there was.
    let sealed = repository.with_sealer(Arc::new(ToyKey::new("key")));
    let fourth = back_up(&server, &sealed, 3).unwrap();
    assert!(fourth.shrank().is_none() && fourth.gone_buckets.is_empty());
}
