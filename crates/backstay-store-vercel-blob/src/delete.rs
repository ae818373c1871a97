use backstay_core::store::{Error, ErrorKind};
use backstay_http::Failure;
use serde_json::{Value, json};

use crate::client::{Call, Client};
use crate::dialect;

/// How often an object may be another one by the time that it is deleted.
const LOOKS_MAX: u32 = 3;

impl Client {
    /// Removes an object; one that does not exist counts as removed. It is looked at first, and deleted if it is still that
    /// one, so that nothing else is, however the service understands a name.
    pub(crate) fn delete(&self, key: &str) -> Result<(), Error> {
        let subject = self.subject(key);
        let body = json!({ "urls": [self.name(key)] }).to_string();
        for _ in 0..LOOKS_MAX {
            let Some(found) = self.look(key)? else {
                return Ok(());
            };
            let call = Call::new("POST", "/delete")
                .json(&body)
                .header("x-if-match", found.etag);
            let is_deleted = self.retried("delete", &subject, || match self.once::<Value>(&call) {
                Ok(_) => Ok(true),
                // It is gone or another one, also where the answer to an earlier try was lost: looking tells.
                Err(failure) if dialect::is_precondition(&failure) || dialect::is_missing(&failure) => Ok(false),
                Err(failure) => Err::<bool, Failure>(failure),
            })?;
            if is_deleted {
                return Ok(());
            }
        }
        let why = "it was replaced each time that it was to be deleted";
        Err(Error::new(ErrorKind::Transient, "delete", subject).because(why))
    }
}
