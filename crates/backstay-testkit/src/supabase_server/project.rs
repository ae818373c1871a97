//! Supabase Storage as an application fills it: several buckets, versions, types, rows without files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use backstay_core::Sha256Digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::bucket::{invalid_key, is_name, range};
use super::{BASE, answered, duplicate, no_bucket, no_object, no_route, refusal, unauthorised};
use crate::http_server::{HttpServer, Request, Response};

/// What every piece but the last must be.
const PIECE_BYTES: usize = 6 << 20;

/// A file in a project of tests.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "tests set what they need")]
pub struct ProjectFile {
    /// Its content; a row without a file has none.
    pub content: Option<Arc<[u8]>>,
    /// Its length, which its row tells.
    pub size: usize,
    /// Its media type.
    pub content_type: String,
    /// How long it may be cached.
    pub cache_control: String,
    /// What its writer said about it.
    pub metadata: Option<Value>,
    /// Another one each time that it is written.
    pub version: String,
}

#[derive(Debug)]
struct Upload {
    bucket: String,
    name: String,
    told: BTreeMap<String, String>,
    length: usize,
    bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    /// The documents of the buckets, by id.
    buckets: BTreeMap<String, Value>,
    files: BTreeMap<(String, String), ProjectFile>,
    uploads: BTreeMap<String, Upload>,
    writes: u64,
    /// Entries of a page of a listing; 0 is a thousand.
    page: usize,
    /// Files that become others when their content is read, and how often.
    restless: BTreeMap<String, u32>,
    /// Files of which a cache has kept what they were, and for how many reads.
    cached: BTreeMap<String, (ProjectFile, u32)>,
    /// Files that somebody writes right after they were looked for in vain.
    arriving: BTreeMap<String, Vec<u8>>,
}

/// A project at Supabase, as far as its files go: a server in this process, on a free port of the loopback interface, with the
/// keys of [`SupabaseServer`](super::SupabaseServer).
#[derive(Clone, Debug)]
pub struct SupabaseProject {
    /// What goes wrong there, and what was asked of it.
    pub http: HttpServer,
    state: Arc<Mutex<State>>,
}

impl SupabaseProject {
    /// Starts one without buckets.
    #[must_use]
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let answering = Arc::clone(&state);
        let answer = move |request: &Request| answer(&mut answering.lock().unwrap(), request);
        Self {
            http: HttpServer::start(answer, |status, word| refusal(status, word, "as told")),
            state,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, id: &str, public: bool) {
        let bucket = json!({
            "id": id, "name": id, "owner": "", "public": public, "file_size_limit": null, "allowed_mime_types": null,
            "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
        });
        self.state().buckets.insert(id.to_owned(), bucket);
    }

    /// The document of a bucket.
    #[must_use]
    pub fn bucket(&self, id: &str) -> Option<Value> {
        self.state().buckets.get(id).cloned()
    }

    /// Writes a file, over the one of that name, whatever its name.
    pub fn put(&self, bucket: &str, name: &str, content: &[u8]) {
        let file = ProjectFile {
            content_type: "text/plain".to_owned(),
            cache_control: "max-age=3600".to_owned(),
            metadata: Some(json!({ "from": name })),
            ..ProjectFile::default()
        };
        self.state().put(bucket, name, content, file);
    }

    /// Removes a file.
    pub fn remove(&self, bucket: &str, name: &str) {
        self.state().files.remove(&(bucket.to_owned(), name.to_owned()));
    }

    /// Removes a bucket with all that is in it.
    pub fn remove_bucket(&self, id: &str) {
        let mut state = self.state();
        state.buckets.remove(id);
        state.files.retain(|(bucket, _), _| bucket != id);
    }

    /// Takes the content of a file away and leaves its row, as restoring a database alone does.
    pub fn lose_content(&self, bucket: &str, name: &str) {
        let mut state = self.state();
        let file = state.files.get_mut(&(bucket.to_owned(), name.to_owned()));
        file.unwrap().content = None;
    }

    /// Changes a file each time that its content is read, so often.
    pub fn change_when_read(&self, name: &str, times: u32) {
        self.state().restless.insert(name.to_owned(), times);
    }

    /// Writes a file of which a cache gives what it was before, for so many reads.
    pub fn put_behind_cache(&self, bucket: &str, name: &str, content: &[u8], reads: u32) {
        let before = self.file(bucket, name).unwrap();
        self.put(bucket, name, content);
        self.state().cached.insert(name.to_owned(), (before, reads));
    }

    /// Writes a file right after it was looked for in vain.
    pub fn put_when_missed(&self, path: &str, content: &[u8]) {
        self.state().arriving.insert(path.to_owned(), content.to_vec());
    }

