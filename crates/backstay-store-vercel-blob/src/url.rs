use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::config::{Access, VercelBlobConfig};
use crate::token::{InvalidToken, Token};

const TOKEN: &str = "BLOB_READ_WRITE_TOKEN";
const ENDPOINT: &str = "VERCEL_BLOB_API_URL";

/// The location of a store: `vercel-blob://prefix?name=value&…`, without credentials. The token comes from
/// `BLOB_READ_WRITE_TOKEN`, and says which store it is.
///
/// | name | value |
/// |---|---|
/// | `store` | id of the store; a token of another one is refused then |
/// | `access` | `private` (as it is without this) or `public`: what the store is |
/// | `part-size` | bytes, or a number with `MiB` or `GiB`: length of the parts of a large object, 32 MiB without this. An object has 10,000 at most, 320 GB of these |
/// | `endpoint` | URL of the API; else `VERCEL_BLOB_API_URL`, `https://vercel.com/api/blob` |
/// | `read-endpoint` | URL beneath which blobs are read, else the host of the store |
///
/// ```
/// use backstay_store_vercel_blob::{Variables, VercelBlobUrl};
/// let url: VercelBlobUrl = "vercel-blob://kulti?part-size=64MiB".parse()?;
/// let variables = Variables::from_iter([("BLOB_READ_WRITE_TOKEN", "vercel_blob_rw_STORE_SECRET")]);
/// let config = url.config(&variables)?;
/// assert_eq!((config.token.store(), config.prefix.as_str()), ("STORE", "kulti/"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VercelBlobUrl {
    prefix: String,
    store: Option<String>,
    access: Access,
    part_bytes: Option<u64>,
    endpoint: Option<String>,
    read_endpoint: Option<String>,
}

/// The environment variables that matter here, handed in by the caller: `BLOB_READ_WRITE_TOKEN` and
/// `VERCEL_BLOB_API_URL`.
///
/// Where a name comes twice, the later one counts; an empty value is none. `Debug` shows neither.
#[derive(Clone, Default)]
pub struct Variables {
    token: Option<String>,
    endpoint: Option<String>,
}

impl<K: AsRef<str>, V: Into<String>> FromIterator<(K, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let mut found = Self::default();
        for (name, value) in variables {
            let place = match name.as_ref() {
                TOKEN => &mut found.token,
                ENDPOINT => &mut found.endpoint,
                _ => continue,
            };
            *place = Some(value.into()).filter(|value| !value.is_empty());
        }
        found
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables").finish_non_exhaustive()
    }
}

/// A text that is no [`VercelBlobUrl`]. Values are not repeated, since one may be a secret in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidVercelBlobUrl {
    /// It begins with something else.
    #[error("it does not begin with vercel-blob://")]
    Scheme,
    /// What stands before the settings is no prefix.
    #[error(
        "behind vercel-blob:// stands a prefix of names, and nothing else before the settings (the token comes from {TOKEN})"
    )]
    Prefix,
    /// A name that means nothing.
    #[error("it has no setting called {0:?}")]
    Unknown(String),
    /// A value that means nothing.
    #[error("the value of {name} must be {expected}")]
    Value {
        /// Whose.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
    },
}

/// Why a location and variables together are no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableToken {
    /// There is none.
    #[error("there is no token: {TOKEN} is not set")]
    Missing,
    /// It is none.
    #[error("{TOKEN} holds no token")]
    Invalid(#[source] InvalidToken),
    /// It is one of another store than the location names.
    #[error("{TOKEN} holds a token of the store {found}, and the location names the store {named}")]
    OfAnotherStore {
        /// The token's.
        found: String,
        /// The location's.
        named: String,
    },
}

impl VercelBlobUrl {
    /// The configuration that it describes, completed by variables.
    ///
    /// # Errors
    /// There is no token, or one of another store.
    pub fn config(&self, variables: &Variables) -> Result<VercelBlobConfig, UnusableToken> {
        let token = variables.token.as_deref().ok_or(UnusableToken::Missing)?;
        let token: Token = token.parse().map_err(UnusableToken::Invalid)?;
        if let Some(named) = &self.store
            && !named.eq_ignore_ascii_case(token.store())
        {
            return Err(UnusableToken::OfAnotherStore {
                found: token.store().to_owned(),
                named: named.clone(),
            });
        }
        let mut config = VercelBlobConfig::new(token);
        config.prefix.clone_from(&self.prefix);
        config.access = self.access;
        config.read_endpoint.clone_from(&self.read_endpoint);
        if let Some(bytes) = self.part_bytes {
            config.part_bytes = bytes;
        }
        if let Some(endpoint) = self.endpoint.as_ref().or(variables.endpoint.as_ref()) {
            config.endpoint.clone_from(endpoint);
        }
        Ok(config)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), InvalidVercelBlobUrl> {
        match name {
            "store" => {
                // The dashboard writes it with `store_` before it, hosts and tokens without.
                let id = value.strip_prefix("store_").unwrap_or(&value);
                let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
                self.store = Some(
                    is_id
                        .then(|| id.to_owned())
                        .ok_or(invalid("store", "letters and digits"))?,
                );
            }
            "access" => {
                self.access = match value.as_str() {
                    "private" => Access::Private,
                    "public" => Access::Public,
                    _ => return Err(invalid("access", "private or public")),
                };
            }
            "part-size" => self.part_bytes = Some(size(&value).ok_or(invalid("part-size", "a size such as 64MiB"))?),
            "endpoint" => self.endpoint = Some(url("endpoint", value)?),
            "read-endpoint" => self.read_endpoint = Some(url("read-endpoint", value)?),
            unknown => return Err(InvalidVercelBlobUrl::Unknown(unknown.to_owned())),
        }
        Ok(())
    }
}

