//! Lists of several pages, and names that are none of ours.

use backstay_core::store::{ErrorKind, Leftover, Store as _};
use backstay_testkit::VercelTraits;

use crate::{Vercel, causes, key, names, put};

#[test]
fn a_listing_of_many_pages_is_whole() {
    let vercel = Vercel::start(VercelTraits {
        page: 3,
        ..VercelTraits::default()
    });
    let store = vercel.store("p/");
    let mut expected: Vec<String> = (0..20).map(|number| format!("a+b &<{number}>")).collect();
    for name in &expected {
        put(&store, name, b"").unwrap();
    }
    for foreign in ["p/not ours/", "p/not//ours", "p/.backstay-tmp-x", "q/elsewhere"] {
        vercel.put(foreign, b"");
    }
    expected.sort();
    assert_eq!(names(&store), expected);
    let pages = vercel.http.seen("GET", "prefix=p%2F");
    assert_eq!(pages.len(), 8, "{pages:?}");
}

#[test]
fn a_listing_that_does_not_say_how_it_goes_on_is_an_error() {
    let vercel = Vercel::start(VercelTraits::default());
    let store = vercel.store("");
    for body in [
        r#"{"blobs":[],"hasMore":true}"#,
        r#"{"blobs":[],"hasMore":true,"cursor":""}"#,
        r#"{"blobs":[]}"#,
        r#"{"hasMore":false}"#,
        "null",
        "<html>",
        r#"{"blobs":[{"pathname":"a"}],"hasMore":false}"#,
    ] {
        vercel.answer("GET", "/api/blob", 200, body);
        let error = store.list("").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other, "{body}: {}", causes(&error));
    }
    // The same cursor again would go on for ever.
    vercel.answer("GET", "/api/blob", 200, r#"{"blobs":[],"hasMore":true,"cursor":"c"}"#);
    vercel.answer("GET", "/api/blob", 200, r#"{"blobs":[],"hasMore":true,"cursor":"c"}"#);
    assert!(store.list("").is_err());
}

#[test]
fn what_was_not_asked_for_is_not_believed() {
    let vercel = Vercel::start(VercelTraits::default());
    let store = vercel.store("p/");
    let blob = r#"{"pathname":"q/a","size":1,"uploadedAt":"2026-01-01T00:00:00.000Z","etag":"\"x\""}"#;
    let page = format!(r#"{{"blobs":[{blob}],"hasMore":false}}"#);
    vercel.answer("GET", "/api/blob", 200, &page);
    assert!(store.list("").is_err());
    vercel.answer("GET", "url=", 200, blob);
    assert!(store.head(&key("a")).is_err());
    // Nor is anything deleted by another's word.
    vercel.put("q/a", b"x");
    vercel.answer("GET", "url=", 200, blob);
    assert!(store.delete(&key("a")).is_err());
    assert_eq!(vercel.pathnames(), ["q/a"]);
    // A page of a web server is no answer about a blob.
    vercel.answer("GET", "url=", 404, "<html>not found</html>");
    assert_eq!(store.head(&key("a")).unwrap_err().kind(), ErrorKind::Other);
}

#[test]
fn no_name_is_a_leftover() {
    let vercel = Vercel::start(VercelTraits::default());
    let store = vercel.store("");
    put(&store, "a", b"x").unwrap();
    assert_eq!(store.list_leftovers().unwrap(), []);
    let leftover = Leftover {
        name: "a".to_owned(),
        size: 1,
        modified_unix_secs: 0,
        key: None,
        in_use: false,
    };
    let error = store.delete_leftover(&leftover).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedKey);
    assert_eq!(names(&store), ["a"]);
}
