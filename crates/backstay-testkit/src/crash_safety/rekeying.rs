use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use backstay_core::manifest::Sidecar;
use backstay_core::repository::{Rekeyed, RepositoryError};
use backstay_core::seal::{SealError, SealedObject, Unsealed, Unsealer};
use backstay_core::store::{ErrorKind, MemoryStore, Store};
use backstay_core::{BackupId, Compression, ObjectKey, Repository};

use super::failures::{Calls, failing};
use super::written::put;
use crate::fixtures::SampleBackup;
use crate::{Fault, Faulty, Interleaved, ToyKey, When};

/// A backup that was sealed anew while one thing went wrong, at any call, is sealed as before or anew, and whole; removing
/// the litter, sealing it anew again or removing it ends what was begun.
///
/// # Panics
/// Where it is otherwise.
pub fn a_rekeying_leaves_the_old_or_the_new<S: Store + Clone + 'static>(mut new_store: impl FnMut() -> S) {
    let trial = Trial::new();
    let sound = Arc::new(Faulty::new(trial.written_to(new_store())));
    trial.rekey(sound.clone()).unwrap();
    assert_eq!(trial.assert_whole(&sound.inner().clone(), "without a fault"), "new");
    let calls = Calls::of(&sound);
    for failure in calls.each().chain(calls.close_pairs()) {
        let mut failed = || {
            let store = trial.written_to(new_store());
            let told = trial.rekey(Arc::new(failing(store.clone(), &failure)));
            (store, told)
        };
        let (store, told) = failed();
        let what = format!("{failure:?}: {:?}", told.as_ref().map(drop));
        assert!(trial.is_there_or_intended(&store), "{what}");
        remove_litter(Arc::new(store.clone())).unwrap();
        let sealed_to = trial.assert_whole(&store, &what);
        assert!(sealed_to == "new" || told.is_err(), "{what}");
        trial.rekey_to(Arc::new(store.clone()), &trial.third).unwrap();
        assert_eq!(trial.assert_whole(&store, &what), "third");

        let (store, _) = failed();
        match trial.rekey_to(Arc::new(store.clone()), &trial.third) {
            Ok(_) => assert_eq!(trial.assert_whole(&store, &what), "third"),
            Err(RepositoryError::Exists { key, .. }) if key.as_str().starts_with("intents/") => {
                remove_litter(Arc::new(store.clone())).unwrap();
                trial.assert_whole(&store, &what);
            }
            Err(error) => panic!("{what}, then {error:?}"),
        }

        let (store, _) = failed();
        match remove(Arc::new(store.clone())) {
            Ok(()) => {}
            Err(error) => {
                assert!(error.is_not_found(), "{what}, then {error:?}");
                remove_litter(Arc::new(store.clone())).unwrap();
                trial.assert_whole(&store, &what);
                remove(Arc::new(store.clone())).unwrap();
            }
        }
        remove_litter(Arc::new(store.clone())).unwrap();
        assert_eq!(keys(&store), [], "{what}, then removed");
    }
}

/// Ending what was cut off at any call of sealing a backup anew can itself be cut off at any call, and done again; so can
/// removing such a backup.
///
/// # Panics
/// Where it is otherwise.
pub fn ending_a_rekeying_can_be_repeated<S: Store + Clone + 'static>(mut new_store: impl FnMut() -> S) {
    let trial = Trial::new();
    let sound = Arc::new(Faulty::new(trial.written_to(new_store())));
    trial.rekey(sound.clone()).unwrap();
    for cut in Calls::of(&sound).cuts() {
        let mut cut_off = || {
            let store = trial.written_to(new_store());
            drop(trial.rekey(Arc::new(failing(store.clone(), &cut))));
            store
        };
        for end in [remove_litter, remove] {
            let sound = Arc::new(Faulty::new(cut_off()));
            drop(end(sound.clone()));
            for failure in Calls::of(&sound).cuts() {
                let store = cut_off();
                drop(end(Arc::new(failing(store.clone(), &failure))));
                let what = format!("{cut:?}, then {failure:?}");
                // What was decided is ended first, and the rest where nothing was.
                remove_litter(Arc::new(store.clone())).unwrap();
                remove_litter(Arc::new(store.clone())).unwrap();
                if !keys(&store).is_empty() {
                    trial.assert_whole(&store, &what);
                }
            }
        }
    }
}

