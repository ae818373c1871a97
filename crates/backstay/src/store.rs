use std::sync::Arc;

use backstay_core::store::{Error, ErrorKind, Store};
use backstay_store_local::LocalStore;

/// What to do when a store is not there yet.
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
    #[error("unknown kind of store {scheme:?} (known: a path, file:)")]
    UnknownScheme {
        /// What stands before the colon.
        scheme: String,
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

/// Turns a location into a store: a path, or `file:` and a path.
///
/// # Errors
/// The scheme is unknown, or the store cannot be opened.
pub fn open_store(location: &str, when_missing: WhenMissing) -> Result<Arc<dyn Store>, OpenStoreError> {
    let path = match location.split_once(':') {
        Some(("file", path)) => path.strip_prefix("//").unwrap_or(path),
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

fn is_scheme(text: &str) -> bool {
    text.len() > 1 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_told_from_paths() {
        for (location, scheme) in [
            ("s3://bucket/x", Some("s3")),
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
}
