//! The store in a bucket: its promises, servers that fail and lack things, credentials, and real servers.

mod crash_safety;
mod credentials;
mod fake;
mod faults;
mod lacking;
mod large;
mod moto;
mod network;
mod real;

mod promises;

use std::sync::Arc;
use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ObjectMeta, Store};
use backstay_store_s3::{ConditionalWrites, Credentials, Retries, S3Config, S3Store, StaticCredentials};

use fake::Fake;

impl Fake {
    /// A store on it that does not wait long.
    fn store(&self, prefix: &str) -> S3Store {
        self.store_with(|config| prefix.clone_into(&mut config.prefix))
    }

    /// The same with settings of a test's own.
    fn store_with(&self, set: impl FnOnce(&mut S3Config)) -> S3Store {
        let mut config = config(fake::BUCKET, &self.endpoint());
        config.conditional_writes = ConditionalWrites::Honoured;
        set(&mut config);
        let credentials = StaticCredentials::new(Credentials::new(fake::ACCESS_KEY, "secret"));
        S3Store::open(config, Arc::new(credentials)).unwrap()
    }
}

fn config(bucket: &str, endpoint: &str) -> S3Config {
    let mut config = S3Config::new(bucket);
    config.endpoint = Some(endpoint.to_owned());
    config.retries = Retries {
        tries: 4,
        first_wait: Duration::from_millis(1),
    };
    config
}

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

fn put(store: &dyn Store, name: &str, bytes: &[u8]) -> Result<ObjectMeta, Error> {
    let mut writer = store.create(&key(name))?;
    writer.append(bytes)?;
    writer.publish()
}

fn read(store: &dyn Store, name: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut reader = store.read(&key(name), None).unwrap();
    std::io::Read::read_to_end(&mut reader, &mut bytes)?;
    Ok(bytes)
}

fn names(store: &dyn Store) -> Vec<String> {
    let listed = store.list("").unwrap();
    listed.into_iter().map(|meta| meta.key.to_string()).collect()
}

/// Bytes that no two places share for long.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// The causes of an error, in one line.
fn causes(error: &Error) -> String {
    let first: &dyn std::error::Error = error;
    let chain = std::iter::successors(Some(first), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
