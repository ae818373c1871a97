use std::sync::Arc;

use backstay_core::manifest::{SealedManifest, Sidecar};
use backstay_core::repository::{BackupReader, NotedFinding, NotedFindings, Proof, Repository, RepositoryError};
use backstay_core::store::{Error, ErrorKind, ObjectKey, Store};
use backstay_core::{BackupId, Manifest};
use backstay_verify::{
    Finding, ForeignArchive as Dump, Level, Origin, PastBackup, Report, Rule, Rules, Severity, VerifyError,
    VerifyObserver, VerifyOptions,
};
use jiff::Timestamp;

use crate::CancelToken;
use crate::foreign::{ForeignArchive, ForeignError};
use crate::progress::{Phase, Progress, ProgressEvent};

/// Largest `.sha256` that is read.
const CHECKSUM_BYTES_MAX: u64 = 1 << 20;
/// The lines that every pack begins with, which tell a damaged pack from a foreign archive.
const OUR_FIRST_LINE: &[u8] = b"\\if :{?keep_going}";

/// A backup that was found, by its id or by the path of its file.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth way")]
pub enum Archive {
    /// A backup of a store, by its manifest.
    Backup(BackupReader),
    /// A pack opened by its name alone.
    Pack(BackupReader),
    /// A sealed backup of a store, to which no key is at hand.
    Sealed {
        /// The store that holds it.
        store: Arc<dyn Store>,
        /// What stands in clear of its manifest.
        manifest: SealedManifest,
    },
    /// What another tool left.
    Foreign {
        /// The store that holds it.
        store: Arc<dyn Store>,
        /// The archive.
        archive: ForeignArchive,
    },
}

/// Why an archive cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenArchiveError {
    /// It is Backstay's and cannot be used.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// It is foreign and cannot be used.
    #[error(transparent)]
    Foreign(#[from] ForeignError),
}

impl Archive {
    /// Opens the backup with that id.
    ///
    /// # Errors
    /// It does not exist, or its manifest is refused.
    pub fn open(repository: &Repository, id: &BackupId) -> Result<Self, OpenArchiveError> {
        Ok(Self::Backup(repository.open(id)?))
    }

    /// The same, and where it is sealed and the repository has no keys, what can be had without one.
    ///
    /// # Errors
    /// It does not exist, or its manifest is refused.
    pub fn open_even_sealed(repository: &Repository, id: &BackupId) -> Result<Self, OpenArchiveError> {
        match Self::open(repository, id) {
            Err(OpenArchiveError::Repository(RepositoryError::Sealed { .. })) => match repository.read_sidecar(id)? {
                Sidecar::Sealed(manifest) => Ok(Self::Sealed {
                    store: Arc::clone(repository.store()),
                    manifest,
                }),
                Sidecar::Plain(_) => Self::open(repository, id),
            },
            opened => opened,
        }
    }

    /// Opens a file by its name: a pack of Backstay, or a plain `pg_dump`, compressed or not. What is sealed is opened
    /// with the keys of the repository.
    ///
    /// # Errors
    /// It does not exist; it is a pack of Backstay and damaged; it is neither; it is sealed and no key opens it; it is a
    /// volume and not the last.
    pub fn open_file(repository: &Repository, key: &ObjectKey) -> Result<Self, OpenArchiveError> {
        let opened = match BackupReader::open_pack(repository, key) {
            Ok(reader) => return Ok(Self::Pack(reader)),
            Err(error @ (RepositoryError::Sealed { .. } | RepositoryError::NotLastVolume { .. })) => {
                return Err(error.into());
            }
            Err(error) => error,
        };
        let store = repository.clear_store();
        if is_ours(&*store, key)? {
            return Err(opened.into());
        }
        let archive = ForeignArchive::open(&*store, key)?;
        Ok(Self::Foreign { store, archive })
    }

    /// The reader, where it is a backup of Backstay.
    #[must_use]
    pub fn backup(&self) -> Option<&BackupReader> {
        match self {
            Self::Backup(reader) | Self::Pack(reader) => Some(reader),
            Self::Sealed { .. } | Self::Foreign { .. } => None,
        }
    }
}

