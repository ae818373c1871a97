use backstay_core::Tag;
use backstay_core::retention::{Age, RetentionPolicy};
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use crate::fields::{Context, Fields, Found};
use crate::place::At;
use crate::reference::{Reference, named_or_own, named_or_own_schema};
use crate::resolve::ResolveError;
use crate::value::{Value, Whole, parsed};

/// Which backups are kept: `[retention.NAME]`, or a table in the place of its name.
#[derive(Clone, Debug)]
pub struct Retention {
    policy: RetentionPolicy,
    zone: Option<ZoneName>,
}

/// The retention of a database.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "it has a name or it has none")]
pub enum RetentionChoice {
    /// One that has a section.
    Named(Reference),
    /// One of its own.
    Own(Retention),
}

impl Retention {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        type Count = Whole<1, 100_000>;
        let mut policy = RetentionPolicy::default();
        let mut count = |key, purpose| fields.get(key, purpose).map_or(0, |Whole(count): Count| count);
        policy.keep_last = count("keep-last", "Keep so many of the newest backups.");
        policy.keep_daily = count(
            "keep-daily",
            "Keep the newest backup of each of so many days that have one.",
        );
        policy.keep_weekly = count(
            "keep-weekly",
            "Keep the newest backup of each of so many weeks, from Monday on.",
        );
        policy.keep_monthly = count("keep-monthly", "Keep the newest backup of each of so many months.");
        policy.keep_yearly = count("keep-yearly", "Keep the newest backup of each of so many years.");
        policy.keep_within = fields.get(
            "keep-within",
            "Keep what is not older than the newest by more: 36h, 7d, 2w, 12m, 1y.",
        );
        policy.keep_tags = fields
            .get("keep-tag", "Keep backups with one of these tags.")
            .unwrap_or_default();
        policy.min_age = fields.get(
            "min-age",
            "Remove nothing that is not older than that, whatever the rules say.",
        );
        let zone = fields.get(
            "time-zone",
            "Whose calendar says what a day is, such as Europe/Berlin; UTC without this.",
        );
        Self { policy, zone }
    }

    /// The policy. Time zones are files of the machine, so they are found by what the caller hands in.
    ///
    /// # Errors
    /// There is no such time zone.
    pub fn policy(&self, find_zone: impl FnOnce(&str) -> Option<TimeZone>) -> Result<RetentionPolicy, ResolveError> {
        let mut policy = self.policy.clone();
        if let Some(ZoneName { name, at }) = &self.zone {
            policy.time_zone = find_zone(name).ok_or_else(|| ResolveError::TimeZone {
                at: at.clone(),
                name: name.clone(),
            })?;
        }
        Ok(policy)
    }

    /// The name of its time zone.
    #[must_use]
    pub fn time_zone(&self) -> Option<&str> {
        self.zone.as_ref().map(|zone| zone.name.as_str())
    }
}

/// The name of a time zone.
#[derive(Clone, Debug)]
pub(crate) struct ZoneName {
    pub(crate) name: String,
    pub(crate) at: At,
}

impl Value for ZoneName {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let at = context.problems.source().at(found.span().start);
        let name: Option<String> = parsed(found, context, "the name of a time zone", |text| {
            if text.is_empty() {
                Err("is empty")
            } else {
                Ok(text.to_owned())
            }
        });
        name.map(|name| Self { name, at })
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Value for Age {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "a length of time", str::parse)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^([0-9]+y)?([0-9]+m)?([0-9]+w)?([0-9]+d)?([0-9]+h)?$", "minLength": 2 })
    }
}

impl Value for Tag {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "a tag", str::parse)
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Value for RetentionChoice {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        named_or_own(found, context, "retention", Self::Named, |fields| {
            Self::Own(Retention::read(fields))
        })
    }

    fn schema() -> Json {
        named_or_own_schema("retention")
    }
}
