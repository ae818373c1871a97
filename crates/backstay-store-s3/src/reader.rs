use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use backstay_core::store::{Error, ErrorKind};

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::http::Answer;

/// The rest of a range of bytes, fetched anew from where it stopped when a connection breaks.
pub(crate) struct RangeReader {
    client: Arc<Client>,
    name: String,
    /// Tag of the object that was begun with; another one is never gone on with.
    tag: Option<String>,
    next: u64,
    end: u64,
    body: Option<Box<dyn Read + Send>>,
    /// Tries since the last byte came.
    tries: u32,
}

/// Opens a range of an object, or all of it.
pub(crate) fn open(client: &Arc<Client>, key: &str, range: Option<Range<u64>>) -> Result<RangeReader, Error> {
    let doing = "read";
    let name = client.name(key);
    let subject = client.subject(key);
    let out_of_range = || Error::new(ErrorKind::OutOfRange, doing, &subject);
    let reader = |tag: Option<&str>, range: Range<u64>, body| RangeReader {
        client: Arc::clone(client),
        name: name.clone(),
        tag: tag.map(str::to_owned),
        next: range.start,
        end: range.end,
        body,
        tries: 0,
    };
    match range {
        None => {
            let answer = client.retried(doing, &subject, || client.once(&Call::new("GET", Some(&name))))?;
            let size = answer
                .number("content-length")
                .map_err(|failure| failure.into_error(doing, &subject))?;
            let tag = answer.header("etag").map(str::to_owned);
            Ok(reader(tag.as_deref(), 0..size, Some(Box::new(answer.into_reader()))))
        }
        // The protocol has no word for these, and some servers choke on large numbers.
        Some(range) if range.start >= range.end || range.end > i64::MAX as u64 => {
            let answer = client.retried(doing, &subject, || client.once(&Call::new("HEAD", Some(&name))))?;
            let size = answer
                .number("content-length")
                .map_err(|failure| failure.into_error(doing, &subject))?;
            if range.start > range.end || range.end > size {
                return Err(out_of_range());
            }
            Ok(reader(None, range, None))
        }
        Some(range) => {
            let answer = client.retried(doing, &subject, || fetch(client, &name, None, &range))?;
            if content_range(&answer).is_none_or(|(_, size)| size < range.end) {
                return Err(out_of_range());
            }
            let tag = answer.header("etag").map(str::to_owned);
            Ok(reader(tag.as_deref(), range, Some(Box::new(answer.into_reader()))))
        }
    }
}

fn fetch(client: &Client, name: &str, tag: Option<&str>, range: &Range<u64>) -> Result<Answer, Failure> {
    let mut call = Call::new("GET", Some(name)).header("range", format!("bytes={}-{}", range.start, range.end - 1));
    if let Some(tag) = tag {
        call = call.header("if-match", tag);
    }
    let answer = client.once(&call)?;
    match content_range(&answer) {
        Some((start, _)) if answer.status == 206 && start == range.start => Ok(answer),
        _ => Err(Failure::unusable("it has not the range that was asked for")),
    }
}

/// Where the bytes of an answer begin, and how long the object is.
fn content_range(answer: &Answer) -> Option<(u64, u64)> {
    let (bytes, size) = answer
        .header("content-range")?
        .strip_prefix("bytes ")?
        .split_once('/')?;
    let (start, _) = bytes.split_once('-')?;
    Some((start.parse().ok()?, size.parse().ok()?))
}

impl RangeReader {
    /// The body of what is missing.
    fn body(&mut self) -> Result<&mut Box<dyn Read + Send>, Failure> {
        let body = match self.body.take() {
            Some(body) => body,
            None => {
                let range = self.next..self.end;
                let answer = fetch(&self.client, &self.name, self.tag.as_deref(), &range)?;
                Box::new(answer.into_reader())
            }
        };
        Ok(self.body.insert(body))
    }
}

impl Read for RangeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.next >= self.end {
            return Ok(0);
        }
        let length = usize::try_from(self.end - self.next)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        loop {
            let failure = match self.body().map(|body| body.read(&mut buffer[..length])) {
                Ok(Ok(0)) => Failure::Broken(io::ErrorKind::UnexpectedEof.into()),
                Ok(Ok(count)) => {
                    self.next += count as u64;
                    self.tries = 0;
                    return Ok(count);
                }
                Ok(Err(source)) => Failure::Broken(source),
                Err(failure) => failure,
            };
            self.body = None;
            self.tries += 1;
            if !failure.is_transient() || self.tries >= self.client.config().retries.tries {
                return Err(as_io(failure));
            }
            self.client.wait(self.tries);
        }
    }
}

fn as_io(failure: Failure) -> io::Error {
    match failure {
        Failure::Broken(source) => source,
        // The object was replaced or has become shorter.
        failure if matches!(failure.status(), 412 | 416) => io::Error::new(io::ErrorKind::UnexpectedEof, failure),
        failure if failure.is_missing() => io::Error::new(io::ErrorKind::NotFound, failure),
        failure => io::Error::other(failure),
    }
}
