//! Names that the service takes and those that it does not, and listings.

use backstay_core::store::{ErrorKind, Store as _};
use backstay_testkit::http_server::{Fault, Response};
use backstay_testkit::{SupabaseTraits, conformance};

use crate::{Supabase, causes, key, names, put, read};

#[test]
fn keys_are_refused_exactly_where_the_service_refuses_them() {
    let server = Supabase::start(SupabaseTraits::default());
    let store = server.store("");
    let mut kept = Vec::new();
    for name in conformance::ODD_KEYS {
        let is_taken = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_/!-.*'() &$@=;:+,?".contains(c));
        match put(&store, name, name.as_bytes()) {
            Ok(_) => {
                assert!(is_taken, "{name:?} was kept");
                assert_eq!(server.object(name).as_deref(), Some(name.as_bytes()), "{name:?}");
                kept.push(*name);
            }
            Err(error) => {
                assert!(
                    !is_taken && error.kind() == ErrorKind::UnsupportedKey,
                    "{name:?}: {}",
                    causes(&error)
                );
                assert_eq!(
                    store.head(&key(name)).unwrap_err().kind(),
                    ErrorKind::NotFound,
                    "{name:?}"
                );
                store.delete(&key(name)).unwrap();
            }
        }
    }
    kept.sort_unstable();
    assert_eq!(names(&store), kept);
    assert!(kept.len() > 20, "{kept:?}");
    // Nothing was asked that the service would have refused.
    assert!(server.http.seen("POST", "%25").is_empty());
    let long = server.store(&format!("{}/", "p".repeat(300)));
    assert_eq!(
        put(&long, &"x".repeat(600), b"").unwrap_err().kind(),
        ErrorKind::UnsupportedKey
    );
}

#[test]
fn an_underscore_is_no_wildcard() {
    let server = Supabase::start(SupabaseTraits::default());
    for name in ["a_b/x", "aXb/y", "a_b/x_1", "a_b/xy1"] {
        server.put(name, b"");
    }
    let store = server.store("a_b/");
    assert_eq!(names(&store), ["x", "x_1", "xy1"]);
    let found = store.list("x_").unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_list_that_cannot_be_complete_is_an_error() {
    let server = Supabase::start(SupabaseTraits {
        page: 2,
        ..SupabaseTraits::default()
    });
    let store = server.store("");
    for name in ["a", "b", "c", "d", "e"] {
        put(&store, name, b"x").unwrap();
    }
    assert_eq!(names(&store), ["a", "b", "c", "d", "e"]);
    let object = |rest: &str| format!(r#"{{"objects":[{{"name":"f","updated_at":"2026-01-01T00:00:00Z"{rest}}}],"#);
    for page in [
        r#"{"objects":[],"hasNext":true}"#.to_owned(),
        r#"{"objects":[],"hasNext":true,"nextCursor":""}"#.to_owned(),
        r#"{"objects":[]}"#.to_owned(),
        r#"{"hasNext":false}"#.to_owned(),
        "[]".to_owned(),
        object("") + r#""hasNext":false}"#,
        object(r#","metadata":{}"#) + r#""hasNext":false}"#,
        r#"{"objects":[{"name":"f","metadata":{"size":1},"updated_at":"then"}],"hasNext":false}"#.to_owned(),
    ] {
        let answer = Response::new(200, page.as_str());
        server.http.fail_times("POST", "/list-v2/", 1, 1, Fault::Answer(answer));
        let listed = store.list("");
        assert!(listed.is_err(), "{page}: {listed:?}");
    }
    // One that goes round in circles.
    let circle = Response::new(200, r#"{"objects":[],"hasNext":true,"nextCursor":"bDph"}"#);
    server
        .http
        .fail_times("POST", "/list-v2/", 0, usize::MAX, Fault::Answer(circle));
    assert!(store.list("").is_err());
}

#[test]
fn a_store_sees_only_what_is_under_its_prefix() {
    let server = Supabase::start(SupabaseTraits::default());
    let (one, other) = (server.store("one/"), server.store("one/two/"));
    put(&one, "a", b"1").unwrap();
    put(&other, "a", b"2").unwrap();
    server.put("outside", b"");
    server.put("one/.emptyFolderPlaceholder", b"");
    server.put("one//odd", b"");
    server.put("one/two/.backstay-tmp-x", b"");
    assert_eq!(names(&one), [".emptyFolderPlaceholder", "a", "two/a"]);
    assert_eq!(names(&other), ["a"]);
    assert!(one.list_leftovers().unwrap().is_empty());
    assert_eq!(other.list_leftovers().unwrap().len(), 1);
    assert_eq!(read(&one, "a").unwrap(), b"1");
    assert_eq!(one.location(), "supabase://backups/one");
}
