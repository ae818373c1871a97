use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use age::stream::StreamReader;
use age::{DecryptError, Decryptor};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::secrecy::ExposeSecret as _;
use backstay_core::seal::{SealError, SealedObject, Unsealed};
use zeroize::Zeroizing;

use crate::identity::Identities;
use crate::stored::{failure, told, untold};

/// Bytes of an age file that are kept: its header, which is longer only with hundreds of recipients, and the beginning.
const HEAD_BYTES: u64 = 64 << 10;
/// A piece of the payload: 64 KiB of what was sealed and a tag (<https://c2sp.org/age#payload>).
const PIECE_BYTES: u64 = 64 << 10;
const TAG_BYTES: u64 = 16;

/// An age file whose key is known. Ranges of it are read without reading the rest.
pub(crate) struct AgeObject {
    stored: Arc<Stored>,
    key: Zeroizing<[u8; FILE_KEY_BYTES]>,
    /// Where the payload begins.
    payload: u64,
    bytes: u64,
}

/// The stored bytes, with the first of them in memory.
struct Stored {
    object: SealedObject,
    head: Vec<u8>,
}

impl AgeObject {
    pub(crate) fn open(object: SealedObject, identities: &Identities) -> Result<Self, SealError> {
        let mut head = Vec::new();
        let head_bytes = object.bytes().min(HEAD_BYTES);
        object.read(0..head_bytes)?.read_to_end(&mut head).map_err(failure)?;
        let stored = Arc::new(Stored { object, head });
        let decryptor = Decryptor::new(Window::new(&stored, 0)).map_err(as_seal_error)?;
        let capturing = Capturing {
            identities,
            found: RefCell::default(),
            stated: RefCell::default(),
        };
        let mut reader = decryptor
            .decrypt(std::iter::once(&capturing as &dyn age::Identity))
            .map_err(|error| match error {
                DecryptError::NoMatchingKeys => SealError::NoKey {
                    recipients: capturing.stated.take(),
                },
                other => as_seal_error(other),
            })?;
        // The last piece says that it is the last: so the length is proven.
        let bytes = reader.seek(SeekFrom::End(0)).map_err(as_damage)?;
        let pieces = bytes.div_ceil(PIECE_BYTES).max(1);
        let payload = stored.object.bytes() - bytes - pieces * TAG_BYTES;
        let key = capturing.found.into_inner().ok_or(SealError::Passphrase)?;
        Ok(Self {
            stored,
            key,
            payload,
            bytes,
        })
    }

    /// A reader of what was sealed, that will read the stored bytes up to `stop` in one go.
    fn reader(&self, stop: u64) -> Result<StreamReader<Window>, SealError> {
        let decryptor = Decryptor::new(Window::new(&self.stored, stop)).map_err(as_seal_error)?;
        decryptor
            .decrypt(std::iter::once(&Known(&self.key) as &dyn age::Identity))
            .map_err(as_seal_error)
    }
}

impl Unsealed for AgeObject {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, range: Range<u64>) -> Result<Box<dyn Read + Send>, SealError> {
        if range.is_empty() {
            return Ok(Box::new(io::empty()));
        }
        let pieces = range.end.div_ceil(PIECE_BYTES);
        let stop = (self.payload + pieces * (PIECE_BYTES + TAG_BYTES)).min(self.stored.object.bytes());
        let mut reader = self.reader(stop)?;
        // Not where a piece begins: there the library looks for the end of the file first, which is known already.
        let piece = range.start / PIECE_BYTES * PIECE_BYTES;
        if piece > 0 {
            let inside = (piece + 1).min(self.bytes - 1);
            reader.seek(SeekFrom::Start(inside)).map_err(as_damage)?;
        }
        reader.seek(SeekFrom::Start(range.start)).map_err(as_damage)?;
        Ok(Box::new(Exactly {
            reader,
            left: range.end - range.start,
        }))
    }
}

/// Gives so many bytes, or fails.
struct Exactly<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..most]);
        match count.map_err(|error| untold(error).unwrap_or_else(|own| own))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }
}

