use std::sync::{Arc, Barrier};
use std::thread;

use backstay_core::manifest::{Manifest, ManifestError, Sequence, TableRows};
use backstay_core::repository::{ReadBack, RepositoryError};
use backstay_core::store::{MemoryStore, Store};
use backstay_core::{Codec, Compression, DbText, Repository};
use backstay_testkit::{Fault, Faulty, Verb, When};

use super::{FIRST, begin, id, names, put, sample, store_with};

#[test]
fn an_id_that_any_object_bears_is_refused() {
    let whole = store_with(&[FIRST]);
    let mut cases: Vec<(Arc<dyn Store>, String)> = vec![(whole, format!("{FIRST}.manifest.json"))];
    for name in [
        "kulti_backup_20250116_143022.sql.gz",
        "kulti_backup_20250116_143022.sql.zst",
        "kulti_backup_20250116_143022.sql.gz.sha256",
        "kulti_backup_20250116_143022.manifest.json",
        "kulti_backup_20250116_143022.incr.sql.gz",
        "kulti_backup_20250116_143022.vol0001.sql.gz",
        "kulti_backup_20250116_143022.hold-legal.json",
        "kulti_backup_20250116_143022.something else",
        "tombstones/kulti_backup_20250116_143022.json",
    ] {
        let store = MemoryStore::new();
        put(&store, name, b"x");
        cases.push((Arc::new(store), name.to_owned()));
    }
    for (store, name) in cases {
        let before = names(&*store);
        for codec in [Codec::Gzip, Codec::Zstd] {
            let begun = Repository::new(Arc::clone(&store)).begin(&id(FIRST), Compression::new(codec));
            match begun {
                Err(RepositoryError::Exists { id: found, key }) => {
                    assert_eq!((found, key.as_str()), (id(FIRST), name.as_str()));
                }
                Err(error) => panic!("{name}: {error:?}"),
                Ok(_) => panic!("{name}: it was begun again"),
            }
        }
        assert_eq!(names(&*store), before);
    }
}

#[test]
fn an_id_that_others_begin_with_is_free() {
    let longer = format!("{FIRST}.x_backup_20250118_143022");
    let store = store_with(&[&longer, "kulti_backup_20250116_143021"]);
    put(&*store, "tombstones/kulti_backup_20250116_143021.json", b"");
    sample(FIRST, Codec::Gzip).publish(Arc::clone(&store));
    assert_eq!(Repository::new(store).list().unwrap().backups.len(), 3);
}

#[test]
fn of_two_writers_of_one_id_one_wins() {
    for codecs in [
        [Codec::Gzip, Codec::Gzip],
        [Codec::Gzip, Codec::Zstd],
        [Codec::Zstd, Codec::Gzip],
    ] {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let [first, mut second] = codecs.map(|codec| sample(FIRST, codec));
        second.manifest.writer = "another one".to_owned();
        let pending = [&first, &second].map(|sample| begin(&store, sample));
        let [winner, loser] = pending;
        winner.finish(first.manifest, ReadBack::Yes).unwrap();
        let alone = names(&*store);
        loser.finish(second.manifest, ReadBack::Yes).unwrap_err();
        assert_eq!(names(&*store), alone, "{codecs:?}");
        assert_first_is_whole(&store, "backstay testkit");
    }
}

#[test]
fn the_loser_says_that_the_backup_exists_and_takes_its_pack_away() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let [first, second] = [Codec::Gzip, Codec::Zstd].map(|codec| sample(FIRST, codec));
    let [winner, loser] = [&first, &second].map(|sample| begin(&store, sample));
    winner.finish(first.manifest, ReadBack::Yes).unwrap();
    match loser.finish(second.manifest, ReadBack::Yes) {
        Err(RepositoryError::Exists { key, .. }) => assert_eq!(key, super::key(&format!("{FIRST}.manifest.json"))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn racing_writers_leave_the_backup_of_one() {
    for round in 0..20 {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let barrier = Barrier::new(4);
        let won: Vec<String> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|writer| {
                    let (store, barrier) = (Arc::clone(&store), &barrier);
                    scope.spawn(move || {
                        let codec = if writer % 2 == 0 { Codec::Gzip } else { Codec::Zstd };
                        let mut sample = sample(FIRST, codec);
                        sample.manifest.writer = format!("writer {writer}");
                        let pending = begin(&store, &sample);
                        barrier.wait();
                        let name = sample.manifest.writer.clone();
                        pending.finish(sample.manifest, ReadBack::No).is_ok().then_some(name)
                    })
                })
                .collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        assert_first_is_whole(&store, &won[0]);
        assert_eq!(names(&*store).len(), 3, "round {round}: {:?}", names(&*store));
    }
}

fn assert_first_is_whole(store: &Arc<dyn Store>, writer: &str) {
    let repository = Repository::new(Arc::clone(store));
    let reader = repository.open(&id(FIRST)).unwrap();
    assert_eq!(reader.manifest().writer, writer);
    for member in &reader.manifest().members {
        reader.text(member).unwrap();
    }
    assert_eq!(reader.pack_digest_agrees(0).unwrap(), Some(true));
}

#[test]
fn a_dropped_backup_leaves_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    drop(begin(&store, &sample(FIRST, Codec::Zstd)));
    assert!(names(&*store).is_empty());
}

/// Pack, `.sha256` and manifest are published in this order.
#[test]
fn a_lost_answer_to_the_manifest_is_looked_after() {
    let inner = MemoryStore::new();
    let store: Arc<dyn Store> =
        Arc::new(Faulty::new(inner.clone()).with_fault(When::nth(Verb::Publish, 3), Fault::LoseAnswer));
    let sample = sample(FIRST, Codec::Gzip);
    begin(&store, &sample).finish(sample.manifest, ReadBack::Yes).unwrap();
    let inner: Arc<dyn Store> = Arc::new(inner);
    assert_first_is_whole(&inner, "backstay testkit");
}

#[test]
fn a_manifest_that_could_not_be_read_again_ends_nothing() {
    let contradiction = |manifest: &mut Manifest| {
        let TableRows::Included { text_bytes, .. } = &mut manifest.tables[0].rows else {
            panic!("the sample has rows there");
        };
        *text_bytes += 1;
    };
    // No server has such a name, for it ends at the NUL; the manifest keeps it all the same.
    let harmless = |manifest: &mut Manifest| {
        manifest.sequences.push(Sequence {
            schema: DbText::new(*b"\0\xff"),
            name: DbText::from("\u{10ffff}\u{7f}\r\n"),
            last_value: i64::MIN,
            is_called: false,
        });
    };
    for (change, expected) in [(contradiction as fn(&mut Manifest), false), (harmless, true)] {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut sample = sample(FIRST, Codec::Gzip);
        change(&mut sample.manifest);
        let finished = begin(&store, &sample).finish(sample.manifest, ReadBack::Yes);
        match &finished {
            Ok(published) => assert_eq!(
                Repository::new(Arc::clone(&store)).read_manifest(&id(FIRST)).unwrap(),
                published.manifest
            ),
            Err(error) => assert!(
                matches!(
                    error,
                    RepositoryError::Manifest {
                        source: ManifestError::Inconsistent(_),
                        ..
                    }
                ),
                "{error:?}"
            ),
        }
        assert_eq!(finished.is_ok(), expected);
        assert_eq!(names(&*store).is_empty(), !expected);
    }
}
