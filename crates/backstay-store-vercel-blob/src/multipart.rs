use std::io;
use std::sync::Arc;

use backstay_core::store::{Error, ErrorKind};
use backstay_http::{Failure, InFlight, Tries};
use serde::Serialize;

use crate::answers::{Begun, TakenPart, Written};
use crate::client::{Call, Client, encoded};
use crate::dialect;
use crate::publish::Publication;

/// Parts that one object may have.
pub(crate) const PARTS_MAX: u64 = 10_000;
pub(crate) const PART_BYTES_MIN: u64 = 5 << 20;
pub(crate) const PART_BYTES_MAX: u64 = 5 << 30;

const PATH: &str = "/mpu";
const DOING: &str = "begin the upload of";

/// The parts of a large object on their way. Where it is dropped, they stay with the service, which has no call to end an
/// upload.
#[derive(Debug)]
pub(crate) struct Upload {
    client: Arc<Client>,
    subject: String,
    target: Arc<Target>,
    parts: InFlight<Part, Error>,
}

/// What every request about an upload says.
#[derive(Debug)]
struct Target {
    name: String,
    headers: Vec<(&'static str, String)>,
}

/// A part that the service has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    etag: String,
    part_number: u64,
}

impl Target {
    fn call<'a>(&self, action: &'static str) -> Call<'a> {
        Call::new("POST", PATH)
            .query("pathname", &self.name)
            .headers(&self.headers)
            .header("x-mpu-action", action)
    }
}

impl Upload {
    pub(crate) fn begin(client: &Arc<Client>, publication: &Publication) -> Result<Self, Error> {
        let subject = client.subject(publication.key.as_str());
        let mut target = Target {
            name: publication.name.clone(),
            headers: publication.headers(client),
        };
        let (outcome, tries) = client.tried(|| client.once(&target.call("create")));
        let begun: Begun = outcome.map_err(|failure| {
            // Nothing appears by this, so whoever has the name is another, whatever became of an earlier try.
            if dialect::says_it_exists(&failure) {
                return Error::new(ErrorKind::AlreadyExists, DOING, &subject).because(failure);
            }
            dialect::given_up(failure, tries.count, DOING, &subject)
        })?;
        // A header has no letters beyond ASCII, and a key may.
        target.headers.push(("x-mpu-key", encoded(&begun.key)));
        target.headers.push(("x-mpu-upload-id", begun.upload_id));
        Ok(Self {
            client: Arc::clone(client),
            subject,
            target: Arc::new(target),
            parts: InFlight::default(),
        })
    }

    /// Sends a part beside the others; waits while as many are on their way as memory allows.
    pub(crate) fn send(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        let number = self.parts.begun() as u64 + 1;
        let config = self.client.config();
        if number > PARTS_MAX {
            let why = format!(
                "it has more than {PARTS_MAX} parts of {} bytes; longer ones (part-size) hold more",
                config.part_bytes
            );
            return Err(Error::new(ErrorKind::Other, "upload", &self.subject).because(why));
        }
        let at_once = usize::try_from((config.memory_bytes_max / config.part_bytes).clamp(1, 16)).unwrap_or(1);
        let (client, target, subject) = (Arc::clone(&self.client), Arc::clone(&self.target), self.subject.clone());
        let part = move || send_part(&client, &target, &subject, number, &bytes);
        self.parts.send(at_once, unstarted(&self.subject), part)
    }

    /// Waits for all parts and asks the service to make them one object.
    pub(crate) fn complete(&mut self) -> Result<(Result<Written, Failure>, Tries), Error> {
        self.parts.await_all(unstarted(&self.subject))?;
        let failed = |source: serde_json::Error| {
            Error::new(ErrorKind::Other, "complete the upload of", &self.subject).because(source)
        };
        let body = serde_json::to_string(self.parts.arrived()).map_err(failed)?;
        Ok(self
            .client
            .tried(|| self.client.once(&self.target.call("complete").json(&body))))
    }
}

/// What is said where no thread sends a part.
fn unstarted(subject: &str) -> impl Fn(io::Error) -> Error {
    move |source| dialect::given_up(Failure::Thread(source), 1, "upload", subject)
}

fn send_part(client: &Client, target: &Target, subject: &str, number: u64, bytes: &[u8]) -> Result<Part, Error> {
    client.retried("upload a part of", subject, || {
        let call = target.call("upload").header("x-mpu-part-number", number.to_string());
        let taken: TakenPart = client.once(&call.body(bytes))?;
        Ok(Part {
            etag: taken.etag,
            part_number: number,
        })
    })
}
