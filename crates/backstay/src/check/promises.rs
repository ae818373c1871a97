use std::io::Read as _;
use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use backstay_core::store::{Error, ErrorKind, Leftover, ObjectKey};
use backstay_core::{Sha256Digest, Sha256Hasher};

use super::bench::{Bench, Broken, broken, expect_kind, told};

/// A promise in words, and what tries it: a detail where it is kept.
type Promise = (&'static str, fn(&Bench<'_>) -> Result<String, Broken>);

/// In the order in which they are tried.
pub(super) const ALL: [Promise; 12] = [
    ("an object is created once and stays", create_only),
    ("of racing writers one wins", one_of_racing_writers_wins),
    ("nothing is seen before it is published", nothing_half_written),
    ("published objects are seen at once", published_is_seen),
    ("lists are complete and sorted", lists),
    ("ranges are read exactly", ranges),
    ("what is missing is told as missing", missing),
    ("deletion is for good, and of one object", deletion),
    ("each name is kept or refused", names),
    ("large objects come back whole", large_object),
    ("writers do not disturb each other", writers),
    ("leftovers are no objects", leftovers),
];

const RACERS: usize = 8;
const RACES: usize = 3;
const LARGE_BYTES: u64 = 20 << 20;
const PIECE_BYTES: usize = 1_000_003;

const KEPT: Result<String, Broken> = Ok(String::new());

fn create_only(bench: &Bench<'_>) -> Result<String, Broken> {
    let key = bench.key("once")?;
    bench.put(&key, b"the first")?;
    for (bytes, what) in [
        (&b"another"[..], "publishing under a name that is taken"),
        (b"the first", "publishing the same bytes under a name that is taken"),
    ] {
        expect_kind(bench.put(&key, bytes), ErrorKind::AlreadyExists, what)?;
        if bench.read(&key, None)? != b"the first" {
            return broken("a second writer changed the object of the first");
        }
    }
    let key = bench.key("two-open")?;
    let mut first = bench.store.create(&key)?;
    let mut second = bench.store.create(&key)?;
    second.append(b"second")?;
    first.append(b"first")?;
    first.publish()?;
    let what = "publishing after another writer that was open too";
    expect_kind(second.publish(), ErrorKind::AlreadyExists, what)?;
    if bench.read(&key, None)? != b"first" {
        return broken("a second writer changed the object of the first");
    }
    KEPT
}

fn one_of_racing_writers_wins(bench: &Bench<'_>) -> Result<String, Broken> {
    for race in 0..RACES {
        let key = &bench.key(&format!("race-{race}"))?;
        let start = &Barrier::new(RACERS);
        let outcomes: Vec<Result<(), Error>> = thread::scope(|scope| {
            let racers: Vec<_> = (0..RACERS)
                .map(|racer| {
                    scope.spawn(move || {
                        let opened = bench.store.create(key);
                        let filled = opened.and_then(|mut object| {
                            object.append(format!("racer {racer}").as_bytes())?;
                            Ok(object)
                        });
                        start.wait();
                        filled?.publish().map(drop)
                    })
                })
                .collect();
            let failed = || Err(Error::new(ErrorKind::Other, "publish", key.as_str()));
            racers
                .into_iter()
                .map(|racer| racer.join().unwrap_or_else(|_| failed()))
                .collect()
        });
        let winners: Vec<usize> = (0..RACERS).filter(|racer| outcomes[*racer].is_ok()).collect();
        let [winner] = winners[..] else {
            return broken(format!(
                "{} of {RACERS} writers of one name were told that they won",
                winners.len()
            ));
        };
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            expect_kind(outcome, ErrorKind::AlreadyExists, "publishing after a race was lost")?;
        }
        if bench.read(key, None)? != format!("racer {winner}").as_bytes() {
            return broken("the object is not that of the writer that won");
        }
    }
    Ok(format!("{RACES} races of {RACERS}"))
}

fn nothing_half_written(bench: &Bench<'_>) -> Result<String, Broken> {
    let name = "unpublished";
    let key = bench.key(name)?;
    let mut object = bench.store.create(&key)?;
    object.append(b"half")?;
    bench.expect_absent(&key, name, "an object that is not published")?;
    drop(object);
    bench.expect_absent(&key, name, "an object whose writer gave up")?;
    KEPT
}

fn published_is_seen(bench: &Bench<'_>) -> Result<String, Broken> {
    for (name, bytes) in [("seen", &b"some bytes"[..]), ("empty", b"")] {
        let key = bench.key(name)?;
        bench.put(&key, bytes)?;
        // The list first: a store that lists late may have caught up behind other calls.
        if !bench.names("")?.iter().any(|listed| listed == name) {
            return broken("an object that was published is not listed");
        }
        bench.expect_present(&key, name, bytes)?;
    }
    KEPT
}

