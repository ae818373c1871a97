//! The text of arrays (PostgreSQL documentation, "Array Input and Output Syntax").

use super::value::Unfit;

/// Calls `on_element` for each element of an array of one dimension; `None` is NULL.
///
/// # Errors
/// A list has one dimension and begins at 1, so other arrays do not fit.
pub(super) fn elements(
    text: &[u8],
    delimiter: u8,
    mut on_element: impl FnMut(Option<&[u8]>) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    if text.first() == Some(&b'[') {
        return Err(Unfit("an array that does not begin at 1"));
    }
    let broken = Unfit("what is no array");
    let inner = text.strip_prefix(b"{").and_then(|text| text.strip_suffix(b"}"));
    let mut rest = inner.ok_or(broken)?;
    if rest.is_empty() {
        return Ok(());
    }
    let mut element = Vec::new();
    loop {
        element.clear();
        let is_quoted = rest.first() == Some(&b'"');
        if is_quoted {
            rest = &rest[1..];
            loop {
                match rest {
                    [b'"', after @ ..] => {
                        rest = after;
                        break;
                    }
                    [b'\\', escaped, after @ ..] => {
                        element.push(*escaped);
                        rest = after;
                    }
                    [byte, after @ ..] => {
                        element.push(*byte);
                        rest = after;
                    }
                    [] => return Err(broken),
                }
            }
        } else {
            if rest.first() == Some(&b'{') {
                return Err(Unfit("an array of several dimensions"));
            }
            let end = rest.iter().position(|byte| *byte == delimiter).unwrap_or(rest.len());
            element.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
        if !is_quoted && element == b"NULL" {
            on_element(None)?;
        } else {
            on_element(Some(&element))?;
        }
        match rest {
            [] => return Ok(()),
            [byte, after @ ..] if *byte == delimiter => rest = after,
            _ => return Err(broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, delimiter: u8) -> Result<Vec<Option<String>>, Unfit> {
        let mut found = Vec::new();
        elements(text.as_bytes(), delimiter, |element| {
            found.push(element.map(|element| String::from_utf8_lossy(element).into_owned()));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn elements_are_what_the_server_meant() {
        for (text, expected) in [
            ("{}", &[][..]),
            ("{1,2}", &[Some("1"), Some("2")]),
            (r#"{a,NULL,"NULL",""}"#, &[Some("a"), None, Some("NULL"), Some("")]),
            (
                r#"{"b,c","{\"x\"}","\\","}"}"#,
                &[Some("b,c"), Some("{\"x\"}"), Some("\\"), Some("}")],
            ),
        ] {
            let expected: Vec<_> = expected.iter().map(|element| element.map(str::to_owned)).collect();
            assert_eq!(read(text, b',').unwrap(), expected, "{text}");
        }
        let boxes = [Some("(1,1),(0,0)".to_owned()), Some("(2,2),(1,1)".to_owned())];
        assert_eq!(read("{(1,1),(0,0);(2,2),(1,1)}", b';').unwrap(), boxes);
        for text in ["", "{", "1,2", "{{1},{2}}", "[0:1]={1,2}", "{\"a}", "{\"a\"b}"] {
            assert!(read(text, b',').is_err(), "{text}");
        }
    }
}
