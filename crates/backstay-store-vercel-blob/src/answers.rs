use backstay_http::Failure;
use jiff::Timestamp;
use serde::Deserialize;

/// What the service tells of a blob.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Blob {
    pub(crate) pathname: String,
    pub(crate) size: u64,
    pub(crate) uploaded_at: Timestamp,
    pub(crate) etag: String,
    /// A listing leaves it out.
    pub(crate) content_type: Option<String>,
}

impl Blob {
    pub(crate) fn modified_unix_secs(&self) -> i64 {
        self.uploaded_at.as_second()
    }
}

/// The answer to a write.
#[derive(Debug, Deserialize)]
pub(crate) struct Written {
    pub(crate) pathname: String,
    pub(crate) etag: String,
}

/// One page of a listing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    pub(crate) blobs: Vec<Blob>,
    pub(crate) cursor: Option<String>,
    pub(crate) has_more: bool,
}

/// The answer to the beginning of an upload.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Begun {
    pub(crate) upload_id: String,
    pub(crate) key: String,
}

/// The answer to a part.
#[derive(Debug, Deserialize)]
pub(crate) struct TakenPart {
    pub(crate) etag: String,
}

/// What signs URLs for a while.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SigningToken {
    pub(crate) client_signing_token: String,
    pub(crate) delegation_token: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) valid_until: i64,
}

/// Whether two tags mean the same bytes. Where a cache has packed them on the way, its tag is a weak one.
pub(crate) fn is_same_tag(one: &str, other: &str) -> bool {
    fn bare(tag: &str) -> &str {
        tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
    }
    bare(one) == bare(other)
}

/// Fails where an answer is about something else than was asked for.
pub(crate) fn expect_pathname(found: &str, asked: &str) -> Result<(), Failure> {
    if found == asked {
        return Ok(());
    }
    Err(Failure::unusable(format!(
        "it is about {found:?} and not about {asked:?}"
    )))
}
