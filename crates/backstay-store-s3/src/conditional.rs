use backstay_core::Sha256Digest;
use backstay_core::store::{Error, TEMPORARY_PREFIX};

use backstay_http::{Failure, random};

use crate::client::{Call, Client};
use crate::config::ConditionalWrites;
use crate::failure::Told as _;

impl Client {
    /// Whether the server refuses a write under a key that exists. Some take the condition and overwrite all the same, so
    /// it is tried, under a temporary name.
    pub(crate) fn honours_conditions(&self) -> Result<bool, Error> {
        match self.config().conditional_writes {
            ConditionalWrites::Honoured => Ok(true),
            ConditionalWrites::Ignored => Ok(false),
            ConditionalWrites::Probed => {
                if let Some(known) = self.honours_conditions.get() {
                    return Ok(*known);
                }
                let found = self.probe()?;
                Ok(*self.honours_conditions.get_or_init(|| found))
            }
        }
    }

    fn probe(&self) -> Result<bool, Error> {
        let doing = "try conditional writes with";
        let key = format!("{TEMPORARY_PREFIX}probe-{:016x}", random());
        let name = self.name(&key);
        let subject = self.subject(&key);
        let put = || {
            let body = b"may be deleted";
            let call = Call::new("PUT", Some(&name)).header("if-none-match", "*");
            match self.once(&call.body(body, Sha256Digest::of(body)).checksummed()) {
                Ok(_) => Ok(Condition::Passed),
                Err(failure) if failure.is_precondition() => Ok(Condition::Refused),
                Err(failure) if failure.may_mind_a_header() => Ok(Condition::Unknown),
                Err(failure) => Err(failure),
            }
        };
        let mut honours = false;
        // The first one is refused only where its own lost answer left it there, which proves as much.
        for _ in 0..2 {
            match self.retried(doing, &subject, put)? {
                Condition::Passed => {}
                Condition::Refused => {
                    honours = true;
                    break;
                }
                Condition::Unknown => return Ok(false),
            }
        }
        let delete = || match self.once(&Call::new("DELETE", Some(&name))) {
            Err(failure) if !failure.is_missing() => Err(failure),
            _ => Ok::<(), Failure>(()),
        };
        // Where it stays, it is a leftover.
        let _ = self.tried(delete);
        Ok(honours)
    }
}

/// What became of a conditional write.
enum Condition {
    Passed,
    Refused,
    /// The server does not know conditions.
    Unknown,
}
