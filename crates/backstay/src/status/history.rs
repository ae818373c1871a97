use std::collections::BTreeMap;

use backstay_core::manifest::{Manifest, Pack, Scope, Sidecar};
use backstay_core::repository::{
    BackupSummary, DrillEvidence, Hold, NotedProof, ProofSummary, Repository, RepositoryError, Statement, Survey,
};
use backstay_core::retention::{BackupFacts, HoldFacts, ProofState};
use backstay_core::store::{Error, ObjectKey};
use backstay_core::{BackupId, Prefix, Tag};
use jiff::Timestamp;

use super::judge::are_one;
use super::origins::{Identity, SeriesOrigin, split};
use super::verdict::DatabaseStatus;

/// Of how many backups of each prefix the manifests are read, newest first, where not all are.
pub const READ_NEWEST: usize = 14;
/// Of how many that are older than those the manifests are read too: one prefix may have several databases.
const READ_OLDER_MAX: usize = 16;
/// Of how many backups that are older than those the proof is read, where none of those is proven.
const PROOFS_READ_MAX: usize = 3;
/// How many drills are read, where none passed.
const DRILLS_READ_MAX: usize = 5;
/// How many are read where all of a history is looked at.
const DRILLS_OF_ALL_MAX: usize = 100;
/// What is younger is no litter: somebody may still write it.
const LITTER_GRACE_SECS: i64 = 24 * 3600;

/// How much of a store is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "some or all")]
pub enum Depth {
    /// Of each prefix the manifests and records of the newest [`READ_NEWEST`] backups, and of some older ones: for a status.
    Newest,
    /// Every manifest and all records that decide about a backup: for a report.
    All,
}

/// What a store tells of its backups.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make histories of their own")]
pub struct StoreHistory {
    /// Bytes of all objects, of backups or not.
    pub bytes: u64,
    /// When the youngest object was written, in seconds since the Unix epoch by the store's own clock.
    pub youngest_unix_secs: Option<i64>,
    /// How many things crashes left; `None` where the store does not tell what interrupted writers left.
    pub litter: Option<usize>,
    /// Packs without a manifest.
    pub adoptable: Vec<ObjectKey>,
    /// Backups of which some volumes are there and the last is not.
    pub unfinished: Vec<BackupId>,
    /// The backups of each database, by prefix.
    pub series: Vec<Series>,
}

/// The backups of one database in one store.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make histories of their own")]
pub struct Series {
    /// The first part of their names.
    pub prefix: Prefix,
    /// The database and its cluster, where a manifest tells them.
    pub origin: Option<SeriesOrigin>,
    /// Whether the database has moved: later backups of the same prefix are of one of that name in another cluster.
    pub has_moved: bool,
    /// When the first backup was taken that the log tells of and that is not there any more, since the database moved.
    /// Where one prefix has several databases it may have been of any.
    pub first_deleted: Option<Timestamp>,
    /// Oldest first.
    pub backups: Vec<BackupHistory>,
    /// Drills with them, newest first; of many not all.
    pub drills: Vec<DrillSeen>,
}

/// One backup.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make histories of their own")]
pub struct BackupHistory {
    /// Its id, which has its time.
    pub id: BackupId,
    /// Bytes of the packs that bear its name.
    pub pack_bytes: u64,
    /// What its manifest says.
    pub manifest: BackupManifest,
    /// Whether it was proven; [`ProofState::Unread`] where its records were not read either.
    pub proof: ProofState,
    /// What the names of its proofs tell, newest first.
    pub proofs: Vec<ProofSummary>,
    /// The holds that are in force.
    pub holds: Vec<HoldFacts>,
    /// The newest proof with its findings; only of the newest backup that is not from the future.
    pub noted: Option<NotedProof>,
}

/// What is known of a manifest.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "it was read, or it could not be, or nobody tried"
)]
pub enum BackupManifest {
    /// It was not read, because the backup is not among the newest, nor one of the older ones that are looked at.
    NotRead,
    /// It cannot be used, and why.
    Refused(String),
    /// It was read.
    Read(ManifestFacts),
}

