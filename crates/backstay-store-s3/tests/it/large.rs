//! Objects of several parts.

use std::sync::Arc;

use backstay_core::Repository;
use backstay_core::repository::LitterItem;
use backstay_core::store::{ErrorKind, Store as _};
use backstay_store_s3::{PartSizes, S3Store};

use crate::fake::{Fake, Fault, Traits};
use crate::{causes, key, names, noise, put, read};

const PART: u64 = 5 << 20;

fn store(fake: &Fake) -> S3Store {
    fake.store_with(|config| {
        config.prefix = "p/".to_owned();
        config.parts = PartSizes::Uniform(PART);
    })
}

#[test]
fn an_object_has_as_many_parts_as_it_needs() {
    for (length, parts) in [(PART, 0), (PART + 1, 2), (2 * PART, 2), (3 * PART + 7, 4)] {
        let fake = Fake::start(Traits::default());
        let store = store(&fake);
        let bytes = noise(usize::try_from(length).unwrap());
        assert_eq!(put(&store, "a", &bytes).unwrap().size, length);
        assert_eq!(fake.seen("PUT", "partNumber").len(), parts, "{length}");
        assert!(fake.object("p/a").unwrap() == bytes, "{length}");
        assert!(read(&store, "a").unwrap() == bytes, "{length}");
        assert_eq!(store.list_leftovers().unwrap(), []);
    }
}

#[test]
fn each_step_is_tried_again() {
    for fault in [
        Fault::Refuse(503, "SlowDown"),
        Fault::ResetAfter(70_000),
        Fault::LoseAnswer,
    ] {
        for (method, target) in [
            ("POST", "uploads="),
            ("PUT", "partNumber=2"),
            ("POST", "uploadId"),
            ("HEAD", ""),
        ] {
            let fake = Fake::start(Traits::default());
            let store = store(&fake);
            let bytes = noise(2 * 5 * 1024 * 1024 + 5);
            fake.fail(method, target, fault.clone());
            put(&store, "a", &bytes).unwrap();
            assert!(fake.object("p/a").unwrap() == bytes, "{method} {target} {fault:?}");
            fake.assert_all_befell();
        }
    }
}

#[test]
fn parts_that_the_server_keeps_otherwise_are_no_success() {
    let fake = Fake::start(Traits {
        damages_parts: true,
        ..Traits::default()
    });
    let error = put(&store(&fake), "a", &noise(6 << 20)).unwrap_err();
    assert!(causes(&error).contains("the checksums differ"), "{}", causes(&error));
    // Nothing is left under the name that is not whole.
    assert!(fake.object("p/a").is_none());
}

#[test]
fn an_error_inside_the_answer_to_completion_is_one() {
    let fake = Fake::start(Traits::default());
    let store = store(&fake);
    let bytes = noise(6 << 20);
    fake.fail("POST", "uploadId", Fault::Refuse(200, "InternalError"));
    put(&store, "a", &bytes).unwrap();
    assert!(fake.object("p/a").unwrap() == bytes);

    fake.fail("POST", "uploadId", Fault::Refuse(200, "InvalidPart"));
    let error = put(&store, "b", &bytes).unwrap_err();
    assert!(causes(&error).contains("200 InvalidPart"), "{}", causes(&error));
    assert_eq!(names(&store), ["a"]);

    fake.fail_times("POST", "uploadId", 0, 4, Fault::Refuse(200, "InternalError"));
    assert_eq!(put(&store, "c", &bytes).unwrap_err().kind(), ErrorKind::Transient);
    assert_eq!(names(&store), ["a"]);
    assert_eq!(fake.uploads(), 0, "what failed was given up");
}

#[test]
fn a_cut_answer_to_completion_is_settled_by_looking() {
    let fake = Fake::start(Traits::default());
    let store = store(&fake);
    for (name, cut) in [("a", 0), ("b", 30)] {
        fake.fail("POST", "uploadId", Fault::CutAnswer(cut));
        put(&store, name, &noise(6 << 20)).unwrap();
    }
    fake.assert_all_befell();
}

