use std::collections::BTreeMap;
use std::sync::Arc;

use backstay_core::Sha256Digest;
use jiff::{Timestamp, Unit};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use super::{VercelBlobServer, VercelTraits, answered, bad_request, refusal};
use crate::http_server::{Request, Response, listed};

const PART_BYTES_MIN: usize = 5 << 20;
const PARTS_MAX: u32 = 10_000;
const PAGE: usize = 1000;

/// The blobs of one store, its uploads, and the cache in front of it.
#[derive(Debug)]
pub(super) struct Blobs {
    pub(super) traits: VercelTraits,
    pub(super) blobs: BTreeMap<String, Blob>,
    pub(super) uploads: BTreeMap<String, Upload>,
    /// What was read, as it was then.
    pub(super) cache: BTreeMap<String, Blob>,
    count: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) bytes: Arc<[u8]>,
    pub(super) tag: String,
    pub(super) content_type: String,
    pub(super) uploaded: Timestamp,
}

#[derive(Debug)]
pub(super) struct Upload {
    pathname: String,
    key: String,
    content_type: String,
    parts: BTreeMap<u32, Part>,
}

#[derive(Debug)]
struct Part {
    tag: String,
    bytes: Vec<u8>,
}

impl Blobs {
    pub(super) fn new(traits: VercelTraits) -> Self {
        Self {
            traits,
            blobs: BTreeMap::new(),
            uploads: BTreeMap::new(),
            cache: BTreeMap::new(),
            count: 0,
        }
    }

    pub(super) fn put(&mut self, pathname: &str, bytes: Vec<u8>, content_type: String) -> &Blob {
        let tag = tag(&bytes);
        self.keep(pathname, bytes, tag, content_type)
    }

    fn keep(&mut self, pathname: &str, bytes: Vec<u8>, tag: String, content_type: String) -> &Blob {
        let blob = Blob {
            bytes: bytes.into(),
            tag,
            content_type,
            uploaded: Timestamp::now().round(Unit::Millisecond).unwrap(),
        };
        self.blobs.insert(pathname.to_owned(), blob);
        &self.blobs[pathname]
    }

    pub(super) fn create(&mut self, request: &Request, pathname: &str) -> Response {
        if let Some(refused) = self.refused_by_condition(request, pathname) {
            return refused;
        }
        let pathname = self.final_name(request, pathname);
        let content_type = self.content_type(request);
        let bytes = request.body.clone();
        self.put(&pathname, bytes, content_type);
        self.written(&pathname)
    }

