use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use backstay_core::store::{Error, ErrorKind};
use backstay_http::{Answer, Failure, Fetch, RangeReader, content_range};

use crate::client::{Call, Client};
use crate::dialect;

const DOING: &str = "read";

/// What asks for the rest of an object that was begun.
struct Rest {
    client: Arc<Client>,
    path: String,
    /// Tag of the object that was begun with; another one is never gone on with. The service heeds no condition here.
    tag: Option<String>,
}

impl Fetch for Rest {
    fn fetch(&mut self, range: Range<u64>) -> Result<Answer, Failure> {
        let answer = fetch(&self.client, &self.path, &range)?;
        if self.tag.is_some() && answer.header("etag") != self.tag.as_deref() {
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
        dialect::is_missing(failure)
    }
}

/// Opens a range of an object, or all of it.
pub(crate) fn open(client: &Arc<Client>, key: &str, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, Error> {
    if !client.can_keep(key) {
        return Err(client.missing(DOING, key));
    }
    let subject = client.subject(key);
    let name = client.name(key);
    let out_of_range = || Error::new(ErrorKind::OutOfRange, DOING, &subject);
    // There is no word for an empty range, and some servers choke on large numbers.
    let plain = |range: &Range<u64>| range.start < range.end && i64::try_from(range.end).is_ok();
    let range = match range {
        Some(range) if plain(&range) => range,
        other => {
            let found = client.look(&name)?.ok_or_else(|| client.missing(DOING, key))?;
            let size = found
                .size()
                .map_err(|failure| dialect::failed(failure, DOING, &subject))?;
            let range = other.unwrap_or(0..size);
            if range.start > range.end || range.end > size {
                return Err(out_of_range());
            }
            range
        }
    };
    if range.is_empty() {
        return Ok(Box::new(io::empty()));
    }
    let path = client.path("/authenticated", &name);
    let fetched = client.retried(DOING, &subject, || match fetch(client, &path, &range) {
        Err(failure) if dialect::is_missing(&failure) => Ok(None),
        fetched => fetched.map(Some),
    })?;
    let answer = fetched.ok_or_else(|| client.missing(DOING, key))?;
    if content_range(&answer).is_none_or(|(_, size)| size < range.end) {
        return Err(out_of_range());
    }
    let rest = Rest {
        client: Arc::clone(client),
        path,
        tag: answer.header("etag").map(str::to_owned),
    };
    let retries = client.config().retries;
    Ok(Box::new(RangeReader::new(rest, retries, range, Some(answer))))
}

/// What came of opening a whole object.
pub(crate) enum Opened {
    /// All of it, or an error.
    Object(Box<dyn Read + Send>),
    /// It has another length or another tag than was told.
    Changed,
    /// It is not there.
    Missing,
}

/// Opens an object that was looked at before, whatever its name. Where a tag was told, what a cache has kept of another
/// version is not taken for it.
pub(crate) fn open_whole(client: &Arc<Client>, name: &str, size: u64, tag: Option<&str>) -> Result<Opened, Error> {
    let path = client.path("/authenticated", name);
    if size == 0 {
        // No range lies in it. Whether it is there has to be asked all the same.
        let found = client.retried(DOING, &client.subject(name), || {
            let call = Call::new("GET", &path).header("accept-encoding", "identity");
            match client.once(&call) {
                Err(failure) if dialect::is_missing(&failure) => Ok(None),
                Err(failure) => Err(failure),
                Ok(answer) => {
                    let mut first = Vec::new();
                    let read = answer.into_reader().take(1).read_to_end(&mut first);
                    read.map(Some).map_err(Failure::Broken)
                }
            }
        })?;
        return Ok(match found {
            None => Opened::Missing,
            Some(0) => Opened::Object(Box::new(io::empty())),
            Some(_) => Opened::Changed,
        });
    }
    let fetched = client.retried(DOING, &client.subject(name), || {
        match fetch(client, &path, &(0..size)) {
            Err(failure) if dialect::is_missing(&failure) => Ok(None),
            fetched => fetched.map(Some),
        }
    })?;
    let Some(answer) = fetched else {
        return Ok(Opened::Missing);
    };
    let plain = |tag: &str| tag.trim_start_matches("W/").trim_matches('"').to_owned();
    let is_other = tag
        .zip(answer.header("etag"))
        .is_some_and(|(told, found)| plain(told) != plain(found));
    if is_other || content_range(&answer).is_none_or(|(_, found)| found != size) {
        return Ok(Opened::Changed);
    }
    let rest = Rest {
        client: Arc::clone(client),
        path,
        tag: answer.header("etag").map(str::to_owned),
    };
    let retries = client.config().retries;
    Ok(Opened::Object(Box::new(RangeReader::new(
        rest,
        retries,
        0..size,
        Some(answer),
    ))))
}

/// Asks for a range, and takes no answer that is another one's.
fn fetch(client: &Client, path: &str, range: &Range<u64>) -> Result<Answer, Failure> {
    let call = Call::new("GET", path)
        .header("range", format!("bytes={}-{}", range.start, range.end - 1))
        // Packed bytes have other ranges.
        .header("accept-encoding", "identity");
    let answer = client.once(&call)?;
    let is_plain = answer
        .header("content-encoding")
        .is_none_or(|encoding| encoding == "identity");
    match content_range(&answer) {
        Some((start, _)) if answer.status == 206 && start == range.start && is_plain => Ok(answer),
        _ => Err(Failure::unusable("it has not the range that was asked for")),
    }
}
