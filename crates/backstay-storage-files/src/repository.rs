use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;
use std::str::FromStr;
use std::sync::Arc;

use backstay_core::Sha256Digest;
use backstay_core::seal::{Sealer, Unsealer};
use backstay_core::store::{Error as StoreError, ErrorKind, ObjectKey, Store};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::error::FilesError;
use crate::listing::FilesListing;
use crate::manifest::{FORMAT, FilesManifest, VERSION, digest};
use crate::objects::{Objects, damaged, digest_in};

/// Where all of it is.
const FOLDER: &str = "storage-files/";
const MANIFEST: &str = ".files.json";
const CHECKSUMS: &str = ".sha256";
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Some four million objects.
const CHECKSUMS_BYTES_MAX: u64 = 512 << 20;
/// What stands between prefix and time.
const MIDDLE: &str = "_files_";

/// The name of a backup of files: `PREFIX_files_YYYYMMDD_HHMMSS`, in UTC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilesId(String);

/// A text that is no [`FilesId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name of a backup of files: PREFIX_files_YYYYMMDD_HHMMSS")]
#[expect(clippy::exhaustive_structs, reason = "there is no more to say")]
pub struct InvalidFilesId {
    /// The text.
    pub text: String,
}

impl FilesId {
    /// The id of a backup that is begun at that time; what a file name should not have is replaced in the prefix.
    #[must_use]
    pub fn new(prefix: &str, time: Timestamp) -> Self {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let prefix: String = prefix
            .chars()
            .map(|c| if is_plain(c) { c } else { '-' })
            .take(64)
            .collect();
        let prefix = if prefix.is_empty() {
            "project".to_owned()
        } else {
            prefix
        };
        let time = time.to_zoned(TimeZone::UTC).strftime("%Y%m%d_%H%M%S").to_string();
        Self(format!("{prefix}{MIDDLE}{time}"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What backups of one project have in common.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.rsplit_once(MIDDLE).map_or("", |(prefix, _)| prefix)
    }

    /// When it was begun, to the second; `None` where the id names no time that there is.
    #[must_use]
    pub fn taken(&self) -> Option<Timestamp> {
        let civil = DateTime::strptime("%Y%m%d_%H%M%S", self.time()).ok()?;
        civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    }

    fn time(&self) -> &str {
        self.0.rsplit_once(MIDDLE).map_or("", |(_, time)| time)
    }

    fn key(&self, ending: &str) -> Result<ObjectKey, FilesError> {
        let text = format!("{FOLDER}{}{ending}", self.0);
        text.parse()
            .map_err(|_| damaged(&text, "it is no key of an object".to_owned()))
    }
}

impl FromStr for FilesId {
    type Err = InvalidFilesId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
        let is_id = text.rsplit_once(MIDDLE).is_some_and(|(prefix, time)| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
            let is_time = time
                .split_once('_')
                .is_some_and(|(day, time)| is_digits(day, 8) && is_digits(time, 6));
            !prefix.is_empty() && prefix.bytes().all(is_plain) && is_time
        });
        match is_id {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidFilesId { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for FilesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Backups of files in a store, beside whatever else is there.
#[derive(Clone, Debug)]
pub struct FilesRepository {
    store: Arc<dyn Store>,
    sealer: Option<Arc<dyn Sealer>>,
    unsealer: Option<Arc<dyn Unsealer>>,
}

/// A backup of files that was opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FilesBackup {
    /// Its id.
    pub id: FilesId,
    /// What it is.
    pub manifest: FilesManifest,
    /// Names of all of its objects.
    pub objects: BTreeSet<String>,
}

impl FilesRepository {
    /// Those in a store, in clear.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            sealer: None,
            unsealer: None,
        }
    }

    /// Seals what is written from now on.
    #[must_use]
    pub fn with_sealer(mut self, sealer: Arc<dyn Sealer>) -> Self {
        self.sealer = Some(sealer);
        self
    }

    /// Opens what is sealed.
    #[must_use]
    pub fn with_unsealer(mut self, unsealer: Arc<dyn Unsealer>) -> Self {
        self.unsealer = Some(unsealer);
        self
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) fn sealer(&self) -> Option<&dyn Sealer> {
        self.sealer.as_deref()
    }

    pub(crate) fn objects(&self) -> Objects<'_> {
        Objects::new(&self.store, self.sealer.as_deref(), self.unsealer.as_deref())
    }

