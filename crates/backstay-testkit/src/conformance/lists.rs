use backstay_core::store::Store;

use super::steps::{is_kept, key, names, noise, put, whole};

/// Names whose order differs between bytes, folders and languages: `-` and `.` sort before `/`, capitals before small
/// letters, and UTF-8 after ASCII.
const ORDER: [&str; 14] = [
    "A", "Z", "a-b", "a.b", "a/b", "a/b.c", "a/c/d", "a0", "ab", "abc", "ac/c", "b", "z", "ä",
];

/// Promise 4: several hundred objects, deep ones too, are all listed, in the order of the bytes of their keys.
///
/// # Panics
/// Where the store breaks the promise.
pub fn list_is_sorted_and_complete(store: &dyn Store) {
    assert!(names(store, "").is_empty(), "the suite wants an empty store");
    let many = (0..500).map(|number| match number % 3 {
        0 => format!("many/{number}"),
        1 => format!("many/f{}/{number}.json", number % 7),
        _ => format!("many-{number}.sql.gz"),
    });
    let mut expected: Vec<String> = many
        .chain(ORDER.map(str::to_owned))
        .chain(["x/y/z/1/2/3".to_owned()])
        .collect();
    // Objects come in an order that is neither that of the list nor its reverse.
    expected.sort_by_key(|name| {
        name.bytes()
            .fold(7_u32, |sum, byte| sum.wrapping_mul(31) ^ u32::from(byte))
    });
    expected.retain(|name| is_kept(store, name, b""));
    expected.sort();
    assert_eq!(names(store, ""), expected);
}

/// Promise 4: a prefix is any text, not only whole parts, and selects by bytes.
///
/// # Panics
/// Where the store breaks the promise.
pub fn list_takes_any_prefix(store: &dyn Store) {
    let mut kept = ORDER.to_vec();
    kept.retain(|name| is_kept(store, name, b""));
    let prefixes = [
        "", "a", "a/", "a/b", "a/b.", "a/c", "a/c/", "a/c/d", "a/c/d/", "a.", "ab", "ab/", "A", "b/", "ä", "zz", "/",
        "a//", "a/../", "..", "*", "%", "_", "?",
    ];
    for prefix in prefixes {
        let expected: Vec<_> = kept.iter().copied().filter(|name| name.starts_with(prefix)).collect();
        assert_eq!(names(store, prefix), expected, "the prefix {prefix:?}");
    }
}

/// Promise 4: `publish`, `head` and `list` tell the same of an object, and its true size.
///
/// # Panics
/// Where the store breaks the promise.
pub fn sizes_agree_everywhere(store: &dyn Store) {
    for size in [0, 1, 4096, 70_000] {
        let name = format!("sized/{size}");
        let published = put(store, &name, &noise(size, 6));
        assert_eq!(published.size, size as u64);
        assert_eq!(store.head(&key(&name)).unwrap(), published);
        assert_eq!(store.list(&name).unwrap(), [published]);
    }
}

/// Keys with characters that mean something to shells, URLs, globs and file systems.
pub const ODD_KEYS: &[&str] = &[
    "with space",
    " leading",
    "trailing ",
    "plus+plus",
    "per%cent",
    "per%20cent",
    "%2e%2e",
    "a&b=c",
    "a?b",
    "a#b",
    "a:b",
    "C:x",
    "*",
    "[a]",
    "{a}",
    "'quote'",
    "\"double\"",
    "$HOME",
    "`id`",
    "~",
    "-rf",
    ".hidden",
    "...",
    "a..b",
    "näme",
    "日本",
    "🛟",
    "a;b",
    "a|b",
    "<a>",
    "!",
    "a,b",
    "(a)",
    "@",
    "x/.hidden/~",
    "y/ /z",
];

/// Promises 4 and 6: characters that mean something to shells, URLs, globs and file systems are only characters in keys. A key
/// that has others than letters, digits and `-_./` of ASCII may be refused as `UnsupportedKey`, and then changes nothing.
///
/// # Panics
/// Where the store breaks the promise.
pub fn keys_with_odd_characters(store: &dyn Store) {
    let mut odd: Vec<&str> = ODD_KEYS.to_vec();
    odd.retain(|name| is_kept(store, name, name.as_bytes()));
    odd.sort_unstable();
    assert_eq!(names(store, ""), odd);
    for &name in &odd {
        assert_eq!(whole(store, name), name.as_bytes(), "{name:?}");
        assert_eq!(store.head(&key(name)).unwrap().size, name.len() as u64, "{name:?}");
    }
    for name in odd {
        store.delete(&key(name)).unwrap();
    }
    assert!(names(store, "").is_empty(), "odd keys were not deleted");
}
