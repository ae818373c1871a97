//! The store over networks that harm connections.

use backstay_core::store::Store;
use backstay_testkit::{SupabaseTraits, conformance, crash_safety};

use crate::Supabase;

fn open_on(server: &Supabase) -> impl Fn(&str, &str) -> Box<dyn Store> {
    |endpoint, prefix| {
        Box::new(server.store_with(|config| {
            config.endpoint = config.endpoint.replace(&server.http.endpoint(), endpoint);
            prefix.clone_into(&mut config.prefix);
        }))
    }
}

#[test]
fn promises_are_kept_over_bad_networks() {
    let server = Supabase::start(SupabaseTraits::default());
    conformance::assert_kept_over_bad_networks(&server.http.endpoint(), &[], open_on(&server));
}

#[test]
fn a_backup_over_a_bad_network_is_whole_or_not_there() {
    let server = Supabase::start(SupabaseTraits::default());
    crash_safety::a_backup_over_a_bad_network_is_whole_or_not_there(&server.http.endpoint(), open_on(&server));
}