    /// All backups of files, from the oldest to the newest.
    ///
    /// # Errors
    /// Those of the store.
    pub fn list(&self) -> Result<Vec<FilesId>, FilesError> {
        let listed = self.store.list(FOLDER)?;
        let ids = listed.iter().filter_map(|meta| {
            let name = meta.key.as_str().strip_prefix(FOLDER)?.strip_suffix(MANIFEST)?;
            name.parse().ok()
        });
        let mut ids: Vec<FilesId> = ids.collect();
        ids.sort_by(|a, b| (a.time(), a).cmp(&(b.time(), b)));
        Ok(ids)
    }

    /// The newest of one project, which must be named by its prefix where there are those of several.
    ///
    /// # Errors
    /// [`FilesError::Empty`], [`FilesError::Several`]; those of the store.
    pub fn latest(&self, prefix: Option<&str>) -> Result<FilesId, FilesError> {
        let mut ids = self.list()?;
        match prefix {
            Some(prefix) => ids.retain(|id| id.prefix() == prefix),
            None => {
                let prefixes: BTreeSet<&str> = ids.iter().map(FilesId::prefix).collect();
                if prefixes.len() > 1 {
                    return Err(FilesError::Several(prefixes.into_iter().map(str::to_owned).collect()));
                }
            }
        }
        ids.pop().ok_or(FilesError::Empty)
    }

    /// Opens a backup.
    ///
    /// # Errors
    /// [`FilesError::NotFound`], [`FilesError::Damaged`], [`FilesError::Newer`]; those of the store.
    pub fn open(&self, id: &FilesId) -> Result<FilesBackup, FilesError> {
        let key = id.key(MANIFEST)?;
        let bytes = match self.read(&key, MANIFEST_BYTES_MAX) {
            Err(FilesError::Store(error)) if error.kind() == ErrorKind::NotFound => {
                return Err(FilesError::NotFound(id.clone()));
            }
            read => read?,
        };
        let wrong = |why: String| damaged(key.as_str(), why);
        // Its version says how the rest is to be read.
        let document: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let version = document["version"].as_u64();
        match (document["format"].as_str(), version) {
            (Some(FORMAT), Some(version)) if version == u64::from(VERSION) => {}
            (Some(FORMAT), Some(version)) if version > u64::from(VERSION) => {
                return Err(FilesError::Newer {
                    subject: key.to_string(),
                    version: u32::try_from(version).unwrap_or(u32::MAX),
                });
            }
            _ => return Err(wrong("it is no manifest of files".to_owned())),
        }
        let manifest: FilesManifest = serde_json::from_value(document).map_err(|error| wrong(error.to_string()))?;
        if manifest.id != id.as_str() {
            return Err(wrong(format!("it is that of {:?}", manifest.id)));
        }
        let objects = self.read_checksums(id, &manifest)?;
        Ok(FilesBackup {
            id: id.clone(),
            manifest,
            objects,
        })
    }

    /// The names of a backup's objects, which its manifest vouches for.
    fn read_checksums(&self, id: &FilesId, manifest: &FilesManifest) -> Result<BTreeSet<String>, FilesError> {
        let key = id.key(CHECKSUMS)?;
        let bytes = self.read(&key, CHECKSUMS_BYTES_MAX)?;
        if digest(&manifest.checksums_sha256) != Some(Sha256Digest::of(&bytes)) {
            return Err(damaged(
                key.as_str(),
                "its digest is not that of the manifest".to_owned(),
            ));
        }
        let text = String::from_utf8_lossy(&bytes);
        let names = text.lines().map(|line| {
            let (sha256, path) = line.split_once("  ")?;
            let name = path.rsplit('/').next()?;
            (digest_in(name).is_some() && name.starts_with(sha256)).then(|| name.to_owned())
        });
        let names: Option<BTreeSet<String>> = names.collect();
        names.ok_or_else(|| damaged(key.as_str(), "a line of it names no object".to_owned()))
    }

