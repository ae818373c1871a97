use backstay_schedule::Cron;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use crate::fields::{Context, Fields, Found};
use crate::resolve::ResolveError;
use crate::retention::ZoneName;
use crate::value::{Value, Whole, parsed};

/// When work on a database is done by `backstay run`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Schedule {
    /// When a backup is made, verified, and old ones removed.
    pub backup: Option<Cron>,
    /// When the newest backup is restored to see whether it can be.
    pub drill: Option<Cron>,
    /// How much later than due work may begin.
    pub jitter: SignedDuration,
    zone: Option<ZoneName>,
}

impl Schedule {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        let backup = fields.get(
            "schedule",
            "When backstay run makes a backup, as a cron expression such as 30 2 * * *.",
        );
        let drill = fields.get(
            "drill-schedule",
            "When backstay run holds a drill with the newest backup, as a cron expression.",
        );
        let zone = fields.get(
            "time-zone",
            "By whose clock schedules are, such as Europe/Berlin; UTC without this.",
        );
        let jitter: Option<Whole<1, 720>> = fields.get(
            "jitter-minutes",
            "Begin up to so many minutes later than due, each database by another time.",
        );
        Self {
            backup,
            drill,
            jitter: SignedDuration::from_mins(jitter.map_or(0, |Whole(minutes)| minutes.into())),
            zone,
        }
    }

    /// The time zone. Time zones are files of the machine, so they are found by what the caller hands in.
    ///
    /// # Errors
    /// There is no such time zone.
    pub fn zone(&self, find_zone: impl FnOnce(&str) -> Option<TimeZone>) -> Result<TimeZone, ResolveError> {
        match &self.zone {
            None => Ok(TimeZone::UTC),
            Some(ZoneName { name, at }) => find_zone(name).ok_or_else(|| ResolveError::TimeZone {
                at: at.clone(),
                name: name.clone(),
            }),
        }
    }

    /// The name of its time zone.
    #[must_use]
    pub fn zone_name(&self) -> Option<&str> {
        self.zone.as_ref().map(|zone| zone.name.as_str())
    }
}

impl Value for Cron {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "a cron expression", str::parse)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^\\s*[A-Za-z0-9*/,-]+(\\s+[A-Za-z0-9*/,-]+){4}\\s*$" })
    }
}
