use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind};
use backstay_http::{Answer, Failure, Fetch, RangeReader, content_range};

use crate::answers::is_same_tag;
use crate::client::Client;
use crate::config::Access;
use crate::dialect;

const DOING: &str = "read";

/// What asks for the rest of an object that was begun.
struct Rest {
    client: Arc<Client>,
    name: String,
    /// Tag of the object that was begun with; another one is never gone on with.
    tag: Option<String>,
}

impl Fetch for Rest {
    fn fetch(&mut self, range: Range<u64>) -> Result<Answer, Failure> {
        let answer = fetch(&self.client, &self.name, &range)?;
        if !has_tag(&answer, self.tag.as_deref()) {
            return Err(Failure::unusable(
                "it is about another object than the one that was begun",
            ));
        }
        Ok(answer)
    }

    fn is_transient(&self, failure: &Failure) -> bool {
        dialect::may_pass(failure)
    }

    fn is_missing(&self, failure: &Failure) -> bool {
        failure.status() == 404
    }
}

/// Opens a range of an object, or all of it.
pub(crate) fn open(
    client: &Arc<Client>,
    key: &ObjectKey,
    range: Option<Range<u64>>,
) -> Result<Box<dyn Read + Send>, Error> {
    let subject = client.subject(key.as_str());
    let error = |kind| Error::new(kind, DOING, &subject);
    // There is no word for an empty range, and some servers choke on large numbers.
    let is_plain = range
        .as_ref()
        .is_some_and(|range| range.start < range.end && i64::try_from(range.end).is_ok());
    // What a cache has is believed only where the service itself has the same.
    let must_look = !is_plain || client.config().access == Access::Public;
    let found = match must_look {
        true => Some(client.look(key.as_str())?.ok_or_else(|| error(ErrorKind::NotFound))?),
        false => None,
    };
    let range = range.unwrap_or_else(|| 0..found.as_ref().map_or(0, |found| found.size));
    if let Some(found) = &found
        && (range.start > range.end || range.end > found.size)
    {
        return Err(error(ErrorKind::OutOfRange));
    }
    if range.is_empty() {
        return Ok(Box::new(io::empty()));
    }
    let name = client.name(key.as_str());
    let tag = found.map(|found| found.etag);
    let fetched = client.retried(DOING, &subject, || match fetch(client, &name, &range) {
        // The service itself knows whether the object is missing or the whole store, or whether the token is none.
        Err(failure) if matches!(failure.status(), 403 | 404) => match client.look_once(key.as_str())? {
            None => Ok(None),
            Some(_) if failure.status() == 403 => Err(failure),
            Some(_) => Err(Failure::Passing("the cache in front of the store does not find it yet")),
        },
        Ok(answer) if !has_tag(&answer, tag.as_deref()) => Err(Failure::Passing(
            "the cache in front of the store still has another object",
        )),
        fetched => fetched.map(Some),
    })?;
    let answer = fetched.ok_or_else(|| error(ErrorKind::NotFound))?;
    if content_range(&answer).is_none_or(|(_, size)| size < range.end) {
        return Err(error(ErrorKind::OutOfRange));
    }
    let rest = Rest {
        client: Arc::clone(client),
        name,
        tag: answer.header("etag").map(str::to_owned),
    };
    Ok(Box::new(RangeReader::new(
        rest,
        client.config().retries,
        range,
        Some(answer),
    )))
}

/// Asks for a range, and takes no answer that is another one's.
fn fetch(client: &Client, name: &str, range: &Range<u64>) -> Result<Answer, Failure> {
    let answer = client.fetch(name, range.start, range.end)?;
    let is_plain = answer
        .header("content-encoding")
        .is_none_or(|encoding| encoding == "identity");
    match content_range(&answer) {
        Some((start, _)) if answer.status == 206 && start == range.start && is_plain => Ok(answer),
        _ => Err(Failure::unusable("it has not the range that was asked for")),
    }
}

/// Whether an answer is about the object with that tag; any answer is, where none is known.
fn has_tag(answer: &Answer, tag: Option<&str>) -> bool {
    tag.is_none_or(|tag| answer.header("etag").is_some_and(|found| is_same_tag(found, tag)))
}
