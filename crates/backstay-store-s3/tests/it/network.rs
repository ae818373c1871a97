//! The store over networks that harm connections.

use std::io::Read as _;

use backstay_core::ObjectKey;
use backstay_core::store::Store;
use backstay_testkit::tcp_proxy::TcpProxy;
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

#[test]
fn ranges_that_are_read_one_after_another_need_one_connection() {
    let server = S3Server::start();
    let proxy = TcpProxy::to_endpoint(&server.endpoint());
    let store = open_on(&server)(&proxy.endpoint(), "ranges/");
    let key: ObjectKey = "a.sql.gz".parse().unwrap();
    let mut writer = store.create(&key).unwrap();
    writer.append(&[7; 100_000]).unwrap();
    writer.publish().unwrap();
    let before = proxy.connections();
    for start in (0..100_000).step_by(10_000) {
        let mut bytes = [0; 10_000];
        store
            .read(&key, Some(start..start + 10_000))
            .unwrap()
            .read_exact(&mut bytes)
            .unwrap();
        assert_eq!(bytes, [7; 10_000]);
    }
    assert_eq!(proxy.connections(), before);
}
