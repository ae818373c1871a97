//! Rows as JSON, which the server makes: `row_to_json` gives numbers all their digits.

use crate::error::ExportError;
use crate::text::unescape;

/// The statement that reads rows as one JSON object each.
pub(crate) fn copy_statement(query: &str) -> String {
    format!("COPY (SELECT pg_catalog.row_to_json(x.*) FROM (\n{query}\n) AS x) TO STDOUT")
}

/// The JSON of a row, in one line without the line feed.
///
/// A `json` value has the blanks that it was written with, line ends too. Those stand outside of strings, for in a string
/// they must be escaped, and may as well be spaces.
pub(crate) fn line<'v>(row: &'v [u8], buffer: &'v mut Vec<u8>) -> Result<&'v [u8], ExportError> {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    if !row.contains(&b'\\') {
        return checked(row);
    }
    unescape(row, buffer);
    for byte in buffer.iter_mut() {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    checked(buffer)
}

/// A database without an encoding has bytes that are no text.
fn checked(line: &[u8]) -> Result<&[u8], ExportError> {
    match std::str::from_utf8(line) {
        Ok(_) => Ok(line),
        Err(_) => Err(ExportError::Malformed {
            what: "a text that is not in UTF-8".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line_of_json() {
        for (row, expected) in [
            (&b"{\"a\":1}\n"[..], &b"{\"a\":1}"[..]),
            (b"{\"a\":\"x\\\\ny\"}\n", b"{\"a\":\"x\\ny\"}"),
            (b"{\"a\":{\\n  \"b\": 1\\r\\n}}\n", b"{\"a\":{   \"b\": 1  }}"),
        ] {
            assert_eq!(line(row, &mut Vec::new()).unwrap(), expected);
        }
        assert!(line(b"{\"a\":\"\xff\"}\n", &mut Vec::new()).is_err());
    }
}