    pub(super) fn begin(&mut self, request: &Request, pathname: &str) -> Response {
        if let Some(refused) = self
            .refused_by_condition(request, pathname)
            .filter(|_| self.traits.refuses_early)
        {
            return refused;
        }
        self.count += 1;
        let id = format!("upload+/{}=", self.count);
        let key = format!("{}/{pathname}", VercelBlobServer::STORE);
        let upload = Upload {
            pathname: pathname.to_owned(),
            key: key.clone(),
            content_type: self.content_type(request),
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), upload);
        answered(&json!({ "uploadId": id, "key": key }))
    }

    pub(super) fn take_part(&mut self, request: &Request, pathname: &str) -> Response {
        let number = request
            .header("x-mpu-part-number")
            .and_then(|number| number.parse().ok());
        let Some(number) = number.filter(|number| (1..=PARTS_MAX).contains(number)) else {
            return bad_request("Invalid part number");
        };
        let Some((_, upload)) = self.upload(request, pathname) else {
            return bad_request("The upload does not exist");
        };
        let part = Part {
            tag: tag(&request.body),
            bytes: request.body.clone(),
        };
        let answer = answered(&json!({ "etag": part.tag }));
        upload.parts.insert(number, part);
        answer
    }

    pub(super) fn complete(&mut self, request: &Request, pathname: &str) -> Response {
        let mut named: Vec<Value> = serde_json::from_slice(&request.body).unwrap_or_default();
        // Vercel's own client names them in the order in which they arrived.
        named.sort_by_key(|part| part["partNumber"].as_u64());
        let Some((id, upload)) = self.upload(request, pathname) else {
            return bad_request("The upload does not exist");
        };
        let (mut bytes, mut tags) = (Vec::new(), String::new());
        let first = upload.parts.values().next().map_or(0, |part| part.bytes.len());
        for (index, part) in named.iter().enumerate() {
            let number = part["partNumber"]
                .as_u64()
                .and_then(|number| u32::try_from(number).ok());
            let known = number.and_then(|number| upload.parts.get(&number));
            let Some(known) = known.filter(|known| part["etag"] == known.tag.as_str()) else {
                return bad_request("One or more of the specified parts could not be found");
            };
            let is_last = index + 1 == named.len();
            let is_fitting = if is_last {
                known.bytes.len() <= first
            } else {
                known.bytes.len() == first && first >= PART_BYTES_MIN
            };
            if number != u32::try_from(index + 1).ok() || !is_fitting {
                return bad_request("All non-trailing parts must have the same length, of 5 MB at least");
            }
            bytes.extend_from_slice(&known.bytes);
            tags.push_str(&known.tag);
        }
        if named.is_empty() {
            return bad_request("No parts");
        }
        let content_type = upload.content_type.clone();
        if let Some(refused) = self.refused_by_condition(request, pathname) {
            return refused;
        }
        self.uploads.remove(&id);
        let pathname = self.final_name(request, pathname);
        let tag = format!("\"{}-{}\"", tag_text(tags.as_bytes()), named.len());
        self.keep(&pathname, bytes, tag, content_type);
        self.written(&pathname)
    }

    /// The upload that a request is about, with its id.
    fn upload(&mut self, request: &Request, pathname: &str) -> Option<(String, &mut Upload)> {
        let id = request.header("x-mpu-upload-id")?.to_owned();
        let key = percent_decode_str(request.header("x-mpu-key")?).decode_utf8_lossy();
        let upload = self.uploads.get_mut(&id)?;
        (upload.key == key && upload.pathname == pathname).then_some((id, upload))
    }

    fn refused_by_condition(&self, request: &Request, pathname: &str) -> Option<Response> {
        let overwrites = request.header("x-allow-overwrite") == Some("1");
        let there = self.blobs.get(pathname);
        match request.header("x-if-match") {
            // It becomes two conditions that exclude each other, and the failure behind it is passed on.
            Some(_) if !overwrites => Some(refusal(500, "unknown_error")),
            Some(tag) if there.is_none_or(|blob| blob.tag != tag) => Some(refusal(412, "precondition_failed")),
            None if there.is_some() && !overwrites => Some(bad_request(
                "This blob already exists, use `allowOverwrite: true` if you want to overwrite it. Or \
                 `addRandomSuffix: true` to generate a unique filename.",
            )),
            _ => None,
        }
    }

    fn final_name(&mut self, request: &Request, pathname: &str) -> String {
        let has_suffix = request.header("x-add-random-suffix") == Some("1");
        if !has_suffix && !self.traits.renames {
            return pathname.to_owned();
        }
        self.count += 1;
        format!("{pathname}-{}", tag_text(&self.count.to_be_bytes()))
    }

    fn content_type(&self, request: &Request) -> String {
        let full = request.header("x-content-type").unwrap_or("application/octet-stream");
        let bare = full.split(';').next().unwrap_or_default();
        let kept = if self.traits.forgets_parameters { bare } else { full };
        kept.to_owned()
    }

    fn written(&self, pathname: &str) -> Response {
        let mut told = self.described(pathname, &self.blobs[pathname]);
        for name in ["size", "uploadedAt", "cacheControl"] {
            told.as_object_mut().unwrap().remove(name);
        }
        answered(&told)
    }

    fn described(&self, pathname: &str, blob: &Blob) -> Value {
        let url = self.url(pathname);
        json!({
            "url": url,
            "downloadUrl": format!("{url}?download=1"),
            "pathname": pathname,
            "contentType": blob.content_type,
            "contentDisposition": "attachment",
            "cacheControl": "public, max-age=60",
            "size": blob.bytes.len(),
            "uploadedAt": blob.uploaded.to_string(),
            "etag": blob.tag,
        })
    }

    fn url(&self, pathname: &str) -> String {
        let access = if self.traits.is_public { "public" } else { "private" };
        let parts = pathname
            .split('/')
            .map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string());
        let path = parts.collect::<Vec<_>>().join("/");
        let store = VercelBlobServer::STORE.to_lowercase();
        format!("https://{store}.{access}.blob.vercel-storage.com/{path}")
    }

    /// The pathname that a URL of this store or a pathname means.
    fn pathname(&self, url: &str) -> String {
        match url.strip_prefix(&self.url("")) {
            Some(path) => percent_decode_str(path).decode_utf8_lossy().into_owned(),
            None => url.to_owned(),
        }
    }

    pub(super) fn head(&self, url: &str) -> Response {
        let pathname = self.pathname(url);
        match self.blobs.get(&pathname) {
            None => refusal(404, "not_found"),
            Some(blob) => answered(&self.described(&pathname, blob)),
        }
    }

    pub(super) fn list(&self, query: &BTreeMap<String, String>) -> Response {
        let asked: usize = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE);
        let page = if self.traits.page == 0 { PAGE } else { self.traits.page };
        let page = page.min(asked);
        let prefix = query.get("prefix").map_or("", String::as_str);
        let after = query.get("cursor").map_or("", String::as_str);
        let all: Vec<_> = listed(&self.blobs, prefix, after).collect();
        let blobs = all.iter().take(page).map(|(name, blob)| {
            let mut told = self.described(name, blob);
            for name in ["contentType", "contentDisposition", "cacheControl"] {
                told.as_object_mut().unwrap().remove(name);
            }
            told
        });
        let mut told = json!({ "blobs": blobs.collect::<Vec<_>>(), "hasMore": all.len() > page });
        if all.len() > page {
            told["cursor"] = json!(all[page - 1].0);
        }
        answered(&told)
    }

    pub(super) fn delete(&mut self, request: &Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let Some(urls) = body["urls"].as_array() else {
            return bad_request("Invalid urls");
        };
        let urls = urls.iter().filter_map(Value::as_str);
        let pathnames: Vec<String> = urls.map(|url| self.pathname(url)).collect();
        if let Some(tag) = request.header("x-if-match") {
            let [pathname] = &pathnames[..] else {
                return bad_request("ifMatch can only be used when deleting a single URL");
            };
            if self.blobs.get(pathname).is_none_or(|blob| blob.tag != tag) {
                return refusal(412, "precondition_failed");
            }
        }
        for pathname in pathnames {
            self.blobs.remove(&pathname);
        }
        answered(&Value::Null)
    }
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", tag_text(bytes))
}

fn tag_text(bytes: &[u8]) -> String {
    Sha256Digest::of(bytes).to_string()[..32].to_owned()
}
