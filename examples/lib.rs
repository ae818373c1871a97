//! Programs that show custom workflows; each file beside this one is one, and this is what they share.
//!
//! They are a crate of their own because they have other dependencies than the library, such as an asynchronous runtime.

use std::env;
use std::error::Error;

use backstay::{ConnectionConfig, ConninfoError, OpenStoreError, Repository, SearchPath, Variables, WhenMissing};

/// Whatever went wrong in an example.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The database that the environment names: `DATABASE_URL`, Supabase's variables, or those of libpq.
///
/// # Errors
/// None is named, or what names it is malformed.
pub fn database() -> Result<ConnectionConfig, ConninfoError> {
    let variables = Variables::from_iter(env::vars_os());
    Ok(backstay::resolve_source(None, &variables)?.config)
}

/// Where `pg_dump` and its like are looked for: `PATH`, then where packages put them.
#[must_use]
pub fn programs() -> SearchPath {
    SearchPath::with_usual_places(env::var_os("PATH").as_deref())
}

/// The backups in a folder, which is made where it is missing.
///
/// # Errors
/// The folder cannot be used.
pub fn repository(folder: &str) -> Result<Repository, OpenStoreError> {
    Ok(Repository::new(backstay::open_store(folder, WhenMissing::Create)?))
}

/// An error with its causes, in one line. The library's errors do not repeat their causes.
#[must_use]
pub fn explain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
