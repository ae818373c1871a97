//! Servers that others wrote.

use std::sync::Arc;

use backstay_core::store::{ErrorKind, Store as _};
use backstay_store_s3::{Credentials, PartSizes, S3Config, S3Store, StaticCredentials};
use backstay_testkit::{S3Server, conformance, crash_safety};

use crate::{causes, config, names, noise, put, read};

/// Promises whose keys or races `s3s-fs` cannot keep, because it keeps objects as files and looks before it renames. They
/// are asked of the server in memory.
const BEYOND_FILES: [&str; 5] = [
    "delete_touches_no_other_key",
    "keys_beside_folders_are_kept_or_refused",
    "long_keys_are_kept_or_refused",
    "missing_is_not_found",
    "racing_writers_have_one_winner",
];

fn open(server: &S3Server, set: impl FnOnce(&mut S3Config)) -> S3Store {
    let mut config = config(S3Server::BUCKET, &server.endpoint());
    set(&mut config);
    let credentials = Credentials::new(S3Server::ACCESS_KEY, S3Server::SECRET_KEY);
    S3Store::open(config, Arc::new(StaticCredentials::new(credentials))).unwrap()
}

#[test]
fn a_server_that_checks_signatures_and_checksums_is_content() {
    let server = S3Server::start();
    let mut run = 0;
    for (name, promise) in conformance::PROMISES {
        if !BEYOND_FILES.contains(name) {
            run += 1;
            promise(&open(&server, |config| config.prefix = format!("{name}/")));
        }
    }
    assert_eq!(run, conformance::PROMISES.len() - BEYOND_FILES.len());
}

#[test]
fn parts_reach_it_whole_and_in_order() {
    let server = S3Server::start();
    let store = open(&server, |config| config.parts = PartSizes::Uniform(5 << 20));
    let bytes = noise(21 << 20);
    put(&store, "folder/large", &bytes).unwrap();
    assert!(read(&store, "folder/large").unwrap() == bytes);
    assert_eq!(
        put(&store, "folder/large", &bytes).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(names(&store), ["folder/large"]);
}

#[test]
fn a_wrong_secret_is_denied() {
    let server = S3Server::start();
    let credentials = Credentials::new(S3Server::ACCESS_KEY, "hunter2");
    let config = config(S3Server::BUCKET, &server.endpoint());
    let store = S3Store::open(config, Arc::new(StaticCredentials::new(credentials))).unwrap();
    let error = put(&store, "a", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{}", causes(&error));
    assert_eq!(store.list("").unwrap_err().kind(), ErrorKind::Denied);
}

#[test]
fn a_removal_ends_or_can_be_ended() {
    let server = S3Server::start();
    let mut count = 0;
    crash_safety::a_removal_ends_or_can_be_ended(|| {
        count += 1;
        open(&server, |config| config.prefix = format!("{count}/"))
    });
}
