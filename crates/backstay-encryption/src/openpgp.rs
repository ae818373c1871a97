use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use age::secrecy::ExposeSecret as _;
use backstay_core::DigestKey;
use backstay_core::seal::{SealError, SealMethod, SealedObject, Sealer, Sealing, Unsealed};
use pgp::composed::{DecryptionOptions, Message, MessageBuilder, TheRing};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::types::{Password, Seipdv1ReadMode, StringToKey};
use rand::thread_rng;

use crate::output::Output;
use crate::passphrase::Passphrase;
use crate::stored;

/// How long a passphrase is stretched: 65 million bytes of SHA-256, the most that the format has (RFC 4880, 3.7.1.3).
const STRETCHING: u8 = 255;
/// Bytes of a piece of a packet.
const PARTIAL_BYTES: u32 = 64 << 10;
/// Bytes that go to the encrypting thread at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Seals as `OpenPGP` messages with AES-256 and a passphrase, as `gpg --symmetric --cipher-algo AES256` does, so that
/// `gpg --decrypt` opens them.
///
/// The format cannot be read from the middle. Whoever opens such an object reads all of it first.
#[derive(Clone, Debug)]
pub struct OpenPgpSealer(Passphrase);

impl OpenPgpSealer {
    /// To whoever knows the passphrase.
    #[must_use]
    pub fn new(passphrase: Passphrase) -> Self {
        Self(passphrase)
    }
}

fn password(passphrase: &Passphrase) -> Password {
    Password::from(passphrase.secret().expose_secret())
}

impl Sealer for OpenPgpSealer {
    fn method(&self) -> SealMethod {
        SealMethod::OpenPgp
    }

    fn recipients(&self) -> Vec<String> {
        vec!["passphrase".to_owned()]
    }

    fn new_digest_key(&self) -> DigestKey {
        DigestKey::from_bytes(rand::random())
    }

    fn begin(&self) -> Result<Box<dyn Sealing>, SealError> {
        let (feed, pieces) = sync_channel(1);
        let out = Output::default();
        let (password, written) = (password(&self.0), out.clone());
        let thread = thread::Builder::new()
            .name("openpgp".to_owned())
            .spawn(move || encrypt(Pieces::new(pieces), &password, written))
            .map_err(SealError::Io)?;
        Ok(Box::new(OpenPgpSealing { feed, thread, out }))
    }
}

/// Encrypts what comes until nothing more does. The library wants to read by itself, so it has a thread.
fn encrypt(source: Pieces, password: &Password, out: Output) -> Result<(), String> {
    let text = |error: pgp::errors::Error| error.to_string();
    let mut builder = MessageBuilder::from_reader("", source).seipd_v1(thread_rng(), SymmetricKeyAlgorithm::AES256);
    let stretched = StringToKey::new_iterated(thread_rng(), HashAlgorithm::Sha256, STRETCHING);
    builder.encrypt_with_password(stretched, password).map_err(text)?;
    builder.partial_chunk_size(PARTIAL_BYTES).map_err(text)?;
    builder.to_writer(thread_rng(), out).map_err(text)
}

struct OpenPgpSealing {
    feed: SyncSender<Vec<u8>>,
    thread: JoinHandle<Result<(), String>>,
    out: Output,
}

impl Sealing for OpenPgpSealing {
    fn seal(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.feed
                .send(piece.to_vec())
                .map_err(|_| SealError::Seal("the encryption ended early".to_owned()))?;
            self.out.move_to(out);
        }
        Ok(())
    }

    fn stored_bytes(&self, bytes: u64) -> u64 {
        // Packets in packets, each cut into pieces with a length in one byte; the rest is headers, salt, prefix and MDC.
        bytes
            .saturating_add(4 * bytes.div_ceil(u64::from(PARTIAL_BYTES)))
            .saturating_add(1024)
    }

    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<(), SealError> {
        let Self {
            feed,
            thread,
            out: rest,
        } = *self;
        let (end, _) = (feed.send(END), drop(feed));
        let ended = thread.join().map_err(|_| "a thread panicked".to_owned());
        ended.and_then(|ended| ended).map_err(SealError::Seal)?;
        end.map_err(|_| SealError::Seal("the encryption ended early".to_owned()))?;
        rest.move_to(out);
        Ok(())
    }
}

/// What stands for the end, so that a sealing that was given up is not taken for one that ended.
const END: Vec<u8> = Vec::new();

/// The pieces that come over a channel, as one stream.
struct Pieces {
    pieces: Receiver<Vec<u8>>,
    piece: io::Cursor<Vec<u8>>,
    is_ended: bool,
}