#[test]
fn what_fails_is_given_up() {
    let fake = Fake::start(Traits::default());
    let store = store(&fake);
    fake.fail_times("PUT", "partNumber=2", 0, 4, Fault::Refuse(500, "InternalError"));
    let mut writer = store.create(&key("a")).unwrap();
    let appended = writer.append(&noise(4 * 5 * 1024 * 1024));
    let error = appended.and_then(|()| writer.publish()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{}", causes(&error));
    assert!(names(&store).is_empty());
    assert_eq!(fake.uploads(), 0);

    let mut writer = store.create(&key("a")).unwrap();
    writer.append(&noise(6 << 20)).unwrap();
    assert_eq!(fake.uploads(), 1);
    drop(writer);
    assert_eq!(fake.uploads(), 0);
}

#[test]
fn a_key_that_came_to_exist_is_refused_and_kept() {
    for target in ["HEAD", "condition"] {
        let fake = Fake::start(Traits::default());
        let store = store(&fake);
        let mut writer = store.create(&key("a")).unwrap();
        writer.append(&noise(6 << 20)).unwrap();
        put(&store, "a", b"faster").unwrap();
        if target == "condition" {
            // As if the other one had come just after it was looked for.
            fake.fail("HEAD", "", Fault::Refuse(404, ""));
        }
        assert_eq!(
            writer.publish().unwrap_err().kind(),
            ErrorKind::AlreadyExists,
            "{target}"
        );
        assert_eq!(read(&store, "a").unwrap(), b"faster");
        assert_eq!(fake.uploads(), 0);
        fake.assert_all_befell();
    }
}

#[test]
fn uploads_that_were_left_are_listed_and_removed() {
    let fake = Fake::start(Traits::default());
    let store = store(&fake);
    put(&store, "kept", b"x").unwrap();
    for name in ["a?uploadId=b", "folder/b"] {
        // It can be given up neither by its writer nor at its end.
        fake.fail("DELETE", "uploadId", Fault::Refuse(403, "AccessDenied"));
        let mut writer = store.create(&key(name)).unwrap();
        writer.append(&noise((6 << 20) + 1)).unwrap();
        drop(writer);
    }
    let left = store.list_leftovers().unwrap();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(
        left.iter()
            .all(|leftover| leftover.size == PART && leftover.modified_unix_secs > 0),
        "{left:?}"
    );
    assert_eq!(fake.store("other/").list_leftovers().unwrap(), []);
    for leftover in &left {
        store.delete_leftover(leftover).unwrap();
        store.delete_leftover(leftover).unwrap();
    }
    assert_eq!(store.list_leftovers().unwrap(), []);
    assert_eq!(names(&store), ["kept"]);
}

#[test]
fn uploads_of_other_programs_are_no_litter() {
    let fake = Fake::start(Traits::default());
    let store = store(&fake);
    let own = "kulti_backup_20250116_143022.sql.gz";
    let uploads = [own, "film.mp4", "elsewhere/kulti_backup_20250116_143022.sql.gz"];
    for name in uploads {
        fake.fail("DELETE", "uploadId", Fault::Refuse(403, "AccessDenied"));
        store.create(&key(name)).unwrap().append(&noise(6 << 20)).unwrap();
    }
    assert_eq!(store.list_leftovers().unwrap().len(), uploads.len());
    let repository = Repository::new(Arc::new(store));
    let litter = repository.litter(i64::MAX, 0).unwrap();
    let [LitterItem::Temporary(leftover)] = &litter.items[..] else {
        panic!("{litter:?}");
    };
    assert_eq!(leftover.key, Some(key(own)));
}

#[test]
fn a_writer_whose_upload_was_removed_fails() {
    let fake = Fake::start(Traits::default());
    let store = store(&fake);
    let mut writer = store.create(&key("a")).unwrap();
    writer.append(&noise(6 << 20)).unwrap();
    for leftover in store.list_leftovers().unwrap() {
        store.delete_leftover(&leftover).unwrap();
    }
    let error = writer.publish().unwrap_err();
    assert!(causes(&error).contains("NoSuchUpload"), "{}", causes(&error));
    assert!(names(&store).is_empty());
}
