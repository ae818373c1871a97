use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::config::{
    Addressing, Checksums, ConditionalWrites, Encryption, LegalHold, LockMode, PartSizes, RetainUntil, Retention,
    S3Config,
};
use crate::credentials::{CredentialsError, Profile, Variables};

/// The domain of R2, which wants parts of one length.
const R2: &str = ".r2.cloudflarestorage.com";
const R2_PART_BYTES: u64 = 64 << 20;

/// The location of a store: `s3://bucket/prefix?name=value&…`, without credentials.
///
/// | name | value |
/// |---|---|
/// | `region` | else `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's, `us-east-1` |
/// | `endpoint` | URL of another server; else `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, AWS |
/// | `path-style` | `true` or `false`: whether the bucket stands in the path |
/// | `sse` | `AES256` or `aws:kms` |
/// | `sse-kms-key` | id or ARN of the key |
/// | `storage-class` | such as `STANDARD_IA` |
/// | `lock` | `governance` or `compliance`, together with one of the two that follow |
/// | `lock-days` | days from when an object is begun |
/// | `lock-until` | a time, such as `2030-01-01T00:00:00Z` |
/// | `legal-hold` | `on` or `off` |
/// | `checksums` | `auto`, `on` or `off` |
/// | `conditional` | `auto`, `on` or `off`: whether the server refuses keys that exist |
/// | `part-size` | bytes, or a number with `MiB` or `GiB`: parts of one length |
/// | `ca-file` | path of certificates (PEM) that are trusted instead of the public ones |
///
/// ```
/// use backstay_store_s3::{S3Url, Variables};
/// let url: S3Url = "s3://backups/kulti?region=eu-central-1&sse=AES256".parse()?;
/// let config = url.config(&Variables::default())?;
/// assert_eq!((config.bucket.as_str(), config.prefix.as_str()), ("backups", "kulti/"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct S3Url {
    config: S3Config,
    region: Option<String>,
    has_part_size: bool,
}

/// A text that is no [`S3Url`]. Values are not repeated, since one may be a secret in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidS3Url {
    /// It begins with something else.
    #[error("it does not begin with s3://")]
    Scheme,
    /// There is no bucket, or what stands there is none.
    #[error(
        "behind s3:// stands the name of a bucket, and nothing else before a slash (credentials come from the environment)"
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
    /// One setting without the other.
    #[error("{present} needs {missing} beside it")]
    Incomplete {
        /// The one that is there.
        present: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
}

impl S3Url {
    /// The configuration that it describes, completed by variables and by the profile that they name.
    ///
    /// # Errors
    /// A file of profiles cannot be read.
    pub fn config(&self, variables: &Variables) -> Result<S3Config, CredentialsError> {
        let mut config = self.config.clone();
        if config.endpoint.is_none() {
            let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
            config.endpoint = variables.first(&names).map(str::to_owned);
        }
        let is_r2 = config
            .endpoint
            .as_deref()
            .is_some_and(|endpoint| endpoint.trim_end_matches('/').ends_with(R2));
        if is_r2 && !self.has_part_size {
            config.parts = PartSizes::Uniform(R2_PART_BYTES);
        }
        config.region = match (&self.region, variables.first(&["AWS_REGION", "AWS_DEFAULT_REGION"])) {
            (Some(region), _) => region.clone(),
            (None, Some(region)) => region.to_owned(),
            (None, None) => match Profile::load(variables)?.get("region") {
                Some(region) => region.to_owned(),
                None if is_r2 => "auto".to_owned(),
                None => config.region,
            },
        };
        Ok(config)
    }
}

impl FromStr for S3Url {
    type Err = InvalidS3Url;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("s3://").ok_or(InvalidS3Url::Scheme)?;
        let (place, settings) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() || bucket.contains([':', '@', '#']) {
            return Err(InvalidS3Url::Bucket);
        }
        let mut url = Self {
            config: S3Config::new(bucket),
            region: None,
            has_part_size: false,
        };
        let prefix = prefix.trim_matches('/');
        if !prefix.is_empty() {
            url.config.prefix = format!("{prefix}/");
        }
        let mut lock = Lock::default();
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            url.set(&mut lock, name, value)?;
        }
        url.config.lock.retention = lock.retention()?;
        Ok(url)
    }
}

