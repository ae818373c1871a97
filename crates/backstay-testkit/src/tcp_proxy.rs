//! A way to a server that harms connections by schedule.

mod link;
mod schedule;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use schedule::Schedule;
pub use schedule::{Connections, Direction, Harm};

/// A TCP proxy on a free port of the loopback interface. It forwards to one address until it is dropped, which ends every
/// connection and all of its threads.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    schedule: Schedule,
    connections: AtomicUsize,
    /// Connections with numbers up to this one end at once.
    cut: AtomicUsize,
    is_over: AtomicBool,
}

impl Shared {
    /// Whether the connection of that number has to end.
    fn ends(&self, number: usize) -> bool {
        self.is_over.load(Ordering::SeqCst) || number <= self.cut.load(Ordering::SeqCst)
    }

    /// Ends connections with numbers up to this one.
    fn cut(&self, number: usize) {
        self.cut.store(number, Ordering::SeqCst);
    }
}

impl TcpProxy {
    /// A proxy to that address, which harms nothing yet. Whether anybody listens there shows when somebody connects: where
    /// nobody does, the connection is closed.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            thread::scope(|scope| {
                for near in listener.incoming() {
                    if serving.is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let number = serving.connections.fetch_add(1, Ordering::SeqCst) + 1;
                    let far = TcpStream::connect(target);
                    let serving = &serving;
                    scope.spawn(move || {
                        // A peer that is gone has nothing more to be told.
                        if let Ok((near, far)) = both(near, far) {
                            drop(link::forward(&near, &far, number, serving));
                        }
                    });
                }
            });
        });
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// A proxy to a port of the loopback interface.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn to_port(port: u16) -> Self {
        Self::to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// A proxy to the server of a URL like `http://127.0.0.1:8014`.
    ///
    /// # Panics
    /// Where it is another kind of URL, or it does not start.
    #[must_use]
    pub fn to_endpoint(endpoint: &str) -> Self {
        let address = endpoint
            .strip_prefix("http://")
            .and_then(|address| address.parse().ok());
        Self::to(address.unwrap_or_else(|| panic!("{endpoint} is not http:// with an address and a port")))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL without a slash at its end.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has a harm befall connections, those that there are already too.
    pub fn harm(&self, connections: Connections, direction: Direction, harm: Harm) {
        self.shared.schedule.add(connections, direction, harm);
    }

    /// Forgets all harms; those that have befallen stay: what was cut stays cut, what was stalled for good stays stalled.
    pub fn heal(&self) {
        self.shared.schedule.clear();
        if self.shared.cut.load(Ordering::SeqCst) == usize::MAX {
            self.cut();
        }
    }

    /// Ends every connection that there is, as if both sides had gone.
    pub fn cut(&self) {
        self.shared.cut(self.connections());
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many bytes came in a direction, also those that a harm kept back.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.shared.schedule.bytes(direction)
    }

    /// How often harms befell that are not forgotten.
    #[must_use]
    pub fn befallen(&self) -> usize {
        self.shared.schedule.befallen()
    }

    /// Whether every harm befell that is not forgotten.
    ///
    /// # Panics
    /// Where one did not, with what it is.
    pub fn assert_all_befell(&self) {
        self.shared.schedule.assert_all_befell();
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // It wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            let ended = acceptor.join();
            assert!(ended.is_ok() || thread::panicking(), "a thread of the proxy panicked");
        }
    }
}

fn both(near: io::Result<TcpStream>, far: io::Result<TcpStream>) -> io::Result<(TcpStream, TcpStream)> {
    Ok((near?, far?))
}
