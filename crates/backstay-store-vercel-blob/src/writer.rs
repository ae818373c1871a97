use std::sync::Arc;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, ObjectMeta, ObjectWriter};

use crate::client::{Call, Client};
use crate::multipart::Upload;
use crate::publish::Publication;

/// An object that is being written: in memory while it fits into one part, then part by part.
pub(crate) struct VercelBlobWriter {
    client: Arc<Client>,
    publication: Publication,
    /// `None` once anything failed.
    pending: Option<Pending>,
}

#[derive(Default)]
struct Pending {
    /// What no part has yet.
    buffer: Vec<u8>,
    /// All bytes so far.
    written: u64,
    upload: Option<Upload>,
}

impl VercelBlobWriter {
    pub(crate) fn begin(client: &Arc<Client>, key: &ObjectKey) -> Self {
        Self {
            client: Arc::clone(client),
            publication: Publication::begin(client, key),
            pending: Some(Pending::default()),
        }
    }

    fn take(&mut self, doing: &'static str) -> Result<Pending, Error> {
        self.pending.take().ok_or_else(|| {
            let subject = self.client.subject(self.publication.key.as_str());
            Error::new(ErrorKind::Other, doing, subject).because("an earlier step of writing it failed")
        })
    }

    fn put(&self, bytes: &[u8]) -> Result<ObjectMeta, Error> {
        let call = Call::new("PUT", "/")
            .query("pathname", &self.publication.name)
            .headers(&self.publication.headers(&self.client))
            .body(bytes);
        let (outcome, tries) = self.client.tried(|| self.client.once(&call));
        self.publication
            .settle(&self.client, outcome, tries, bytes.len() as u64)
    }
}

impl ObjectWriter for VercelBlobWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut pending = self.take("write to")?;
        pending.written += bytes.len() as u64;
        let part = usize::try_from(self.client.config().part_bytes).unwrap_or(usize::MAX);
        let mut rest = bytes;
        while !rest.is_empty() {
            // A full buffer waits for one more byte: an object of one part needs no upload, and the last part may be short.
            if pending.buffer.len() >= part {
                let upload = match &mut pending.upload {
                    Some(upload) => upload,
                    none => none.insert(Upload::begin(&self.client, &self.publication)?),
                };
                upload.send(std::mem::take(&mut pending.buffer))?;
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
            return self.put(&buffer);
        };
        upload.send(buffer)?;
        let (outcome, tries) = upload.complete()?;
        self.publication.settle(&self.client, outcome, tries, written)
    }
}
