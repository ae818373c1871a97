//! Backups that name packs of others, step by step; `interleaving.rs` tries every order of the steps.

use std::sync::Arc;

use backstay_core::manifest::{Manifest, Pack};
use backstay_core::repository::{CopyWatch, LitterItem, PendingBackup, PublishedBackup, ReadBack, RepositoryError};
use backstay_core::store::{ErrorKind, MemoryStore, Store};
use backstay_core::{Codec, Compression, MemberEncoder, Repository};
use backstay_testkit::{Fault, Faulty, When};

use super::{FIRST, SECOND, id, key, names, now, put, sample, store_with};

const DAY_SECS: i64 = 86_400;

struct Unwatched;

impl CopyWatch for Unwatched {
    fn planned(&self, _bytes_total: u64) {}
    fn advanced(&self, _bytes: u64) {}
    fn is_cancelled(&self) -> bool {
        false
    }
}

fn base(store: &Arc<dyn Store>) -> Manifest {
    Repository::new(Arc::clone(store)).read_manifest(&id(FIRST)).unwrap()
}

/// Begins the second backup and says that it uses the pack of the first.
fn begin(store: &Arc<dyn Store>, packs: Vec<Pack>) -> Result<PendingBackup, RepositoryError> {
    let mut pending = Repository::new(Arc::clone(store)).begin(&id(SECOND), Compression::new(Codec::Gzip))?;
    pending.reuse(packs)?;
    Ok(pending)
}

/// Writes every second member anew; the others lie in the first backup.
fn finish(mut pending: PendingBackup, base: &Manifest) -> Result<PublishedBackup, RepositoryError> {
    let sample = sample(SECOND, Codec::Gzip);
    let mut encoder = MemberEncoder::new(sample.compression)?;
    for (index, (content, text)) in sample.members.iter().enumerate() {
        if index % 2 == 0 {
            pending.append(&encoder.encode(text)?, content.clone())?;
        } else {
            pending.append_reused(base.members[index].clone());
        }
    }
    pending.finish(sample.manifest, ReadBack::Yes)
}

/// Asserts that every member of the second backup reads.
#[track_caller]
fn assert_reads(store: &Arc<dyn Store>) {
    let reader = Repository::new(Arc::clone(store)).open(&id(SECOND)).unwrap();
    let texts = sample(SECOND, Codec::Gzip).members;
    for (member, (_, text)) in reader.manifest().members.iter().zip(&texts) {
        assert!(reader.text(member).unwrap() == *text, "{:?}", member.content);
    }
}

#[test]
fn a_backup_may_lie_in_packs_of_another() {
    for volumes in [None, Some(5000)] {
        let store = store_with(&[FIRST]);
        let base = base(&store);
        let repository = Repository::new(Arc::clone(&store)).with_volume_bytes_max(volumes);
        let mut pending = repository.begin(&id(SECOND), Compression::new(Codec::Gzip)).unwrap();
        pending.reuse(base.packs.clone()).unwrap();
        let intent = format!("intents/{SECOND}.uses.json");
        assert!(names(&*store).contains(&intent));
        let twice = pending.reuse(base.packs.clone()).unwrap_err();
        assert!(matches!(twice, RepositoryError::Exists { .. }), "{twice:?}");
        // While it is written, the other backup goes, and its pack stays.
        let removal = Repository::new(Arc::clone(&store)).remove(&id(FIRST), now()).unwrap();
        assert_eq!(removal.kept, [key(&format!("{FIRST}.sql.gz"))]);
        finish(pending, &base).unwrap();
        assert!(!names(&*store).contains(&intent));
        assert_reads(&store);
        // With the last backup that names it, the pack goes.
        Repository::new(Arc::clone(&store)).remove(&id(SECOND), now()).unwrap();
        let repository = Repository::new(Arc::clone(&store));
        repository
            .remove_litter(&repository.litter(i64::MAX, 0).unwrap())
            .unwrap();
        assert_eq!(names(&*store), [""; 0]);
    }
}

#[test]
fn a_backup_that_is_given_up_leaves_no_intent() {
    let store = store_with(&[FIRST]);
    let before = names(&*store);
    drop(begin(&store, base(&store).packs).unwrap());
    assert_eq!(names(&*store), before);
}

#[test]
fn a_pack_that_goes_or_is_not_as_described_is_refused() {
    let store = store_with(&[FIRST]);
    let packs = base(&store).packs;
    let refuses = |packs: Vec<Pack>| {
        let before = names(&*store);
        let error = begin(&store, packs).map(drop).unwrap_err();
        assert!(matches!(error, RepositoryError::PackGoing { .. }), "{error:?}");
        assert_eq!(names(&*store), before, "nothing is left");
    };
    let mut longer = packs.clone();
    longer[0].bytes += 1;
    refuses(longer);
    let mut nobodys = packs.clone();
    nobodys[0].name = "x.sql.gz".to_owned();
    refuses(nobodys);
    let mark = format!("tombstones/{FIRST}.packs-0007.json");
    put(&*store, &mark, b"{}");
    refuses(packs.clone());
    store.delete(&key(&mark)).unwrap();
    store.delete(&key(&format!("{FIRST}.sql.gz"))).unwrap();
    refuses(packs);
}

