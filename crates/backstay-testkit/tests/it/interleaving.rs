//! Backups, removals, holds and sweeps at the same time: every order of their calls to the store, of the code itself.
//!
//! What only one of them ever looks at is no step of its own, since nobody could see when it happens.

mod explorer;
mod replay;

use std::collections::BTreeSet;
use std::sync::Arc;

use backstay_core::manifest::{Manifest, Member, Pack};
use backstay_core::repository::{Litter, LitterItem, ReadBack, RepositoryError, Statement};
use backstay_core::store::{MemoryStore, Store};
use backstay_core::{Codec, Compression, Repository};
use backstay_testkit::fixtures::SampleBackup;

use crate::repository::{id, key};
use explorer::{Actor, Told, explore};

const BASE: &str = "kulti_backup_20250116_143022";
const FIRST: &str = "kulti_backup_20250117_143022";
const SECOND: &str = "kulti_backup_20250118_143022";
const NOW: &str = "2025-02-01T00:00:00Z";

/// A backup of few members, so that it is written a hundred thousand times.
fn small(id: &str) -> SampleBackup {
    let mut sample = SampleBackup::kulti(id, Compression::new(Codec::Gzip));
    sample.members.truncate(2);
    sample.manifest.tables.clear();
    sample.manifest.entries.clear();
    sample.manifest.refreshes.clear();
    sample.manifest.large_objects = None;
    sample
}

/// A store with the base, and what later backups share with it.
fn with_base() -> (MemoryStore, Shared) {
    let store = MemoryStore::new();
    small(BASE).publish(Arc::new(store.clone()));
    let manifest = Repository::new(Arc::new(store.clone()))
        .read_manifest(&id(BASE))
        .unwrap();
    let shared = Shared {
        pack: manifest.packs[0].clone(),
        members: manifest.members,
    };
    (store, shared)
}

#[derive(Clone)]
struct Shared {
    pack: Pack,
    members: Vec<Member>,
}

/// Writes a backup whose members all lie in the pack of the base.
fn writer(name: &'static str, shared: &Shared) -> Actor {
    let (shared, manifest) = (shared.clone(), small(name).manifest);
    Actor::new(move |store| told(write(store, &manifest, &shared))).with_own(name)
}

fn write(store: Arc<dyn Store>, manifest: &Manifest, shared: &Shared) -> Result<(), RepositoryError> {
    let mut pending = Repository::new(store).begin(&manifest.id, Compression::new(Codec::Gzip))?;
    pending.reuse(vec![shared.pack.clone()])?;
    for member in &shared.members {
        pending.append_reused(member.clone());
    }
    pending.finish(manifest.clone(), ReadBack::No).map(drop)
}

fn remover(name: &'static str) -> Actor {
    Actor::new(move |store| told(Repository::new(store).remove(&id(name), NOW.parse().unwrap()).map(drop)))
}

/// Ends a removal of which the tombstone was found.
fn sweeper(name: &'static str) -> Actor {
    Actor::new(move |store| {
        let mut litter = Litter::default();
        litter.items.push(LitterItem::HalfDeleted(id(name)));
        told(Repository::new(store).remove_litter(&litter))
    })
}

/// Takes the intent of a writer for litter.
fn expiry(name: &'static str) -> Actor {
    Actor::new(move |store| {
        let mut litter = Litter::default();
        litter.items.push(LitterItem::HalfReused(id(name)));
        told(Repository::new(store).remove_litter(&litter))
    })
}

fn holder(name: &'static str) -> Actor {
    Actor::new(move |store| {
        let said = Statement {
            who: "ann".to_owned(),
            at: NOW.parse().unwrap(),
            why: "a case".to_owned(),
        };
        told(Repository::new(store).hold(&id(name), &said, None).map(drop))
    })
}

fn told<T>(result: Result<T, RepositoryError>) -> Told {
    match result {
        Ok(_) => Told::Done,
        Err(error) => Told::Refused(error.to_string()),
    }
}

