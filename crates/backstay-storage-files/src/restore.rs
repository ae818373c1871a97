use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;

use backstay_core::store::ErrorKind;
use backstay_store_supabase::{Existing, FileBucket, OpenedFile, ProjectFiles};

use crate::error::FilesError;
use crate::listing::{FileEntry, FileName};
use crate::manifest::digest;
use crate::objects::{Objects, PartsReader, digest_of};
use crate::progress::{FilesPhase, FilesProgress};
use crate::repository::{FilesBackup, FilesRepository};

/// How often a file is tried that was not there, and then was.
const ATTEMPTS_MAX: u32 = 3;

/// What becomes of files that the project has, with other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum ExistingFiles {
    /// They stay, and are told.
    Keep,
    /// They are replaced.
    Replace,
}

/// How files are restored.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "what destroys something has no default")]
pub struct FilesRestoreOptions {
    /// Only these buckets, by id; all where it is empty.
    pub buckets: Vec<String>,
    /// What becomes of files that are there.
    pub existing: ExistingFiles,
    /// How many files are written at the same time.
    pub jobs: NonZeroUsize,
}

/// What was restored.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FilesRestoreReport {
    /// Buckets that were made.
    pub buckets_made: Vec<String>,
    /// Buckets that were there, and are public, limited or restricted in another way.
    pub buckets_differing: Vec<String>,
    /// Files that were written, and read back.
    pub written: u64,
    /// Their bytes.
    pub written_bytes: u64,
    /// Files that were there with the same content.
    pub same: u64,
    /// Files that were there with other content, and were left alone.
    pub kept: Vec<FileName>,
    /// Files whose type, caching or metadata are others than in the backup.
    pub attributes_differing: Vec<FileName>,
    /// Files that are not there now, and why.
    pub failed: Vec<(FileName, String)>,
    /// Files that the backup itself has not, because the project had only their rows.
    pub without_file: Vec<FileName>,
}

