//! Measuring the phases of a restore.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backstay_postgres::{RestoreEvent, RestoreObserver, RestorePhase};

use super::DrillTimes;
use crate::progress::Progress;
use crate::restore::Observer;

/// Passes on what happens, and notes when.
pub(super) struct Watch<'w> {
    progress: Observer<'w>,
    stopwatch: &'w (dyn Fn() -> Duration + Sync),
    seen: Mutex<Seen>,
}

struct Seen {
    times: DrillTimes,
    phase: RestorePhase,
    since: Duration,
    /// Sums of the times at which builds of indexes ended and began.
    index_ends: Duration,
    index_begins: Duration,
}

impl<'w> Watch<'w> {
    /// Begins with the time before the rows.
    pub(super) fn new(progress: &'w dyn Progress, stopwatch: &'w (dyn Fn() -> Duration + Sync)) -> Self {
        Self {
            progress: Observer(progress),
            stopwatch,
            seen: Mutex::new(Seen {
                times: DrillTimes::default(),
                phase: RestorePhase::PreData,
                since: stopwatch(),
                index_ends: Duration::ZERO,
                index_begins: Duration::ZERO,
            }),
        }
    }

    /// Writes down what it measured.
    pub(super) fn end(self, times: &mut DrillTimes) {
        let now = (self.stopwatch)();
        let mut seen = self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        seen.count(now);
        times.pre_data = seen.times.pre_data;
        times.data = seen.times.data;
        times.post_data = seen.times.post_data;
        times.count = seen.times.count;
        times.indexes = seen.index_ends.saturating_sub(seen.index_begins);
    }
}

impl Seen {
    /// Adds the time that has passed to the phase that goes on.
    fn count(&mut self, now: Duration) {
        let phase = match self.phase {
            RestorePhase::Data => &mut self.times.data,
            RestorePhase::PostData => &mut self.times.post_data,
            RestorePhase::Check => &mut self.times.count,
            _ => &mut self.times.pre_data,
        };
        *phase += now.saturating_sub(self.since);
        self.since = now;
    }
}

impl RestoreObserver for Watch<'_> {
    fn event(&self, event: RestoreEvent<'_>) {
        {
            let now = (self.stopwatch)();
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                RestoreEvent::Phase { phase, .. } => {
                    seen.count(now);
                    seen.phase = phase;
                }
                RestoreEvent::IndexBegun => seen.index_begins += now,
                RestoreEvent::IndexEnded => seen.index_ends += now,
                _ => {}
            }
        }
        self.progress.event(event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::progress::Silent;

    #[test]
    fn each_phase_has_its_time() {
        let now = AtomicU64::new(100);
        let stopwatch = || Duration::from_secs(now.load(Ordering::Relaxed));
        let watch = Watch::new(&Silent, &stopwatch);
        let phase = |phase| RestoreEvent::Phase { phase, bytes: 0 };
        for (at, event) in [
            (101, phase(RestorePhase::PreData)),
            (103, phase(RestorePhase::Data)),
            (104, RestoreEvent::IndexBegun),
            (105, RestoreEvent::IndexBegun),
            (107, RestoreEvent::IndexEnded),
            (110, RestoreEvent::IndexEnded),
            (113, phase(RestorePhase::PostData)),
            (120, phase(RestorePhase::Check)),
        ] {
            now.store(at, Ordering::Relaxed);
            watch.event(event);
        }
        now.store(130, Ordering::Relaxed);
        let mut times = DrillTimes {
            fetch: Duration::from_secs(5),
            prove: Duration::from_secs(1000),
            ..DrillTimes::default()
        };
        watch.end(&mut times);
        let seconds = [times.pre_data, times.data, times.indexes, times.post_data, times.count].map(|d| d.as_secs());
        assert_eq!(seconds, [3, 10, 8, 7, 10]);
        assert_eq!(times.recovery(), Duration::from_secs(5 + 3 + 10 + 7 + 10));
    }
}
