use std::time::Duration;

use backstay_core::ObjectKey;
use backstay_core::store::{Error, ErrorKind};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::answers::SigningToken;
use crate::client::{Call, Client, encoded, now_unix_millis};

/// The service signs for no longer.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// A URL that reads one private object until it expires. What signs it is asked of the service, for this object and this
/// time alone.
pub(crate) fn signed_url(client: &Client, key: &ObjectKey, expires_in: Duration) -> Result<String, Error> {
    let doing = "sign a URL of";
    let subject = client.subject(key.as_str());
    let refused = |why: &str| Error::new(ErrorKind::Other, doing, &subject).because(why);
    if expires_in > LONGEST {
        return Err(refused("the service signs for seven days at most"));
    }
    let name = client.name(key.as_str());
    let millis = i64::try_from(expires_in.as_millis()).unwrap_or(i64::MAX);
    let until = now_unix_millis().saturating_add(millis);
    let body = json!({ "pathname": name, "operations": ["get"], "validUntil": until }).to_string();
    let token: SigningToken = client.retried(doing, &subject, || {
        client.once(&Call::new("POST", "/signed-token").json(&body))
    })?;
    if token.valid_until < until {
        return Err(refused("the service signs for a shorter time only"));
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(token.client_signing_token.as_bytes()).expect("a key of any length");
    mac.update(format!("operation=get\npathname={name}").as_bytes());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    Ok(format!(
        "{}?cache=0&vercel-blob-delegation={}&vercel-blob-signature={signature}",
        client.read_url(&name),
        encoded(&token.delegation_token)
    ))
}
