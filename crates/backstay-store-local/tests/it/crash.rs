//! What a process leaves that is killed while it writes.
//!
//! The test program runs itself once more, to be killed. The child tells on its standard error how far it is.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use backstay_core::store::{ErrorKind, Store};
use backstay_store_local::LocalStore;
use tempfile::TempDir;

use crate::{key, names, new_store, put};

const FOLDER: &str = "BACKSTAY_TEST_CRASH_FOLDER";
const STOP_AT: &str = "BACKSTAY_TEST_CRASH_STOP_AT";
const PIECES: usize = 16;
const PIECE_BYTES: usize = 64 * 1024;
const KEYS: [&str; 2] = ["victim", "log/victim"];

fn object() -> Vec<u8> {
    (0..PIECES).flat_map(|piece| vec![piece as u8; PIECE_BYTES]).collect()
}

/// The child's part. As a test of its own, without the variables, it shows that an undisturbed run publishes.
#[test]
fn writing_process() {
    let (folder, stop_at) = (env::var_os(FOLDER), env::var(STOP_AT).ok());
    // A child that is killed could not remove a folder of its own.
    let own_folder = folder.is_none().then(|| tempfile::tempdir().unwrap());
    let given = folder.as_deref().map(Path::new);
    let path = given.or(own_folder.as_ref().map(TempDir::path)).unwrap();
    let store = LocalStore::open(path).unwrap();
    let tell = |stage: String| {
        if folder.is_some() {
            writeln!(std::io::stderr(), "stage {stage}").unwrap();
        }
        while stop_at.as_ref() == Some(&stage) {
            thread::sleep(Duration::from_secs(1));
        }
    };
    for name in KEYS {
        let mut writer = store.create(&key(name)).unwrap();
        tell(format!("{name} created"));
        for (number, piece) in object().chunks(PIECE_BYTES).enumerate() {
            writer.append(piece).unwrap();
            tell(format!("{name} appended {number}"));
        }
        writer.publish().unwrap();
        tell(format!("{name} published"));
    }
    assert_eq!(names(&store), ["log/victim", "victim"]);
}

/// Starts the child, and waits until it tells that it reached `stage`.
fn start(folder: &Path, stage: &str, stop_at: &str) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::writing_process", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(STOP_AT, stop_at)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let is_reached = told.any(|line| line.unwrap() == format!("stage {stage}"));
    assert!(is_reached, "the child ended before {stage:?}");
    // The child may go on telling until it is killed; a pipe that nobody reads would stop it.
    thread::spawn(move || told.count());
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Checks what is left, and that work can go on; gives the number of leftovers.
fn check_what_is_left(folder: &Path, what: &str) -> usize {
    let store = LocalStore::open(folder).unwrap();
    let listed = names(&store);
    for name in KEYS {
        match store.read(&key(name), None) {
            Ok(mut reader) => {
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes).unwrap();
                assert!(bytes == object(), "{what}: {name} is half written");
                assert!(listed.contains(&name.to_owned()));
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{what}: {error}");
                assert!(!listed.contains(&name.to_owned()));
            }
        }
    }
    let leftovers = store.list_leftovers().unwrap();
    for leftover in &leftovers {
        assert!(!leftover.in_use, "{what}: {leftover:?} is held by nobody");
        store.delete_leftover(leftover).unwrap();
    }
    assert_eq!(store.list_leftovers().unwrap(), []);
    for name in KEYS.into_iter().filter(|name| !listed.contains(&(*name).to_owned())) {
        put(&store, name, b"again").unwrap();
    }
    leftovers.len()
}

#[test]
fn killed_between_two_steps() {
    for name in KEYS {
        for (step, is_written, leftovers) in [
            ("created".to_owned(), false, 1),
            ("appended 0".to_owned(), false, 1),
            (format!("appended {}", PIECES - 1), false, 1),
            ("published".to_owned(), true, 0),
        ] {
            let (folder, store) = new_store();
            let stage = format!("{name} {step}");
            let child = start(folder.path(), &stage, &stage);
            let running = store.list_leftovers().unwrap();
            assert_eq!(running.len(), leftovers, "{stage}");
            for leftover in &running {
                assert!(leftover.in_use, "{stage}: the writer runs");
                let refusal = store.delete_leftover(leftover).unwrap_err();
                assert_eq!(refusal.kind(), ErrorKind::InUse);
            }
            kill(child);
            assert_eq!(store.head(&key(name)).is_ok(), is_written, "{stage}");
            assert_eq!(check_what_is_left(folder.path(), &stage), leftovers, "{stage}");
        }
    }
}

#[test]
fn killed_at_any_moment() {
    let last_append = format!("victim appended {}", PIECES - 1);
    for stage in ["victim created", &last_append] {
        for round in 0..20 {
            let (folder, _) = new_store();
            let child = start(folder.path(), stage, "nowhere");
            // The moments spread over the fsync, the rename and the beginning of the next object.
            let moment = Instant::now() + Duration::from_micros(round * 250);
            while Instant::now() < moment {
                std::hint::spin_loop();
            }
            kill(child);
            let what = format!("round {round} after {stage:?}");
            assert!(check_what_is_left(folder.path(), &what) <= 1, "{what}");
        }
    }
}
