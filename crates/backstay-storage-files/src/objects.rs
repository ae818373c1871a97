//! Objects whose names are the digests of their stored bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use backstay_core::seal::{SealedObject, Sealer, Unsealer};
use backstay_core::store::{Error, ErrorKind, ObjectKey, Store};
use backstay_core::{Sha256Digest, Sha256Hasher};

use crate::error::FilesError;
use crate::manifest::{Part, digest};

/// Where objects are.
pub(crate) const FOLDER: &str = "storage-files/objects/";
/// Content is cut into parts of this length, which is what one of them takes of memory.
const PART_BYTES: u64 = 16 << 20;
/// The longest object that is read; no part of ours is longer, sealed or not.
const STORED_BYTES_MAX: u64 = 2 * PART_BYTES;
const NOT_ITS_BYTES: &str = "its bytes are not those that its name says";

/// The key of an object; `None` where that is no name of one.
pub(crate) fn key(name: &str) -> Option<ObjectKey> {
    digest_in(name)?;
    format!("{FOLDER}{}/{name}", name.get(..2)?).parse().ok()
}

/// The digest that a name is.
pub(crate) fn digest_in(name: &str) -> Option<Sha256Digest> {
    let (hex, ending) = name.split_once('.').unwrap_or((name, ""));
    let is_name = matches!(ending, "" | "age" | "gpg") && !name.ends_with('.');
    digest(hex).filter(|_| is_name)
}

/// The objects of a store, and what seals and opens them.
pub(crate) struct Objects<'r> {
    pub(crate) store: &'r Arc<dyn Store>,
    pub(crate) sealer: Option<&'r dyn Sealer>,
    pub(crate) unsealer: Option<&'r dyn Unsealer>,
    /// Names and lengths of what is there.
    known: Mutex<HashMap<String, u64>>,
}

impl<'r> Objects<'r> {
    pub(crate) fn new(
        store: &'r Arc<dyn Store>,
        sealer: Option<&'r dyn Sealer>,
        unsealer: Option<&'r dyn Unsealer>,
    ) -> Self {
        Self {
            store,
            sealer,
            unsealer,
            known: Mutex::default(),
        }
    }

    /// Looks which objects there are.
    pub(crate) fn look(&self) -> Result<(), FilesError> {
        let listed = self.store.list(FOLDER)?;
        let named = listed.into_iter().filter_map(|meta| {
            let name = meta.key.as_str().rsplit('/').next()?.to_owned();
            digest_in(&name).map(|_| (name, meta.size))
        });
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = named.collect();
        Ok(())
    }

    /// Whether the store has a part, as far as names and lengths tell.
    pub(crate) fn has(&self, part: &Part) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&part.object) == Some(&part.stored)
    }

    /// The length of the parts that content is cut into.
    pub(crate) fn part_bytes(&self) -> Result<u64, FilesError> {
        let Some(limit) = self.store.object_bytes_max() else {
            return Ok(PART_BYTES);
        };
        let overhead = match self.sealer {
            None => 0,
            Some(sealer) => {
                let sealing = sealer.begin().map_err(|source| seal("an object", source))?;
                sealing.stored_bytes(PART_BYTES) - PART_BYTES
            }
        };
        Ok(PART_BYTES.min(limit.saturating_sub(overhead)).max(1))
    }

    /// Stores content, unless it is there already, and reads it back.
    pub(crate) fn put(&self, content: &[u8]) -> Result<Part, FilesError> {
        let (stored, ending) = match self.sealer {
            None => (Cow::Borrowed(content), String::new()),
            Some(sealer) => {
                let mut out = Vec::new();
                let mut sealing = sealer.begin().map_err(|source| seal("an object", source))?;
                let sealed = sealing.seal(content, &mut out).and_then(|()| sealing.finish(&mut out));
                sealed.map_err(|source| seal("an object", source))?;
                (Cow::Owned(out), format!(".{}", sealer.method().extension()))
            }
        };
        let sha256 = Sha256Digest::of(&stored);
        let part = Part {
            object: format!("{sha256}{ending}"),
            stored: stored.len() as u64,
            bytes: content.len() as u64,
        };
        if self.has(&part) {
            // What rotted there would be taken over by this backup.
            check_stored(&**self.store, &part.object, part.stored)?;
            return Ok(part);
        }
        let at = place(&part.object)?;
        let written = self.store.create(&at).and_then(|mut writer| {
            writer.append(&stored)?;
            writer.publish()
        });
        // One that is there has the same content, and one whose answer was lost may be there: reading tells.
        let read = check_stored(&**self.store, &part.object, part.stored);
        match (written, read) {
            (_, Ok(())) => {}
            (Err(error), Err(_)) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
            (_, Err(error)) => return Err(error),
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(part.object.clone(), part.stored);
        Ok(part)
    }

    /// The content of a part, checked against its digest.
    pub(crate) fn content(&self, part: &Part) -> Result<Vec<u8>, FilesError> {
        let content = if part.object.contains('.') {
            check_stored(&**self.store, &part.object, part.stored)?;
            let unsealed = SealedObject::new(Arc::clone(self.store), &place(&part.object)?)
                .map_err(backstay_core::seal::SealError::from)
                .and_then(|object| match self.unsealer {
                    Some(unsealer) => unsealer.open(object),
                    None => Err(backstay_core::seal::SealError::NoKey { recipients: Vec::new() }),
                });
            let mut content = Vec::new();
            let unsealed = unsealed.map_err(|source| seal(&part.object, source))?;
            let mut reader = unsealed
                .read(0..unsealed.bytes())
                .map_err(|source| seal(&part.object, source))?;
            let read = (&mut reader).take(STORED_BYTES_MAX).read_to_end(&mut content);
            read.map_err(|error| damaged(&part.object, error.to_string()))?;
            content
        } else {
            read_stored(&**self.store, &part.object, part.stored)?
        };
        if content.len() as u64 != part.bytes {
            let why = format!("it holds {} bytes instead of {}", content.len(), part.bytes);
            return Err(damaged(&part.object, why));
        }
        Ok(content)
    }
}