/// Whether the manifest of a backup is there, and every pack that it names.
fn is_whole(store: &MemoryStore, name: &str) -> bool {
    let repository = Repository::new(Arc::new(store.clone()));
    match repository.read_manifest(&id(name)) {
        Ok(manifest) => manifest
            .packs
            .iter()
            .all(|pack| store.head(&key(&pack.name)).is_ok_and(|o| o.size == pack.bytes)),
        Err(error) if error.is_not_found() => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// Explores, and asserts at every step that whoever was told of a backup has it, and in the end that every backup is
/// whole. Gives what was told in all the ends that there are.
#[track_caller]
fn assert_none_is_lost(store: &MemoryStore, actors: &[Actor], made_by: &[(usize, &str)]) -> BTreeSet<Vec<Told>> {
    let mut ends = BTreeSet::new();
    explore(store, actors, |store, told| {
        for (actor, name) in made_by {
            if told[*actor] == Some(Told::Done) {
                assert!(is_whole(store, name), "{name} was made, and is not whole: {told:?}");
            }
        }
        if let Some(told) = told.iter().cloned().collect::<Option<Vec<Told>>>() {
            for backup in Repository::new(Arc::new(store.clone())).list().unwrap().backups {
                assert!(
                    is_whole(store, &backup.id.to_string()),
                    "{} is there, and not whole: {told:?}",
                    backup.id
                );
            }
            ends.insert(told);
        }
    });
    ends
}

fn dones(ends: &BTreeSet<Vec<Told>>) -> BTreeSet<Vec<bool>> {
    ends.iter()
        .map(|told| told.iter().map(|told| *told == Told::Done).collect())
        .collect()
}

#[test]
fn two_backups_and_a_removal_of_the_pack_that_they_share() {
    let (store, shared) = with_base();
    let actors = [writer(FIRST, &shared), writer(SECOND, &shared), remover(BASE)];
    let ends = dones(&assert_none_is_lost(&store, &actors, &[(0, FIRST), (1, SECOND)]));
    // The removal always succeeds, and both, one or none of the writers came in time.
    for expected in [[true, true], [true, false], [false, true], [false, false]] {
        assert!(ends.contains(&[&expected[..], &[true]].concat()), "{ends:?}");
    }
}

#[test]
fn a_backup_beside_two_sweeps() {
    let (store, shared) = with_base();
    // The base is gone, and its pack was kept for a backup that was begun and did not come to its end.
    store.delete(&key(&format!("{BASE}.manifest.json"))).unwrap();
    crate::repository::put(&store, &format!("tombstones/{BASE}.json"), b"");
    let actors = [writer(FIRST, &shared), sweeper(BASE), sweeper(BASE)];
    let ends = dones(&assert_none_is_lost(&store, &actors, &[(0, FIRST)]));
    for expected in [true, false] {
        assert!(ends.iter().any(|told| told[0] == expected), "{ends:?}");
    }
}

#[test]
fn a_backup_of_a_pack_whose_last_backup_is_removed() {
    let (store, shared) = with_base();
    let sound: Arc<dyn Store> = Arc::new(store.clone());
    write(Arc::clone(&sound), &small(FIRST).manifest, &shared).unwrap();
    Repository::new(sound).remove(&id(BASE), NOW.parse().unwrap()).unwrap();
    assert!(is_whole(&store, FIRST), "its pack is another's");
    let actors = [writer(SECOND, &shared), remover(FIRST).with_own(FIRST), sweeper(BASE)];
    let ends = dones(&assert_none_is_lost(&store, &actors, &[(0, SECOND)]));
    for expected in [true, false] {
        assert!(ends.iter().any(|told| told[0] == expected), "{ends:?}");
    }
}

#[test]
fn a_backup_whose_intent_is_taken_for_litter() {
    let (store, shared) = with_base();
    let actors = [writer(FIRST, &shared), remover(BASE), expiry(FIRST)];
    let ends = dones(&assert_none_is_lost(&store, &actors, &[(0, FIRST)]));
    for expected in [true, false] {
        assert!(ends.iter().any(|told| told[0] == expected), "{ends:?}");
    }
}

#[test]
fn a_hold_beside_two_removals() {
    let (store, _) = with_base();
    let actors = [holder(BASE), remover(BASE), remover(BASE)];
    let ends = dones(&assert_none_is_lost(&store, &actors, &[(0, BASE)]));
    // It came in time, it came too late and said so, and of two removals one did it.
    for expected in [[true, false, false], [false, true, false], [false, false, true]] {
        assert!(ends.contains(&expected[..]), "{ends:?}");
    }
    assert!(!ends.iter().any(|told| told[1] && told[2]), "{ends:?}");
}
