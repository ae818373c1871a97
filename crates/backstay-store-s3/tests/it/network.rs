//! The store over networks that harm connections.

use backstay_core::store::Store;
use backstay_testkit::{S3Server, conformance, crash_safety};

use crate::fake::{Fake, Traits};
use crate::real::{BEYOND_FILES, open};

fn open_on(server: &S3Server) -> impl Fn(&str, &str) -> Box<dyn Store> {
    |endpoint, prefix| {
        Box::new(open(server, |config| {
            config.endpoint = Some(endpoint.to_owned());
            prefix.clone_into(&mut config.prefix);
        }))
    }
}

#[test]
fn promises_are_kept_over_bad_networks() {
    let fake = Fake::start(Traits::default());
    let open = |endpoint: &str, prefix: &str| -> Box<dyn Store> {
        Box::new(fake.store_with(|config| {
            config.endpoint = Some(endpoint.to_owned());
            prefix.clone_into(&mut config.prefix);
        }))
    };
    conformance::assert_kept_over_bad_networks(&fake.endpoint(), &[], open);
}

#[test]
fn a_server_that_checks_signatures_keeps_them_too() {
    let server = S3Server::start();
    conformance::assert_kept_over_bad_networks(&server.endpoint(), &BEYOND_FILES, open_on(&server));
}

#[test]
fn a_backup_over_a_bad_network_is_whole_or_not_there() {
    let server = S3Server::start();
    crash_safety::a_backup_over_a_bad_network_is_whole_or_not_there(&server.endpoint(), open_on(&server));
}
