//! Which backup is meant: a path, an id, or the newest of one database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use backstay::{
    Archive, BackupId, BackupSummary, Listing, Manifest, ObjectKey, ObjectRole, OpenArchiveError, OpenStoreError,
    Prefix, Repository, RepositoryError, StoreError, WhenMissing, object_role, open_store,
};

use crate::keys::{KeyError, Keys};
use crate::settle::SettledBackupName;

/// A name of a backup, as it was settled without looking into any store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BackupName {
    /// A file, in whatever folder.
    File(PathBuf),
    /// A backup in the store.
    Id(BackupId),
    /// The newest backup of a database.
    Latest {
        /// Name of the database or prefix of its backups; `None` where there is but one.
        database: Option<String>,
    },
}

/// A text that names no backup.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NameError {
    /// Most likely the arguments are in the wrong place; the text is not repeated, because it may hold a password.
    #[error("a backup is named by a path, an id, or latest, and not by the connection of a database")]
    Connection,
    #[error("{0:?} is neither a file here nor the id of a backup")]
    Unknown(String),
    #[error("--database goes with latest only")]
    DatabaseWithoutLatest,
    /// A folder is not a backup.
    #[error("{0:?} is a folder")]
    Folder(String),
}

impl BackupName {
    /// Settles what a person typed. `is_file` tells whether there is a file of that name.
    pub(crate) fn settle(
        text: &str,
        database: Option<String>,
        kind: impl Fn(&Path) -> Option<PathKind>,
    ) -> Result<Self, NameError> {
        if text == "latest" {
            return Ok(Self::Latest { database });
        }
        if database.is_some() {
            return Err(NameError::DatabaseWithoutLatest);
        }
        if looks_like_a_connection(text) {
            return Err(NameError::Connection);
        }
        let path = Path::new(text);
        match kind(path) {
            Some(PathKind::File) => return Ok(Self::File(path.to_owned())),
            Some(PathKind::Folder) => return Err(NameError::Folder(text.to_owned())),
            None if text.contains(std::path::is_separator) => return Ok(Self::File(path.to_owned())),
            None => {}
        }
        let id = text.parse().ok().or_else(|| id_of_object(text));
        id.map(Self::Id).ok_or_else(|| NameError::Unknown(text.to_owned()))
    }
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathKind {
    File,
    Folder,
}

impl PathKind {
    /// Looks.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(if found.is_dir() { Self::Folder } else { Self::File })
    }
}

/// Whether a text that should name a file or store is the connection of a database, put into the wrong place.
pub(crate) fn looks_like_a_connection(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.starts_with("postgres:") || lower.starts_with("postgresql:") || lower.contains("password=")
}

/// The backup that an object of a store belongs to, by the object's name.
fn id_of_object(name: &str) -> Option<BackupId> {
    let key: ObjectKey = name.parse().ok()?;
    object_role(&key).map(|(id, _)| id)
}

/// Why no backup could be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelectError {
    #[error("there is no backup {id} in {location}")]
    NoSuchId { id: BackupId, location: String },
    #[error("there is no backup in {location}")]
    Empty { location: String },
    #[error("there is no backup of {database} in {location} (there are backups of {})", .known.join(", "))]
    NoSuchDatabase {
        database: String,
        location: String,
        known: Vec<String>,
    },
    #[error("{location} has backups of several databases: {}", .known.join(", "))]
    Ambiguous { location: String, known: Vec<String> },
    #[error("there is no file {}", .0.display())]
    NoSuchFile(PathBuf),
    #[error("{} cannot be the name of a backup's file", .0.display())]
    FileName(PathBuf),
    /// Nothing but its text tells what it holds.
    #[error("{key} is a plain dump, which has no list of what it holds")]
    PlainDump { key: ObjectKey },
    #[error("{id} is encrypted, and no key was given")]
    Sealed { id: BackupId },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the backup of the database has no rows of storage.objects")]
    NoFileRows,
    #[error(transparent)]
    OpenStore(#[from] OpenStoreError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Archive(#[from] OpenArchiveError),
}

/// Opens the backup that is meant. A file is opened by itself, everything else through its manifest in the store.
pub(crate) fn open_archive(backup: &SettledBackupName) -> Result<Archive, SelectError> {
    open_with(backup, Archive::open)
}

/// The same; of an encrypted backup to which no key is named, what can be had without one.
pub(crate) fn open_archive_even_sealed(backup: &SettledBackupName) -> Result<Archive, SelectError> {
    open_with(backup, |repository, id| {
        if backup.keys.are_none() {
            Archive::open_even_sealed(&Repository::new(repository.store().clone()), id)
        } else {
            Archive::open(repository, id)
        }
    })
}

type OpenId<'o> = &'o dyn Fn(&Repository, &BackupId) -> Result<Archive, OpenArchiveError>;

fn open_with(
    backup: &SettledBackupName,
    open: impl Fn(&Repository, &BackupId) -> Result<Archive, OpenArchiveError>,
) -> Result<Archive, SelectError> {
    let SettledBackupName { name, store, keys } = backup;
    match name {
        BackupName::File(path) => open_file(path, keys, &open),
        BackupName::Id(id) => open_id(&keys.give(store.open(WhenMissing::Fail)?)?, id, &open),
        BackupName::Latest { database } => {
            let repository = keys.give(store.open(WhenMissing::Fail)?)?;
            let id = newest(&repository, database.as_deref())?;
            open_id(&repository, &id, &open)
        }
    }
}

