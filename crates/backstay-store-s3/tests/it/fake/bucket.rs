use std::collections::BTreeMap;
use std::time::SystemTime;

use backstay_core::Sha256Digest;
use backstay_testkit::http_server::{Request, Response, listed};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{BUCKET, Traits, refusal, sha256};

type Headers = BTreeMap<String, String>;

/// Objects and uploads.
#[derive(Default)]
pub(super) struct Bucket {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
    count: u64,
}

struct Object {
    bytes: Vec<u8>,
    tag: String,
    /// What is told of it with HEAD and GET.
    headers: Headers,
    modified: Timestamp,
}

struct Upload {
    key: String,
    headers: Headers,
    parts: BTreeMap<u32, (String, Vec<u8>)>,
    initiated: Timestamp,
}

impl Bucket {
    pub(super) fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.objects.get(key).map(|object| object.bytes.clone())
    }

    pub(super) fn uploads(&self) -> usize {
        self.uploads.len()
    }

    pub(super) fn put(&mut self, key: &str, bytes: Vec<u8>, headers: Headers) -> String {
        let tag = format!("\"{}\"", &sha256(&bytes)[..32]);
        let object = Object {
            bytes,
            tag: tag.clone(),
            headers,
            modified: now(),
        };
        self.objects.insert(key.to_owned(), object);
        tag
    }

    pub(super) fn answer(&mut self, request: &Request, traits: Traits) -> Response {
        let path = request.path();
        let (bucket, key) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
        if bucket != BUCKET {
            return refusal(404, "NoSuchBucket");
        }
        if key.len() > 1024 {
            return refusal(400, "KeyTooLongError");
        }
        let query = request.query();
        let upload = query.get("uploadId").map(String::as_str);
        match (request.method.as_str(), key, upload) {
            ("HEAD", "", _) => Response::new(200, ""),
            ("GET", "", _) if query.contains_key("uploads") => self.list_uploads(&query),
            ("GET", "", _) => self.list(&query, traits),
            ("HEAD" | "GET", key, None) => self.get(request, key),
            ("PUT", key, None) => self.create(request, key, traits),
            ("DELETE", key, None) => {
                self.objects.remove(key);
                Response::new(204, "")
            }
            ("POST", key, None) => self.begin(request, key, traits),
            ("PUT", _, Some(id)) => self.take_part(request, id, &query["partNumber"], traits),
            ("GET", _, Some(id)) => self.list_parts(id),
            ("POST", key, Some(id)) => self.complete(request, key, id, traits),
            ("DELETE", _, Some(id)) => match self.uploads.remove(id) {
                Some(_) => Response::new(204, ""),
                None => refusal(404, "NoSuchUpload"),
            },
            _ => refusal(405, "MethodNotAllowed"),
        }
    }

    fn is_taken(&self, request: &Request, key: &str, traits: Traits) -> bool {
        let is_conditional = request.header("if-none-match").is_some() && !traits.ignores_conditions;
        is_conditional && self.objects.contains_key(key)
    }

    fn create(&mut self, request: &Request, key: &str, traits: Traits) -> Response {
        if self.is_taken(request, key, traits) {
            return refusal(412, "PreconditionFailed");
        }
        let tag = self.put(key, request.body.clone(), kept(request, traits));
        Response::new(200, "").header("etag", tag)
    }

    fn get(&self, request: &Request, key: &str) -> Response {
        let Some(object) = self.objects.get(key) else {
            return refusal(404, "NoSuchKey");
        };
        if request.header("if-match").is_some_and(|tag| tag != object.tag) {
            return refusal(412, "PreconditionFailed");
        }
        let size = object.bytes.len();
        let mut response = match request.header("range") {
            None => Response::new(200, object.bytes.clone()),
            Some(range) => {
                let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
                let start: usize = start.parse().unwrap();
                if start >= size {
                    return refusal(416, "InvalidRange");
                }
                let end = end.parse::<usize>().unwrap().min(size - 1);
                Response::new(206, &object.bytes[start..=end])
                    .header("content-range", format!("bytes {start}-{end}/{size}"))
            }
        };
        let modified = object
            .modified
            .to_zoned(TimeZone::UTC)
            .strftime("%a, %d %b %Y %H:%M:%S GMT");
        response = response
            .header("etag", &object.tag)
            .header("last-modified", modified.to_string());
        for (name, value) in &object.headers {
            response = response.header(name, value);
        }
        response
    }

    fn list(&self, query: &Headers, traits: Traits) -> Response {
        let page = if traits.page == 0 { 1000 } else { traits.page };
        let after = query.get("continuation-token").map_or("", String::as_str);
        let all: Vec<_> = listed(&self.objects, &query["prefix"], after).collect();
        let mut xml = String::from("<ListBucketResult>\n");
        for (key, object) in all.iter().take(page) {
            xml.push_str(&format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><Size>{}</Size></Contents>",
                escaped(key),
                object.modified,
                object.bytes.len()
            ));
        }
        if all.len() > page {
            let token = escaped(all[page - 1].0);
            xml.push_str(&format!(
                "<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
            ));
        } else {
            xml.push_str("<IsTruncated>false</IsTruncated>");
        }
        Response::new(200, xml + "</ListBucketResult>")
    }

    fn begin(&mut self, request: &Request, key: &str, traits: Traits) -> Response {
        self.count += 1;
        let id = format!("upload+/{}=", self.count);
        let upload = Upload {
            key: key.to_owned(),
            headers: kept(request, traits),
            parts: BTreeMap::new(),
            initiated: now(),
        };
        self.uploads.insert(id.clone(), upload);
        let xml = format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>");
        Response::new(200, xml)
    }

    fn take_part(&mut self, request: &Request, id: &str, number: &str, traits: Traits) -> Response {
        let Some(upload) = self.uploads.get_mut(id) else {
            return refusal(404, "NoSuchUpload");
        };
        let tag = format!("\"{}\"", &sha256(&request.body)[..32]);
        let mut piece = request.body.clone();
        if traits.damages_parts {
            piece[0] ^= 1;
        }
        upload.parts.insert(number.parse().unwrap(), (tag.clone(), piece));
        Response::new(200, "").header("etag", tag)
    }

    fn complete(&mut self, request: &Request, key: &str, id: &str, traits: Traits) -> Response {
        let Some(upload) = self.uploads.get(id) else {
            return refusal(404, "NoSuchUpload");
        };
        if self.is_taken(request, key, traits) {
            return refusal(412, "PreconditionFailed");
        }
        // Parts are named in order, by number and tag, and all but the last have five MiB.
        let body = String::from_utf8(request.body.clone()).unwrap();
        let (mut bytes, mut digests) = (Vec::new(), Vec::new());
        let named: Vec<&str> = body.split("<Part>").skip(1).collect();
        for (index, part) in named.iter().enumerate() {
            let number = between(part, "<PartNumber>", "</PartNumber>").parse::<u32>().unwrap();
            let Some((tag, piece)) = upload.parts.get(&number) else {
                return refusal(400, "InvalidPart");
            };
            let is_small = piece.len() < 5 << 20 && index + 1 < named.len();
            if number as usize != index + 1 || between(part, "<ETag>", "</ETag>") != tag || is_small {
                return refusal(400, "InvalidPart");
            }
            bytes.extend_from_slice(piece);
            digests.extend_from_slice(Sha256Digest::of(piece).as_bytes());
        }
        // The checksum of the parts' checksums, and how many these are, as AWS gives it.
        let sum = BASE64_STANDARD.encode(Sha256Digest::of(&digests).as_bytes());
        let sum = format!("<ChecksumSHA256>{sum}-{}</ChecksumSHA256>", named.len());
        let headers = upload.headers.clone();
        self.uploads.remove(id);
        let tag = self.put(key, bytes, headers);
        let xml = format!("\n<CompleteMultipartUploadResult><ETag>{tag}</ETag>{sum}</CompleteMultipartUploadResult>");
        Response::new(200, xml)
    }

    fn list_uploads(&self, query: &Headers) -> Response {
        let mut xml = String::from("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>");
        for (id, upload) in self
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(&query["prefix"]))
        {
            xml.push_str(&format!(
                "<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>{}</Initiated></Upload>",
                escaped(&upload.key),
                upload.initiated
            ));
        }
        Response::new(200, xml + "</ListMultipartUploadsResult>")
    }

    fn list_parts(&self, id: &str) -> Response {
        let Some(upload) = self.uploads.get(id) else {
            return refusal(404, "NoSuchUpload");
        };
        let mut xml = String::from("<ListPartsResult><IsTruncated>false</IsTruncated>");
        for (_, bytes) in upload.parts.values() {
            let modified = upload.initiated;
            xml.push_str(&format!(
                "<Part><Size>{}</Size><LastModified>{modified}</LastModified></Part>",
                bytes.len()
            ));
        }
        Response::new(200, xml + "</ListPartsResult>")
    }
}

/// What an object keeps of the headers that it was begun with.
fn kept(request: &Request, traits: Traits) -> Headers {
    let prefixes = [
        "x-amz-meta-",
        "x-amz-server-side-",
        "x-amz-object-lock-",
        "x-amz-storage-class",
    ];
    let is_kept = |name: &str| !traits.forgets_metadata && prefixes.iter().any(|prefix| name.starts_with(prefix));
    let headers = request.headers.iter().filter(|(name, _)| is_kept(name));
    headers.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).unwrap().1.split_once(after).unwrap().0
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
