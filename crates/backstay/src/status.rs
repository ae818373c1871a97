//! How databases and their backups are doing, by what their stores tell: whether the newest backup is young enough and
//! proven, how long a restore took, what it costs, and what is amiss.
//!
//! [`look`] reads a store: one listing, and of each prefix no more than the newest backups. [`judge`] makes a status of what
//! several stores told. It knows no clock and no store, so that the same histories always give the same status. Nothing is
//! remembered from one run to the next: a scheduler that died shows.

mod history;
mod judge;
mod origins;
mod place;
mod verdict;

pub use history::{
    BackupHistory, BackupManifest, Depth, DrillSeen, Holdings, ManifestFacts, READ_NEWEST, Series, StoreHistory, look,
};
pub use judge::{judge, watch_all};
pub use origins::SeriesOrigin;
pub use verdict::{
    DatabaseStatus, FilesSeen, HeldBackup, Limits, NewestBackup, PlaceStatus, Problem, ProvenBackup, Recovery,
    ScheduledRun, State, Status, StoreSeen, StoreStatus, Trend, Trouble, VolumeJudge, Watched,
};
