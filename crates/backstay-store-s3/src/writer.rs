use std::sync::Arc;

use backstay_core::store::{Error, ObjectMeta};
use backstay_core::{ObjectKey, Sha256Digest};
use backstay_http::WriteInParts;

use crate::client::{Call, Client};
use crate::multipart::Upload;
use crate::publish::Publication;

/// An object that is being written to a bucket.
pub(crate) struct S3Object {
    client: Arc<Client>,
    publication: Publication,
}

impl S3Object {
    pub(crate) fn begin(client: &Arc<Client>, key: &ObjectKey) -> Self {
        Self {
            client: Arc::clone(client),
            publication: Publication::begin(client, key),
        }
    }
}

impl WriteInParts for S3Object {
    type Upload = Upload;

    fn subject(&self) -> String {
        self.client.subject(self.publication.key.as_str())
    }

    fn part_bytes(&self, upload: Option<&Upload>) -> u64 {
        self.client.config().parts.bytes(upload.map_or(1, Upload::next))
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

    fn begin(&self) -> Result<Upload, Error> {
        Upload::begin(&self.client, &self.publication)
    }

    fn send(&self, upload: &mut Upload, part: Vec<u8>) -> Result<(), Error> {
        upload.send(part)
    }

    fn complete(&self, mut upload: Upload, size: u64) -> Result<ObjectMeta, Error> {
        let (outcome, tries) = upload.complete(&self.publication)?;
        self.publication.settle(&self.client, outcome, tries, size)
    }
}
