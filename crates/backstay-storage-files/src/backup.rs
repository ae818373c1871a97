use std::collections::{BTreeSet, HashMap};
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;

use backstay_core::seal::Sealer;
use backstay_core::{Sha256Digest, Sha256Hasher};
use backstay_store_supabase::{ListedFile, OpenedFile, ProjectFiles};
use jiff::Timestamp;

use crate::error::FilesError;
use crate::listing::{FileEntry, FileName, FilesListing};
use crate::manifest::{FORMAT, FilesManifest, Part, VERSION};
use crate::objects::{Objects, damaged};
use crate::progress::{FilesPhase, FilesProgress};
use crate::repository::{FilesBackup, FilesId, FilesRepository};

/// How often a file is read that is another one afterwards.
const ATTEMPTS: u32 = 5;

/// How files are backed up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FilesBackupOptions {
    /// What ids begin with: the reference of the project.
    pub prefix: String,
    /// Now.
    pub time: Timestamp,
    /// How many files are read at the same time; each takes 16 MiB of memory, or 32 where it is sealed, and what the
    /// store takes to write as much.
    pub jobs: NonZeroUsize,
}

impl FilesBackupOptions {
    /// Those of a project, at a time; two files at once.
    #[must_use]
    pub fn new(prefix: &str, time: Timestamp) -> Self {
        Self {
            prefix: prefix.to_owned(),
            time,
            jobs: NonZeroUsize::MIN.saturating_add(1),
        }
    }
}

/// What was backed up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FilesBackupReport {
    /// The backup.
    pub backup: FilesBackup,
    /// What is in it.
    pub listing: FilesListing,
    /// The backup whose files were not read again; none where there is none, or no key opens it.
    pub base: Option<FilesId>,
    /// Files that were not read, because they are as in the base.
    pub unchanged: u64,
    /// Files that were removed between the listing and the reading.
    pub vanished: Vec<FileName>,
    /// What the newest backup of the same prefix had, whether it can be opened or not; `None` where there is none.
    pub earlier: Option<EarlierFiles>,
    /// Buckets that it had and the project has not any more, as far as it can be opened.
    pub gone_buckets: Vec<String>,
}

/// What an earlier backup had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EarlierFiles {
    /// The backup.
    pub id: FilesId,
    /// How many buckets.
    pub buckets: u64,
    /// How many files.
    pub files: u64,
}

impl FilesBackupReport {
    /// What the backup before this one had, where this one has less than half of its files.
    #[must_use]
    pub fn shrank(&self) -> Option<&EarlierFiles> {
        let files = self.backup.manifest.files;
        self.earlier
            .as_ref()
            .filter(|earlier| files < earlier.files.div_ceil(2))
    }
}

/// Backs up all files of a project: those that are as in the newest backup of the same prefix are not read again.
///
/// A file is unchanged where its row, its time, its tag and its length are those of before, and the store has its content.
/// One that changes while it is read is read again. What the service lists, and has no content for, is noted
/// (`without_file`). The manifest is written last; before that there is no backup.
///
/// # Errors
/// See [`FilesError`]; nothing was published then.
pub fn back_up_files(
    project: &ProjectFiles,
    repository: &FilesRepository,
    options: &FilesBackupOptions,
    progress: &dyn FilesProgress,
) -> Result<FilesBackupReport, FilesError> {
    let id = FilesId::new(&options.prefix, options.time);
    if repository.list()?.contains(&id) {
        return Err(FilesError::Exists(id));
    }
    let earlier = earlier(repository, id.prefix())?;
    let objects = repository.objects();
    objects.look()?;
    let part_bytes = objects.part_bytes()?;
    progress.begins(FilesPhase::List, 0);
    let buckets = project.buckets().map_err(FilesError::Service)?;
    let mut work = Vec::new();
    for bucket in &buckets {
        if progress.is_stopped() {
            return Err(FilesError::Cancelled);
        }
        let files = project.list(&bucket.id).map_err(FilesError::Service)?;
        work.extend(files.into_iter().map(|file| (bucket.id.clone(), file)));
    }
    let listed = work.iter().filter_map(|(_, file)| file.size);
    progress.begins(FilesPhase::BackUp, listed.fold(0, u64::saturating_add));
    let reading = Reading {
        project,
        objects: &objects,
        earlier: &earlier.files,
        part_bytes,
        progress,
    };
    let found = reading.read_all(work, options.jobs.get())?;
    let mut listing = FilesListing {
        buckets,
        ..FilesListing::default()
    };
    let (mut unchanged, mut vanished) = (0, Vec::new());
    for found in found {
        match found {
            Found::Unchanged(entry) => {
                unchanged += 1;
                listing.files.push(entry);
            }
            Found::File(entry) => listing.files.push(entry),
            Found::WithoutFile(name) => listing.without_file.push(name),
            Found::Vanished(name) => vanished.push(name),
        }
    }
    listing.files.sort_by(|a, b| a.file.cmp(&b.file));
    listing.without_file.sort();
    vanished.sort();
    let backup = publish(repository, &objects, &id, options.time, &listing)?;
    let is_gone = |id: &String| !listing.buckets.iter().any(|bucket| bucket.id == *id);
    Ok(FilesBackupReport {
        backup,
        base: earlier.base,
        unchanged,
        vanished,
        earlier: earlier.counts,
        gone_buckets: earlier.buckets.into_iter().filter(is_gone).collect(),
        listing,
    })
}

