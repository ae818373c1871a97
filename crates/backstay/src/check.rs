//! Trying on a live store what every store promises.

mod bench;
mod promises;

use std::time::Duration;

use backstay_core::store::{Error, ObjectKey, Store};

use crate::CancelToken;
use crate::progress::{Phase, Progress, ProgressEvent};

use bench::Bench;

/// What a store was seen to keep of its promises.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreCheck {
    /// One for each promise that was tried, in that order.
    pub promises: Vec<PromiseSeen>,
    /// Objects of the check that could not be removed.
    pub left_behind: Vec<ObjectKey>,
}

/// What was seen of one promise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PromiseSeen {
    /// The promise, in a few words.
    pub promise: &'static str,
    /// Whether the store kept it.
    pub is_kept: bool,
    /// What was measured where it did, and what happened where it did not.
    pub detail: String,
}

impl StoreCheck {
    /// Whether everything that was tried was kept, and nothing left behind.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.left_behind.is_empty() && self.promises.iter().all(|seen| seen.is_kept)
    }
}

/// Tries on a live store what every [`Store`] promises, and removes all that it wrote, also where a promise is broken.
///
/// Its objects are called `backstay-check-TOKEN-…` and `backstay-check/TOKEN-…`, which are no names of backups; `token`
/// should be random, so that two checks at the same time keep apart. `elapsed` is a clock that only runs, for figures. It
/// writes some 21 MiB.
///
/// What a check cannot see: whether a list of thousands is complete, what happens to a writer that dies, and whether what is
/// written outlives a crash of the store.
///
/// After a cancellation the promises that were not tried are not in the list.
///
/// # Errors
/// Those of the first listing: a store that cannot even be listed is not tried.
pub fn check_store(
    store: &dyn Store,
    token: u64,
    elapsed: &(dyn Fn() -> Duration + Sync),
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<StoreCheck, Error> {
    let bench = Bench::new(store, token, elapsed);
    store.list(bench.prefix())?;
    progress.event(ProgressEvent::Phase {
        phase: Phase::CheckStore,
        bytes_total: 0,
    });
    let mut promises = Vec::new();
    for (promise, try_it) in promises::ALL {
        if cancel.is_cancelled() {
            break;
        }
        let (is_kept, detail) = match try_it(&bench) {
            Ok(detail) => (true, detail),
            Err(bench::Broken(why)) => (false, why),
        };
        promises.push(PromiseSeen {
            promise,
            is_kept,
            detail,
        });
    }
    Ok(StoreCheck {
        promises,
        left_behind: bench.clean_up(),
    })
}