impl Pieces {
    fn new(pieces: Receiver<Vec<u8>>) -> Self {
        Self {
            pieces,
            piece: io::Cursor::default(),
            is_ended: false,
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.fill_buf()?.is_empty() && !self.is_ended {
            let piece = self.pieces.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.is_ended = piece.is_empty();
            self.piece = io::Cursor::new(piece);
        }
        self.piece.read(buffer)
    }
}

/// An `OpenPGP` message that was read to its end, checked, and laid into a file without a name.
pub(crate) struct OpenPgpObject {
    file: Arc<File>,
    bytes: u64,
}

impl OpenPgpObject {
    /// Tries each passphrase. What is in the message is given to nobody before its end was reached and its digest agreed
    /// (RFC 4880, 5.13).
    pub(crate) fn open(object: &SealedObject, passphrases: &[Passphrase]) -> Result<Self, SealError> {
        if passphrases.is_empty() {
            return Err(SealError::NoKey {
                recipients: vec!["passphrase".to_owned()],
            });
        }
        let mut refused = SealError::Passphrase;
        for passphrase in passphrases {
            match decrypt(object, passphrase) {
                Ok(opened) => return Ok(opened),
                Err(error @ (SealError::Store(_) | SealError::Io(_))) => return Err(error),
                Err(SealError::Passphrase) => {}
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

fn decrypt(object: &SealedObject, passphrase: &Passphrase) -> Result<OpenPgpObject, SealError> {
    let (stored, failed) = Whole::new(object.read(0..object.bytes())?, object.bytes());
    decrypt_stored(stored, passphrase).map_err(|error| failed.or(error))
}

fn decrypt_stored(stored: Whole, passphrase: &Passphrase) -> Result<OpenPgpObject, SealError> {
    let source = Source(BufReader::with_capacity(PIECE_BYTES, stored));
    let unreadable = |error: pgp::errors::Error| SealError::Damaged(format!("no whole OpenPGP message: {error}"));
    let message = Message::from_bytes(source).map_err(unreadable)?;
    if !message.is_encrypted() {
        return Err(SealError::Unsupported("it is not encrypted".to_owned()));
    }
    let password = password(passphrase);
    let ring = TheRing {
        message_password: vec![&password],
        decrypt_options: DecryptionOptions::new()
            .set_seipdv1_read_mode(Seipdv1ReadMode::Streaming)
            .enable_gnupg_aead(),
        ..TheRing::default()
    };
    // A wrong passphrase shows in the first bytes, which do not repeat as they should.
    let (message, _) = message
        .decrypt_the_ring(ring, true)
        .map_err(|_| SealError::Passphrase)?;
    let mut message = if message.is_compressed() {
        message.decompress().map_err(unreadable)?
    } else {
        message
    };
    let mut file = tempfile::tempfile().map_err(SealError::Io)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    loop {
        let length = message.read(&mut piece).map_err(|error| {
            SealError::Damaged(format!("a piece of it was changed, or its end is missing: {error}"))
        })?;
        if length == 0 {
            break;
        }
        file.write_all(&piece[..length]).map_err(SealError::Io)?;
        bytes += length as u64;
    }
    file.rewind().map_err(SealError::Io)?;
    Ok(OpenPgpObject {
        file: Arc::new(file),
        bytes,
    })
}

/// Stored bytes of which all must come. What goes wrong is kept aside, since the library may not hand it on.
struct Whole {
    reader: Box<dyn Read + Send>,
    left: u64,
    failed: Aside,
}

/// What went wrong.
#[derive(Clone, Default)]
struct Aside(Arc<Mutex<Option<io::Error>>>);

impl Aside {
    /// The store's failure, or else what the library made of the bytes.
    fn or(&self, error: SealError) -> SealError {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(error, stored::failure)
    }
}

impl Whole {
    fn new(reader: Box<dyn Read + Send>, bytes: u64) -> (Self, Aside) {
        let failed = Aside::default();
        let whole = Self {
            reader,
            left: bytes,
            failed: failed.clone(),
        };
        (whole, failed)
    }
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = match self.reader.read(buffer) {
            Ok(0) if self.left > 0 && !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            outcome => outcome,
        };
        match outcome {
            Ok(count) => {
                self.left = self.left.saturating_sub(count as u64);
                Ok(count)
            }
            Err(error) => {
                let again = io::Error::from(error.kind());
                *self.failed.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(again)
            }
        }
    }
}

/// The stored bytes, with the form that the library asks for.
struct Source(BufReader<Whole>);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl Unsealed for OpenPgpObject {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, range: Range<u64>) -> Result<Box<dyn Read + Send>, SealError> {
        Ok(Box::new(Part {
            file: Arc::clone(&self.file),
            range,
        }))
    }
}

/// A range of the file.
struct Part {
    file: Arc<File>,
    range: Range<u64>,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.range.end.saturating_sub(self.range.start);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..length], self.range.start)?;
        if count == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.range.start += count as u64;
        Ok(count)
    }
}