/// What is known of the newest backup of a prefix.
#[derive(Default)]
struct Earlier {
    /// What it had, where its manifest can be read.
    counts: Option<EarlierFiles>,
    /// Its id, where its listing can be read and it is sealed as the next one is; else the rest is empty.
    base: Option<FilesId>,
    buckets: Vec<String>,
    files: HashMap<FileName, FileEntry>,
}

fn earlier(repository: &FilesRepository, prefix: &str) -> Result<Earlier, FilesError> {
    let id = match repository.latest(Some(prefix)) {
        Err(FilesError::Empty) => return Ok(Earlier::default()),
        id => id?,
    };
    let mut earlier = Earlier::default();
    let opened = repository.open(&id).and_then(|backup| {
        earlier.counts = Some(EarlierFiles {
            id: id.clone(),
            buckets: backup.manifest.buckets,
            files: backup.manifest.files,
        });
        let is_base = is_sealed_alike(&backup.manifest, repository.sealer());
        is_base.then(|| repository.listing(&backup)).transpose()
    });
    match opened {
        Ok(None) => {}
        Ok(Some(listing)) => {
            earlier.base = Some(id);
            earlier.buckets = listing.buckets.into_iter().map(|bucket| bucket.id).collect();
            let files = listing.files.into_iter();
            earlier.files = files.map(|entry| (entry.file.clone(), entry)).collect();
        }
        // Whatever is unknown is read again; a store that fails is not unknown.
        Err(FilesError::Seal { .. } | FilesError::Damaged { .. } | FilesError::Newer { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(earlier)
}

/// Whether what a backup has can be opened by those, and only by those, for whom the next one is sealed. All passphrases have
/// one name, so nobody can tell whether it is the same one.
fn is_sealed_alike(manifest: &FilesManifest, sealer: Option<&dyn Sealer>) -> bool {
    let Some(sealer) = sealer else {
        return manifest.sealed.is_none();
    };
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let recipients = sorted(sealer.recipients());
    manifest.sealed.as_deref() == Some(sealer.method().extension())
        && sorted(manifest.recipients.clone()) == recipients
        && !recipients.iter().any(|name| name == "passphrase")
}

enum Found {
    Unchanged(FileEntry),
    File(FileEntry),
    WithoutFile(FileName),
    Vanished(FileName),
}

struct Reading<'a> {
    project: &'a ProjectFiles,
    objects: &'a Objects<'a>,
    earlier: &'a HashMap<FileName, FileEntry>,
    part_bytes: u64,
    progress: &'a dyn FilesProgress,
}

impl Reading<'_> {
    fn read_all(&self, work: Vec<(String, ListedFile)>, jobs: usize) -> Result<Vec<Found>, FilesError> {
        let work = Mutex::new(work.into_iter());
        let outcome: Mutex<Result<Vec<Found>, FilesError>> = Mutex::new(Ok(Vec::new()));
        let worker = || {
            loop {
                let next = work.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((bucket, file)) = next else { return };
                let found = self.read(&bucket, &file);
                let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                match (&mut *outcome, found) {
                    (Ok(all), Ok(found)) => all.push(found),
                    (Ok(_), Err(error)) => {
                        *outcome = Err(error);
                        return;
                    }
                    (Err(_), _) => return,
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(worker);
            }
        });
        outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, bucket: &str, listed: &ListedFile) -> Result<Found, FilesError> {
        if self.progress.is_stopped() {
            return Err(FilesError::Cancelled);
        }
        let file = FileName::new(bucket, &listed.name);
        if let Some(entry) = self.earlier.get(&file)
            && self.is_unchanged(entry, listed)
        {
            self.progress.advances(&file, entry.size);
            return Ok(Found::Unchanged(entry.clone()));
        }
        let info = || self.project.info(bucket, &listed.name).map_err(FilesError::Service);
        for _ in 0..ATTEMPTS {
            let Some(before) = info()? else {
                return Ok(Found::Vanished(file));
            };
            let Some(size) = before.size else {
                return Ok(Found::WithoutFile(file));
            };
            let content = match self
                .project
                .open(bucket, &listed.name, size, before.etag.as_deref())
                .map_err(FilesError::Service)?
            {
                OpenedFile::Content(content) => content,
                OpenedFile::Changed => continue,
                OpenedFile::Missing => match info()? {
                    Some(after) if after == before => return Ok(Found::WithoutFile(file)),
                    _ => continue,
                },
            };
            let stored = self.store(&file, content, size);
            if info()?.as_ref() != Some(&before) {
                continue;
            }
            let (sha256, parts) = stored?;
            return Ok(Found::File(FileEntry {
                file,
                id: listed.id.clone(),
                updated_at: listed.updated_at.clone(),
                etag: listed.etag.clone(),
                object_version: before.version,
                size,
                sha256: sha256.to_string(),
                attributes: before.attributes,
                parts,
            }));
        }
        Err(FilesError::KeepsChanging(file))
    }

    /// Whether a file is as in the base. What is not told may be anything.
    fn is_unchanged(&self, entry: &FileEntry, listed: &ListedFile) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        same(&entry.id, &listed.id)
            && same(&entry.updated_at, &listed.updated_at)
            && same(&entry.etag, &listed.etag)
            && listed.size == Some(entry.size)
            && entry.parts.iter().all(|part| self.objects.has(part))
    }

    /// Stores the content of a file part by part.
    fn store(
        &self,
        file: &FileName,
        mut content: Box<dyn std::io::Read + Send>,
        size: u64,
    ) -> Result<(Sha256Digest, Vec<Part>), FilesError> {
        let (mut hasher, mut parts, mut left) = (Sha256Hasher::new(), Vec::new(), size);
        while left > 0 {
            if self.progress.is_stopped() {
                return Err(FilesError::Cancelled);
            }
            let mut part = Vec::new();
            let wanted = left.min(self.part_bytes);
            let read = (&mut content).take(wanted).read_to_end(&mut part);
            let read = read.and_then(|read| match read as u64 == wanted {
                true => Ok(()),
                false => Err(std::io::ErrorKind::UnexpectedEof.into()),
            });
            read.map_err(|source| FilesError::Read {
                file: file.clone(),
                source,
            })?;
            hasher.update(&part);
            parts.push(self.objects.put(&part)?);
            self.progress.advances(file, wanted);
            left -= wanted;
        }
        Ok((hasher.finish(), parts))
    }
}