fn lists(bench: &Bench<'_>) -> Result<String, Broken> {
    let names = ["-", ".dot", "%20", "B", "Y", "a", "a b", "a%20b", "a+b", "aa", "z", "ä"];
    let full = |name: &str| format!("list-{name}");
    for (index, name) in names.iter().enumerate().rev() {
        bench.put(&bench.key(&full(name))?, &vec![b'x'; index])?;
    }
    let mut expected: Vec<(String, u64)> = (0..).zip(names).map(|(size, name)| (full(name), size)).collect();
    expected.sort();
    let listed = bench.store.list(&format!("{}list-", bench.prefix()))?;
    let found: Vec<(String, u64)> = listed
        .iter()
        .map(|object| (object.key.as_str().replacen(bench.prefix(), "", 1), object.size))
        .collect();
    if found != expected {
        return broken(format!("of {expected:?} it lists {found:?}"));
    }
    let some = bench.names(&full("a"))?;
    if some != ["a", "a b", "a%20b", "a+b", "aa"].map(full) {
        return broken(format!("of the names that begin with \"list-a\" it lists {some:?}"));
    }
    // In byte order of the whole keys, `-` stands before `/`, and not the shorter folder first.
    let (beside, within) = (bench.key("list-folder")?, bench.key_in_folder("list")?);
    bench.put(&beside, b"")?;
    bench.put(&within, b"")?;
    let all = bench.store.list("backstay-check")?;
    let at = |key: &ObjectKey| all.iter().position(|object| object.key == *key);
    match (at(&beside), at(&within)) {
        (Some(beside), Some(within)) if beside < within => Ok(format!("{} objects", names.len())),
        (Some(_), Some(_)) => broken("keys with a slash are not in byte order"),
        _ => broken("a list of what begins with \"backstay-check\" is not complete"),
    }
}

fn ranges(bench: &Bench<'_>) -> Result<String, Broken> {
    let key = bench.key("ranges")?;
    let bytes: Vec<u8> = (0..1000_u32).map(|i| (i % 251) as u8).collect();
    bench.put(&key, &bytes)?;
    for range in [0..1, 100..200, 900..1000, 0..1000, 0..0, 500..500, 1000..1000] {
        let read = bench.read(&key, Some(range.start as u64..range.end as u64))?;
        if read != bytes[range.clone()] {
            return broken(format!("bytes {range:?} of 1000 are read as {} others", read.len()));
        }
    }
    for (start, end) in [(900, 1001), (1000, 1001), (1001, 1001), (2000, 3000), (500, 400)] {
        let what = format!("reading bytes {start}..{end} of 1000");
        expect_kind(
            bench.read(&key, Some(Range { start, end })),
            ErrorKind::OutOfRange,
            &what,
        )?;
    }
    let mut readers = [
        bench.store.read(&key, Some(0..300))?,
        bench.store.read(&key, Some(600..900))?,
    ];
    let mut read = [Vec::new(), Vec::new()];
    for _ in 0..3 {
        for (reader, read) in readers.iter_mut().zip(&mut read) {
            let piece = reader.by_ref().take(100).read_to_end(read);
            piece.map_err(|error| Error::io("read", key.as_str(), error))?;
        }
    }
    if read[0] != bytes[0..300] || read[1] != bytes[600..900] {
        return broken("two readers of one object disturb each other");
    }
    KEPT
}

fn missing(bench: &Bench<'_>) -> Result<String, Broken> {
    let name = "missing";
    let key = bench.key(name)?;
    bench.expect_absent(&key, name, "an object that never was")?;
    let range = bench.read(&key, Some(0..1));
    expect_kind(range, ErrorKind::NotFound, "reading a part of an object that never was")?;
    KEPT
}

fn deletion(bench: &Bench<'_>) -> Result<String, Broken> {
    let [name, longer] = ["delete", "delete-not"];
    let (key, other) = (bench.key(name)?, bench.key(longer)?);
    bench.put(&key, b"old")?;
    bench.put(&other, b"other")?;
    for what in ["an object that was deleted", "an object that was deleted twice"] {
        bench.store.delete(&key)?;
        bench.expect_absent(&key, name, what)?;
    }
    bench.expect_present(&other, longer, b"other")?;
    bench.put(&key, b"new")?;
    bench.expect_present(&key, name, b"new")?;
    KEPT
}