impl FilesRestoreReport {
    /// Whether every file of the backup is there as it was.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.kept.is_empty() && self.failed.is_empty() && self.without_file.is_empty()
    }

    fn add(&mut self, file: &FileName, outcome: Outcome) {
        match outcome {
            Outcome::Same => self.same += 1,
            Outcome::Kept => self.kept.push(file.clone()),
            Outcome::Written { bytes, attributes } => {
                self.written += 1;
                self.written_bytes += bytes;
                if attributes == Attributes::Differ {
                    self.attributes_differing.push(file.clone());
                }
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Attributes {
    Same,
    Differ,
}

enum Outcome {
    Same,
    Kept,
    Written { bytes: u64, attributes: Attributes },
}

/// Writes the files of a backup into a project. Buckets that are missing are made. What is there with the same content is left
/// as it is; what is written is read back. A file that cannot be written does not keep others from it.
///
/// # Errors
/// The backup cannot be read, or has no bucket that was named; the buckets cannot be listed or made, or it was [cancelled](FilesError::Cancelled); files may
/// have been written then.
pub fn restore_files(
    repository: &FilesRepository,
    backup: &FilesBackup,
    project: &ProjectFiles,
    options: &FilesRestoreOptions,
    progress: &dyn FilesProgress,
) -> Result<FilesRestoreReport, FilesError> {
    let listing = repository.listing(backup)?;
    let is_meant = |bucket: &str| options.buckets.is_empty() || options.buckets.iter().any(|named| named == bucket);
    let has_bucket = |id: &String| {
        let mut named = listing
            .files
            .iter()
            .map(|entry| &entry.file)
            .chain(&listing.without_file);
        listing.buckets.iter().any(|bucket| bucket.id == *id) || named.any(|file| file.bucket == *id)
    };
    if let Some(unknown) = options.buckets.iter().find(|id| !has_bucket(id)) {
        return Err(FilesError::NoBucket(unknown.clone()));
    }
    let mut report = FilesRestoreReport::default();
    let there = project.buckets().map_err(FilesError::Service)?;
    let there: BTreeMap<&str, &FileBucket> = there.iter().map(|bucket| (bucket.id.as_str(), bucket)).collect();
    for bucket in listing.buckets.iter().filter(|bucket| is_meant(&bucket.id)) {
        match there.get(bucket.id.as_str()) {
            None => {
                project.create_bucket(bucket).map_err(FilesError::Service)?;
                report.buckets_made.push(bucket.id.clone());
            }
            Some(found) if *found != bucket => report.buckets_differing.push(bucket.id.clone()),
            Some(_) => {}
        }
    }
    let without = listing.without_file.iter().filter(|file| is_meant(&file.bucket));
    report.without_file.extend(without.cloned());
    let objects = repository.objects();
    let writing = Writing {
        project,
        objects: &objects,
        existing: options.existing,
    };
    let work: Vec<&FileEntry> = listing
        .files
        .iter()
        .filter(|entry| is_meant(&entry.file.bucket))
        .collect();
    progress.begins(
        FilesPhase::Restore,
        work.iter().map(|entry| entry.size).fold(0, u64::saturating_add),
    );
    let work = Mutex::new(work.into_iter());
    let report = Mutex::new(report);
    let worker = || {
        while !progress.is_stopped() {
            let next = work.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(entry) = next else { return };
            let outcome = writing.write(entry);
            progress.advances(&entry.file, entry.size);
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(outcome) => report.add(&entry.file, outcome),
                Err(error) => report.failed.push((entry.file.clone(), chain(&error))),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..options.jobs.get() {
            scope.spawn(worker);
        }
    });
    if progress.is_stopped() {
        return Err(FilesError::Cancelled);
    }
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.kept.sort();
    report.attributes_differing.sort();
    report.failed.sort();
    Ok(report)
}

struct Writing<'a> {
    project: &'a ProjectFiles,
    objects: &'a Objects<'a>,
    existing: ExistingFiles,
}

impl Writing<'_> {
    fn write(&self, entry: &FileEntry) -> Result<Outcome, FilesError> {
        let FileName { bucket, name } = &entry.file;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let info = self.project.info(bucket, name).map_err(FilesError::Service)?;
            // Where there is not even a row, who writes it meanwhile is not overwritten.
            let existing = match info {
                None => Existing::Refuse,
                Some(_) => Existing::Replace,
            };
            // A row without a file is no file: it is what this is for.
            if let Some(size) = info.and_then(|info| info.size) {
                match self.has_content(entry, size)? {
                    Some(true) => return Ok(Outcome::Same),
                    Some(false) if self.existing == ExistingFiles::Keep => return Ok(Outcome::Kept),
                    Some(false) | None => {}
                }
            }
            let mut content = PartsReader::new(self.objects, &entry.parts);
            let attributes = &entry.attributes;
            let uploaded = self
                .project
                .upload(bucket, name, attributes, entry.size, &mut content, existing);
            match uploaded {
                Ok(()) => break,
                // Somebody has written it, or an earlier try of ours.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempts < ATTEMPTS_MAX => {}
                Err(error) => return Err(FilesError::Service(error)),
            }
        }
        let wrong = |why: &str| FilesError::Damaged {
            subject: entry.file.to_string(),
            why: why.to_owned(),
        };
        if self.has_content(entry, entry.size)? != Some(true) {
            return Err(wrong("what the project has now is not what was written"));
        }
        let info = self.project.info(bucket, name).map_err(FilesError::Service)?;
        let info = info.ok_or_else(|| wrong("it was written, and is not there"))?;
        Ok(Outcome::Written {
            bytes: entry.size,
            attributes: match info.attributes == entry.attributes {
                true => Attributes::Same,
                false => Attributes::Differ,
            },
        })
    }

    /// Whether the project has the content of the backup; `None` where it has none.
    fn has_content(&self, entry: &FileEntry, size: u64) -> Result<Option<bool>, FilesError> {
        let FileName { bucket, name } = &entry.file;
        match self
            .project
            .open(bucket, name, size, None)
            .map_err(FilesError::Service)?
        {
            OpenedFile::Missing => Ok(None),
            OpenedFile::Changed => Ok(Some(false)),
            OpenedFile::Content(_) if size != entry.size => Ok(Some(false)),
            OpenedFile::Content(mut content) => {
                let read = digest_of(&mut content).map_err(|source| FilesError::Read {
                    file: entry.file.clone(),
                    source,
                })?;
                Ok(Some(digest(&entry.sha256) == Some(read.0)))
            }
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
