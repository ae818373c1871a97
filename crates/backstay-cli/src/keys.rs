//! Keys: to whom backups are encrypted, and what opens them. Everything that is secret comes from files, variables, a
//! command or a terminal, never from arguments.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use backstay::Variables;
use backstay::encryption::{
    AgeSealer, Identities, IdentityError, InvalidRecipient, OpenPgpSealer, Passphrase, Recipient, RecipientsError,
    parse_recipients,
};
use backstay::seal::{SealError, SealedObject, Sealer, Unsealed, Unsealer};
use backstay::{Repository, Seals};

/// Further public keys, separated by commas or spaces.
const ENCRYPT_TO: &str = "BACKSTAY_ENCRYPT_TO";
/// The passphrase that backups are encrypted with.
pub(crate) const PASSPHRASE: &str = "BACKSTAY_PASSPHRASE";
/// Paths of files with secret keys, separated as in `PATH`.
const IDENTITY_FILE: &str = "BACKSTAY_IDENTITY_FILE";
/// The text of such a file, for machines that have secrets in variables.
const IDENTITY: &str = "BACKSTAY_IDENTITY";
const KEY_FILE_BYTES_MAX: u64 = 1 << 20;

/// Where one passphrase may come from.
struct PassphraseNames {
    text: &'static str,
    file: &'static str,
    command: &'static str,
}

/// The one that backups are encrypted with.
const BACKUPS: PassphraseNames = PassphraseNames {
    text: PASSPHRASE,
    file: "BACKSTAY_PASSPHRASE_FILE",
    command: "BACKSTAY_PASSPHRASE_COMMAND",
};
/// The one that protects a file of secret keys.
const IDENTITIES: PassphraseNames = PassphraseNames {
    text: "BACKSTAY_IDENTITY_PASSPHRASE",
    file: "BACKSTAY_IDENTITY_PASSPHRASE_FILE",
    command: "BACKSTAY_IDENTITY_PASSPHRASE_COMMAND",
};

/// Keys that cannot be used. No message repeats a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} cannot be used as a file of secret keys", path.display())]
    Identity { path: PathBuf, source: IdentityError },
    #[error("{} cannot be used as the text of a file of secret keys", IDENTITY)]
    IdentityText { source: IdentityError },
    #[error("{} cannot be used as a file of public keys", path.display())]
    Recipients { path: PathBuf, source: RecipientsError },
    /// Where in the variable it stands tells nothing, and its text may be a secret.
    #[error("a key in {ENCRYPT_TO} cannot be used")]
    Recipient { source: InvalidRecipient },
    #[error("a passphrase goes with no other recipient")]
    PassphraseAndKeys,
    #[error("nobody was named whom the backups should be encrypted to")]
    NoRecipient,
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    #[error("no passphrase was given, and nobody can be asked, because standard input is no terminal")]
    NobodyToAsk,
    #[error("the two passphrases are not the same")]
    NotTheSame,
    #[error("the command in {variable} failed")]
    Command { variable: &'static str, source: io::Error },
    #[error("cannot ask for the passphrase")]
    Ask(#[source] io::Error),
}

/// To whom backups are to be encrypted; nothing was read yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SealRequest {
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) passphrase: Option<NewPassphrase>,
    /// Who may read the index besides.
    pub(crate) index: Vec<Recipient>,
}

/// As what a passphrase is to be used for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewPassphrase {
    OfAge,
    OfOpenPgp,
}

/// What opens encrypted backups; nothing was read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) variables: Variables,
    pub(crate) can_ask: bool,
}

impl SealRequest {
    /// Whether something is to be encrypted at all.
    pub(crate) fn names_somebody(&self) -> bool {
        !self.recipients.is_empty() || !self.files.is_empty() || self.passphrase.is_some()
    }

    /// Reads what is to be read; `None` where backups are to stay in clear.
    pub(crate) fn seals(&self, variables: &Variables, can_ask: bool) -> Result<Option<Seals>, KeyError> {
        let mut keys = self.recipients.clone();
        for path in &self.files {
            let text = String::from_utf8_lossy(&read(path)?).into_owned();
            let found = parse_recipients(&text).map_err(|source| KeyError::Recipients {
                path: path.clone(),
                source,
            })?;
            keys.extend(found);
        }
        if let Some(text) = text(variables, ENCRYPT_TO) {
            // An SSH key has a space in it, so commas part where there are any.
            let separator: fn(char) -> bool = if text.contains(',') || text.trim_start().starts_with("ssh-") {
                |c| c == ',' || c == '\n'
            } else {
                char::is_whitespace
            };
            for key in text.split(separator).filter(|key| !key.trim().is_empty()) {
                keys.push(key.parse().map_err(|source| KeyError::Recipient { source })?);
            }
        }
        if let Some(new) = self.passphrase {
            if !keys.is_empty() || !self.index.is_empty() {
                return Err(KeyError::PassphraseAndKeys);
            }
            let passphrase = match find(&BACKUPS, variables)? {
                Some(passphrase) => passphrase,
                None if can_ask => ask_twice()?,
                None => return Err(KeyError::NobodyToAsk),
            };
            let sealer: Arc<dyn Sealer> = match new {
                NewPassphrase::OfAge => Arc::new(AgeSealer::to_passphrase(passphrase)),
                NewPassphrase::OfOpenPgp => Arc::new(OpenPgpSealer::new(passphrase)),
            };
            return Ok(Some(Seals {
                packs: Arc::clone(&sealer),
                index: sealer,
            }));
        }
        let of_index = keys.iter().chain(&self.index).cloned().collect::<Vec<_>>();
        let sealers = AgeSealer::to_keys(keys).zip(AgeSealer::to_keys(of_index));
        Ok(sealers.map(|(packs, index)| Seals {
            packs: Arc::new(packs),
            index: Arc::new(index),
        }))
    }
}

