use std::collections::BTreeSet;

use backstay::{ObjectKey, Repository, WhenMissing, checksum_name};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Form, duration, print_json, print_text};
use crate::select::{SelectError, id_of};
use crate::settle::SettledSign;

/// A store that makes no URLs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("{location} makes no signed URLs")]
    Unsupported { location: String },
}

#[derive(Serialize)]
struct SignJson {
    id: String,
    encrypted: bool,
    expires_secs: u64,
    files: Vec<FileJson>,
}

#[derive(Serialize)]
struct FileJson {
    name: String,
    url: String,
}

/// Prints URLs by which the files of a backup can be fetched without credentials.
pub(crate) fn sign(settled: &SettledSign) -> Result<Exit, Failure> {
    let repository = settled.store.open(WhenMissing::Fail)?;
    let id = id_of(&settled.backup, &repository)?;
    let sidecar = match repository.read_sidecar(&id) {
        Err(error) if error.is_not_found() => {
            let location = repository.store().location();
            return Err(SelectError::NoSuchId { id, location }.into());
        }
        read => read?,
    };
    let packs = sidecar.packs().iter().map(|pack| pack.name.clone());
    let checksums: BTreeSet<String> = sidecar.packs().iter().map(|pack| checksum_name(&pack.name)).collect();
    let mut files = Vec::new();
    for name in packs.chain(checksums) {
        let url = url(&repository, &name, settled)?;
        files.push(FileJson { name, url });
    }
    let (whose, what) = if sidecar.is_sealed() {
        ("who has a key as well", "it is encrypted")
    } else {
        ("everybody who has these URLs", "it is not encrypted")
    };
    settled.output.remark(&format!(
        "warning: for {} {whose} can read all of {id}: {what}",
        duration(settled.expires_in)
    ));
    match settled.output.form {
        Form::Json => print_json(&SignJson {
            id: id.to_string(),
            encrypted: sidecar.is_sealed(),
            expires_secs: settled.expires_in.as_secs(),
            files,
        })?,
        Form::Text => print_text(&files.iter().map(|file| format!("{}\n", file.url)).collect::<String>())?,
    }
    Ok(Exit::Done)
}

fn url(repository: &Repository, name: &str, settled: &SettledSign) -> Result<String, Failure> {
    let store = repository.store();
    let key: ObjectKey = name.parse()?;
    let url = store.signed_url(&key, settled.expires_in)?;
    Ok(url.ok_or_else(|| SignError::Unsupported {
        location: store.location(),
    })?)
}
