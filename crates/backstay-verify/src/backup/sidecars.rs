//! The manifest in the pack against the one beside it, and the `.sha256`.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use backstay_core::manifest::{Manifest, PackId, Sidecar, to_json};
use backstay_core::pack::{VolumeName, open_pack};
use backstay_core::repository::{BackupReader, ObjectRole, Repository, checksum_name, object_role};
use backstay_core::store::{Error, ErrorKind, ObjectKey, Store};
use backstay_core::{BackupId, Sha256Digest};

use super::{PackState, own_pack};
use crate::checksum::{NameMatch, check_checksum};
use crate::finding::{Finding, Findings};
use crate::options::Origin;

/// The longest `.sha256` that is read: a line for each of some thousand volumes.
const CHECKSUM_BYTES_MAX: u64 = 1 << 20;

/// Compares the manifest that the backup was opened with, the one in its own pack, and for a pack opened by its name
/// the one beside it, where there is one.
pub(super) fn check_manifest(
    backup: &BackupReader,
    origin: Origin,
    packs: &[PackState],
    findings: &Findings,
    not_checked: &mut Vec<String>,
) {
    let manifest = backup.manifest();
    let own = match origin {
        // Volumes of one backup share its id, and the manifest stands at the end of the last.
        Origin::Id => packs
            .iter()
            .rev()
            .find(|pack| matches!(object_role(&pack.key), Some((id, ObjectRole::Pack)) if id == manifest.id)),
        Origin::Pack => own_pack(manifest, packs),
    };
    match own {
        None => not_checked.push("the manifest in the pack: no pack bears the name of the backup".to_owned()),
        Some(pack) if pack.bytes.is_none() => {
            not_checked.push(format!("the manifest in the pack: {} cannot be read", pack.key));
        }
        Some(pack) => match open_pack(&**backup.clear_store(), &pack.key) {
            Err(error) => findings.add(
                Finding::error(
                    "embedded-manifest",
                    &pack.key,
                    "the manifest in the pack cannot be read",
                )
                .because(&error),
            ),
            Ok(opened) => {
                let differences = differences(opened.manifest, manifest, &pack.key);
                if !differences.is_empty() {
                    let message = "the manifest in the pack is not the one beside it";
                    findings.add(
                        Finding::error("embedded-manifest", &pack.key, message)
                            .with("different", differences.join(", ")),
                    );
                }
            }
        },
    }
    match (origin, own) {
        (Origin::Id, _) if backup.is_sealed() => findings.extend(check_form_of_sealed(backup, &manifest.id)),
        (Origin::Id, _) => findings.extend(check_form(backup, &manifest.id, &to_json(manifest))),
        (Origin::Pack, Some(pack)) => check_manifest_beside(backup, pack, findings),
        (Origin::Pack, None) => {}
    }
}

/// Compares the object that a manifest was read from with what would be written for it. Damage in the name of a field
/// that may be missing does not show otherwise.
fn check_form(backup: &BackupReader, id: &BackupId, expected: &[u8]) -> Option<Finding> {
    let name = format!("{id}.manifest.json");
    let message = "it can be read, but this version would write it otherwise: a newer one wrote it, or it is damaged in a \
                   place that says nothing";
    let finding = Finding::warning("manifest-form", &name, message);
    let mut found = Vec::with_capacity(expected.len() + 1);
    let read = name.parse().map_err(|_| None).and_then(|key| {
        let reader = backup.store().read(&key, None).map_err(Some)?;
        let mut reader = reader.take(expected.len() as u64 + 1);
        let read = reader.read_to_end(&mut found);
        read.map_err(|error| Some(Error::io("read", &name, error)))
    });
    match read {
        Err(Some(error)) => Some(Finding::error("manifest-read", &name, "it cannot be read again").because(&error)),
        _ if found == expected => None,
        _ => Some(finding),
    }
}

fn check_form_of_sealed(backup: &BackupReader, id: &BackupId) -> Option<Finding> {
    match Repository::new(backup.store().clone()).read_sidecar(id) {
        Ok(Sidecar::Sealed(sealed)) => check_form(backup, id, &sealed.to_json()),
        Ok(Sidecar::Plain(_)) => Some(Finding::error(
            "manifest-read",
            format!("{id}.manifest.json"),
            "it was that of an encrypted backup, and is another one now",
        )),
        Err(error) => {
            let name = format!("{id}.manifest.json");
            Some(Finding::error("manifest-read", name, "it cannot be read again").because(&error))
        }
    }
}

fn check_manifest_beside(backup: &BackupReader, pack: &PackState, findings: &Findings) {
    let manifest = backup.manifest();
    let name = format!("{}.manifest.json", manifest.id);
    match Repository::new(backup.store().clone()).read_sidecar(&manifest.id) {
        Err(error) if error.is_not_found() => {
            let message = "it is not beside the pack; the manifest in the pack was used";
            findings.add(Finding::note("sidecar-missing", name, message));
        }
        Err(error) => findings.add(
            Finding::warning(
                "sidecar-manifest",
                name,
                "it cannot be used; the manifest in the pack was",
            )
            .because(&error),
        ),
        Ok(Sidecar::Sealed(sealed)) => {
            let names_it = sealed
                .packs
                .iter()
                .any(|named| named.name == pack.key.as_str() && Some(named.bytes) == pack.bytes);
            if !names_it {
                let message = "it does not name a pack of this name and length";
                findings.add(Finding::warning("sidecar-manifest", name, message));
            }
        }
        Ok(Sidecar::Plain(beside)) => {
            let differences = differences(manifest.clone(), &beside, &pack.key);
            if !differences.is_empty() {
                let message = "it is not the manifest that the pack ends with";
                findings
                    .add(Finding::warning("sidecar-manifest", name, message).with("different", differences.join(", ")));
            }
            findings.extend(check_form(backup, &beside.id, &to_json(&beside)));
        }
    }
}

