use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// A length of time as a calendar counts it: `36h`, `7d`, `2w`, `12m`, `1y`, `1y6m`; `m` is a month.
///
/// Invariants: at least one unit, each at most once, the longer ones first, and each number from 1 to 99999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Age {
    /// By [`UNITS`].
    numbers: [u32; UNITS.len()],
}

const UNITS: [char; 5] = ['y', 'm', 'w', 'd', 'h'];
const NUMBER_MAX: u32 = 99_999;
/// As many as the calendar has.
const YEARS_MAX: i64 = 9_999;

impl Age {
    /// So many days, from 1 to 99999.
    #[must_use]
    pub fn days(days: u32) -> Self {
        Self {
            numbers: [0, 0, 0, days.clamp(1, NUMBER_MAX), 0],
        }
    }

    /// So many hours, from 1 to 99999.
    #[must_use]
    pub fn hours(hours: u32) -> Self {
        Self {
            numbers: [0, 0, 0, 0, hours.clamp(1, NUMBER_MAX)],
        }
    }

    /// The time that is so long before another on the calendar of a zone; the first that there is where it would be
    /// before that.
    #[must_use]
    pub fn before(&self, time: Timestamp, zone: &TimeZone) -> Timestamp {
        let earlier = time.to_zoned(zone.clone()).checked_sub(self.span());
        earlier.map_or(Timestamp::MIN, |earlier| earlier.timestamp())
    }

    /// The time that is so long behind another on the calendar of a zone; the last that there is where it would be
    /// behind that.
    #[must_use]
    pub fn after(&self, time: Timestamp, zone: &TimeZone) -> Timestamp {
        let later = time.to_zoned(zone.clone()).checked_add(self.span());
        later.map_or(Timestamp::MAX, |later| later.timestamp())
    }

    fn span(&self) -> Span {
        let [years, months, weeks, days, hours] = self.numbers.map(i64::from);
        Span::new()
            .years(years.min(YEARS_MAX))
            .months(months)
            .weeks(weeks)
            .days(days)
            .hours(hours)
    }
}

impl FromStr for Age {
    type Err = InvalidAge;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidAge { text: text.to_owned() };
        let mut numbers = [0; UNITS.len()];
        let mut next = 0;
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| !c.is_ascii_digit()) {
            let (digits, behind) = rest.split_at(at);
            let unit = behind.chars().next().ok_or_else(invalid)?;
            let index = UNITS.iter().position(|known| *known == unit).ok_or_else(invalid)?;
            let number: u32 = digits.parse().map_err(|_| invalid())?;
            if index < next || !(1..=NUMBER_MAX).contains(&number) {
                return Err(invalid());
            }
            numbers[index] = number;
            next = index + 1;
            rest = &behind[1..];
        }
        if next > 0 && rest.is_empty() {
            Ok(Self { numbers })
        } else {
            Err(invalid())
        }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.numbers.iter().zip(UNITS).filter(|(number, _)| **number > 0);
        let text: String = parts.map(|(number, unit)| format!("{number}{unit}")).collect();
        f.pad(&text)
    }
}

/// A text that is not an [`Age`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text:?} is not a length of time (such as 36h, 7d, 2w, 12m or 1y6m; m is a month)")]
pub struct InvalidAge {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_and_show_themselves() {
        for good in ["36h", "7d", "2w", "12m", "1y", "1y6m", "1y2m3w4d5h", "99999d"] {
            assert_eq!(good.parse::<Age>().unwrap().to_string(), good);
        }
        for bad in [
            "", "7", "d", "0d", "7 d", "7D", "-7d", "100000d", "6m1y", "1d1d", "7d3", "7ä", "1.5d",
        ] {
            assert!(bad.parse::<Age>().is_err(), "{bad:?}");
        }
        assert_eq!(
            (Age::days(0).to_string(), Age::hours(24).to_string()),
            ("1d".to_owned(), "24h".to_owned())
        );
        assert_eq!(Age::days(36_500).to_string(), "36500d");
    }

    #[test]
    fn the_calendar_counts() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (age, time, zone, before) in [
            ("1m", "2025-03-31T12:00:00Z", &TimeZone::UTC, "2025-02-28T12:00:00Z"),
            ("1y", "2024-02-29T12:00:00Z", &TimeZone::UTC, "2023-02-28T12:00:00Z"),
            ("1d", "2025-03-30T10:00:00Z", &TimeZone::UTC, "2025-03-29T10:00:00Z"),
            // Noon to noon, of a day that has 23 hours.
            ("1d", "2025-03-30T10:00:00Z", &berlin, "2025-03-29T11:00:00Z"),
            ("24h", "2025-03-30T10:00:00Z", &berlin, "2025-03-29T10:00:00Z"),
        ] {
            let age: Age = age.parse().unwrap();
            let time: Timestamp = time.parse().unwrap();
            assert_eq!(age.before(time, zone).to_string(), before, "{age}");
        }
        let age: Age = "99999y".parse().unwrap();
        let now: Timestamp = "2025-03-30T10:00:00Z".parse().unwrap();
        assert_eq!(age.after(now, &TimeZone::UTC), Timestamp::MAX);
        assert!(age.before(now, &berlin) < "0000-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(
            Age::days(1).after(now, &TimeZone::UTC).to_string(),
            "2025-03-31T10:00:00Z"
        );
    }
}
