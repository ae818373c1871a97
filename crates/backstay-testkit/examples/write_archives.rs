//! Writes the archives of format version 1, in clear, into `testdata/archives`; see the README there.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use backstay_core::store::{MemoryStore, Store as _};
use backstay_core::{Codec, Compression};
use backstay_testkit::fixtures::SampleBackup;

fn main() -> Result<(), Box<dyn Error>> {
    let archives = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/archives"));
    let folder = archives.join("v1");
    let store = MemoryStore::new();
    for (id, codec) in [
        ("gzip_backup_20250116_143022", Codec::Gzip),
        ("zstd_backup_20250116_143022", Codec::Zstd),
    ] {
        SampleBackup::kulti(id, Compression::new(codec)).publish(Arc::new(store.clone()));
    }
    // It fails where the folder exists: an archive is never written twice.
    fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for object in store.list("")? {
        let mut bytes = Vec::new();
        store.read(&object.key, None)?.read_to_end(&mut bytes)?;
        fs::write(folder.join(object.key.as_str()), bytes)?;
        println!("{} {}", object.size, object.key);
    }
    Ok(())
}
