//! Failures of the store that come through a library which reads by itself: never to be taken for damage or a wrong key.

use std::fmt;
use std::io;

use backstay_core::seal::SealError;
use backstay_core::store;

/// What a store said, whatever its kind of error; a kind alone could be the library's own.
#[derive(Debug)]
struct Told(io::Error);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// Marks an error as the store's.
pub(crate) fn told(error: io::Error) -> io::Error {
    io::Error::other(Told(error))
}

/// The store's own error where it is marked as one, or else the library's.
pub(crate) fn untold(error: io::Error) -> Result<io::Error, io::Error> {
    error.downcast::<Told>().map(|Told(error)| error)
}

/// A failure of the store, or of reading.
pub(crate) fn failure(error: io::Error) -> SealError {
    match error.downcast::<store::Error>() {
        Ok(error) => SealError::Store(error),
        Err(error) => SealError::Io(error),
    }
}
