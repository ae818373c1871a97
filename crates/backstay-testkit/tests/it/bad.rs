//! A store with one defect, to show that the suite sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, Leftover, ObjectMeta, ObjectWriter, Store};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    OverwritesSilently,
    TakesTheSameBytesAgain,
    ChangesAndThenRefuses,
    RefusesAsOther,
    LooksOnlyAtCreate,
    LooksAndThenWrites,
    BuriesDeletedKeys,
    ShowsUnpublished,
    PublishesOnDrop,
    ListsLate,
    CutsLargePieces,
    LosesEmptyObjects,
    IncludesTheEndOfRanges,
    IgnoresTheStartOfRanges,
    GivesShortRanges,
    TakesReversedRanges,
    SharesOneCursor,
    CutsLists,
    SortsByFolders,
    SortsBackwards,
    TakesPrefixesForFolders,
    ForgetsSizes,
    DecodesKeys,
    HidesHiddenKeys,
    RefusesToDeleteTheMissing,
    DeletesByPrefix,
    DeletesNothing,
    GivesEmptyForMissing,
    CallsMissingOther,
    ReplacesFilesByFolders,
    CutsLongKeys,
    ListsTemporaries,
    LeavesLitter,
    CallsObjectsLeftovers,
    DeletesObjectsAsLeftovers,
    RobsRunningWriters,
    LosesUpdates,
    SharesOneBuffer,
}

#[derive(Clone, Debug)]
pub(crate) struct BadStore {
    defect: Defect,
    state: Arc<Mutex<State>>,
}

type Objects = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Default)]
struct State {
    objects: Objects,
    writers: BTreeMap<u64, Vec<u8>>,
    writers_begun: u64,
    litter: BTreeSet<String>,
    buried: BTreeSet<String>,
    unlisted: Option<String>,
    cursor: u64,
}

impl BadStore {
    pub(crate) fn new(defect: Defect) -> Self {
        Self {
            defect,
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The name under which a key is kept.
    fn name(&self, key: &ObjectKey) -> String {
        let name = key.as_str();
        match self.defect {
            Defect::DecodesKeys => name.replace("%20", " "),
            Defect::CutsLongKeys => name.chars().take(255).collect(),
            _ => name.to_owned(),
        }
    }

    fn object(&self, key: &ObjectKey) -> Result<Vec<u8>, Error> {
        match (self.state().objects.get(&self.name(key)), self.defect) {
            (Some(bytes), _) => Ok(bytes.clone()),
            (None, Defect::GivesEmptyForMissing) => Ok(Vec::new()),
            (None, Defect::CallsMissingOther) => Err(error(ErrorKind::Other, key)),
            (None, _) => Err(error(ErrorKind::NotFound, key)),
        }
    }
}

fn error(kind: ErrorKind, key: &ObjectKey) -> Error {
    Error::new(kind, "use", key.as_str())
}

fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

fn leftover(name: String) -> Leftover {
    Leftover {
        name,
        size: 0,
        modified_unix_secs: 0,
        key: None,
        in_use: false,
    }
}

impl Store for BadStore {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        let mut state = self.state();
        if self.defect == Defect::LooksOnlyAtCreate && state.objects.contains_key(key.as_str()) {
            return Err(error(ErrorKind::AlreadyExists, key));
        }
        if self.defect == Defect::ShowsUnpublished {
            state.objects.entry(key.to_string()).or_default();
        }
        state.writers_begun += 1;
        let id = match self.defect {
            Defect::SharesOneBuffer => 0,
            _ => state.writers_begun,
        };
        state.writers.entry(id).or_default();
        Ok(Box::new(BadWriter {
            store: self.clone(),
            key: key.clone(),
            id,
            is_published: false,
        }))
    }

    fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
        let bytes = self.object(key)?;
        let size = bytes.len() as u64;
        let mut range = range.unwrap_or(0..size);
        match self.defect {
            Defect::IncludesTheEndOfRanges => range.end = size.min(range.end + 1),
            Defect::IgnoresTheStartOfRanges if range.end <= size => range.start = 0,
            Defect::GivesShortRanges => range = range.start.min(size)..range.end.min(size),
            Defect::TakesReversedRanges if range.start <= size => range.end = range.end.max(range.start),
            _ => {}
        }
        let within = range.start <= range.end && range.end <= size;
        if !within {
            return Err(error(ErrorKind::OutOfRange, key));
        }
        if self.defect == Defect::SharesOneCursor {
            self.state().cursor = range.start;
            return Ok(Box::new(SharedCursor {
                store: self.clone(),
                bytes,
                end: range.end,
            }));
        }
        let bytes = &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
        Ok(Box::new(Cursor::new(bytes.to_vec())))
    }

    fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        Ok(ObjectMeta {
            key: key.clone(),
            size: self.object(key)?.len() as u64,
            modified_unix_secs: 0,
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
        let mut state = self.state();
        let unlisted = state.unlisted.take();
        let is_hidden = |name: &str| match self.defect {
            Defect::ListsLate => unlisted.as_deref() == Some(name),
            Defect::HidesHiddenKeys => name.starts_with('.'),
            Defect::TakesPrefixesForFolders => {
                !(prefix.is_empty() || prefix.ends_with('/') || name[prefix.len()..].starts_with('/'))
            }
            _ => false,
        };
        let mut found: Vec<_> = state
            .objects
            .iter()
            .filter(|(name, _)| name.starts_with(prefix) && !is_hidden(name))
            .map(|(name, bytes)| ObjectMeta {
                key: name.parse().unwrap(),
                size: match self.defect {
                    Defect::ForgetsSizes => 0,
                    _ => bytes.len() as u64,
                },
                modified_unix_secs: 0,
            })
            .collect();
        match self.defect {
            Defect::CutsLists => found.truncate(100),
            Defect::SortsByFolders => {
                found.sort_by_key(|meta| meta.key.as_str().split('/').map(str::to_owned).collect::<Vec<_>>());
            }
            Defect::SortsBackwards => found.reverse(),
            Defect::ListsTemporaries => found.extend(state.writers.keys().map(|id| ObjectMeta {
                key: format!("tmp{id}").parse().unwrap(),
                size: 0,
                modified_unix_secs: 0,
            })),
            _ => {}
        }
        Ok(found)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let name = self.name(key);
        let mut state = self.state();
        match self.defect {
            Defect::RefusesToDeleteTheMissing if !state.objects.contains_key(&name) => {
                return Err(error(ErrorKind::NotFound, key));
            }
            Defect::DeletesByPrefix => state.objects.retain(|other, _| !other.starts_with(&name)),
            Defect::BuriesDeletedKeys => drop(state.buried.insert(name.clone())),
            Defect::DeletesNothing => return Ok(()),
            _ => {}
        }
        state.objects.remove(&name);
        Ok(())
    }

    fn list_leftovers(&self) -> Result<Vec<Leftover>, Error> {
        let state = self.state();
        let names: Vec<String> = match self.defect {
            Defect::CallsObjectsLeftovers => state.objects.keys().cloned().collect(),
            Defect::RobsRunningWriters => state.writers.keys().map(u64::to_string).collect(),
            _ => state.litter.iter().cloned().collect(),
        };
        Ok(names.into_iter().map(leftover).collect())
    }

    fn delete_leftover(&self, leftover: &Leftover) -> Result<(), Error> {
        let mut state = self.state();
        match self.defect {
            Defect::DeletesObjectsAsLeftovers => drop(state.objects.remove(&leftover.name)),
            Defect::RobsRunningWriters => {
                if let Some(bytes) = leftover
                    .name
                    .parse()
                    .ok()
                    .and_then(|id: u64| state.writers.get_mut(&id))
                {
                    bytes.clear();
                }
            }
            _ => drop(state.litter.remove(&leftover.name)),
        }
        Ok(())
    }

    fn location(&self) -> String {
        format!("a store with the defect {:?}", self.defect)
    }
}

struct BadWriter {
    store: BadStore,
    key: ObjectKey,
    id: u64,
    is_published: bool,
}

impl ObjectWriter for BadWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let bytes = match self.store.defect {
            Defect::CutsLargePieces => &bytes[..bytes.len().min(65_536)],
            _ => bytes,
        };
        let mut state = self.store.state();
        state.writers.entry(self.id).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn publish(mut self: Box<Self>) -> Result<ObjectMeta, Error> {
        self.is_published = true;
        let name = self.store.name(&self.key);
        let defect = self.store.defect;
        let mut state = self.store.state();
        let bytes = state.writers.remove(&self.id).unwrap_or_default();
        let meta = ObjectMeta {
            key: self.key.clone(),
            size: bytes.len() as u64,
            modified_unix_secs: 0,
        };
        let existing = state.objects.get(&name).cloned();
        let is_taken = match defect {
            Defect::OverwritesSilently | Defect::LooksOnlyAtCreate | Defect::ShowsUnpublished => false,
            Defect::TakesTheSameBytesAgain => existing.as_ref().is_some_and(|existing| *existing != bytes),
            Defect::BuriesDeletedKeys => existing.is_some() || state.buried.contains(&name),
            _ => existing.is_some(),
        };
        if is_taken {
            if defect == Defect::ChangesAndThenRefuses {
                state.objects.insert(name, bytes);
            }
            let kind = match defect {
                Defect::RefusesAsOther => ErrorKind::Other,
                _ => ErrorKind::AlreadyExists,
            };
            return Err(error(kind, &self.key));
        }
        match defect {
            Defect::LosesEmptyObjects if bytes.is_empty() => return Ok(meta),
            Defect::LooksAndThenWrites => {
                drop(state);
                pause();
                state = self.store.state();
            }
            Defect::LosesUpdates => {
                let copy = state.objects.clone();
                drop(state);
                pause();
                state = self.store.state();
                state.objects = copy;
            }
            Defect::ReplacesFilesByFolders => {
                state.objects.retain(|other, _| !name.starts_with(&format!("{other}/")));
            }
            Defect::ListsLate => state.unlisted = Some(name.clone()),
            _ => {}
        }
        state.objects.insert(name, bytes);
        Ok(meta)
    }
}

impl Drop for BadWriter {
    fn drop(&mut self) {
        let mut state = self.store.state();
        let Some(bytes) = state.writers.remove(&self.id).filter(|_| !self.is_published) else {
            return;
        };
        match self.store.defect {
            Defect::PublishesOnDrop => drop(state.objects.insert(self.key.to_string(), bytes)),
            Defect::LeavesLitter => drop(state.litter.insert(self.id.to_string())),
            _ => {}
        }
    }
}

/// All readers of the store move one cursor.
struct SharedCursor {
    store: BadStore,
    bytes: Vec<u8>,
    end: u64,
}

impl Read for SharedCursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.store.state();
        let end = usize::try_from(self.end).unwrap();
        let start = usize::try_from(state.cursor).unwrap().min(end);
        let count = (&self.bytes[start..end]).read(buffer)?;
        state.cursor += count as u64;
        Ok(count)
    }
}
