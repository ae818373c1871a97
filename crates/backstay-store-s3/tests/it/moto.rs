//! `moto`, a server that keeps what others ignore: encryption, storage classes, object locks, holds.

use std::sync::Arc;

use backstay_core::store::{ErrorKind, Store as _};
use backstay_store_s3::{
    Credentials, Encryption, LegalHold, LockMode, PartSizes, RetainUntil, Retention, S3Config, S3Store,
    StaticCredentials,
};
use backstay_testkit::{MotoServer, conformance};

use crate::{causes, config, key, noise, put, read};

fn start() -> Arc<MotoServer> {
    MotoServer::shared(std::env::var_os("BACKSTAY_TEST_MOTO"))
}

/// A store in a bucket of its own, which can lock objects.
fn store(moto: &MotoServer, bucket: &str, set: impl FnOnce(&mut S3Config)) -> S3Store {
    moto.create_bucket(bucket);
    let mut config = config(bucket, &moto.endpoint());
    set(&mut config);
    let credentials = Credentials::new(MotoServer::ACCESS_KEY, MotoServer::SECRET_KEY);
    S3Store::open(config, Arc::new(StaticCredentials::new(credentials))).unwrap()
}

#[test]
fn every_promise_is_kept_on_it() {
    let moto = start();
    for (name, promise) in conformance::PROMISES {
        let bucket = name.replace('_', "-");
        // It looks before it writes, so of two writers at one moment both win.
        if *name != "racing_writers_have_one_winner" {
            promise(&store(&moto, &bucket, |_| {}));
        }
    }
}

#[test]
fn encryption_that_is_asked_for_is_there() {
    let moto = start();
    for (bucket, encryption, expected) in [
        ("aes", Encryption::Aes256, "x-amz-server-side-encryption: aes256"),
        (
            "kms",
            Encryption::Kms { key: None },
            "x-amz-server-side-encryption: aws:kms",
        ),
        (
            "kms-key",
            Encryption::Kms {
                key: Some("4711".to_owned()),
            },
            "x-amz-server-side-encryption-aws-kms-key-id: 4711",
        ),
    ] {
        let store = store(&moto, bucket, |config| {
            config.encryption = Some(encryption);
            config.parts = PartSizes::Uniform(5 << 20);
        });
        let large = noise(11 << 20);
        for (name, bytes) in [("small", &b"x"[..]), ("large", &large)] {
            put(&store, name, bytes).unwrap_or_else(|error| panic!("{bucket}/{name}: {}", causes(&error)));
            let head = moto.ask("HEAD", &format!("/{bucket}/{name}"), "");
            assert!(head.contains(expected), "{bucket}/{name}: {head}");
            assert!(read(&store, name).unwrap() == bytes);
        }
    }
}

#[test]
fn a_locked_object_cannot_be_deleted_and_a_held_one_neither() {
    let moto = start();
    let locked = store(&moto, "locked", |config| {
        config.lock.retention = Some(Retention {
            mode: LockMode::Compliance,
            until: RetainUntil::Days(1),
        });
    });
    put(&locked, "a", b"x").unwrap_or_else(|error| panic!("{}", causes(&error)));
    let head = moto.ask("HEAD", "/locked/a", "");
    assert!(head.contains("x-amz-object-lock-mode: compliance"), "{head}");
    let held = store(&moto, "held", |config| config.lock.legal_hold = LegalHold::On);
    put(&held, "a", b"x").unwrap_or_else(|error| panic!("{}", causes(&error)));
    assert!(
        moto.ask("HEAD", "/held/a", "")
            .contains("x-amz-object-lock-legal-hold: on")
    );
    for (bucket, store) in [("locked", &locked), ("held", &held)] {
        // A bucket that locks keeps versions: what is deleted is hidden, and the version stays.
        let head = moto.ask("HEAD", &format!("/{bucket}/a"), "");
        let version = head
            .lines()
            .find_map(|line| line.strip_prefix("x-amz-version-id: "))
            .unwrap()
            .to_owned();
        match store.delete(&key("a")) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Denied, "{}", causes(&error)),
        }
        let gone = moto.ask("DELETE", &format!("/{bucket}/a?versionId={version}"), "");
        assert!(!gone.starts_with("http/1.1 20"), "{bucket}: {gone}");
        let there = moto.ask("HEAD", &format!("/{bucket}/a?versionId={version}"), "");
        assert!(there.starts_with("http/1.1 200"), "{bucket}: {there}");
    }
}

#[test]
fn a_storage_class_is_kept() {
    let moto = start();
    let store = store(&moto, "class", |config| {
        config.storage_class = Some("STANDARD_IA".to_owned());
    });
    put(&store, "a", b"x").unwrap_or_else(|error| panic!("{}", causes(&error)));
    let head = moto.ask("HEAD", "/class/a", "");
    assert!(head.contains("x-amz-storage-class: standard_ia"), "{head}");
}