/// What a manifest says.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make histories of their own")]
pub struct ManifestFacts {
    /// Whether every pack that it names is in the store, with the right length.
    pub is_whole: bool,
    /// Bytes of the packs that it names and that bear the name of another backup.
    pub shared_bytes: u64,
    /// Whether it is encrypted.
    pub is_sealed: bool,
    /// Whether it was to hold all of the database.
    pub scope: Scope,
    /// The words that it was given.
    pub tags: Vec<Tag>,
    /// Until when it is to be kept at least.
    pub keep_until: Option<Timestamp>,
    /// What it holds; `None` where it is encrypted and there is no key.
    pub holdings: Option<Holdings>,
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "tests make histories of their own")]
pub struct Holdings {
    /// Tables.
    pub tables: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of the rows as text.
    pub text_bytes: u64,
}

/// A drill that was held with a backup.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make histories of their own")]
pub struct DrillSeen {
    /// The backup.
    pub id: BackupId,
    /// Who and when.
    pub said: Statement,
    /// What came of it.
    pub evidence: DrillEvidence,
}

/// Looks at a store. Costs one listing, one of leftovers, and reads as [`Depth`] says; besides the manifests and holds of what was
/// ever held.
///
/// # Errors
/// Those of the store. What is in it and cannot be understood is told in the history.
pub fn look(repository: &Repository, depth: Depth, now: Timestamp) -> Result<StoreHistory, Error> {
    let survey = repository.survey(now.as_second(), LITTER_GRACE_SECS)?;
    let look = Look {
        repository,
        survey: &survey,
        depth,
        now,
    };
    let mut series = Vec::new();
    for backups in survey.listing.backups.chunk_by(|a, b| a.id.prefix() == b.id.prefix()) {
        series.extend(look.series(backups)?);
    }
    Ok(StoreHistory {
        bytes: survey.bytes,
        youngest_unix_secs: survey.youngest_unix_secs,
        litter: survey.litter.as_ref().ok().map(|litter| litter.items.len()),
        adoptable: survey.listing.adoptable.clone(),
        unfinished: survey.listing.unfinished.clone(),
        series,
    })
}

struct Look<'l> {
    repository: &'l Repository,
    survey: &'l Survey,
    depth: Depth,
    now: Timestamp,
}