impl FromStr for VercelBlobUrl {
    type Err = InvalidVercelBlobUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text
            .strip_prefix("vercel-blob://")
            .ok_or(InvalidVercelBlobUrl::Scheme)?;
        let (prefix, settings) = rest.split_once('?').unwrap_or((rest, ""));
        // A prefix is shown in messages, so nothing that looks like a secret may be taken for one.
        if prefix.contains(['@', '#']) || prefix.contains("vercel_blob_") {
            return Err(InvalidVercelBlobUrl::Prefix);
        }
        let mut url = Self {
            prefix: String::new(),
            store: None,
            access: Access::Private,
            part_bytes: None,
            endpoint: None,
            read_endpoint: None,
        };
        let prefix = prefix.trim_matches('/');
        if !prefix.is_empty() {
            url.prefix = format!("{prefix}/");
        }
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            url.set(name, percent_decode_str(value).decode_utf8_lossy().into_owned())?;
        }
        Ok(url)
    }
}

fn invalid(name: &'static str, expected: &'static str) -> InvalidVercelBlobUrl {
    InvalidVercelBlobUrl::Value { name, expected }
}

fn url(name: &'static str, value: String) -> Result<String, InvalidVercelBlobUrl> {
    let is_url = value.starts_with("https://") || value.starts_with("http://");
    is_url.then_some(value).ok_or(invalid(name, "a URL (https://host)"))
}

fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text {
        text if text.ends_with("MiB") => (text.trim_end_matches("MiB"), 20),
        text if text.ends_with("GiB") => (text.trim_end_matches("GiB"), 30),
        text => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

impl fmt::Display for VercelBlobUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vercel-blob://{}", self.prefix.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIABLES: [(&str, &str); 2] = [
        (TOKEN, "vercel_blob_rw_AbC_hunter2"),
        (ENDPOINT, "http://127.0.0.1:1/api"),
    ];

    fn config(text: &str, variables: &[(&str, &str)]) -> Result<VercelBlobConfig, UnusableToken> {
        let url: VercelBlobUrl = text.parse().unwrap();
        url.config(&variables.iter().copied().collect())
    }

    #[test]
    fn settings_reach_the_configuration() {
        let all = config(
            "vercel-blob://p/q/?store=store_abc&access=public&part-size=64MiB&endpoint=http%3A%2F%2F127.0.0.1:2&\
             read-endpoint=http://127.0.0.1:3/r",
            &VARIABLES,
        )
        .unwrap();
        assert_eq!((all.token.store(), all.prefix.as_str()), ("AbC", "p/q/"));
        assert_eq!((all.access, all.part_bytes), (Access::Public, 64 << 20));
        assert_eq!(all.endpoint, "http://127.0.0.1:2");
        assert_eq!(all.read_endpoint.as_deref(), Some("http://127.0.0.1:3/r"));
        let few = config("vercel-blob://", &VARIABLES).unwrap();
        assert_eq!((few.prefix.as_str(), few.access), ("", Access::Private));
        assert_eq!(few.endpoint, "http://127.0.0.1:1/api");
        let none = config("vercel-blob://p", &VARIABLES[..1]).unwrap();
        assert_eq!(none.endpoint, "https://vercel.com/api/blob");
        assert!(!format!("{none:?}").contains("hunter2"), "{none:?}");
    }

    #[test]
    fn a_token_is_needed_and_must_be_of_the_store_that_is_named() {
        let missing = config("vercel-blob://p", &[(TOKEN, "")]).unwrap_err();
        assert_eq!(missing, UnusableToken::Missing);
        let invalid = config("vercel-blob://p", &[(TOKEN, "hunter2")]).unwrap_err();
        assert_eq!(invalid, UnusableToken::Invalid(InvalidToken));
        let other = config("vercel-blob://p?store=xyz", &VARIABLES).unwrap_err();
        assert!(matches!(other, UnusableToken::OfAnotherStore { .. }), "{other:?}");
        for error in [missing, invalid, other] {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_repeating_values() {
        for bad in [
            "p",
            "vercel-blob:p",
            "vercel-blob://hunter2@p",
            "vercel-blob://vercel_blob_rw_AbC_hunter2",
            "vercel-blob://p?stroe=hunter2",
            "vercel-blob://p?store=hunter-2",
            "vercel-blob://p?access=hunter2",
            "vercel-blob://p?part-size=hunter2",
            "vercel-blob://p?endpoint=hunter2",
            "vercel-blob://p?read-endpoint=hunter2",
        ] {
            let error = bad.parse::<VercelBlobUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter"), "{bad}: {error:?}");
        }
    }
}
