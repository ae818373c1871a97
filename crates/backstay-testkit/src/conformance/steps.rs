use std::io::Read as _;
use std::ops::Range;

use backstay_core::store::{Error, ErrorKind, ObjectMeta, Store};

pub(super) use crate::objects::{key, put as try_put, seeded_noise as noise};

/// Writes an object; `false` where the store cannot keep that name, which it may say of names that have more than letters,
/// digits and `-_./` of ASCII.
#[track_caller]
pub(super) fn is_kept(store: &dyn Store, name: &str, bytes: &[u8]) -> bool {
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    match try_put(store, name, bytes) {
        Err(error) if error.kind() == ErrorKind::UnsupportedKey && !is_plain => {
            let what = format!("{name:?}, which was refused,");
            assert_refused(store.head(&key(name)), ErrorKind::NotFound, &what);
            false
        }
        Err(error) => panic!("{name:?} cannot be written: {error}"),
        Ok(_) => true,
    }
}

#[track_caller]
pub(super) fn put(store: &dyn Store, name: &str, bytes: &[u8]) -> ObjectMeta {
    try_put(store, name, bytes).unwrap_or_else(|error| panic!("{name:?} cannot be written: {error}"))
}

/// The bytes of a range, read in pieces that fit no boundary.
#[track_caller]
pub(super) fn range(store: &dyn Store, name: &str, range: Range<u64>) -> Vec<u8> {
    read(store, name, Some(range))
}

#[track_caller]
pub(super) fn whole(store: &dyn Store, name: &str) -> Vec<u8> {
    read(store, name, None)
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "it is what a store takes")]
fn read(store: &dyn Store, name: &str, range: Option<Range<u64>>) -> Vec<u8> {
    let mut reader = store
        .read(&key(name), range.clone())
        .unwrap_or_else(|error| panic!("{name:?} {range:?} cannot be read: {error}"));
    let mut bytes = Vec::new();
    let mut piece = [0; 4099];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return bytes,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) => panic!("{name:?} {range:?} cannot be read to its end: {error}"),
        }
    }
}

#[track_caller]
pub(super) fn names(store: &dyn Store, prefix: &str) -> Vec<String> {
    let listed = store
        .list(prefix)
        .unwrap_or_else(|error| panic!("the prefix {prefix:?} cannot be listed: {error}"));
    listed.into_iter().map(|meta| meta.key.to_string()).collect()
}

/// Asserts that a call was refused, and how.
#[track_caller]
pub(super) fn assert_refused<T>(result: Result<T, Error>, kind: ErrorKind, what: &str) {
    match result {
        Ok(_) => panic!("{what} succeeded, but must fail as {kind:?}"),
        Err(error) => assert_eq!(error.kind(), kind, "{what} failed as another kind: {error}"),
    }
}
