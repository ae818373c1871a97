use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::config::SupabaseConfig;
use crate::key::{ApiKey, InvalidApiKey};

const URL: &str = "SUPABASE_URL";
const PROJECT: &str = "SUPABASE_PROJECT_REF";
const SECRET_KEY: &str = "SUPABASE_SECRET_KEY";
const SERVICE_ROLE_KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";

/// The location of a store: `supabase://bucket/prefix?name=value&…`, without credentials. The key comes from
/// `SUPABASE_SECRET_KEY` or `SUPABASE_SERVICE_ROLE_KEY`.
///
/// | name | value |
/// |---|---|
/// | `project` | reference of the project; else `SUPABASE_PROJECT_REF`, or what `SUPABASE_URL` names |
/// | `endpoint` | URL of a project that is not at Supabase |
/// | `object-limit` | bytes, or a number with `MB`, `GB`, `MiB` or `GiB`: the longest object, 49 MB without this, 5 GB at most |
///
/// `SUPABASE_URL` is heeded where it names a project at Supabase or a server on this machine. Others are named in the
/// location: whoever can write a file of variables must not be able to have the key sent to himself.
///
/// ```
/// use backstay_store_supabase::{SupabaseUrl, Variables};
/// let url: SupabaseUrl = "supabase://backups/kulti?project=abcdefghij&object-limit=1GB".parse()?;
/// let config = url.config(&Variables::from_iter([("SUPABASE_SECRET_KEY", "sb_secret_x")]))?;
/// assert_eq!(config.endpoint, "https://abcdefghij.storage.supabase.co/storage/v1");
/// assert_eq!((config.bucket.as_str(), config.prefix.as_str()), ("backups", "kulti/"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupabaseUrl {
    bucket: String,
    prefix: String,
    project: Option<String>,
    endpoint: Option<String>,
    object_bytes_max: Option<u64>,
}

/// The environment variables that matter here, handed in by the caller.
///
/// Where a name comes twice, the later one counts; an empty value is none. `Debug` shows none.
#[derive(Clone, Default)]
pub struct Variables {
    url: Option<String>,
    project: Option<String>,
    secret_key: Option<String>,
    service_role_key: Option<String>,
}