/// A store may refuse a name; what it takes, it must keep apart from all others.
fn names(bench: &Bench<'_>) -> Result<String, Broken> {
    let mut refused = 0;
    let mut kept = Vec::new();
    let long = "long".repeat(80);
    let pairs = [
        ["file".to_owned(), "file/below".to_owned()],
        [format!("{long}1"), format!("{long}2")],
    ];
    for name in pairs.as_flattened() {
        let key = bench.key(name)?;
        match bench.put(&key, name.as_bytes()) {
            Ok(()) => kept.push((key, name)),
            Err(error) if error.kind() == ErrorKind::UnsupportedKey => refused += 1,
            Err(error) => return broken(format!("a name is refused in another way: {}", told(&error))),
        }
    }
    for (key, name) in kept {
        bench.expect_present(&key, name, name.as_bytes())?;
    }
    Ok(match refused {
        0 => String::new(),
        refused => format!("{refused} of {} odd names are refused", pairs.as_flattened().len()),
    })
}

/// Bytes that do not repeat and cannot be compressed.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, piece: &mut [u8]) {
        for bytes in piece.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.copy_from_slice(&self.0.to_le_bytes()[..bytes.len()]);
        }
    }
}

fn large_object(bench: &Bench<'_>) -> Result<String, Broken> {
    let length = bench.store.object_bytes_max().unwrap_or(LARGE_BYTES).min(LARGE_BYTES);
    let key = bench.key("large")?;
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    let mut hasher = Sha256Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = length;
    let begun = (bench.elapsed)();
    let mut object = bench.store.create(&key)?;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        noise.fill(&mut piece[..count]);
        hasher.update(&piece[..count]);
        object.append(&piece[..count])?;
        left -= count as u64;
    }
    let size = object.publish()?.size;
    let written = (bench.elapsed)();
    let bytes = bench.read(&key, None)?;
    let read = (bench.elapsed)();
    if size != length || bytes.len() as u64 != length {
        return broken(format!("an object of {length} bytes comes back with {}", bytes.len()));
    }
    if Sha256Digest::of(&bytes) != hasher.finish() {
        return broken(format!("an object of {length} bytes comes back with others"));
    }
    let speed = |took: Duration| length as f64 / f64::from(1 << 20) / took.as_secs_f64().max(1e-6);
    Ok(format!(
        "{} MiB, written at {:.1} MiB/s, read at {:.1} MiB/s",
        length >> 20,
        speed(written.saturating_sub(begun)),
        speed(read.saturating_sub(written))
    ))
}

fn writers(bench: &Bench<'_>) -> Result<String, Broken> {
    let keys = [bench.key("turns-a")?, bench.key("turns-b")?];
    let mut objects = [bench.store.create(&keys[0])?, bench.store.create(&keys[1])?];
    for turn in 0..3 {
        for (object, name) in objects.iter_mut().zip(["a", "b"]) {
            object.append(format!("{name}{turn}").as_bytes())?;
        }
    }
    for object in objects {
        object.publish()?;
    }
    for (key, expected) in keys.iter().zip([&b"a0a1a2"[..], b"b0b1b2"]) {
        if bench.read(key, None)? != expected {
            return broken("objects that are written at the same time are mixed up");
        }
    }
    let start = &Barrier::new(RACERS);
    let outcomes: Vec<Result<(), Broken>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..RACERS)
            .map(|worker| {
                scope.spawn(move || {
                    start.wait();
                    write_and_read(bench, worker)
                })
            })
            .collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|outcome| outcome.unwrap_or_else(|_| broken("a thread of the check died")))
            .collect()
    });
    outcomes.into_iter().collect::<Result<(), Broken>>()?;
    for worker in 0..RACERS {
        for round in 0..3 {
            let name = format!("thread-{worker}-{round}");
            bench.expect_present(&bench.key(&name)?, &name, name.repeat(3).as_bytes())?;
        }
    }
    Ok(format!("{RACERS} threads"))
}

fn write_and_read(bench: &Bench<'_>, worker: usize) -> Result<(), Broken> {
    for round in 0..3 {
        let name = format!("thread-{worker}-{round}");
        let key = bench.key(&name)?;
        let mut object = bench.store.create(&key)?;
        for _ in 0..3 {
            object.append(name.as_bytes())?;
        }
        object.publish()?;
        if bench.read(&key, None)? != name.repeat(3).as_bytes() {
            return broken("objects that are written at the same time are mixed up");
        }
    }
    Ok(())
}

/// Nothing that another writer may have left is touched.
fn leftovers(bench: &Bench<'_>) -> Result<String, Broken> {
    let name = "no-leftover";
    let key = bench.key(name)?;
    bench.put(&key, b"an object")?;
    let leftovers = bench.store.list_leftovers()?;
    if leftovers.iter().any(|leftover| leftover.name.contains(key.as_str())) {
        return broken("an object is listed among the leftovers");
    }
    // It may well be refused.
    drop(bench.store.delete_leftover(&Leftover {
        name: key.as_str().to_owned(),
        size: 0,
        modified_unix_secs: 0,
        key: None,
        in_use: false,
    }));
    bench.expect_present(&key, name, b"an object")?;
    Ok(match leftovers.len() {
        0 => String::new(),
        count => format!("{count} of other writers are there"),
    })
}
