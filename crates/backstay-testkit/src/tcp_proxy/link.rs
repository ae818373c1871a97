//! One connection, with two threads for each direction: one takes what comes, the other hands it on when it is time.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::Shared;
use super::schedule::{Direction, Harm};

/// How soon a thread that waits sees that its connection has to end.
const LOOK: Duration = Duration::from_millis(10);
const CHUNK_BYTES: usize = 32 << 10;
/// What may be on its way: little, so that a slow receiver slows the sender, but enough of what is delayed.
const QUEUE: usize = 2;
const QUEUE_DELAYED: usize = 512;

/// What came from one side.
enum News {
    Bytes(Vec<u8>),
    /// It has said its last.
    End,
    /// It is gone.
    Reset,
}

/// How a connection ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Reset,
}

/// One direction of a connection.
struct Lane<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    direction: Direction,
    number: usize,
    shared: &'a Shared,
    /// It is the same for both directions.
    end: &'a OnceLock<End>,
}

/// Forwards in both directions until each side has said its last, or the connection is harmed.
///
/// # Errors
/// The sockets are of no use.
pub(super) fn forward(near: &TcpStream, far: &TcpStream, number: usize, shared: &Shared) -> io::Result<()> {
    for socket in [near, far] {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(LOOK))?;
    }
    let end = OnceLock::new();
    let lane = |from, to, direction| Lane {
        from,
        to,
        direction,
        number,
        shared,
        end: &end,
    };
    let lanes = [
        lane(near, far, Direction::ToServer),
        lane(far, near, Direction::ToClient),
    ];
    thread::scope(|scope| {
        for lane in &lanes {
            let delay = shared.schedule.delay(number, lane.direction);
            let (queue, queued) = sync_channel(if delay.is_zero() { QUEUE } else { QUEUE_DELAYED });
            scope.spawn(move || lane.take(&queue, delay));
            scope.spawn(move || lane.hand_on(&queued));
        }
    });
    for socket in [near, far] {
        match end.get() {
            // The socket is closed behind this, which then sends a reset.
            Some(End::Reset) => set_socket_linger(socket, Some(Duration::ZERO))?,
            _ => drop(socket.shutdown(Shutdown::Both)),
        }
    }
    Ok(())
}

impl Lane<'_> {
    /// Queues what comes, until there is no more.
    fn take(&self, queue: &SyncSender<(Instant, News)>, delay: Duration) {
        let mut from = self.from;
        let mut buffer = vec![0; CHUNK_BYTES];
        while !self.is_over() {
            let news = match from.read(&mut buffer) {
                Ok(0) => News::End,
                Ok(count) => News::Bytes(buffer[..count].to_vec()),
                Err(error) if is_passing(&error) => continue,
                Err(_) => News::Reset,
            };
            let is_last = !matches!(news, News::Bytes(_));
            let mut item = (Instant::now() + delay, news);
            while let Err(TrySendError::Full(back)) = queue.try_send(item) {
                if self.is_over() {
                    return;
                }
                item = back;
                thread::sleep(Duration::from_millis(1));
            }
            if is_last {
                return;
            }
        }
    }

    /// Hands on what is queued, each when it is due.
    fn hand_on(&self, queued: &Receiver<(Instant, News)>) {
        let mut passed = 0;
        while !self.is_over() {
            let (due, news) = match queued.recv_timeout(LOOK) {
                Ok(item) => item,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.wait(Some(due.saturating_duration_since(Instant::now())));
            match news {
                News::Bytes(bytes) => {
                    let count = bytes.len() as u64;
                    // Who sends to somebody who is gone is to learn it.
                    if self.deliver(bytes, passed).is_err() {
                        self.end(End::Reset);
                    }
                    passed += count;
                }
                News::End => {
                    drop(self.to.shutdown(Shutdown::Write));
                    return;
                }
                News::Reset => self.end(End::Reset),
            }
        }
    }

    /// Writes bytes, with what befalls them.
    fn deliver(&self, mut bytes: Vec<u8>, passed: u64) -> io::Result<()> {
        let schedule = &self.shared.schedule;
        let mut written = 0;
        for (at, harm) in schedule.befalls(self.number, self.direction, passed, &bytes) {
            let at = usize::try_from(at).expect("it is a place in the bytes");
            if let Harm::FlipBit { bit, .. } | Harm::FlipBitOf { bit, .. } = harm {
                bytes[at] ^= 1 << bit;
                continue;
            }
            self.write(&bytes[written..at])?;
            written = at;
            match harm {
                Harm::CloseAfter(_) => self.end(End::Close),
                Harm::ResetAfter(_) => self.end(End::Reset),
                Harm::DownAfter(_) => self.shared.cut(usize::MAX),
                Harm::StallAfter(_, time) => self.wait(time),
                Harm::FlipBit { .. } | Harm::FlipBitOf { .. } | Harm::Slow(_) | Harm::Delay(_) => {}
            }
        }
        self.write(&bytes[written..])
    }

    /// Writes bytes at the pace that is set, as long as the connection lasts.
    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut to = self.to;
        while !bytes.is_empty() && !self.is_over() {
            let pace = self.shared.schedule.pace(self.number, self.direction);
            // Fifty pieces a second.
            let piece = pace.map_or(bytes.len(), |pace| {
                usize::try_from(pace / 50).unwrap_or(usize::MAX).max(1)
            });
            match to.write(&bytes[..piece.min(bytes.len())]) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    if let Some(pace) = pace {
                        self.wait(Some(Duration::from_secs_f64(count as f64 / pace as f64)));
                    }
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits so long, or for ever, but no longer than the connection lasts.
    fn wait(&self, time: Option<Duration>) {
        let begun = Instant::now();
        while !self.is_over() {
            let left = time.map_or(LOOK, |time| time.saturating_sub(begun.elapsed()));
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(LOOK));
        }
    }

    fn end(&self, end: End) {
        self.end.get_or_init(|| end);
    }

    fn is_over(&self) -> bool {
        self.end.get().is_some() || self.shared.ends(self.number)
    }
}

/// Whether it only took longer than [`LOOK`].
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
