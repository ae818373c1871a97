//! The client's messages and the bodies of the server's
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

use memchr::memchr;

use super::fault::Fault;
use super::frame::HEADER_BYTES;

/// Protocol version 3.0.
const PROTOCOL_VERSION: u32 = 3 << 16;
const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;

/// What a cancel request must show.
#[derive(Clone, Copy)]
pub(super) struct BackendKey {
    pub(super) process_id: u32,
    pub(super) secret: [u8; 4],
}

pub(super) fn ssl_request() -> [u8; 8] {
    let mut message = [0; 8];
    message[..4].copy_from_slice(&8u32.to_be_bytes());
    message[4..].copy_from_slice(&SSL_REQUEST.to_be_bytes());
    message
}

pub(super) fn cancel_request(key: BackendKey) -> [u8; 16] {
    let mut message = [0; 16];
    message[..4].copy_from_slice(&16u32.to_be_bytes());
    message[4..8].copy_from_slice(&CANCEL_REQUEST.to_be_bytes());
    message[8..12].copy_from_slice(&key.process_id.to_be_bytes());
    message[12..].copy_from_slice(&key.secret);
    message
}

/// The start-up message; `None` where a value has a NUL, which would end it early.
pub(super) fn startup(parameters: &[(&str, &str)]) -> Option<Vec<u8>> {
    let mut message = vec![0; 4];
    message.extend_from_slice(&PROTOCOL_VERSION.to_be_bytes());
    for text in parameters.iter().flat_map(|(name, value)| [name, value]) {
        if text.contains('\0') {
            return None;
        }
        message.extend_from_slice(text.as_bytes());
        message.push(0);
    }
    message.push(0);
    let length = u32::try_from(message.len()).ok()?;
    message[..4].copy_from_slice(&length.to_be_bytes());
    Some(message)
}

/// Writes a message with a kind; `None` where it is too long for the protocol.
pub(super) fn frame(out: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) -> Option<()> {
    out.clear();
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    for part in parts {
        out.extend_from_slice(part);
    }
    seal(out)
}

