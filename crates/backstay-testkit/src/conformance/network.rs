use backstay_core::store::Store;

use super::PROMISES;
use crate::tcp_proxy::{Connections, Direction, Harm, TcpProxy};

/// Bytes after which a connection ends: in a request without a body, in a page of a list, in the middle of a large body. One
/// request may be hit by all three.
const ENDS: [u64; 3] = [60, 9001, 1_500_000];

/// Checks that a store keeps its promises over networks whose connections end again and again, in the middle of what is
/// sent or of what is answered. `open` gives the store with that prefix on the server at that endpoint, where it tries four
/// times at least.
///
/// # Panics
/// Where the store breaks one of its promises but those in `except`, or nothing was harmed.
pub fn assert_kept_over_bad_networks(endpoint: &str, except: &[&str], open: impl Fn(&str, &str) -> Box<dyn Store>) {
    let mut harmed = 0;
    for (name, promise) in PROMISES.iter().filter(|(name, _)| !except.contains(name)) {
        for (bad, direction) in [("sent", Direction::ToServer), ("answered", Direction::ToClient)] {
            let proxy = TcpProxy::to_endpoint(endpoint);
            for (number, at) in ENDS.into_iter().enumerate() {
                let end = [Harm::ResetAfter, Harm::CloseAfter][number % 2];
                proxy.harm(Connections::Together, direction, end(at));
            }
            promise(&*open(&proxy.endpoint(), &format!("{name}-{bad}/")));
            harmed += proxy.befallen();
        }
    }
    assert!(harmed > 2 * PROMISES.len(), "a good network: {harmed}");
}
