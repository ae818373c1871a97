//! Requests that fail, each in one way.

use std::io::Read as _;
use std::time::{Duration, Instant};

use backstay_core::store::{ErrorKind, Store as _};
use backstay_testkit::{
    VercelTraits,
    http_server::{Fault, Response},
};

use crate::{Vercel, causes, key, names, noise, put, read};

/// What goes wrong and may go well another time.
const TRANSIENT: [Fault; 6] = [
    Fault::Refuse(503, "service_unavailable"),
    Fault::Refuse(429, "rate_limited"),
    Fault::Refuse(500, "unknown_error"),
    Fault::Refuse(500, "internal_server_error"),
    Fault::ResetAfter(3),
    Fault::LoseAnswer,
];

fn start() -> Vercel {
    Vercel::start(VercelTraits::default())
}

#[test]
fn what_is_transient_is_tried_again() {
    for fault in TRANSIENT {
        for (method, target) in [("PUT", ""), ("GET", "url="), ("GET", "/blobs/"), ("POST", "/delete")] {
            let vercel = start();
            let store = vercel.store("p/");
            vercel.http.fail_times(method, target, 0, 2, fault.clone());
            let published = put(&store, "a", b"bytes").unwrap();
            assert_eq!(read(&store, "a").unwrap(), b"bytes", "{method} {target} {fault:?}");
            assert_eq!(store.head(&key("a")).unwrap(), published);
            store.delete(&key("a")).unwrap();
            assert!(vercel.pathnames().is_empty());
            vercel.http.assert_all_befell();
        }
    }
    let vercel = start();
    let store = vercel.store("p/");
    put(&store, "a", b"").unwrap();
    vercel
        .http
        .fail("GET", "prefix=", Fault::Refuse(503, "service_unavailable"));
    vercel.http.fail("GET", "prefix=", Fault::CutAnswer(40));
    assert_eq!(names(&store), ["a"]);
    vercel.http.assert_all_befell();
}

#[test]
fn what_is_not_transient_is_tried_once() {
    for (status, code, kind) in [
        (403, "forbidden", ErrorKind::Denied),
        (403, "store_suspended", ErrorKind::Denied),
        (404, "store_not_found", ErrorKind::StoreMissing),
        (400, "file_too_large", ErrorKind::Full),
        (403, "not_allowed", ErrorKind::Denied),
        (400, "bad_request", ErrorKind::Other),
        (301, "moved", ErrorKind::Other),
    ] {
        let vercel = start();
        let store = vercel.store("");
        vercel.http.fail("PUT", "", Fault::Refuse(status, code));
        let error = put(&store, "a", b"").unwrap_err();
        assert_eq!(error.kind(), kind, "{}", causes(&error));
        assert!(causes(&error).contains(code), "{}", causes(&error));
        assert_eq!(vercel.http.seen("PUT", "").len(), 1, "{status} {code}");
    }
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    let vercel = start();
    let store = vercel.store("");
    let body = r#"{"error":{"code":"rate_limited","message":"Too many requests"}}"#;
    let slow_down = Response::new(429, body).header("retry-after", "1");
    vercel.http.fail("PUT", "", Fault::Answer(slow_down));
    let before = Instant::now();
    put(&store, "a", b"x").unwrap();
    let waited = before.elapsed();
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
    vercel.http.assert_all_befell();
}

