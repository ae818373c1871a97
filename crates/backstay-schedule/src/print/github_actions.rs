use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::cron::{Cron, Field};

use super::{PrintError, PrintedFile, Setting, Unit, quoted, variables};

const MINUTES_OF_HOUR: i32 = 60;
const HOURS_OF_DAY: i32 = 24;
/// For so long an offset has to stay as it is.
const WEEKS_AHEAD: i64 = 104;

/// One workflow with a job for each. Times are those of UTC.
///
/// # Errors
/// A time cannot be said in UTC.
pub fn github_actions(units: &[Unit], setting: &Setting, now: Timestamp) -> Result<PrintedFile, PrintError> {
    let mut times = String::new();
    let mut jobs = String::new();
    let mut known: Vec<String> = Vec::new();
    for unit in units {
        let cron = in_utc(unit, now)?;
        if !known.contains(&cron) {
            times.push_str(&format!("    - cron: {}\n", quoted(&cron)));
            known.push(cron.clone());
        }
        jobs.push_str(&job(unit, &cron, setting));
    }
    let secrets = match variables(units)[..] {
        [] => String::new(),
        ref names => format!("# Secrets of the repository: {}.\n", names.join(", ")),
    };
    Ok(PrintedFile {
        name: "backstay.yml".to_owned(),
        text: format!(
            "# For .github/workflows. Times are those of UTC; GitHub may begin later, and leaves times out when it is busy: let\n\
             # somebody be told of missed backups.\n{secrets}name: backstay\non:\n  schedule:\n{times}  workflow_dispatch:\n\
             permissions:\n  contents: read\njobs:\n{jobs}"
        ),
    })
}

fn job(unit: &Unit, cron: &str, setting: &Setting) -> String {
    let mut environment = format!("      BACKSTAY_CONFIG: {}\n", quoted(&setting.config));
    for name in &unit.variables {
        environment.push_str(&format!("      {name}: ${{{{ secrets.{name} }}}}\n"));
    }
    let words: Vec<String> = unit.arguments.iter().map(|word| for_shell(word)).collect();
    let command = quoted(&format!("backstay {}", words.join(" ")));
    format!(
        "  backstay-{name}:
    if: github.event_name != 'schedule' || github.event.schedule == '{cron}'
    runs-on: ubuntu-latest
    concurrency:
      group: backstay-{name}
      cancel-in-progress: false
    env:
{environment}    steps:
      - uses: actions/checkout@v4
      - run: sudo apt-get update && sudo apt-get install --yes postgresql-client
      - run: cargo install --locked --git https://github.com/backstay/backstay backstay-cli
      - run: {command}
",
        name = unit.name,
    )
}

fn for_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The same times by the clock of UTC.
fn in_utc(unit: &Unit, now: Timestamp) -> Result<String, PrintError> {
    let offset = steady_offset(&unit.zone.1, now).ok_or_else(|| PrintError::ClocksAreSet {
        title: unit.title.clone(),
        zone: unit.zone_name().to_owned(),
    })?;
    let minutes = offset.seconds() / 60;
    shifted(&unit.cron, minutes).ok_or_else(|| PrintError::NotInUtc {
        cron: unit.cron.to_string(),
        zone: unit.zone_name().to_owned(),
    })
}

/// How far a zone is from UTC, if it stays so.
fn steady_offset(zone: &TimeZone, now: Timestamp) -> Option<Offset> {
    let offset = zone.to_offset(now);
    let weeks = (1..=WEEKS_AHEAD).map(|week| now + SignedDuration::from_hours(week * 24 * 7));
    let mut later = weeks.map(|time| zone.to_offset(time));
    later.all(|other| other == offset).then_some(offset)
}

