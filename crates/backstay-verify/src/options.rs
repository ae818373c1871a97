use std::fmt;

use backstay_core::Manifest;

/// How deep a backup is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// Every stored byte is there and has its digest; nothing is decompressed.
    Quick,
    /// Also everything is decompressed, rows are counted and digested, statements are read.
    #[default]
    Standard,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
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
    /// What the backup is expected to hold.
    pub rules: &'a Rules,
    /// An earlier backup of the same database, to compare the volume of data with.
    pub previous: Option<&'a Manifest>,
}

impl<'a> VerifyOptions<'a> {
    /// Level standard, two threads, no earlier backup.
    #[must_use]
    pub fn new(rules: &'a Rules) -> Self {
        Self {
            level: Level::default(),
            jobs: 2,
            rules,
            previous: None,
        }
    }
}

/// What a backup is expected to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// Tables that must be there with their rows, as `schema.table` or `table`; a name without schema stands for the
    /// tables of that name in all schemas. Names are compared as the database has them, without quotes.
    pub require_tables: Vec<String>,
    /// A table that lost more than this share of its rows since the earlier backup, in percent, is worth a warning.
    pub table_loss_percent_max: u8,
    /// The same for the whole database.
    pub database_loss_percent_max: u8,
    /// A table with at least so many times the rows of the earlier backup is worth a note.
    pub growth_factor_max: u32,
}

impl Default for Rules {
    /// No table is required; half of a table, 30 percent of the database, ten times the rows.
    fn default() -> Self {
        Self {
            require_tables: Vec::new(),
            table_loss_percent_max: 50,
            database_loss_percent_max: 30,
            growth_factor_max: 10,
        }
    }
}