    /// Lists so many files at once.
    pub fn set_page(&self, entries: usize) {
        self.state().page = entries;
    }

    /// A file.
    #[must_use]
    pub fn file(&self, bucket: &str, name: &str) -> Option<ProjectFile> {
        self.state().files.get(&(bucket.to_owned(), name.to_owned())).cloned()
    }

    /// All files.
    #[must_use]
    pub fn files(&self) -> BTreeMap<(String, String), ProjectFile> {
        self.state().files.clone()
    }
}

impl State {
    fn put(&mut self, bucket: &str, name: &str, content: &[u8], mut file: ProjectFile) {
        self.writes += 1;
        file.version = format!("version-{}", self.writes);
        file.size = content.len();
        file.content = Some(content.into());
        self.files.insert((bucket.to_owned(), name.to_owned()), file);
    }

    fn file(&self, path: &str) -> Option<(&str, &ProjectFile)> {
        let (bucket, name) = path.split_once('/')?;
        let (key, file) = self.files.get_key_value(&(bucket.to_owned(), name.to_owned()))?;
        Some((&key.1, file))
    }

    fn list(&self, request: &Request, bucket: &str) -> Response {
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        let after = asked["cursor"].as_str().unwrap_or_default();
        let files = self
            .files
            .iter()
            .filter(|((of, name), _)| of == bucket && name.as_str() > after);
        let all: Vec<_> = files.collect();
        let page = if self.page == 0 { 1000 } else { self.page };
        let objects = all.iter().take(page).map(|((_, name), file)| {
            json!({
                "id": format!("row-{name}"),
                "name": name,
                "updated_at": format!("at {}", file.version),
                "created_at": "2026-01-01T00:00:00.000Z",
                "metadata": { "size": file.size, "eTag": tag(file), "mimetype": file.content_type },
            })
        });
        let mut told = json!({ "hasNext": all.len() > page, "folders": [], "objects": objects.collect::<Vec<_>>() });
        if all.len() > page {
            told["nextCursor"] = json!(all[page - 1].0.1);
        }
        answered(&told)
    }

    fn info(&mut self, path: &str) -> Response {
        if self.file(path).is_none() {
            if let (Some(content), Some((bucket, name))) = (self.arriving.remove(path), path.split_once('/')) {
                self.put(bucket, name, &content, ProjectFile::default());
            }
            return no_object();
        }
        let Some((name, file)) = self.file(path) else {
            return no_object();
        };
        answered(&json!({
            "id": format!("row-{name}"),
            "name": name,
            "version": file.version,
            "bucket_id": path.split('/').next(),
            "size": file.size,
            "content_type": file.content_type,
            "cache_control": file.cache_control,
            "etag": tag(file),
            "metadata": file.metadata,
            "last_modified": "2026-01-01T00:00:00.000Z",
            "created_at": "2026-01-01T00:00:00.000Z",
        }))
    }

    fn read(&mut self, request: &Request, path: &str) -> Response {
        let Some((_, file)) = self.file(path) else {
            return no_object();
        };
        let mut file = file.clone();
        let (_, name) = path.split_once('/').unwrap();
        if let Some((before, left)) = self.cached.get_mut(name).filter(|(_, left)| *left > 0) {
            *left -= 1;
            file = before.clone();
        }
        let Some(content) = &file.content else {
            return refusal(404, "NoSuchKey", "The specified key does not exist.");
        };
        let (bucket, name) = path.split_once('/').unwrap();
        if let Some(left) = self.restless.get_mut(name).filter(|left| **left > 0) {
            *left -= 1;
            let other = [content, &b"+"[..]].concat();
            self.put(bucket, name, &other, file.clone());
        }
        let Some((start, end)) = request.header("range").and_then(range) else {
            return Response::new(200, content.to_vec()).header("etag", tag(&file));
        };
        if start >= content.len() || start > end {
            return refusal(416, "InvalidRange", "The requested range is not satisfiable");
        }
        let end = end.min(content.len() - 1);
        Response::new(206, content[start..=end].to_vec())
            .header("etag", tag(&file))
            .header("content-range", format!("bytes {start}-{end}/{}", content.len()))
    }

    fn create_bucket(&mut self, request: &Request) -> Response {
        let mut asked: Value = serde_json::from_slice(&request.body).unwrap();
        let id = asked["id"].as_str().unwrap().to_owned();
        if self.buckets.contains_key(&id) {
            return duplicate();
        }
        asked["owner"] = json!("");
        self.buckets.insert(id.clone(), asked);
        answered(&json!({ "name": id }))
    }