/// In which parts two manifests differ, when the pack that the first one stands in, which it cannot describe, is left
/// aside.
fn differences(mut embedded: Manifest, beside: &Manifest, own: &ObjectKey) -> Vec<&'static str> {
    for (inside, outside) in embedded.packs.iter_mut().zip(&beside.packs) {
        let is_own = inside.id == PackId::Own && (outside.id == PackId::Own || inside.name == own.as_str());
        // A sealed manifest has the digests of the first sealing, and the backup may have been sealed anew since.
        let is_sealed_volume =
            embedded.digest_key.is_some() && inside.name == outside.name && VolumeName::of(&inside.name).is_some();
        if is_own || is_sealed_volume {
            *inside = outside.clone();
        }
    }
    // Each part is named, so that a new one is not forgotten here.
    let Manifest {
        writer,
        id,
        taken_at,
        tags,
        keep_until,
        codec,
        digest_key,
        source,
        tables,
        sequences,
        large_objects,
        entries,
        refreshes,
        omissions,
        left_out,
        check_values,
        packs,
        members,
    } = &embedded;
    [
        ("writer", *writer == beside.writer),
        ("id", *id == beside.id),
        ("time", *taken_at == beside.taken_at),
        ("tags", *tags == beside.tags),
        ("time to keep it until", *keep_until == beside.keep_until),
        ("codec", *codec == beside.codec),
        ("digest key", *digest_key == beside.digest_key),
        ("source", *source == beside.source),
        ("tables", *tables == beside.tables),
        ("sequences", *sequences == beside.sequences),
        ("large objects", *large_objects == beside.large_objects),
        ("entries", *entries == beside.entries),
        ("refreshes", *refreshes == beside.refreshes),
        ("omissions", *omissions == beside.omissions),
        ("what was left out", *left_out == beside.left_out),
        ("values of checks", *check_values == beside.check_values),
        ("packs", *packs == beside.packs),
        ("members", *members == beside.members),
    ]
    .into_iter()
    .filter_map(|(part, same)| (!same).then_some(part))
    .collect()
}

/// The text of the `.sha256` beside a pack.
#[derive(Clone, Debug)]
pub(super) struct Checksums {
    text: Arc<str>,
    names: NameMatch,
}

impl Checksums {
    /// Compares it with the digest that the pack has.
    pub(super) fn check(&self, pack: &PackState, found: Sha256Digest) -> Option<Finding> {
        check_checksum(&self.text, pack.key.as_str(), found, self.names)
    }
}

/// Reads the `.sha256` beside each pack, which all volumes of one share; `None` where there is nothing to compare with.
pub(super) fn read_checksums(
    store: &dyn Store,
    origin: Origin,
    packs: &[PackState],
    findings: &Findings,
    not_checked: &mut Vec<String>,
) -> Vec<Option<Checksums>> {
    let mut read: HashMap<String, Option<Checksums>> = HashMap::new();
    let mut all = Vec::new();
    for pack in packs {
        let index = pack.index;
        let name = checksum_name(pack.key.as_str());
        if let Some(read) = read.get(&name) {
            all.push(read.clone());
            continue;
        }
        let text = match name.parse() {
            Ok(key) => read_text(store, &key),
            Err(_) => Ok(None),
        };
        let checksums = match (text, origin) {
            (Ok(Some(text)), Origin::Id) => Some(Checksums {
                text: text.into(),
                names: NameMatch::Exact,
            }),
            (Ok(Some(text)), Origin::Pack) => Some(Checksums {
                text: text.into(),
                names: NameMatch::Lenient,
            }),
            (Ok(None), Origin::Id) => {
                let message = "it is not there, so sha256sum -c cannot check the pack";
                findings.add(Finding::warning("checksum-missing", name, message).at(index));
                None
            }
            (Ok(None), Origin::Pack) => {
                findings.add(Finding::note("sidecar-missing", name, "it is not beside the pack").at(index));
                not_checked.push("the digest of the whole pack: there is no .sha256 to compare it with".to_owned());
                None
            }
            (Err(finding), _) => {
                findings.add(finding.at(index));
                None
            }
        };
        read.insert(checksum_name(pack.key.as_str()), checksums.clone());
        all.push(checksums);
    }
    all
}

fn read_text(store: &dyn Store, key: &ObjectKey) -> Result<Option<String>, Finding> {
    let unreadable = |error: &Error| Finding::error("checksum-read", key, "it cannot be read").because(error);
    let bad_form = || Finding::error("checksum-form", key, "it is not a list of SHA-256 digests");
    let mut reader = match store.read(key, None) {
        Ok(reader) => reader.take(CHECKSUM_BYTES_MAX + 1),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut bytes = Vec::new();
    reader
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(&Error::io("read", key.as_str(), error)))?;
    if bytes.len() as u64 > CHECKSUM_BYTES_MAX {
        return Err(bad_form());
    }
    String::from_utf8(bytes).map(Some).map_err(|_| bad_form())
}
