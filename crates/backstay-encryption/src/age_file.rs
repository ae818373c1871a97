use std::io::Write as _;

use age::stream::StreamWriter;
use age::{EncryptError, Encryptor};
use backstay_core::DigestKey;
use backstay_core::seal::{SealError, SealMethod, Sealer, Sealing};

use crate::output::Output;
use crate::passphrase::Passphrase;
use crate::recipient::Recipient;

/// Seals as age files: to public keys, each of which opens them, or to one passphrase.
///
/// Every object gets a key of its own. The header of the file holds it once for each recipient.
#[derive(Clone, Debug)]
pub struct AgeSealer(To);

#[derive(Clone, Debug)]
enum To {
    Keys(Vec<Recipient>),
    Passphrase {
        passphrase: Passphrase,
        work_factor: Option<u8>,
    },
}

impl AgeSealer {
    /// To these keys; the same key twice counts once. `None` where there is none.
    #[must_use]
    pub fn to_keys(recipients: impl IntoIterator<Item = Recipient>) -> Option<Self> {
        let mut keys: Vec<Recipient> = Vec::new();
        for recipient in recipients {
            if !keys.contains(&recipient) {
                keys.push(recipient);
            }
        }
        (!keys.is_empty()).then_some(Self(To::Keys(keys)))
    }

    /// To whoever knows the passphrase. It is stretched by scrypt, for about a second on this machine for each object
    /// that is sealed, and as long for each that is opened.
    #[must_use]
    pub fn to_passphrase(passphrase: Passphrase) -> Self {
        Self(To::Passphrase {
            passphrase,
            work_factor: None,
        })
    }

    /// The same with scrypt's N as the power of two that is given, from 1 to 22. Less than 18 is for tests.
    #[must_use]
    pub fn to_passphrase_with_work_factor(passphrase: Passphrase, log_n: u8) -> Self {
        Self(To::Passphrase {
            passphrase,
            work_factor: Some(log_n.clamp(1, 22)),
        })
    }

    fn encryptor(&self) -> Result<Encryptor, EncryptError> {
        match &self.0 {
            To::Keys(keys) => Encryptor::with_recipients(keys.iter().map(Recipient::as_age)),
            To::Passphrase {
                passphrase,
                work_factor,
            } => {
                let mut recipient = age::scrypt::Recipient::new(passphrase.secret());
                if let Some(log_n) = work_factor {
                    recipient.set_work_factor(*log_n);
                }
                Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            }
        }
    }
}

impl Sealer for AgeSealer {
    fn method(&self) -> SealMethod {
        SealMethod::Age
    }

    fn recipients(&self) -> Vec<String> {
        match &self.0 {
            To::Keys(keys) => keys.iter().map(ToString::to_string).collect(),
            To::Passphrase { .. } => vec!["passphrase".to_owned()],
        }
    }

    fn new_digest_key(&self) -> DigestKey {
        DigestKey::from_bytes(rand::random())
    }

    fn begin(&self) -> Result<Box<dyn Sealing>, SealError> {
        let out = Output::default();
        let encryptor = self.encryptor().map_err(|error| SealError::Seal(error.to_string()))?;
        let writer = encryptor.wrap_output(out.clone()).map_err(SealError::Io)?;
        let header_bytes = out.bytes();
        Ok(Box::new(AgeSealing {
            writer,
            out,
            header_bytes,
        }))
    }
}

/// What is sealed with one tag, and the length of that tag: the format of age says so.
const CHUNK_BYTES: u64 = 64 << 10;
const TAG_BYTES: u64 = 16;

struct AgeSealing {
    writer: StreamWriter<Output>,
    out: Output,
    /// Of the header and the nonce behind it.
    header_bytes: u64,
}

impl Sealing for AgeSealing {
    fn seal(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        self.writer.write_all(bytes).map_err(SealError::Io)?;
        self.out.move_to(out);
        Ok(())
    }

    fn stored_bytes(&self, bytes: u64) -> u64 {
        let chunks = bytes.div_ceil(CHUNK_BYTES).max(1);
        bytes.saturating_add(self.header_bytes + chunks * TAG_BYTES)
    }

    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<(), SealError> {
        self.writer.finish().map_err(SealError::Io)?;
        self.out.move_to(out);
        Ok(())
    }
}