/// The stored bytes as a file. It opens a range when it is read, and not more than once for what lies in a row.
struct Window {
    stored: Arc<Stored>,
    position: u64,
    /// Up to here a range is opened in one go.
    stop: u64,
    /// An open range, and where it goes on.
    open: Option<(u64, Box<dyn Read + Send>)>,
}

impl Window {
    fn new(stored: &Arc<Stored>, stop: u64) -> Self {
        Self {
            stored: Arc::clone(stored),
            position: 0,
            stop,
            open: None,
        }
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.stored.object.bytes();
        if buffer.is_empty() || self.position >= end {
            return Ok(0);
        }
        let head = usize::try_from(self.position)
            .ok()
            .and_then(|position| self.stored.head.get(position..))
            .unwrap_or_default();
        if !head.is_empty() {
            let count = head.len().min(buffer.len());
            buffer[..count].copy_from_slice(&head[..count]);
            self.position += count as u64;
            return Ok(count);
        }
        let reader = match &mut self.open {
            Some((position, reader)) if *position == self.position => reader,
            open => {
                let stop = if self.stop > self.position { self.stop } else { end };
                let reader = self.stored.object.read(self.position..stop);
                let reader = reader.map_err(|error| told(io::Error::other(error)))?;
                &mut open.insert((self.position, reader)).1
            }
        };
        let count = match reader.read(buffer) {
            // A reader of a store gives all or fails.
            Ok(0) => return Err(told(io::ErrorKind::UnexpectedEof.into())),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(told(error)),
            count => count?,
        };
        self.position += count as u64;
        if let Some((position, _)) = &mut self.open {
            *position = self.position;
        }
        Ok(count)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.stored.object.bytes().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Tries all identities and keeps the key that one of them finds.
struct Capturing<'i> {
    identities: &'i Identities,
    found: RefCell<Option<Zeroizing<[u8; FILE_KEY_BYTES]>>>,
    /// Kinds of recipients that the file names.
    stated: RefCell<Vec<String>>,
}

impl age::Identity for Capturing<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let kinds = stanzas.iter().filter(|stanza| !stanza.tag.ends_with("-grease"));
        *self.stated.borrow_mut() = kinds.map(|stanza| stanza.tag.escape_default().to_string()).collect();
        // After a failure another passphrase or key may still be the right one.
        let mut failed = None;
        for identity in self.identities.each() {
            match identity.unwrap_stanzas(stanzas) {
                Some(Ok(key)) => {
                    *self.found.borrow_mut() = Some(Zeroizing::new(*key.expose_secret()));
                    return Some(Ok(key));
                }
                Some(Err(error)) => failed = failed.or(Some(error)),
                None => {}
            }
        }
        failed.map(Err)
    }
}

/// A key that was found before.
struct Known<'k>(&'k [u8; FILE_KEY_BYTES]);

impl age::Identity for Known<'_> {
    fn unwrap_stanza(&self, _stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let copied = FileKey::init_with_mut(|key| key.copy_from_slice(self.0));
        Some(Ok(copied))
    }
}

fn as_seal_error(error: DecryptError) -> SealError {
    match error {
        DecryptError::NoMatchingKeys => SealError::NoKey { recipients: Vec::new() },
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => SealError::Passphrase,
        DecryptError::InvalidHeader => SealError::Damaged("its header is none of age".to_owned()),
        DecryptError::InvalidMac => SealError::Damaged("its header was changed".to_owned()),
        DecryptError::UnknownFormat => SealError::Unsupported("it is of another version of age".to_owned()),
        DecryptError::ExcessiveWork { required, .. } => {
            SealError::Unsupported(format!("its passphrase asks for too much work (2^{required})"))
        }
        DecryptError::Io(error) => as_damage(error),
        other => SealError::Unsupported(other.to_string()),
    }
}

/// What was read does not decrypt, ends too early, or could not be read.
fn as_damage(error: io::Error) -> SealError {
    match untold(error) {
        Ok(of_store) => failure(of_store),
        Err(error) => match error.kind() {
            io::ErrorKind::InvalidData => {
                SealError::Damaged("a piece of it was changed, or its end is missing".to_owned())
            }
            io::ErrorKind::UnexpectedEof => SealError::Damaged("it is cut off".to_owned()),
            _ => SealError::Io(error),
        },
    }
}