/// Writes the listing, the names of all objects, and the manifest.
fn publish(
    repository: &FilesRepository,
    objects: &Objects<'_>,
    id: &FilesId,
    time: Timestamp,
    listing: &FilesListing,
) -> Result<FilesBackup, FilesError> {
    let text = listing.encode()?;
    let part_bytes = usize::try_from(objects.part_bytes()?).unwrap_or(usize::MAX);
    let written: Result<Vec<Part>, FilesError> = text.chunks(part_bytes).map(|piece| objects.put(piece)).collect();
    let written = written?;
    let all = || listing.files.iter().flat_map(|entry| &entry.parts).chain(&written);
    let names: BTreeSet<String> = all().map(|part| part.object.clone()).collect();
    let checksums = repository.write_checksums(id, &names)?;
    // What is taken over from the base may have been removed meanwhile.
    objects.look()?;
    if let Some(part) = all().find(|part| !objects.has(part)) {
        return Err(damaged(&part.object, "it is not in the store any more".to_owned()));
    }
    let sealer = repository.sealer();
    let manifest = FilesManifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        id: id.to_string(),
        taken: time.to_string(),
        sealed: sealer.map(|sealer| sealer.method().extension().to_owned()),
        recipients: sealer.map(Sealer::recipients).unwrap_or_default(),
        buckets: listing.buckets.len() as u64,
        files: listing.files.len() as u64,
        bytes: listing.files.iter().map(|entry| entry.size).sum(),
        without_file: listing.without_file.len() as u64,
        listing_sha256: Sha256Digest::of(&text).to_string(),
        listing: written.clone(),
        checksums_sha256: checksums.to_string(),
    };
    repository.write_manifest(id, &manifest)?;
    Ok(FilesBackup {
        id: id.clone(),
        manifest,
        objects: names,
    })
}
