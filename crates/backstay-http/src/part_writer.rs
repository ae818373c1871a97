use backstay_core::store::{Error, ErrorKind, ObjectMeta, ObjectWriter};

/// How a kind of store writes one object: at once where it fits into one part, else part by part.
pub trait WriteInParts: Send {
    /// An upload of parts that was begun. Dropping it gives it up.
    type Upload: Send;

    /// The object, for messages.
    fn subject(&self) -> String;

    /// How many bytes the next part has; the first, where nothing was begun.
    fn part_bytes(&self, upload: Option<&Self::Upload>) -> u64;

    /// Writes an object of one part.
    ///
    /// # Errors
    /// As [`ObjectWriter::publish`] says.
    fn put(&self, bytes: &[u8]) -> Result<ObjectMeta, Error>;

    /// Begins an upload of parts.
    ///
    /// # Errors
    /// Those of the store.
    fn begin(&self) -> Result<Self::Upload, Error>;

    /// Sends the next part. Only the last one may be shorter than the others.
    ///
    /// # Errors
    /// Those of the store, perhaps of an earlier part.
    fn send(&self, upload: &mut Self::Upload, part: Vec<u8>) -> Result<(), Error>;

    /// Makes an object of `size` bytes of the parts.
    ///
    /// # Errors
    /// As [`ObjectWriter::publish`] says.
    fn complete(&self, upload: Self::Upload, size: u64) -> Result<ObjectMeta, Error>;
}

/// Writes an object in parts: in memory while it fits into one, then one part after another.
#[derive(Debug)]
pub struct PartWriter<W: WriteInParts> {
    object: W,
    /// `None` once anything failed.
    pending: Option<Pending<W::Upload>>,
}

#[derive(Debug)]
struct Pending<U> {
    /// What no part has yet.
    buffer: Vec<u8>,
    /// All bytes so far.
    written: u64,
    upload: Option<U>,
}

impl<W: WriteInParts> PartWriter<W> {
    /// Begins; nothing is sent yet.
    pub fn new(object: W) -> Self {
        Self {
            object,
            pending: Some(Pending {
                buffer: Vec::new(),
                written: 0,
                upload: None,
            }),
        }
    }

    fn take(&mut self, doing: &'static str) -> Result<Pending<W::Upload>, Error> {
        self.pending.take().ok_or_else(|| {
            Error::new(ErrorKind::Other, doing, self.object.subject()).because("an earlier step of writing it failed")
        })
    }
}

impl<W: WriteInParts> ObjectWriter for PartWriter<W> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut pending = self.take("write to")?;
        pending.written += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let part = self.object.part_bytes(pending.upload.as_ref());
            let part = usize::try_from(part).unwrap_or(usize::MAX);
            // A full buffer waits for one more byte: an object of one part needs no upload, and the last part may be short.
            if pending.buffer.len() >= part {
                let upload = match &mut pending.upload {
                    Some(upload) => upload,
                    none => none.insert(self.object.begin()?),
                };
                self.object.send(upload, std::mem::take(&mut pending.buffer))?;
                continue;
            }
            let (fitting, others) = rest.split_at(rest.len().min(part - pending.buffer.len()));
            pending.buffer.extend_from_slice(fitting);
            rest = others;
        }
        self.pending = Some(pending);
        Ok(())
    }

    fn publish(mut self: Box<Self>) -> Result<ObjectMeta, Error> {
        let Pending {
            buffer,
            written,
            upload,
        } = self.take("publish")?;
        let Some(mut upload) = upload else {
            return self.object.put(&buffer);
        };
        self.object.send(&mut upload, buffer)?;
        self.object.complete(upload, written)
    }
}
