//! Writes the archives in clear of format versions 1 and 2 into `testdata/archives`; see the README there.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use backstay_core::store::{MemoryStore, Store as _};
use backstay_core::{Codec, Compression, Repository};
use backstay_testkit::fixtures::SampleBackup;

/// Room for the manifest, and not for it and the members.
const VOLUME_BYTES_MAX: u64 = 4000;

fn main() -> Result<(), Box<dyn Error>> {
    let archives = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/archives"));
    for (name, volume_bytes_max) in [("v1", None), ("v2-volumes", Some(VOLUME_BYTES_MAX))] {
        let folder = archives.join(name);
        // An archive is never written twice.
        if folder.exists() {
            println!("{name} is there already");
            continue;
        }
        let store = MemoryStore::new();
        let repository = Repository::new(Arc::new(store.clone())).with_volume_bytes_max(volume_bytes_max);
        for (id, codec) in [
            ("gzip_backup_20250116_143022", Codec::Gzip),
            ("zstd_backup_20250116_143022", Codec::Zstd),
        ] {
            SampleBackup::kulti(id, Compression::new(codec)).publish_in(&repository);
        }
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for object in store.list("")? {
            let mut bytes = Vec::new();
            store.read(&object.key, None)?.read_to_end(&mut bytes)?;
            fs::write(folder.join(object.key.as_str()), bytes)?;
            println!("{} {name}/{}", object.size, object.key);
        }
    }
    Ok(())
}