impl<K: AsRef<str>, V: Into<String>> FromIterator<(K, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let mut found = Self::default();
        for (name, value) in variables {
            let place = match name.as_ref() {
                URL => &mut found.url,
                PROJECT => &mut found.project,
                SECRET_KEY => &mut found.secret_key,
                SERVICE_ROLE_KEY => &mut found.service_role_key,
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

/// A text that is no [`SupabaseUrl`]. Values are not repeated, since one may be a secret in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSupabaseUrl {
    /// It begins with something else.
    #[error("it does not begin with supabase://")]
    Scheme,
    /// There is no bucket, or what stands there is none.
    #[error(
        "behind supabase:// stands the name of a bucket, and nothing else before a slash (the key comes from {SECRET_KEY})"
    )]
    Bucket,
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
pub enum Incomplete {
    /// Nothing says whose bucket it is.
    #[error("nothing names the project: neither project= in the location, nor {PROJECT}, nor {URL}")]
    Project,
    /// There is no key.
    #[error("there is no key: neither {SECRET_KEY} nor {SERVICE_ROLE_KEY} is set")]
    Key,
    /// There is something else in its place.
    #[error("{name} holds no key that may be used")]
    InvalidKey {
        /// Name of the variable.
        name: &'static str,
        /// Why.
        source: InvalidApiKey,
    },
}

/// Where the storage of a project answers.
enum Place {
    /// The reference of a project.
    AtSupabase(String),
    /// An endpoint.
    Elsewhere(String),
}

impl SupabaseUrl {
    /// What names a project and none of its buckets, for [`ProjectFiles`](crate::ProjectFiles).
    ///
    /// # Errors
    /// [`InvalidSupabaseUrl::Value`].
    pub fn of_project(project: Option<&str>, endpoint: Option<&str>) -> Result<Self, InvalidSupabaseUrl> {
        let mut url = Self {
            bucket: String::new(),
            prefix: String::new(),
            project: None,
            endpoint: None,
            object_bytes_max: None,
        };
        for (name, value) in [("project", project), ("endpoint", endpoint)] {
            if let Some(value) = value {
                url.set(name, value.to_owned())?;
            }
        }
        Ok(url)
    }

    /// The configuration that it describes, completed by variables.
    ///
    /// # Errors
    /// The project or the key is not known.
    pub fn config(&self, variables: &Variables) -> Result<SupabaseConfig, Incomplete> {
        let place = self.place(variables).ok_or(Incomplete::Project)?;
        let (name, key) = match (&variables.secret_key, &variables.service_role_key) {
            (Some(key), _) => (SECRET_KEY, key),
            (None, Some(key)) => (SERVICE_ROLE_KEY, key),
            (None, None) => return Err(Incomplete::Key),
        };
        let key: ApiKey = key.parse().map_err(|source| Incomplete::InvalidKey { name, source })?;
        let mut config = match place {
            Place::AtSupabase(project) => SupabaseConfig::new(&project, key, &self.bucket),
            Place::Elsewhere(endpoint) => SupabaseConfig::at(endpoint, key, &self.bucket),
        };
        config.prefix.clone_from(&self.prefix);
        if let Some(bytes) = self.object_bytes_max {
            config.object_bytes_max = bytes;
        }
        Ok(config)
    }

    /// The project at Supabase that the bucket belongs to, where one is named. Whoever deletes the project deletes what is
    /// in the bucket.
    #[must_use]
    pub fn project(&self, variables: &Variables) -> Option<String> {
        match self.place(variables)? {
            Place::AtSupabase(project) => Some(project),
            // Something else may stand before a project.
            Place::Elsewhere(_) => self.project.clone(),
        }
    }

    /// What the files of a project are called after: the project, or the host where nothing names one.
    #[must_use]
    pub fn label(&self, variables: &Variables) -> Option<String> {
        match (self.project(variables), self.place(variables)?) {
            (Some(project), _) | (None, Place::AtSupabase(project)) => Some(project),
            (None, Place::Elsewhere(url)) => {
                let rest = url.split_once("://").map_or(&*url, |(_, rest)| rest);
                rest.split('/').next().map(str::to_owned)
            }
        }
    }

    fn place(&self, variables: &Variables) -> Option<Place> {
        if let Some(endpoint) = &self.endpoint {
            return Some(Place::Elsewhere(storage_of(endpoint)));
        }
        let named = self.project.as_ref().or(variables.project.as_ref());
        if let Some(project) = named.filter(|project| is_project(project)) {
            return Some(Place::AtSupabase(project.clone()));
        }
        let url = variables.url.as_ref()?;
        let host = url.split_once("://")?.1.split(['/', ':', '?', '#']).next()?;
        match host.strip_suffix(".supabase.co") {
            Some(project) if url.starts_with("https://") && is_project(project) => {
                Some(Place::AtSupabase(project.to_owned()))
            }
            None if matches!(host, "127.0.0.1" | "localhost") && !url.contains('@') => {
                Some(Place::Elsewhere(storage_of(url)))
            }
            _ => None,
        }
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), InvalidSupabaseUrl> {
        match name {
            "project" => {
                let expected = "the reference of a project, letters and digits";
                self.project = Some(
                    is_project(&value)
                        .then_some(value)
                        .ok_or(invalid("project", expected))?,
                );
            }
            "endpoint" => {
                let is_url = value.starts_with("https://") || value.starts_with("http://");
                let endpoint = is_url.then_some(value);
                self.endpoint = Some(endpoint.ok_or(invalid("endpoint", "a URL (https://host)"))?);
            }
            "object-limit" => {
                let bytes = size(&value).filter(|bytes| *bytes > 0);
                self.object_bytes_max = Some(bytes.ok_or(invalid("object-limit", "a size such as 500MB"))?);
            }
            unknown => return Err(InvalidSupabaseUrl::Unknown(unknown.to_owned())),
        }
        Ok(())
    }
}

impl FromStr for SupabaseUrl {
    type Err = InvalidSupabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("supabase://").ok_or(InvalidSupabaseUrl::Scheme)?;
        let (place, settings) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        // What stands here is shown in messages, so nothing that looks like a secret may be taken for it.
        if bucket.is_empty() || place.contains(['@', '#']) || bucket.contains(':') || place.contains("sb_secret_") {
            return Err(InvalidSupabaseUrl::Bucket);
        }
        let prefix = prefix.trim_matches('/');
        let mut url = Self {
            bucket: bucket.to_owned(),
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
            project: None,
            endpoint: None,
            object_bytes_max: None,
        };
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            url.set(name, percent_decode_str(value).decode_utf8_lossy().into_owned())?;
        }
        Ok(url)
    }
}