    /// The listing of a backup.
    ///
    /// # Errors
    /// [`FilesError::Seal`] where no key opens it; [`FilesError::Damaged`]; those of the store.
    pub fn listing(&self, backup: &FilesBackup) -> Result<FilesListing, FilesError> {
        let objects = self.objects();
        let mut text = Vec::new();
        for part in &backup.manifest.listing {
            text.extend(objects.content(part)?);
        }
        let subject = format!("the listing of {}", backup.id);
        if digest(&backup.manifest.listing_sha256) != Some(Sha256Digest::of(&text)) {
            return Err(damaged(&subject, "its digest is not that of the manifest".to_owned()));
        }
        FilesListing::decode(&text).map_err(|why| damaged(&subject, why))
    }

    /// Writes the file that names every object.
    pub(crate) fn write_checksums(&self, id: &FilesId, names: &BTreeSet<String>) -> Result<Sha256Digest, FilesError> {
        let mut text = String::new();
        for name in names {
            let (sha256, folder) = (name.split('.').next().unwrap_or_default(), &name[..2]);
            text.push_str(&format!("{sha256}  objects/{folder}/{name}\n"));
        }
        // What nobody could read would be no backup.
        if text.len() as u64 > CHECKSUMS_BYTES_MAX {
            return Err(FilesError::TooMany { objects: names.len() });
        }
        self.write(id, CHECKSUMS, text.as_bytes())?;
        Ok(Sha256Digest::of(text.as_bytes()))
    }

    /// Writes the manifest, by which the backup is there.
    pub(crate) fn write_manifest(&self, id: &FilesId, manifest: &FilesManifest) -> Result<(), FilesError> {
        let mut text = serde_json::to_vec_pretty(manifest).map_err(FilesError::Document)?;
        text.push(b'\n');
        self.write(id, MANIFEST, &text)
    }

    /// Creates an object and reads it back. Where the answer is lost, what is there tells.
    fn write(&self, id: &FilesId, ending: &str, bytes: &[u8]) -> Result<(), FilesError> {
        let key = id.key(ending)?;
        let written = self.store.create(&key).and_then(|mut writer| {
            writer.append(bytes)?;
            writer.publish()
        });
        match written {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(FilesError::Exists(id.clone())),
            Err(error) => match self.read(&key, bytes.len() as u64) {
                Ok(found) if found == bytes => {}
                _ => return Err(error.into()),
            },
            Ok(_) => {
                if self.read(&key, bytes.len() as u64)? != bytes {
                    return Err(damaged(key.as_str(), "it is not what was written".to_owned()));
                }
            }
        }
        Ok(())
    }

    fn read(&self, key: &ObjectKey, bytes_max: u64) -> Result<Vec<u8>, FilesError> {
        let mut bytes = Vec::new();
        let reader = self.store.read(key, None)?;
        let read = reader.take(bytes_max + 1).read_to_end(&mut bytes);
        read.map_err(|source| StoreError::io("read", key.as_str(), source))?;
        if bytes.len() as u64 > bytes_max {
            return Err(damaged(key.as_str(), format!("it is longer than {bytes_max} bytes")));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_one_form() {
        let time: Timestamp = "2026-11-30T22:05:09Z".parse().unwrap();
        assert_eq!(FilesId::new("abc", time).as_str(), "abc_files_20261130_220509");
        assert_eq!(FilesId::new("a/../b", time).as_str(), "a----b_files_20261130_220509");
        assert_eq!(FilesId::new("", time).prefix(), "project");
        for text in ["abc_files_20261130_220509", "a_files_b_files_20261130_220509"] {
            assert_eq!(text.parse::<FilesId>().map(|id| id.0), Ok(text.to_owned()));
        }
        for text in [
            "",
            "_files_20261130_220509",
            "a_files_2026_1",
            "a/b_files_20261130_220509",
            "latest",
        ] {
            assert!(text.parse::<FilesId>().is_err(), "{text}");
        }
    }
}
