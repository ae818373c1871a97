use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind};
use serde_json::json;

use crate::answers::{Signed, document};
use crate::client::{Call, Client};
use crate::dialect::is_missing;

const DOING: &str = "sign a URL of";
const TOKEN: &str = "?token=";

/// A URL of an object that expires; the service signs it, and only for what is there.
pub(crate) fn signed_url(client: &Client, key: &ObjectKey, expires_in: Duration) -> Result<String, Error> {
    let subject = client.subject(key.as_str());
    if !client.can_keep(key.as_str()) {
        return Err(client.missing(DOING, key.as_str()));
    }
    let asked = json!({ "expiresIn": expires_in.as_secs().max(1) }).to_string();
    let path = client.path("/sign", &client.name(key.as_str()));
    let signed = client.retried(DOING, &subject, || {
        match client.once(&Call::new("POST", &path).json(&asked)) {
            Err(failure) if is_missing(&failure) => Ok(None),
            answer => document::<Signed>(answer?).map(Some),
        }
    })?;
    let signed = signed.ok_or_else(|| client.missing(DOING, key.as_str()))?;
    // The path in the answer is not encoded.
    match signed.signed_url.rsplit_once(TOKEN) {
        Some((_, token)) if !token.is_empty() => Ok(format!("{}{path}{TOKEN}{token}", client.base())),
        _ => Err(Error::new(ErrorKind::Other, DOING, subject).because("the answer has no token")),
    }
}
