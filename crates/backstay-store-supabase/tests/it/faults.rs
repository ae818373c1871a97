//! Requests that fail, each in one way.

use std::io::Read as _;

use backstay_core::store::{ErrorKind, Store as _};
use backstay_testkit::SupabaseTraits;
use backstay_testkit::http_server::Fault;

use crate::{Supabase, causes, key, names, noise, put, read};

/// What a server answers when it can do no better at the moment. The status 400 has the true one in the body.
const TRANSIENT: [Fault; 4] = [
    Fault::Refuse(503, "acquiring_lock_timeout"),
    Fault::Refuse(500, "InternalError"),
    Fault::Refuse(544, "DatabaseTimeout"),
    Fault::LoseAnswer,
];

/// The requests of publishing and reading one small object.
const REQUESTS: [(&str, &str); 6] = [
    ("POST", "/object/backups/p/.backstay-tmp-"),
    ("GET", "/object/info/backups/p/.backstay-tmp-"),
    ("POST", "/object/move"),
    ("GET", "/object/info/backups/p/a"),
    ("GET", "/object/authenticated/backups/p/a"),
    ("POST", "/object/list-v2/backups"),
];

#[test]
fn what_is_transient_is_tried_again_at_each_request() {
    for (method, target) in REQUESTS {
        let mut faults = TRANSIENT.to_vec();
        // What a good answer to these says is not read.
        if !matches!(target, "/object/move" | "/object/backups/p/.backstay-tmp-") {
            faults.push(Fault::CutAnswer(1));
        }
        if method == "POST" {
            faults.push(Fault::ResetAfter(3));
        }
        for fault in faults {
            let server = Supabase::start(SupabaseTraits::default());
            let store = server.store("p/");
            server.http.fail_times(method, target, 0, 2, fault.clone());
            let published =
                put(&store, "a", b"bytes").unwrap_or_else(|error| panic!("{target} {fault:?}: {}", causes(&error)));
            assert_eq!(read(&store, "a").unwrap(), b"bytes", "{target} {fault:?}");
            assert_eq!(store.head(&key("a")).unwrap(), published);
            assert_eq!(names(&store), ["a"]);
            assert_eq!(server.names(), ["p/a"], "{target} {fault:?}");
            server.http.assert_all_befell();
        }
    }
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store("p/");
    put(&store, "a", b"").unwrap();
    server.http.fail("DELETE", "/p/a", Fault::LoseAnswer);
    server.http.fail("DELETE", "/p/a", Fault::Refuse(503, "SlowDown"));
    store.delete(&key("a")).unwrap();
    assert!(server.names().is_empty());
    server.http.assert_all_befell();
}

#[test]
fn what_is_not_transient_is_tried_once() {
    for (status, word, kind) in [
        (403, "Unauthorized", ErrorKind::Denied),
        (400, "InvalidJWT", ErrorKind::Denied),
        (413, "Payload too large", ErrorKind::Full),
        (404, "Bucket not found", ErrorKind::StoreMissing),
        (400, "InvalidKey", ErrorKind::UnsupportedKey),
        (400, "Whatever", ErrorKind::Other),
    ] {
        for target in ["/object/backups/", "/object/move"] {
            let server = Supabase::start(SupabaseTraits::default());
            let store = server.store("");
            server.http.fail("POST", target, Fault::Refuse(status, word));
            let error = put(&store, "a", b"").unwrap_err();
            assert_eq!(error.kind(), kind, "{target} {}", causes(&error));
            assert!(causes(&error).contains(word), "{}", causes(&error));
            assert_eq!(server.http.seen("POST", target).len(), 1, "{status} {word}");
            // What was uploaded is removed again.
            assert!(
                server.names().is_empty(),
                "{target} {status} {word}: {:?}",
                server.names()
            );
        }
    }
}

