use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use backstay_core::seal::{SealError, Sealer as _};
use backstay_core::store::{MemoryStore, Store};
use backstay_core::{ObjectKey, seal::SealedObject, seal::Unsealer as _};
use backstay_encryption::{Identities, OpenPgpSealer, Passphrase};

use crate::{bytes, read, sealed};

const SECRET: &str = "correct horse";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).unwrap()
}

fn knowing(text: &str) -> Identities {
    let mut identities = Identities::new();
    identities.add_passphrase(&passphrase(text));
    identities
}

fn open_all(stored: &[u8], identities: &Identities) -> Result<Vec<u8>, SealError> {
    let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(MemoryStore::new());
    let key: ObjectKey = "x.sql.gz.gpg".parse().unwrap();
    let mut writer = store.create(&key).unwrap();
    writer.append(stored).unwrap();
    writer.publish().unwrap();
    let unsealed = identities.open(SealedObject::new(store, &key).unwrap())?;
    let half = unsealed.bytes() / 2;
    let mut all = read(&*unsealed, 0..half).map_err(SealError::Io)?;
    all.extend(read(&*unsealed, half..unsealed.bytes()).map_err(SealError::Io)?);
    Ok(all)
}

fn gpg(arguments: &[&str], home: &Path, input: &[u8]) -> Vec<u8> {
    let options = [
        "--batch",
        "--quiet",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        SECRET,
    ];
    let child = Command::new("gpg")
        .args(options)
        .args(arguments)
        .env("GNUPGHOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("gpg: {error}; install it: apt-get install gnupg"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    feeding.join().unwrap().unwrap();
    output.stdout
}

#[test]
fn gpg_opens_what_we_sealed_and_we_open_what_gpg_sealed() {
    let home = tempfile::tempdir().unwrap();
    let sealer = OpenPgpSealer::new(passphrase(SECRET));
    for length in [0, 1, 300_000, 3 << 20] {
        let plain = bytes(length);
        let ours = sealed(&sealer, &plain, 70_001);
        assert!(ours.len() as u64 <= sealer.begin().unwrap().stored_bytes(length as u64));
        assert!(gpg(&["--decrypt"], home.path(), &ours) == plain, "{length}");
        assert!(open_all(&ours, &knowing(SECRET)).unwrap() == plain, "{length}");
        for more in [&["-z", "0"][..], &[]] {
            let symmetric = [&["--symmetric", "--cipher-algo", "AES256"][..], more].concat();
            let theirs = gpg(&symmetric, home.path(), &plain);
            assert!(
                open_all(&theirs, &knowing(SECRET)).unwrap() == plain,
                "{length} {more:?}"
            );
        }
    }
    assert_eq!(sealer.recipients(), ["passphrase"]);
}

#[test]
fn a_wrong_passphrase_opens_nothing_and_a_right_one_among_several_does() {
    let plain = bytes(100_000);
    let stored = sealed(&OpenPgpSealer::new(passphrase(SECRET)), &plain, 9999);
    assert!(open_all(&stored, &knowing("battery staple")).is_err());
    assert!(matches!(
        open_all(&stored, &Identities::new()),
        Err(SealError::NoKey { .. })
    ));
    let mut several = knowing("battery staple");
    several.add_passphrase(&passphrase(SECRET));
    assert!(open_all(&stored, &several).unwrap() == plain);
}

#[test]
fn a_message_that_was_cut_off_or_changed_gives_nothing() {
    let plain = bytes(200_000);
    let stored = sealed(&OpenPgpSealer::new(passphrase(SECRET)), &plain, 9999);
    let identities = knowing(SECRET);
    let ends = (0..stored.len()).step_by(15_013).chain(stored.len() - 30..stored.len());
    for end in ends {
        assert!(
            open_all(&stored[..end], &identities).is_err(),
            "cut off at {end} of {}",
            stored.len()
        );
    }
    // Behind the header with the salt, a change of which is a wrong passphrase.
    for at in (0..stored.len()).step_by(9_973) {
        let mut changed = stored.clone();
        changed[at] ^= 0x10;
        assert!(open_all(&changed, &identities).is_err(), "byte {at}");
    }
}

#[test]
fn a_sealing_that_is_given_up_ends_its_thread() {
    for _ in 0..50 {
        let mut sealing = OpenPgpSealer::new(passphrase(SECRET)).begin().unwrap();
        sealing.seal(&bytes(100), &mut Vec::new()).unwrap();
        drop(sealing);
    }
}
