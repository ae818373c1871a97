//! The SQL that Backstay writes: quoting, and the settings that every pack begins with.

/// Quotes an identifier (PostgreSQL documentation, "Identifiers and Key Words"): always in double quotes, inner ones
/// doubled.
#[must_use]
pub fn quote_identifier(name: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(name.len() + 2);
    quoted.push(b'"');
    for &byte in name {
        if byte == b'"' {
            quoted.push(b'"');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    quoted
}

/// Quotes a schema-qualified name.
#[must_use]
pub fn quote_qualified(schema: &[u8], name: &[u8]) -> Vec<u8> {
    let mut quoted = quote_identifier(schema);
    quoted.push(b'.');
    quoted.extend(quote_identifier(name));
    quoted
}

/// Quotes a string constant; one with a backslash gets the `E''` form, which reads the same whatever
/// `standard_conforming_strings` says.
#[must_use]
pub fn quote_literal(text: &[u8]) -> Vec<u8> {
    let escaped = text.contains(&b'\\');
    let mut quoted = Vec::with_capacity(text.len() + 3);
    if escaped {
        quoted.push(b'E');
    }
    quoted.push(b'\'');
    for &byte in text {
        if byte == b'\'' || byte == b'\\' {
            quoted.push(byte);
        }
        quoted.push(byte);
    }
    quoted.push(b'\'');
    quoted
}

/// What a pack's first lines do: make psql stop at the first error, unless it was started with `-v keep_going=1`.
///
/// psql otherwise goes on after an error, and after a failed `COPY` it runs the rows as SQL.
pub const STOP_ON_ERROR: &str = "\\if :{?keep_going}\n\\else\n\\set ON_ERROR_STOP on\n\\endif\n";

/// The settings of a session that writes or reads COPY text, as name and value.
///
/// Each shapes what rows look like, what definitions mean, or how long they may take; a database or role may have set
/// any of them otherwise. `lc_monetary` is `C` on both sides because the text of `money` follows it.
pub const SESSION_SETTINGS: &[(&str, &str)] = &[
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
    ("standard_conforming_strings", "on"),
    ("escape_string_warning", "off"),
    ("backslash_quote", "safe_encoding"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("bytea_output", "hex"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("extra_float_digits", "3"),
    ("lc_monetary", "C"),
    ("xmloption", "content"),
    ("xmlbinary", "base64"),
    ("check_function_bodies", "off"),
    ("row_security", "off"),
    ("search_path", ""),
    ("default_transaction_read_only", "off"),
    ("default_tablespace", ""),
    ("default_table_access_method", "heap"),
    ("session_replication_role", "origin"),
    ("client_min_messages", "warning"),
    ("quote_all_identifiers", "off"),
    ("synchronize_seqscans", "off"),
    ("jit", "off"),
];

/// Settings of [`SESSION_SETTINGS`] that an ordinary role may be refused; their value is checked, not set.
pub const PRIVILEGED_SETTINGS: &[&str] = &["session_replication_role"];

/// The text of a pack's first member for a database in `encoding`.
///
/// The settings are applied by one query over `pg_settings`, because a server without one of them would refuse a
/// plain `SET`.
#[must_use]
pub fn settings_text(encoding: &str) -> Vec<u8> {
    let mut text = STOP_ON_ERROR.to_owned();
    text.push_str(
        "--\n-- A backup made by Backstay: https://github.com/backstay/backstay\n\
         -- Restore it with   backstay restore FILE --to URL\n\
         -- or, with nothing but PostgreSQL's own programs, into an empty database:\n\
         --   gunzip -c FILE.sql.gz | psql -X -d URL        (zstd -dc FILE.sql.zst for zstd)\n--\n\n",
    );
    let encoding = String::from_utf8_lossy(&quote_literal(encoding.as_bytes())).into_owned();
    text.push_str(&format!(
        "SET client_encoding = {encoding};\nSET standard_conforming_strings = on;\n"
    ));
    text.push_str("SELECT pg_catalog.count(pg_catalog.set_config(s.name, v.value, false)) AS settings\nFROM pg_catalog.pg_settings s, (VALUES\n");
    let values: Vec<String> = SESSION_SETTINGS
        .iter()
        .filter(|(name, _)| !PRIVILEGED_SETTINGS.contains(name))
        .map(|(name, value)| format!("  ('{name}', '{value}')"))
        .collect();
    text.push_str(&values.join(",\n"));
    text.push_str("\n) v (name, value) WHERE pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) v.name;\n\n");
    text.into_bytes()
}

/// The settings by which psql and the server agree where a literal ends.
///
/// They stand again before every statement with a backslash or a byte above 127, because a function that runs during the
/// restore may have changed them, and psql would then read on behind a literal's end, or before it.
#[must_use]
pub fn literal_settings(encoding: &str) -> Vec<u8> {
    let mut text = b"SET standard_conforming_strings = on;\nSET client_encoding = ".to_vec();
    text.extend(quote_literal(encoding.as_bytes()));
    text.extend_from_slice(b";\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_wants_out() {
        assert_eq!(quote_identifier(b"a\"b"), b"\"a\"\"b\"");
        assert_eq!(quote_qualified(b"s", b"t\n"), b"\"s\".\"t\n\"");
        assert_eq!(quote_literal(b"it's"), b"'it''s'");
        assert_eq!(quote_literal(b"a\\'b"), b"E'a\\\\''b'");
    }

    #[test]
    fn settings_begin_by_stopping_on_errors() {
        let text = settings_text("UTF8");
        assert!(text.starts_with(b"\\if :{?keep_going}\n\\else\n\\set ON_ERROR_STOP on\n\\endif\n"));
        let text = String::from_utf8(text).unwrap();
        let commands: Vec<&str> = text.lines().filter(|line| line.starts_with('\\')).collect();
        assert_eq!(commands.len(), 4, "no psql command but those that stop on errors");
    }
}