/// The settings that make a retention together.
#[derive(Default)]
struct Lock {
    mode: Option<LockMode>,
    until: Option<RetainUntil>,
}

impl Lock {
    fn retention(self) -> Result<Option<Retention>, InvalidS3Url> {
        let incomplete = |present, missing| Err(InvalidS3Url::Incomplete { present, missing });
        match (self.mode, self.until) {
            (None, None) => Ok(None),
            (Some(mode), Some(until)) => Ok(Some(Retention { mode, until })),
            (Some(_), None) => incomplete("lock", "lock-days or lock-until"),
            (None, Some(RetainUntil::Days(_))) => incomplete("lock-days", "lock"),
            (None, Some(RetainUntil::Date(_))) => incomplete("lock-until", "lock"),
        }
    }
}

impl S3Url {
    fn set(&mut self, lock: &mut Lock, name: &str, value: String) -> Result<(), InvalidS3Url> {
        let config = &mut self.config;
        match name {
            "region" => self.region = Some(filled("region", value)?),
            "endpoint" => {
                let is_url = value.starts_with("https://") || value.starts_with("http://");
                let endpoint = is_url.then_some(value);
                config.endpoint = Some(endpoint.ok_or(invalid("endpoint", "a URL (https://host)"))?);
            }
            "path-style" => {
                config.addressing = choice("path-style", &value, "true or false", |value| match value {
                    "true" => Some(Addressing::Path),
                    "false" => Some(Addressing::VirtualHost),
                    _ => None,
                })?;
            }
            "sse" => {
                let key = match config.encryption.take() {
                    Some(Encryption::Kms { key }) => key,
                    _ => None,
                };
                config.encryption = choice("sse", &value, "AES256 or aws:kms", |value| match value {
                    "AES256" if key.is_none() => Some(Some(Encryption::Aes256)),
                    "aws:kms" => Some(Some(Encryption::Kms { key: key.clone() })),
                    _ => None,
                })?;
            }
            "sse-kms-key" => {
                if config.encryption == Some(Encryption::Aes256) {
                    return Err(invalid("sse", "aws:kms where there is a key"));
                }
                let key = Some(filled("sse-kms-key", value)?);
                config.encryption = Some(Encryption::Kms { key });
            }
            "storage-class" => config.storage_class = Some(filled("storage-class", value)?),
            "lock" => {
                lock.mode = Some(choice(
                    "lock",
                    &value,
                    "governance or compliance",
                    |value| match value {
                        "governance" => Some(LockMode::Governance),
                        "compliance" => Some(LockMode::Compliance),
                        _ => None,
                    },
                )?);
            }
            "lock-days" => {
                let days = value.parse().map_err(|_| invalid("lock-days", "a number of days"))?;
                lock.until = Some(RetainUntil::Days(days));
            }
            "lock-until" => {
                let expected = "a time such as 2030-01-01T00:00:00Z";
                let date = value.parse().map_err(|_| invalid("lock-until", expected))?;
                lock.until = Some(RetainUntil::Date(date));
            }
            "legal-hold" => {
                config.lock.legal_hold = choice("legal-hold", &value, "on or off", |value| match value {
                    "on" => Some(LegalHold::On),
                    "off" => Some(LegalHold::Off),
                    _ => None,
                })?;
            }
            "checksums" => {
                config.checksums = choice("checksums", &value, "auto, on or off", |value| match value {
                    "auto" => Some(Checksums::Automatic),
                    "on" => Some(Checksums::Sent),
                    "off" => Some(Checksums::Omitted),
                    _ => None,
                })?;
            }
            "conditional" => {
                config.conditional_writes = choice("conditional", &value, "auto, on or off", |value| match value {
                    "auto" => Some(ConditionalWrites::Probed),
                    "on" => Some(ConditionalWrites::Honoured),
                    "off" => Some(ConditionalWrites::Ignored),
                    _ => None,
                })?;
            }
            "part-size" => {
                let bytes = size(&value).ok_or(invalid("part-size", "a size such as 64MiB"))?;
                config.parts = PartSizes::Uniform(bytes);
                self.has_part_size = true;
            }
            "ca-file" => config.ca_file = Some(PathBuf::from(filled("ca-file", value)?)),
            unknown => return Err(InvalidS3Url::Unknown(unknown.to_owned())),
        }
        Ok(())
    }
}

