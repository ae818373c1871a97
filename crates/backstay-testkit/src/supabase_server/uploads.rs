use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use super::SupabaseServer;
use super::bucket::{Bucket, is_name};
use crate::http_server::{Request, Response};

/// What every piece but the last must be.
const PIECE_BYTES: usize = 6 << 20;

/// An upload in pieces.
#[derive(Debug)]
pub(super) struct Upload {
    name: String,
    metadata: Option<Value>,
    length: Option<u64>,
    bytes: Vec<u8>,
    is_complete: bool,
}

/// TUS answers with true statuses and plain words.
fn said(status: u16, words: &str) -> Response {
    Response::new(status, words).header("tus-resumable", "1.0.0")
}

impl Bucket {
    pub(super) fn open_uploads(&self) -> usize {
        self.uploads.values().filter(|upload| !upload.is_complete).count()
    }

    pub(super) fn resumable(&mut self, request: &Request, id: &str) -> Response {
        if request.header("tus-resumable") != Some("1.0.0") {
            return said(412, "Tus-Resumable Required");
        }
        match (request.method.as_str(), id) {
            ("POST", "") => self.begin(request),
            ("HEAD", id) => self.tell(id),
            ("PATCH", id) => self.take(request, id),
            ("DELETE", id) => match self.uploads.remove(id) {
                None => said(404, "The file for this url was not found"),
                Some(_) => said(204, ""),
            },
            _ => said(405, "no such method"),
        }
    }

    fn begin(&mut self, request: &Request) -> Response {
        let metadata: BTreeMap<String, String> = request
            .header("upload-metadata")
            .unwrap_or_default()
            .split(',')
            .filter_map(|pair| pair.trim().split_once(' '))
            .map(|(name, value)| {
                let value = BASE64_STANDARD.decode(value).unwrap();
                (name.to_owned(), String::from_utf8(value).unwrap())
            })
            .collect();
        let told = |name: &str| metadata.get(name).cloned().unwrap_or_default();
        if told("bucketName") != SupabaseServer::BUCKET {
            return said(404, "Bucket not found");
        }
        let name = told("objectName");
        if !is_name(&name) {
            return said(400, "Invalid key");
        }
        let length = request.header("upload-length").and_then(|length| length.parse().ok());
        if length.is_none() && request.header("upload-defer-length") != Some("1") {
            return said(400, "Upload-Length or Upload-Defer-Length header required");
        }
        if length.is_some_and(|length| length > self.bytes_max()) {
            return said(413, "Maximum size exceeded");
        }
        if self.objects.contains_key(&name) {
            return said(409, "The resource already exists");
        }
        self.count += 1;
        let id = BASE64_URL_SAFE_NO_PAD.encode(format!("{}/{name}/{}", SupabaseServer::BUCKET, self.count));
        // The gateway in front of it gives another host than the one that was asked.
        let url = format!("https://elsewhere.example/storage/v1/upload/resumable/{id}");
        let upload = Upload {
            name,
            metadata: metadata.get("metadata").map(|json| serde_json::from_str(json).unwrap()),
            length,
            bytes: Vec::new(),
            is_complete: false,
        };
        self.uploads.insert(id, upload);
        said(201, "").header("location", url)
    }

    fn tell(&self, id: &str) -> Response {
        let Some(upload) = self.uploads.get(id) else {
            return said(404, "");
        };
        let told = said(200, "").header("upload-offset", upload.bytes.len().to_string());
        match upload.length {
            Some(length) => told.header("upload-length", length.to_string()),
            None => told.header("upload-defer-length", "1"),
        }
    }

    fn take(&mut self, request: &Request, id: &str) -> Response {
        let bytes_max = self.bytes_max();
        let Some(upload) = self.uploads.get_mut(id) else {
            return said(404, "The file for this url was not found");
        };
        let number = |name: &str| request.header(name).and_then(|value| value.parse::<u64>().ok());
        if request.header("content-type") != Some("application/offset+octet-stream") {
            return said(403, "Content-Type header required");
        }
        if number("upload-offset") != Some(upload.bytes.len() as u64) {
            return said(409, "Upload-Offset conflict");
        }
        if let Some(length) = number("upload-length") {
            if upload.length.is_some() {
                return said(400, "Upload-Length or Upload-Defer-Length header required");
            }
            upload.length = Some(length);
        }
        let end = (upload.bytes.len() + request.body.len()) as u64;
        if end > bytes_max || upload.length.is_some_and(|length| length > bytes_max) {
            return said(413, "Maximum size exceeded");
        }
        let is_last = upload.length == Some(end);
        if upload.length.is_some_and(|length| end > length) || (!is_last && request.body.len() != PIECE_BYTES) {
            return said(400, "pieces have 6 MB");
        }
        if self.traits.cuts_first_piece > 0 {
            let kept = std::mem::take(&mut self.traits.cuts_first_piece).min(request.body.len());
            upload.bytes.extend_from_slice(&request.body[..kept]);
            return said(500, "the connection to the storage behind it broke");
        }
        upload.bytes.extend_from_slice(&request.body);
        let offset = upload.bytes.len();
        if is_last {
            upload.is_complete = true;
            let (name, bytes) = (upload.name.clone(), std::mem::take(&mut upload.bytes));
            let metadata = upload.metadata.clone();
            // It knows how long it was.
            upload.bytes = vec![0; offset];
            if self.traits.forgets_uploads {
                self.uploads.remove(id);
            }
            if self.objects.contains_key(&name) {
                return said(409, "The resource already exists");
            }
            self.put(&name, bytes, metadata);
        }
        said(204, "").header("upload-offset", offset.to_string())
    }
}
