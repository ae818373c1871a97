use std::collections::BTreeSet;

use crate::error::FilesError;
use crate::listing::FileName;
use crate::manifest::digest;
use crate::objects::{PartsReader, check_stored, digest_of, key};
use crate::progress::{FilesPhase, FilesProgress};
use crate::repository::{FilesBackup, FilesRepository};

/// Something that is wrong with a backup of files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilesFinding {
    /// The file, where it is about one.
    pub file: Option<FileName>,
    /// What is wrong.
    pub message: String,
}

/// What was seen of a backup of files.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FilesVerification {
    /// Files whose content was read.
    pub files: u64,
    /// Objects of which only the stored bytes were read, because no key opens them.
    pub sealed_objects: u64,
    /// What is wrong.
    pub findings: Vec<FilesFinding>,
}

impl FilesVerification {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Reads all of a backup of files: every file against its digest, or, where no key opens them, every object against its name.
///
/// # Errors
/// The store fails in another way than that an object is missing or another one; [`FilesError::Cancelled`].
pub fn verify_files(
    repository: &FilesRepository,
    backup: &FilesBackup,
    progress: &dyn FilesProgress,
) -> Result<FilesVerification, FilesError> {
    let mut seen = FilesVerification::default();
    let listing = match repository.listing(backup) {
        Ok(listing) => listing,
        Err(FilesError::Seal { .. }) => {
            verify_stored(repository, backup, progress, &mut seen)?;
            return Ok(seen);
        }
        Err(error) => {
            seen.add(None, error)?;
            return Ok(seen);
        }
    };
    progress.begins(
        FilesPhase::Verify,
        listing
            .files
            .iter()
            .map(|entry| entry.size)
            .fold(0, u64::saturating_add),
    );
    let objects = repository.objects();
    let mut named: BTreeSet<&str> = backup
        .manifest
        .listing
        .iter()
        .map(|part| part.object.as_str())
        .collect();
    for entry in &listing.files {
        if progress.is_stopped() {
            return Err(FilesError::Cancelled);
        }
        named.extend(entry.parts.iter().map(|part| part.object.as_str()));
        seen.files += 1;
        let read = digest_of(&mut PartsReader::new(&objects, &entry.parts));
        progress.advances(&entry.file, entry.size);
        let wrong = match read {
            Ok((sha256, bytes)) if digest(&entry.sha256) == Some(sha256) && bytes == entry.size => continue,
            Ok(_) => FilesError::Damaged {
                subject: entry.file.to_string(),
                why: "its content is not what was backed up".to_owned(),
            },
            Err(error) => match error.downcast::<FilesError>() {
                Ok(error) => error,
                Err(source) => FilesError::Read {
                    file: entry.file.clone(),
                    source,
                },
            },
        };
        seen.add(Some(&entry.file), wrong)?;
    }
    for name in &backup.objects {
        if !named.contains(name.as_str()) {
            let message = format!("object {name} belongs to it by its .sha256, and to no file");
            seen.findings.push(FilesFinding { file: None, message });
        }
    }
    for name in named {
        if !backup.objects.contains(name) {
            let message = format!("object {name} is not named in its .sha256");
            seen.findings.push(FilesFinding { file: None, message });
        }
    }
    Ok(seen)
}

/// Compares the stored bytes of every object with its name.
fn verify_stored(
    repository: &FilesRepository,
    backup: &FilesBackup,
    progress: &dyn FilesProgress,
    seen: &mut FilesVerification,
) -> Result<(), FilesError> {
    progress.begins(FilesPhase::Verify, 0);
    let store = &**repository.store();
    for name in &backup.objects {
        if progress.is_stopped() {
            return Err(FilesError::Cancelled);
        }
        seen.sealed_objects += 1;
        let Some(key) = key(name) else { continue };
        let read = store
            .head(&key)
            .map_err(FilesError::from)
            .and_then(|meta| check_stored(store, name, meta.size));
        if let Err(error) = read {
            seen.add(None, error)?;
        }
    }
    Ok(())
}

impl FilesVerification {
    /// Makes a finding of an error that is about the backup, and gives others back.
    fn add(&mut self, file: Option<&FileName>, error: FilesError) -> Result<(), FilesError> {
        use backstay_core::store::ErrorKind;

        let is_about_it = match &error {
            FilesError::Damaged { .. } | FilesError::Seal { .. } => true,
            FilesError::Store(error) => error.kind() == ErrorKind::NotFound,
            _ => false,
        };
        if !is_about_it {
            return Err(error);
        }
        self.findings.push(FilesFinding {
            file: file.cloned(),
            message: error.to_string(),
        });
        Ok(())
    }
}
