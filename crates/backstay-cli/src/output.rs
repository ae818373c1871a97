//! What goes to standard output and standard error, and how numbers look in it.

use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

/// What a command prints on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text for people.
    Text,
    /// One JSON object.
    Json,
}

/// Whether there is anything on standard error but errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Progress, warnings, notes.
    Normal,
    /// Errors only.
    Quiet,
}

/// Form and voice of one run of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) form: Form,
    pub(crate) voice: Voice,
}

/// Standard output that cannot be written to, which is not the reader having gone.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct OutputError(#[from] io::Error);

/// Writes to standard output. A reader that has gone, as `head` does, has read enough.
pub(crate) fn print(bytes: &[u8]) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Writes text for people, in which names from databases cannot command the terminal.
pub(crate) fn print_text(text: &str) -> Result<(), OutputError> {
    print(harmless(text).as_bytes())
}

/// Writes one JSON value and a line feed.
pub(crate) fn print_json<T: Serialize>(value: &T) -> Result<(), OutputError> {
    let mut json = serde_json::to_vec_pretty(value).map_err(io::Error::from)?;
    json.push(b'\n');
    print(&json)
}

impl Output {
    /// Writes a line to standard error, unless the voice is quiet.
    pub(crate) fn remark(self, line: &str) {
        if self.voice == Voice::Normal {
            complain(line);
        }
    }
}

/// Writes a line to standard error. Where nobody can read it, nobody can be told so either.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{}", harmless(line));
}

/// Replaces control characters other than line feeds.
pub(crate) fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

/// A text for a shell: as it is where that is safe, else in single quotes.
pub(crate) fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// `1.20 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// `12,345 rows`, `1 row`.
pub(crate) fn count(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { one } else { many })
}

/// `0.4 s`, `3 min 5 s`, `2 h 10 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// `2025-01-16 14:30:22 UTC`.
pub(crate) fn time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string()
}

/// How long ago a time is: `5 min`, `3 h`, `12 days`; a time to come is told as such.
pub(crate) fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.as_second() - then.as_second();
    match seconds {
        ..0 => "in the future".to_owned(),
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A table of left-aligned columns, two blanks apart, for people.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// Adds a row; it may be shorter than others.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::from(" ");
            for (cell, width) in row.iter().zip(&widths) {
                line.push(' ');
                line.push_str(&format!("{cell:width$} ", width = *width));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(count(1, "row", "rows"), "1 row");
        assert_eq!(count(12_345, "row", "rows"), "12,345 rows");
        for (seconds, expected) in [
            (0.44, "0.4 s"),
            (59.0, "59.0 s"),
            (185.0, "3 min 5 s"),
            (7800.0, "2 h 10 min"),
        ] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), expected);
        }
        let now: Timestamp = "2025-01-16T14:30:22Z".parse().unwrap();
        for (then, expected) in [
            ("2025-01-16T14:30:23Z", "in the future"),
            ("2025-01-16T14:30:22Z", "0 s"),
            ("2025-01-16T13:30:23Z", "59 min"),
            ("2025-01-14T14:30:23Z", "47 h"),
            ("2025-01-14T14:30:22Z", "2 days"),
        ] {
            assert_eq!(age(now, then.parse().unwrap()), expected, "{then}");
        }
        assert_eq!(time(now), "2025-01-16 14:30:22 UTC");
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\nc"), "a\u{fffd}[2Jb\u{fffd}\nc");
    }

    #[test]
    fn what_a_shell_would_change_is_quoted() {
        for (text, expected) in [
            ("./backups", "./backups"),
            ("my backups", "'my backups'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut columns = Columns::default();
        columns.row(["a", "bb"]);
        columns.row(["äöü", "b", "c"]);
        assert_eq!(columns.to_string(), "  a    bb\n  äöü  b   c\n");
    }
}
