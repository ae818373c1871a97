//! Writes the sealed archives of format version 2 into `testdata/archives`; see the README there.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use backstay_core::repository::Seals;
use backstay_core::store::{MemoryStore, Store as _};
use backstay_core::{Codec, Compression, Repository};
use backstay_encryption::{AgeSealer, SecretKey};
use backstay_testkit::fixtures::SampleBackup;

fn main() -> Result<(), Box<dyn Error>> {
    let archives = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/archives"));
    let folder = archives.join("v2");
    let store = MemoryStore::new();
    let key = SecretKey::generate();
    let sealer = Arc::new(AgeSealer::to_keys([key.recipient()]).ok_or("no key")?);
    let seals = Seals {
        packs: sealer.clone(),
        index: sealer,
    };
    let repository = Repository::new(Arc::new(store.clone())).with_seals(seals);
    for (id, codec) in [
        ("gzip_backup_20250116_143022", Codec::Gzip),
        ("zstd_backup_20250116_143022", Codec::Zstd),
    ] {
        SampleBackup::kulti(id, Compression::new(codec)).publish_in(&repository);
    }
    // It fails where the folder exists: an archive is never written twice.
    fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    fs::write(folder.join("identity.txt"), key.file_text().as_bytes())?;
    for object in store.list("")? {
        let mut bytes = Vec::new();
        store.read(&object.key, None)?.read_to_end(&mut bytes)?;
        fs::write(folder.join(object.key.as_str()), bytes)?;
        println!("{} {}", object.size, object.key);
    }
    Ok(())
}
