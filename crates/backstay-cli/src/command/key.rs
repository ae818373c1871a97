use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use backstay::encryption::SecretKey;
use backstay::manifest::Sidecar;
use backstay::{Archive, WhenMissing};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Form, Output, Voice, print_json, print_text, quoted};
use crate::select::{SelectError, open_archive};
use crate::settle::{SettledKey, SettledKeyCheck};

/// A secret key that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyCommandError {
    #[error("{} exists already, and a secret key is never written over", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// There is nothing that a key could be tried on.
    #[error("the newest backup, {id}, is not encrypted")]
    InClear { id: String },
}

pub(crate) fn key(settled: &SettledKey) -> Result<Exit, Failure> {
    match settled {
        SettledKey::New { file } => make(file),
        SettledKey::Check(check) => prove(check),
    }
}

/// Makes a secret key; it is on the disk before anything is said of it.
fn make(path: &Path) -> Result<Exit, Failure> {
    let key = SecretKey::generate();
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(key.file_text().as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyCommandError::Exists(path.to_owned()),
        _ => KeyCommandError::Write {
            path: path.to_owned(),
            source,
        },
    })?;
    let public = key.recipient().to_string();
    print_text(&format!(
        "{public}\n\
         The secret key is in {}. Without it no backup that is encrypted to it can ever be read:\n\
         keep a copy where neither the database nor the backups are, and prove it now and then: backstay key check.\n\
         next: backstay backup --encrypt-to {public}\n",
        quoted(&path.display().to_string()),
    ))?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct CheckJson {
    id: String,
    opened: bool,
    members: usize,
    recipients: Vec<String>,
}

/// Opens the newest backup and reads its first member, which proves that the key opens the pack.
fn prove(check: &SettledKeyCheck) -> Result<Exit, Failure> {
    let archive = open_archive(&check.backup)?;
    let Archive::Backup(reader) = &archive else {
        return Err(SelectError::Empty {
            location: check.backup.store.location.clone(),
        }
        .into());
    };
    let id = &reader.manifest().id;
    if !reader.is_sealed() {
        return Err(KeyCommandError::InClear { id: id.to_string() }.into());
    }
    let repository = check.backup.store.open(WhenMissing::Fail)?;
    let recipients = match repository.read_sidecar(id)? {
        Sidecar::Sealed(sealed) => sealed.recipients,
        Sidecar::Plain(_) => Vec::new(),
    };
    let members = &reader.manifest().members;
    for member in members.iter().take(1) {
        reader.text(member)?;
    }
    if let [only] = recipients.as_slice() {
        check.output.remark(&format!(
            "warning: {only} alone can open it: who loses that loses every backup; add a second key with --encrypt-to"
        ));
    }
    match check.output {
        Output { form: Form::Json, .. } => print_json(&CheckJson {
            id: id.to_string(),
            opened: true,
            members: members.len(),
            recipients,
        })?,
        Output {
            voice: Voice::Normal, ..
        } => print_text(&format!("{id} opens with the key at hand\n"))?,
        Output {
            voice: Voice::Quiet, ..
        } => {}
    }
    Ok(Exit::Done)
}
