use std::io::Read as _;
use std::sync::Arc;

use backstay_core::repository::{ReadBack, checksum_line};
use backstay_core::store::Store;
use backstay_core::{Codec, Compression, ObjectKey, Sha256Digest};

use super::aftermath::Aftermath;
use super::failures::{Calls, Failure, failing};
use super::unbounded::Unbounded;
use super::written::Written;
use crate::Faulty;

const FIRST: &str = "kulti_backup_20250116_143022";
const SECOND: &str = "kulti_backup_20250116_143023";

/// A backup during which one thing goes wrong, at any of its calls and at many bytes of what it writes and reads back,
/// is afterwards there and whole, or not there; `finish` tells which, or that it does not know; the next backup works.
///
/// # Panics
/// Where it is otherwise.
pub fn a_backup_is_whole_or_not_there<S: Store + Clone + 'static>(mut new_store: impl FnMut() -> S) {
    let mut new_store = || Unbounded(new_store());
    for (codec, read_back) in [
        (Codec::Gzip, ReadBack::Yes),
        (Codec::Gzip, ReadBack::No),
        (Codec::Zstd, ReadBack::Yes),
    ] {
        let trial = Trial::new(codec, read_back);
        let (calls, pack_bytes) = trial.sound(new_store());
        for failure in calls.each().chain(calls.torn(pack_bytes)) {
            trial.run(&new_store(), &failure);
        }
    }
}

/// The same of a backup in volumes: what was published of them is gone, or is known as unfinished, or is whole.
///
/// # Panics
/// Where it is otherwise.
pub fn a_backup_in_volumes_is_whole_or_not_there<S: Store + Clone + 'static>(mut new_store: impl FnMut() -> S) {
    for read_back in [ReadBack::Yes, ReadBack::No] {
        let trial = Trial::in_volumes(read_back);
        let (calls, _) = trial.sound(new_store());
        for failure in calls.each() {
            trial.run(&new_store(), &failure);
        }
    }
    let trial = Trial::in_volumes(ReadBack::Yes);
    let (calls, _) = trial.sound(new_store());
    for failure in calls.close_pairs() {
        trial.run(&new_store(), &failure);
    }
}

/// The same where an answer is lost and later something else fails too, or a read gives a wrong bit.
///
/// # Panics
/// Where it is otherwise.
pub fn two_failures_leave_no_half_backup<S: Store + Clone + 'static>(mut new_store: impl FnMut() -> S) {
    let mut new_store = || Unbounded(new_store());
    let trial = Trial::new(Codec::Gzip, ReadBack::Yes);
    let (calls, _) = trial.sound(new_store());
    for failure in calls.pairs().chain(calls.lies()) {
        trial.run(&new_store(), &failure);
    }
}

/// A store that keeps other bytes than it was given, in the pack, in the `.sha256` or in the manifest, and says that all
/// is well, is found out before a backup is made of them, if what was written is read back.
///
/// # Panics
/// Where it is otherwise.
pub fn spoiled_bytes_are_found_out<S: Store + Clone + 'static>(mut new_store: impl FnMut() -> S) {
    let mut new_store = || Unbounded(new_store());
    let trial = Trial::new(Codec::Gzip, ReadBack::Yes);
    let (calls, pack_bytes) = trial.sound(new_store());
    for failure in calls.spoiled(pack_bytes) {
        let store = new_store();
        trial.run(&store, &failure);
        // The line of the `.sha256` is right if it is there at all.
        let Ok(mut reader) = store.read(&trial.first.key("sql.gz.sha256"), None) else {
            continue;
        };
        let mut line = String::new();
        reader.read_to_string(&mut line).unwrap();
        let digest = object_digest(&store, &trial.first.pack_key());
        let expected = checksum_line(&digest, trial.first.pack_key().as_str());
        assert_eq!(line, expected, "{failure:?}");
    }
}

fn object_digest(store: &dyn Store, key: &ObjectKey) -> Sha256Digest {
    let mut bytes = Vec::new();
    store.read(key, None).unwrap().read_to_end(&mut bytes).unwrap();
    Sha256Digest::of(&bytes)
}

struct Trial {
    first: Written,
    second: Written,
    read_back: ReadBack,
}

impl Trial {
    fn new(codec: Codec, read_back: ReadBack) -> Self {
        Self {
            first: Written::new(FIRST, Compression::new(codec)),
            second: Written::new(SECOND, Compression::new(codec)),
            read_back,
        }
    }

    fn in_volumes(read_back: ReadBack) -> Self {
        Self {
            first: Written::in_volumes(FIRST, Compression::new(Codec::Gzip)),
            second: Written::in_volumes(SECOND, Compression::new(Codec::Gzip)),
            read_back,
        }
    }

    /// What the backup costs when nothing goes wrong, and the length of its pack.
    fn sound<S: Store + Clone + 'static>(&self, store: S) -> (Calls, u64) {
        let store = Arc::new(Faulty::new(store));
        let published = self.first.write(store.clone(), self.read_back).unwrap();
        (Calls::of(&store), published.bytes)
    }

    #[track_caller]
    fn run<S: Store + Clone + 'static>(&self, store: &S, failure: &Failure) {
        let told = self
            .first
            .write(Arc::new(failing(store.clone(), failure)), self.read_back);
        let what = format!("{failure:?}");
        let begun = [&self.first, &self.second];
        let aftermath = Aftermath::new(Arc::new(store.clone()), &begun, &what);
        aftermath.assert_sound();
        aftermath.assert_told_truly(&self.first, &told);
        if let Err(error) = self.second.write(Arc::new(store.clone()), self.read_back) {
            panic!("{what}: the next backup failed: {error:?}");
        }
        aftermath.assert_litter_goes();
        assert!(aftermath.has(&self.second), "{what}");
    }
}
