use std::sync::Barrier;
use std::thread;

use backstay_core::store::{ErrorKind, Store};

use super::steps::{assert_refused, key, names, put, try_put, whole};

/// Promise 1: a key that exists is refused, and its object stays as it was.
///
/// # Panics
/// Where the store breaks the promise.
pub fn create_only_refuses_an_existing_key(store: &dyn Store) {
    put(store, "once", b"first");
    for again in ["second", "", "first"] {
        assert_refused(
            try_put(store, "once", again.as_bytes()),
            ErrorKind::AlreadyExists,
            "writing a key again",
        );
        assert_eq!(whole(store, "once"), b"first", "the refused writer changed the object");
    }
    assert_eq!(names(store, ""), ["once"]);
    put(store, "other", b"free");
}

/// Promise 1: of two writers that are open at once, the one that publishes later is refused, whoever began first.
///
/// # Panics
/// Where the store breaks the promise.
pub fn the_first_of_two_open_writers_wins(store: &dyn Store) {
    let mut early = store.create(&key("contended")).unwrap();
    let mut late = store.create(&key("contended")).unwrap();
    early.append(b"early").unwrap();
    late.append(b"late").unwrap();
    late.publish().unwrap();
    assert_refused(
        early.publish(),
        ErrorKind::AlreadyExists,
        "publishing a key that came to exist",
    );
    assert_eq!(
        whole(store, "contended"),
        b"late",
        "the refused writer changed the object"
    );
}

/// Promise 1: of several threads that publish one key at the same time exactly one succeeds, and the object is its own.
///
/// # Panics
/// Where the store breaks the promise.
pub fn racing_writers_have_one_winner(store: &dyn Store) {
    const RACERS: usize = 6;
    for round in 0..20 {
        let name = format!("race/{round}");
        let start = Barrier::new(RACERS);
        let winners: Vec<String> = thread::scope(|scope| {
            let race = |racer: usize| {
                let text = format!("racer {racer}").repeat(racer + 1);
                let mut writer = store.create(&key(&name)).unwrap();
                writer.append(text.as_bytes()).unwrap();
                start.wait();
                match writer.publish() {
                    Ok(_) => Some(text),
                    Err(error) => {
                        assert_eq!(
                            error.kind(),
                            ErrorKind::AlreadyExists,
                            "a loser failed otherwise: {error}"
                        );
                        None
                    }
                }
            };
            let racers: Vec<_> = (0..RACERS).map(|racer| scope.spawn(move || race(racer))).collect();
            racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1, "winners: {winners:?}");
        assert_eq!(
            whole(store, &name),
            winners[0].as_bytes(),
            "the object is not the winner's"
        );
    }
}

/// Promise 1: a key whose object was deleted can be created again.
///
/// # Panics
/// Where the store breaks the promise.
pub fn a_deleted_key_is_free_again(store: &dyn Store) {
    for text in ["first", "second"] {
        put(store, "folder/again", text.as_bytes());
        assert_eq!(whole(store, "folder/again"), text.as_bytes());
        store.delete(&key("folder/again")).unwrap();
    }
}