#[test]
fn trying_ends_and_says_how_often_it_was_tried() {
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store("");
    let fault = Fault::Refuse(503, "acquiring_lock_timeout");
    server.http.fail_times("POST", "/object/move", 0, usize::MAX, fault);
    let error = put(&store, "a", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    let told = "4 tries failed: the server answered 503 acquiring_lock_timeout";
    assert!(causes(&error).contains(told), "{}", causes(&error));
    assert_eq!(server.http.seen("POST", "/object/move").len(), 4);
    assert!(server.names().is_empty());
}

#[test]
fn a_lost_answer_to_the_move_is_settled_by_looking() {
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store("");
    server.http.fail("POST", "/object/move", Fault::LoseAnswer);
    put(&store, "a", b"own").unwrap();
    assert_eq!(
        server.http.seen("POST", "/object/move").len(),
        2,
        "the second one found nothing to move"
    );

    // Another's object was there, and stays, also where the bytes are the same.
    for bytes in [b"own".as_slice(), b"other"] {
        put(&server.store(""), "b", bytes).unwrap();
        server.http.fail("POST", "/object/move", Fault::LoseAnswer);
        let error = put(&store, "b", b"own").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", causes(&error));
        assert_eq!(read(&store, "b").unwrap(), bytes);
        assert_eq!(server.names(), ["a", "b"]);
        store.delete(&key("b")).unwrap();
    }

    // All answers are lost.
    server.http.fail_times("POST", "/object/move", 0, 4, Fault::LoseAnswer);
    put(&store, "c", b"own").unwrap();
    server.http.assert_all_befell();
}

#[test]
fn whose_object_it_is_is_not_guessed() {
    let server = Supabase::start(SupabaseTraits {
        forgets_metadata: true,
        ..SupabaseTraits::default()
    });
    let store = server.store("");
    server.http.fail("POST", "/object/move", Fault::LoseAnswer);
    let error = put(&store, "a", b"own").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{}", causes(&error));
    // Where what was uploaded was not moved, the object is another's.
    server.http.fail("POST", "/object/move", Fault::Refuse(503, "SlowDown"));
    let error = put(&store, "a", b"own").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", causes(&error));
    // Without a lost answer there is nothing to guess.
    put(&store, "b", b"own").unwrap();
    assert_eq!(put(&store, "b", b"own").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(server.names(), ["a", "b"]);
}

#[test]
fn what_was_cut_short_while_it_was_uploaded_is_not_published() {
    let server = Supabase::start(SupabaseTraits {
        loses_bytes: 1,
        ..SupabaseTraits::default()
    });
    let store = server.store("");
    let error = put(&store, "a", b"bytes").unwrap_err();
    assert!(
        causes(&error).contains("5 bytes were written, but 4 are there"),
        "{}",
        causes(&error)
    );
    assert!(server.names().is_empty(), "{:?}", server.names());
    assert!(server.http.seen("POST", "/object/move").is_empty());
}

#[test]
fn what_is_removed_before_the_move_makes_the_writer_fail() {
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store("");
    for at in ["/object/info/backups/.backstay-tmp-", "/object/move"] {
        let method = if at == "/object/move" { "POST" } else { "GET" };
        server.http.fail(method, at, Fault::Refuse(404, "not_found"));
        let error = put(&store, "a", b"bytes").unwrap_err();
        assert_ne!(error.kind(), ErrorKind::AlreadyExists, "{}", causes(&error));
        assert_ne!(error.kind(), ErrorKind::NotFound, "{}", causes(&error));
        assert!(names(&store).is_empty());
    }
    server.http.assert_all_befell();
}

#[test]
fn what_could_not_be_removed_is_a_leftover() {
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store("p/");
    server.put("p/a", b"another's");
    server
        .http
        .fail_times("DELETE", "", 0, 4, Fault::Refuse(503, "SlowDown"));
    let error = put(&store, "a", b"bytes").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", causes(&error));
    let leftovers = store.list_leftovers().unwrap();
    let [leftover] = &leftovers[..] else {
        panic!("{leftovers:?}");
    };
    assert_eq!(leftover.size, 5);
    assert_eq!(names(&store), ["a"]);
    store.delete_leftover(leftover).unwrap();
    store.delete_leftover(leftover).unwrap();
    assert_eq!(server.names(), ["p/a"]);
}

#[test]
fn a_reader_goes_on_where_its_connection_broke() {
    let bytes = noise(300_000);
    for range in [None, Some(1000..250_000)] {
        let server = Supabase::start(SupabaseTraits::default());
        let store = server.store("");
        put(&store, "a", &bytes).unwrap();
        for cut in [0, 1, 70_000] {
            server.http.fail("GET", "/authenticated/", Fault::CutAnswer(cut));
        }
        let fault = Fault::Refuse(503, "SlowDown");
        server.http.fail_times("GET", "/authenticated/", 0, 2, fault);
        let expected = range.clone().map_or(bytes.as_slice(), |range| {
            &bytes[range.start as usize..range.end as usize]
        });
        let mut found = Vec::new();
        store.read(&key("a"), range).unwrap().read_to_end(&mut found).unwrap();
        assert!(found == expected, "{} bytes came", found.len());
        server.http.assert_all_befell();
    }
}

#[test]
fn a_reader_never_just_ends_and_does_not_go_on_in_another_object() {
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store("");
    put(&store, "a", &noise(100_000)).unwrap();
    server.http.fail("GET", "/authenticated/", Fault::CutAnswer(500));
    let mut reader = store.read(&key("a"), None).unwrap();
    server.put("a", &[7; 100_000]);
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
    // Each try dies without a byte.
    server
        .http
        .fail_times("GET", "/authenticated/", 0, usize::MAX, Fault::CutAnswer(0));
    let mut found = Vec::new();
    store
        .read(&key("a"), None)
        .unwrap()
        .read_to_end(&mut found)
        .unwrap_err();
    assert!(found.is_empty());
}
