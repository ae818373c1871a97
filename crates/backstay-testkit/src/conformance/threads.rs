use std::thread;

use backstay_core::store::Store;

use super::steps::{key, names, noise, put, range, whole};

/// Promise 8: threads that write, read, list and delete at once do not disturb each other.
///
/// # Panics
/// Where the store breaks the promise.
pub fn concurrent_use(store: &dyn Store) {
    const THREADS: usize = 4;
    const OBJECTS: usize = 12;
    let shared = noise(50_000, 9);
    put(store, "shared", &shared);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let shared = &shared;
            scope.spawn(move || {
                for number in 0..OBJECTS {
                    let name = format!("{thread}/{number}");
                    let bytes = noise(1000 * (number + 1), (thread * OBJECTS + number) as u64);
                    put(store, &name, &bytes);
                    assert!(whole(store, &name) == bytes, "{name} came back changed");
                    assert!(
                        range(store, "shared", 7..30_000) == shared[7..30_000],
                        "a shared read was wrong"
                    );
                    let listed = names(store, "");
                    assert!(listed.is_sorted(), "a list under load is not sorted");
                    assert!(
                        listed.contains(&"shared".to_owned()) && listed.contains(&name),
                        "a list has gaps"
                    );
                    if number % 3 == 0 {
                        store.delete(&key(&name)).unwrap();
                    }
                }
            });
        }
    });
    let expected = THREADS * (OBJECTS - OBJECTS.div_ceil(3)) + 1;
    assert_eq!(names(store, "").len(), expected);
}

/// Promise 8: writers that are open at once, in one thread or several, do not mix their bytes.
///
/// # Panics
/// Where the store breaks the promise.
pub fn writers_are_independent(store: &dyn Store) {
    let objects: Vec<_> = (0..5)
        .map(|number| (format!("w/{number}"), noise(40_000, 20 + number)))
        .collect();
    let mut writers: Vec<_> = objects
        .iter()
        .map(|(name, _)| store.create(&key(name)).unwrap())
        .collect();
    for piece in 0..40 {
        for ((_, bytes), writer) in objects.iter().zip(&mut writers) {
            writer.append(&bytes[piece * 1000..(piece + 1) * 1000]).unwrap();
        }
    }
    // A writer may move to another thread.
    thread::scope(|scope| {
        for writer in writers {
            scope.spawn(move || writer.publish().unwrap());
        }
    });
    for (name, bytes) in &objects {
        assert!(whole(store, name) == *bytes, "{name} came back changed");
    }
}
