use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::say;

/// Whether the program was asked to stop: by a first signal that work may end, by more that it is to be cancelled.
#[derive(Clone)]
pub(super) struct Stop {
    asked: Arc<(Mutex<Asked>, Condvar)>,
    grace: Duration,
}

#[derive(Clone, Copy, Default)]
struct Asked {
    since: Option<Instant>,
    signals: usize,
}

impl Stop {
    pub(super) fn watch(grace: Duration) -> Result<Self, io::Error> {
        let stop = Self {
            asked: Arc::default(),
            grace,
        };
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let watching = stop.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in &mut signals {
                let mut asked = watching.asked();
                asked.signals += 1;
                if asked.since.is_none() {
                    asked.since = Some(Instant::now());
                    let grace = watching.grace.as_secs();
                    say(
                        "all",
                        &format!("stopping: work that is under way has {grace} s; once more to cancel it"),
                    );
                }
                watching.asked.1.notify_all();
            }
        })?;
        Ok(stop)
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked().since.is_some()
    }

    /// How often work that is under way is to be asked to end: each signal behind the first asks, and so does the end of the
    /// grace where none did: who is asked twice ends at once.
    pub(super) fn cancellations(&self) -> usize {
        let asked = self.asked();
        let is_over = asked.since.is_some_and(|since| since.elapsed() >= self.grace);
        asked.signals.saturating_sub(1).max(usize::from(is_over))
    }

    /// Waits so long, or until it is asked to stop.
    pub(super) fn wait(&self, time: Duration) {
        let asked = self.asked();
        let waited = self
            .asked
            .1
            .wait_timeout_while(asked, time, |asked| asked.since.is_none());
        drop(waited);
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
