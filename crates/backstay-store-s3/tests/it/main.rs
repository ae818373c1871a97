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

use backstay_store_s3::{ConditionalWrites, Credentials, Retries, S3Config, S3Store, StaticCredentials};
use backstay_testkit::objects::{causes, key, names, noise, put, read};

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
