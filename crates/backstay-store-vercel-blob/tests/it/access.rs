//! Who may do what, and what caches show.

use std::io::Read as _;
use std::time::Duration;

use backstay_core::store::{ErrorKind, Store as _};
use backstay_store_vercel_blob::{Access, VercelBlobConfig, VercelBlobStore};
use backstay_testkit::{VercelBlobServer, VercelTraits, conformance};

use crate::{Vercel, causes, get, key, names, put, read};

/// Promises that write a key anew and read it at once, which the cache of a public store cannot keep.
const ANEW: [&str; 1] = ["a_deleted_key_is_free_again"];

fn start_public() -> Vercel {
    Vercel::start(VercelTraits {
        is_public: true,
        ..VercelTraits::default()
    })
}

fn public(vercel: &Vercel) -> VercelBlobStore {
    vercel.store_with(|config| config.access = Access::Public)
}

#[test]
fn every_request_bears_what_the_service_asks_for() {
    let vercel = Vercel::start(VercelTraits::default());
    let store = vercel.store("p/");
    put(&store, "a", b"bytes").unwrap();
    read(&store, "a").unwrap();
    store.list("").unwrap();
    store.delete(&key("a")).unwrap();
    let bearer = format!("Bearer {}", VercelBlobServer::TOKEN);
    let all = vercel.http.seen("", "");
    assert!(all.len() >= 6, "{}", all.len());
    for request in all {
        assert_eq!(
            request.header("authorization"),
            Some(bearer.as_str()),
            "{}",
            request.target
        );
        if request.target.starts_with("/api/blob") {
            assert_eq!(request.header("x-api-version"), Some("12"));
            assert_eq!(request.header("x-vercel-blob-store-id"), Some(VercelBlobServer::STORE));
        }
    }
    let written = &vercel.http.seen("PUT", "")[0];
    assert_eq!(written.header("x-vercel-blob-access"), Some("private"));
    assert_eq!(written.header("x-allow-overwrite"), Some("0"));
    assert_eq!(written.header("x-add-random-suffix"), Some("0"));
}

#[test]
fn a_private_blob_is_read_with_the_token_and_past_the_cache() {
    let vercel = Vercel::start(VercelTraits::default());
    let store = vercel.store("");
    for text in ["first", "second"] {
        put(&store, "a", text.as_bytes()).unwrap();
        assert_eq!(read(&store, "a").unwrap(), text.as_bytes());
        let mut part = String::new();
        store
            .read(&key("a"), Some(1..3))
            .unwrap()
            .read_to_string(&mut part)
            .unwrap();
        assert_eq!(part, text[1..3]);
        store.delete(&key("a")).unwrap();
    }
    let reads = vercel.http.seen("GET", "/blobs/");
    assert_eq!(reads.len(), 4);
    assert!(
        reads.iter().all(|read| read.target.ends_with("/a?cache=0")),
        "{reads:?}"
    );
    assert!(
        reads
            .iter()
            .all(|read| read.header("accept-encoding") == Some("identity"))
    );
    let expected = format!("Bearer {}", VercelBlobServer::TOKEN);
    assert!(
        reads
            .iter()
            .all(|read| read.header("authorization") == Some(expected.as_str()))
    );
}

#[test]
fn what_a_cache_still_has_of_a_public_blob_is_never_taken_for_it() {
    let vercel = start_public();
    let store = public(&vercel);
    put(&store, "a", b"first").unwrap();
    assert_eq!(read(&store, "a").unwrap(), b"first");
    store.delete(&key("a")).unwrap();
    // The cache would still give it.
    let gone = store.read(&key("a"), None).map(drop).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    put(&store, "a", b"later").unwrap();
    for range in [None, Some(0..2)] {
        let stale = store.read(&key("a"), range).map(drop).unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Transient, "{}", causes(&stale));
        assert!(causes(&stale).contains("cache"), "{}", causes(&stale));
    }
    vercel.expire_cache();
    assert_eq!(read(&store, "a").unwrap(), b"later");
    // The token is not shown to hosts that do not ask for it.
    assert!(
        vercel
            .http
            .seen("GET", "/blobs/")
            .iter()
            .all(|read| read.header("authorization").is_none())
    );
}

#[test]
fn a_public_store_keeps_its_promises_but_for_keys_that_are_written_anew() {
    let mut run = 0;
    for (name, promise) in conformance::PROMISES {
        if !ANEW.contains(name) {
            run += 1;
            promise(&public(&start_public()));
        }
    }
    assert_eq!(run, conformance::PROMISES.len() - ANEW.len());
}

#[test]
fn the_wrong_access_is_refused_before_anything_is_written() {
    let vercel = start_public();
    let error = put(&vercel.store(""), "a", b"x").unwrap_err();
    assert!(causes(&error).contains("public store"), "{}", causes(&error));
    let vercel = Vercel::start(VercelTraits::default());
    assert!(put(&public(&vercel), "a", b"x").is_err());
    assert!(vercel.pathnames().is_empty());
}

