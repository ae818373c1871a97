use super::Request;
use super::error::{ConninfoError, Origin};
use super::keys;
use super::uri;

/// Reads a URL, a key/value string or a bare database name, told apart as libpq does
/// (`recognized_connection_string`).
///
/// What has a scheme that is not PostgreSQL's, or looks like `user:password@host`, is none of them, and refused before
/// its password becomes the name of a database.
pub(super) fn parse(text: &str, origin: &Origin, request: &mut Request) -> Result<(), ConninfoError> {
    let not_postgres = || ConninfoError::NotPostgres { origin: origin.clone() };
    // A final newline is common in variables and files, and never part of a value.
    let trimmed = text.trim_ascii();
    if uri::has_scheme(trimmed) {
        uri::parse(trimmed, origin, request)
    } else if begins_with_scheme(trimmed) {
        Err(not_postgres())
    } else if trimmed.contains('=') {
        parse_key_values(text, origin, request)
    } else if trimmed.contains('@') {
        Err(not_postgres())
    } else {
        if !text.is_empty() {
            request.settings.set("dbname", text, origin.clone());
        }
        Ok(())
    }
}

/// Tells whether the text begins with what could be the scheme of a URL, in quotes or not.
pub(super) fn begins_with_scheme(text: &str) -> bool {
    let text = text.trim_start_matches(['"', '\'', ' ']);
    text.split_once(':').is_some_and(|(scheme, rest)| {
        rest.starts_with('/')
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

/// Reads `key=value` pairs as `conninfo_parse` of libpq does; of a key that comes twice the last one counts.
fn parse_key_values(text: &str, origin: &Origin, request: &mut Request) -> Result<(), ConninfoError> {
    let bytes = text.as_bytes();
    let syntax = |at: usize, problem| ConninfoError::Syntax {
        origin: origin.clone(),
        position: at + 1,
        problem,
    };
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        return Err(syntax(at, "a zero byte is not allowed"));
    }
    let mut at = skip_blanks(bytes, 0);
    while at < bytes.len() {
        let name_start = at;
        while at < bytes.len() && bytes[at] != b'=' && !is_blank(bytes[at]) {
            at += 1;
        }
        let name = &bytes[name_start..at];
        at = skip_blanks(bytes, at);
        if bytes.get(at) != Some(&b'=') {
            return Err(syntax(
                name_start,
                "missing `=` after a key (a value with spaces needs single quotes)",
            ));
        }
        let value_start = skip_blanks(bytes, at + 1);
        let (value, end) = if bytes.get(value_start) == Some(&b'\'') {
            quoted_value(bytes, value_start + 1).ok_or_else(|| syntax(value_start, "unterminated quoted value"))?
        } else {
            plain_value(bytes, value_start)
        };
        let unknown = || ConninfoError::UnknownKey {
            origin: origin.clone(),
            position: name_start + 1,
            nearest: keys::nearest(name),
        };
        request.settings.set_by_name(name, value, origin).ok_or_else(unknown)?;
        at = skip_blanks(bytes, end);
    }
    Ok(())
}

/// The value up to the next blank, and where it ends.
fn plain_value(bytes: &[u8], mut at: usize) -> (Vec<u8>, usize) {
    let mut value = Vec::new();
    while at < bytes.len() && !is_blank(bytes[at]) {
        at += usize::from(bytes[at] == b'\\');
        value.extend(bytes.get(at));
        at += 1;
    }
    (value, at.min(bytes.len()))
}

/// The value up to the next single quote, and what follows that; `None` where there is none.
fn quoted_value(bytes: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut value = Vec::new();
    loop {
        match bytes.get(at)? {
            b'\'' => return Some((value, at + 1)),
            b'\\' => {
                value.push(*bytes.get(at + 1)?);
                at += 2;
            }
            &byte => {
                value.push(byte);
                at += 1;
            }
        }
    }
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|&byte| is_blank(byte)) {
        at += 1;
    }
    at
}

/// C's `isspace`.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13)
}
