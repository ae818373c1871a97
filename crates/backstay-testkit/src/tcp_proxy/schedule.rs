use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// Which connections a harm befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests name them all")]
pub enum Connections {
    /// Each one; bytes are counted in each from its beginning.
    Each,
    /// The n-th since the proxy began, from 1; bytes are counted from its beginning.
    Nth(usize),
    /// The one that happens to carry the byte, where bytes of all connections are counted together, from now on. This is
    /// for clients that keep connections or open several in no certain order.
    Together,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third one")]
pub enum Direction {
    /// What the client sends.
    ToServer,
    /// What the server sends.
    ToClient,
}

/// What befalls a connection. Where it is at a byte, it befalls when there is one more to be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests name them all")]
pub enum Harm {
    /// After so many bytes it is closed in both directions, as by a program that ends.
    CloseAfter(u64),
    /// After so many bytes it is reset in both directions, as by a machine that has forgotten it.
    ResetAfter(u64),
    /// After so many bytes the network is down, until [`heal`](super::TcpProxy::heal): every connection is closed, and so
    /// is every new one.
    DownAfter(u64),
    /// After so many bytes nothing more comes in this direction, for so long or, without a time, for ever. Nobody is told.
    StallAfter(u64, Option<Duration>),
    /// One bit of a byte, counted from 0, comes through wrong.
    FlipBit {
        /// The byte.
        byte: u64,
        /// The bit, from 0 to 7.
        bit: u8,
    },
    /// One bit comes through wrong of a byte of this text, counted from 0, where it comes for the first time. Where the text
    /// comes in two pieces, the next place is taken.
    FlipBitOf {
        /// The text.
        text: &'static [u8],
        /// The byte of it.
        byte: usize,
        /// The bit, from 0 to 7.
        bit: u8,
    },
    /// So many bytes a second come through.
    Slow(u64),
    /// Every byte comes so much later. What is on its way overlaps, so that as many come in a second as without it. It
    /// holds for connections that begin afterwards.
    Delay(Duration),
}

impl Harm {
    fn at(self) -> Option<u64> {
        match self {
            Self::CloseAfter(at)
            | Self::ResetAfter(at)
            | Self::DownAfter(at)
            | Self::StallAfter(at, _)
            | Self::FlipBit { byte: at, .. } => Some(at),
            Self::FlipBitOf { .. } | Self::Slow(_) | Self::Delay(_) => None,
        }
    }
}

/// All harms, and how far each direction has come.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    rules: Mutex<Vec<Rule>>,
    bytes: [AtomicU64; 2],
}

#[derive(Debug)]
struct Rule {
    connections: Connections,
    direction: Direction,
    harm: Harm,
    /// Bytes that had come through together when it was set.
    base: u64,
    befallen: usize,
}

impl Rule {
    fn is_meant(&self, number: usize, direction: Direction) -> bool {
        self.direction == direction && !matches!(self.connections, Connections::Nth(nth) if nth != number)
    }
}

impl Schedule {
    pub(super) fn add(&self, connections: Connections, direction: Direction, harm: Harm) {
        let mut rules = self.rules();
        let base = self.bytes(direction);
        rules.push(Rule {
            connections,
            direction,
            harm,
            base,
            befallen: 0,
        });
    }

    pub(super) fn clear(&self) {
        self.rules().clear();
    }

    pub(super) fn bytes(&self, direction: Direction) -> u64 {
        self.bytes[direction as usize].load(Ordering::SeqCst)
    }

    pub(super) fn befallen(&self) -> usize {
        self.rules().iter().map(|rule| rule.befallen).sum()
    }

    pub(super) fn assert_all_befell(&self) {
        let rules = self.rules();
        let left: Vec<_> = rules.iter().filter(|rule| rule.befallen == 0).collect();
        assert!(left.is_empty(), "never befell: {left:?}");
    }

    /// Counts bytes that are about to be forwarded, and tells what befalls them: at which of them, in their order. Before
    /// them, `passed` came through on this connection.
    pub(super) fn befalls(&self, number: usize, direction: Direction, passed: u64, bytes: &[u8]) -> Vec<(u64, Harm)> {
        let length = bytes.len() as u64;
        let mut rules = self.rules();
        let together = self.bytes[direction as usize].fetch_add(length, Ordering::SeqCst);
        let mut found = Vec::new();
        for rule in rules.iter_mut().filter(|rule| rule.is_meant(number, direction)) {
            let before = match rule.connections {
                Connections::Each | Connections::Nth(_) => passed,
                Connections::Together => together - rule.base,
            };
            let harmed = match rule.harm {
                Harm::FlipBitOf { text, byte, .. } if rule.befallen == 0 => {
                    let place = bytes.windows(text.len()).position(|window| window == text);
                    place.map(|place| (place + byte) as u64)
                }
                harm => harm
                    .at()
                    .filter(|at| (before..before + length).contains(at))
                    .map(|at| at - before),
            };
            if let Some(at) = harmed {
                rule.befallen += 1;
                found.push((at, rule.harm));
            }
        }
        found.sort_by_key(|(at, _)| *at);
        found
    }

    /// How many bytes a second may come through on a connection.
    pub(super) fn pace(&self, number: usize, direction: Direction) -> Option<u64> {
        let paces = self.lasting(number, direction, |harm| match harm {
            Harm::Slow(pace) => Some(pace.max(1)),
            _ => None,
        });
        paces.into_iter().min()
    }

    /// How much later bytes come on a connection that begins now.
    pub(super) fn delay(&self, number: usize, direction: Direction) -> Duration {
        let delays = self.lasting(number, direction, |harm| match harm {
            Harm::Delay(delay) => Some(delay),
            _ => None,
        });
        delays.into_iter().sum()
    }

    fn lasting<T>(&self, number: usize, direction: Direction, of: impl Fn(Harm) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        let mut rules = self.rules();
        for rule in rules.iter_mut().filter(|rule| rule.is_meant(number, direction)) {
            if let Some(lasting) = of(rule.harm) {
                rule.befallen += 1;
                found.push(lasting);
            }
        }
        found
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap()
    }
}