/// Content that consists of parts; an error names the part.
pub(crate) struct PartsReader<'o, 'r> {
    objects: &'o Objects<'r>,
    parts: std::slice::Iter<'o, Part>,
    content: Vec<u8>,
    at: usize,
}

impl<'o, 'r> PartsReader<'o, 'r> {
    pub(crate) fn new(objects: &'o Objects<'r>, parts: &'o [Part]) -> Self {
        Self {
            objects,
            parts: parts.iter(),
            content: Vec::new(),
            at: 0,
        }
    }
}

impl Read for PartsReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.content.len() {
            let Some(part) = self.parts.next() else { return Ok(0) };
            self.content = self.objects.content(part).map_err(io::Error::other)?;
            self.at = 0;
        }
        let rest = &self.content[self.at..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.at += taken;
        Ok(taken)
    }
}

/// The digest and the length of content.
pub(crate) fn digest_of(content: &mut dyn Read) -> io::Result<(Sha256Digest, u64)> {
    let mut hasher = Sha256Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = 0;
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok((hasher.finish(), bytes)),
            length => {
                hasher.update(&buffer[..length]);
                bytes += length as u64;
            }
        }
    }
}

/// Reads an object, whose stored bytes must be those that its name says.
pub(crate) fn check_stored(store: &dyn Store, name: &str, stored: u64) -> Result<(), FilesError> {
    let reader = store.read(&place(name)?, None)?;
    let read = digest_of(&mut reader.take(stored.saturating_add(1)));
    let (sha256, bytes) = read.map_err(|source| Error::io("read", name, source))?;
    match digest_in(name) == Some(sha256) && bytes == stored {
        true => Ok(()),
        false => Err(damaged(name, NOT_ITS_BYTES.to_owned())),
    }
}

/// The stored bytes of an object, which must be those that its name says.
fn read_stored(store: &dyn Store, name: &str, stored: u64) -> Result<Vec<u8>, FilesError> {
    let expected = digest_in(name).ok_or_else(|| damaged(name, "it is no name of an object".to_owned()))?;
    let mut bytes = Vec::new();
    let read = |source| Error::io("read", name, source);
    let reader = store.read(&place(name)?, None)?;
    let limit = stored.min(STORED_BYTES_MAX) + 1;
    reader.take(limit).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 != stored || Sha256Digest::of(&bytes) != expected {
        return Err(damaged(name, NOT_ITS_BYTES.to_owned()));
    }
    Ok(bytes)
}

fn place(name: &str) -> Result<ObjectKey, FilesError> {
    key(name).ok_or_else(|| damaged(name, "it is no name of an object".to_owned()))
}

pub(crate) fn damaged(subject: &str, why: String) -> FilesError {
    FilesError::Damaged {
        subject: subject.to_owned(),
        why,
    }
}

fn seal(subject: &str, source: backstay_core::seal::SealError) -> FilesError {
    FilesError::Seal {
        subject: subject.to_owned(),
        source,
    }
}
