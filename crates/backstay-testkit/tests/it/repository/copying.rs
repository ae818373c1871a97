use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backstay_core::repository::{Copied, CopyError, CopyWatch, ReadBack, RepositoryError};
use backstay_core::store::{ErrorKind, MemoryStore, Store};
use backstay_core::{Codec, ObjectKey, Repository, Sha256Digest};
use backstay_testkit::{Fault, Faulty, Recording, Verb, When};

use super::{FIRST, SECOND, id, key, names, put, sample};

const PACK: &str = "kulti_backup_20250116_143022.sql.gz";

/// Watches nothing.
struct Unwatched;

impl CopyWatch for Unwatched {
    fn planned(&self, _bytes_total: u64) {}
    fn advanced(&self, _bytes: u64) {}
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Does something once packs are planned, or each time that bytes went through.
struct Doing<F: Fn(Moment)>(F);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Planned,
    Advanced,
}

impl<F: Fn(Moment)> CopyWatch for Doing<F> {
    fn planned(&self, _bytes_total: u64) {
        (self.0)(Moment::Planned);
    }
    fn advanced(&self, _bytes: u64) {
        (self.0)(Moment::Advanced);
    }
    fn is_cancelled(&self) -> bool {
        false
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    OnePack,
    Volumes,
}

/// A store with two backups, of which the first has a record.
fn source(kind: Kind) -> MemoryStore {
    let store = MemoryStore::new();
    let bytes_max = match kind {
        Kind::OnePack => None,
        Kind::Volumes => Some(6000),
    };
    let repository = Repository::new(Arc::new(store.clone())).with_volume_bytes_max(bytes_max);
    for id in [FIRST, SECOND] {
        sample(id, Codec::Gzip).with_bulk(2, 5000).publish_in(&repository);
    }
    put(&store, &format!("{FIRST}.proof-20250117_000000.json"), b"{}\n");
    store
}

fn copy_watched(
    from: impl Store + 'static,
    to: impl Store + 'static,
    watch: &dyn CopyWatch,
) -> Result<Copied, CopyError> {
    let (from, to) = (Repository::new(Arc::new(from)), Repository::new(Arc::new(to)));
    from.copy_to(&to, &id(FIRST), ReadBack::Yes, watch)
}

fn copy(from: impl Store + 'static, to: impl Store + 'static) -> Result<Copied, CopyError> {
    copy_watched(from, to, &Unwatched)
}

fn bytes_of(store: &dyn Store, key: &ObjectKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.read(key, None).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// The other store has exactly the objects of the first backup.
#[track_caller]
fn assert_copied(from: &dyn Store, to: &dyn Store, what: &str) {
    let expected: Vec<String> = names(from).into_iter().filter(|name| name.starts_with(FIRST)).collect();
    assert_eq!(names(to), expected, "{what}");
    for name in expected {
        let key = key(&name);
        assert!(bytes_of(from, &key) == bytes_of(to, &key), "{what}: {name}");
    }
}

/// What is at the other store is what is at the first, as far as it goes; and without all packs there is no manifest.
#[track_caller]
fn assert_nothing_wrong(from: &dyn Store, to: &MemoryStore, what: &str) {
    let found: Vec<String> = names(to).into_iter().filter(|name| name.starts_with(FIRST)).collect();
    for name in &found {
        let key = key(name);
        assert!(bytes_of(from, &key) == bytes_of(to, &key), "{what}: {name}");
    }
    let listing = Repository::new(Arc::new(to.clone())).list().unwrap();
    if !listing.backups.is_empty() {
        let expected = names(from).iter().filter(|name| name.starts_with(FIRST)).count();
        assert_eq!(found.len(), expected, "{what}: a backup without all of its objects");
    }
}

#[test]
fn everything_of_a_backup_is_copied_and_nothing_of_another() {
    for kind in [Kind::OnePack, Kind::Volumes] {
        let (from, to) = (source(kind), MemoryStore::new());
        let copied = copy(from.clone(), to.clone()).unwrap();
        assert_copied(&from, &to, &format!("{kind:?}"));
        let last = copied.written.last().map(ToString::to_string);
        assert_eq!(last, Some(format!("{FIRST}.manifest.json")));
        assert!(copied.present.is_empty() && copied.written.len() == names(&to).len());
        let bytes: u64 = to.list("").unwrap().iter().map(|object| object.size).sum();
        assert_eq!(copied.bytes, bytes);
    }
}

#[test]
fn what_is_there_is_read_and_not_written_again() {
    for kind in [Kind::OnePack, Kind::Volumes] {
        let (from, to) = (source(kind), MemoryStore::new());
        let first = copy(from.clone(), to.clone()).unwrap();
        let recording = Arc::new(Recording::new(to));
        let target = Repository::new(recording.clone());
        let again = Repository::new(Arc::new(from)).copy_to(&target, &id(FIRST), ReadBack::Yes, &Unwatched);
        let again = again.unwrap();
        assert_eq!((again.written.len(), again.bytes), (0, 0));
        assert_eq!(again.present.len(), first.written.len());
        assert_eq!(recording.calls_of(Verb::Create), 0, "{:?}", recording.calls());
        let read: u64 = recording.calls().iter().map(|call| call.bytes).sum();
        assert_eq!(read, first.bytes);
    }
}

#[test]
fn without_reading_back_no_pack_is_read_at_the_other_store() {
    let (from, to) = (source(Kind::OnePack), Arc::new(Recording::new(MemoryStore::new())));
    let (from, target) = (Repository::new(Arc::new(from)), Repository::new(to.clone()));
    for round in ["it is written", "it is there"] {
        from.copy_to(&target, &id(FIRST), ReadBack::No, &Unwatched).unwrap();
        let reads = to
            .calls()
            .iter()
            .filter(|call| call.verb == Verb::Read && call.subject == PACK)
            .count();
        assert_eq!(reads, 0, "{round}");
    }
}

#[test]
fn a_record_that_came_later_is_copied_later() {
    let (from, to) = (source(Kind::OnePack), MemoryStore::new());
    copy(from.clone(), to.clone()).unwrap();
    put(&from, &format!("{FIRST}.hold-x.json"), b"{}\n");
    let copied = copy(from.clone(), to.clone()).unwrap();
    assert_eq!(
        copied.written.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!("{FIRST}.hold-x.json")]
    );
    assert_copied(&from, &to, "");
}

#[test]
fn a_copy_that_was_cut_off_anywhere_is_taken_up() {
    for kind in [Kind::OnePack, Kind::Volumes] {
        let from = source(kind);
        let sound = Arc::new(Faulty::new(MemoryStore::new()));
        let (source, target) = (Repository::new(Arc::new(from.clone())), Repository::new(sound.clone()));
        source.copy_to(&target, &id(FIRST), ReadBack::Yes, &Unwatched).unwrap();
        assert!(sound.calls() > 15, "{}", sound.calls());
        for n in 1..=sound.calls() {
            for fault in [Fault::Error(ErrorKind::Other), Fault::LoseAnswer] {
                for when in [When::nth_call(n), When::nth_call(n).and_after()] {
                    let what = format!("{kind:?} {fault:?} {when:?}");
                    let to = MemoryStore::new();
                    let done = copy(from.clone(), Faulty::new(to.clone()).with_fault(when, fault));
                    assert_nothing_wrong(&from, &to, &what);
                    if done.is_ok() {
                        assert_nothing_wrong(&from, &to, &what);
                        assert!(names(&to).contains(&format!("{FIRST}.manifest.json")), "{what}");
                    }
                    copy(from.clone(), to.clone()).unwrap_or_else(|error| panic!("{what}: {error:?}"));
                    // What the first attempt intended is litter where it died behind the manifest.
                    let repository = Repository::new(Arc::new(to.clone()));
                    repository
                        .remove_litter(&repository.litter(i64::MAX, 0).unwrap())
                        .unwrap();
                    assert_copied(&from, &to, &what);
                }
            }
        }
    }
}

#[test]
fn a_source_that_lies_or_breaks_publishes_nothing() {
    for kind in [Kind::OnePack, Kind::Volumes] {
        let from = source(kind);
        let sound = Arc::new(Faulty::new(from.clone()));
        let target = Repository::new(Arc::new(MemoryStore::new()));
        Repository::new(sound.clone())
            .copy_to(&target, &id(FIRST), ReadBack::Yes, &Unwatched)
            .unwrap();
        let reads = sound.calls_of(Verb::Read);
        assert!(reads >= 3, "{reads}");
        for n in 1..=reads {
            for fault in [Fault::FlipBit { byte: 1, bit: 3 }, Fault::EndAt(1), Fault::BreakAt(1)] {
                let what = format!("{kind:?} {fault:?} {n}");
                let to = MemoryStore::new();
                let faulty = Faulty::new(from.clone()).with_fault(When::nth(Verb::Read, n), fault);
                let error = copy(faulty, to.clone()).expect_err(&what);
                assert!(
                    matches!(
                        error,
                        CopyError::From { .. } | CopyError::Damaged { .. } | CopyError::Changed { .. }
                    ),
                    "{what}: {error:?}"
                );
                assert_nothing_wrong(&from, &to, &what);
                assert!(
                    Repository::new(Arc::new(to)).list().unwrap().backups.is_empty(),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn a_manifest_that_reads_otherwise_once_is_not_copied() {
    let from = source(Kind::OnePack);
    let length = bytes_of(&from, &key(&format!("{FIRST}.manifest.json"))).len() as u64;
    for byte in (0..length).step_by(11) {
        let to = MemoryStore::new();
        let faulty = Faulty::new(from.clone()).with_fault(When::nth(Verb::Read, 1), Fault::FlipBit { byte, bit: 0 });
        copy(faulty, to.clone()).expect_err("what was read is not what is there");
        assert_nothing_wrong(&from, &to, &format!("{byte}"));
        assert!(!names(&to).contains(&format!("{FIRST}.manifest.json")), "{byte}");
    }
}

#[test]
fn what_the_other_store_spoils_is_seen_and_taken_away() {
    for kind in [Kind::OnePack, Kind::Volumes] {
        let from = source(kind);
        let creates = names(&from).iter().filter(|name| name.starts_with(FIRST)).count() as u64;
        for n in 1..=creates {
            for fault in [Fault::SpoilBit { byte: 1, bit: 0 }, Fault::DropFrom(1)] {
                let what = format!("{kind:?} {fault:?} {n}");
                let to = MemoryStore::new();
                let faulty = Faulty::new(to.clone()).with_fault(When::nth(Verb::Create, n), fault);
                // Of intents only the names count.
                match copy(from.clone(), faulty) {
                    Ok(_) => assert!(matches!(kind, Kind::Volumes) && n <= 2, "{what}"),
                    Err(CopyError::To { source, .. }) => {
                        assert!(
                            matches!(*source, RepositoryError::ReadBack { .. }),
                            "{what}: {source:?}"
                        );
                    }
                    Err(error) => panic!("{what}: {error:?}"),
                }
                assert_nothing_wrong(&from, &to, &what);
                copy(from.clone(), to.clone()).unwrap();
                assert_copied(&from, &to, &what);
            }
        }
    }
}

#[test]
fn other_bytes_under_the_same_name_stay_as_they_are() {
    let from = source(Kind::OnePack);
    for name in names(&from).into_iter().filter(|name| name.starts_with(FIRST)) {
        let length = bytes_of(&from, &key(&name)).len();
        for other in [vec![b'x'; length], b"shorter".to_vec()] {
            let to = MemoryStore::new();
            put(&to, &name, &other);
            let error = copy(from.clone(), to.clone()).unwrap_err();
            assert!(
                matches!(&error, CopyError::Taken { key, .. } if key.as_str() == name),
                "{error:?}"
            );
            assert_eq!(bytes_of(&to, &key(&name)), other);
            let is_manifest = name.ends_with(".manifest.json");
            assert_eq!(names(&to).contains(&format!("{FIRST}.manifest.json")), is_manifest);
            assert!(
                !is_manifest || names(&to).len() == 1,
                "nothing is written beside another backup"
            );
        }
    }
}

#[test]
fn a_pack_that_the_other_store_cannot_take_is_told_before_anything_is_written() {
    let (from, to) = (source(Kind::Volumes), MemoryStore::new().with_object_bytes_max(3000));
    let error = copy(from, to.clone()).unwrap_err();
    assert!(matches!(error, CopyError::TooLong { bytes_max: 3000, .. }), "{error:?}");
    assert_eq!(names(&to), [""; 0]);
}

#[test]
fn a_damaged_checksum_file_is_written_as_the_manifest_says() {
    let from = source(Kind::Volumes);
    let checksum = key(&format!("{PACK}.sha256"));
    let right = bytes_of(&from, &checksum);
    from.delete(&checksum).unwrap();
    for damaged in [None, Some(b"nonsense")] {
        if let Some(damaged) = damaged {
            put(&from, checksum.as_str(), damaged);
        }
        let to = MemoryStore::new();
        copy(from.clone(), to.clone()).unwrap();
        assert_eq!(bytes_of(&to, &checksum), right);
    }
}

#[test]
fn what_is_not_there_cannot_be_copied() {
    let error = copy(MemoryStore::new(), MemoryStore::new()).unwrap_err();
    assert!(
        matches!(&error, CopyError::From { source, .. } if source.is_not_found()),
        "{error:?}"
    );
}

#[test]
fn packs_are_repaired_where_only_the_manifest_is_there() {
    for kind in [Kind::OnePack, Kind::Volumes] {
        let (from, to) = (source(kind), MemoryStore::new());
        copy(from.clone(), to.clone()).unwrap();
        for object in to.list("").unwrap() {
            if !object.key.as_str().ends_with(".manifest.json") {
                to.delete(&object.key).unwrap();
            }
        }
        copy(from.clone(), to.clone()).unwrap();
        assert_copied(&from, &to, &format!("{kind:?}"));
    }
}

fn is_being_removed(error: &CopyError) -> bool {
    matches!(error, CopyError::To { source, .. } if matches!(**source, RepositoryError::Exists { .. }))
}

#[test]
fn a_removal_meanwhile_is_noticed() {
    let told = [
        format!("tombstones/{FIRST}.json"),
        format!("intents/{FIRST}.volumes-removal.json"),
    ];
    for (moment, told) in [Moment::Planned, Moment::Advanced]
        .iter()
        .flat_map(|moment| told.iter().map(move |told| (*moment, told)))
    {
        let (from, to) = (source(Kind::Volumes), MemoryStore::new());
        // A pack that was there is taken while the others are copied.
        let first = key(&format!("{FIRST}.vol0001.sql.gz"));
        put(&to, first.as_str(), &bytes_of(&from, &first));
        let begun = Doing(|now| {
            if now == moment && to.head(&key(told)).is_err() {
                put(&to, told, b"");
            }
        });
        let error = copy_watched(from.clone(), to.clone(), &begun).unwrap_err();
        assert!(is_being_removed(&error), "{error:?}");
        assert!(!names(&to).contains(&format!("{FIRST}.manifest.json")));
        let error = copy(from.clone(), to.clone()).unwrap_err();
        assert!(is_being_removed(&error), "{error:?}");
        to.delete(&key(told)).unwrap();

        let ended = Doing(|now| {
            if now == Moment::Advanced {
                to.delete(&first).unwrap();
            }
        });
        let error = copy_watched(from.clone(), to.clone(), &ended).unwrap_err();
        assert!(
            matches!(&error, CopyError::To { source, .. } if source.is_not_found()),
            "{error:?}"
        );
        assert!(!names(&to).contains(&format!("{FIRST}.manifest.json")));
    }
}

#[test]
fn volumes_on_their_way_are_no_whole_backup() {
    let (from, to) = (source(Kind::Volumes), MemoryStore::new());
    let repository = Repository::new(Arc::new(to.clone()));
    let seen = AtomicU64::new(0);
    let looking = Doing(|_| {
        let listing = repository.list().unwrap();
        assert!(listing.backups.is_empty() && listing.adoptable.is_empty());
        seen.fetch_add(listing.unfinished.len() as u64, Ordering::Relaxed);
    });
    copy_watched(from, to, &looking).unwrap();
    assert!(seen.load(Ordering::Relaxed) > 1);
}

#[test]
fn a_cancelled_copy_stops_soon_and_is_taken_up() {
    struct After(AtomicU64);
    impl CopyWatch for After {
        fn planned(&self, _bytes_total: u64) {}
        fn advanced(&self, _bytes: u64) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn is_cancelled(&self) -> bool {
            self.0.load(Ordering::Relaxed) >= 2
        }
    }
    let (from, to) = (source(Kind::Volumes), MemoryStore::new());
    let error = copy_watched(from.clone(), to.clone(), &After(AtomicU64::new(0))).unwrap_err();
    assert!(matches!(error, CopyError::Cancelled), "{error:?}");
    assert_nothing_wrong(&from, &to, "cancelled");
    let packs = |store: &dyn Store| names(store).iter().filter(|name| name.contains(".vol0")).count();
    assert_eq!(packs(&to), 1);
    copy(from.clone(), to.clone()).unwrap();
    assert_copied(&from, &to, "taken up");
}

#[test]
fn two_who_copy_the_same_backup_both_succeed() {
    for _ in 0..20 {
        let (from, to) = (source(Kind::Volumes), MemoryStore::new());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| copy(from.clone(), to.clone()).unwrap());
            }
        });
        assert_copied(&from, &to, "");
    }
}

#[test]
fn the_copy_is_a_backup_that_reads_as_the_first_does() {
    let (from, to) = (source(Kind::Volumes), MemoryStore::new());
    copy(from.clone(), to.clone()).unwrap();
    let [first, second] = [from, to].map(|store| Repository::new(Arc::new(store)).open(&id(FIRST)).unwrap());
    assert_eq!(first.manifest(), second.manifest());
    for member in &first.manifest().members {
        let texts = [&first, &second].map(|reader| Sha256Digest::of(&reader.text(member).unwrap()));
        assert_eq!(texts[0], texts[1]);
    }
}
