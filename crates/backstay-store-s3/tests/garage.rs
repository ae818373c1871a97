//! `garage`, a real object store that takes conditions and overwrites all the same. It is built from source, which takes a
//! quarter of an hour, so `cargo xtask test --garage` alone runs these tests.

use std::sync::Arc;

use backstay_core::repository::RepositoryError;
use backstay_core::store::{ErrorKind, Store};
use backstay_core::{Codec, Compression, Repository};
use backstay_store_s3::{Credentials, PartSizes, S3Config, S3Store, StaticCredentials};
use backstay_testkit::fixtures::SampleBackup;
use backstay_testkit::objects::{names, noise, put, read};
use backstay_testkit::{GarageServer, conformance};

fn start() -> GarageServer {
    let named = std::env::var_os("BACKSTAY_TEST_GARAGE");
    GarageServer::start(&named.unwrap_or_else(|| "garage".into()))
}

fn store(server: &GarageServer, prefix: &str, set: impl FnOnce(&mut S3Config)) -> S3Store {
    let mut config = S3Config::new(GarageServer::BUCKET);
    config.endpoint = Some(server.endpoint());
    GarageServer::REGION.clone_into(&mut config.region);
    config.prefix = format!("{prefix}/");
    set(&mut config);
    let credentials = Credentials::new(GarageServer::ACCESS_KEY, GarageServer::SECRET_KEY);
    S3Store::open(config, Arc::new(StaticCredentials::new(credentials))).unwrap()
}

#[test]
fn every_promise_is_kept_on_it_that_needs_no_condition() {
    let server = start();
    for (name, promise) in conformance::PROMISES {
        // Of two writers at one moment both win where no condition is heeded.
        if *name != "racing_writers_have_one_winner" {
            promise(&store(&server, name, |_| {}));
        }
    }
}

#[test]
fn a_key_that_is_taken_is_refused_although_it_would_overwrite() {
    let server = start();
    let store = store(&server, "taken", |config| config.parts = PartSizes::Uniform(5 << 20));
    for (key, length) in [("small", 10), ("large", 11 << 20)] {
        let bytes = noise(length);
        put(&store, key, &bytes).unwrap();
        let refused = put(&store, key, b"another").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        let refused = put(&store, key, &noise(12 << 20)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert!(read(&store, key).unwrap() == bytes);
    }
    assert_eq!(names(&store), ["large", "small"]);
    assert_eq!(store.list_leftovers().unwrap(), []);
}

#[test]
fn a_backup_is_there_once_and_goes_whole() {
    let server = start();
    let store: Arc<dyn Store> = Arc::new(store(&server, "backup", |_| {}));
    let repository = Repository::new(Arc::clone(&store));
    let id = "kulti_backup_20250116_143022";
    let sample = SampleBackup::kulti(id, Compression::new(Codec::Gzip));
    sample.publish(Arc::clone(&store));
    let id = id.parse().unwrap();
    let backup = repository.open(&id).unwrap();
    for member in &backup.manifest().members {
        backup.text(member).unwrap();
    }
    let again = repository
        .begin(&id, Compression::new(Codec::Gzip))
        .map(drop)
        .unwrap_err();
    assert!(matches!(again, RepositoryError::Exists { .. }), "{again:?}");
    repository.remove(&id, jiff::Timestamp::now()).unwrap();
    assert_eq!(names(&*store), [""; 0]);
}
