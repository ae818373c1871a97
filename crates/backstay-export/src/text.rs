//! COPY's text format, in which rows come (PostgreSQL documentation, COPY, "Text Format").

/// Calls `on_field` for each field of a row, without the line feed behind it: `None` is NULL. Escapes are undone in
/// `buffer`.
pub(crate) fn fields<E>(
    row: &[u8],
    buffer: &mut Vec<u8>,
    mut on_field: impl FnMut(usize, Option<&[u8]>) -> Result<(), E>,
) -> Result<usize, E> {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    let mut count = 0;
    for field in row.split(|byte| *byte == b'\t') {
        if field == b"\\N" {
            on_field(count, None)?;
        } else {
            on_field(count, Some(unescape(field, buffer)))?;
        }
        count += 1;
    }
    Ok(count)
}

/// The value that a field is.
pub(crate) fn unescape<'v>(field: &'v [u8], buffer: &'v mut Vec<u8>) -> &'v [u8] {
    if !field.contains(&b'\\') {
        return field;
    }
    buffer.clear();
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next() {
        buffer.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'b') => 0x08,
                Some(b'f') => 0x0c,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 0x0b,
                Some(&other) => other,
                None => b'\\',
            },
            byte => byte,
        });
    }
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_what_the_server_meant() {
        let mut found = Vec::new();
        let count = fields::<()>(
            b"a\t\t\\N\t\\\\N\tx\\ty\\n\\\\\\r\\b\\f\\v\n",
            &mut Vec::new(),
            |index, value| {
                assert_eq!(index, found.len());
                found.push(value.map(<[u8]>::to_vec));
                Ok(())
            },
        );
        assert_eq!(count, Ok(5));
        let expected: [Option<&[u8]>; 5] = [
            Some(b"a"),
            Some(b""),
            None,
            Some(b"\\N"),
            Some(b"x\ty\n\\\r\x08\x0c\x0b"),
        ];
        assert_eq!(found, expected.map(|value| value.map(<[u8]>::to_vec)));
    }
}
