//! The stored bytes of an archive, hashed as they pass.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstay_core::{Sha256Digest, Sha256Hasher};

/// A source that a decompressor reads from, and that can be read to its end when the decompressor has given up.
pub(super) struct Raw(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    bytes: AtomicU64,
}

struct State {
    source: Box<dyn Read + Send>,
    hasher: Sha256Hasher,
    failure: Option<io::Error>,
}

impl Raw {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                source,
                hasher: Sha256Hasher::new(),
                failure: None,
            }),
            bytes: AtomicU64::new(0),
        }))
    }

    /// A reader of the source, for the decompressor to own.
    pub(super) fn reader(&self) -> impl Read + Send + 'static {
        RawReader(Arc::clone(&self.0))
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Whether the source itself has failed.
    pub(super) fn failed(&self) -> bool {
        self.0.lock().failure.is_some()
    }

    /// Reads what is left, unless the source has failed before, telling `stop` how many bytes were read in all, and gives the digest of the whole; of what
    /// was read where `stop` gives `true`.
    pub(super) fn drain(&self, stop: impl Fn(u64) -> bool) -> io::Result<Sha256Digest> {
        if let Some(failure) = self.0.lock().failure.take() {
            return Err(failure);
        }
        let mut buffer = vec![0; 256 << 10];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) if stop(self.bytes()) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.0.lock().hasher.clone().finish())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        match state.source.read(buffer) {
            Ok(length) => {
                state.hasher.update(&buffer[..length]);
                self.bytes.fetch_add(length as u64, Ordering::Relaxed);
                Ok(length)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                // The decompressor gets its own, and wraps or drops it.
                let copy = io::Error::new(error.kind(), error.to_string());
                state.failure = Some(error);
                Err(copy)
            }
        }
    }
}

struct RawReader(Arc<Shared>);

impl Read for RawReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}
