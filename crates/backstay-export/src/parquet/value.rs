//! Values, from the text that the server writes in an exact session.

use std::str::FromStr;

/// Why a value has no place in Parquet: what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit(pub(super) &'static str);

/// The length of decimals: 38 digits fit.
pub(super) const DECIMAL_BYTES: i32 = 16;
pub(super) const UUID_BYTES: i32 = 16;

const NOT_A_TIME: Unfit = Unfit("what is no time");
const INFINITE: Unfit = Unfit("an infinite time");

pub(super) fn text(text: &[u8]) -> Result<&str, Unfit> {
    std::str::from_utf8(text).map_err(|_| Unfit("a text that is not in UTF-8"))
}

pub(super) fn boolean(text: &[u8]) -> Result<bool, Unfit> {
    match text {
        b"t" => Ok(true),
        b"f" => Ok(false),
        _ => Err(Unfit("what is no boolean")),
    }
}

/// An integer, or a floating-point number, of which the server writes as many digits as tell it from all others.
pub(super) fn number<T: FromStr>(digits: &[u8]) -> Result<T, Unfit> {
    text(digits)?.parse().map_err(|_| Unfit("what is no number"))
}

/// The digits of a decimal as one integer, big-endian.
pub(super) fn decimal(digits: &[u8], scale: u8) -> Result<Vec<u8>, Unfit> {
    let not_finite = Unfit("a numeric that is no number, or infinite");
    let (negative, digits) = match digits {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut value: i128 = 0;
    let mut behind_point = None;
    for &byte in digits {
        match byte {
            b'.' if behind_point.is_none() => behind_point = Some(0),
            b'0'..=b'9' => {
                value = value
                    .checked_mul(10)
                    .and_then(|value| value.checked_add(i128::from(byte - b'0')))
                    .ok_or(Unfit("a numeric of too many digits"))?;
                behind_point = behind_point.map(|digits: u8| digits + 1);
            }
            _ => return Err(not_finite),
        }
    }
    if digits.is_empty() || behind_point.unwrap_or(0) != scale {
        return Err(not_finite);
    }
    let value = if negative { -value } else { value };
    Ok(value.to_be_bytes().to_vec())
}

pub(super) fn bytea(text: &[u8]) -> Result<Vec<u8>, Unfit> {
    text.strip_prefix(b"\\x").and_then(hex).ok_or(Unfit("what is no bytea"))
}

pub(super) fn uuid(text: &[u8]) -> Result<Vec<u8>, Unfit> {
    let digits: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'-').collect();
    hex(&digits)
        .filter(|bytes| bytes.len() == 16)
        .ok_or(Unfit("what is no UUID"))
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = digits.chunks_exact(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Days since 1970-01-01.
pub(super) fn date(value: &[u8]) -> Result<i32, Unfit> {
    let value = finite(value)?;
    let (value, is_bc) = before_christ(value);
    i32::try_from(days(value, is_bc)?).map_err(|_| NOT_A_TIME)
}

/// Microseconds since 1970-01-01 00:00, which is UTC where the text has an offset from it.
pub(super) fn timestamp(value: &[u8]) -> Result<i64, Unfit> {
    const DAY_MICROS: i64 = 86_400_000_000;
    let (value, is_bc) = before_christ(finite(value)?);
    let (date, clock) = value.split_once(' ').ok_or(NOT_A_TIME)?;
    let (clock, offset_secs) = match clock.find(['+', '-']) {
        Some(at) => (&clock[..at], offset_secs(&clock[at..])?),
        None => (clock, 0),
    };
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let secs = clock_secs(whole)?;
    if fraction.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NOT_A_TIME);
    }
    let micros: i64 = format!("{fraction:0<6}").parse().map_err(|_| NOT_A_TIME)?;
    days(date, is_bc)?
        .checked_mul(DAY_MICROS)
        .and_then(|day| day.checked_add((secs - offset_secs) * 1_000_000 + micros))
        .ok_or(Unfit("a time that is too far from 1970"))
}

fn finite(value: &[u8]) -> Result<&str, Unfit> {
    match text(value)? {
        "infinity" | "-infinity" => Err(INFINITE),
        value => Ok(value),
    }
}

fn before_christ(value: &str) -> (&str, bool) {
    match value.strip_suffix(" BC") {
        Some(value) => (value, true),
        None => (value, false),
    }
}

/// `HH:MM:SS`, `HH:MM` or `HH` in seconds.
fn clock_secs(text: &str) -> Result<i64, Unfit> {
    let mut secs = 0;
    let mut unit = 3600;
    for part in text.split(':') {
        let number: u8 = part.parse().map_err(|_| NOT_A_TIME)?;
        if unit == 0 || part.len() != 2 {
            return Err(NOT_A_TIME);
        }
        secs += i64::from(number) * unit;
        unit /= 60;
    }
    Ok(secs)
}

