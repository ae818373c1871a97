//! Servers that others wrote.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use backstay_core::store::{ErrorKind, Store as _};
use backstay_store_s3::{Credentials, PartSizes, S3Config, S3Store, StaticCredentials};
use backstay_testkit::{S3Server, conformance, crash_safety};

use crate::{causes, config, names, noise, put, read};

/// Promises whose keys or races `s3s-fs` cannot keep, because it keeps objects as files and looks before it renames. They
/// are asked of the server in memory.
pub(crate) const BEYOND_FILES: [&str; 5] = [
    "delete_touches_no_other_key",
    "keys_beside_folders_are_kept_or_refused",
    "long_keys_are_kept_or_refused",
    "missing_is_not_found",
    "racing_writers_have_one_winner",
];

pub(crate) fn open(server: &S3Server, set: impl FnOnce(&mut S3Config)) -> S3Store {
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
        let bucket = format!("bucket-{count}");
        server.create_bucket(&bucket);
        open(&server, |config| config.bucket = bucket)
    });
}

/// Status and body of a plain GET, as any program without credentials sends it.
fn fetch(url: &str) -> (u16, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer.split_off(end + 4))
}

#[test]
fn whoever_has_a_signed_url_can_read_that_object_until_it_expires() {
    let server = S3Server::start();
    let store = open(&server, |config| config.prefix = "prod/".to_owned());
    let sign = |name: &str, secs| store.signed_url(&name.parse().unwrap(), Duration::from_secs(secs));
    for name in ["a", "folder/b c+d%20é.sql.gz"] {
        put(&store, name, name.as_bytes()).unwrap();
        let url = sign(name, 3600).unwrap().unwrap();
        assert_eq!(fetch(&url), (200, name.as_bytes().to_vec()), "{url}");
        assert!(!url.contains(S3Server::SECRET_KEY));
        let other = url.replace("X-Amz-Expires=3600", "X-Amz-Expires=3601");
        assert_eq!(fetch(&other).0, 403);
        assert_eq!(fetch(url.split_once('?').unwrap().0).0, 403);
    }
    let short = sign("a", 1).unwrap().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(fetch(&short).0, 403);
    // Whether the object exists is not asked.
    assert_eq!(fetch(&sign("missing", 60).unwrap().unwrap()).0, 404);
}

#[test]
fn a_url_is_signed_for_seven_days_at_most() {
    let server = S3Server::start();
    let store = open(&server, |_| {});
    let sign = |secs| store.signed_url(&"a".parse().unwrap(), Duration::from_secs(secs));
    assert!(sign(7 * 24 * 3600).is_ok());
    for secs in [0, 7 * 24 * 3600 + 1] {
        let error = sign(secs).unwrap_err();
        assert!(causes(&error).contains("seven days"), "{}", causes(&error));
    }
}