/// Whether that can be the reference of a project, which becomes a part of a host's name.
fn is_project(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn storage_of(url: &str) -> String {
    let url = url.trim_end_matches('/');
    format!("{}/storage/v1", url.strip_suffix("/storage/v1").unwrap_or(url))
}

fn invalid(name: &'static str, expected: &'static str) -> InvalidSupabaseUrl {
    InvalidSupabaseUrl::Value { name, expected }
}

fn size(text: &str) -> Option<u64> {
    let units = [
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
    ];
    let found = units
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (digits, unit) = found.unwrap_or((text, 1));
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

impl fmt::Display for SupabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "supabase://{}/{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str) = (SECRET_KEY, "sb_secret_hunter2");

    fn config(text: &str, variables: &[(&str, &str)]) -> Result<SupabaseConfig, Incomplete> {
        let url: SupabaseUrl = text.parse().unwrap();
        url.config(&variables.iter().copied().collect())
    }

    #[test]
    fn the_project_is_found_and_its_storage() {
        let hosted = "https://abc1.storage.supabase.co/storage/v1";
        for (text, variable, endpoint, project) in [
            ("supabase://b?project=abc1", ("", ""), hosted, Some("abc1")),
            ("supabase://b", (PROJECT, "abc1"), hosted, Some("abc1")),
            ("supabase://b", (URL, "https://abc1.supabase.co"), hosted, Some("abc1")),
            ("supabase://b", (URL, "https://abc1.supabase.co/"), hosted, Some("abc1")),
            ("supabase://b?project=abc1", (PROJECT, "xyz"), hosted, Some("abc1")),
            (
                "supabase://b",
                (URL, "http://127.0.0.1:54321"),
                "http://127.0.0.1:54321/storage/v1",
                None,
            ),
            (
                "supabase://b?endpoint=https%3A%2F%2Fself.example/storage/v1/&project=abc1",
                (PROJECT, "xyz"),
                "https://self.example/storage/v1",
                Some("abc1"),
            ),
        ] {
            let found = config(text, &[KEY, variable]).unwrap();
            assert_eq!(found.endpoint, endpoint, "{text} {variable:?}");
            let url: SupabaseUrl = text.parse().unwrap();
            let named = url.project(&[variable].into_iter().collect());
            assert_eq!(named.as_deref(), project, "{text} {variable:?}");
            assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        }
        let limited = config("supabase://b/p/q/?project=a&object-limit=2GiB", &[KEY]).unwrap();
        assert_eq!((limited.prefix.as_str(), limited.object_bytes_max), ("p/q/", 2 << 30));
        let free = config("supabase://b?project=a", &[KEY]).unwrap();
        assert!(free.object_bytes_max < 50_000_000);
    }

    #[test]
    fn a_variable_sends_the_key_nowhere_else() {
        for url in [
            "https://supabase.example",
            "https://abc1.supabase.co.example",
            "http://abc1.supabase.co",
            "https://127.0.0.1.example",
            "https://evil.example/.supabase.co",
            "https://x@abc1.supabase.co",
            "http://localhost:x@evil.example",
            "http://127.0.0.1#@evil.example",
        ] {
            let refused = config("supabase://b", &[KEY, (URL, url)]).unwrap_err();
            assert_eq!(refused, Incomplete::Project, "{url}");
        }
    }

    #[test]
    fn a_key_is_needed_and_is_not_shown() {
        assert_eq!(config("supabase://b?project=a", &[]).unwrap_err(), Incomplete::Key);
        let invalid = config("supabase://b?project=a", &[(SERVICE_ROLE_KEY, "hunter2 hunter2")]).unwrap_err();
        let is_named = matches!(invalid, Incomplete::InvalidKey { name, .. } if name == SERVICE_ROLE_KEY);
        assert!(is_named, "{invalid:?}");
        assert!(!format!("{invalid} {invalid:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_url_is_refused_without_repeating_values() {
        for bad in [
            "b/p",
            "supabase:b",
            "supabase://",
            "supabase:///p",
            "supabase://hunter2:hunter2@b",
            "supabase://b/hunter2@x",
            "supabase://sb_secret_hunter2",
            "supabase://b?projcet=hunter2",
            "supabase://b?project=hunter2.example/",
            "supabase://b?endpoint=hunter2",
            "supabase://b?object-limit=hunter2",
            "supabase://b?object-limit=0",
        ] {
            let error = bad.parse::<SupabaseUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{bad}: {error:?}");
        }
    }
}
