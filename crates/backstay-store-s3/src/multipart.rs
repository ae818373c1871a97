use std::io;
use std::sync::Arc;

use backstay_core::Sha256Digest;
use backstay_core::store::{Error, ErrorKind};
use backstay_http::{Failure, InFlight, Tries};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::client::{Call, Client};
use crate::failure::{Told as _, document};
use crate::parts::PARTS_MAX;
use crate::publish::Publication;
use crate::xml::escaped;

/// The parts of a large object on their way; dropping it gives them up.
#[derive(Debug)]
pub(crate) struct Upload {
    client: Arc<Client>,
    /// The whole name of the object.
    name: String,
    subject: String,
    id: String,
    parts: InFlight<Part, Error>,
    is_completed: bool,
}

/// A part that the server has.
#[derive(Debug)]
struct Part {
    number: u64,
    tag: String,
    digest: Sha256Digest,
    /// Whether its checksum was sent with it.
    is_checksummed: bool,
}

impl Upload {
    pub(crate) fn begin(client: &Arc<Client>, publication: &Publication) -> Result<Self, Error> {
        let subject = client.subject(publication.key.as_str());
        let headers = publication.headers(client.config());
        let id = client.retried("begin the upload of", &subject, || {
            let call = Call::new("POST", Some(&publication.name))
                .query("uploads", "")
                .headers(&headers)
                .body(b"", Sha256Digest::of(b""))
                .announcing_checksums();
            let root = document(client.once(&call)?, "InitiateMultipartUploadResult")?;
            let id = root.text_of("UploadId").filter(|id| !id.is_empty());
            id.map(str::to_owned)
                .ok_or_else(|| Failure::unusable("it has no UploadId"))
        })?;
        Ok(Self {
            client: Arc::clone(client),
            name: publication.name.clone(),
            subject,
            id,
            parts: InFlight::default(),
            is_completed: false,
        })
    }

    /// The number of the next part.
    pub(crate) fn next(&self) -> u64 {
        self.parts.begun() as u64 + 1
    }

    /// Sends a part beside the others; waits while as many are on their way as memory allows.
    pub(crate) fn send(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        let number = self.next();
        if number > PARTS_MAX {
            let why = format!("it has more than {PARTS_MAX} parts; longer ones (part-size) hold more");
            return Err(Error::new(ErrorKind::Other, "upload", &self.subject).because(why));
        }
        let config = self.client.config();
        let at_once = config.parts.at_once(number, config.memory_bytes_max);
        let (client, name, subject, id) = (
            Arc::clone(&self.client),
            self.name.clone(),
            self.subject.clone(),
            self.id.clone(),
        );
        let unstarted = unstarted(&self.subject);
        let part = move || {
            if number == 1 {
                // Beside the other parts, so that nobody waits for it at the end; there it is asked again if it failed.
                drop(client.honours_conditions());
            }
            send_part(&client, &name, &subject, &id, number, &bytes)
        };
        self.parts.send(at_once, unstarted, part)
    }

    /// Waits for all parts and asks the server to make them one object; gives the tag of that.
    pub(crate) fn complete(
        &mut self,
        publication: &Publication,
    ) -> Result<(Result<Option<String>, Failure>, Tries), Error> {
        self.parts.await_all(unstarted(&self.subject))?;
        let is_conditional = self.client.honours_conditions()?;
        // Not every server that heeds the condition of a small object heeds that of a large one.
        publication.refuse_existing(&self.client)?;
        let body = self.listing();
        let digest = Sha256Digest::of(body.as_bytes());
        let (outcome, tries) = self.client.tried(|| {
            let mut call = Call::new("POST", Some(&self.name))
                .query("uploadId", &self.id)
                .header("content-type", "application/xml")
                .body(body.as_bytes(), digest);
            if is_conditional {
                call = call.header("if-none-match", "*");
            }
            // What goes wrong while the parts are joined comes after the status, which says that all is well.
            let root = document(self.client.once(&call)?, "CompleteMultipartUploadResult")?;
            if let Some(found) = root.text_of("ChecksumSHA256")
                && !self.is_checksum(found)
            {
                return Err(Failure::Altered);
            }
            Ok(root.text_of("ETag").map(str::to_owned))
        });
        self.is_completed = outcome.is_ok();
        Ok((outcome, tries))
    }

    fn listing(&self) -> String {
        let mut xml = String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        for part in self.parts.arrived() {
            xml.push_str(&format!(
                "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag>",
                part.number,
                escaped(&part.tag)
            ));
            if part.is_checksummed {
                let checksum = BASE64_STANDARD.encode(part.digest.as_bytes());
                xml.push_str(&format!("<ChecksumSHA256>{checksum}</ChecksumSHA256>"));
            }
            xml.push_str("</Part>");
        }
        xml.push_str("</CompleteMultipartUpload>");
        xml
    }

    /// Whether that is the checksum of the checksums of the parts, or of another kind, which tells nothing.
    fn is_checksum(&self, found: &str) -> bool {
        let digests: Vec<u8> = self
            .parts
            .arrived()
            .iter()
            .flat_map(|part| *part.digest.as_bytes())
            .collect();
        let expected = BASE64_STANDARD.encode(Sha256Digest::of(&digests).as_bytes());
        match found.trim().rsplit_once('-') {
            Some((digest, count)) if count == self.parts.arrived().len().to_string() => digest == expected,
            _ => true,
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A part that arrives after the end would keep its bytes, and cost, without being seen.
        drop(std::mem::take(&mut self.parts));
        if !self.is_completed {
            // What stays is a leftover, for `list_leftovers` to find.
            drop(abort(&self.client, &self.name, &self.id));
        }
    }
}

/// What a part is whose thread did not work.
fn unstarted(subject: &str) -> impl Fn(io::Error) -> Error + use<> {
    let subject = subject.to_owned();
    move |source| Failure::Thread(source).into_error("upload", &subject)
}

/// Gives the parts of an upload up, once; one that does not exist counts as given up.
pub(crate) fn abort(client: &Client, name: &str, id: &str) -> Result<(), Failure> {
    match client.once(&Call::new("DELETE", Some(name)).query("uploadId", id)) {
        Err(failure) if !failure.is_missing() => Err(failure),
        _ => Ok(()),
    }
}

fn send_part(client: &Client, name: &str, subject: &str, id: &str, number: u64, bytes: &[u8]) -> Result<Part, Error> {
    let digest = Sha256Digest::of(bytes);
    let part_number = number.to_string();
    client.retried("upload a part of", subject, || {
        let call = Call::new("PUT", Some(name))
            .query("partNumber", &part_number)
            .query("uploadId", id)
            .body(bytes, digest)
            .checksummed();
        let answer = client.once(&call)?;
        let tag = answer
            .header("etag")
            .ok_or_else(|| Failure::unusable("it has no ETag"))?;
        Ok(Part {
            number,
            tag: tag.to_owned(),
            digest,
            is_checksummed: client.sends_checksums(),
        })
    })
}
