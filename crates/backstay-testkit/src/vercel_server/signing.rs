use std::collections::BTreeMap;

use backstay_core::Sha256Digest;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::blobs::Blobs;
use super::{VercelBlobServer, answered, bad_request};
use crate::http_server::{Request, Response};

/// What only the server knows.
const SECRET: &[u8] = b"blobSigningSecret";
const VALID_MILLIS_MAX: i64 = 7 * 24 * 3600 * 1000;

/// Issues a token that signs URLs for some operations on one pathname or all (`*`), for seven days at most.
pub(super) fn issue(state: &Blobs, request: &Request) -> Response {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let now = Timestamp::now().as_millisecond();
    let until = body["validUntil"].as_i64().unwrap_or(now + 3_600_000);
    if until <= now || until > now + VALID_MILLIS_MAX {
        return bad_request("validUntil must lie within the next seven days");
    }
    let operations = body.get("operations").cloned().unwrap_or(json!(["get"]));
    let scope = json!({
        "storeId": VercelBlobServer::STORE,
        "pathname": body["pathname"].as_str().unwrap_or("*"),
        "operations": operations,
        "validUntil": until,
        "access": if state.traits.is_public { "public" } else { "private" },
    });
    let payload = BASE64_URL_SAFE_NO_PAD.encode(scope.to_string());
    let token = format!("{payload}.{}", hmac(SECRET, payload.as_bytes()));
    answered(&json!({
        "clientSigningToken": hmac(SECRET, token.as_bytes()),
        "delegationToken": token,
        "validUntil": until,
    }))
}

/// Whether a URL is signed for reading that pathname now.
pub(super) fn is_signed(pathname: &str, query: &BTreeMap<String, String>) -> bool {
    let (Some(token), Some(signature)) = (query.get("vercel-blob-delegation"), query.get("vercel-blob-signature"))
    else {
        return false;
    };
    let Some((payload, sealed)) = token.split_once('.') else {
        return false;
    };
    let scope = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    let scope: Value = serde_json::from_slice(&scope).unwrap_or_default();
    let is_for_all = scope["pathname"] == "*" || scope["pathname"] == pathname;
    let may_get = scope["operations"]
        .as_array()
        .is_some_and(|all| all.contains(&json!("get")));
    let mut until = scope["validUntil"].as_i64().unwrap_or(0);
    let mut canonical = format!("operation=get\npathname={pathname}");
    if let Some(own) = query.get("vercel-blob-valid-until") {
        until = until.min(own.parse().unwrap_or(0));
        canonical.push_str(&format!("\nvercel-blob-valid-until={own}"));
    }
    hmac(SECRET, payload.as_bytes()) == sealed
        && *signature == hmac(hmac(SECRET, token.as_bytes()).as_bytes(), canonical.as_bytes())
        && is_for_all
        && may_get
        && until > Timestamp::now().as_millisecond()
}

/// HMAC-SHA256 (RFC 2104) in base64url, spelled out, so that it shares nothing with what it checks.
fn hmac(key: &[u8], message: &[u8]) -> String {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    block[..key.len()].copy_from_slice(key);
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256Digest::of(&[&padded(0x36)[..], message].concat());
    let outer = Sha256Digest::of(&[&padded(0x5c)[..], inner.as_bytes()].concat());
    BASE64_URL_SAFE_NO_PAD.encode(outer.as_bytes())
}
