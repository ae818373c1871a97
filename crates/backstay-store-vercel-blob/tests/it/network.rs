//! The store over networks that harm connections.

use backstay_core::store::Store;
use backstay_testkit::{VercelTraits, conformance, crash_safety};

use crate::Vercel;

fn open_on(server: &Vercel) -> impl Fn(&str, &str) -> Box<dyn Store> {
    |endpoint, prefix| {
        Box::new(server.store_with(|config| {
            let by_way = |url: String| url.replace(&server.http.endpoint(), endpoint);
            config.endpoint = by_way(server.endpoint());
            config.read_endpoint = Some(by_way(server.read_endpoint()));
            prefix.clone_into(&mut config.prefix);
        }))
    }
}

#[test]
fn promises_are_kept_over_bad_networks() {
    let server = Vercel::start(VercelTraits::default());
    conformance::assert_kept_over_bad_networks(&server.http.endpoint(), &[], open_on(&server));
}

#[test]
fn a_backup_over_a_bad_network_is_whole_or_not_there() {
    let server = Vercel::start(VercelTraits::default());
    crash_safety::a_backup_over_a_bad_network_is_whole_or_not_there(&server.http.endpoint(), open_on(&server));
}