impl Look<'_> {
    /// The backups of one prefix.
    fn series(&self, summaries: &[BackupSummary]) -> Result<Vec<Series>, Error> {
        let mut drills = self.drills(summaries)?;
        let mut seen = Vec::new();
        let is_past = |backup: &&BackupSummary| backup.id.time() <= self.now;
        let newest = summaries.iter().rfind(is_past).map(|backup| &backup.id);
        let mut is_proven = false;
        let mut proofs_left = PROOFS_READ_MAX;
        for (index, summary) in summaries.iter().rev().enumerate() {
            let proofs = summary.proofs();
            let is_promising = proofs
                .iter()
                .find(|proof| proof.decides())
                .is_some_and(|proof| proof.passed);
            let is_candidate = !is_proven && is_promising && proofs_left > 0;
            let is_chosen = self.depth == Depth::All || is_looked_at(index, summaries.len());
            // What is known of a backup counts for its database, so that has to be known too.
            let is_drilled = drills.iter().any(|drill| drill.id == summary.id);
            let is_read = is_chosen || is_candidate || is_drilled || summary.was_held();
            let (manifest, identity) = match is_read {
                false => (BackupManifest::NotRead, Identity::Unknown),
                true => match self.manifest(summary)? {
                    Some(read) => read,
                    // Removed by somebody else in the meantime.
                    None => continue,
                },
            };
            let (holds, proof) = if is_read {
                let standing = self.repository.standing(summary, self.now)?;
                (standing.holds.iter().map(Hold::facts).collect(), standing.proof)
            } else if is_promising {
                (Vec::new(), ProofState::Unread)
            } else {
                (Vec::new(), ProofState::None)
            };
            if is_candidate && !is_chosen {
                proofs_left -= 1;
            }
            let is_part = matches!(&manifest, BackupManifest::Read(facts) if facts.scope.is_part());
            is_proven |= proof == ProofState::Proven && !is_part;
            let noted = match newest == Some(&summary.id) {
                true => told(self.repository.newest_proof_among(&summary.records))?.flatten(),
                false => None,
            };
            let backup = BackupHistory {
                id: summary.id.clone(),
                pack_bytes: summary.pack_bytes,
                manifest,
                proof,
                proofs,
                holds,
                noted,
            };
            seen.push((backup, identity));
        }
        seen.reverse();
        let mut series = split(seen);
        let deleted: Vec<Timestamp> = self.deleted(summaries).map(|id| id.time()).collect();
        let moved = series.iter().filter(|series| series.has_moved);
        let moved = moved.filter_map(|series| Some(series.backups.last()?.id.time())).max();
        for series in &mut series {
            let since = deleted.iter().filter(|time| moved.is_none_or(|moved| **time > moved));
            series.first_deleted = since.min().copied();
            let is_of_it = |drill: &DrillSeen| series.backups.iter().any(|backup| backup.id == drill.id);
            series.drills = drills.extract_if(.., |drill| is_of_it(drill)).collect();
        }
        Ok(series)
    }

    /// Backups of the same prefix that the log tells of, and that are not there.
    fn deleted(&self, summaries: &[BackupSummary]) -> impl Iterator<Item = BackupId> {
        let prefix = summaries.first().map(|summary| summary.id.prefix());
        let is_there = |id: &BackupId| summaries.iter().any(|summary| summary.id == *id);
        let noted = self.survey.noted();
        noted.filter(move |id| Some(id.prefix()) == prefix && !is_there(id))
    }

    /// What a manifest says, and of which database it is; `None` where it is gone.
    fn manifest(&self, summary: &BackupSummary) -> Result<Option<(BackupManifest, Identity)>, Error> {
        let sidecar = match self.repository.read_sidecar(&summary.id) {
            Ok(sidecar) => sidecar,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(RepositoryError::Store(error)) => return Err(error),
            Err(error) => return Ok(Some((BackupManifest::Refused(in_one_line(&error)), Identity::Unknown))),
        };
        let is_sealed = sidecar.is_sealed();
        let packs = sidecar.packs();
        let mut facts = ManifestFacts {
            is_whole: packs.iter().all(|pack| self.survey.has(pack)),
            shared_bytes: shared_bytes(summary, packs),
            is_sealed,
            scope: sidecar.scope(),
            tags: sidecar.tags().to_vec(),
            keep_until: sidecar.keep_until(),
            holdings: None,
        };
        let opened = match sidecar {
            Sidecar::Plain(manifest) => Ok(*manifest),
            Sidecar::Sealed(sealed) => self.repository.read_manifest(&summary.id).map_err(|_| sealed.source),
        };
        let identity = match &opened {
            Ok(manifest) => {
                facts.scope = manifest.scope();
                facts.holdings = Some(holdings(manifest));
                Identity::Known(SeriesOrigin::of(&manifest.source))
            }
            Err(fingerprint) => fingerprint.map_or(Identity::Unknown, Identity::Fingerprint),
        };
        Ok(Some((BackupManifest::Read(facts), identity)))
    }

    /// Drills with backups of one prefix, newest first.
    fn drills(&self, summaries: &[BackupSummary]) -> Result<Vec<DrillSeen>, Error> {
        let records = summaries.iter().flat_map(|summary| {
            let drills = summary.drills().into_iter();
            drills.map(move |(at, record)| (at, record, &summary.id))
        });
        // Of one second the names tell which came later.
        let records: BTreeMap<(Timestamp, ObjectKey), &BackupId> =
            records.map(|(at, record, id)| ((at, record), id)).collect();
        let reads_max = match self.depth {
            Depth::Newest => DRILLS_READ_MAX,
            Depth::All => DRILLS_OF_ALL_MAX,
        };
        let mut drills = Vec::new();
        for ((_, record), id) in records.iter().rev().take(reads_max) {
            let Some((said, evidence)) = told(self.repository.read_drill(record))?.flatten() else {
                continue;
            };
            let is_enough = self.depth == Depth::Newest && evidence.passed;
            drills.push(DrillSeen {
                id: (*id).clone(),
                said,
                evidence,
            });
            if is_enough {
                break;
            }
        }
        Ok(drills)
    }
}

