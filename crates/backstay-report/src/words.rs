//! Numbers and times for people.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

const KIB: f64 = 1024.0;
const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// The unit in which a size is best told, and how many bytes it has.
pub(crate) fn unit(bytes: u64) -> (&'static str, f64) {
    let mut factor = 1.0;
    for (index, unit) in UNITS.iter().enumerate() {
        if (bytes as f64) < factor * KIB || index + 1 == UNITS.len() {
            return (unit, factor);
        }
        factor *= KIB;
    }
    (UNITS[0], 1.0)
}

/// `1.2 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let (unit, factor) = unit(bytes);
    let number = bytes as f64 / factor;
    match factor > 1.0 && number < 100.0 {
        true => format!("{number:.1} {unit}"),
        false => format!("{number:.0} {unit}"),
    }
}

/// `12,345`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2025-01-16 14:30`, in UTC.
pub(crate) fn time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M").to_string()
}

/// How long ago something is: `5 min`, `3 h`, `12 days`.
pub(crate) fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    match seconds {
        ..0 => "in the future".to_owned(),
        0..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `0.4 s`, `3 min 5 s`, `44 min`, `2 h 10 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => match seconds % 60 {
            rest @ 1.. if seconds < 600 => format!("{} min {rest} s", seconds / 60),
            _ => format!("{} min", seconds / 60),
        },
        _ => match seconds / 60 % 60 {
            0 => format!("{} h", seconds / 3600),
            minutes => format!("{} h {minutes} min", seconds / 3600),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536 << 20, "1.5 GiB"),
            (200 << 20, "200 MiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
        for (seconds, expected) in [
            (0, "0.0 s"),
            (185, "3 min 5 s"),
            (2650, "44 min"),
            (3600, "1 h"),
            (7800, "2 h 10 min"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(
            (number(0), number(999), number(1_234_567)),
            ("0".to_owned(), "999".to_owned(), "1,234,567".to_owned())
        );
    }
}
