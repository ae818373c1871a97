//! The inputs of the fuzz targets in `fuzz/corpus`, on a stable toolchain.

#[path = "../../../../fuzz/src/targets.rs"]
#[expect(unreachable_pub, reason = "it is public where the fuzz targets use it")]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic;
use std::path::PathBuf;

use targets::{TARGETS, Target};

/// The largest corpus that is still small.
const CORPUS_BYTES_MAX: u64 = 256 << 10;

fn corpora() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus"))
}

#[track_caller]
fn replay(name: &str) {
    let target: Target = TARGETS.iter().find(|(known, _)| *known == name).unwrap().1;
    let (mut count, mut bytes) = (0, 0);
    for entry in fs::read_dir(corpora().join(name)).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        if panic::catch_unwind(|| target(&input)).is_err() {
            panic!("{name} fails on {}", path.display());
        }
        bytes += input.len() as u64;
        count += 1;
    }
    assert!(count > 5, "{name} has {count} inputs");
    assert!(bytes <= CORPUS_BYTES_MAX, "{name} has {bytes} bytes");
}

#[test]
fn manifest() {
    replay("manifest");
}

#[test]
fn pack() {
    replay("pack");
}

#[test]
fn copy_text() {
    replay("copy_text");
}

#[test]
fn script() {
    replay("script");
}

#[test]
fn every_target_has_a_corpus_and_a_program() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let listed = |folder: PathBuf| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    };
    assert_eq!(listed(corpora()), names);
    assert_eq!(listed(corpora().join("../fuzz_targets")), names);
}
