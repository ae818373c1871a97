use std::io::{self, Read};
use std::ops::Range;

use crate::client::Answer;
use crate::failure::Failure;
use crate::retry::Retries;

/// What a [`RangeReader`] asks for what it lacks.
pub trait Fetch: Send {
    /// Asks for a range of the very object that was begun with, and for no other.
    ///
    /// # Errors
    /// Those of the request; the object is another one by now.
    fn fetch(&mut self, range: Range<u64>) -> Result<Answer, Failure>;

    /// Whether another try may succeed.
    fn is_transient(&self, failure: &Failure) -> bool;

    /// Whether the object is not there any more.
    fn is_missing(&self, failure: &Failure) -> bool;
}

/// The rest of a range of bytes, fetched anew from where it stopped when a connection breaks. It gives all bytes of the
/// range, or fails.
pub struct RangeReader<F> {
    fetch: F,
    retries: Retries,
    next: u64,
    end: u64,
    body: Option<Box<dyn Read + Send>>,
    /// Tries since the last byte came.
    tries: u32,
}

impl<F: Fetch> RangeReader<F> {
    /// A reader of a range, whose first answer may be there already.
    pub fn new(fetch: F, retries: Retries, range: Range<u64>, answer: Option<Answer>) -> Self {
        Self {
            fetch,
            retries,
            next: range.start,
            end: range.end,
            body: answer.map(|answer| Box::new(answer.into_reader()) as Box<dyn Read + Send>),
            tries: 0,
        }
    }

    /// The body of what is missing.
    fn body(&mut self) -> Result<&mut Box<dyn Read + Send>, Failure> {
        let body = match self.body.take() {
            Some(body) => body,
            None => Box::new(self.fetch.fetch(self.next..self.end)?.into_reader()),
        };
        Ok(self.body.insert(body))
    }

    /// Lets the connection serve others: it is free where the end of the body was seen.
    fn give_back(&mut self) {
        if let Some(mut body) = self.body.take() {
            drop(body.read(&mut [0]));
        }
    }

    fn as_io(&self, failure: Failure) -> io::Error {
        match failure {
            Failure::Broken(source) => source,
            // The object was replaced or has become shorter.
            failure if matches!(failure.status(), 412 | 416) => io::Error::new(io::ErrorKind::UnexpectedEof, failure),
            failure @ Failure::Unusable(_) => io::Error::new(io::ErrorKind::UnexpectedEof, failure),
            failure if self.fetch.is_missing(&failure) => io::Error::new(io::ErrorKind::NotFound, failure),
            failure => io::Error::other(failure),
        }
    }
}

impl<F: Fetch> Read for RangeReader<F> {
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
                    if self.next == self.end {
                        self.give_back();
                    }
                    return Ok(count);
                }
                Ok(Err(source)) => Failure::Broken(source),
                Err(failure) => failure,
            };
            self.body = None;
            self.tries += 1;
            if !self.fetch.is_transient(&failure) || self.tries >= self.retries.tries {
                return Err(self.as_io(failure));
            }
            self.retries.wait(self.tries, failure.retry_after());
        }
    }
}

/// Where the bytes of an answer begin, and how long the object is.
#[must_use]
pub fn content_range(answer: &Answer) -> Option<(u64, u64)> {
    let (bytes, size) = answer
        .header("content-range")?
        .strip_prefix("bytes ")?
        .split_once('/')?;
    let (start, _) = bytes.split_once('-')?;
    Some((start.parse().ok()?, size.parse().ok()?))
}
