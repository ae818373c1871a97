use std::fmt;
use std::io::{BufReader, Read as _};
use std::sync::Arc;

use age::secrecy::{ExposeSecret as _, SecretString};
use age::{Callbacks, DecryptError, Decryptor, IdentityFile};
use backstay_core::seal::{SealError, SealMethod, SealedObject, Unsealed, Unsealer};
use zeroize::Zeroizing;

use crate::opened;
#[cfg(feature = "openpgp")]
use crate::openpgp::OpenPgpObject;
use crate::passphrase::Passphrase;
use crate::recipient::Recipient;

/// The longest file of identities that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

const AGE_MAGIC: &[u8] = b"age-encryption.org/";

/// A secret key that opens what is sealed to its public one (X25519, as `age-keygen` makes them).
pub struct SecretKey(age::x25519::Identity);

impl SecretKey {
    /// A new one, from the operating system's source of randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient::from_x25519(self.0.to_public())
    }

    /// The text of a file of identities that holds it, as `age-keygen` writes them but for the time.
    #[must_use]
    pub fn file_text(&self) -> Zeroizing<String> {
        let secret = self.0.to_string();
        Zeroizing::new(format!(
            "# public key: {}\n{}\n",
            self.recipient(),
            secret.expose_secret()
        ))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.recipient())
    }
}

type Keys = Vec<Box<dyn age::Identity + Send + Sync>>;

/// Secret keys and passphrases that open sealed backups; each is tried.
#[derive(Default)]
pub struct Identities {
    keys: Keys,
    #[cfg(feature = "openpgp")]
    passphrases: Vec<Passphrase>,
    count: usize,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.count)
    }
}

/// What stands in a file of identities.
enum Form {
    Ssh,
    Encrypted,
    Plain,
}

fn form_of(file: &[u8]) -> Form {
    let start = file.trim_ascii_start();
    if file.starts_with(AGE_MAGIC) {
        Form::Encrypted
    } else if start.starts_with(b"-----BEGIN") {
        Form::Ssh
    } else {
        Form::Plain
    }
}

impl Identities {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a secret key.
    pub fn add_key(&mut self, key: &SecretKey) {
        self.push(Box::new(key.0.clone()));
    }

    /// Adds a passphrase that objects were sealed with.
    pub fn add_passphrase(&mut self, passphrase: &Passphrase) {
        let mut identity = age::scrypt::Identity::new(passphrase.secret());
        // Whoever wrote the file chose the work; a minute is the most that is done for anybody.
        identity.set_max_work_factor(22);
        #[cfg(feature = "openpgp")]
        self.passphrases.push(passphrase.clone());
        self.push(Box::new(identity));
    }

    /// Adds the keys of a file: secret keys of age, one in a line; an SSH key in OpenSSH's or PEM form; or a file of
    /// secret keys that age encrypted with a passphrase. `passphrase` protects the file itself.
    ///
    /// # Errors
    /// It is none of these, is protected and no passphrase was given, or the passphrase is wrong.
    pub fn add_file(&mut self, file: &[u8], passphrase: Option<&Passphrase>) -> Result<(), IdentityError> {
        match form_of(file) {
            Form::Plain => self.add_plain(file),
            Form::Ssh => self.add_ssh(file, passphrase),
            Form::Encrypted => {
                let passphrase = passphrase.ok_or(IdentityError::PassphraseNeeded)?;
                let identity = age::scrypt::Identity::new(passphrase.secret());
                let refused = |error: DecryptError| match error {
                    DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
                        IdentityError::WrongPassphrase
                    }
                    other => IdentityError::Unreadable(other.to_string()),
                };
                let decryptor = Decryptor::new_buffered(file).map_err(refused)?;
                let reader = decryptor
                    .decrypt(std::iter::once(&identity as &dyn age::Identity))
                    .map_err(refused)?;
                let mut plain = Zeroizing::new(Vec::new());
                reader
                    .take(FILE_BYTES_MAX)
                    .read_to_end(&mut plain)
                    .map_err(|error| IdentityError::Unreadable(error.to_string()))?;
                self.add_plain(&plain)
            }
        }
    }

    fn add_plain(&mut self, file: &[u8]) -> Result<(), IdentityError> {
        // The error names a line, not what stands in it.
        let read = IdentityFile::from_buffer(file).map_err(|error| IdentityError::Unreadable(error.to_string()))?;
        let keys = read
            .into_identities()
            .map_err(|error| IdentityError::Unreadable(error.to_string()))?;
        if keys.is_empty() {
            return Err(IdentityError::Empty);
        }
        for key in keys {
            self.push(key);
        }
        Ok(())
    }

    fn add_ssh(&mut self, file: &[u8], passphrase: Option<&Passphrase>) -> Result<(), IdentityError> {
        use age::ssh::Identity;
        let read = Identity::from_buffer(BufReader::new(file), None)
            .map_err(|error| IdentityError::Unreadable(error.to_string()))?;
        match (&read, passphrase) {
            (Identity::Unencrypted(_), _) => self.push(Box::new(read)),
            (Identity::Encrypted(_), None) => return Err(IdentityError::PassphraseNeeded),
            (Identity::Encrypted(_), Some(passphrase)) => {
                self.push(Box::new(read.with_callbacks(Answer(passphrase.clone()))));
            }
            (Identity::Unsupported(_), _) => return Err(IdentityError::Ssh),
        }
        Ok(())
    }

    fn push(&mut self, key: Box<dyn age::Identity + Send + Sync>) {
        self.keys.push(key);
        self.count += 1;
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.keys.iter().map(|key| &**key as &dyn age::Identity)
    }
}

impl Unsealer for Identities {
    fn open(&self, object: SealedObject) -> Result<Arc<dyn Unsealed>, SealError> {
        match SealMethod::of_name(object.key().as_str()) {
            Some(SealMethod::Age) => Ok(Arc::new(opened::AgeObject::open(object, self)?)),
            #[cfg(feature = "openpgp")]
            Some(SealMethod::OpenPgp) => Ok(Arc::new(OpenPgpObject::open(&object, &self.passphrases)?)),
            other => {
                let name = other.map_or_else(|| "its name".to_owned(), |method| method.to_string());
                Err(SealError::Unsupported(format!("{name} is not known here")))
            }
        }
    }
}

/// Gives one passphrase to whatever asks.
#[derive(Clone)]
struct Answer(Passphrase);

impl Callbacks for Answer {
    fn display_message(&self, _message: &str) {}

    fn confirm(&self, _message: &str, _yes: &str, _no: Option<&str>) -> Option<bool> {
        None
    }

    fn request_public_string(&self, _description: &str) -> Option<String> {
        None
    }

    fn request_passphrase(&self, _description: &str) -> Option<SecretString> {
        Some(self.0.secret())
    }
}

/// Why a file of identities cannot be used. No message repeats what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file itself is protected, and no passphrase is at hand.
    #[error("it is protected by a passphrase, and none was given")]
    PassphraseNeeded,
    /// The passphrase of the file is wrong.
    #[error("its passphrase is wrong")]
    WrongPassphrase,
    /// There is no key in it.
    #[error("there is no secret key in it")]
    Empty,
    /// An SSH key of another kind, or protected in a way that is not known.
    #[error("SSH keys of that kind cannot be used (known: Ed25519, and RSA of 2048 bits or more)")]
    Ssh,
    /// It is no file of identities.
    #[error("it is no file of secret keys: {0}")]
    Unreadable(String),
}