#[test]
fn an_intent_that_cannot_be_read_keeps_every_pack() {
    let store = store_with(&[FIRST]);
    put(&*store, &format!("intents/{SECOND}.uses.json"), b"{");
    let removal = Repository::new(Arc::clone(&store)).remove(&id(FIRST), now()).unwrap();
    assert_eq!(removal.kept, [key(&format!("{FIRST}.sql.gz"))]);
}

#[test]
fn intents_and_marks_are_litter_when_nobody_can_be_about_them_any_more() {
    let store = store_with(&[FIRST]);
    put(&*store, &format!("intents/{SECOND}.uses.json"), b"{}");
    let mark = format!("tombstones/{FIRST}.packs-0001.json");
    put(&*store, &mark, b"{}");
    put(&*store, &format!("tombstones/{FIRST}.json"), b"");
    let repository = Repository::new(Arc::clone(&store));
    // This store says of everything that it is of the beginning of 1970.
    let items = |age_secs: i64, grace_secs: i64| repository.litter(age_secs, grace_secs).unwrap().items;
    let tombstone = LitterItem::HalfDeleted(id(FIRST));
    assert_eq!(items(3599, 3600), []);
    assert_eq!(items(3600, 3600), std::slice::from_ref(&tombstone));
    assert_eq!(items(DAY_SECS - 1, 0), std::slice::from_ref(&tombstone));
    let sweep = LitterItem::Sweep(key(&mark));
    assert_eq!(items(7 * DAY_SECS - 1, 0), [tombstone.clone(), sweep.clone()]);
    let intent = LitterItem::HalfReused(id(SECOND));
    assert_eq!(items(7 * DAY_SECS, 0), [intent, tombstone, sweep]);
    repository
        .remove_litter(&repository.litter(7 * DAY_SECS, 0).unwrap())
        .unwrap();
    assert!(
        names(&*store).iter().all(|name| name.starts_with(FIRST)),
        "{:?}",
        names(&*store)
    );
    assert_eq!(names(&*store).len(), 3, "the backup stays");
}

#[test]
fn a_copy_takes_the_packs_of_others_along_and_says_so_first() {
    let from = store_with(&[FIRST]);
    finish(begin(&from, base(&from).packs).unwrap(), &base(&from)).unwrap();
    let to: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let copy = || {
        let from = Repository::new(Arc::clone(&from));
        from.copy_to(
            &Repository::new(Arc::clone(&to)),
            &id(SECOND),
            ReadBack::Yes,
            &Unwatched,
        )
    };
    let mark = format!("tombstones/{FIRST}.packs-0001.json");
    put(&*to, &mark, b"{}");
    assert!(copy().is_err(), "somebody sweeps there");
    to.delete(&key(&mark)).unwrap();
    // The intent of that attempt is there still, and is taken up.
    copy().unwrap();
    assert_reads(&to);
    assert!(names(&*to).iter().all(|name| !name.contains('/')), "{:?}", names(&*to));
}

#[test]
fn a_backup_that_shares_packs_is_whole_or_not_there_whatever_fails() {
    let write = |store: Arc<dyn Store>, base: &Manifest| finish(begin(&store, base.packs.clone())?, base);
    let with_base = || {
        let store = MemoryStore::new();
        sample(FIRST, Codec::Gzip).publish(Arc::new(store.clone()));
        store
    };
    let sound = Arc::new(Faulty::new(with_base()));
    let manifest = base(&(sound.clone() as Arc<dyn Store>));
    let before = sound.calls();
    write(sound.clone(), &manifest).unwrap();
    for call in 1..=sound.calls() - before {
        let error = Fault::Error(ErrorKind::Denied);
        let nth = When::nth_call(call);
        for faults in [
            vec![(nth, error)],
            vec![(nth, Fault::LoseAnswer)],
            vec![(nth.and_after(), error)],
            vec![(nth, Fault::LoseAnswer), (nth.and_after(), error)],
        ] {
            let memory = with_base();
            let plain: Arc<dyn Store> = Arc::new(memory.clone());
            let failing = faults.iter().fold(Faulty::new(memory), |store, (when, fault)| {
                store.with_fault(*when, *fault)
            });
            let told = write(Arc::new(failing), &manifest);
            let repository = Repository::new(Arc::clone(&plain));
            let exists = repository
                .list()
                .unwrap()
                .backups
                .iter()
                .any(|backup| backup.id == id(SECOND));
            match (&told, exists) {
                (Ok(_), true) | (Err(RepositoryError::Unknown { .. }), _) | (Err(_), false) => {}
                _ => panic!("{faults:?}: {told:?}, and it is there: {exists}"),
            }
            // Whoever removes the other now takes nothing that the new one needs.
            repository.remove(&id(FIRST), now()).unwrap();
            repository
                .remove_litter(&repository.litter(i64::MAX, 0).unwrap())
                .unwrap();
            if exists {
                assert_reads(&plain);
            }
            assert!(plain.list("intents/").unwrap().is_empty(), "{faults:?}");
        }
    }
}
