use std::sync::Arc;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind, ObjectMeta, ObjectWriter};

use crate::client::Client;
use crate::publish::Publication;
use crate::tus::{Length, PIECE_BYTES, Upload};

/// An object that is being written: in memory while it may still be a short one, then piece by piece.
pub(crate) struct SupabaseWriter {
    client: Arc<Client>,
    publication: Publication,
    /// `None` once anything failed.
    pending: Option<Pending>,
}

#[derive(Default)]
struct Pending {
    /// What no upload has yet.
    buffer: Vec<u8>,
    /// All bytes so far.
    written: u64,
    upload: Option<Upload>,
}

impl SupabaseWriter {
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

    fn upload(&self, pending: Pending) -> Result<(), Error> {
        let Pending { buffer, upload, .. } = pending;
        let upload = match upload {
            None if buffer.len() <= PIECE_BYTES => return self.publication.upload(&self.client, &buffer),
            None => {
                let length = Length::Known(buffer.len() as u64);
                let mut upload = Upload::begin(&self.client, &self.publication, length)?;
                upload.append(&buffer)?;
                upload
            }
            Some(upload) => upload,
        };
        upload.finish()
    }
}

impl ObjectWriter for SupabaseWriter {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut pending = self.take("write to")?;
        pending.written += bytes.len() as u64;
        // The bucket's own limit is told by the service; who asked for it beforehand keeps within it.
        let limit = self.client.config().object_bytes_max;
        if pending.written > limit {
            let subject = self.client.subject(self.publication.key.as_str());
            let why = format!("objects here have {limit} bytes at most (object-limit)");
            return Err(Error::new(ErrorKind::Full, "write to", subject).because(why));
        }
        match &mut pending.upload {
            Some(upload) => upload.append(bytes)?,
            None => pending.buffer.extend_from_slice(bytes),
        }
        if pending.buffer.len() > self.client.config().memory_bytes_max {
            let mut upload = Upload::begin(&self.client, &self.publication, Length::Deferred)?;
            upload.append(&std::mem::take(&mut pending.buffer))?;
            pending.upload = Some(upload);
        }
        self.pending = Some(pending);
        Ok(())
    }

    fn publish(mut self: Box<Self>) -> Result<ObjectMeta, Error> {
        let pending = self.take("publish")?;
        let written = pending.written;
        let published = self
            .upload(pending)
            .and_then(|()| self.publication.publish(&self.client, written));
        if published.is_err() {
            self.publication.give_up(&self.client);
        }
        published
    }
}
