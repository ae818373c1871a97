//! `moto`, a server that keeps what others ignore: encryption, storage classes, object locks, holds.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use backstay_core::store::{ErrorKind, Store as _};
use backstay_store_s3::{
    Credentials, Encryption, LegalHold, LockMode, PartSizes, RetainUntil, Retention, S3Config, S3Store,
    StaticCredentials,
};
use backstay_testkit::conformance;

use crate::{causes, config, key, noise, put, read};

const AUTHORIZATION: &str = "Authorization: AWS4-HMAC-SHA256 \
    Credential=AKIDMOTO/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00\r\n";

/// A running server; it ends when it is dropped.
struct Moto {
    child: Child,
    port: u16,
}

impl Moto {
    /// One for all tests that run at the same time in this process.
    fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Moto>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(moto) = running.upgrade() {
            return moto;
        }
        let moto = Arc::new(Self::start());
        *running = Arc::downgrade(&moto);
        moto
    }

    fn start() -> Self {
        let program = std::env::var_os("BACKSTAY_TEST_MOTO").unwrap_or_else(|| "moto_server".into());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{program:?}: {error}; run `cargo xtask test`, or: pip install 'moto[server,s3]==5.2.5'")
        });
        let moto = Self { child, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "moto does not listen");
            thread::sleep(Duration::from_millis(50));
        }
        moto
    }

    /// Sends a request, whose signature it does not look at, and gives the answer's head.
    fn ask(&self, method: &str, path: &str, header: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{AUTHORIZATION}{header}Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split("\r\n\r\n").next().unwrap().to_lowercase()
    }

    /// A store in a bucket of its own, which can lock objects.
    fn store(&self, bucket: &str, set: impl FnOnce(&mut S3Config)) -> S3Store {
        let made = self.ask(
            "PUT",
            &format!("/{bucket}"),
            "x-amz-bucket-object-lock-enabled: true\r\n",
        );
        assert!(made.starts_with("http/1.1 200"), "{made}");
        let mut config = config(bucket, &format!("http://127.0.0.1:{}", self.port));
        set(&mut config);
        let credentials = Credentials::new("AKIDMOTO", "secret");
        S3Store::open(config, Arc::new(StaticCredentials::new(credentials))).unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn every_promise_is_kept_on_it() {
    let moto = Moto::shared();
    for (name, promise) in conformance::PROMISES {
        let bucket = name.replace('_', "-");
        // It looks before it writes, so of two writers at one moment both win.
        if *name != "racing_writers_have_one_winner" {
            promise(&moto.store(&bucket, |_| {}));
        }
    }
}

#[test]
fn encryption_that_is_asked_for_is_there() {
    let moto = Moto::shared();
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
        let store = moto.store(bucket, |config| {
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
    let moto = Moto::shared();
    let locked = moto.store("locked", |config| {
        config.lock.retention = Some(Retention {
            mode: LockMode::Compliance,
            until: RetainUntil::Days(1),
        });
    });
    put(&locked, "a", b"x").unwrap_or_else(|error| panic!("{}", causes(&error)));
    let head = moto.ask("HEAD", "/locked/a", "");
    assert!(head.contains("x-amz-object-lock-mode: compliance"), "{head}");
    let held = moto.store("held", |config| config.lock.legal_hold = LegalHold::On);
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
    let moto = Moto::shared();
    let store = moto.store("class", |config| config.storage_class = Some("STANDARD_IA".to_owned()));
    put(&store, "a", b"x").unwrap_or_else(|error| panic!("{}", causes(&error)));
    let head = moto.ask("HEAD", "/class/a", "");
    assert!(head.contains("x-amz-storage-class: standard_ia"), "{head}");
}
