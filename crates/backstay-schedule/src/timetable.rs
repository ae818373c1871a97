use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cron::Cron;

/// When one kind of work on one database is done.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, each of which must be said")]
pub struct Timetable {
    /// What it is the timetable of, such as `kulti backup`: it says how much of the jitter this one takes.
    pub name: String,
    /// When it is due.
    pub cron: Cron,
    /// By whose clock.
    pub zone: TimeZone,
    /// How long it may begin later than it is due, so that not everything begins at the same moment.
    pub jitter: SignedDuration,
    /// What to do if it was never done.
    pub when_never: WhenNever,
}

/// What to do if something was never done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is done now or when it is due")]
pub enum WhenNever {
    /// Do it now: without it there is nothing.
    Now,
    /// Wait until it is due.
    WhenDue,
}

/// What is known of the past.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "each has to be said")]
pub struct Past {
    /// When it was done, as the store tells, in any order; `None` where the store cannot be asked.
    pub done: Option<Vec<Timestamp>>,
    /// When this process last tried, with success or not.
    pub tried: Option<Timestamp>,
    /// When this process began to look.
    pub since: Timestamp,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is done now, later, or never")]
pub enum Decision {
    /// Do it, once, however often it was missed: it was last due then.
    Run(Timestamp),
    /// Do it then, and look again before: clocks are set, and machines sleep.
    Wait(Timestamp),
    /// It is never due again.
    Never,
}

impl Timetable {
    /// What is to be done now.
    ///
    /// It is due if a time has come since it was last done or tried. What lies in the future by this clock does not count: a clock
    /// that was wrong may have dated it, and would keep everything from being done until then.
    #[must_use]
    pub fn decide(&self, now: Timestamp, past: &Past) -> Decision {
        let is_past = |time: &Timestamp| *time <= now;
        let done = past.done.iter().flatten().copied().filter(is_past).max();
        let last = done.max(past.tried.filter(is_past));
        let from = match last {
            Some(last) => last,
            // Nothing was ever done, and that is known.
            None if past.done.is_some() && self.when_never == WhenNever::Now => return Decision::Run(now),
            None => past.since.min(now),
        };
        match self.start_after(from) {
            Some(start) if start <= now => Decision::Run(self.cron.last_until(now, &self.zone).unwrap_or(start)),
            Some(start) => Decision::Wait(start),
            None => Decision::Never,
        }
    }

    /// When it begins next, if it is done whenever it is due.
    #[must_use]
    pub fn start_after(&self, time: Timestamp) -> Option<Timestamp> {
        let due = self.cron.next_after(time, &self.zone)?;
        due.checked_add(self.jitter_at(due)).ok()
    }

    /// How much later than due it begins: always the same for one time, whoever asks.
    fn jitter_at(&self, due: Timestamp) -> SignedDuration {
        let span = u64::try_from(self.jitter.as_secs()).unwrap_or(0);
        if span == 0 {
            return SignedDuration::ZERO;
        }
        // FNV-1a: it has to be spread, and the same on every machine.
        let bytes = self.name.bytes().chain(due.as_second().to_le_bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let secs = (hash ^ (hash >> 32)) % span;
        SignedDuration::from_secs(i64::try_from(secs).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