fn invalid(name: &'static str, expected: &'static str) -> InvalidS3Url {
    InvalidS3Url::Value { name, expected }
}

fn filled(name: &'static str, value: String) -> Result<String, InvalidS3Url> {
    if value.is_empty() {
        return Err(invalid(name, "something"));
    }
    Ok(value)
}

fn choice<T>(
    name: &'static str,
    value: &str,
    expected: &'static str,
    choose: impl Fn(&str) -> Option<T>,
) -> Result<T, InvalidS3Url> {
    choose(value).ok_or(invalid(name, expected))
}

fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text {
        text if text.ends_with("MiB") => (text.trim_end_matches("MiB"), 20),
        text if text.ends_with("GiB") => (text.trim_end_matches("GiB"), 30),
        text => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

impl fmt::Display for S3Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.config.bucket, self.config.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str, variables: &[(&str, &str)]) -> S3Config {
        let url: S3Url = text.parse().unwrap();
        url.config(&variables.iter().copied().collect()).unwrap()
    }

    #[test]
    fn settings_reach_the_configuration() {
        let all = config(
            "s3://b/p/q?region=r&endpoint=http%3A%2F%2F127.0.0.1:9000&path-style=true&sse=aws:kms&sse-kms-key=k&\
             storage-class=STANDARD_IA&lock=compliance&lock-days=30&legal-hold=on&checksums=off&conditional=on&\
             part-size=64MiB&ca-file=/x.pem",
            &[],
        );
        assert_eq!(
            (all.bucket.as_str(), all.prefix.as_str(), all.region.as_str()),
            ("b", "p/q/", "r")
        );
        assert_eq!(all.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(all.addressing, Addressing::Path);
        let key = Some("k".to_owned());
        assert_eq!(all.encryption, Some(Encryption::Kms { key }));
        assert_eq!(all.storage_class.as_deref(), Some("STANDARD_IA"));
        let retention = Retention {
            mode: LockMode::Compliance,
            until: RetainUntil::Days(30),
        };
        assert_eq!(
            (all.lock.retention, all.lock.legal_hold),
            (Some(retention), LegalHold::On)
        );
        assert_eq!(all.checksums, Checksums::Omitted);
        assert_eq!(all.conditional_writes, ConditionalWrites::Honoured);
        assert_eq!(all.parts, PartSizes::Uniform(64 << 20));
        assert_eq!(all.ca_file, Some(PathBuf::from("/x.pem")));
    }

    #[test]
    fn variables_complete_what_the_url_leaves_open() {
        let variables = [("AWS_DEFAULT_REGION", "v"), ("AWS_ENDPOINT_URL", "https://e")];
        for (url, region, endpoint) in [
            ("s3://b", "v", "https://e"),
            ("s3://b?region=u", "u", "https://e"),
            ("s3://b?endpoint=https://f", "v", "https://f"),
        ] {
            let found = config(url, &variables);
            assert_eq!(
                (found.region.as_str(), found.endpoint.as_deref()),
                (region, Some(endpoint)),
                "{url}"
            );
        }
        assert_eq!(config("s3://b/", &[]).region, "us-east-1");
        let r2 = config("s3://b?endpoint=https://account.r2.cloudflarestorage.com", &[]);
        assert_eq!(
            (r2.region.as_str(), r2.parts),
            ("auto", PartSizes::Uniform(R2_PART_BYTES))
        );
    }

    #[test]
    fn what_is_no_url_is_refused_without_repeating_values() {
        for bad in [
            "b/p",
            "s3:b",
            "s3://",
            "s3:///p",
            "s3://hunter2:hunter2@b",
            "s3://b?regoin=hunter2",
            "s3://b?region=",
            "s3://b?endpoint=hunter2",
            "s3://b?path-style=hunter2",
            "s3://b?sse=hunter2",
            "s3://b?sse=AES256&sse-kms-key=hunter2",
            "s3://b?sse-kms-key=hunter2&sse=AES256",
            "s3://b?lock=compliance",
            "s3://b?lock-days=3",
            "s3://b?lock=governance&lock-until=hunter2",
            "s3://b?part-size=hunter2",
            "s3://b?checksums=hunter2",
        ] {
            let error = bad.parse::<S3Url>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{bad}: {error:?}");
        }
    }
}
