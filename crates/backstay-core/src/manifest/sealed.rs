use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::v1::{self, PackJson, ascii_json, invalid, not_json, tag_words, tags_from};
use super::validate::misplaced_volume;
use super::{MANIFEST_TEXT_BYTES_MAX, Manifest, ManifestError, Pack, PackId, Scope};
use crate::digest::Sha256Digest;
use crate::id::BackupId;
use crate::seal::SealMethod;
use crate::store::ObjectKey;
use crate::tag::Tag;

/// The manifest beside a sealed backup: what may stand in clear. The whole manifest is in its pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedManifest {
    /// Program and version that wrote it.
    pub writer: String,
    /// The backup's id.
    pub id: BackupId,
    /// When the backup began, by the clock of the machine that made it.
    pub taken_at: Timestamp,
    /// The words that it was given.
    pub tags: Vec<Tag>,
    /// Until when it is to be kept at least.
    pub keep_until: Option<Timestamp>,
    /// How the packs are sealed.
    pub method: SealMethod,
    /// Who can open them: public keys, or the word `passphrase`.
    pub recipients: Vec<String>,
    /// [`Source::fingerprint`](super::Source::fingerprint), where it was known.
    pub source: Option<Sha256Digest>,
    /// [`Manifest::scope_in_clear`], where it was written down.
    pub scope: Scope,
    /// The packs, with the digests and lengths of their stored bytes.
    pub packs: Vec<Pack>,
}

/// What stands beside the packs of a backup.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a third kind is a new format version")]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
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

    /// Whether it was to hold all of its database.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Plain(manifest) => manifest.scope(),
            Self::Sealed(sealed) => sealed.scope.clone(),
        }
    }

    /// The words that it was given.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        match self {
            Self::Plain(manifest) => &manifest.tags,
            Self::Sealed(sealed) => &sealed.tags,
        }
    }

    /// Until when it is to be kept at least.
    #[must_use]
    pub fn keep_until(&self) -> Option<Timestamp> {
        match self {
            Self::Plain(manifest) => manifest.keep_until,
            Self::Sealed(sealed) => sealed.keep_until,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_until: Option<Timestamp>,
    sealed: MethodJson,
    packs: Vec<PackJson>,
}

#[derive(Serialize, Deserialize)]
struct MethodJson {
    method: String,
    recipients: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Only to tell whether a sidecar is of a sealed backup.
#[derive(Deserialize)]
struct KindJson {
    sealed: Option<serde::de::IgnoredAny>,
}

/// The scope of a backup of which nothing was left out.
const ALL: &str = "all";

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
            tags: tag_words(&self.tags),
            keep_until: self.keep_until,
            sealed: MethodJson {
                method: self.method.extension().to_owned(),
                recipients: self.recipients.clone(),
                source: self.source.map(|source| source.to_string()),
                scope: match &self.scope {
                    Scope::All => Some(ALL.to_owned()),
                    Scope::Part(part) => Some(part.clone()),
                    Scope::Unknown => None,
                },
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
        let source = wire
            .sealed
            .source
            .map(|source| source.parse().map_err(|_| invalid("fingerprint", &source)));
        let scope = match wire.sealed.scope {
            None => Scope::Unknown,
            Some(scope) if scope == ALL => Scope::All,
            Some(scope) if scope.parse::<Sha256Digest>().is_ok() => Scope::Part(scope),
            Some(scope) => return Err(invalid("scope", &scope)),
        };
        Ok(Self {
            writer: wire.writer,
            id,
            taken_at: wire.taken_at,
            tags: tags_from(wire.tags)?,
            keep_until: wire.keep_until,
            method,
            recipients: wire.sealed.recipients,
            source: source.transpose()?,
            scope,
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

    fn sealed() -> SealedManifest {
        let id = "kulti_backup_20250116_143022";
        SealedManifest {
            writer: "backstay 0.1.0".to_owned(),
            id: id.parse().unwrap(),
            taken_at: "2025-01-16T14:30:22Z".parse().unwrap(),
            tags: vec!["release=7".parse().unwrap()],
            keep_until: Some("2025-02-16T14:30:22Z".parse().unwrap()),
            method: SealMethod::Age,
            recipients: vec!["age1x".to_owned()],
            source: Some(Sha256Digest::of(b"source")),
            scope: Scope::Part(Sha256Digest::of(b"part").to_string()),
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
    fn one_without_a_fingerprint_or_a_scope_stays_as_it_is() {
        let old = SealedManifest {
            source: None,
            scope: Scope::Unknown,
            ..sealed()
        };
        let json = old.to_json();
        let text = String::from_utf8_lossy(&json);
        assert!(!text.contains("source") && !text.contains("scope"));
        assert_eq!(sidecar_from_json(&json).unwrap(), Sidecar::Sealed(old));
    }

    #[test]
    fn a_fingerprint_is_of_backup_cluster_and_database() {
        let id: BackupId = "kulti_backup_20250116_143022".parse().unwrap();
        let source = |cluster, database: &str| super::super::Source {
            system_identifier: cluster,
            database: database.into(),
            ..Default::default()
        };
        let known = source(Some(7), "kulti").fingerprint(&id);
        // What anybody computes by docs/format.md.
        assert_eq!(known, Some(Sha256Digest::of(b"kulti_backup_20250116_143022\n7\nkulti")));
        assert_eq!(source(Some(7), "kulti").fingerprint(&id), known);
        let later = "kulti_backup_20250117_143022".parse().unwrap();
        for other in [
            source(Some(8), "kulti").fingerprint(&id),
            source(Some(7), "other").fingerprint(&id),
            source(Some(7), "kulti").fingerprint(&later),
            source(None, "kulti").fingerprint(&id),
        ] {
            assert_ne!(other, known);
        }
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
            ("release=7", "release="),
            (&Sha256Digest::of(b"source").to_string(), "source"),
            (&Sha256Digest::of(b"part").to_string(), "some"),
        ] {
            assert!(text.contains(from), "{from}");
            let json = text.replacen(from, to, 1);
            assert!(sidecar_from_json(json.as_bytes()).is_err(), "{from} → {to}");
        }
    }
}
