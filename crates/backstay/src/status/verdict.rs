use std::fmt;
use std::time::Duration;

use backstay_core::manifest::Scope;
use backstay_core::retention::{Age, HoldFacts};
use backstay_core::{BackupId, Prefix};
use backstay_verify::Severity;
use jiff::Timestamp;

use super::history::{DrillSeen, Holdings, StoreHistory};
use super::origins::SeriesOrigin;

/// A store, and what it told.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a place and what it told")]
pub struct StoreSeen {
    /// Where it is, for people.
    pub location: String,
    /// What it told, or why it told nothing.
    pub history: Result<StoreHistory, String>,
}

/// A database whose backups are looked after.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever watches must say each")]
pub struct Watched {
    /// What it is called.
    pub name: String,
    /// The first part of the names of its backups.
    pub prefix: Prefix,
    /// The stores that are to have its backups, by their index.
    pub stores: Vec<usize>,
    /// What is expected.
    pub limits: Limits,
    /// Who judges whether a backup holds too little.
    pub volume: VolumeJudge,
    /// Whether its backups are meant to hold only a part of it.
    pub is_part: bool,
    /// When something is to be done with it next; empty where nobody said.
    pub next_runs: Vec<ScheduledRun>,
    /// The backups of its project's files, where these are to be saved.
    pub files: Option<FilesSeen>,
}

/// The newest backup of the files of a project that is not from the future, if there is one; or why nobody knows.
pub type FilesSeen = Result<Option<Timestamp>, String>;

/// Who judges whether a backup holds too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "rules, or the status itself")]
pub enum VolumeJudge {
    /// There are rules, which know exemptions; what they found stands in the proof of the backup.
    Rules,
    /// There are none: less than half of what the backups before it held is a loss.
    Status,
}

/// What is expected of the backups of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "three limits")]
pub struct Limits {
    /// How old the newest backup may be: the recovery point objective.
    pub rpo: Age,
    /// How long it may take to have the database back: the recovery time objective.
    pub rto: Duration,
    /// How old the newest backup that was proven may be.
    pub proven_within: Age,
}

impl Default for Limits {
    /// 24 hours, 1 hour, and 8 days, which is a proof each week and a day to spare.
    fn default() -> Self {
        Self {
            rpo: Age::hours(24),
            rto: Duration::from_secs(3600),
            proven_within: Age::days(8),
        }
    }
}

/// Something that is to be done with a database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what and when")]
pub struct ScheduledRun {
    /// What, such as `backup` or `drill`.
    pub what: String,
    /// When.
    pub at: Timestamp,
}

/// How something is doing; the worst counts for what it is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "monitoring must react to each")]
pub enum State {
    /// Nothing is amiss.
    Good,
    /// Somebody should look at something, some day.
    Warning,
    /// Something is late, missing or broken.
    Bad,
    /// Nobody knows: a store could not be asked.
    Unknown,
}

impl State {
    /// `good`, `warning`, `bad` or `unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What can be amiss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// A store could not be asked.
    Unreachable,
    /// There is no backup, or none that can be used.
    NoBackup,
    /// There is no backup of the files of its project, or the newest is too old.
    Files,
    /// The newest backup that can be used is too old.
    Late,
    /// A backup is from the future.
    Future,
    /// The clock of this machine, or that of the store, is wrong.
    Clock,
    /// A manifest cannot be used.
    Unreadable,
    /// A pack is not there, or has another length.
    Damaged,
    /// A backup holds only a part of the database, and those before it held more; or whether it does cannot be read.
    Part,
    /// No backup that is young enough was proven.
    Unproven,
    /// A verification or drill of a backup failed.
    ProofFailed,
    /// The newest proof of the newest backup found something.
    Findings,
    /// The newest backup holds much less than those before it.
    Shrank,
    /// To restore takes longer than it may.
    Slow,
    /// How long it takes to restore was never measured.
    NeverDrilled,
    /// The last drill failed.
    DrillFailed,
    /// There are earlier backups of the database, of another cluster.
    Moved,
    /// The prefix has several databases, and of some older backups it was not read of which they are.
    Unread,
    /// Crashes left something.
    Litter,
    /// There are packs without a manifest.
    Adoptable,
    /// There are volumes of backups that are not whole.
    Unfinished,
    /// The store has backups that nobody watches.
    Unwatched,
}

impl Trouble {
    /// The word for programs, such as `no-backup`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::NoBackup => "no-backup",
            Self::Files => "storage-files",
            Self::Late => "late",
            Self::Future => "future",
            Self::Clock => "clock",
            Self::Unreadable => "unreadable",
            Self::Damaged => "damaged",
            Self::Part => "part",
            Self::Unproven => "unproven",
            Self::ProofFailed => "proof-failed",
            Self::Findings => "findings",
            Self::Shrank => "shrank",
            Self::Slow => "slow",
            Self::NeverDrilled => "never-drilled",
            Self::DrillFailed => "drill-failed",
            Self::Moved => "moved",
            Self::Unread => "unread",
            Self::Litter => "litter",
            Self::Adoptable => "adoptable",
            Self::Unfinished => "unfinished",
            Self::Unwatched => "unwatched",
        }
    }
}