    fn create(&mut self, request: &Request, path: &str) -> Response {
        let Some((bucket, name)) = path.split_once('/') else {
            return no_route(request);
        };
        if !self.buckets.contains_key(bucket) {
            return no_bucket();
        }
        if !is_name(name) {
            return invalid_key(name);
        }
        if request.header("x-upsert") != Some("true") && self.file(path).is_some() {
            return duplicate();
        }
        let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
        let metadata = request.header("x-metadata").map(|text| {
            let json = BASE64_STANDARD.decode(text).unwrap();
            serde_json::from_slice(&json).unwrap()
        });
        let file = ProjectFile {
            content_type: header("content-type"),
            cache_control: header("cache-control"),
            metadata,
            ..ProjectFile::default()
        };
        self.put(bucket, name, &request.body, file);
        answered(&json!({ "Id": "x", "Key": path }))
    }

    /// Uploads in pieces (TUS), whose answers have true statuses.
    fn resumable(&mut self, request: &Request, id: &str) -> Response {
        let number = |name: &str| request.header(name).and_then(|value| value.parse::<usize>().ok());
        if request.method == "POST" {
            let told = request.header("upload-metadata").unwrap_or_default();
            let told: BTreeMap<String, String> = told
                .split(',')
                .filter_map(|pair| pair.split_once(' '))
                .map(|(name, value)| {
                    let value = BASE64_STANDARD.decode(value).unwrap();
                    (name.to_owned(), String::from_utf8(value).unwrap())
                })
                .collect();
            let path = format!("{}/{}", told["bucketName"], told["objectName"]);
            if request.header("x-upsert") != Some("true") && self.file(&path).is_some() {
                return refusal(409, "KeyAlreadyExists", "The resource already exists");
            }
            self.writes += 1;
            let id = format!("upload{}", self.writes);
            let upload = Upload {
                bucket: told["bucketName"].clone(),
                name: told["objectName"].clone(),
                told,
                length: number("upload-length").unwrap(),
                bytes: Vec::new(),
            };
            self.uploads.insert(id.clone(), upload);
            return Response::new(201, "").header("location", format!("https://elsewhere.example/{id}"));
        }
        let Some(upload) = self.uploads.get_mut(id) else {
            return Response::new(404, "");
        };
        if request.method == "PATCH" {
            if number("upload-offset") != Some(upload.bytes.len()) {
                return Response::new(409, "Upload-Offset conflict");
            }
            upload.bytes.extend_from_slice(&request.body);
            let is_last = upload.bytes.len() == upload.length;
            assert!(is_last || request.body.len() == PIECE_BYTES, "a piece is too short");
        }
        let offset = upload.bytes.len();
        if offset == upload.length {
            let upload = self.uploads.remove(id).unwrap();
            let told = |name: &str| upload.told.get(name).cloned().unwrap_or_default();
            let file = ProjectFile {
                content_type: told("contentType"),
                cache_control: format!("max-age={}", told("cacheControl")),
                metadata: upload
                    .told
                    .get("metadata")
                    .map(|text| serde_json::from_str(text).unwrap()),
                ..ProjectFile::default()
            };
            self.put(&upload.bucket, &upload.name, &upload.bytes, file);
        }
        Response::new(204, "").header("upload-offset", offset.to_string())
    }
}

/// The tag of a file's content.
fn tag(file: &ProjectFile) -> String {
    let content = file.content.as_deref().unwrap_or_default();
    format!("\"{}\"", &Sha256Digest::of(content).to_string()[..32])
}

fn answer(state: &mut State, request: &Request) -> Response {
    let path = request.path();
    let Some(route) = path.strip_prefix(BASE) else {
        return Response::new(404, "<html>not found</html>");
    };
    if let Some(refused) = unauthorised(request) {
        return refused;
    }
    if let Some(id) = route.strip_prefix("/upload/resumable") {
        return state.resumable(request, id.trim_start_matches('/'));
    }
    match (request.method.as_str(), route) {
        ("GET", "/bucket") => return answered(&json!(state.buckets.values().collect::<Vec<_>>())),
        ("POST", "/bucket") => return state.create_bucket(request),
        _ => {}
    }
    if let ("GET", Some(id)) = (request.method.as_str(), route.strip_prefix("/bucket/")) {
        return state.buckets.get(id).map_or_else(no_bucket, answered);
    }
    let Some(route) = route.strip_prefix("/object/") else {
        return no_route(request);
    };
    let (verb, rest) = route.split_once('/').unwrap_or((route, ""));
    match (request.method.as_str(), verb) {
        ("POST", "list-v2") => state.list(request, rest),
        ("GET", "info") => state.info(rest),
        ("GET", "authenticated") => state.read(request, rest),
        ("POST", _) => state.create(request, route),
        _ => no_route(request),
    }
}
