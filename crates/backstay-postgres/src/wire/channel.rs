//! A conversation in messages, with what the server may say at any time kept aside.

use std::collections::{BTreeMap, VecDeque};

use super::fault::Fault;
use super::frame::FrameBuffer;
use super::message::parse_parameter;
use super::server_error::ServerError;
use super::transport::Transport;

/// Older notices give way to newer ones.
const NOTICES_MAX: usize = 100;

/// A server has a few dozen parameters that it reports.
const PARAMETERS_MAX: usize = 1000;

/// What a server may say while rows are sent to it, before that is a flood.
const UNREAD_BYTES_MAX: usize = 64 << 20;

/// A message of the server: its kind and its body.
pub(super) struct Frame<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
}

/// The conversation.
pub(super) struct Channel {
    pub(super) transport: Transport,
    frames: FrameBuffer,
    parameters: BTreeMap<String, String>,
    notices: VecDeque<ServerError>,
}

impl Channel {
    /// Begins with a server that is not authenticated yet.
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            transport,
            frames: FrameBuffer::new(),
            parameters: BTreeMap::new(),
            notices: VecDeque::new(),
        }
    }

    /// Ends the caution of the start: long messages are accepted, and time is no longer limited.
    pub(super) fn establish(&mut self) {
        self.frames.trust();
        self.transport.clear_deadline();
    }

    /// Waits for the next message that is an answer.
    #[inline]
    pub(super) fn receive(&mut self) -> Result<Frame<'_>, Fault> {
        loop {
            match self.frames.next()? {
                Some((tag @ (b'N' | b'S' | b'A'), body)) => {
                    Self::note(&mut self.parameters, &mut self.notices, tag, self.frames.slice(body))?;
                }
                Some((tag, body)) => {
                    return Ok(Frame {
                        tag,
                        body: self.frames.slice(body),
                    });
                }
                None => {
                    let received = self.transport.read(self.frames.spare()?)?;
                    self.frames.filled(received);
                }
            }
        }
    }

    /// Sends whole messages.
    ///
    /// While the server does not read, what it says is taken in: it may be waiting for just that.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() || self.transport.has_unsent() {
            let sent = self.transport.write(bytes)?;
            bytes = &bytes[sent..];
            if sent == 0 {
                self.take_in()?;
            }
        }
        Ok(())
    }

    /// Takes in what the server has said already, and tells whether an answer is among it.
    pub(super) fn take_in(&mut self) -> Result<bool, Fault> {
        loop {
            match self.frames.peek()? {
                Some((b'N' | b'S' | b'A', _)) => {
                    if let Some((tag, body)) = self.frames.next()? {
                        Self::note(&mut self.parameters, &mut self.notices, tag, self.frames.slice(body))?;
                    }
                }
                Some(_) => return Ok(true),
                None if self.frames.waiting() > UNREAD_BYTES_MAX => {
                    return Err(Fault::Violation("an endless message while rows are sent".to_owned()));
                }
                None => match self.transport.read_now(self.frames.spare()?)? {
                    Some(received) => self.frames.filled(received),
                    None => return Ok(false),
                },
            }
        }
    }

    /// What the server said before the connection was lost, if it said why.
    pub(super) fn last_words(&mut self) -> Option<ServerError> {
        // The end of the connection is known; what came before it may still be read.
        let _ = self.take_in();
        while let Ok(Some((tag, body))) = self.frames.next() {
            if tag == b'E' {
                return Some(ServerError::parse(self.frames.slice(body)));
            }
        }
        None
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    pub(super) fn take_notices(&mut self) -> Vec<ServerError> {
        std::mem::take(&mut self.notices).into()
    }

    /// Keeps what no statement asked for. Notifications are dropped: nobody listens.
    #[cold]
    fn note(
        parameters: &mut BTreeMap<String, String>,
        notices: &mut VecDeque<ServerError>,
        tag: u8,
        body: &[u8],
    ) -> Result<(), Fault> {
        match tag {
            b'S' => {
                let (name, value) = parse_parameter(body)?;
                parameters.insert(name, value);
                if parameters.len() > PARAMETERS_MAX {
                    return Err(Fault::Violation("too many parameters".to_owned()));
                }
            }
            b'N' => {
                if notices.len() == NOTICES_MAX {
                    notices.pop_front();
                }
                notices.push_back(ServerError::parse(body));
            }
            _ => {}
        }
        Ok(())
    }
}