/// Something that is amiss.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// How bad it is; an error makes the state bad.
    pub severity: Severity,
    /// What it is.
    pub trouble: Trouble,
    /// The same for people: a line without a full stop. It may have names from the store in it.
    pub message: String,
}

impl Problem {
    pub(super) fn error(trouble: Trouble, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, trouble, message)
    }

    pub(super) fn warning(trouble: Trouble, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, trouble, message)
    }

    pub(super) fn note(trouble: Trouble, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, trouble, message)
    }

    fn new(severity: Severity, trouble: Trouble, message: impl Into<String>) -> Self {
        Self {
            severity,
            trouble,
            message: message.into(),
        }
    }

    /// What it makes of the state of what it is about.
    #[must_use]
    pub fn state(&self) -> State {
        match (self.trouble, self.severity) {
            (Trouble::Unreachable, _) => State::Unknown,
            (_, Severity::Error) => State::Bad,
            (_, Severity::Warning) => State::Warning,
            (_, Severity::Note) => State::Good,
        }
    }
}

/// How all databases and their stores are doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// When.
    pub at: Timestamp,
    /// The worst of all.
    pub state: State,
    /// The databases, in the order in which they are watched.
    pub databases: Vec<DatabaseStatus>,
    /// The stores, in their order.
    pub stores: Vec<StoreStatus>,
}

/// How a database is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseStatus {
    /// What it is called; where one prefix has several databases, with the one that it is.
    pub name: String,
    /// [`Watched::name`].
    pub watched: String,
    /// The first part of the names of its backups.
    pub prefix: Prefix,
    /// The database and its cluster, where a manifest tells them.
    pub origin: Option<SeriesOrigin>,
    /// The worst of its places and problems.
    pub state: State,
    /// What is expected.
    pub limits: Limits,
    /// Its backups in each store, in the order in which the stores are named.
    pub places: Vec<PlaceStatus>,
    /// The newest backup that was proven, in any store.
    pub proven: Option<ProvenBackup>,
    /// How long it took to restore, in the newest drill that passed, in any store.
    pub recovery: Option<Recovery>,
    /// The newest drill, in any store.
    pub last_drill: Option<DrillSeen>,
    /// When something is to be done with it next.
    pub next_runs: Vec<ScheduledRun>,
    /// What is amiss with the database as a whole.
    pub problems: Vec<Problem>,
}

/// How the backups of a database in one store are doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlaceStatus {
    /// The store, by its index.
    pub store: usize,
    /// The worst of its problems.
    pub state: State,
    /// The newest backup that can be used.
    pub newest: Option<NewestBackup>,
    /// How many backups there are.
    pub backups: u64,
    /// Bytes of the packs that bear their names.
    pub pack_bytes: u64,
    /// How the newest compares with those before it; `None` where there are none.
    pub trend: Option<Trend>,
    /// What is held.
    pub held: Vec<HeldBackup>,
    /// What is amiss.
    pub problems: Vec<Problem>,
}

/// The newest backup that can be used: not from the future, with a manifest that can be read, and all packs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewestBackup {
    /// Its id, which has its time.
    pub id: BackupId,
    /// Bytes of the packs that bear its name.
    pub own_bytes: u64,
    /// Bytes of the packs that it needs and that bear the names of others.
    pub shared_bytes: u64,
    /// What it holds; `None` where it is encrypted and there is no key.
    pub holdings: Option<Holdings>,
    /// Whether it is encrypted.
    pub is_sealed: bool,
    /// Whether it was to hold all of the database.
    pub scope: Scope,
}

/// How the newest backup compares with those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trend {
    /// With how many it is compared.
    pub backups: u64,
    /// The median of what those hold, in bytes of text, or of packs where not all manifests could be read.
    pub median_bytes: u64,
    /// The same of the newest.
    pub newest_bytes: u64,
}

impl Trend {
    /// By how many percent the newest holds more; below zero where it holds less.
    #[must_use]
    pub fn percent(&self) -> i64 {
        let (newest, median) = (i128::from(self.newest_bytes), i128::from(self.median_bytes.max(1)));
        i64::try_from((newest - median) * 100 / median).unwrap_or(i64::MAX)
    }
}

/// A backup that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldBackup {
    /// Which.
    pub id: BackupId,
    /// Who holds it, and why.
    pub holds: Vec<HoldFacts>,
}

/// A backup that was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvenBackup {
    /// Which; its time says how old what can be restored for certain is.
    pub id: BackupId,
    /// The store, by its index.
    pub store: usize,
    /// How deep it was looked at, such as `standard` or `restore`.
    pub level: String,
    /// When.
    pub at: Timestamp,
}

/// How long it took to have a database back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// How long.
    pub took: Duration,
    /// When that was measured.
    pub at: Timestamp,
    /// With which backup.
    pub id: BackupId,
}

/// How a store is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreStatus {
    /// Where it is, for people.
    pub location: String,
    /// The worst of its problems.
    pub state: State,
    /// Bytes of all that is in it; `None` where it could not be asked.
    pub bytes: Option<u64>,
    /// How many things crashes left; `None` where nobody knows.
    pub litter: Option<usize>,
    /// What is amiss.
    pub problems: Vec<Problem>,
}
