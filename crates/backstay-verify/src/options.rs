use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::rules::{PastBackup, Rule, Rules};

/// How deep a backup is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// What the manifest tells is judged by the rules, and nothing else is read.
    Rules,
    /// Every stored byte is there and has its digest; nothing is decompressed.
    Quick,
    /// Also everything is decompressed, rows are counted and digested, statements are read.
    #[default]
    Standard,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rules => "rules",
            Self::Quick => "quick",
            Self::Standard => "standard",
        })
    }
}

/// How a backup was found, which decides what must be beside its pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way to open a backup")]
pub enum Origin {
    /// By its id, through the manifest in the store (`Repository::open`).
    Id,
    /// By the name of its pack alone (`BackupReader::open_pack`): nothing need be beside it.
    Pack,
}

/// What a verification does; every default is safe.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct VerifyOptions<'a> {
    /// How deep to look.
    pub level: Level,
    /// How many threads check members; each holds one member and its text in memory. 0 counts as 1.
    pub jobs: usize,
    /// What the backup is expected to be.
    pub rules: &'a Rules,
    /// Rules of one's own.
    pub custom: &'a [Arc<dyn Rule>],
    /// Earlier backups of the same database, newest first, to compare the volume of data with.
    pub earlier: &'a [PastBackup],
    /// When the newest backup of the database was taken; where it is `None`, this one is taken for the newest.
    pub newest: Option<Timestamp>,
    /// The time of now. Without it neither ages nor exemptions can be judged, nor by rules of one's own.
    pub now: Option<Timestamp>,
}

impl<'a> VerifyOptions<'a> {
    /// Level standard, two threads, no earlier backup, no time.
    #[must_use]
    pub fn new(rules: &'a Rules) -> Self {
        Self {
            level: Level::default(),
            jobs: 2,
            rules,
            custom: &[],
            earlier: &[],
            newest: None,
            now: None,
        }
    }
}
