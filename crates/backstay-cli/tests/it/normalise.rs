//! Making output the same on every run: times, sizes, durations and digests become words.

/// What is looked for and what it becomes. In a pattern `9` is a digit, `#` a number with points and commas, `x` a
/// hexadecimal digit; everything else is itself.
const PATTERNS: [(&str, &str); 13] = [
    ("_backup_99999999_999999", "_backup_[TIME]"),
    ("9999-99-99T99:99:99.#Z", "[TIME]"),
    ("9999-99-99T99:99:99Z", "[TIME]"),
    ("9999-99-99 99:99:99 UTC", "[TIME]"),
    ("# MiB", "[SIZE]"),
    ("# KiB", "[SIZE]"),
    ("# B", "[SIZE]"),
    ("# s", "[SECS]"),
    // On a slow machine.
    ("# min # s", "[SECS]"),
    ("# bytes", "[SIZE]"),
    ("# days", "[DAYS]"),
    // The number is another one on another system.
    ("(os error #)", "([OS ERROR])"),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "[SHA256]",
    ),
];

/// Replaces everything that differs from run to run, and runs of blanks, whose length depends on what was replaced.
pub(crate) fn normalise(text: &str, known: &[(String, &str)]) -> String {
    let mut text = text.to_owned();
    for (value, name) in known.iter().filter(|(value, _)| !value.is_empty()) {
        text = text.replace(value, name);
    }
    let mut result = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let may_begin = !result.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.') || first == '_';
        let found = PATTERNS
            .iter()
            .find_map(|(pattern, name)| Some((matched(rest, pattern)?, name)));
        match found {
            Some((length, name)) if may_begin => {
                result.push_str(name);
                rest = &rest[length..];
            }
            _ => {
                result.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    let squeezed = result.lines().map(|line| {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line
            .split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect();
        format!("{}{}\n", " ".repeat(indent), words.join("  "))
    });
    squeezed.collect()
}

/// The length of what a pattern matches at the beginning of a text.
fn matched(text: &str, pattern: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    for symbol in pattern.bytes() {
        let next = bytes.get(at).copied();
        match symbol {
            b'9' => at += usize::from(next?.is_ascii_digit().then_some(true)?),
            b'x' => at += usize::from(matches!(next?, b'0'..=b'9' | b'a'..=b'f').then_some(true)?),
            b'#' => {
                let of_number = |b: &&u8| b.is_ascii_digit() || matches!(b, b'.' | b',');
                let length = bytes[at..].iter().take_while(of_number).count();
                at += (length > 0 && next?.is_ascii_digit()).then_some(length)?;
            }
            other => at += usize::from((next? == other).then_some(true)?),
        }
    }
    let ends = bytes.get(at).is_none_or(|next| !next.is_ascii_alphanumeric());
    ends.then_some(at)
}

#[test]
fn what_differs_is_replaced() {
    let known = [("/tmp/x".to_owned(), "[FOLDER]")];
    for (text, expected) in [
        ("kulti_backup_20250116_143022.sql.gz", "kulti_backup_[TIME].sql.gz"),
        (
            "at 2025-01-16T14:30:22.123Z, 2025-01-16 14:30:22 UTC",
            "at [TIME], [TIME]",
        ),
        (
            "1.98 MiB, 12 B, 1,024 bytes in 0.4 s",
            "[SIZE], [SIZE], [SIZE] in [SECS]",
        ),
        ("in 1 min 2 s, of 1 h 0 min", "in [SECS], of 1 h 0 min"),
        ("12 sequences, v1.2 s, 3 Bytes", "12 sequences, v1.2 s, 3 Bytes"),
        ("/tmp/x/a   b  c", "[FOLDER]/a  b  c"),
        (&"0f".repeat(32), "[SHA256]"),
        (&"0f".repeat(33), &"0f".repeat(33)),
    ] {
        assert_eq!(normalise(text, &known).trim_end(), expected);
    }
}
