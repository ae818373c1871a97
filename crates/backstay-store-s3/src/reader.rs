use std::ops::Range;
use std::sync::Arc;

use backstay_core::store::{Error, ErrorKind};
use backstay_http::{Answer, Failure, Fetch, RangeReader, content_range};

use crate::client::{Call, Client};
use crate::failure::Told;

/// What asks for the rest of an object that was begun.
pub(crate) struct Rest {
    client: Arc<Client>,
    name: String,
    /// Tag of the object that was begun with; another one is never gone on with.
    tag: Option<String>,
}

impl Fetch for Rest {
    fn fetch(&mut self, range: Range<u64>) -> Result<Answer, Failure> {
        fetch(&self.client, &self.name, self.tag.as_deref(), &range)
    }

    fn is_transient(&self, failure: &Failure) -> bool {
        failure.may_pass()
    }

    fn is_missing(&self, failure: &Failure) -> bool {
        Told::is_missing(failure)
    }
}

/// Opens a range of an object, or all of it.
pub(crate) fn open(client: &Arc<Client>, key: &str, range: Option<Range<u64>>) -> Result<RangeReader<Rest>, Error> {
    let doing = "read";
    let name = client.name(key);
    let subject = client.subject(key);
    let out_of_range = || Error::new(ErrorKind::OutOfRange, doing, &subject);
    let reader = |tag: Option<&str>, range: Range<u64>, answer| {
        let rest = Rest {
            client: Arc::clone(client),
            name: name.clone(),
            tag: tag.map(str::to_owned),
        };
        RangeReader::new(rest, client.config().retries, range, answer)
    };
    match range {
        None => {
            let answer = client.retried(doing, &subject, || client.once(&Call::new("GET", Some(&name))))?;
            let size = answer
                .number("content-length")
                .map_err(|failure| failure.into_error(doing, &subject))?;
            let tag = answer.header("etag").map(str::to_owned);
            Ok(reader(tag.as_deref(), 0..size, Some(answer)))
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
            Ok(reader(tag.as_deref(), range, Some(answer)))
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
