use backstay_core::store::{Error, ObjectMeta};
use backstay_http::Failure;

use crate::answers::{Blob, Page};
use crate::client::{Call, Client};
use crate::dialect::given_up;

const DOING: &str = "list";
const PAGE: &str = "1000";

/// Whether the store is there to list anything.
pub(crate) fn probe(client: &Client) -> Result<(), Error> {
    page(client, "", "", "1").map(drop)
}

fn page(client: &Client, prefix: &str, cursor: &str, limit: &str) -> Result<Page, Error> {
    client.retried(DOING, &client.subject(prefix), || {
        let mut call = Call::new("GET", "").query("limit", limit);
        let name = client.name(prefix);
        if !name.is_empty() {
            call = call.query("prefix", &name);
        }
        if !cursor.is_empty() {
            call = call.query("cursor", cursor);
        }
        client.once(&call)
    })
}

/// Every object with a key of ours, page by page; names that are none, such as those of folders, are not seen.
pub(crate) fn objects(client: &Client, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
    let subject = client.subject(prefix);
    let name = client.name(prefix);
    let mut objects = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = page(client, prefix, &cursor, PAGE)?;
        let read = |failure: Failure| given_up(failure, 1, DOING, &subject);
        for blob in &page.blobs {
            objects.extend(listed(client, blob, &name).map_err(read)?);
        }
        match next(page, &cursor).map_err(read)? {
            Some(next) => cursor = next,
            None => break,
        }
    }
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    // An object that is written between two pages may come on both.
    objects.dedup_by(|a, b| a.key == b.key);
    Ok(objects)
}

fn listed(client: &Client, blob: &Blob, asked: &str) -> Result<Option<ObjectMeta>, Failure> {
    let key = blob.pathname.strip_prefix(client.config().prefix.as_str());
    let key = key
        .filter(|_| blob.pathname.starts_with(asked))
        .ok_or_else(|| Failure::unusable(format!("it lists {:?}, which was not asked for", blob.pathname)))?;
    Ok(key.parse().ok().map(|key| ObjectMeta {
        key,
        size: blob.size,
        modified_unix_secs: blob.modified_unix_secs(),
    }))
}

/// What the next page is asked for with; `None` behind the last.
fn next(page: Page, cursor: &str) -> Result<Option<String>, Failure> {
    match page.cursor {
        _ if !page.has_more => Ok(None),
        Some(next) if !next.is_empty() && next != cursor => Ok(Some(next)),
        _ => Err(Failure::unusable("it is not complete, and does not say how it goes on")),
    }
}
