//! Files on their way into a store: compressed, sealed, hashed; and the order in which they come to exist.

use std::io::Read as _;

use backstay_core::repository::ReadBack;
use backstay_core::seal::Sealing;
use backstay_core::store::{Error, ErrorKind, ObjectWriter, Store};
use backstay_core::{Compression, MemberEncoder, ObjectKey, Sha256Digest, Sha256Hasher};

use crate::error::ExportError;
use crate::request::ExportPlace;

/// Text that is compressed as one gzip member or zstd frame; a file of several is one file for all readers.
const BLOCK_BYTES: usize = 4 << 20;

/// A file of an export that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportFile {
    /// Its object.
    pub key: ObjectKey,
    /// Its length as it is stored, in bytes.
    pub bytes: u64,
    /// SHA-256 of the stored bytes.
    pub sha256: Sha256Digest,
}

/// Objects that this process published. Dropping them deletes them, until they are kept.
pub(crate) struct Published<'s> {
    store: &'s dyn Store,
    read_back: ReadBack,
    keys: Vec<ObjectKey>,
}

impl<'s> Published<'s> {
    pub(crate) fn new(store: &'s dyn Store, read_back: ReadBack) -> Self {
        Self {
            store,
            read_back,
            keys: Vec::new(),
        }
    }

    /// Writes a small object.
    pub(crate) fn put(&mut self, key: &ObjectKey, bytes: &[u8]) -> Result<(), ExportError> {
        let mut writer = self.store.create(key).map_err(|error| taken(error, key))?;
        writer.append(bytes)?;
        self.publish(writer, key, Sha256Digest::of(bytes))
    }

    /// Publishes an object, and reads it again.
    fn publish(
        &mut self,
        writer: Box<dyn ObjectWriter>,
        key: &ObjectKey,
        written: Sha256Digest,
    ) -> Result<(), ExportError> {
        match writer.publish() {
            Ok(_) => self.keys.push(key.clone()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(taken(error, key)),
            // The answer may be lost: what is there is ours only if it is what was written.
            Err(error) => match digest(self.store, key) {
                Ok(found) if found == written => {
                    self.keys.push(key.clone());
                    return Ok(());
                }
                _ => return Err(error.into()),
            },
        }
        if self.read_back == ReadBack::Yes && digest(self.store, key)? != written {
            return Err(ExportError::ReadBack { key: key.clone() });
        }
        Ok(())
    }

    /// Writes the object that makes the others count, behind which they stay.
    pub(crate) fn commit(mut self, key: &ObjectKey, bytes: &[u8]) -> Result<(), ExportError> {
        let unknown = |source| ExportError::Unknown {
            key: key.clone(),
            source,
        };
        let mut writer = self.store.create(key).map_err(|error| taken(error, key))?;
        writer.append(bytes)?;
        let published = writer.publish().map(drop);
        match (published, digest(self.store, key)) {
            (_, Ok(found)) if found == Sha256Digest::of(bytes) => {
                self.keys.clear();
                Ok(())
            }
            (Err(error), _) if error.kind() == ErrorKind::AlreadyExists => Err(taken(error, key)),
            (Err(error), Err(missing)) if missing.kind() == ErrorKind::NotFound => Err(error.into()),
            (Ok(()), Ok(_)) => match self.store.delete(key) {
                Ok(()) => Err(ExportError::ReadBack { key: key.clone() }),
                Err(source) => {
                    self.keys.clear();
                    Err(unknown(source))
                }
            },
            (Ok(()), Err(source)) | (Err(source), _) => {
                // If it exists after all, it must not lack its file.
                self.keys.clear();
                Err(unknown(source))
            }
        }
    }
}

impl Drop for Published<'_> {
    fn drop(&mut self) {
        for key in self.keys.iter().rev() {
            // What the store does not delete has no manifest, and is removed with old exports.
            let _ = self.store.delete(key);
        }
    }
}

fn taken(error: Error, key: &ObjectKey) -> ExportError {
    match error.kind() {
        ErrorKind::AlreadyExists => ExportError::Exists { key: key.clone() },
        _ => error.into(),
    }
}

fn digest(store: &dyn Store, key: &ObjectKey) -> Result<Sha256Digest, Error> {
    let mut reader = store.read(key, None)?;
    let mut hasher = Sha256Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", key.as_str(), error)),
        }
    }
}

