use std::time::Duration;

use backstay::{Age, Prefix};
use backstay_config::Database;
use backstay_schedule::Timetable;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::configuration::Loaded;
use crate::environment::Environment;
use crate::notify::tell_missed;
use crate::output::age;

use super::{Shared, past, say};

/// Clocks are set and machines sleep, so nobody waits longer than this without a look at the clock.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How old what is known of the store may be while no backup is missed, and while one is.
const KNOWN: SignedDuration = SignedDuration::from_hours(1);
const MISSED: SignedDuration = SignedDuration::from_mins(5);

/// When a backup is missed.
enum Limit {
    /// Where the newest is older, and the key that says so.
    Age(&'static str, Age),
    /// Where the second has come that was to be made after the newest: the first may be under way.
    Schedule(Timetable),
}

/// Looks whether a backup of a database is missed, beside the work on it: a step that hangs must not silence that.
pub(super) struct Watcher<'a> {
    name: &'a str,
    environment: &'a Environment,
    shared: &'a Shared<'a>,
    prefix: Prefix,
    limit: Limit,
    since: Timestamp,
    /// When the newest was made that counts, as far as the store could be read.
    newest: Option<Timestamp>,
    has_told: bool,
}

impl Limit {
    /// That of a database; none where nothing says when a backup is to be made.
    fn of(database: &Database, loaded: &Loaded, timetable: Option<&Timetable>) -> Option<Self> {
        let rules = loaded.config.rules_of(database);
        let by_rules = || rules.and_then(|rules| rules.age_max).map(|max| ("max-age", max));
        match database.rpo.map(|max| ("rpo", max)).or_else(by_rules) {
            Some((key, max)) => Some(Self::Age(key, max)),
            None => timetable.cloned().map(Self::Schedule),
        }
    }

    /// From when on one is missed, if the newest is of that time.
    fn over(&self, newest: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Age(_, max) => Some(max.after(newest, &TimeZone::UTC)),
            Self::Schedule(timetable) => timetable.start_after(timetable.start_after(newest)?),
        }
    }
}

impl<'a> Watcher<'a> {
    /// Who watches a database; nobody where nothing says when a backup of it is to be made.
    pub(super) fn of(
        name: &'a str,
        timetable: Option<&Timetable>,
        prefix: Prefix,
        environment: &'a Environment,
        shared: &'a Shared<'a>,
    ) -> Option<Self> {
        let loaded = environment.configuration.get().ok()??;
        let limit = Limit::of(loaded.config.database(name)?, loaded, timetable)?;
        Some(Self {
            name,
            environment,
            shared,
            prefix,
            limit,
            since: Timestamp::now(),
            newest: None,
            has_told: false,
        })
    }

    /// Watches until the program is asked to stop.
    pub(super) fn watch(mut self) {
        let mut next = Timestamp::MIN;
        while !self.shared.stop.is_asked() {
            let now = Timestamp::now();
            // A clock that was set back must not put it off.
            if now >= next || next.duration_since(now) > KNOWN {
                next = now.saturating_add(self.look(now)).unwrap_or(Timestamp::MAX);
            }
            let until = Duration::try_from(next.duration_since(now)).unwrap_or_default();
            self.shared.stop.wait(until.min(WAIT_MAX));
        }
    }

    /// Tells once of a backup that is missed. Gives how soon to look again.
    fn look(&mut self, now: Timestamp) -> SignedDuration {
        let unread = match past::backups(self.name, &self.prefix, self.environment) {
            Ok(backups) => {
                self.newest = backups.newest.map(|newest| newest.id.time());
                None
            }
            // What is known of it goes on to age.
            Err(failure) => Some(failure.in_one_line()),
        };
        // What a wrong clock dated counts for nothing.
        let newest = self.newest.filter(|newest| *newest <= now);
        let Some(over) = self.limit.over(newest.unwrap_or(self.since.min(now))) else {
            return KNOWN;
        };
        if now < over {
            self.has_told = false;
            return over.duration_since(now).min(KNOWN);
        }
        if !self.has_told {
            let why = self.why(now, unread.as_deref());
            say(self.name, &format!("MISSED: {why}"));
            self.has_told = tell_missed(self.name, &why, self.environment);
        }
        MISSED
    }

    fn why(&self, now: Timestamp, unread: Option<&str>) -> String {
        let found = match self.newest {
            Some(newest) => format!("the newest backup is {} old", age(now, newest)),
            None => format!("there was no backup for {}", age(now, self.since)),
        };
        let limit = match &self.limit {
            Limit::Age(key, max) => format!("{key} is {max}"),
            Limit::Schedule(_) => "two that were due since were not made".to_owned(),
        };
        match unread {
            Some(unread) => format!("{found} as far as is known, and {limit}; its store cannot be read: {unread}"),
            None => format!("{found}, and {limit}"),
        }
    }
}
