//! Objects of several parts.

use backstay_core::store::{ErrorKind, Store as _};
use backstay_store_vercel_blob::VercelBlobStore;
use backstay_testkit::{VercelTraits, http_server::Fault};

use crate::{Vercel, causes, key, names, noise, put, read};

const PART: usize = 5 << 20;

fn start() -> Vercel {
    Vercel::start(VercelTraits::default())
}

fn store(vercel: &Vercel) -> VercelBlobStore {
    vercel.store_with(|config| {
        config.prefix = "p/".to_owned();
        config.part_bytes = PART as u64;
    })
}

#[test]
fn an_object_has_as_many_parts_as_it_needs_and_all_but_the_last_are_equal() {
    for (length, parts) in [(PART, 0), (PART + 1, 2), (2 * PART, 2), (3 * PART + 7, 4)] {
        let vercel = start();
        let store = store(&vercel);
        let bytes = noise(length);
        // In pieces of a length that no part is a multiple of.
        let mut writer = store.create(&key("ä b")).unwrap();
        for piece in bytes.chunks(777_777) {
            writer.append(piece).unwrap();
        }
        assert_eq!(writer.publish().unwrap().size, length as u64);
        let mut sent: Vec<(u32, usize)> = vercel
            .http
            .seen("POST", "/mpu")
            .iter()
            .filter_map(|sent| Some((sent.header("x-mpu-part-number")?.parse().unwrap(), sent.body.len())))
            .collect();
        sent.sort_unstable();
        assert_eq!(sent.len(), parts, "{length}");
        for (index, (number, size)) in sent.iter().enumerate() {
            assert_eq!(*number as usize, index + 1);
            assert!(*size == PART || index + 1 == parts, "{sent:?}");
        }
        assert!(vercel.blob("p/ä b").unwrap() == bytes, "{length}");
        assert!(read(&store, "ä b").unwrap() == bytes, "{length}");
        assert_eq!(vercel.uploads(), 0);
    }
}

#[test]
fn each_step_is_tried_again() {
    for fault in [
        Fault::Refuse(503, "service_unavailable"),
        Fault::Refuse(429, "rate_limited"),
        Fault::Refuse(500, "unknown_error"),
        Fault::ResetAfter(70_000),
        Fault::LoseAnswer,
    ] {
        // Beginning, a part, completing, in the order of their requests.
        for skip in [0, 2, 4] {
            let vercel = start();
            let store = vercel.store_with(|config| {
                config.part_bytes = PART as u64;
                config.memory_bytes_max = 0;
            });
            let bytes = noise(2 * PART + 5);
            vercel.http.fail_times("POST", "/mpu", skip, 1, fault.clone());
            put(&store, "a", &bytes).unwrap();
            assert!(vercel.blob("a").unwrap() == bytes, "{skip} {fault:?}");
            vercel.http.assert_all_befell();
        }
    }
}

#[test]
fn parts_are_sent_beside_each_other() {
    let vercel = start();
    let store = store(&vercel);
    let bytes = noise(6 * PART + 1);
    put(&store, "a", &bytes).unwrap();
    assert!(vercel.blob("p/a").unwrap() == bytes);
}

#[test]
fn a_lost_answer_to_completion_is_settled_by_looking() {
    let vercel = start();
    let store = store(&vercel);
    let bytes = noise(PART + 1);
    for (name, fault, times) in [
        ("lost", Fault::LoseAnswer, 1),
        ("cut", Fault::CutAnswer(0), 1),
        ("half", Fault::CutAnswer(30), 1),
        ("always", Fault::LoseAnswer, 4),
    ] {
        // One beginning and two parts come before.
        vercel.http.fail_times("POST", "/mpu", 3, times, fault);
        put(&store, name, &bytes).unwrap();
        assert!(read(&store, name).unwrap() == bytes, "{name}");
        vercel.http.assert_all_befell();
    }
}

#[test]
fn a_lost_answer_to_completion_beside_another_writer_is_no_success() {
    for forgets_parameters in [false, true] {
        let vercel = Vercel::start(VercelTraits {
            forgets_parameters,
            ..VercelTraits::default()
        });
        let store = store(&vercel);
        vercel.http.fail_times("POST", "/mpu", 3, 1, Fault::LoseAnswer);
        let mut writer = store.create(&key("a")).unwrap();
        writer.append(&noise(PART + 1)).unwrap();
        put(&store, "a", b"faster").unwrap();
        let error = writer.publish().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", causes(&error));
        assert_eq!(read(&store, "a").unwrap(), b"faster");
        vercel.http.assert_all_befell();
    }
}

#[test]
fn a_key_that_came_to_exist_is_refused_and_kept() {
    let vercel = start();
    let store = store(&vercel);
    let mut writer = store.create(&key("a")).unwrap();
    writer.append(&noise(PART + 1)).unwrap();
    put(&store, "a", b"faster").unwrap();
    assert_eq!(writer.publish().unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(read(&store, "a").unwrap(), b"faster");
}

#[test]
fn a_key_that_is_refused_before_it_is_complete_is_told_as_such() {
    let vercel = Vercel::start(VercelTraits {
        refuses_early: true,
        ..VercelTraits::default()
    });
    let store = store(&vercel);
    put(&store, "a", b"first").unwrap();
    let mut writer = store.create(&key("a")).unwrap();
    let error = writer.append(&noise(PART + 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", causes(&error));
    assert!(writer.publish().is_err(), "a writer that failed is spent");
    assert_eq!(read(&store, "a").unwrap(), b"first");
}

#[test]
fn what_fails_publishes_nothing() {
    let vercel = start();
    let store = store(&vercel);
    vercel
        .http
        .fail_times("POST", "/mpu", 1, usize::MAX, Fault::Refuse(500, "unknown_error"));
    let mut writer = store.create(&key("a")).unwrap();
    let appended = writer.append(&noise(4 * PART));
    let error = appended.and_then(|()| writer.publish()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{}", causes(&error));
    assert!(names(&store).is_empty());

    let vercel = start();
    let store = self::store(&vercel);
    let mut writer = store.create(&key("a")).unwrap();
    writer.append(&noise(PART + 1)).unwrap();
    drop(writer);
    assert!(names(&store).is_empty());
    assert_eq!(store.list_leftovers().unwrap(), [], "nothing can list what is left");
}

#[test]
fn an_upload_that_the_service_forgot_fails() {
    let vercel = start();
    let store = store(&vercel);
    let mut writer = store.create(&key("a")).unwrap();
    writer.append(&noise(PART + 1)).unwrap();
    vercel.forget_uploads();
    let error = writer.publish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other, "{}", causes(&error));
    assert!(names(&store).is_empty());
}

#[test]
fn a_store_tells_how_long_an_object_may_be() {
    let vercel = start();
    assert_eq!(store(&vercel).object_bytes_max(), Some(10_000 * PART as u64));
    assert_eq!(vercel.store("").object_bytes_max(), Some(10_000 * (32 << 20)));
    let longest = vercel.store_with(|config| config.part_bytes = 5 << 30);
    assert_eq!(longest.object_bytes_max(), Some(5_000_000_000_000));
}