/// A file that is being written. Dropping it leaves nothing.
pub(crate) struct Output {
    key: ObjectKey,
    writer: Box<dyn ObjectWriter>,
    encoder: Option<MemberEncoder>,
    /// Text that waits to be compressed.
    block: Vec<u8>,
    /// How many bytes of text make a block; without an encoder they are only collected, so that no call is for a few.
    block_bytes: usize,
    sealing: Option<Box<dyn Sealing>>,
    sealed: Vec<u8>,
    hasher: Sha256Hasher,
    bytes: u64,
    bytes_max: Option<u64>,
}

impl Output {
    /// Begins a file; `name` gets the endings of compression and sealing.
    pub(crate) fn create(
        place: &ExportPlace,
        name: &str,
        compression: Option<Compression>,
    ) -> Result<Self, ExportError> {
        let mut name = name.to_owned();
        if let Some(compression) = compression {
            name.push('.');
            name.push_str(compression.codec().extension());
        }
        if let Some(sealer) = &place.sealer {
            name.push('.');
            name.push_str(sealer.method().extension());
        }
        let key = place.key(&name)?;
        let writer = place.store.create(&key).map_err(|error| taken(error, &key))?;
        Ok(Self {
            writer,
            encoder: compression.map(MemberEncoder::new).transpose()?,
            block: Vec::new(),
            block_bytes: if compression.is_some() { BLOCK_BYTES } else { 64 << 10 },
            sealing: place.sealer.as_ref().map(|sealer| sealer.begin()).transpose()?,
            sealed: Vec::new(),
            hasher: Sha256Hasher::new(),
            bytes: 0,
            bytes_max: place.store.object_bytes_max(),
            key,
        })
    }

    pub(crate) fn write(&mut self, text: &[u8]) -> Result<(), ExportError> {
        self.block.extend_from_slice(text);
        if self.block.len() >= self.block_bytes {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), ExportError> {
        let block = std::mem::take(&mut self.block);
        match &mut self.encoder {
            // A row may be longer than what the encoder takes at once.
            Some(encoder) => {
                let encoded: Vec<_> = if block.is_empty() {
                    vec![encoder.encode(&[])?]
                } else {
                    let pieces = block.chunks(BLOCK_BYTES).map(|piece| encoder.encode(piece));
                    pieces.collect::<Result<_, _>>()?
                };
                for member in encoded {
                    self.store(&member.stored)?;
                }
            }
            None => self.store(&block)?,
        }
        self.block = block;
        self.block.clear();
        Ok(())
    }

    /// Seals what was made of the text, and stores it.
    fn store(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        let Some(sealing) = &mut self.sealing else {
            return self.append(bytes);
        };
        let mut sealed = std::mem::take(&mut self.sealed);
        sealed.clear();
        sealing.seal(bytes, &mut sealed)?;
        let appended = self.append(&sealed);
        self.sealed = sealed;
        appended
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.bytes += bytes.len() as u64;
        if let Some(bytes_max) = self.bytes_max.filter(|max| self.bytes > *max) {
            return Err(ExportError::TooLong {
                key: self.key.clone(),
                bytes_max,
            });
        }
        self.hasher.update(bytes);
        Ok(self.writer.append(bytes)?)
    }

    /// Ends the file and publishes it, with a `.sha256` beside it.
    pub(crate) fn finish(mut self, published: &mut Published<'_>) -> Result<ExportFile, ExportError> {
        // Without any text there is still a file that can be unpacked.
        if !self.block.is_empty() || self.bytes == 0 {
            self.end_block()?;
        }
        if let Some(sealing) = self.sealing.take() {
            let mut end = Vec::new();
            sealing.finish(&mut end)?;
            self.append(&end)?;
        }
        let file = ExportFile {
            sha256: self.hasher.finish(),
            key: self.key,
            bytes: self.bytes,
        };
        published.publish(self.writer, &file.key, file.sha256)?;
        let line = format!("{}  {}\n", file.sha256, name_of(&file.key));
        published.put(&format!("{}.sha256", file.key).parse()?, line.as_bytes())?;
        Ok(file)
    }
}

/// The last part of a key: what a file is called beside the others.
pub(crate) fn name_of(key: &ObjectKey) -> &str {
    key.as_str().rsplit('/').next().unwrap_or_default()
}