/// An expression by a clock that is so many minutes before the one that it was written for; nothing where the days do not
/// come out even.
fn shifted(cron: &Cron, minutes_before: i32) -> Option<String> {
    let fields: Vec<&str> = cron.as_str().split(' ').collect();
    let [minute, _, day, month, _] = fields[..] else {
        return None;
    };
    if minutes_before == 0 {
        return Some(cron.with_sunday_as_0());
    }
    let minutes = cron.minutes();
    let (minute, carried) = match minutes_before.rem_euclid(MINUTES_OF_HOUR) {
        0 => (minute.to_owned(), 0),
        _ => {
            let [only] = minutes.values[..] else { return None };
            (
                (i32::from(only) - minutes_before)
                    .rem_euclid(MINUTES_OF_HOUR)
                    .to_string(),
                i32::from(only),
            )
        }
    };
    let moved = |hour: &u8| {
        let at = i32::from(*hour) * MINUTES_OF_HOUR + carried - minutes_before;
        let hour = at.div_euclid(MINUTES_OF_HOUR);
        (hour.rem_euclid(HOURS_OF_DAY), hour.div_euclid(HOURS_OF_DAY))
    };
    let hours = cron.hours();
    let moved: Vec<(i32, i32)> = hours.values.iter().map(moved).collect();
    let hour = match hours.is_any {
        true => "*".to_owned(),
        false => joined(moved.iter().map(|(hour, _)| *hour)),
    };
    let weekdays = cron.weekdays();
    let is_any_day = cron.days().is_any && cron.months().is_any;
    let weekday = match (is_any_day && weekdays.is_any, &moved[..]) {
        (true, _) => "*".to_owned(),
        // All of them have to come on the same other day.
        (false, [(_, days), rest @ ..]) if rest.iter().all(|(_, other)| other == days) => {
            if *days == 0 {
                weekday_text(&weekdays)
            } else if is_any_day {
                joined(weekdays.values.iter().map(|day| (i32::from(*day) + days).rem_euclid(7)))
            } else {
                return None;
            }
        }
        _ => return None,
    };
    Some(format!("{minute} {hour} {day} {month} {weekday}"))
}

fn weekday_text(field: &Field) -> String {
    match field.is_any {
        true => "*".to_owned(),
        false => joined(field.values.iter().map(|day| i32::from(*day))),
    }
}

fn joined(values: impl Iterator<Item = i32>) -> String {
    let mut values: Vec<i32> = values.collect();
    values.sort_unstable();
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    values.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_zones_without_clock_changes_are_those_of_utc() {
        for (cron, minutes, expected) in [
            ("30 2 * * *", 0, Some("30 2 * * *")),
            ("30 2 * * *", 540, Some("30 17 * * *")),
            ("30 2 * * *", 330, Some("0 21 * * *")),
            ("0 12 * * *", -210, Some("30 15 * * *")),
            ("*/15 2,12 * * *", 540, Some("*/15 3,17 * * *")),
            ("0 * * * *", 330, Some("30 * * * *")),
            ("30 2 * * 1-5", 540, Some("30 17 * * 0,1,2,3,4")),
            ("30 22 * * 6", -180, Some("30 1 * * 0")),
            ("30 12 1 * *", 540, Some("30 3 1 * *")),
            // Sunday may be written as 7, which GitHub does not know.
            ("30 2 * * 7", 0, Some("30 2 * * 0")),
            ("30 12 1-31 * 5-7", 540, Some("30 3 1-31 * 0,5,6")),
            // The first of a month is the last of another there; and some on one day, some on another.
            ("30 2 1 * *", 540, None),
            ("30 2,12 * * 1", 540, None),
            ("*/15 2 * * *", 330, None),
        ] {
            let cron: Cron = cron.parse().unwrap();
            assert_eq!(shifted(&cron, minutes).as_deref(), expected, "{cron} {minutes}");
            // Where it can be said, it is the same moment.
            let Some(utc) = shifted(&cron, minutes) else { continue };
            let zone = TimeZone::fixed(Offset::from_seconds(minutes * 60).unwrap());
            let utc: Cron = utc.parse().unwrap();
            let mut now: Timestamp = "2025-01-30T00:00:00Z".parse().unwrap();
            for _ in 0..40 {
                let next = cron.next_after(now, &zone).unwrap();
                assert_eq!(utc.next_after(now, &TimeZone::UTC), Some(next), "{cron} {minutes}");
                now = next;
            }
        }
    }

    #[test]
    fn whose_clocks_are_set_is_no_steady_zone() {
        let now = "2025-01-30T00:00:00Z".parse().unwrap();
        let is_steady = |zone| steady_offset(&TimeZone::get(zone).unwrap(), now).is_some();
        assert!(is_steady("Asia/Tokyo") && is_steady("UTC") && !is_steady("Europe/Berlin"));
    }
}
