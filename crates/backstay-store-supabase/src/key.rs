use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The beginning of keys that are signed tokens. Those of the newer kind (`sb_secret_…`) are refused as `Bearer`.
const TOKEN: &str = "eyJ";

/// A secret key of a project: `sb_secret_…`, or the older `service_role` one. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// The headers that each request bears.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("apikey", self.0.clone())];
        if self.0.starts_with(TOKEN) {
            headers.push(("authorization", format!("Bearer {}", self.0)));
        }
        headers
    }
}

/// The role that a signed token is for, where it can be read.
fn role(token: &str) -> Option<String> {
    let payload = token.strip_prefix(TOKEN)?.split('.').nth(1)?;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let payload: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    Some(payload.get("role")?.as_str()?.to_owned())
}

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_header = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        // Whoever has such a key may only do what everybody may.
        if !is_header || text.starts_with("sb_publishable_") || role(text).is_some_and(|role| role != "service_role") {
            return Err(InvalidApiKey);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").finish_non_exhaustive()
    }
}

/// A text that is no [`ApiKey`]; it is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no secret key (sb_secret_…) and no service_role key")]
#[expect(clippy::exhaustive_structs, reason = "there is no more to say without saying it")]
pub struct InvalidApiKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_is_a_bearer_and_nothing_shows_a_key() {
        for (text, expected) in [
            ("sb_secret_hunter2", vec![("apikey", "sb_secret_hunter2")]),
            (
                "eyJhunter2.x.y",
                vec![("apikey", "eyJhunter2.x.y"), ("authorization", "Bearer eyJhunter2.x.y")],
            ),
        ] {
            let key: ApiKey = text.parse().unwrap();
            let headers = key.headers();
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(headers, expected);
            assert!(!format!("{key:?}").contains("hunter2"), "{key:?}");
        }
        for bad in ["", "sb_publishable_x", "sb_secret_x\r\ny: z", "sb secret"] {
            assert_eq!(bad.parse::<ApiKey>(), Err(InvalidApiKey), "{bad:?}");
        }
    }

    #[test]
    fn a_token_of_another_role_is_no_secret_key() {
        for (role, is_key) in [("service_role", true), ("anon", false), ("authenticated", false)] {
            let payload = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"supabase","role":"{role}"}}"#));
            let token = format!("eyJhbGciOiJIUzI1NiJ9.{payload}.signature");
            assert_eq!(token.parse::<ApiKey>().is_ok(), is_key, "{role}");
        }
    }
}
