use std::collections::BTreeMap;
use std::sync::Arc;

use backstay_core::Sha256Digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{Timestamp, Unit};
use serde_json::{Value, json};

use super::uploads::Upload;
use super::{SupabaseServer, SupabaseTraits, answered, duplicate, no_bucket, no_object, refusal, too_large};
use crate::http_server::{Request, Response, listed};

const PAGE: usize = 1000;

/// The objects of one bucket, and uploads into it.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) traits: SupabaseTraits,
    pub(super) objects: BTreeMap<String, Object>,
    pub(super) uploads: BTreeMap<String, Upload>,
    /// Signed tokens, and what they are for.
    tokens: BTreeMap<String, (String, Timestamp)>,
    pub(super) count: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) bytes: Arc<[u8]>,
    tag: String,
    metadata: Option<Value>,
    updated: Timestamp,
}

impl Bucket {
    pub(super) fn new(traits: SupabaseTraits) -> Self {
        Self {
            traits,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            tokens: BTreeMap::new(),
            count: 0,
        }
    }

    pub(super) fn put(&mut self, name: &str, bytes: Vec<u8>, metadata: Option<Value>) {
        self.count += 1;
        let seed = [&bytes[..], &self.count.to_be_bytes()].concat();
        let object = Object {
            tag: format!("\"{}\"", &Sha256Digest::of(&seed).to_string()[..32]),
            bytes: bytes.into(),
            metadata: metadata.filter(|_| !self.traits.forgets_metadata),
            updated: now(),
        };
        self.objects.insert(name.to_owned(), object);
    }

    pub(super) fn described(&self) -> Response {
        let limit = Some(self.traits.bucket_limit).filter(|limit| *limit > 0);
        answered(&json!({
            "id": SupabaseServer::BUCKET,
            "name": SupabaseServer::BUCKET,
            "owner": "",
            "public": false,
            "file_size_limit": limit,
            "allowed_mime_types": null,
        }))
    }

    pub(super) fn bytes_max(&self) -> u64 {
        match self.traits.bucket_limit {
            0 => SupabaseServer::OBJECT_BYTES_MAX,
            limit => limit.min(SupabaseServer::OBJECT_BYTES_MAX),
        }
    }

    /// Takes an upload in one request. Conditions are not looked at.
    pub(super) fn create(&mut self, request: &Request, name: &str) -> Response {
        if !is_name(name) {
            return invalid_key(name);
        }
        if request.body.len() as u64 > self.bytes_max() {
            return too_large();
        }
        let overwrites = request.header("x-upsert") == Some("true");
        if self.objects.contains_key(name) && !overwrites {
            return duplicate();
        }
        let metadata = request.header("x-metadata").map(|text| {
            let json = BASE64_STANDARD.decode(text).unwrap();
            serde_json::from_slice(&json).unwrap()
        });
        let kept = request.body.len().saturating_sub(self.traits.loses_bytes);
        self.put(name, request.body[..kept].to_vec(), metadata);
        answered(&json!({ "Id": "x", "Key": format!("{}/{name}", SupabaseServer::BUCKET) }))
    }

    pub(super) fn info(&self, name: &str) -> Response {
        if !is_name(name) {
            return invalid_key(name);
        }
        let Some(object) = self.objects.get(name) else {
            return no_object();
        };
        answered(&json!({
            "id": "x",
            "name": name,
            "version": "x",
            "bucket_id": SupabaseServer::BUCKET,
            "size": object.bytes.len(),
            "content_type": "application/octet-stream",
            "cache_control": "no-cache",
            "etag": object.tag,
            "metadata": object.metadata,
            "last_modified": object.updated.to_string(),
            "created_at": object.updated.to_string(),
        }))
    }

    /// Serves a range, or all of it. Conditions are not looked at.
    pub(super) fn read(&self, request: &Request, name: &str) -> Response {
        let Some(object) = self.objects.get(name) else {
            return no_object();
        };
        let size = object.bytes.len();
        let headed = |response: Response| {
            response
                .header("etag", object.tag.as_str())
                .header("accept-ranges", "bytes")
                .header("content-type", "application/octet-stream")
        };
        let Some((start, end)) = request.header("range").and_then(range) else {
            return headed(Response::new(200, object.bytes.to_vec()));
        };
        if start >= size || start > end {
            return refusal(416, "InvalidRange", "The requested range is not satisfiable");
        }
        let end = end.min(size - 1);
        let part = Response::new(206, object.bytes[start..=end].to_vec());
        headed(part).header("content-range", format!("bytes {start}-{end}/{size}"))
    }

    pub(super) fn delete(&mut self, name: &str) -> Response {
        match self.objects.remove(name) {
            None => no_object(),
            Some(_) => answered(&json!({ "message": "Successfully deleted" })),
        }
    }

