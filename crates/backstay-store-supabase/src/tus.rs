use std::sync::Arc;

use backstay_core::store::Error;
use backstay_http::Failure;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::client::{Call, Client};
use crate::dialect;
use crate::publish::Publication;

/// What the service wants each piece but the last to be, neither more nor less.
pub(crate) const PIECE_BYTES: usize = 6 << 20;

const DOING: &str = "upload";
const PATH: &str = "/upload/resumable";
const VERSION: (&str, &str) = ("tus-resumable", "1.0.0");

/// An upload in pieces (the TUS protocol), one after another; dropping it ends it. The service forgets it after a day.
#[derive(Debug)]
pub(crate) struct Upload {
    client: Arc<Client>,
    subject: String,
    path: String,
    length: Length,
    /// How many bytes the server has.
    offset: u64,
    /// What it has not: the bytes from there on.
    buffer: Vec<u8>,
    is_over: bool,
}

/// What the server was told about the length of an upload when it was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Known(u64),
    /// It is told with the last piece.
    Deferred,
}

/// What becomes of an object of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Existing {
    /// It stays, and the upload is refused.
    Refuse,
    /// It is replaced.
    Replace,
}

impl Existing {
    /// The header that says so.
    pub(crate) fn header(self) -> (&'static str, &'static str) {
        match self {
            Self::Refuse => ("x-upsert", "false"),
            Self::Replace => ("x-upsert", "true"),
        }
    }
}

/// Whether a piece may be the last one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Middle,
    End,
}

impl Upload {
    pub(crate) fn begin(client: &Arc<Client>, publication: &Publication, length: Length) -> Result<Self, Error> {
        let told = [
            ("contentType", "application/octet-stream"),
            ("metadata", &publication.metadata()),
        ];
        let subject = client.subject(publication.key.as_str());
        Self::begin_as(
            client,
            &publication.temporary_name,
            subject,
            length,
            &told,
            Existing::Refuse,
        )
    }

    /// Begins to upload an object of that whole name, with more that is told about it.
    pub(crate) fn begin_as(
        client: &Arc<Client>,
        name: &str,
        subject: String,
        length: Length,
        told: &[(&str, &str)],
        existing: Existing,
    ) -> Result<Self, Error> {
        let place = [("bucketName", client.config().bucket.as_str()), ("objectName", name)];
        let pairs = place.iter().chain(told);
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name} {}", BASE64_STANDARD.encode(value)))
            .collect();
        let metadata = pairs.join(",");
        let (upsert, is_wanted) = existing.header();
        let (begun, tries) = client.tried(|| {
            let call = Call::new("POST", PATH)
                .header(VERSION.0, VERSION.1)
                .header("upload-metadata", &metadata)
                .header(upsert, is_wanted)
                .body(b"");
            let call = match length {
                Length::Known(bytes) => call.header("upload-length", bytes.to_string()),
                Length::Deferred => call.header("upload-defer-length", "1"),
            };
            let answer = client.once(&call)?;
            // The key must not go to wherever the answer says, so only the id is taken from it.
            let id = answer
                .header("location")
                .and_then(|url| url.trim_end_matches('/').rsplit('/').next())
                .filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b)));
            let id = id.ok_or_else(|| Failure::unusable("it does not say where the upload is"))?;
            Ok(format!("{PATH}/{id}"))
        });
        let path = begun.map_err(|failure| dialect::given_up_writing(failure, tries.count, DOING, &subject))?;
        Ok(Self {
            client: Arc::clone(client),
            subject,
            path,
            length,
            offset: 0,
            buffer: Vec::new(),
            is_over: false,
        })
    }

    /// Adds bytes, and sends what is more than a piece; the last piece is never empty.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for bytes in bytes.chunks(PIECE_BYTES) {
            self.buffer.extend_from_slice(bytes);
            while self.buffer.len() > PIECE_BYTES {
                self.send(Place::Middle)?;
            }
        }
        Ok(())
    }

    /// Sends the rest. Whether the object is there then must be looked at: where the last answer was lost, the server may
    /// not know the upload any more.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        while !self.buffer.is_empty() {
            let place = match self.buffer.len() > PIECE_BYTES {
                true => Place::Middle,
                false => Place::End,
            };
            self.send(place)?;
            if self.is_over {
                break;
            }
        }
        self.is_over = true;
        Ok(())
    }

    /// Sends a piece; returns when the server has some of it, which need not be all.
    fn send(&mut self, place: Place) -> Result<(), Error> {
        let retries = self.client.config().retries;
        let mut tries = 1;
        let mut failure = match self.patch(place) {
            Ok(offset) => return self.advance(offset),
            Err(failure) => failure,
        };
        loop {
            // A conflict says that the server has more or less than was thought.
            let is_final = dialect::is_certain(&failure) && !dialect::is_conflict(&failure);
            if is_final || tries >= retries.tries {
                return Err(dialect::given_up(failure, tries, DOING, &self.subject));
            }
            retries.wait(tries, failure.retry_after());
            tries += 1;
            failure = match self.ask() {
                Ok(offset) if offset != self.offset => return self.advance(offset),
                Ok(_) => match self.patch(place) {
                    Ok(offset) => return self.advance(offset),
                    Err(failure) => failure,
                },
                // It forgets an upload when it has all of it.
                Err(failure) if place == Place::End && matches!(failure.status(), 404 | 410) => {
                    self.is_over = true;
                    return Ok(());
                }
                Err(failure) => failure,
            };
        }
    }

    /// Sends a piece once; gives how much the server has then.
    fn patch(&self, place: Place) -> Result<u64, Failure> {
        let piece = &self.buffer[..self.buffer.len().min(PIECE_BYTES)];
        let mut call = Call::new("PATCH", &self.path)
            .header(VERSION.0, VERSION.1)
            .header("upload-offset", self.offset.to_string())
            .header("content-type", "application/offset+octet-stream")
            .body(piece);
        if place == Place::End && self.length == Length::Deferred {
            let length = self.offset + piece.len() as u64;
            call = call.header("upload-length", length.to_string());
        }
        self.client.once(&call)?.number("upload-offset")
    }

    /// Asks how much the server has.
    fn ask(&self) -> Result<u64, Failure> {
        let call = Call::new("HEAD", &self.path).header(VERSION.0, VERSION.1);
        self.client.once(&call)?.number("upload-offset")
    }

    fn advance(&mut self, offset: u64) -> Result<(), Error> {
        let taken = offset
            .checked_sub(self.offset)
            .and_then(|taken| usize::try_from(taken).ok());
        match taken {
            // A piece that moves nothing would be sent for ever.
            Some(taken) if taken > 0 && taken <= self.buffer.len().min(PIECE_BYTES) => {
                self.buffer.drain(..taken);
                self.offset = offset;
                Ok(())
            }
            _ => {
                let why = format!("it has {offset} bytes, which were not sent so");
                Err(dialect::failed(Failure::unusable(why), DOING, &self.subject))
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_over {
            // Nobody sees what stays, and the service forgets it after a day.
            drop(
                self.client
                    .once(&Call::new("DELETE", &self.path).header(VERSION.0, VERSION.1)),
            );
        }
    }
}
