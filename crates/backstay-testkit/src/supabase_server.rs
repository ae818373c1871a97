//! Supabase Storage as its clients (storage-js, TUS) meet it.

mod bucket;
mod project;
mod uploads;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::http_server::{HttpServer, Request, Response};
use bucket::Bucket;
pub use project::{ProjectFile, SupabaseProject};

const BASE: &str = "/storage/v1";

/// What a server of Supabase's may do otherwise.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "tests set what they need")]
pub struct SupabaseTraits {
    /// Entries of a page of a listing, whatever is asked for; 0 is a thousand.
    pub page: usize,
    /// The bucket's own limit for objects; 0 is none.
    pub bucket_limit: u64,
    /// What writers say about their objects is not kept, as by versions before 2024.
    pub forgets_metadata: bool,
    /// Uploads are forgotten when all of them is there.
    pub forgets_uploads: bool,
    /// How many bytes are kept of the first piece of an upload, which is answered with an error; 0 keeps pieces whole.
    pub cuts_first_piece: usize,
    /// So many bytes are lost at the end of each upload in one request, without a word.
    pub loses_bytes: usize,
}

/// A server in this process, on a free port of the loopback interface, that answers as Supabase Storage does: refusals come
/// with the status 400 and the true one in the body; conditions are ignored; a move is one step, and refused where there is
/// an object; objects have 50 MB at most; pieces of uploads (TUS) have exactly 6 MiB; names have few characters; a bucket
/// that is not there lists nothing; the newer kind of keys is refused as a bearer.
#[derive(Clone, Debug)]
pub struct SupabaseServer {
    /// What goes wrong there, and what was asked of it.
    pub http: HttpServer,
    state: Arc<Mutex<Bucket>>,
}

impl SupabaseServer {
    /// Its one bucket.
    pub const BUCKET: &str = "backups";
    /// A key of the newer kind; no output may ever have it.
    pub const SECRET_KEY: &str = "sb_secret_Sesam4711hunter2";
    /// A key of the older kind, likewise.
    pub const SERVICE_ROLE_KEY: &str = "eyJSesam.4711.hunter2";
    /// The longest object.
    pub const OBJECT_BYTES_MAX: u64 = 50 << 20;

    /// Starts it with an empty bucket.
    #[must_use]
    pub fn start(traits: SupabaseTraits) -> Self {
        let state = Arc::new(Mutex::new(Bucket::new(traits)));
        let answering = Arc::clone(&state);
        let answer = move |request: &Request| answer(&mut answering.lock().unwrap(), request);
        Self {
            http: HttpServer::start(answer, |status, word| refusal(status, word, "as told")),
            state,
        }
    }

    /// What takes the place of `https://REF.supabase.co`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.http.endpoint()
    }

    /// Bytes of an object.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock().unwrap();
        state.objects.get(name).map(|object| object.bytes.to_vec())
    }

    /// All names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    /// Puts an object there that no store of ours wrote, over what is there.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.state.lock().unwrap().put(name, bytes.to_vec(), None);
    }

    /// Uploads that were begun and neither completed nor ended.
    #[must_use]
    pub fn uploads(&self) -> usize {
        self.state.lock().unwrap().open_uploads()
    }

    /// Forgets all uploads, as the server does after a day.
    pub fn forget_uploads(&self) {
        self.state.lock().unwrap().uploads.clear();
    }
}

fn answer(state: &mut Bucket, request: &Request) -> Response {
    let path = request.path();
    let Some(route) = path.strip_prefix(BASE) else {
        return Response::new(404, "<html>not found</html>");
    };
    let method = request.method.as_str();
    if let Some(rest) = route.strip_prefix("/object/sign/")
        && method == "GET"
    {
        return state.read_signed(rest, request);
    }
    if let Some(refused) = unauthorised(request) {
        return refused;
    }
    if let Some(rest) = route.strip_prefix("/upload/resumable") {
        return state.resumable(request, rest.trim_start_matches('/'));
    }
    if let Some(bucket) = route.strip_prefix("/bucket/")
        && method == "GET"
    {
        return if bucket == SupabaseServer::BUCKET {
            state.described()
        } else {
            no_bucket()
        };
    }
    let Some(route) = route.strip_prefix("/object/") else {
        return no_route(request);
    };
    let (verb, rest) = route.split_once('/').unwrap_or((route, ""));
    match (method, verb) {
        ("POST", "move") => state.move_object(request),
        ("POST", "list-v2") => state.list(request, rest),
        ("POST", "sign") => on_object(rest, |name| state.sign(request, name)),
        ("GET", "info") => on_object_of_any_bucket(rest, |name| state.info(name)),
        ("GET", "authenticated") => on_object(rest, |name| state.read(request, name)),
        ("POST", _) => on_object(route, |name| state.create(request, name)),
        ("DELETE", _) => on_object_of_any_bucket(route, |name| state.delete(name)),
        _ => no_route(request),
    }
}

/// What is asked for of an object, where the bucket is the one that there is.
fn on_object(rest: &str, answer: impl FnOnce(&str) -> Response) -> Response {
    match rest.split_once('/') {
        Some((SupabaseServer::BUCKET, name)) => answer(name),
        _ => no_bucket(),
    }
}

/// The same where the server does not look at the bucket: there it finds no object.
fn on_object_of_any_bucket(rest: &str, answer: impl FnOnce(&str) -> Response) -> Response {
    match rest.split_once('/') {
        Some((SupabaseServer::BUCKET, name)) => answer(name),
        _ => no_object(),
    }
}

fn unauthorised(request: &Request) -> Option<Response> {
    let key = request.header("apikey");
    let bearer = request
        .header("authorization")
        .map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
    match (key, bearer) {
        (Some(SupabaseServer::SECRET_KEY), None) => None,
        (Some(SupabaseServer::SERVICE_ROLE_KEY), Some(SupabaseServer::SERVICE_ROLE_KEY)) => None,
        // The gateway takes the key, and the service behind it a token only.
        (Some(SupabaseServer::SECRET_KEY), Some(_)) => Some(refusal(403, "Unauthorized", "Invalid Compact JWS")),
        (Some(SupabaseServer::SERVICE_ROLE_KEY), None) => Some(refusal(
            400,
            "Error",
            "headers must have required property 'authorization'",
        )),
        _ => {
            let body = json!({ "message": "Invalid API key" }).to_string();
            Some(Response::new(401, body))
        }
    }
}

fn answered(value: &Value) -> Response {
    Response::new(200, value.to_string()).header("content-type", "application/json")
}

/// A refusal as the service says it: with the true status in the body alone, unless the service itself is broken.
fn refusal(status: u16, word: &str, message: &str) -> Response {
    let body = json!({ "statusCode": status.to_string(), "error": word, "message": message });
    let shown = if status == 500 || status == 544 { status } else { 400 };
    Response::new(shown, body.to_string()).header("content-type", "application/json")
}

fn no_bucket() -> Response {
    refusal(404, "Bucket not found", "Bucket not found")
}

fn no_object() -> Response {
    refusal(404, "not_found", "Object not found")
}

fn duplicate() -> Response {
    refusal(409, "Duplicate", "The resource already exists")
}

fn too_large() -> Response {
    refusal(413, "Payload too large", "The object exceeded the maximum allowed size")
}

fn no_route(request: &Request) -> Response {
    let message = format!("Route {}:{} not found", request.method, request.target);
    let body = json!({ "message": message, "error": "Not Found", "statusCode": 404 });
    Response::new(404, body.to_string())
}