    /// Moves an object in one step, to a name that nothing has.
    pub(super) fn move_object(&mut self, request: &Request) -> Response {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        let (from, to) = (text("sourceKey"), text("destinationKey"));
        if !is_name(&to) {
            return invalid_key(&to);
        }
        if text("bucketId") != SupabaseServer::BUCKET || !self.objects.contains_key(&from) {
            return no_object();
        }
        if self.objects.contains_key(&to) {
            return duplicate();
        }
        let mut object = self.objects.remove(&from).unwrap();
        // What is moved is copied beneath, so its tag may be another one.
        object.tag = object.tag.chars().rev().collect();
        object.updated = now();
        self.objects.insert(to, object);
        answered(&json!({ "message": "Successfully moved" }))
    }

    pub(super) fn list(&self, request: &Request, bucket: &str) -> Response {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if asked["with_delimiter"] == true {
            return refusal(400, "InvalidRequest", "the server of tests knows no folders");
        }
        // Nobody looks whether there is such a bucket.
        if bucket != SupabaseServer::BUCKET {
            return answered(&json!({ "hasNext": false, "folders": [], "objects": [] }));
        }
        let page = match self.traits.page {
            0 => PAGE,
            page => page,
        };
        let page = page.min(
            asked["limit"]
                .as_u64()
                .map_or(PAGE, |limit| usize::try_from(limit).unwrap()),
        );
        let prefix = asked["prefix"].as_str().unwrap_or_default();
        let after = asked["cursor"].as_str().map(|cursor| {
            let text = BASE64_STANDARD.decode(cursor).unwrap();
            String::from_utf8(text).unwrap().strip_prefix("l:").unwrap().to_owned()
        });
        // What stands before the first wildcard stands for itself.
        let literal = prefix.split(['_', '%']).next().unwrap_or_default();
        let listed = listed(&self.objects, literal, after.as_deref().unwrap_or_default());
        let all: Vec<_> = listed.filter(|(name, _)| is_like(name, prefix)).collect();
        let has_next = all.len() > page;
        let objects = all.iter().take(page).map(|(name, object)| {
            json!({
                "id": "x",
                "name": name,
                "updated_at": object.updated.to_string(),
                "created_at": object.updated.to_string(),
                "metadata": { "size": object.bytes.len(), "eTag": object.tag },
            })
        });
        let mut told = json!({
            "hasNext": has_next,
            "folders": [],
            "objects": objects.collect::<Vec<_>>(),
        });
        if has_next {
            told["nextCursor"] = json!(BASE64_STANDARD.encode(format!("l:{}", all[page - 1].0)));
        }
        answered(&told)
    }

    pub(super) fn sign(&mut self, request: &Request, name: &str) -> Response {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let Some(secs) = asked["expiresIn"].as_i64().filter(|secs| *secs >= 1) else {
            return refusal(400, "Error", "body/expiresIn must be >= 1");
        };
        if !self.objects.contains_key(name) {
            return no_object();
        }
        self.count += 1;
        let token = format!("eyJ.signed.{}", self.count);
        let until = Timestamp::now() + jiff::SignedDuration::from_secs(secs);
        self.tokens.insert(token.clone(), (name.to_owned(), until));
        // As it is: neither encoded, nor with a host.
        let url = format!("/object/sign/{}/{name}?token={token}", SupabaseServer::BUCKET);
        answered(&json!({ "signedURL": url }))
    }

    /// Serves to whoever has a token.
    pub(super) fn read_signed(&self, rest: &str, request: &Request) -> Response {
        let Some(name) = rest.strip_prefix("backups/") else {
            return no_bucket();
        };
        let query = request.query();
        match query.get("token").and_then(|token| self.tokens.get(token)) {
            Some((of, until)) if of == name && Timestamp::now() < *until => self.read(request, name),
            _ => refusal(400, "InvalidJWT", "\"exp\" claim timestamp check failed"),
        }
    }
}

/// Whether the service takes that for a name.
pub(super) fn is_name(name: &str) -> bool {
    let is_taken = |c: char| c.is_ascii_alphanumeric() || "_/!-.*'() &$@=;:+,?".contains(c);
    !name.is_empty() && name.chars().all(is_taken)
}

pub(super) fn invalid_key(name: &str) -> Response {
    refusal(400, "InvalidKey", &format!("Invalid key: {name}"))
}

/// Whether a name begins so in the sense of `LIKE`, where an underscore is any character and `%` any text.
fn is_like(name: &str, prefix: &str) -> bool {
    let mut rest = name.chars();
    prefix
        .chars()
        .take_while(|c| *c != '%')
        .all(|wanted| rest.next().is_some_and(|found| wanted == '_' || wanted == found))
}

pub(super) fn range(header: &str) -> Option<(usize, usize)> {
    let (start, end) = header.strip_prefix("bytes=")?.split_once('-')?;
    Some((start.parse().ok()?, end.parse().ok()?))
}

fn now() -> Timestamp {
    Timestamp::now().round(Unit::Millisecond).unwrap()
}
