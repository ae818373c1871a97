//! Keys of the project, a bucket that is not there, and URLs for others.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use backstay_core::store::{ErrorKind, Store as _};
use backstay_store_supabase::{SupabaseConfig, SupabaseStore};
use backstay_testkit::{SupabaseServer, SupabaseTraits};

use crate::{Supabase, causes, key, names, noise, put};

#[test]
fn both_kinds_of_keys_are_taken_and_others_denied() {
    let server = Supabase::start(SupabaseTraits::default());
    for key in [SupabaseServer::SECRET_KEY, SupabaseServer::SERVICE_ROLE_KEY] {
        let store = SupabaseStore::open(server.config(key)).unwrap();
        put(&store, "a", &noise(7 << 20)).unwrap();
        assert_eq!(names(&store), ["a"]);
        store.delete(&crate::key("a")).unwrap();
    }
    for request in server.http.seen("", "") {
        let is_secret = request.header("apikey") == Some(SupabaseServer::SECRET_KEY);
        assert_eq!(is_secret, request.header("authorization").is_none(), "{request:?}");
    }
    for bad in ["sb_secret_other", "eyJother.x.y"] {
        let store = SupabaseStore::open(server.config(bad)).unwrap();
        for error in [
            put(&store, "a", b"").unwrap_err(),
            store.list("").unwrap_err(),
            store.head(&key("a")).unwrap_err(),
            store.delete(&key("a")).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Denied, "{}", causes(&error));
            assert!(
                !format!("{} {error:?} {store:?}", causes(&error)).contains("other"),
                "{error:?}"
            );
        }
    }
}

#[test]
fn a_missing_bucket_is_told_from_a_missing_object() {
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store_with(|config| "nowhere".clone_into(&mut config.bucket));
    let missing = |error: backstay_core::store::Error| {
        assert_eq!(error.kind(), ErrorKind::StoreMissing, "{}", causes(&error));
    };
    missing(store.head(&key("a")).unwrap_err());
    missing(store.head(&key("ä")).unwrap_err());
    missing(store.list("").unwrap_err());
    missing(store.list("ä").unwrap_err());
    missing(store.list_leftovers().unwrap_err());
    missing(store.delete(&key("a")).unwrap_err());
    missing(store.delete(&key("ä")).unwrap_err());
    missing(put(&store, "a", b"").unwrap_err());
    missing(store.read(&key("a"), None).map(drop).unwrap_err());
    missing(store.read(&key("a"), Some(0..1)).map(drop).unwrap_err());
    missing(store.signed_url(&key("a"), Duration::from_secs(60)).unwrap_err());
    let store = server.store("");
    assert_eq!(store.head(&key("a")).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(store.list("ä").unwrap().is_empty());
}

#[test]
fn another_server_is_no_empty_store() {
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store_with(|config| config.endpoint.push_str("/deeper"));
    assert_eq!(store.head(&key("a")).unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(store.list("").unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(store.delete(&key("a")).unwrap_err().kind(), ErrorKind::Other);
    assert!(store.read(&key("a"), None).is_err());
}

#[test]
fn a_signed_url_reads_one_object_for_whoever_has_it() {
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store("p/");
    for name in ["a", "with space?&+=;", "folder/x"] {
        put(&store, name, name.as_bytes()).unwrap();
        let url = store.signed_url(&key(name), Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(get(&url), (200, name.as_bytes().to_vec()), "{url}");
        assert!(!url.contains("hunter2"), "{url}");
        assert_ne!(get(&format!("{url}x")).0, 200);
        assert_ne!(get(&url.replace("/p/", "/q/")).0, 200);
    }
    let missing = store.signed_url(&key("b"), Duration::from_secs(60)).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_without_its_secrets() {
    let changes: [fn(&mut SupabaseConfig); 8] = [
        |config| config.bucket.clear(),
        |config| "a/b".clone_into(&mut config.bucket),
        |config| "ä".clone_into(&mut config.bucket),
        |config| "p".clone_into(&mut config.prefix),
        |config| "../".clone_into(&mut config.prefix),
        |config| "ä/".clone_into(&mut config.prefix),
        |config| "ftp://host".clone_into(&mut config.endpoint),
        |config| "https://user:hunter2@host".clone_into(&mut config.endpoint),
    ];
    let server = Supabase::start(SupabaseTraits::default());
    for change in changes {
        let mut config = server.config(SupabaseServer::SECRET_KEY);
        change(&mut config);
        let error = SupabaseStore::open(config).unwrap_err();
        assert!(
            !format!("{} {error:?}", causes(&error)).contains("hunter2"),
            "{error:?}"
        );
    }
}

/// What anybody without a key gets at a URL: the status and the body.
fn get(url: &str) -> (u16, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, bytes[end + 4..].to_vec())
}
