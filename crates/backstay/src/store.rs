use std::sync::Arc;

use backstay_core::store::{Error, ErrorKind, Store};
use backstay_postgres::Variables;
use backstay_store_local::LocalStore;

/// The kinds of stores, for messages.
const KNOWN: &[&str] = &[
    "a path",
    "file:",
    #[cfg(feature = "s3")]
    "s3:",
    #[cfg(feature = "vercel-blob")]
    "vercel-blob:",
];

/// What to do when a store is not there yet. A bucket is never made: whoever owns it decides where and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum WhenMissing {
    /// Make it.
    Create,
    /// Fail.
    Fail,
}

/// Why a location is not a store that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStoreError {
    /// No store has that scheme.
    #[error("unknown kind of store {scheme:?} (known: {})", KNOWN.join(", "))]
    UnknownScheme {
        /// What stands before the colon.
        scheme: String,
    },
    /// What follows the scheme cannot be understood. The location is not repeated, because a secret may be in it by
    /// mistake.
    #[error("the location of the store ({scheme}:) cannot be understood")]
    Location {
        /// What stands before the colon.
        scheme: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store cannot be opened.
    #[error("cannot open the store {location}")]
    Open {
        /// The location, without credentials.
        location: String,
        /// Why.
        source: Error,
    },
}

/// Turns a location into a store, without credentials for any: a path, or `file:` and a path.
///
/// # Errors
/// Those of [`open_store_with`].
pub fn open_store(location: &str, when_missing: WhenMissing) -> Result<Arc<dyn Store>, OpenStoreError> {
    open_store_with(location, when_missing, &Variables::default())
}

/// Turns a location into a store: a path, `file:` and a path, or one of these, with settings behind a `?`:
///
/// - `s3://bucket/prefix` (`backstay_store_s3::S3Url`): credentials and further settings come from the variables, as AWS's
///   own programs take them: `AWS_ACCESS_KEY_ID`, profiles in the home folder, the identity of the machine;
/// - `vercel-blob://prefix` (`backstay_store_vercel_blob::VercelBlobUrl`): the token is `BLOB_READ_WRITE_TOKEN`.
///
/// A store on another machine is not asked for anything yet.
///
/// # Errors
/// The scheme is unknown, the location cannot be understood, or the store cannot be opened.
pub fn open_store_with(
    location: &str,
    when_missing: WhenMissing,
    variables: &Variables,
) -> Result<Arc<dyn Store>, OpenStoreError> {
    let path = match location.split_once(':') {
        Some(("file", path)) => path.strip_prefix("//").unwrap_or(path),
        #[cfg(feature = "s3")]
        Some(("s3", _)) => return open_bucket(location, variables),
        #[cfg(feature = "vercel-blob")]
        Some(("vercel-blob", _)) => return open_vercel_blob(location, variables),
        // A single letter would be a drive, and a path may have a colon further on.
        Some((scheme, _)) if is_scheme(scheme) => {
            return Err(OpenStoreError::UnknownScheme {
                scheme: scheme.to_owned(),
            });
        }
        _ => location,
    };
    let opened = match (LocalStore::open(path), when_missing) {
        (Err(error), WhenMissing::Create) if error.kind() == ErrorKind::StoreMissing => {
            match LocalStore::create(path) {
                // Another program has just made it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => LocalStore::open(path),
                created => created,
            }
        }
        (opened, _) => opened,
    };
    match opened {
        Ok(store) => Ok(Arc::new(store)),
        Err(source) => Err(OpenStoreError::Open {
            location: path.to_owned(),
            source,
        }),
    }
}

#[cfg(feature = "s3")]
fn open_bucket(location: &str, variables: &Variables) -> Result<Arc<dyn Store>, OpenStoreError> {
    use backstay_store_s3::{DefaultChain, InvalidS3Url, S3Store, S3Url};

    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| OpenStoreError::Location { scheme: "s3", source };
    let url: S3Url = location.parse().map_err(|error: InvalidS3Url| unusable(error.into()))?;
    let variables: backstay_store_s3::Variables = variables.texts().collect();
    let config = url.config(&variables).map_err(|error| unusable(error.into()))?;
    match S3Store::open(config, Arc::new(DefaultChain::new(&variables))) {
        Ok(store) => Ok(Arc::new(store)),
        Err(source) => Err(OpenStoreError::Open {
            location: url.to_string(),
            source,
        }),
    }
}

#[cfg(feature = "vercel-blob")]
fn open_vercel_blob(location: &str, variables: &Variables) -> Result<Arc<dyn Store>, OpenStoreError> {
    use backstay_store_vercel_blob::{InvalidVercelBlobUrl, VercelBlobStore, VercelBlobUrl};

    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| OpenStoreError::Location {
        scheme: "vercel-blob",
        source,
    };
    let url: VercelBlobUrl = location
        .parse()
        .map_err(|error: InvalidVercelBlobUrl| unusable(error.into()))?;
    let variables: backstay_store_vercel_blob::Variables = variables.texts().collect();
    let config = url.config(&variables).map_err(|error| unusable(error.into()))?;
    match VercelBlobStore::open(config) {
        Ok(store) => Ok(Arc::new(store)),
        Err(source) => Err(OpenStoreError::Open {
            location: url.to_string(),
            source,
        }),
    }
}

fn is_scheme(text: &str) -> bool {
    text.len() > 1 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_told_from_paths() {
        for (location, scheme) in [
            ("ftp://host/x", Some("ftp")),
            ("./a:b", None),
            ("C:x", None),
            ("a/b:c", None),
        ] {
            let found = match open_store(location, WhenMissing::Fail) {
                Err(OpenStoreError::UnknownScheme { scheme }) => Some(scheme),
                _ => None,
            };
            assert_eq!(found.as_deref(), scheme, "{location}");
        }
    }

    #[test]
    fn a_missing_folder_is_made_only_on_demand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backups");
        let location = format!("file:{}", path.display());
        assert!(matches!(
            open_store(&location, WhenMissing::Fail),
            Err(OpenStoreError::Open { .. })
        ));
        assert!(open_store(&location, WhenMissing::Create).is_ok() && path.is_dir());
        assert!(open_store(path.to_str().unwrap(), WhenMissing::Fail).is_ok());
    }

    #[test]
    fn whoever_makes_a_folder_at_the_same_time_gets_it_too() {
        let parent = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let location = parent.path().join(round.to_string()).display().to_string();
            let together = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        together.wait();
                        open_store(&location, WhenMissing::Create).unwrap();
                    });
                }
            });
        }
    }

    #[cfg(feature = "s3")]
    #[test]
    fn a_bucket_is_opened_without_asking_it() {
        let store = open_store("s3://bucket/a/b?region=eu-central-1", WhenMissing::Fail).unwrap();
        assert_eq!(store.location(), "s3://bucket/a/b");
        let error = open_store("s3://id:hunter2@bucket", WhenMissing::Fail).unwrap_err();
        assert!(matches!(error, OpenStoreError::Location { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }

    #[cfg(feature = "vercel-blob")]
    #[test]
    fn a_blob_store_is_opened_without_asking_it() {
        let variables = Variables::from_iter([("BLOB_READ_WRITE_TOKEN", "vercel_blob_rw_Store_hunter2")]);
        let open = |location| open_store_with(location, WhenMissing::Fail, &variables);
        let store = open("vercel-blob://a/b?store=Store").unwrap();
        assert_eq!(store.location(), "vercel-blob://a/b");
        for location in ["vercel-blob://hunter2@a", "vercel-blob://a?store=Other"] {
            let error = open(location).unwrap_err();
            assert!(matches!(error, OpenStoreError::Location { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
