use backstay_core::store::{Error, ErrorKind, TEMPORARY_PREFIX};

use crate::client::{Call, Client};
use crate::dialect;

/// Removes an object; one that does not exist counts as removed, and a bucket that does not exist is an error.
pub(crate) fn object(client: &Client, doing: &'static str, key: &str) -> Result<(), Error> {
    if !client.can_keep(key) {
        return client.expect_bucket(doing).map(drop);
    }
    let path = client.path("", &client.name(key));
    let was_there = client.retried(doing, &client.subject(key), || {
        match client.once(&Call::new("DELETE", &path)) {
            Err(failure) if dialect::is_missing(&failure) => Ok(false),
            answer => answer.map(|_| true),
        }
    })?;
    // The service says the same of an object in a bucket that is not there.
    if !was_there {
        client.expect_bucket(doing)?;
    }
    Ok(())
}

/// Removes a temporary object by its name.
pub(crate) fn leftover(client: &Client, name: &str) -> Result<(), Error> {
    let doing = "delete the leftover";
    if name.starts_with(TEMPORARY_PREFIX) && !name.contains('/') && client.can_keep(name) {
        return object(client, doing, name);
    }
    Err(Error::new(ErrorKind::UnsupportedKey, doing, client.subject(name)))
}
