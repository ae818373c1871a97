use std::sync::Arc;

use backstay_core::repository::{PublishedBackup, ReadBack, RepositoryError};
use backstay_core::store::Store;
use backstay_core::{Codec, Compression};

use super::aftermath::Aftermath;
use super::written::Written;
use crate::tcp_proxy::{Connections, Direction, Harm, TcpProxy};

/// A store on the server at an endpoint, with a prefix.
type Open<'a> = &'a dyn Fn(&str, &str) -> Box<dyn Store>;

/// Backs up over networks that go down for good, whose connections end, and which change bits, at bytes all along the way.
/// `open` gives the store with that prefix on the server at that endpoint, where it tries twice at least.
///
/// A connection that ends once is no reason to fail. A bit is changed only within the pack: nothing but TLS guards what is
/// asked and told beside it.
///
/// # Panics
/// Where a backup is told to be there and is not, is there and not whole, or the next one fails.
pub fn a_backup_over_a_bad_network_is_whole_or_not_there(endpoint: &str, open: impl Fn(&str, &str) -> Box<dyn Store>) {
    let scene = Scene {
        endpoint,
        open: &open,
        first: Written::with_bulk("kulti_backup_20250116_143022", Compression::new(Codec::Gzip)),
        next: Written::new("kulti_backup_20250117_143022", Compression::new(Codec::Gzip)),
    };
    for direction in [Direction::ToServer, Direction::ToClient] {
        let bytes = scene.bytes(direction);
        let mut failed = 0;
        for (number, at) in (0..5).map(|part| part * bytes / 5).enumerate() {
            failed += usize::from(scene.told(direction, Harm::DownAfter(at)).is_err());
            let end = [Harm::CloseAfter, Harm::ResetAfter][number % 2](at);
            let told = scene.told(direction, end);
            assert!(told.is_ok(), "{direction:?} {end:?}: {:?}", told.err());
        }
        assert!(
            failed >= 4,
            "{direction:?}: only {failed} failed where the network was down"
        );
        // Sent or read back, the pack is most of it. Whether another try mends it is the protocol's matter; what is told is
        // true.
        for byte in [4, 6].map(|part| part * bytes / 10) {
            drop(scene.told(direction, Harm::FlipBit { byte, bit: 2 }));
        }
    }
}

struct Scene<'a> {
    endpoint: &'a str,
    open: Open<'a>,
    first: Written,
    next: Written,
}

impl Scene<'_> {
    /// How many bytes a backup takes in a direction.
    fn bytes(&self, direction: Direction) -> u64 {
        let proxy = TcpProxy::to_endpoint(self.endpoint);
        let store = (self.open)(&proxy.endpoint(), &format!("sound-{direction:?}/"));
        self.first.write(store.into(), ReadBack::Yes).unwrap();
        proxy.bytes(direction)
    }

    /// What is told of a backup over a network with that harm, after it was seen that it is true.
    fn told(&self, direction: Direction, harm: Harm) -> Result<PublishedBackup, RepositoryError> {
        let what = format!("{direction:?} {harm:?}");
        let prefix = format!("{what}/").replace(['(', ')', ' ', '{', '}', ':', ','], "-");
        let proxy = TcpProxy::to_endpoint(self.endpoint);
        let store: Arc<dyn Store> = (self.open)(&proxy.endpoint(), &prefix).into();
        proxy.harm(Connections::Together, direction, harm);
        let told = self.first.write(Arc::clone(&store), ReadBack::Yes);
        proxy.assert_all_befell();

        let direct: Arc<dyn Store> = (self.open)(self.endpoint, &prefix).into();
        let begun = [&self.first, &self.next];
        let aftermath = Aftermath::new(direct, &begun, &what);
        aftermath.assert_sound();
        aftermath.assert_told_truly(&self.first, &told);
        proxy.heal();
        let next = self.next.write(store, ReadBack::Yes);
        aftermath.assert_told_truly(&self.next, &next);
        assert!(next.is_ok(), "the one after {what}: {:?}", next.err());
        aftermath.assert_litter_goes();
        told
    }
}