#[test]
fn tokens_that_are_none_are_told_apart() {
    let vercel = Vercel::start(VercelTraits::default());
    put(&vercel.store(""), "a", b"x").unwrap();
    for (token, kind) in [
        (VercelBlobServer::TOKEN_OF_NOWHERE, ErrorKind::StoreMissing),
        (VercelBlobServer::TOKEN_OF_SUSPENDED, ErrorKind::Denied),
        ("vercel_blob_rw_Sesam4711Store_hunter3", ErrorKind::Denied),
    ] {
        let store = VercelBlobStore::open(vercel.config(token)).unwrap();
        let errors = [
            store.head(&key("a")).map(drop).unwrap_err(),
            store.read(&key("a"), None).map(drop).unwrap_err(),
            store.read(&key("a"), Some(0..1)).map(drop).unwrap_err(),
            store.list("").map(drop).unwrap_err(),
            store.list_leftovers().map(drop).unwrap_err(),
            store.delete(&key("a")).unwrap_err(),
            put(&store, "b", b"x").map(drop).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), kind, "{token}: {}", causes(&error));
            let shown = format!("{} {error:?} {store:?} {}", causes(&error), store.location());
            assert!(!shown.contains("hunter"), "{shown}");
        }
    }
    assert_eq!(vercel.pathnames(), ["a"]);
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused() {
    let vercel = Vercel::start(VercelTraits::default());
    let wrong: [fn(&mut VercelBlobConfig); 6] = [
        |config| config.prefix = "p".to_owned(),
        |config| config.prefix = "a//".to_owned(),
        |config| config.part_bytes = (5 << 20) - 1,
        |config| config.part_bytes = (5 << 30) + 1,
        |config| config.endpoint = "vercel.com".to_owned(),
        |config| config.read_endpoint = Some("https://user:hunter2@host".to_owned()),
    ];
    for set in wrong {
        let mut config = vercel.config(VercelBlobServer::TOKEN);
        set(&mut config);
        let error = VercelBlobStore::open(config).unwrap_err();
        assert!(!causes(&error).contains("hunter2"), "{}", causes(&error));
    }
}

#[test]
fn names_that_are_too_long_are_refused_and_change_nothing() {
    let vercel = Vercel::start(VercelTraits::default());
    let store = vercel.store(&format!("{}/", "p".repeat(99)));
    let (fits, too_long) = ("x".repeat(850), "x".repeat(851));
    put(&store, &fits, b"").unwrap();
    assert_eq!(
        put(&store, &too_long, b"").unwrap_err().kind(),
        ErrorKind::UnsupportedKey
    );
    assert_eq!(names(&store), [fits]);
}

#[test]
fn another_name_than_the_one_asked_for_is_no_success() {
    let vercel = Vercel::start(VercelTraits {
        renames: true,
        ..VercelTraits::default()
    });
    let store = vercel.store("");
    for length in [1, 6 << 20] {
        let error = put(&store, "a", &vec![7; length]).unwrap_err();
        assert!(causes(&error).contains("not about \"a\""), "{}", causes(&error));
    }
    assert_eq!(store.head(&key("a")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_signed_url_gives_one_private_object_until_it_expires() {
    let vercel = Vercel::start(VercelTraits::default());
    let store = vercel.store("p/");
    let name = "a b%20?#ä";
    put(&store, name, b"bytes").unwrap();
    let hour = Duration::from_secs(3600);
    let url = store.signed_url(&key(name), hour).unwrap().unwrap();
    assert!(url.starts_with(&vercel.read_endpoint()), "{url}");
    assert!(!url.contains("hunter"), "{url}");
    let (status, body) = get(&url);
    assert_eq!((status, body.as_slice()), (200, b"bytes".as_slice()));
    // It signs for no other object, and not for longer.
    put(&store, "other", b"secret").unwrap();
    let other = url.replace(
        url.split('?').next().unwrap(),
        &format!("{}/p/other", vercel.read_endpoint()),
    );
    assert_eq!(get(&other).0, 403);
    assert_eq!(get(url.split('?').next().unwrap()).0, 403);
    let soon = store
        .signed_url(&key(name), Duration::from_millis(300))
        .unwrap()
        .unwrap();
    std::thread::sleep(Duration::from_millis(320));
    assert_eq!(get(&soon).0, 403);
    let week = Duration::from_secs(7 * 24 * 3600);
    let asked = vercel.http.seen("POST", "/signed-token").len();
    let error = store.signed_url(&key(name), week + hour).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other, "{}", causes(&error));
    assert_eq!(vercel.http.seen("POST", "/signed-token").len(), asked);
    let short = r#"{"clientSigningToken":"a","delegationToken":"b","validUntil":1}"#;
    vercel.answer("POST", "/signed-token", 200, short);
    let error = store.signed_url(&key(name), hour).unwrap_err();
    assert!(causes(&error).contains("shorter time"), "{}", causes(&error));
    let public = start_public();
    assert_eq!(
        self::public(&public).signed_url(&key(name), hour).unwrap(),
        None,
        "nothing ends there"
    );
}
