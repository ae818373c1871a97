use std::hash::{BuildHasher as _, RandomState};
use std::thread;
use std::time::Duration;

use crate::failure::Failure;

const WAIT_MAX: Duration = Duration::from_secs(20);
/// A server that asks for more has none to give.
const ASKED_MAX: Duration = Duration::from_secs(120);

/// How often what is transient is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain setting")]
pub struct Retries {
    /// Tries in all; 1 is no second one.
    pub tries: u32,
    /// The first wait; each is twice the one before, at most 20 seconds, and up to a half shorter by chance.
    pub first_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            tries: 8,
            first_wait: Duration::from_millis(250),
        }
    }
}

/// How an outcome came about.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Tries {
    /// How many there were.
    pub count: u32,
    /// Whether an earlier try may have been carried out without our learning of it.
    pub is_lost: bool,
}

impl Retries {
    /// Tries until it succeeds, fails for good, or has failed too often. What is tried must be harmless to repeat.
    pub fn tried<T>(
        self,
        is_transient: impl Fn(&Failure) -> bool,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> (Result<T, Failure>, Tries) {
        let mut tries = Tries {
            count: 1,
            is_lost: false,
        };
        loop {
            match attempt() {
                Err(failure) if is_transient(&failure) && tries.count < self.tries => {
                    self.wait(tries.count, failure.retry_after());
                    tries.count += 1;
                    tries.is_lost = true;
                }
                outcome => return (outcome, tries),
            }
        }
    }

    /// Waits after the n-th try, and at least as long as the server asked for.
    pub fn wait(self, nth: u32, asked: Option<Duration>) {
        let doubled = self.first_wait.saturating_mul(1 << nth.saturating_sub(1).min(16));
        let longest = doubled.min(WAIT_MAX);
        let chance = u32::try_from(random() % 512).unwrap_or(0);
        let wait = longest - longest * chance / 1024;
        thread::sleep(wait.max(asked.unwrap_or_default().min(ASKED_MAX)));
    }
}

/// A number that differs between writers, threads and processes.
#[must_use]
pub fn random() -> u64 {
    // Each of these has keys that the operating system drew by chance.
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn refused(status: u16, retry_after: Option<Duration>) -> Failure {
        Failure::Refused {
            status,
            code: String::new(),
            message: String::new(),
            retry_after,
        }
    }

    #[test]
    fn what_is_transient_is_tried_so_often_and_no_more() {
        let retries = Retries {
            tries: 4,
            first_wait: Duration::ZERO,
        };
        let run = |failures: u32, status| {
            let mut left = failures;
            let (outcome, tries) = retries.tried(
                |failure| failure.is_transient(&[]),
                || {
                    if left == 0 {
                        return Ok(());
                    }
                    left -= 1;
                    Err(refused(status, None))
                },
            );
            (outcome.is_ok(), tries.count, tries.is_lost)
        };
        assert_eq!(run(0, 503), (true, 1, false));
        assert_eq!(run(3, 503), (true, 4, true));
        assert_eq!(run(4, 503), (false, 4, true));
        assert_eq!(run(1, 403), (false, 1, false));
        assert_eq!(run(1, 501), (false, 1, false));
    }

    #[test]
    fn a_server_that_asks_to_wait_is_waited_for() {
        let begun = Instant::now();
        let retries = Retries {
            tries: 2,
            first_wait: Duration::ZERO,
        };
        let asked = Duration::from_millis(60);
        let (_, tries) = retries.tried(|_| true, || Err::<(), _>(refused(429, Some(asked))));
        assert_eq!(tries.count, 2);
        assert!(begun.elapsed() >= asked);
    }
}
