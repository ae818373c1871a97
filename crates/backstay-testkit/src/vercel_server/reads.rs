use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::blobs::{Blob, Blobs};
use super::{VercelBlobServer, signing};
use crate::http_server::{Request, Response};

/// Serves a blob, out of the cache where it is in there and is not passed by. Refusals here are texts and no JSON.
pub(super) fn read(state: &mut Blobs, request: &Request, pathname: &str, query: &BTreeMap<String, String>) -> Response {
    let is_public = state.traits.is_public;
    let bearer = format!("Bearer {}", VercelBlobServer::TOKEN);
    let may_read =
        is_public || request.header("authorization") == Some(bearer.as_str()) || signing::is_signed(pathname, query);
    if !may_read {
        return Response::new(403, "Forbidden");
    }
    let passes_by = !is_public && query.get("cache").is_some_and(|value| value == "0");
    let cached = state.cache.get(pathname).filter(|_| !passes_by);
    let Some(blob) = cached.or_else(|| state.blobs.get(pathname)).cloned() else {
        return Response::new(404, "The requested blob was not found");
    };
    if !passes_by {
        state.cache.insert(pathname.to_owned(), blob.clone());
    }
    if request.header("if-match").is_some_and(|tag| tag != blob.tag) {
        return Response::new(412, "Precondition Failed");
    }
    if request.header("if-none-match") == Some(blob.tag.as_str()) {
        return Response::new(304, "");
    }
    let modified = blob
        .uploaded
        .to_zoned(TimeZone::UTC)
        .strftime("%a, %d %b %Y %H:%M:%S GMT");
    // What is not asked for as it is comes packed, with a weaker tag.
    let tag = match request.header("accept-encoding") {
        None | Some("identity") => blob.tag.clone(),
        Some(_) => format!("W/{}", blob.tag),
    };
    body(request, &blob)
        .header("etag", tag)
        .header("last-modified", modified.to_string())
        .header("content-type", &blob.content_type)
        .header("cache-control", "public, max-age=60")
}

fn body(request: &Request, blob: &Blob) -> Response {
    let size = blob.bytes.len();
    let Some(range) = request.header("range") else {
        return Response::new(200, &*blob.bytes);
    };
    let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let start: usize = start.parse().unwrap();
    if start >= size {
        return Response::new(416, "").header("content-range", format!("bytes */{size}"));
    }
    let end = end.parse::<usize>().unwrap().min(size - 1);
    Response::new(206, &blob.bytes[start..=end]).header("content-range", format!("bytes {start}-{end}/{size}"))
}
