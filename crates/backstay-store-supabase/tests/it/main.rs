//! The store in a bucket of Supabase: its promises, failing servers, uploads in pieces, access.

mod access;
mod crash_safety;
mod faults;
mod keys;
mod network;
mod pieces;
mod promises;

use std::time::Duration;

use backstay_http::Retries;
use backstay_store_supabase::{SupabaseConfig, SupabaseStore};
use backstay_testkit::objects::{causes, key, names, noise, put, read};
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
