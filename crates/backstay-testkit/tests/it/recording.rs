use std::io::Read as _;

use backstay_core::store::{Leftover, MemoryStore, Store as _};
use backstay_testkit::{Recording, Verb};

use crate::{key, put, whole};

#[test]
fn every_call_is_noted_with_its_bytes() {
    let store = Recording::new(MemoryStore::new());
    put(&store, "a/b", [b"123", b"45"]).unwrap();
    put(&store, "a/b", [b"", b""]).unwrap_err();
    assert_eq!(whole(&store, "a/b"), b"12345");
    drop(store.read(&key("a/b"), Some(1..3)).unwrap());
    store.head(&key("missing")).unwrap_err();
    store.list("a/").unwrap();
    store.delete(&key("a/b")).unwrap();
    store.list_leftovers().unwrap();
    let leftover = Leftover {
        name: "x".to_owned(),
        size: 0,
        modified_unix_secs: 0,
        key: None,
        in_use: false,
    };
    store.delete_leftover(&leftover).unwrap();
    let noted: Vec<String> = store.calls().iter().map(ToString::to_string).collect();
    let expected = [
        r#"create "a/b""#,
        r#"append "a/b" 3"#,
        r#"append "a/b" 2"#,
        r#"publish "a/b""#,
        r#"create "a/b""#,
        r#"append "a/b" 0"#,
        r#"append "a/b" 0"#,
        r#"publish "a/b""#,
        r#"read "a/b" 5"#,
        r#"read "a/b" 0"#,
        r#"head "missing""#,
        r#"list "a/""#,
        r#"delete "a/b""#,
        r#"list-leftovers """#,
        r#"delete-leftover "x""#,
    ];
    assert_eq!(noted, expected);
    assert_eq!(store.calls_of(Verb::Read), 2);
}

#[test]
fn clearing_keeps_old_readers_out_of_new_calls() {
    let store = Recording::new(MemoryStore::new());
    put(&store, "a", [b"123", b"45"]).unwrap();
    store.clear();
    let mut old = store.read(&key("a"), None).unwrap();
    store.clear();
    let _new = store.read(&key("a"), None).unwrap();
    old.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(store.calls().len(), 1);
    assert_eq!(store.calls()[0].bytes, 0);
}