/// Whether an object begins as every pack does: a pack whose end is damaged must not pass for a foreign archive.
fn is_ours(store: &dyn Store, key: &ObjectKey) -> Result<bool, ForeignError> {
    use std::io::Read;
    let Ok((_, script)) = backstay_core::script::open(store.read(key, None)?) else {
        return Ok(false);
    };
    let mut start = Vec::new();
    // Damage so early is reported by whoever reads it in earnest.
    drop(script.take(OUR_FIRST_LINE.len() as u64).read_to_end(&mut start));
    Ok(start == OUR_FIRST_LINE)
}

/// How an archive is verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckOptions {
    /// How deep.
    pub level: Level,
    /// How many threads.
    pub jobs: usize,
    /// What it is expected to be.
    pub rules: Rules,
    /// Rules of one's own.
    pub custom: Vec<Arc<dyn Rule>>,
    /// The other backups of the same database, to compare with.
    pub earlier: EarlierVolumes,
    /// The time of now; without it neither ages nor exemptions can be judged, nor by rules of one's own.
    pub now: Option<Timestamp>,
}

/// What other backups of a database held.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EarlierVolumes {
    /// Those before the one that is looked at, newest first.
    pub backups: Vec<PastBackup>,
    /// How many of them could not be read, because they are encrypted and there is no key, or because they are damaged.
    pub unread: usize,
    /// When the newest of all was taken.
    pub newest: Option<Timestamp>,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            level: Level::Standard,
            jobs: 2,
            rules: Rules::default(),
            custom: Vec::new(),
            earlier: EarlierVolumes::default(),
            now: None,
        }
    }
}

/// Verifies an archive, as deep as the options say; a foreign one as deep as it can be.
///
/// # Errors
/// Only what keeps it from looking; everything that is wrong with the archive stands in the report.
pub fn verify(
    archive: &Archive,
    options: &CheckOptions,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Report, VerifyError> {
    progress.event(ProgressEvent::Phase {
        phase: Phase::Verify,
        bytes_total: total(archive),
    });
    let observer = Observer {
        progress,
        done: std::sync::Mutex::new(0),
    };
    let cancelled = || cancel.is_cancelled();
    let (reader, origin) = match archive {
        Archive::Backup(reader) => (reader, Origin::Id),
        Archive::Pack(reader) => (reader, Origin::Pack),
        Archive::Sealed { store, manifest } => {
            let report = backstay_verify::verify_sealed(store, manifest, &observer, &cancelled)?;
            return Ok(without_rules(report, options, "it is encrypted, and there is no key"));
        }
        Archive::Foreign { store, archive } => {
            let dump = Dump {
                name: archive.key.as_str().to_owned(),
                reader: store.read(&archive.key, None).map_err(VerifyError::Store)?,
                bytes_total: Some(archive.bytes),
                checksum: checksum_beside(&**store, &archive.key).map_err(VerifyError::Store)?,
            };
            let (report, _) = backstay_verify::verify_foreign(dump, &options.rules, &observer, &cancelled)?;
            return Ok(without_rules(
                report,
                options,
                "a plain dump has no list of what it holds",
            ));
        }
    };
    let mut verify_options = options.for_rules();
    verify_options.level = options.level;
    verify_options.jobs = options.jobs;
    let report = backstay_verify::verify_backup(reader, origin, &verify_options, &observer, &cancelled)?;
    Ok(options.with_unread(report))
}

/// Judges a backup by the rules alone, as its manifest tells what it is: for one that was just made. Its grants are read where
/// `backup` can be opened and there are rules about them.
#[must_use]
pub fn judge(manifest: &Manifest, backup: Option<&BackupReader>, options: &CheckOptions) -> Report {
    options.with_unread(backstay_verify::judge_backup(manifest, backup, &options.for_rules()))
}

/// What a report says in a record beside a backup. Of a sealed one it says how many findings there are, and not which: the
/// record is in clear, and must confirm nothing that is in the backup.
#[must_use]
pub fn proof_of(report: &Report, sealed: bool) -> Proof {
    Proof {
        level: report.level.to_string(),
        passed: report.is_sound(),
        findings: noted(&report.findings, sealed),
    }
}

/// How many findings there are and, but of a sealed backup, the first of them.
pub(crate) fn noted(findings: &[Finding], sealed: bool) -> NotedFindings {
    const FIRST_MAX: usize = 20;
    const TEXT_CHARS_MAX: usize = 300;
    let short = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect();
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    let first = findings
        .iter()
        .filter(|finding| finding.severity < Severity::Note && !sealed);
    NotedFindings {
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
        notes: count(Severity::Note),
        first: first
            .take(FIRST_MAX)
            .map(|finding| NotedFinding {
                severity: finding.severity.to_string(),
                rule: finding.rule.to_owned(),
                subject: short(&finding.subject),
                message: short(&finding.message),
            })
            .collect(),
    }
}

impl CheckOptions {
    fn for_rules(&self) -> VerifyOptions<'_> {
        let mut options = VerifyOptions::new(&self.rules);
        options.custom = &self.custom;
        options.earlier = &self.earlier.backups;
        options.newest = self.earlier.newest;
        options.now = self.now;
        options
    }

    fn with_unread(&self, mut report: Report) -> Report {
        if self.earlier.unread > 0 {
            let unread = self.earlier.unread;
            let what = format!("the volume of data against {unread} earlier backups, which could not be read");
            report.not_checked.push(what);
        }
        report
    }
}

