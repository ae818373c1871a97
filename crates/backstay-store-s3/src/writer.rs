use std::sync::Arc;

use backstay_core::store::{Error, ErrorKind, ObjectMeta, ObjectWriter};
use backstay_core::{ObjectKey, Sha256Digest};

use crate::client::{Call, Client};
use crate::multipart::Upload;
use crate::publish::Publication;

/// An object that is being written: in memory while it fits into one part, then part by part.
pub(crate) struct S3Writer {
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

impl S3Writer {
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
        let is_conditional = self.client.honours_conditions()?;
        if !is_conditional {
            self.publication.refuse_existing(&self.client)?;
        }
        let digest = Sha256Digest::of(bytes);
        let headers = self.publication.headers(self.client.config());
        let (outcome, tries) = self.client.tried(|| {
            let mut call = Call::new("PUT", Some(&self.publication.name)).headers(&headers);
            if is_conditional {
                call = call.header("if-none-match", "*");
            }
            let answer = self.client.once(&call.body(bytes, digest).checksummed())?;
            Ok(answer.header("etag").map(str::to_owned))
        });
        self.publication
            .settle(&self.client, outcome, tries, bytes.len() as u64)
    }
}

impl ObjectWriter for S3Writer {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut pending = self.take("write to")?;
        pending.written += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let number = pending.upload.as_ref().map_or(1, Upload::next);
            let part = usize::try_from(self.client.config().parts.bytes(number)).unwrap_or(usize::MAX);
            // A full buffer waits for one more byte: an object of one part needs no upload.
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
        let (outcome, tries) = upload.complete(&self.publication)?;
        self.publication.settle(&self.client, outcome, tries, written)
    }
}
