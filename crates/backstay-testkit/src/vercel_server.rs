//! Vercel Blob as its SDK (`@vercel/blob` 2.8, version 12 of the API) meets it.

mod blobs;
mod reads;
mod signing;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::http_server::{HttpServer, Request, Response};
use blobs::Blobs;

const API: &str = "/api/blob";
const READS: &str = "/blobs/";
const API_VERSION: &str = "12";
const PATHNAME_CHARS_MAX: usize = 950;

/// What a server of Vercel's may do otherwise.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "tests set what they need")]
pub struct VercelTraits {
    /// Entries of a page of a listing, whatever is asked for; 0 is a thousand.
    pub page: usize,
    /// The store is a public one: everybody may read, and the cache in front of it cannot be passed by.
    pub is_public: bool,
    /// A content type is kept without its parameters.
    pub forgets_parameters: bool,
    /// A name that exists is refused when an upload begins, and not only when it is completed.
    pub refuses_early: bool,
    /// A blob gets another name than the one that was asked for.
    pub renames: bool,
}

/// A server in this process, on a free port of the loopback interface, that answers as Vercel Blob does: it wants the
/// version of the API, the token and the access at each write; refuses a pathname that exists; takes parts of one length
/// only; serves private blobs to the token alone, and through a cache that is stale unless it is passed by.
///
/// Where Vercel does not document a refusal (an upload that is gone, a deletion whose condition cannot hold), it answers
/// `bad_request` or `precondition_failed`.
#[derive(Clone, Debug)]
pub struct VercelBlobServer {
    /// What goes wrong there, and what was asked of it.
    pub http: HttpServer,
    state: Arc<Mutex<Blobs>>,
}

impl VercelBlobServer {
    /// Id of its one store.
    pub const STORE: &str = "Sesam4711Store";
    /// The token of that store; no output may ever have it.
    pub const TOKEN: &str = "vercel_blob_rw_Sesam4711Store_hunter2";
    /// A token of a store that does not exist.
    pub const TOKEN_OF_NOWHERE: &str = "vercel_blob_rw_Nowhere_hunter2";
    /// A token of a store that is suspended.
    pub const TOKEN_OF_SUSPENDED: &str = "vercel_blob_rw_Suspended_hunter2";

    /// Starts it with an empty store.
    #[must_use]
    pub fn start(traits: VercelTraits) -> Self {
        let state = Arc::new(Mutex::new(Blobs::new(traits)));
        let answering = Arc::clone(&state);
        let answer = move |request: &Request| answer(&mut answering.lock().unwrap(), request);
        Self {
            http: HttpServer::start(answer, refusal),
            state,
        }
    }

    /// What takes the place of `https://vercel.com/api/blob`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}{API}", self.http.endpoint())
    }

    /// What takes the place of `https://STORE.private.blob.vercel-storage.com`.
    #[must_use]
    pub fn read_endpoint(&self) -> String {
        format!("{}{}", self.http.endpoint(), READS.trim_end_matches('/'))
    }

    /// Bytes of a blob, past the cache.
    #[must_use]
    pub fn blob(&self, pathname: &str) -> Option<Vec<u8>> {
        let state = self.state.lock().unwrap();
        state.blobs.get(pathname).map(|blob| blob.bytes.to_vec())
    }

    /// All pathnames.
    #[must_use]
    pub fn pathnames(&self) -> Vec<String> {
        self.state.lock().unwrap().blobs.keys().cloned().collect()
    }

    /// Puts a blob there that no store of ours wrote, over what is there.
    pub fn put(&self, pathname: &str, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.put(pathname, bytes.to_vec(), "text/plain".to_owned());
    }

    /// Uploads that were neither completed nor forgotten.
    #[must_use]
    pub fn uploads(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// Forgets all uploads, as the server does after a while.
    pub fn forget_uploads(&self) {
        self.state.lock().unwrap().uploads.clear();
    }

    /// Lets everything in the cache grow too old to be served.
    pub fn expire_cache(&self) {
        self.state.lock().unwrap().cache.clear();
    }
}

fn answer(state: &mut Blobs, request: &Request) -> Response {
    // Vercel's own client writes a space as a plus.
    let (path, query) = (request.path(), request.form_query());
    if let Some(pathname) = path.strip_prefix(READS) {
        return reads::read(state, request, pathname, &query);
    }
    let Some(route) = path.strip_prefix(API) else {
        // As a web server answers that knows nothing of blobs.
        return Response::new(404, "<html>not found</html>");
    };
    if let Some(refused) = unauthorised(request) {
        return refused;
    }
    let pathname = query.get("pathname").map_or("", String::as_str);
    match (request.method.as_str(), route.trim_start_matches('/')) {
        ("GET", "") if query.contains_key("url") => state.head(&query["url"]),
        ("GET", "") => state.list(&query),
        ("PUT", "") => match refused_write(state, request, pathname) {
            Some(refused) => refused,
            None => state.create(request, pathname),
        },
        ("POST", "mpu") => match refused_write(state, request, pathname) {
            Some(refused) => refused,
            None => match request.header("x-mpu-action") {
                Some("create") => state.begin(request, pathname),
                Some("upload") => state.take_part(request, pathname),
                Some("complete") => state.complete(request, pathname),
                _ => bad_request("Invalid x-mpu-action"),
            },
        },
        ("POST", "delete") => state.delete(request),
        ("POST", "signed-token") => signing::issue(state, request),
        _ => refusal(404, "not_found"),
    }
}

fn unauthorised(request: &Request) -> Option<Response> {
    if request.header("x-api-version") != Some(API_VERSION) {
        return Some(bad_request("Unsupported API version"));
    }
    let token = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    match token {
        Some(VercelBlobServer::TOKEN) => {}
        Some(VercelBlobServer::TOKEN_OF_NOWHERE) => return Some(refusal(404, "store_not_found")),
        Some(VercelBlobServer::TOKEN_OF_SUSPENDED) => return Some(refusal(403, "store_suspended")),
        _ => return Some(refusal(403, "forbidden")),
    }
    let is_of_store = request.header("x-vercel-blob-store-id") == Some(VercelBlobServer::STORE);
    (!is_of_store).then(|| refusal(403, "forbidden"))
}

/// What is asked of each request that writes.
fn refused_write(state: &Blobs, request: &Request, pathname: &str) -> Option<Response> {
    let access = if state.traits.is_public { "public" } else { "private" };
    match request.header("x-vercel-blob-access") {
        Some(asked) if asked == access => {}
        Some(asked) => return Some(bad_request(&format!("Cannot use {asked} access on a {access} store"))),
        None => return Some(bad_request("Missing x-vercel-blob-access")),
    }
    // JavaScript counts in units of UTF-16.
    if pathname.is_empty() || pathname.encode_utf16().count() > PATHNAME_CHARS_MAX || pathname.contains("//") {
        return Some(bad_request("Invalid pathname"));
    }
    let max_age = request.header("x-cache-control-max-age");
    if max_age.is_some_and(|secs| secs.parse::<u64>().is_ok_and(|secs| secs < 60)) {
        return Some(bad_request("cacheControlMaxAge must be at least 60"));
    }
    None
}

fn answered(value: &Value) -> Response {
    Response::new(200, value.to_string()).header("content-type", "application/json")
}

fn refusal(status: u16, code: &str) -> Response {
    told(status, code, "as told")
}

fn bad_request(message: &str) -> Response {
    told(400, "bad_request", message)
}

fn told(status: u16, code: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code, "message": message } });
    Response::new(status, body.to_string()).header("content-type", "application/json")
}