/// Whoever removes a backup, removes litter, or seals the backup anew while another process does, before any of its calls,
/// and is killed or sleeps before any of their own, leaves it whole, or removed if that was asked for.
///
/// What others would leave alone for seven days is taken for litter at once: it is as if the process had slept.
///
/// # Panics
/// Where it is otherwise.
pub fn others_beside_a_rekeying_leave_it_whole() {
    let trial = Trial::new();
    let calls = trial.calls();
    for other in [Other::Litter, Other::Removal, Other::Rekeying] {
        for nth in 1..=calls {
            for stop in [Stop::Sleep, Stop::Kill] {
                let stops = (1..).map(stop);
                let _ = stops.take_while(|stop| trial.beside(other, nth, *stop)).count();
            }
        }
    }
}

/// All keys to which the backup may be sealed.
#[derive(Debug)]
struct Keyring(Vec<ToyKey>);

impl Unsealer for Keyring {
    fn open(&self, object: SealedObject) -> Result<Arc<dyn Unsealed>, SealError> {
        let opened = self.0.iter().map(|key| key.open(object.clone()));
        let is_sought = |opened: &Result<_, SealError>| !matches!(opened, Err(SealError::NoKey { .. }));
        let none = SealError::NoKey { recipients: Vec::new() };
        opened.into_iter().find(is_sought).unwrap_or(Err(none))
    }
}

fn id() -> BackupId {
    "kulti_backup_20250116_143022".parse().unwrap()
}

fn keys(store: &dyn Store) -> Vec<ObjectKey> {
    store.list("").unwrap().into_iter().map(|object| object.key).collect()
}

fn remove_litter(store: Arc<dyn Store>) -> Result<(), RepositoryError> {
    let repository = Repository::new(store);
    let litter = repository.litter(i64::MAX, 0)?;
    repository.remove_litter(&litter)
}

fn remove(store: Arc<dyn Store>) -> Result<(), RepositoryError> {
    Repository::new(store).remove(&id()).map(drop)
}

/// What else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Other {
    Litter,
    Removal,
    Rekeying,
}

/// What becomes of the other one at a call of its own.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// It is killed.
    Kill(u64),
    /// It goes on when the first one has come to its end.
    Sleep(u64),
}

/// What the other process was told, and how many calls it made.
type Ended = (Result<(), RepositoryError>, u64);

/// A small sealed backup in volumes, and those to whom it is sealed.
struct Trial {
    sample: SampleBackup,
    objects: Vec<(ObjectKey, Vec<u8>)>,
    old: ToyKey,
    new: ToyKey,
    third: ToyKey,
}

impl Trial {
    fn new() -> Self {
        let mut sample = SampleBackup::kulti(&id().to_string(), Compression::default());
        sample.members.truncate(2);
        sample.manifest.tables.clear();
        sample.manifest.entries.clear();
        sample.manifest.refreshes.clear();
        sample.manifest.large_objects = None;
        let old = ToyKey::new("old");
        let store = MemoryStore::new();
        let repository = Repository::new(Arc::new(store.clone())).with_seals(old.seals());
        sample.publish_in(&repository.with_volume_bytes_max(Some(1400)));
        let read = |key: ObjectKey| {
            let mut bytes = Vec::new();
            store.read(&key, None).unwrap().read_to_end(&mut bytes).unwrap();
            (key, bytes)
        };
        let objects: Vec<_> = keys(&store).into_iter().map(read).collect();
        let packs = objects.iter().filter(|(key, _)| key.as_str().contains(".vol")).count();
        assert_eq!(packs, 2, "{:?}", keys(&store));
        Self {
            sample,
            objects,
            old,
            new: ToyKey::new("new"),
            third: ToyKey::new("third"),
        }
    }

    fn written_to<S: Store>(&self, store: S) -> S {
        for (key, bytes) in &self.objects {
            put(&store, key, bytes).unwrap();
        }
        store
    }

    fn with_keys(&self, store: Arc<dyn Store>) -> Repository {
        Repository::new(store).with_unsealer(Arc::new(self.keyring()))
    }

    fn keyring(&self) -> Keyring {
        Keyring([&self.old, &self.new, &self.third].map(Clone::clone).into())
    }

    fn rekey_to(&self, store: Arc<dyn Store>, key: &ToyKey) -> Result<Rekeyed, RepositoryError> {
        self.with_keys(store).rekey(&id(), &key.seals())
    }

    fn rekey(&self, store: Arc<dyn Store>) -> Result<Rekeyed, RepositoryError> {
        self.rekey_to(store, &self.new)
    }

