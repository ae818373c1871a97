use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backstay_core::repository::Seals;
use backstay_core::seal::{SealError, SealMethod, SealedObject, Sealer, Sealing, Unsealed, Unsealer};
use backstay_core::{DigestKey, Sha256Digest};

/// A key that seals and opens in no time and hides nothing, for tests of what happens around sealed objects.
///
/// What it seals is named as an age file, begins with the name of the key, and has a number of its own in it: as with real
/// keys, no two sealed objects are equal.
#[derive(Clone, Debug)]
pub struct ToyKey(&'static str);

const HEADER_BYTES: usize = 32;
const END: &[u8] = b"end\n";
static SEALED: AtomicU64 = AtomicU64::new(1);

fn next_number() -> u64 {
    SEALED.fetch_add(1, Ordering::Relaxed)
}

impl ToyKey {
    /// A key of that name.
    ///
    /// # Panics
    /// Where the name is longer than 11 bytes.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        assert!(name.len() < 12, "{name}");
        Self(name)
    }

    /// The key for everything of a backup.
    #[must_use]
    pub fn seals(&self) -> Seals {
        let sealer: Arc<dyn Sealer> = Arc::new(self.clone());
        Seals {
            packs: Arc::clone(&sealer),
            index: sealer,
        }
    }
}

impl Sealer for ToyKey {
    fn method(&self) -> SealMethod {
        SealMethod::Age
    }

    fn recipients(&self) -> Vec<String> {
        vec![self.0.to_owned()]
    }

    fn new_digest_key(&self) -> DigestKey {
        DigestKey::from_bytes(*Sha256Digest::of(&next_number().to_le_bytes()).as_bytes())
    }

    fn begin(&self) -> Result<Box<dyn Sealing>, SealError> {
        let header = format!("{:<11} {:019}\n", self.0, next_number());
        Ok(Box::new(ToySealing { header: Some(header) }))
    }
}

struct ToySealing {
    /// `None` once it was written.
    header: Option<String>,
}

impl Sealing for ToySealing {
    fn seal(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        out.extend(self.header.take().unwrap_or_default().as_bytes());
        out.extend_from_slice(bytes);
        Ok(())
    }

    fn stored_bytes(&self, bytes: u64) -> u64 {
        bytes + (HEADER_BYTES + END.len()) as u64
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) -> Result<(), SealError> {
        self.seal(END, out)
    }
}

impl Unsealer for ToyKey {
    fn open(&self, object: SealedObject) -> Result<Arc<dyn Unsealed>, SealError> {
        let read = |range: Range<u64>| {
            let mut bytes = Vec::new();
            object.read(range)?.read_to_end(&mut bytes).map_err(SealError::Io)?;
            Ok::<_, SealError>(bytes)
        };
        let frame = (HEADER_BYTES + END.len()) as u64;
        let Some(bytes) = object.bytes().checked_sub(frame) else {
            return Err(SealError::Damaged("it is too short".to_owned()));
        };
        let name = read(0..11)?;
        if read(bytes + HEADER_BYTES as u64..object.bytes())? != END {
            return Err(SealError::Damaged("it was cut off".to_owned()));
        }
        if name.trim_ascii_end() != self.0.as_bytes() {
            let recipients = vec![String::from_utf8_lossy(&name).trim_end().to_owned()];
            return Err(SealError::NoKey { recipients });
        }
        Ok(Arc::new(ToyUnsealed { object, bytes }))
    }
}

struct ToyUnsealed {
    object: SealedObject,
    bytes: u64,
}

impl Unsealed for ToyUnsealed {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, range: Range<u64>) -> Result<Box<dyn Read + Send>, SealError> {
        if range.end > self.bytes {
            return Err(SealError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        let behind = HEADER_BYTES as u64;
        Ok(self.object.read(range.start + behind..range.end + behind)?)
    }
}