/// The newest backup of a database; see [`BackupName::Latest`].
pub(crate) fn newest(repository: &Repository, database: Option<&str>) -> Result<BackupId, SelectError> {
    latest(&repository.list()?, database, &repository.store().location(), |id| {
        repository.read_manifest(id)
    })
}

/// The backup of a store that is meant; whether one of that id exists is not asked.
pub(crate) fn id_of(name: &BackupName, repository: &Repository) -> Result<BackupId, SelectError> {
    match name {
        BackupName::Id(id) => Ok(id.clone()),
        BackupName::Latest { database } => newest(repository, database.as_deref()),
        BackupName::File(path) => Err(SelectError::FileName(path.clone())),
    }
}

/// Opens a file by its path, with the folder that it lies in as its store.
fn open_file(path: &Path, keys: &Keys, open: OpenId<'_>) -> Result<Archive, SelectError> {
    if PathKind::of(path).is_none() {
        return Err(SelectError::NoSuchFile(path.to_owned()));
    }
    let unusable = || SelectError::FileName(path.to_owned());
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(unusable)?;
    let key: ObjectKey = name.parse().map_err(|_| unusable())?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // A folder may be called as a URL begins; behind `file:` everything is a path.
    let location = format!("file:{}", folder.to_str().ok_or_else(unusable)?);
    let repository = keys.give(Repository::new(open_store(&location, WhenMissing::Fail)?))?;
    match object_role(&key) {
        Some((id, ObjectRole::Manifest)) => open_id(&repository, &id, open),
        _ => Ok(Archive::open_file(&repository, &key)?),
    }
}

fn open_id(repository: &Repository, id: &BackupId, open: OpenId<'_>) -> Result<Archive, SelectError> {
    match open(repository, id) {
        Err(OpenArchiveError::Repository(error)) if error.is_not_found() => Err(SelectError::NoSuchId {
            id: id.clone(),
            location: repository.store().location(),
        }),
        opened => Ok(opened?),
    }
}

/// The newest backup of a database. Without a name the store must have backups of one prefix only.
fn latest(
    listing: &Listing,
    database: Option<&str>,
    location: &str,
    read: impl Fn(&BackupId) -> Result<Manifest, RepositoryError>,
) -> Result<BackupId, SelectError> {
    let location = || location.to_owned();
    let known = known(listing);
    let found = match database {
        Some(database) => of_database(listing, database, read),
        None if known.len() > 1 => {
            return Err(SelectError::Ambiguous {
                location: location(),
                known,
            });
        }
        None => listing.backups.iter().map(|backup| &backup.id).collect(),
    };
    let newest = found.into_iter().max_by_key(|id| id.time()).cloned();
    newest.ok_or_else(|| match database {
        Some(database) if !known.is_empty() => SelectError::NoSuchDatabase {
            database: database.to_owned(),
            location: location(),
            known,
        },
        _ => SelectError::Empty { location: location() },
    })
}

/// The prefixes of all backups.
fn known(listing: &Listing) -> Vec<String> {
    let prefixes: BTreeSet<&Prefix> = listing.backups.iter().map(|backup| backup.id.prefix()).collect();
    prefixes.into_iter().map(ToString::to_string).collect()
}

/// The backups of a database: those with its name as their prefix, else those of every prefix whose newest readable
/// manifest names that database.
fn of_database<'l>(
    listing: &'l Listing,
    database: &str,
    read: impl Fn(&BackupId) -> Result<Manifest, RepositoryError>,
) -> Vec<&'l BackupId> {
    let mut of_prefix: BTreeMap<&Prefix, Vec<&BackupId>> = BTreeMap::new();
    for backup in &listing.backups {
        of_prefix.entry(backup.id.prefix()).or_default().push(&backup.id);
    }
    if let Some((_, ids)) = of_prefix.iter().find(|(prefix, _)| prefix.as_str() == database) {
        return ids.clone();
    }
    let is_of_database = |ids: &Vec<&BackupId>| {
        let manifest = ids.iter().rev().find_map(|id| read(id).ok());
        manifest.is_some_and(|manifest| manifest.source.database.as_bytes() == database.as_bytes())
    };
    of_prefix.into_values().filter(is_of_database).flatten().collect()
}

/// All backups of a database that [`newest`] chooses from, the newest first.
pub(crate) fn all_of(repository: &Repository, database: &str) -> Result<Vec<BackupSummary>, SelectError> {
    let listing = repository.list()?;
    let ids: BTreeSet<BackupId> = of_database(&listing, database, |id| repository.read_manifest(id))
        .into_iter()
        .cloned()
        .collect();
    let known = known(&listing);
    let mut backups = listing.backups;
    backups.retain(|backup| ids.contains(&backup.id));
    backups.sort_by_key(|backup| std::cmp::Reverse(backup.id.time()));
    if !backups.is_empty() {
        return Ok(backups);
    }
    let location = repository.store().location();
    Err(match known.is_empty() {
        true => SelectError::Empty { location },
        false => SelectError::NoSuchDatabase {
            database: database.to_owned(),
            location,
            known,
        },
    })
}

#[cfg(test)]
mod tests;