impl Keys {
    /// Those that variables name, for work at which nobody is asked.
    pub(crate) fn of_variables(variables: &Variables) -> Self {
        Self {
            files: Vec::new(),
            variables: variables.clone(),
            can_ask: false,
        }
    }

    /// Whether nothing is named that could open anything.
    pub(crate) fn are_none(&self) -> bool {
        let names = [IDENTITY_FILE, IDENTITY, BACKUPS.text, BACKUPS.file, BACKUPS.command];
        self.files.is_empty() && names.iter().all(|name| text(&self.variables, name).is_none())
    }

    /// The repository with what opens encrypted backups in it; where nothing is named and nobody can be asked, without.
    pub(crate) fn give(&self, repository: Repository) -> Result<Repository, KeyError> {
        Ok(match self.unsealer()? {
            Some(unsealer) => repository.with_unsealer(unsealer),
            None => repository,
        })
    }

    /// What opens encrypted objects; `None` where nothing is named and nobody can be asked.
    pub(crate) fn unsealer(&self) -> Result<Option<Arc<dyn Unsealer>>, KeyError> {
        if self.are_none() && !self.can_ask {
            return Ok(None);
        }
        let identities = self.load()?;
        Ok(Some(Arc::new(AtHand {
            identities: Mutex::new(Arc::new(identities)),
            can_ask: self.can_ask,
        })))
    }

    /// Reads all that is named.
    pub(crate) fn load(&self) -> Result<Identities, KeyError> {
        let mut identities = Identities::new();
        let mut paths = self.files.clone();
        if let Some(list) = text(&self.variables, IDENTITY_FILE) {
            paths.extend(std::env::split_paths(&list));
        }
        for path in paths {
            let file = read(&path)?;
            self.add(&mut identities, &file, &format!("the passphrase of {}", path.display()))?
                .map_err(|source| KeyError::Identity { path, source })?;
        }
        if let Some(text) = text(&self.variables, IDENTITY) {
            self.add(&mut identities, text.as_bytes(), "the passphrase of the secret key")?
                .map_err(|source| KeyError::IdentityText { source })?;
        }
        if let Some(passphrase) = find(&BACKUPS, &self.variables)? {
            identities.add_passphrase(&passphrase);
        }
        Ok(identities)
    }

    /// Adds a file, asking for its passphrase if it has one.
    fn add(&self, identities: &mut Identities, file: &[u8], what: &str) -> Result<Result<(), IdentityError>, KeyError> {
        let known = find(&IDENTITIES, &self.variables)?;
        match identities.add_file(file, known.as_ref()) {
            Err(IdentityError::PassphraseNeeded) if self.can_ask => Ok(identities.add_file(file, Some(&ask(what)?))),
            added => Ok(added),
        }
    }
}

/// Opens with the keys at hand and, where a passphrase is what is lacking, asks for it.
struct AtHand {
    identities: Mutex<Arc<Identities>>,
    can_ask: bool,
}

impl std::fmt::Debug for AtHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AtHand")
    }
}

impl Unsealer for AtHand {
    fn open(&self, object: SealedObject) -> Result<Arc<dyn Unsealed>, SealError> {
        // Others wait, so that a person is asked once.
        let mut identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        match identities.open(object.clone()) {
            Err(SealError::NoKey { recipients })
                if self.can_ask && matches!(&*recipients, [only] if only == "scrypt" || only == "passphrase") =>
            {
                let passphrase = ask("the passphrase of the backup").map_err(|_| SealError::Passphrase)?;
                let mut asked = Identities::new();
                asked.add_passphrase(&passphrase);
                let opened = asked.open(object)?;
                *identities = Arc::new(asked);
                Ok(opened)
            }
            opened => opened,
        }
    }
}

fn text(variables: &Variables, name: &str) -> Option<String> {
    let value = variables.get(name)?.to_string_lossy().into_owned();
    (!value.is_empty()).then_some(value)
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|source| KeyError::Read {
            path: path.to_owned(),
            source,
        })?;
    Ok(bytes)
}

/// The passphrase that variables name.
fn find(names: &PassphraseNames, variables: &Variables) -> Result<Option<Passphrase>, KeyError> {
    let found = if let Some(found) = text(variables, names.text) {
        found
    } else if let Some(path) = text(variables, names.file) {
        String::from_utf8_lossy(&read(Path::new(&path))?).into_owned()
    } else if let Some(command) = text(variables, names.command) {
        output_of(&command, names.command)?
    } else {
        return Ok(None);
    };
    let line = found.trim_end_matches(['\n', '\r']).to_owned();
    Passphrase::new(line).map(Some).ok_or(KeyError::EmptyPassphrase)
}

/// What a command writes, such as one of a password manager.
fn output_of(command: &str, variable: &'static str) -> Result<String, KeyError> {
    let failed = |source| KeyError::Command { variable, source };
    let output = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        return Err(failed(io::Error::other(output.status.to_string())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn ask(what: &str) -> Result<Passphrase, KeyError> {
    let typed = rpassword::prompt_password(format!("{what}: ")).map_err(KeyError::Ask)?;
    Passphrase::new(typed).ok_or(KeyError::EmptyPassphrase)
}

fn ask_twice() -> Result<Passphrase, KeyError> {
    let first = rpassword::prompt_password("a passphrase for the backup: ").map_err(KeyError::Ask)?;
    let second = rpassword::prompt_password("the same again: ").map_err(KeyError::Ask)?;
    if first != second {
        return Err(KeyError::NotTheSame);
    }
    Passphrase::new(first).ok_or(KeyError::EmptyPassphrase)
}
