use backstay_core::store::{Error, ErrorKind, Leftover, TEMPORARY_PREFIX};

use backstay_http::Failure;

use crate::client::{Call, Client};
use crate::failure::{Told as _, document};
use crate::list::pages;
use crate::multipart::abort;
use crate::store::time;

/// Between the key and the id of an upload in the name of a leftover.
const UPLOAD: &str = "?uploadId=";

/// Lists uploads that were neither completed nor given up, and probes that were not deleted.
///
/// A server that cannot list uploads has none that could be told of.
pub(crate) fn list(client: &Client) -> Result<Vec<Leftover>, Error> {
    let mut leftovers = Vec::new();
    for object in pages(client, TEMPORARY_PREFIX)? {
        leftovers.push(Leftover {
            name: object.key,
            size: object.size,
            modified_unix_secs: object.modified_unix_secs,
            key: None,
            in_use: false,
        });
    }
    for upload in uploads(client)? {
        if let Some(leftover) = look_at(client, &upload)? {
            leftovers.push(leftover);
        }
    }
    Ok(leftovers)
}

/// Removes a leftover by its name.
pub(crate) fn delete(client: &Client, name: &str) -> Result<(), Error> {
    let subject = client.subject(name);
    let doing = "delete the leftover";
    if let Some((key, id)) = name.rsplit_once(UPLOAD)
        && !key.is_empty()
        && !id.is_empty()
    {
        return client.retried(doing, &subject, || abort(client, &client.name(key), id));
    }
    if name.starts_with(TEMPORARY_PREFIX) && !name.contains('/') {
        let name = client.name(name);
        return client.retried(doing, &subject, || {
            match client.once(&Call::new("DELETE", Some(&name))) {
                Err(failure) if !failure.is_missing() => Err(failure),
                _ => Ok(()),
            }
        });
    }
    Err(Error::new(ErrorKind::UnsupportedKey, doing, subject))
}

/// An upload that is open.
struct Open {
    /// Without the store's prefix.
    key: String,
    id: String,
    initiated_unix_secs: i64,
}

fn uploads(client: &Client) -> Result<Vec<Open>, Error> {
    let prefix = client.config().prefix.as_str();
    let subject = client.subject("");
    let mut found = Vec::new();
    let mut after = (String::new(), String::new());
    loop {
        let page = client.retried("list the uploads in", &subject, || {
            let mut call = Call::new("GET", None).query("uploads", "").query("prefix", prefix);
            if !after.0.is_empty() {
                call = call.query("key-marker", &after.0).query("upload-id-marker", &after.1);
            }
            match client.once(&call) {
                Err(failure) if failure.is_not_implemented() => Ok(None),
                answer => document(answer?, "ListMultipartUploadsResult").map(Some),
            }
        })?;
        let Some(page) = page else { return Ok(found) };
        for upload in page.all("Upload") {
            let text = |name: &str| {
                let text = upload
                    .text_of(name)
                    .ok_or_else(|| Failure::unusable(format!("an upload has no {name}")));
                text.map_err(|failure| failure.into_error("list the uploads in", &subject))
            };
            let initiated =
                time(text("Initiated")?).map_err(|failure| failure.into_error("list the uploads in", &subject))?;
            // Servers differ in whether they heed the prefix here.
            if let Some(key) = text("Key")?.strip_prefix(prefix) {
                found.push(Open {
                    key: key.to_owned(),
                    id: text("UploadId")?.to_owned(),
                    initiated_unix_secs: initiated,
                });
            }
        }
        if page.text_of("IsTruncated") != Some("true") {
            return Ok(found);
        }
        let marker = |name: &str| page.text_of(name).unwrap_or_default().to_owned();
        let next = (marker("NextKeyMarker"), marker("NextUploadIdMarker"));
        if next.0.is_empty() || next == after {
            let failure = Failure::unusable("it is not complete, and does not say how it goes on");
            return Err(failure.into_error("list the uploads in", &subject));
        }
        after = next;
    }
}

/// Asks for the parts of an upload: the newest one tells whether its writer may still run. `None` where it ended
/// meanwhile.
fn look_at(client: &Client, upload: &Open) -> Result<Option<Leftover>, Error> {
    let doing = "list the parts of";
    let name = client.name(&upload.key);
    let subject = client.subject(&upload.key);
    let mut leftover = Leftover {
        name: format!("{}{UPLOAD}{}", upload.key, upload.id),
        size: 0,
        modified_unix_secs: upload.initiated_unix_secs,
        key: upload.key.parse().ok(),
        in_use: false,
    };
    let mut after = String::new();
    loop {
        let page = client.retried(doing, &subject, || {
            let mut call = Call::new("GET", Some(&name)).query("uploadId", &upload.id);
            if !after.is_empty() {
                call = call.query("part-number-marker", &after);
            }
            match client.once(&call) {
                Err(failure) if failure.is_missing() => Ok(None),
                answer => document(answer?, "ListPartsResult").map(Some),
            }
        })?;
        let Some(page) = page else { return Ok(None) };
        for part in page.all("Part") {
            let size: Option<u64> = part.text_of("Size").and_then(|size| size.parse().ok());
            leftover.size = leftover.size.saturating_add(size.unwrap_or_default());
            if let Some(Ok(modified)) = part.text_of("LastModified").map(time) {
                leftover.modified_unix_secs = leftover.modified_unix_secs.max(modified);
            }
        }
        let next = page.text_of("NextPartNumberMarker").unwrap_or_default();
        if page.text_of("IsTruncated") != Some("true") || next.is_empty() || next == after {
            return Ok(Some(leftover));
        }
        after = next.to_owned();
    }
}
