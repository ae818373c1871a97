use std::fmt;
use std::str::FromStr;

use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// More times of a day than these are no list of times, but an interval.
const TIMES_MAX: usize = 48;
const DAYS_OF_MONTHS: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A cron expression of five fields: minute, hour, day of the month, month, day of the week.
///
/// Where the clock is set forward, a time of a day that is skipped comes at the first moment behind the gap; where it is set back, one
/// that is there twice comes the first time. What has `*` among its minutes or hours is an interval and follows the clock as
/// it goes.
#[derive(Clone, Debug)]
pub struct Cron {
    text: String,
    /// One for each time of a day, so that each is taken for such.
    parts: Vec<croner::Cron>,
}

/// Why a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCron {
    /// It has another number of fields, or characters that no field has.
    #[error("a cron expression has five fields, such as 30 2 * * *")]
    Fields,
    /// A field cannot be understood.
    #[error("a cron expression that cannot be understood: {0}")]
    Syntax(String),
    /// No day is like that.
    #[error("no day is ever like that, so it would never come")]
    Never,
    /// Programs do not agree on what it means.
    #[error("a step of days beside another restriction of days means one thing to one program and another to the next")]
    Ambiguous,
}

/// A field: its values, and whether it is `*`.
pub(crate) struct Field {
    pub(crate) values: Vec<u8>,
    pub(crate) is_any: bool,
}

impl FromStr for Cron {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, InvalidCron> {
        let is_field = |field: &&str| field.chars().all(|c| c.is_ascii_alphanumeric() || "*/,-".contains(c));
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(InvalidCron::Fields);
        };
        if !fields.iter().all(is_field) {
            return Err(InvalidCron::Fields);
        }
        let text = fields.join(" ");
        let whole = parse(&text)?;
        let pattern = &whole.pattern;
        if pattern.days.has_modifiers() || pattern.days_of_week.has_modifiers() {
            return Err(InvalidCron::Fields);
        }
        let is_step = |field: &str| field.contains('*') && field != "*";
        if (is_step(days) && weekdays != "*") || (is_step(weekdays) && days != "*") {
            return Err(InvalidCron::Ambiguous);
        }
        let exists = |month: &u16| {
            let last = DAYS_OF_MONTHS[usize::from(month - 1)];
            pattern.days.values().iter().any(|day| *day <= u16::from(last))
        };
        if weekdays == "*" && !pattern.months.values().iter().any(exists) {
            return Err(InvalidCron::Never);
        }
        let times = pattern.minutes.values().len() * pattern.hours.values().len();
        let parts = if minutes.contains('*') || hours.contains('*') || times > TIMES_MAX {
            vec![whole]
        } else {
            let minutes = pattern.minutes.values();
            let times = pattern.hours.values().into_iter();
            let times = times.flat_map(|hour| minutes.iter().map(move |minute| (hour, *minute)));
            times
                .map(|(hour, minute)| parse(&format!("{minute} {hour} {days} {months} {weekdays}")))
                .collect::<Result<_, _>>()?
        };
        Ok(Self { text, parts })
    }
}

fn parse(text: &str) -> Result<croner::Cron, InvalidCron> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    parser
        .parse(text)
        .map_err(|error| InvalidCron::Syntax(error.to_string()))
}