/// Whether the manifest of a backup is read for a status: of the newest, and of some that are older, the fewer the older.
fn is_looked_at(index: usize, backups: usize) -> bool {
    let Some(older) = index.checked_sub(READ_NEWEST) else {
        return true;
    };
    let last = backups.saturating_sub(READ_NEWEST + 1);
    let steps = READ_OLDER_MAX - 1;
    let spread = |step: usize| last * step * step / (steps * steps);
    last < READ_OLDER_MAX || (0..=steps).any(|step| spread(step) == older)
}

/// What was read; `None` where it cannot be understood.
fn told<T>(read: Result<T, RepositoryError>) -> Result<Option<T>, Error> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(RepositoryError::Store(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

fn shared_bytes(summary: &BackupSummary, packs: &[Pack]) -> u64 {
    let is_own = |pack: &&Pack| summary.packs.iter().any(|own| own.as_str() == pack.name);
    let shared = packs.iter().filter(|pack| !is_own(pack));
    shared.fold(0, |sum, pack| sum.saturating_add(pack.bytes))
}

fn holdings(manifest: &Manifest) -> Holdings {
    Holdings {
        tables: manifest.tables.len() as u64,
        rows: manifest.row_count(),
        text_bytes: manifest.text_bytes(),
    }
}

fn in_one_line(error: &RepositoryError) -> String {
    let first: &dyn std::error::Error = error;
    let chain = std::iter::successors(Some(first), |error| error.source());
    let messages: Vec<String> = chain.map(|error| error.to_string().replace('\n', " ")).collect();
    messages.join(": ")
}

impl Series {
    /// Whether these are backups of a database that was judged.
    #[must_use]
    pub fn is_of(&self, database: &DatabaseStatus) -> bool {
        let is_one = are_one(self.origin.as_ref(), database.origin.as_ref());
        self.prefix == database.prefix && !self.has_moved && is_one
    }

    /// What a plan of retention has to know of each backup, in their order.
    #[must_use]
    pub fn retention_facts(&self) -> Vec<BackupFacts> {
        let facts = self.backups.iter().map(|backup| {
            let read = backup.facts();
            BackupFacts {
                id: backup.id.clone(),
                origin: self.origin.as_ref().map(ToString::to_string),
                part: read.and_then(|read| read.scope.clone().into_part()),
                is_read: read.is_some(),
                is_whole: read.is_some_and(|read| read.is_whole),
                proof: backup.proof,
                holds: backup.holds.clone(),
                tags: read.map(|read| read.tags.clone()).unwrap_or_default(),
                keep_until: read.and_then(|read| read.keep_until),
            }
        });
        facts.collect()
    }
}

impl BackupHistory {
    /// What its manifest says, where it was read.
    #[must_use]
    pub fn facts(&self) -> Option<&ManifestFacts> {
        match &self.manifest {
            BackupManifest::Read(facts) => Some(facts),
            BackupManifest::NotRead | BackupManifest::Refused(_) => None,
        }
    }

    /// What it holds, where that can be read.
    #[must_use]
    pub fn holdings(&self) -> Option<Holdings> {
        self.facts()?.holdings
    }

    /// Bytes of all packs that it needs, also those that bear other names; as far as that was read.
    #[must_use]
    pub fn needed_bytes(&self) -> u64 {
        let shared = self.facts().map_or(0, |facts| facts.shared_bytes);
        self.pack_bytes.saturating_add(shared)
    }

    /// Whether the newest look at it that tells if it is any good failed, by its name.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let deciding = self.proofs.iter().find(|proof| proof.decides());
        deciding.is_some_and(|proof| !proof.passed)
    }
}