    /// Whether the backup can be opened, or somebody is going to see that it can.
    fn is_there_or_intended<S: Store + Clone + 'static>(&self, store: &S) -> bool {
        let intent: ObjectKey = format!("intents/{}.rekey.json", id()).parse().unwrap();
        self.with_keys(Arc::new(store.clone())).open(&id()).is_ok() || store.head(&intent).is_ok()
    }

    /// Asserts that the backup is there, whole, and nothing beside it; gives to whom it is sealed.
    #[track_caller]
    fn assert_whole<S: Store + Clone + 'static>(&self, store: &S, what: &str) -> String {
        let reader = match self.with_keys(Arc::new(store.clone())).open(&id()) {
            Ok(reader) => reader,
            Err(error) => panic!("{what}: it cannot be opened: {error:?}, of {:?}", keys(store)),
        };
        let manifest = reader.manifest();
        assert_eq!(manifest.members.len(), self.sample.members.len(), "{what}");
        for (member, (_, text)) in manifest.members.iter().zip(&self.sample.members) {
            assert_eq!(reader.text(member).unwrap(), *text, "{what}");
        }
        for pack in 0..manifest.packs.len() {
            assert_eq!(reader.pack_digest_agrees(pack).unwrap(), Some(true), "{what}");
        }
        assert_eq!(
            self.with_keys(Arc::new(store.clone())).read_manifest(&id()).unwrap(),
            *manifest,
            "{what}"
        );
        assert_eq!(keys(store).len(), self.objects.len(), "{what}: {:?}", keys(store));
        let sidecar = Repository::new(Arc::new(store.clone())).read_sidecar(&id()).unwrap();
        let Sidecar::Sealed(sealed) = sidecar else {
            panic!("{what}: it is not sealed any more");
        };
        sealed.recipients.concat()
    }

    /// How many calls sealing anew makes.
    fn calls(&self) -> u64 {
        let store = Arc::new(Interleaved::new(self.written_to(MemoryStore::new()), u64::MAX, || {}));
        self.rekey(store.clone()).unwrap();
        store.calls()
    }

    /// What the other process does.
    fn act(&self, other: Other) -> impl FnOnce(Arc<dyn Store>) -> Result<(), RepositoryError> + use<> {
        let (keys, third) = (self.keyring(), self.third.clone());
        move |store| match other {
            Other::Litter => remove_litter(store),
            Other::Removal => remove(store),
            Other::Rekeying => {
                let repository = Repository::new(store).with_unsealer(Arc::new(keys));
                repository.rekey(&id(), &third.seals()).map(drop)
            }
        }
    }

    /// Seals the backup anew; before its n-th call another process does something, and stops there. Gives whether the other
    /// made so many calls as to stop.
    fn beside(&self, other: Other, nth: u64, stop: Stop) -> bool {
        let store = self.written_to(MemoryStore::new());
        let running: Arc<Mutex<Option<JoinHandle<Ended>>>> = Arc::default();
        let (paused, is_paused) = channel();
        let (wakes, woken) = channel::<()>();
        let others = {
            let (running, inner, act) = (Arc::clone(&running), store.clone(), self.act(other));
            move || {
                let thread = thread::spawn(move || match stop {
                    Stop::Sleep(at) => {
                        let sleeping = Arc::new(Interleaved::new(inner, at, move || {
                            paused.send(()).unwrap();
                            let _ = woken.recv();
                        }));
                        (act(sleeping.clone()), sleeping.calls())
                    }
                    Stop::Kill(at) => {
                        let cut = (When::nth_call(at).and_after(), Fault::Error(ErrorKind::Denied));
                        let killed = Arc::new(failing(inner, &[cut]));
                        let ended = (act(killed.clone()), killed.calls());
                        drop(paused);
                        ended
                    }
                });
                *running.lock().unwrap() = Some(thread);
                // Until it sleeps or has ended.
                let _ = is_paused.recv();
            }
        };
        let told = self.rekey(Arc::new(Interleaved::new(store.clone(), nth, others)));
        drop(wakes);
        let thread = running.lock().unwrap().take();
        let (other_told, other_calls) = thread.map_or((Ok(()), 0), |thread| thread.join().unwrap());
        let what = format!(
            "{other:?} before call {nth}, {stop:?}: {:?}, {other_told:?}",
            told.as_ref().map(drop)
        );
        for _ in 0..2 {
            if let Err(error) = remove_litter(Arc::new(store.clone())) {
                panic!("{what}: the litter stays: {error:?}, of {:?}", keys(&store));
            }
        }
        let is_removed = other == Other::Removal && keys(&store).is_empty();
        if other == Other::Removal && other_told.is_ok() && other_calls > 0 {
            assert!(is_removed, "{what}: {:?}", keys(&store));
        }
        if !is_removed {
            let sealed_to = self.assert_whole(&store, &what);
            let is_other_done = other == Other::Rekeying && other_told.is_ok() && other_calls > 0;
            assert!(sealed_to != "old" || !(told.is_ok() || is_other_done), "{what}");
        }
        let (Stop::Kill(at) | Stop::Sleep(at)) = stop;
        other_calls >= at
    }
}