/// Says that the rules were not looked at, where there are any.
fn without_rules(mut report: Report, options: &CheckOptions, why: &str) -> Report {
    let mut usual = Rules::default();
    usual.require_tables.clone_from(&options.rules.require_tables);
    if options.rules != usual {
        report.not_checked.push(format!("the rules: {why}"));
    }
    report
}

/// What the backups before that one in the same series held, at most `count` of them. Costs one listing, and a read for each.
///
/// # Errors
/// Those of the store's listing.
pub fn earlier_volumes(repository: &Repository, id: &BackupId, count: usize) -> Result<EarlierVolumes, Error> {
    let listing = repository.list()?;
    let series = || {
        listing
            .backups
            .iter()
            .map(|backup| &backup.id)
            .filter(|other| other.prefix() == id.prefix())
    };
    let mut earlier = EarlierVolumes {
        newest: series().map(BackupId::time).max(),
        ..EarlierVolumes::default()
    };
    for other in series().rev().filter(|other| *other < id).take(count) {
        match repository.read_manifest(other) {
            Ok(manifest) => earlier.backups.push(PastBackup::of(&manifest)),
            Err(_) => earlier.unread += 1,
        }
    }
    Ok(earlier)
}

fn total(archive: &Archive) -> u64 {
    match archive {
        Archive::Backup(reader) | Archive::Pack(reader) => reader.manifest().stored_bytes(),
        Archive::Sealed { manifest, .. } => manifest.packs.iter().map(|pack| pack.bytes).sum(),
        Archive::Foreign { archive, .. } => archive.bytes,
    }
}

fn checksum_beside(store: &dyn Store, key: &ObjectKey) -> Result<Option<String>, Error> {
    use std::io::Read;
    let Ok(key) = format!("{key}.sha256").parse::<ObjectKey>() else {
        return Ok(None);
    };
    let reader = match store.read(&key, None) {
        Ok(reader) => reader,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    reader
        .take(CHECKSUM_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|e| Error::io("read", key.as_str(), e))?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

struct Observer<'p> {
    progress: &'p dyn Progress,
    done: std::sync::Mutex<u64>,
}

impl VerifyObserver for Observer<'_> {
    fn progress(&self, bytes_done: u64, _bytes_total: u64) {
        let mut done = self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bytes = bytes_done.saturating_sub(*done);
        *done = bytes_done.max(*done);
        self.progress.event(ProgressEvent::Advance { bytes, table: None });
    }
}
