//! The store in a folder: its promises, what is its own, and what a crash leaves.

mod crash;
mod crash_safety;
mod folder;
mod litter;
mod promises;
mod refusals;

use backstay_store_local::LocalStore;
use backstay_testkit::objects::{key, names, put};
use tempfile::TempDir;

/// A store in a folder that goes when the first value is dropped.
fn new_store() -> (TempDir, LocalStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    (folder, store)
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