fn offset_secs(text: &str) -> Result<i64, Unfit> {
    let secs = clock_secs(&text[1..])?;
    Ok(if text.starts_with('-') { -secs } else { secs })
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, which PostgreSQL and Parquet take for all times: in eras of
/// 400 years, each with years from March on, so that the day that may lack is the last.
fn days(date: &str, is_bc: bool) -> Result<i64, Unfit> {
    let mut parts = date.splitn(3, '-').map(str::parse::<i64>);
    let (Some(Ok(year)), Some(Ok(month @ 1..=12)), Some(Ok(day @ 1..=31))) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(NOT_A_TIME);
    };
    if !(1..=10_000_000).contains(&year) {
        return Err(NOT_A_TIME);
    }
    // There is no year 0: 1 BC is the one before 1.
    let year = if is_bc { 1 - year } else { year };
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    const DAYS_OF_ERA: i64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    const TO_1970: i64 = 719_468;
    Ok(era * DAYS_OF_ERA + day_of_era - TO_1970)
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_counted_from_1970() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2000-02-29", Some(11_016)),
            ("0001-01-01", Some(-719_162)),
            ("0001-12-31 BC", Some(-719_163)),
            ("4714-11-24 BC", Some(-2_440_588)),
            ("5874897-12-31", Some(2_145_042_905)),
            ("infinity", None),
            ("-infinity", None),
            ("", None),
            ("2000-13-01", None),
            ("2000-01", None),
        ] {
            assert_eq!(date(text.as_bytes()).ok(), expected, "{text}");
        }
        for (text, expected) in [
            ("1970-01-01 00:00:00", Some(0)),
            ("1970-01-01 00:00:00.5", Some(500_000)),
            ("1969-12-31 23:59:59.999999+00", Some(-1)),
            ("1970-01-01 02:30:00+02:30", Some(0)),
            ("1969-12-31 19:00:00-05", Some(0)),
            ("1892-01-01 00:53:28+00:53:28", Some(-2_461_449_600_000_000)),
            ("294276-12-31 23:59:59.999999", None),
            ("infinity", None),
            ("1970-01-01", None),
            ("1970-01-01 1:00:00", None),
        ] {
            assert_eq!(timestamp(text.as_bytes()).ok(), expected, "{text}");
        }
    }

    #[test]
    fn decimals_keep_every_digit() {
        let read = |text: &str, scale| {
            let bytes = decimal(text.as_bytes(), scale).ok()?;
            Some(i128::from_be_bytes(bytes.try_into().unwrap()))
        };
        assert_eq!(read("-123.45", 2), Some(-12_345));
        assert_eq!(read("0.00", 2), Some(0));
        assert_eq!(read("7", 0), Some(7));
        let most = "9".repeat(38);
        assert_eq!(read(&most, 0), Some(10i128.pow(38) - 1));
        for text in ["NaN", "Infinity", "-Infinity", "", "1.5", "1e5", "--1"] {
            assert_eq!(read(text, 2), None, "{text}");
        }
    }

    #[test]
    fn bytes_are_read_from_hex() {
        assert_eq!(bytea(b"\\x00ff").unwrap(), [0, 255]);
        assert!(bytea(b"\\x").unwrap().is_empty());
        assert!(bytea(b"\\x0").is_err() && bytea(b"abc").is_err() && bytea(b"\\xzz").is_err());
        let id = uuid(b"00112233-4455-6677-8899-aabbccddeeff").unwrap();
        assert_eq!(id[..3], [0, 0x11, 0x22]);
        assert!(uuid(b"0011").is_err());
    }

    proptest! {
        #[test]
        fn every_day_of_the_calendar_is_where_others_have_it(days in -4_371_587i32..=2_932_896) {
            let date = Date::constant(1970, 1, 1) + jiff::Span::new().days(days);
            prop_assume!(date.year() > 0);
            prop_assert_eq!(super::date(date.to_string().as_bytes()), Ok(days));
            let secs = date.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second();
            let text = format!("{date} 12:00:00");
            prop_assert_eq!(timestamp(text.as_bytes()), Ok((secs + 43_200) * 1_000_000));
        }

        #[test]
        fn any_text_is_a_value_or_none(text in "\\PC{0,30}") {
            let _ = date(text.as_bytes());
            let _ = timestamp(text.as_bytes());
            let _ = decimal(text.as_bytes(), 2);
            let _ = bytea(text.as_bytes());
            let _ = uuid(text.as_bytes());
        }
    }
}
