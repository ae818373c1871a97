use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::v1::{self, PackJson, ascii_json, invalid, not_json};
use super::validate::misplaced_volume;
use super::{MANIFEST_TEXT_BYTES_MAX, Manifest, ManifestError, Pack, PackId};
use crate::id::BackupId;
use crate::seal::SealMethod;
use crate::store::ObjectKey;

/// The manifest beside a sealed backup: what may stand in clear. The whole manifest is in its pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedManifest {
    /// Program and version that wrote it.
    pub writer: String,
    /// The backup's id.
    pub id: BackupId,
    /// When the backup began, by the clock of the machine that made it.
    pub taken_at: Timestamp,
    /// How the packs are sealed.
    pub method: SealMethod,
    /// Who can open them: public keys, or the word `passphrase`.
    pub recipients: Vec<String>,
    /// The packs, with the digests and lengths of their stored bytes.
    pub packs: Vec<Pack>,
}

/// What stands beside the packs of a backup.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a third kind is a new format version")]
pub enum Sidecar {
    /// The whole manifest.
    Plain(Box<Manifest>),
    /// What may stand in clear of a sealed backup.
    Sealed(SealedManifest),
}

impl Sidecar {
    /// The backup's id.
    #[must_use]
    pub fn id(&self) -> &BackupId {
        match self {
            Self::Plain(manifest) => &manifest.id,
            Self::Sealed(sealed) => &sealed.id,
        }
    }

    /// Whether the backup is sealed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }

    /// The packs that it names.
    #[must_use]
    pub fn packs(&self) -> &[Pack] {
        match self {
            Self::Plain(manifest) => &manifest.packs,
            Self::Sealed(sealed) => &sealed.packs,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct SealedJson {
    format: u32,
    writer: String,
    id: String,
    kind: String,
    taken_at: Timestamp,
    sealed: MethodJson,
    packs: Vec<PackJson>,
}

#[derive(Serialize, Deserialize)]
struct MethodJson {
    method: String,
    recipients: Vec<String>,
}

/// Only to tell whether a sidecar is of a sealed backup.
#[derive(Deserialize)]
struct KindJson {
    sealed: Option<serde::de::IgnoredAny>,
}

/// The version of the format that has sealed backups.
const SEALED_VERSION: u32 = 2;

impl SealedManifest {
    /// Writes it as one line of JSON in ASCII, ended by a line feed.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        ascii_json(&SealedJson {
            format: SEALED_VERSION,
            writer: self.writer.clone(),
            id: self.id.to_string(),
            kind: "full".to_owned(),
            taken_at: self.taken_at,
            sealed: MethodJson {
                method: self.method.extension().to_owned(),
                recipients: self.recipients.clone(),
            },
            packs: self.packs.iter().map(PackJson::from).collect(),
        })
    }

    fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        let wire: SealedJson = serde_json::from_slice(json).map_err(not_json)?;
        if wire.kind != "full" {
            return Err(invalid("kind of backup", &wire.kind));
        }
        let method = match wire.sealed.method.as_str() {
            "age" => SealMethod::Age,
            "gpg" => SealMethod::OpenPgp,
            other => return Err(invalid("method of encryption", other)),
        };
        let packs: Vec<Pack> = wire.packs.into_iter().map(Pack::try_from).collect::<Result<_, _>>()?;
        let mut names = BTreeSet::new();
        for pack in &packs {
            let is_usable = matches!(pack.id, PackId::Sha256(_))
                && pack.name.parse::<ObjectKey>().is_ok()
                && SealMethod::of_name(&pack.name) == Some(method)
                && names.insert(pack.name.as_str());
            if !is_usable {
                return Err(invalid("pack", &pack.name));
            }
        }
        if packs.is_empty() {
            return Err(invalid("list of packs", "[]"));
        }
        let id: BackupId = wire.id.parse().map_err(|_| invalid("id", &wire.id))?;
        if let Some(pack) = misplaced_volume(&packs, &id) {
            return Err(invalid("volume", &pack.name));
        }
        Ok(Self {
            writer: wire.writer,
            id,
            taken_at: wire.taken_at,
            method,
            recipients: wire.sealed.recipients,
            packs,
        })
    }
}

/// Reads what stands beside a backup, and checks that it is consistent in itself.
///
/// # Errors
/// Those of [`super::from_json`].
pub fn sidecar_from_json(json: &[u8]) -> Result<Sidecar, ManifestError> {
    if json.len() as u64 > MANIFEST_TEXT_BYTES_MAX {
        return Err(ManifestError::TooLong);
    }
    v1::check_version(json)?;
    let kind: KindJson = serde_json::from_slice(json).map_err(not_json)?;
    if kind.sealed.is_some() {
        SealedManifest::from_json(json).map(Sidecar::Sealed)
    } else {
        Ok(Sidecar::Plain(Box::new(v1::from_json(json)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256Digest;

    fn sealed() -> SealedManifest {
        let id = "kulti_backup_20250116_143022";
        SealedManifest {
            writer: "backstay 0.1.0".to_owned(),
            id: id.parse().unwrap(),
            taken_at: "2025-01-16T14:30:22Z".parse().unwrap(),
            method: SealMethod::Age,
            recipients: vec!["age1x".to_owned()],
            packs: vec![Pack {
                id: PackId::Sha256(Sha256Digest::of(b"x")),
                name: format!("{id}.sql.gz.age"),
                bytes: 7,
            }],
        }
    }

    #[test]
    fn what_stands_in_clear_is_read_as_it_was_written() {
        let json = sealed().to_json();
        assert_eq!(sidecar_from_json(&json).unwrap(), Sidecar::Sealed(sealed()));
        insta::assert_snapshot!(String::from_utf8(json).unwrap());
    }

    #[test]
    fn a_sealed_sidecar_is_no_whole_manifest() {
        assert_eq!(v1::from_json(&sealed().to_json()), Err(ManifestError::Sealed));
    }

    #[test]
    fn one_that_contradicts_itself_is_refused() {
        let text = String::from_utf8(sealed().to_json()).unwrap();
        for (from, to) in [
            (".sql.gz.age", ".sql.gz"),
            (".sql.gz.age", ".vol0002.sql.gz.age"),
            (".sql.gz.age", ".sql.gz.gpg"),
            ("\"method\":\"age\"", "\"method\":\"rot13\""),
            ("\"kind\":\"full\"", "\"kind\":\"half\""),
            ("_143022\",\"kind", "\",\"kind"),
            (&Sha256Digest::of(b"x").to_string(), "self"),
            ("\"format\":2", "\"format\":3"),
        ] {
            assert!(text.contains(from), "{from}");
            let json = text.replacen(from, to, 1);
            assert!(sidecar_from_json(json.as_bytes()).is_err(), "{from} → {to}");
        }
    }
}
