use backstay_core::store::{Error, ObjectMeta};

use backstay_http::Failure;

use crate::client::{Call, Client};
use crate::failure::{Told as _, document};
use crate::store::time;
use crate::xml::Element;

/// An object as a listing has it.
pub(crate) struct Listed {
    /// Without the store's prefix.
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) modified_unix_secs: i64,
}

/// All objects whose name begins with the store's prefix and then `prefix`, page by page.
pub(crate) fn pages(client: &Client, prefix: &str) -> Result<Vec<Listed>, Error> {
    let doing = "list";
    let subject = client.subject(prefix);
    let name = client.name(prefix);
    let mut listed = Vec::new();
    let mut token = String::new();
    loop {
        let page = client.retried(doing, &subject, || {
            let mut call = Call::new("GET", None).query("list-type", "2").query("prefix", &name);
            if !token.is_empty() {
                call = call.query("continuation-token", &token);
            }
            document(client.once(&call)?, "ListBucketResult")
        })?;
        let read = |failure: Failure| failure.into_error(doing, &subject);
        for object in page.all("Contents") {
            listed.push(of_contents(client, object).map_err(read)?);
        }
        match next(&page, &token).map_err(read)? {
            Some(next) => token = next,
            None => return Ok(listed),
        }
    }
}

/// Every object with a key of ours; names that are none, such as those of temporary objects, are not seen.
pub(crate) fn objects(client: &Client, prefix: &str) -> Result<Vec<ObjectMeta>, Error> {
    let mut objects: Vec<ObjectMeta> = pages(client, prefix)?
        .into_iter()
        .filter_map(|listed| {
            Some(ObjectMeta {
                key: listed.key.parse().ok()?,
                size: listed.size,
                modified_unix_secs: listed.modified_unix_secs,
            })
        })
        .collect();
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    // An object that is written between two pages may come on both.
    objects.dedup_by(|a, b| a.key == b.key);
    Ok(objects)
}

fn of_contents(client: &Client, object: &Element) -> Result<Listed, Failure> {
    let text = |name: &str| {
        object
            .text_of(name)
            .ok_or_else(|| Failure::unusable(format!("an entry has no {name}")))
    };
    let name = text("Key")?;
    let key = name.strip_prefix(client.config().prefix.as_str());
    let key = key.ok_or_else(|| Failure::unusable(format!("it lists {name:?}, which was not asked for")))?;
    let size = text("Size")?
        .parse()
        .map_err(|_| Failure::unusable("a size is no number"))?;
    Ok(Listed {
        key: key.to_owned(),
        size,
        modified_unix_secs: time(text("LastModified")?)?,
    })
}

/// What the next page is asked for with; `None` behind the last.
fn next(page: &Element, token: &str) -> Result<Option<String>, Failure> {
    if page.text_of("IsTruncated") != Some("true") {
        return Ok(None);
    }
    match page.text_of("NextContinuationToken") {
        Some(next) if !next.is_empty() && next != token => Ok(Some(next.to_owned())),
        _ => Err(Failure::unusable("it is not complete, and does not say how it goes on")),
    }
}