#[test]
fn trying_ends_and_says_how_often_it_was_tried() {
    let vercel = start();
    let store = vercel.store("");
    vercel
        .http
        .fail_times("PUT", "", 0, usize::MAX, Fault::Refuse(503, "service_unavailable"));
    let error = put(&store, "a", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(causes(&error).contains("4 tries failed"), "{}", causes(&error));
    assert_eq!(vercel.http.seen("PUT", "").len(), 4);
    assert!(names(&store).is_empty());
}

#[test]
fn a_lost_answer_and_then_a_refusal_is_settled_by_looking() {
    let vercel = start();
    let store = vercel.store("");
    vercel.http.fail("PUT", "pathname=a", Fault::LoseAnswer);
    put(&store, "a", b"own").unwrap();
    let tries = vercel.http.seen("PUT", "pathname=a").len();
    assert_eq!(
        tries, 2,
        "the second one was refused, because the first was carried out"
    );

    // Another's object was there, and stays, also where the bytes are the same.
    for bytes in [b"own".as_slice(), b"other"] {
        let other = vercel.store("");
        put(&other, "b", bytes).unwrap();
        vercel.http.fail("PUT", "pathname=b", Fault::LoseAnswer);
        let error = put(&store, "b", b"own").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", causes(&error));
        assert_eq!(read(&store, "b").unwrap(), bytes);
        store.delete(&key("b")).unwrap();
    }

    // All answers are lost.
    vercel.http.fail_times("PUT", "pathname=c", 0, 4, Fault::LoseAnswer);
    put(&store, "c", b"own").unwrap();
    vercel.http.assert_all_befell();
}

#[test]
fn whose_object_it_is_is_not_guessed() {
    let vercel = Vercel::start(VercelTraits {
        forgets_parameters: true,
        ..VercelTraits::default()
    });
    let store = vercel.store("");
    vercel.http.fail("PUT", "pathname=a", Fault::LoseAnswer);
    let error = put(&store, "a", b"own").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{}", causes(&error));
    // Bytes of another length are certainly another's.
    vercel.http.fail("PUT", "pathname=a", Fault::LoseAnswer);
    let error = put(&store, "a", b"longer").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", causes(&error));
    assert_eq!(read(&store, "a").unwrap(), b"own");
    // Without a lost answer there is nothing to guess.
    put(&store, "b", b"own").unwrap();
    assert_eq!(put(&store, "b", b"own").unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn a_refusal_of_another_kind_is_not_taken_for_a_key_that_exists() {
    let vercel = start();
    let store = vercel.store("");
    vercel.http.fail("PUT", "", Fault::Refuse(400, "bad_request"));
    assert_eq!(put(&store, "a", b"x").unwrap_err().kind(), ErrorKind::Other);
    // Where the service words it otherwise some day, looking tells.
    put(&store, "a", b"x").unwrap();
    for (status, code) in [(400, "bad_request"), (409, "conflict"), (412, "precondition_failed")] {
        vercel.http.fail("PUT", "", Fault::Refuse(status, code));
        let error = put(&store, "a", b"y").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{code}: {}", causes(&error));
    }
    assert_eq!(read(&store, "a").unwrap(), b"x");
}

#[test]
fn what_is_not_there_after_it_was_written_is_no_success() {
    let vercel = start();
    let store = vercel.store("");
    vercel.http.fail("GET", "url=", Fault::Refuse(404, "not_found"));
    let error = put(&store, "a", b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other, "{}", causes(&error));
    vercel
        .http
        .fail_times("GET", "url=", 0, 4, Fault::Refuse(503, "service_unavailable"));
    let error = put(&store, "b", b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{}", causes(&error));
}

#[test]
fn what_is_there_otherwise_than_it_was_written_is_no_success() {
    let vercel = start();
    let store = vercel.store("");
    put(&store, "a", b"x").unwrap();
    for (size, why) in [
        (2, "1 bytes were written, but 2 are there"),
        (1, "another object is there"),
    ] {
        let told =
            format!(r#"{{"pathname":"b","size":{size},"uploadedAt":"2026-01-01T00:00:00.000Z","etag":"another"}}"#);
        vercel.answer("GET", "url=b", 200, &told);
        let error = put(&store, "b", b"x").unwrap_err();
        assert!(causes(&error).contains(why), "{}", causes(&error));
        store.delete(&key("b")).unwrap();
    }
}

#[test]
fn a_reader_goes_on_where_its_connection_broke() {
    let bytes = noise(300_000);
    for range in [None, Some(1000..250_000)] {
        let vercel = start();
        let store = vercel.store("");
        put(&store, "a", &bytes).unwrap();
        for cut in [0, 1, 70_000] {
            vercel.http.fail("GET", "/blobs/a", Fault::CutAnswer(cut));
        }
        vercel
            .http
            .fail_times("GET", "/blobs/a", 0, 2, Fault::Refuse(503, "service_unavailable"));
        let expected = range.clone().map_or(bytes.as_slice(), |range| {
            &bytes[range.start as usize..range.end as usize]
        });
        let mut found = Vec::new();
        store.read(&key("a"), range).unwrap().read_to_end(&mut found).unwrap();
        assert!(found == expected, "{} bytes came", found.len());
        vercel.http.assert_all_befell();
    }
}

#[test]
fn a_reader_never_just_ends() {
    let vercel = start();
    let store = vercel.store("");
    put(&store, "a", &noise(100_000)).unwrap();
    // Each try dies without a byte.
    vercel.http.fail("GET", "/blobs/a", Fault::CutAnswer(500));
    vercel
        .http
        .fail_times("GET", "/blobs/a", 0, usize::MAX, Fault::CutAnswer(0));
    let mut found = Vec::new();
    let error = store
        .read(&key("a"), None)
        .unwrap()
        .read_to_end(&mut found)
        .unwrap_err();
    assert!(found.len() <= 500, "{} bytes came: {error}", found.len());
}

#[test]
fn a_reader_does_not_go_on_in_another_object() {
    for range in [None, Some(0..100_000)] {
        let vercel = start();
        let store = vercel.store("");
        put(&store, "a", &noise(100_000)).unwrap();
        vercel.http.fail("GET", "/blobs/a", Fault::CutAnswer(500));
        let mut reader = store.read(&key("a"), range).unwrap();
        vercel.put("a", &[7; 100_000]);
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
    }
}

#[test]
fn a_blob_that_the_cache_does_not_find_is_asked_for_again() {
    let vercel = start();
    let store = vercel.store("");
    put(&store, "a", b"bytes").unwrap();
    vercel.http.fail("GET", "/blobs/a", Fault::Refuse(404, "not_found"));
    let mut found = Vec::new();
    store
        .read(&key("a"), Some(0..5))
        .unwrap()
        .read_to_end(&mut found)
        .unwrap();
    assert_eq!(found, b"bytes");
    vercel
        .http
        .fail_times("GET", "/blobs/a", 0, usize::MAX, Fault::Refuse(404, "not_found"));
    let error = store.read(&key("a"), Some(0..5)).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{}", causes(&error));
}

#[test]
fn a_deletion_spares_what_came_meanwhile() {
    let vercel = start();
    let store = vercel.store("");
    put(&store, "a", b"old").unwrap();
    // The first deletion was carried out, its answer lost, and another writer was faster than the second.
    vercel
        .http
        .fail("POST", "/delete", Fault::Refuse(412, "precondition_failed"));
    store.delete(&key("a")).unwrap();
    assert!(vercel.pathnames().is_empty());
    let asked = &vercel.http.seen("POST", "/delete")[0];
    assert!(asked.header("x-if-match").is_some());
    assert_eq!(asked.body, br#"{"urls":["a"]}"#);
}