/// Sets the length of a message that was written behind an empty header.
pub(super) fn seal(message: &mut [u8]) -> Option<()> {
    let length = i32::try_from(message.len() - 1).ok()?;
    message[1..HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
    Some(())
}

/// What a session's transaction is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the list is the protocol's")]
pub enum TransactionStatus {
    /// There is none.
    Idle,
    /// One is open.
    Open,
    /// One is open and failed; only its end is accepted.
    Failed,
}

pub(super) fn parse_ready(body: &[u8]) -> Result<TransactionStatus, Fault> {
    match body {
        b"I" => Ok(TransactionStatus::Idle),
        b"T" => Ok(TransactionStatus::Open),
        b"E" => Ok(TransactionStatus::Failed),
        _ => Err(Fault::malformed(b'Z')),
    }
}

pub(super) fn parse_backend_key(body: &[u8]) -> Result<BackendKey, Fault> {
    let Ok([a, b, c, d, secret @ ..]) = <[u8; 8]>::try_from(body) else {
        return Err(Fault::malformed(b'K'));
    };
    Ok(BackendKey {
        process_id: u32::from_be_bytes([a, b, c, d]),
        secret,
    })
}

pub(super) fn parse_parameter(body: &[u8]) -> Result<(String, String), Fault> {
    let (name, rest) = split_text(body).ok_or_else(|| Fault::malformed(b'S'))?;
    match split_text(rest) {
        Some((value, [])) => Ok((lossy(name), lossy(value))),
        _ => Err(Fault::malformed(b'S')),
    }
}

/// Checks a `CopyInResponse` or `CopyOutResponse`: text, and text in every column.
pub(super) fn parse_copy_response(tag: u8, body: &[u8]) -> Result<(), Fault> {
    let [format, high, low, columns @ ..] = body else {
        return Err(Fault::malformed(tag));
    };
    if columns.len() != usize::from(u16::from_be_bytes([*high, *low])) * 2 {
        return Err(Fault::malformed(tag));
    }
    if *format != 0 || columns.iter().any(|byte| *byte != 0) {
        return Err(Fault::Violation("a COPY in binary format".to_owned()));
    }
    Ok(())
}

/// The text up to a NUL, and what follows that.
pub(super) fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(0, bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// What the server says that a statement did: `COPY 17`, `BEGIN`, `INSERT 0 1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandTag(String);

impl CommandTag {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Fault> {
        match split_text(body) {
            Some((tag, [])) => Ok(Self(lossy(tag))),
            _ => Err(Fault::malformed(b'C')),
        }
    }

    /// The tag as the server wrote it; empty where there was no statement.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many rows it was, for commands that tell.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.0.rsplit_once(' ')?.1.parse().ok()
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A row of a query's result, as the server's text for each value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    body: Vec<u8>,
    /// Where each value is in the body; `None` is NULL.
    values: Vec<Option<(usize, usize)>>,
}

impl Row {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Fault> {
        Self::scan(body)
            .map(|values| Self {
                body: body.to_vec(),
                values,
            })
            .ok_or_else(|| Fault::malformed(b'D'))
    }

    /// How many columns it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it has no column at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of a column, counted from 0; `None` for NULL, and for a column that the row has not.
    #[must_use]
    pub fn get(&self, column: usize) -> Option<&[u8]> {
        let (start, end) = (*self.values.get(column)?)?;
        self.body.get(start..end)
    }

    fn scan(body: &[u8]) -> Option<Vec<Option<(usize, usize)>>> {
        let (count, mut rest) = body.split_first_chunk()?;
        let count = usize::from(u16::from_be_bytes(*count));
        let mut values = Vec::new();
        for _ in 0..count {
            let (length, after) = rest.split_first_chunk()?;
            rest = after;
            let length = i32::from_be_bytes(*length);
            if length == -1 {
                values.push(None);
                continue;
            }
            let start = body.len() - rest.len();
            let length = usize::try_from(length).ok()?;
            rest = rest.get(length..)?;
            values.push(Some((start, start + length)));
        }
        rest.is_empty().then_some(values)
    }
}

/// What the server says of a column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnDescription {
    /// Its name, in the encoding of the session.
    pub name: Vec<u8>,
    /// The OID of its type.
    pub type_oid: u32,
    /// The modifier of the type, such as precision and scale; -1 for none.
    pub type_modifier: i32,
}

impl ColumnDescription {
    pub(super) fn parse_all(body: &[u8]) -> Result<Vec<Self>, Fault> {
        Self::scan(body).ok_or_else(|| Fault::malformed(b'T'))
    }

    fn scan(body: &[u8]) -> Option<Vec<Self>> {
        let (count, mut rest) = body.split_first_chunk()?;
        let mut columns = Vec::new();
        for _ in 0..u16::from_be_bytes(*count) {
            let (name, after) = split_text(rest)?;
            // Table and column that it is of, type, length of the type, modifier, format.
            let (fixed, after) = after.split_first_chunk::<18>()?;
            rest = after;
            columns.push(Self {
                name: name.to_vec(),
                type_oid: u32::from_be_bytes(fixed[6..10].try_into().ok()?),
                type_modifier: i32::from_be_bytes(fixed[12..16].try_into().ok()?),
            });
        }
        rest.is_empty().then_some(columns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data_row(values: &[Option<Vec<u8>>]) -> Vec<u8> {
        let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        for value in values {
            match value {
                None => body.extend_from_slice(&(-1i32).to_be_bytes()),
                Some(value) => {
                    body.extend_from_slice(&i32::try_from(value.len()).unwrap().to_be_bytes());
                    body.extend_from_slice(value);
                }
            }
        }
        body
    }

    proptest! {
        #[test]
        fn rows_give_the_values_that_went_in(
            values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 0..9),
        ) {
            let row = Row::parse(&data_row(&values)).unwrap();
            prop_assert_eq!(row.len(), values.len());
            for (column, value) in values.iter().enumerate() {
                prop_assert_eq!(row.get(column), value.as_deref());
            }
            prop_assert_eq!(row.get(values.len()), None);
        }

        #[test]
        fn foreign_bytes_are_refused_or_read_but_never_panic(body in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Row::parse(&body);
            let _ = ColumnDescription::parse_all(&body);
            let _ = parse_parameter(&body);
            let _ = parse_backend_key(&body);
            let _ = parse_copy_response(b'H', &body);
            let _ = CommandTag::parse(&body);
        }
    }

    #[test]
    fn a_row_that_is_cut_or_too_long_is_refused() {
        let whole = data_row(&[Some(b"ab".to_vec()), None]);
        for end in 0..whole.len() {
            assert!(Row::parse(&whole[..end]).is_err(), "{end}");
        }
        assert!(Row::parse(&[whole.as_slice(), b"x"].concat()).is_err());
        assert!(Row::parse(&[0, 1, 0xff, 0xff, 0xff, 0xfe]).is_err(), "a length of -2");
    }

    #[test]
    fn columns_are_described() {
        let mut body = vec![0, 1];
        body.extend_from_slice(b"price\0");
        body.extend_from_slice(&[0, 0, 0, 1, 0, 2, 0, 0, 6, 0xa4, 0xff, 0xff, 0, 10, 0, 6, 0, 0]);
        let column = ColumnDescription {
            name: b"price".to_vec(),
            type_oid: 1700,
            type_modifier: (10 << 16) + 2 + 4,
        };
        assert_eq!(ColumnDescription::parse_all(&body).unwrap(), [column]);
        for end in 0..body.len() {
            assert!(ColumnDescription::parse_all(&body[..end]).is_err(), "{end}");
        }
        assert!(ColumnDescription::parse_all(&[body.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn tags_tell_rows() {
        for (body, rows) in [
            (&b"COPY 17\0"[..], Some(17)),
            (b"INSERT 0 3\0", Some(3)),
            (b"BEGIN\0", None),
            (b"COPY -1\0", None),
            (b"COPY 99999999999999999999\0", None),
            (b"\0", None),
        ] {
            assert_eq!(CommandTag::parse(body).unwrap().rows(), rows, "{}", body.escape_ascii());
        }
        assert!(CommandTag::parse(b"COPY 17").is_err());
        assert!(CommandTag::parse(b"COPY 17\0x").is_err());
    }

    #[test]
    fn copy_responses_must_be_text() {
        for (body, accepted) in [
            (&[0, 0, 2, 0, 0, 0, 0][..], true),
            (&[0, 0, 0], true),
            (&[1, 0, 1, 0, 1], false),
            (&[0, 0, 1, 0, 1], false),
            (&[0, 0, 2, 0, 0], false),
            (&[0], false),
        ] {
            assert_eq!(parse_copy_response(b'H', body).is_ok(), accepted, "{body:?}");
        }
    }

    #[test]
    fn a_nul_in_a_startup_value_is_refused() {
        assert_eq!(startup(&[("user", "a\0b")]), None);
        assert_eq!(startup(&[("user", "me")]).unwrap(), b"\0\0\0\x11\0\x03\0\0user\0me\0\0");
    }
}
