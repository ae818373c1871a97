use backstay_core::store::{Error, Leftover, ObjectMeta, TEMPORARY_PREFIX};
use backstay_http::Failure;
use serde_json::json;

use crate::answers::{Listed, Page, document};
use crate::client::{Call, Client, is_name};
use crate::dialect::failed;

const DOING: &str = "list";
/// The service gives no more at once.
const PAGE: u32 = 1000;

/// An object under the store's prefix.
struct Found {
    /// Without that prefix.
    key: String,
    listed: Listed,
}

/// All objects whose name begins with the store's prefix and then `prefix`.
fn pages(client: &Client, prefix: &str) -> Result<Vec<Found>, Error> {
    let name = client.name(prefix);
    // No object has such a name, and the service would take some characters for wildcards.
    let listed = if is_name(&name) {
        all(client, &name, &client.subject(prefix))?
    } else {
        Vec::new()
    };
    let found = listed.into_iter().filter_map(|listed| {
        // An underscore stands for any character to the service.
        let key = listed.name.strip_prefix(client.config().prefix.as_str())?;
        let key = key.starts_with(prefix).then(|| key.to_owned())?;
        Some(Found { key, listed })
    });
    let found: Vec<Found> = found.collect();
    // A bucket that is not there lists nothing, without an error.
    if found.is_empty() {
        client.expect_bucket(DOING)?;
    }
    Ok(found)
}

/// All that the service lists under a prefix, page by page.
pub(crate) fn all(client: &Client, name: &str, subject: &str) -> Result<Vec<Listed>, Error> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut asked = json!({ "prefix": name, "limit": PAGE, "with_delimiter": false });
        if let Some(cursor) = &cursor {
            asked["cursor"] = json!(cursor);
        }
        let asked = asked.to_string();
        let path = client.bucket_path("/object/list-v2");
        let page: Page = client.retried(DOING, subject, || {
            document(client.once(&Call::new("POST", &path).json(&asked))?)
        })?;
        let next = next(&page, cursor.as_deref()).map_err(|failure| failed(failure, DOING, subject))?;
        found.extend(page.objects);
        if next.is_none() {
            return Ok(found);
        }
        cursor = next;
    }
}

/// What the next page is asked for with; `None` behind the last.
fn next(page: &Page, cursor: Option<&str>) -> Result<Option<String>, Failure> {
    if !page.has_next {
        return Ok(None);
    }
    match &page.next_cursor {
        Some(next) if !next.is_empty() && Some(next.as_str()) != cursor => Ok(Some(next.clone())),
        _ => Err(Failure::unusable("it is not complete, and does not say how it goes on")),
    }
}

/// Every object with a key of ours; names that are none, such as those of temporary objects, are not seen.
pub(crate) fn objects(client: &Client, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
    let subject = client.subject(prefix);
    let told = |failure| failed(failure, DOING, &subject);
    let mut objects = Vec::new();
    for Found { key, listed } in pages(client, prefix)? {
        if let Ok(key) = key.parse() {
            objects.push(ObjectMeta {
                key,
                size: listed.size().map_err(told)?,
                modified_unix_secs: listed.modified_unix_secs().map_err(told)?,
            });
        }
    }
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    // An object that is moved between two pages may come on both.
    objects.dedup_by(|a, b| a.key == b.key);
    Ok(objects)
}

/// Temporary objects that no writer moved to their name or deleted.
pub(crate) fn leftovers(client: &Client) -> Result<Vec<Leftover>, Error> {
    let subject = client.subject(TEMPORARY_PREFIX);
    let told = |failure| failed(failure, DOING, &subject);
    let mut leftovers = Vec::new();
    for Found { key, listed } in pages(client, TEMPORARY_PREFIX)? {
        if !key.contains('/') {
            leftovers.push(Leftover {
                // What has no size is litter all the same.
                size: listed.size().unwrap_or(0),
                modified_unix_secs: listed.modified_unix_secs().map_err(told)?,
                name: key,
                key: None,
                in_use: false,
            });
        }
    }
    Ok(leftovers)
}
