//! A connected socket, TCP or Unix-domain, that never blocks for longer than a tick.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};

use crate::connect::Address;

/// How long a read or write may block before whoever waits looks at its cancel token.
pub(crate) const TICK: Duration = Duration::from_millis(250);

// A firewall forgets a quiet connection within minutes, while the connection that holds a snapshot is quiet for hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 6;

/// Whether a read may wait for data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// For one tick.
    Tick,
    /// Not at all.
    No,
}

/// A connected stream socket.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

impl Socket {
    /// Connects; `limit` bounds the time that TCP may take.
    pub(crate) fn open(address: &Address, limit: Option<Duration>) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let stream = match limit {
                    Some(limit) => TcpStream::connect_timeout(address, limit)?,
                    None => TcpStream::connect(address)?,
                };
                stream.set_nodelay(true)?;
                sockopt::set_socket_keepalive(&stream, true)?;
                sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
                sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_INTERVAL)?;
                sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_PROBES)?;
                stream.set_read_timeout(Some(TICK))?;
                stream.set_write_timeout(Some(TICK))?;
                Ok(Self(stream.into()))
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(TICK))?;
                stream.set_write_timeout(Some(TICK))?;
                Ok(Self(stream.into()))
            }
        }
    }

    /// Receives what there is; [`io::ErrorKind::WouldBlock`] where nothing came in time.
    pub(super) fn receive(&self, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        let flags = match wait {
            Wait::Tick => RecvFlags::empty(),
            Wait::No => RecvFlags::DONTWAIT,
        };
        let (received, _) = recv(&self.0, buffer, flags)?;
        Ok(received)
    }

    /// Ends both directions, so that the server notices at once; errors mean that they have ended already.
    pub(super) fn shut_down(&self) {
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, Wait::Tick)
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A library must not depend on how its program treats SIGPIPE.
        Ok(send(&self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
