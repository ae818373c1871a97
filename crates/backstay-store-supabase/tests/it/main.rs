//! The store in a bucket of Supabase: its promises, failing servers, uploads in pieces, access.

mod access;
mod crash_safety;
mod faults;
mod keys;
mod network;
mod pieces;
mod promises;

use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ObjectMeta, Store};
use backstay_http::Retries;
use backstay_store_supabase::{SupabaseConfig, SupabaseStore};
use backstay_testkit::{SupabaseServer, SupabaseTraits};

/// A server, and stores on it that do not wait long.
struct Supabase(SupabaseServer);

impl Supabase {
    fn start(traits: SupabaseTraits) -> Self {
        Self(SupabaseServer::start(traits))
    }

    fn store(&self, prefix: &str) -> SupabaseStore {
        self.store_with(|config| prefix.clone_into(&mut config.prefix))
    }

    fn store_with(&self, set: impl FnOnce(&mut SupabaseConfig)) -> SupabaseStore {
        let mut config = self.config(SupabaseServer::SECRET_KEY);
        set(&mut config);
        SupabaseStore::open(config).unwrap()
    }

    fn config(&self, key: &str) -> SupabaseConfig {
        let endpoint = format!("{}/storage/v1", self.endpoint());
        let mut config = SupabaseConfig::at(endpoint, key.parse().unwrap(), SupabaseServer::BUCKET);
        config.retries = Retries {
            tries: 4,
            first_wait: Duration::from_millis(1),
        };
        config
    }
}

impl std::ops::Deref for Supabase {
    type Target = SupabaseServer;

    fn deref(&self) -> &SupabaseServer {
        &self.0
    }
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