impl Cron {
    /// The expression, with one blank between fields.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first time behind that one; `None` where there is none as far as times go.
    #[must_use]
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let after = after.to_zoned(zone.clone());
        let next = self.parts.iter();
        let next = next.filter_map(|cron| cron.find_next_occurrence(&after, false).ok());
        next.map(|time| time.timestamp()).min()
    }

    /// The last time that is not behind that one.
    #[must_use]
    pub fn last_until(&self, until: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let until = until.to_zoned(zone.clone());
        let last = self.parts.iter();
        let last = last.filter_map(|cron| cron.find_previous_occurrence(&until, true).ok());
        last.map(|time| time.timestamp()).max()
    }

    /// The expression for programs that do not know Sunday as 7.
    pub(crate) fn with_sunday_as_0(&self) -> String {
        match self.text.rsplit_once(' ') {
            Some((rest, weekdays)) if weekdays.contains('7') => {
                let values: Vec<String> = self.weekdays().values.iter().map(ToString::to_string).collect();
                format!("{rest} {}", values.join(","))
            }
            _ => self.text.clone(),
        }
    }

    pub(crate) fn minutes(&self) -> Field {
        self.field(|pattern| &pattern.minutes, 0)
    }

    pub(crate) fn hours(&self) -> Field {
        self.field(|pattern| &pattern.hours, 1)
    }

    pub(crate) fn days(&self) -> Field {
        self.field(|pattern| &pattern.days, 2)
    }

    pub(crate) fn months(&self) -> Field {
        self.field(|pattern| &pattern.months, 3)
    }

    /// Sunday is 0.
    pub(crate) fn weekdays(&self) -> Field {
        self.field(|pattern| &pattern.days_of_week, 4)
    }

    fn field(&self, of: impl Fn(&croner::CronPattern) -> &croner::CronComponent, index: usize) -> Field {
        let values = self.parts.iter().flat_map(|part| of(&part.pattern).values());
        let mut values: Vec<u8> = values.filter_map(|value| u8::try_from(value).ok()).collect();
        values.sort_unstable();
        values.dedup();
        Field {
            // A list of all values is none: beside another restriction of days, each day is one of it.
            is_any: self.text.split(' ').nth(index) == Some("*"),
            values,
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    /// The times from one day on, as the clock in the zone shows them.
    fn times(cron: &str, name: &str, from: &str, count: usize) -> Vec<String> {
        let (cron, zone): (Cron, _) = (cron.parse().unwrap(), zone(name));
        let begin: jiff::civil::Date = from.parse().unwrap();
        let mut now = begin.to_zoned(zone.clone()).unwrap().timestamp() - jiff::SignedDuration::from_secs(1);
        let mut times = Vec::new();
        for _ in 0..count {
            now = cron.next_after(now, &zone).unwrap();
            assert_eq!(cron.last_until(now, &zone), Some(now));
            times.push(now.to_zoned(zone.clone()).strftime("%m-%d %H:%M %:z").to_string());
        }
        times
    }

    #[test]
    fn a_time_of_a_day_comes_once_a_day_whatever_the_clock_does() {
        for (cron, name, from, expected) in [
            // 02:00 to 03:00 is skipped, and later there twice.
            (
                "30 2 * * *",
                "Europe/Berlin",
                "2025-03-29",
                ["03-29 02:30 +01:00", "03-30 03:00 +02:00", "03-31 02:30 +02:00"],
            ),
            (
                "30 2 * * *",
                "Europe/Berlin",
                "2025-10-25",
                ["10-25 02:30 +02:00", "10-26 02:30 +02:00", "10-27 02:30 +01:00"],
            ),
            (
                "30 2 * * *",
                "America/New_York",
                "2025-03-08",
                ["03-08 02:30 -05:00", "03-09 03:00 -04:00", "03-10 02:30 -04:00"],
            ),
            (
                "30 1 * * *",
                "America/New_York",
                "2025-11-01",
                ["11-01 01:30 -04:00", "11-02 01:30 -04:00", "11-03 01:30 -05:00"],
            ),
            // Midnight itself is skipped, and later there twice.
            (
                "0 0 * * *",
                "Africa/Cairo",
                "2025-04-24",
                ["04-24 00:00 +02:00", "04-25 01:00 +03:00", "04-26 00:00 +03:00"],
            ),
            (
                "30 23 * * *",
                "Africa/Cairo",
                "2025-10-29",
                ["10-29 23:30 +03:00", "10-30 23:30 +03:00", "10-31 23:30 +02:00"],
            ),
            // One of several times of a day.
            (
                "30 2,14 * * *",
                "Europe/Berlin",
                "2025-03-30",
                ["03-30 03:00 +02:00", "03-30 14:30 +02:00", "03-31 02:30 +02:00"],
            ),
            (
                "30 2,14 * * *",
                "Europe/Berlin",
                "2025-10-26",
                ["10-26 02:30 +02:00", "10-26 14:30 +01:00", "10-27 02:30 +01:00"],
            ),
        ] {
            assert_eq!(times(cron, name, from, 3), expected, "{cron} {name} {from}");
        }
    }

    #[test]
    fn an_interval_follows_the_clock() {
        let forward = times("0 * * * *", "Europe/Berlin", "2025-03-30", 4);
        assert_eq!(
            forward,
            [
                "03-30 00:00 +01:00",
                "03-30 01:00 +01:00",
                "03-30 03:00 +02:00",
                "03-30 04:00 +02:00"
            ]
        );
        let back = times("0 * * * *", "Europe/Berlin", "2025-10-26", 5);
        let expected = [
            "00:00 +02:00",
            "01:00 +02:00",
            "02:00 +02:00",
            "02:00 +01:00",
            "03:00 +01:00",
        ];
        assert_eq!(back, expected.map(|time| format!("10-26 {time}")));
    }

    #[test]
    fn a_day_is_one_of_the_month_or_of_the_week() {
        let both = times("0 0 13 * FRI", "UTC", "2025-06-01", 4);
        assert_eq!(
            both,
            [
                "06-06 00:00 +00:00",
                "06-13 00:00 +00:00",
                "06-20 00:00 +00:00",
                "06-27 00:00 +00:00"
            ]
        );
        let both = times("0 0 1 7 0,7", "UTC", "2025-06-01", 2);
        assert_eq!(both, ["07-01 00:00 +00:00", "07-06 00:00 +00:00"]);
        assert_eq!(times("0 0 29 2 *", "UTC", "2025-01-01", 1), ["02-29 00:00 +00:00"]);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in [
            "",
            "daily",
            "@daily",
            "30 2 * *",
            "0 30 2 * * *",
            "30 2 * * * 2025",
            "30 2 ? * *",
            "30 2 L * *",
            "30 2 15W * *",
            "30 2 * * 5#2",
            "30 2 * * 5L",
            "60 2 * * *",
            "30 24 * * *",
            "0 0 0 * *",
            "0 0 * 13 *",
            "0 0 * * 8",
            "0 0 31 2 *",
            "0 0 30,31 2 *",
            "0 0 31 4,6 *",
            "0 0 */2 * 1",
            "0 0 1 * */2",
            "-1 2 * * *",
            "1-0 2 * * *",
            "*/0 2 * * *",
            "a 2 * * *",
            "30 2 * * * Europe/Berlin",
        ] {
            assert!(text.parse::<Cron>().is_err(), "{text:?}");
        }
        for text in [
            "30 2 * * *",
            " */15  * * * * ",
            "0 0 29 2 *",
            "0 0 31 2 1",
            "5-10/2 1,2 1-7 JAN-mar mon,Fri",
            "0 4 * * 7",
        ] {
            text.parse::<Cron>().unwrap_or_else(|error| panic!("{text:?}: {error}"));
        }
    }
}
