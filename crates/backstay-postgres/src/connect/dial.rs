//! From an endpoint to addresses, and from an address to a socket, without waiting longer than wanted.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::{ConnectErrorKind, Failure, TICK};
use crate::cancel::CancelToken;
use crate::config::{Endpoint, Host};
use crate::wire::{Fault, Socket};

/// What a socket connects to.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// An address and a port.
    Tcp(SocketAddr),
    /// The socket's own path.
    Unix(PathBuf),
}

/// The addresses of an endpoint, in the resolver's order.
pub(super) fn addresses(
    endpoint: &Endpoint,
    limit: Option<Duration>,
    cancel: &CancelToken,
) -> Result<Vec<Address>, Failure> {
    let (name, port) = match &endpoint.host {
        Host::Unix(folder) => {
            let path = folder.join(format!(".s.PGSQL.{}", endpoint.port));
            return Ok(vec![Address::Unix(path)]);
        }
        Host::Tcp { name, address } => (address.as_ref().unwrap_or(name).clone(), endpoint.port),
    };
    let found = interruptible(limit, cancel, move || {
        (name.as_str(), port).to_socket_addrs().map(Vec::from_iter)
    })?;
    match found {
        Ok(addresses) => Ok(addresses.into_iter().map(Address::Tcp).collect()),
        Err(error) => Err(Failure::new(ConnectErrorKind::NameNotFound).because(error)),
    }
}

/// Opens a socket.
pub(crate) fn dial(address: &Address, limit: Option<Duration>, cancel: &CancelToken) -> Result<Socket, Failure> {
    let address = address.clone();
    interruptible(limit, cancel, move || Socket::open(&address, limit))?.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::TimedOut => ConnectErrorKind::TimedOut,
            _ => ConnectErrorKind::Unreachable,
        };
        Failure::new(kind).because(error)
    })
}

/// Runs what cannot be interrupted on a thread of its own, which is left to itself if it takes too long.
///
/// Neither the resolver nor `connect` heeds a token, and both may take minutes.
pub(super) fn interruptible<T: Send + 'static>(
    limit: Option<Duration>,
    cancel: &CancelToken,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("backstay-connect".to_owned())
        .spawn(move || {
            // Fails only when nobody waits any more.
            let _ = sender.send(work());
        })
        .map_err(|error| Failure::new(ConnectErrorKind::Other).because(error))?;
    loop {
        if cancel.is_cancelled() {
            return Err(Fault::Cancelled.into());
        }
        let left = deadline.map_or(TICK, |deadline| deadline.saturating_duration_since(Instant::now()));
        match receiver.recv_timeout(left.min(TICK)) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(Fault::TimedOut.into()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(ConnectErrorKind::Other).because("the thread that connects died"));
            }
        }
    }
}
