use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use backstay_encryption::{AgeSealer, Identities, SecretKey, parse_recipients};

use crate::{bytes, read_all, sealed};

/// Runs a program on some input and gives its output.
fn output(program: &str, arguments: &[&str], folder: &Path, input: &[u8]) -> Vec<u8> {
    let child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{program}: {error}; install it: apt-get install age"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    feeding.join().unwrap().unwrap();
    output.stdout
}

#[test]
fn age_opens_what_we_sealed_and_we_open_what_age_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let plain = bytes(300_000);

    // With a key of ours.
    let key = SecretKey::generate();
    std::fs::write(folder.path().join("key.txt"), key.file_text().as_bytes()).unwrap();
    let stored = sealed(&AgeSealer::to_keys([key.recipient()]).unwrap(), &plain, 70_000);
    assert!(output("age", &["-d", "-i", "key.txt"], folder.path(), &stored) == plain);
    let recipient = key.recipient().to_string();
    let theirs = output("age", &["-r", &recipient], folder.path(), &plain);
    let mut identities = Identities::new();
    identities.add_key(&key);
    assert!(read_all(&theirs, &identities).unwrap() == plain);

    // With a key of age's.
    let file = output("age-keygen", &[], folder.path(), b"");
    std::fs::write(folder.path().join("theirs.txt"), &file).unwrap();
    let public = output("age-keygen", &["-y", "theirs.txt"], folder.path(), b"");
    let recipients = parse_recipients(std::str::from_utf8(&public).unwrap()).unwrap();
    let stored = sealed(&AgeSealer::to_keys(recipients).unwrap(), &plain, 70_000);
    assert!(output("age", &["-d", "-i", "theirs.txt"], folder.path(), &stored) == plain);
    let mut identities = Identities::new();
    identities.add_file(&file, None).unwrap();
    assert!(read_all(&stored, &identities).unwrap() == plain);
}

#[test]
fn age_with_an_ssh_key_opens_what_we_sealed_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let plain = bytes(100_000);
    for (public, secret) in [
        (include_str!("keys/ed25519.pub"), &include_bytes!("keys/ed25519")[..]),
        (include_str!("keys/rsa.pub"), &include_bytes!("keys/rsa")[..]),
    ] {
        std::fs::write(folder.path().join("id"), secret).unwrap();
        let stored = sealed(&AgeSealer::to_keys([public.parse().unwrap()]).unwrap(), &plain, 9999);
        assert!(output("age", &["-d", "-i", "id"], folder.path(), &stored) == plain);
    }
}
