use std::collections::BTreeMap;

use backstay_http::{Answer, Failure};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What is read of an answer that is not an object.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// What the service tells of one object.
#[derive(Debug, Deserialize)]
pub(crate) struct Info {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) size: Option<u64>,
    /// What its writer said about it.
    pub(crate) metadata: Option<BTreeMap<String, serde_json::Value>>,
    pub(crate) last_modified: Option<String>,
    created_at: Option<String>,
}

impl Info {
    pub(crate) fn size(&self) -> Result<u64, Failure> {
        self.size.ok_or_else(|| Failure::unusable("it does not tell the size"))
    }

    pub(crate) fn modified_unix_secs(&self) -> Result<i64, Failure> {
        time(self.last_modified.as_ref().or(self.created_at.as_ref()))
    }

    /// A text that its writer said about it.
    pub(crate) fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata.as_ref()?.get(name)?.as_str()
    }
}

/// One page of a listing.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Listed>,
    #[serde(rename = "hasNext")]
    pub(crate) has_next: bool,
    #[serde(rename = "nextCursor")]
    pub(crate) next_cursor: Option<String>,
}

/// One object of a listing.
#[derive(Debug, Deserialize)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) metadata: Option<Facts>,
    pub(crate) updated_at: Option<String>,
    created_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Facts {
    pub(crate) size: Option<u64>,
    #[serde(rename = "eTag")]
    pub(crate) etag: Option<String>,
}

impl Listed {
    pub(crate) fn size(&self) -> Result<u64, Failure> {
        let size = self.metadata.as_ref().and_then(|facts| facts.size);
        size.ok_or_else(|| Failure::unusable(format!("it does not tell the size of {:?}", self.name)))
    }

    pub(crate) fn modified_unix_secs(&self) -> Result<i64, Failure> {
        time(self.updated_at.as_ref().or(self.created_at.as_ref()))
    }
}

/// What the service tells of the bucket.
#[derive(Debug, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) file_size_limit: Option<u64>,
}

/// A URL that was signed.
#[derive(Debug, Deserialize)]
pub(crate) struct Signed {
    #[serde(rename = "signedURL")]
    pub(crate) signed_url: String,
}

fn time(text: Option<&String>) -> Result<i64, Failure> {
    let text = text.ok_or_else(|| Failure::unusable("it does not tell the time"))?;
    let time: Result<Timestamp, _> = text.parse();
    time.map(Timestamp::as_second)
        .map_err(|_| Failure::unusable(format!("{text:?} is no time")))
}

/// The document in the body of an answer.
pub(crate) fn document<T: DeserializeOwned>(answer: Answer) -> Result<T, Failure> {
    let bytes = answer.bytes(ANSWER_BYTES_MAX)?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::unusable(error.to_string()))
}
