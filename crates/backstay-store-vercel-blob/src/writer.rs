use std::sync::Arc;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ObjectMeta};
use backstay_http::WriteInParts;

use crate::client::{Call, Client};
use crate::multipart::Upload;
use crate::publish::Publication;

/// An object that is being written to a store at Vercel.
pub(crate) struct VercelBlob {
    client: Arc<Client>,
    publication: Publication,
}

impl VercelBlob {
    pub(crate) fn begin(client: &Arc<Client>, key: &ObjectKey) -> Self {
        Self {
            client: Arc::clone(client),
            publication: Publication::begin(client, key),
        }
    }
}

impl WriteInParts for VercelBlob {
    type Upload = Upload;

    fn subject(&self) -> String {
        self.client.subject(self.publication.key.as_str())
    }

    fn part_bytes(&self, _: Option<&Upload>) -> u64 {
        self.client.config().part_bytes
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

    fn begin(&self) -> Result<Upload, Error> {
        Upload::begin(&self.client, &self.publication)
    }

    fn send(&self, upload: &mut Upload, part: Vec<u8>) -> Result<(), Error> {
        upload.send(part)
    }

    fn complete(&self, mut upload: Upload, size: u64) -> Result<ObjectMeta, Error> {
        let (outcome, tries) = upload.complete()?;
        self.publication.settle(&self.client, outcome, tries, size)
    }
}
