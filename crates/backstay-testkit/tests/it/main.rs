//! The suite can fail, and the stores of this crate do what they say.

mod archives;
mod bad;
mod crash_safety;
mod damage;
mod external_readers;
mod faulty;
mod interleaving;
mod memory;
mod recording;
mod repository;
mod suite;
mod tcp_proxy;

use std::io::Read as _;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ObjectMeta, Store};

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

/// Creates an object of two pieces.
fn put(store: &dyn Store, name: &str, pieces: [&[u8]; 2]) -> Result<ObjectMeta, Error> {
    let mut writer = store.create(&key(name))?;
    for piece in pieces {
        writer.append(piece)?;
    }
    writer.publish()
}

fn whole(store: &dyn Store, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.read(&key(name), None).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn every_file_is_a_module() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        let is_used = module == "main" || include_str!("main.rs").contains(&format!("\nmod {module};\n"));
        assert!(is_used, "{name} is never compiled");
    }
}
