//! Bytes to and from the server, plain or through TLS, with an eye on the cancel token and the deadline.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::fault::Fault;
use super::socket::{Socket, Wait};
use crate::cancel::CancelToken;

/// A stream of bytes whose every wait can be cancelled.
pub(super) struct Transport {
    socket: Socket,
    session: Option<Box<ClientConnection>>,
    cancel: CancelToken,
    deadline: Option<Instant>,
}

impl Transport {
    pub(super) fn new(socket: Socket, cancel: CancelToken, deadline: Option<Instant>) -> Self {
        Self {
            socket,
            session: None,
            cancel,
            deadline,
        }
    }

    /// Goes over to TLS.
    ///
    /// Nothing that was received before may have been buffered outside: injected plain text must not survive the
    /// change (CVE-2021-23222).
    pub(super) fn start_tls(&mut self, config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<(), Fault> {
        let mut session = ClientConnection::new(config, name).map_err(|error| Fault::Lost(io::Error::other(error)))?;
        while session.is_handshaking() {
            self.look_up()?;
            match session.complete_io(&mut &self.socket) {
                Ok(_) => {}
                Err(error) if is_idle(&error) => {}
                Err(error) => return Err(Fault::Lost(error)),
            }
        }
        self.session = Some(Box::new(session));
        Ok(())
    }

    /// Waits for bytes; at least one comes.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        loop {
            self.look_up()?;
            if let Some(received) = self.try_read(buffer, Wait::Tick)? {
                return Ok(received);
            }
        }
    }

    /// Takes what has come already; `None` where nothing has.
    pub(super) fn read_now(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Fault> {
        self.try_read(buffer, Wait::No)
    }

    /// Tries for one tick to write, and tells how much was taken over; 0 means that the server does not read.
    ///
    /// What was taken over may still be [unsent](Self::has_unsent); a further call, with nothing to add, sends it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.look_up()?;
        let written = match &mut self.session {
            None => (&self.socket).write(bytes),
            Some(session) => write_tls(session, &self.socket, bytes),
        };
        match written {
            Ok(written) => Ok(written),
            Err(error) if is_idle(&error) => Ok(0),
            Err(error) => Err(Fault::Lost(error)),
        }
    }

    /// Forgets the deadline: the connection is established.
    pub(super) fn clear_deadline(&mut self) {
        self.deadline = None;
    }

    /// Gives what is still to be said some time, also when the work itself was cancelled.
    pub(super) fn begin_farewell(&mut self, patience: Duration) {
        self.cancel = CancelToken::new();
        self.deadline = Some(Instant::now() + patience);
    }

    /// Whether bytes that were taken over wait to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.wants_write())
    }

    /// The server's certificate, with TLS.
    pub(super) fn peer_certificate(&self) -> Option<&[u8]> {
        let certificates = self.session.as_ref()?.peer_certificates()?;
        certificates.first().map(AsRef::as_ref)
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.session.is_some()
    }

    pub(super) fn shut_down(&self) {
        self.socket.shut_down();
    }

    fn look_up(&self) -> Result<(), Fault> {
        if self.cancel.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Fault::TimedOut),
            _ => Ok(()),
        }
    }

    fn try_read(&mut self, buffer: &mut [u8], wait: Wait) -> Result<Option<usize>, Fault> {
        let received = match &mut self.session {
            None => self.socket.receive(buffer, wait),
            Some(session) => read_tls(session, &self.socket, buffer, wait),
        };
        match received {
            Ok(0) => Err(Fault::Lost(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            ))),
            Ok(received) => Ok(Some(received)),
            Err(error) if is_idle(&error) => Ok(None),
            Err(error) => Err(Fault::Lost(error)),
        }
    }
}

/// Whether an error says only that nothing happened within the tick.
///
/// `TimedOut` is none of these: on Unix it is the network's verdict that the other side is gone.
fn is_idle(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Reads decrypted bytes. An interrupted wait loses nothing: what was received stays in the session.
fn read_tls(session: &mut ClientConnection, socket: &Socket, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
    struct Receiving<'a>(&'a Socket, Wait);

    impl Read for Receiving<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.receive(buffer, self.1)
        }
    }

    loop {
        match session.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The end without a farewell; what was cut off shows in the framing above.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            result => return result,
        }
        // Answers of TLS itself (a key update, say) go out when they can.
        match send_records(session, socket) {
            Err(error) if !is_idle(&error) => return Err(error),
            _ => {}
        }
        if session.read_tls(&mut Receiving(socket, wait))? == 0 {
            return Ok(0);
        }
        if let Err(error) = session.process_new_packets() {
            // The server may learn why we leave.
            let _ = send_records(session, socket);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
}

/// Hands bytes to the session, and what it makes of them to the socket.
fn write_tls(session: &mut ClientConnection, socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    send_records(session, socket)?;
    let taken = session.writer().write(bytes)?;
    match send_records(session, socket) {
        Err(error) if !is_idle(&error) => Err(error),
        _ => Ok(taken),
    }
}

fn send_records(session: &mut ClientConnection, mut socket: &Socket) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(&mut socket)?;
    }
    Ok(())
}
