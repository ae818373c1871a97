//! Cuts the server's bytes into messages without copying or allocating for each of them.
//!
//! A message is a byte that tells its kind, four bytes of length (which count themselves) and the body
//! (<https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-MESSAGE-CONCEPTS>).

use std::ops::Range;

use super::fault::Fault;

/// Length of the kind and the length.
pub(super) const HEADER_BYTES: usize = 5;

/// How much is received at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// A buffer that a long row made larger than this is given back after it.
const BUFFER_KEPT_BYTES: usize = 8 * 1024 * 1024;

/// What the server itself can hold in one value or row is 1 GiB; the slack is for what surrounds it.
const LONG_BODY_BYTES_MAX: usize = (1 << 30) + (1 << 16);

/// Bound of the messages that carry neither rows nor text of the database.
const SHORT_BODY_BYTES_MAX: usize = 1 << 20;

/// Bound of every message of a server that nobody authenticated yet.
const EARLY_BODY_BYTES_MAX: usize = 1 << 16;

/// How far the server is trusted not to waste memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Not yet authenticated.
    Early,
    /// Authenticated.
    Established,
}

/// Received bytes, of which those between `start` and `end` are not consumed yet.
///
/// It grows only as bytes arrive, whatever length a message claims.
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    trust: Trust,
}

impl FrameBuffer {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            trust: Trust::Early,
        }
    }

    pub(super) fn trust(&mut self) {
        self.trust = Trust::Established;
    }

    /// Consumes the next message if it is whole: its kind, and where its body is until the next call of
    /// [`Self::spare`].
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u8, Range<usize>)>, Fault> {
        let Some((tag, body)) = self.peek()? else {
            return Ok(None);
        };
        self.start = body.end;
        Ok(Some((tag, body)))
    }

    /// Like [`Self::next`], but consumes nothing.
    #[inline]
    pub(super) fn peek(&self) -> Result<Option<(u8, Range<usize>)>, Fault> {
        let Some((tag, total)) = self.header()? else {
            return Ok(None);
        };
        if self.end - self.start < total {
            return Ok(None);
        }
        Ok(Some((tag, self.start + HEADER_BYTES..self.start + total)))
    }

    /// The bytes of a body.
    #[inline]
    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Room to receive into; never empty. To be called only when no whole message is left.
    pub(super) fn spare(&mut self) -> Result<&mut [u8], Fault> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.bytes.len() > BUFFER_KEPT_BYTES && self.end < BUFFER_BYTES {
            self.bytes.truncate(BUFFER_BYTES);
            self.bytes.shrink_to_fit();
        }
        if self.end == self.bytes.len() {
            // A full buffer that holds no whole message holds the beginning of a longer one, or of several that
            // nobody consumes yet.
            let doubled = self.bytes.len() * 2;
            let larger = match self.header()? {
                Some((_, total)) if total > self.bytes.len() => total.min(doubled),
                _ => doubled,
            };
            self.bytes.reserve_exact(larger - self.bytes.len());
            self.bytes.resize(larger, 0);
        }
        Ok(&mut self.bytes[self.end..])
    }

    /// Says that so many bytes were received into the spare room.
    pub(super) fn filled(&mut self, received: usize) {
        self.end += received;
    }

    /// How many bytes wait to be consumed.
    pub(super) fn waiting(&self) -> usize {
        self.end - self.start
    }

    /// Kind and whole length of the next message.
    #[inline]
    fn header(&self) -> Result<Option<(u8, usize)>, Fault> {
        let Some(&[tag, a, b, c, d]) = self.bytes[self.start..self.end].first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length < 4 || length - 4 > body_bytes_max(tag, self.trust) {
            return Err(Fault::Violation(format!(
                "message '{}' with an impossible length of {length} bytes",
                tag.escape_ascii()
            )));
        }
        Ok(Some((tag, length + 1)))
    }
}

fn body_bytes_max(tag: u8, trust: Trust) -> usize {
    match (trust, tag) {
        (Trust::Early, _) => EARLY_BODY_BYTES_MAX,
        // CopyData, DataRow, and the texts that a user's function may raise
        (Trust::Established, b'd' | b'D' | b'E' | b'N') => LONG_BODY_BYTES_MAX,
        (Trust::Established, _) => SHORT_BODY_BYTES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn feed(buffer: &mut FrameBuffer, mut bytes: &[u8], piece_bytes: usize) -> Vec<(u8, Vec<u8>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let spare = buffer.spare().unwrap();
            let now = bytes.len().min(piece_bytes).min(spare.len());
            spare[..now].copy_from_slice(&bytes[..now]);
            buffer.filled(now);
            bytes = &bytes[now..];
            while let Some((tag, body)) = buffer.next().unwrap() {
                found.push((tag, buffer.slice(body).to_vec()));
            }
        }
        found
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_they_are_cut(
            messages in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 0..50),
            piece_bytes in 1usize..2000,
        ) {
            let mut buffer = FrameBuffer::new();
            let bytes: Vec<u8> = messages.iter().flat_map(|(tag, body)| message(*tag, body)).collect();
            prop_assert_eq!(feed(&mut buffer, &bytes, piece_bytes), messages);
        }
    }

    #[test]
    fn a_message_longer_than_the_buffer_passes_and_its_memory_is_given_back() {
        let mut buffer = FrameBuffer::new();
        buffer.trust();
        let long = vec![7; BUFFER_KEPT_BYTES * 2];
        let found = feed(&mut buffer, &message(b'd', &long), usize::MAX);
        assert_eq!(found.len(), 1);
        assert!(found[0].1 == long);
        assert!(buffer.bytes.len() > BUFFER_KEPT_BYTES);
        feed(&mut buffer, &message(b'd', b"short"), usize::MAX);
        assert_eq!(buffer.bytes.len(), BUFFER_BYTES);
    }

    #[test]
    fn a_claimed_length_alone_takes_no_memory() {
        let mut buffer = FrameBuffer::new();
        buffer.trust();
        feed(&mut buffer, &[b'd', 0x3f, 0xff, 0xff, 0xff, 1, 2, 3], 100);
        buffer.spare().unwrap();
        assert_eq!(buffer.bytes.len(), BUFFER_BYTES);
    }

    #[test]
    fn lengths_are_bounded() {
        for (trust, tag, length, accepted) in [
            (Trust::Early, b'R', 3, false),
            (Trust::Early, b'R', 4, true),
            (Trust::Early, b'd', EARLY_BODY_BYTES_MAX + 4, true),
            (Trust::Early, b'd', EARLY_BODY_BYTES_MAX + 5, false),
            (Trust::Established, b'd', LONG_BODY_BYTES_MAX + 4, true),
            (Trust::Established, b'd', LONG_BODY_BYTES_MAX + 5, false),
            (Trust::Established, b'Z', SHORT_BODY_BYTES_MAX + 4, true),
            (Trust::Established, b'Z', SHORT_BODY_BYTES_MAX + 5, false),
            (Trust::Established, b'd', u32::MAX as usize, false),
        ] {
            let mut buffer = FrameBuffer::new();
            buffer.trust = trust;
            let mut header = vec![tag];
            header.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
            let spare = buffer.spare().unwrap();
            spare[..5].copy_from_slice(&header);
            buffer.filled(5);
            assert_eq!(buffer.next().is_ok(), accepted, "{trust:?} {tag} {length}");
        }
    }
}
