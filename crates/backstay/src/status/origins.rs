//! Of which database a backup is, where one prefix has backups of several.

use std::fmt;

use backstay_core::manifest::Source;
use backstay_core::{BackupId, DbText, Prefix, Sha256Digest};

use crate::origin::is_another;

use super::history::{BackupHistory, Series};

/// A database and its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a name and a number")]
pub struct SeriesOrigin {
    /// The name of the database.
    pub database: DbText,
    /// The number of its cluster, where that may be read.
    pub cluster: Option<u64>,
}

impl fmt::Display for SeriesOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cluster {
            Some(cluster) => write!(f, "{} of cluster {cluster}", self.database),
            None => write!(f, "{}", self.database),
        }
    }
}

impl SeriesOrigin {
    pub(super) fn of(source: &Source) -> Self {
        Self {
            database: source.database.clone(),
            cluster: source.system_identifier,
        }
    }

    /// Whether both are one database, as far as they tell.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.database == other.database && !is_another(self.cluster, other.cluster)
    }

    fn has(&self, fingerprint: Sha256Digest, id: &BackupId) -> bool {
        let source = Source {
            database: self.database.clone(),
            system_identifier: self.cluster,
            ..Source::default()
        };
        source.fingerprint(id) == Some(fingerprint)
    }
}

/// What a backup says of where it is from.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    Known(SeriesOrigin),
    /// Of an encrypted one, which only tells it to whoever knows.
    Fingerprint(Sha256Digest),
    Unknown,
}

/// Parts the backups of one prefix, oldest first, by database. Those that do not tell go with the next one that does.
pub(super) fn split(backups: Vec<(BackupHistory, Identity)>) -> Vec<Series> {
    let Some(prefix) = backups.first().map(|(backup, _)| backup.id.prefix().clone()) else {
        return Vec::new();
    };
    let mut origins: Vec<SeriesOrigin> = Vec::new();
    for (_, identity) in backups.iter().rev() {
        if let Identity::Known(origin) = identity
            && !origins.iter().any(|known| known.is(origin))
        {
            origins.push(origin.clone());
        }
    }
    // The newest first.
    let mut series: Vec<Series> = origins.iter().map(|origin| empty(&prefix, Some(origin))).collect();
    if series.is_empty() {
        series.push(empty(&prefix, None));
    }
    let mut next = 0;
    for (backup, identity) in backups.into_iter().rev() {
        let found = match &identity {
            Identity::Known(origin) => origins.iter().position(|known| known.is(origin)),
            Identity::Fingerprint(fingerprint) => origins.iter().position(|known| known.has(*fingerprint, &backup.id)),
            Identity::Unknown => None,
        };
        next = found.unwrap_or(next);
        series[next].backups.push(backup);
    }
    for series in &mut series {
        series.backups.reverse();
    }
    if let Some((newest, earlier)) = series.split_first_mut() {
        for earlier in earlier {
            let last = earlier.backups.last().map(|backup| &backup.id);
            let is_over = last < newest.backups.first().map(|backup| &backup.id);
            let is_called_so = |series: &Series| series.origin.as_ref().map(|origin| origin.database.clone());
            earlier.has_moved = is_over && is_called_so(earlier) == is_called_so(newest);
        }
    }
    series
}

fn empty(prefix: &Prefix, origin: Option<&SeriesOrigin>) -> Series {
    Series {
        prefix: prefix.clone(),
        origin: origin.cloned(),
        has_moved: false,
        first_deleted: None,
        backups: Vec::new(),
        drills: Vec::new(),
    }
}
