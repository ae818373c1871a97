//! What the server says in an error or a notice
//! (<https://www.postgresql.org/docs/current/protocol-error-fields.html>).

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;

/// A field longer than this is cut: it is for people to read.
const FIELD_BYTES_MAX: usize = 64 * 1024;

/// A five-character code that says what kind of error it is
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// `insufficient_privilege`
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(*b"42501");
    /// `invalid_authorization_specification`: no entry in `pg_hba.conf`, no such role, no right to log in.
    pub const INVALID_AUTHORIZATION: Self = Self(*b"28000");
    /// `invalid_password`
    pub const INVALID_PASSWORD: Self = Self(*b"28P01");
    /// `invalid_catalog_name`: the database does not exist.
    pub const INVALID_CATALOG_NAME: Self = Self(*b"3D000");
    /// `too_many_connections`
    pub const TOO_MANY_CONNECTIONS: Self = Self(*b"53300");
    /// `cannot_connect_now`: starting up, shutting down, recovering.
    pub const CANNOT_CONNECT_NOW: Self = Self(*b"57P03");
    /// `admin_shutdown`: the session was ended by an administrator.
    pub const ADMIN_SHUTDOWN: Self = Self(*b"57P01");
    /// `query_canceled`: by a cancel request or `statement_timeout`.
    pub const QUERY_CANCELED: Self = Self(*b"57014");
    /// `lock_not_available`: `NOWAIT` or `lock_timeout`.
    pub const LOCK_NOT_AVAILABLE: Self = Self(*b"55P03");
    /// `deadlock_detected`
    pub const DEADLOCK_DETECTED: Self = Self(*b"40P01");
    /// `serialization_failure`
    pub const SERIALIZATION_FAILURE: Self = Self(*b"40001");
    /// `undefined_object`; of an exported snapshot that is gone, too.
    pub const UNDEFINED_OBJECT: Self = Self(*b"42704");
    /// `invalid_schema_name`: the schema does not exist.
    pub const INVALID_SCHEMA_NAME: Self = Self(*b"3F000");
    /// `duplicate_object`: a role, a type or the like exists already.
    pub const DUPLICATE_OBJECT: Self = Self(*b"42710");
    /// `invalid_table_definition`
    pub const INVALID_TABLE_DEFINITION: Self = Self(*b"42P16");
    /// `undefined_column`
    pub const UNDEFINED_COLUMN: Self = Self(*b"42703");
    /// `undefined_table`
    pub const UNDEFINED_TABLE: Self = Self(*b"42P01");
    /// `wrong_object_type`: a view where a table was expected, and the like.
    pub const WRONG_OBJECT_TYPE: Self = Self(*b"42809");
    /// `undefined_function`
    pub const UNDEFINED_FUNCTION: Self = Self(*b"42883");
    /// `disk_full`
    pub const DISK_FULL: Self = Self(*b"53100");
    /// `unique_violation`
    pub const UNIQUE_VIOLATION: Self = Self(*b"23505");
    /// `internal_error`; also stands for a code that the server left out.
    pub const INTERNAL_ERROR: Self = Self(*b"XX000");

    /// The code, if it is five ASCII letters and digits.
    #[must_use]
    pub fn new(code: &[u8]) -> Option<Self> {
        let code: [u8; 5] = code.try_into().ok()?;
        code.iter().all(u8::is_ascii_alphanumeric).then_some(Self(code))
    }

    /// The five characters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 5] {
        &self.0
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlState({self})")
    }
}

/// An error or a notice of the server.
///
/// The texts are in the session's encoding and kept as bytes, each up to 64 KiB; the methods show them with every
/// byte replaced that is not UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerError {
    code: SqlState,
    fields: Vec<(u8, Vec<u8>)>,
}

impl ServerError {
    /// Reads the body of an `ErrorResponse` or `NoticeResponse`. Fields that do not end are left out: half an error says
    /// more than none.
    pub(crate) fn parse(mut body: &[u8]) -> Self {
        let mut fields = Vec::new();
        while let Some((&kind, rest)) = body.split_first() {
            let Some(end) = (kind != 0).then(|| memchr(0, rest)).flatten() else {
                break;
            };
            fields.push((kind, rest[..end.min(FIELD_BYTES_MAX)].to_vec()));
            body = &rest[end + 1..];
        }
        let code = fields
            .iter()
            .find_map(|(kind, value)| (*kind == b'C').then(|| SqlState::new(value)).flatten())
            .unwrap_or(SqlState::INTERNAL_ERROR);
        Self { code, fields }
    }

    /// What kind of error it is.
    #[must_use]
    pub fn code(&self) -> SqlState {
        self.code
    }

    /// `ERROR`, `FATAL`, `PANIC`, or of a notice `WARNING`, `NOTICE` and so on.
    #[must_use]
    pub fn severity(&self) -> Cow<'_, str> {
        // V is the one that no locale translates (PostgreSQL 9.6 and later).
        self.text(b'V')
            .or_else(|| self.text(b'S'))
            .unwrap_or(Cow::Borrowed("ERROR"))
    }

    /// What happened, in one line.
    #[must_use]
    pub fn message(&self) -> Cow<'_, str> {
        self.text(b'M').unwrap_or(Cow::Borrowed("the server gave no message"))
    }

    /// What happened, in more words.
    #[must_use]
    pub fn detail(&self) -> Option<Cow<'_, str>> {
        self.text(b'D')
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        self.text(b'H')
    }

    /// Where it happened: the stack of functions, the line of a COPY.
    #[must_use]
    pub fn context(&self) -> Option<Cow<'_, str>> {
        self.text(b'W')
    }

    /// Where in the statement, in characters from 1.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        self.text(b'P')?.parse().ok()
    }

    /// The schema that it is about.
    #[must_use]
    pub fn schema(&self) -> Option<Cow<'_, str>> {
        self.text(b's')
    }

    /// The table that it is about.
    #[must_use]
    pub fn table(&self) -> Option<Cow<'_, str>> {
        self.text(b't')
    }

    /// The column that it is about.
    #[must_use]
    pub fn column(&self) -> Option<Cow<'_, str>> {
        self.text(b'c')
    }

    /// The constraint that it is about.
    #[must_use]
    pub fn constraint(&self) -> Option<Cow<'_, str>> {
        self.text(b'n')
    }

    /// The bytes of a field by the protocol's letter for it.
    #[must_use]
    pub fn field(&self, kind: u8) -> Option<&[u8]> {
        self.fields
            .iter()
            .find_map(|(found, value)| (*found == kind).then_some(value.as_slice()))
    }

    fn text(&self, kind: u8) -> Option<Cow<'_, str>> {
        self.field(kind).map(String::from_utf8_lossy)
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (SQLSTATE {})", self.severity(), self.message(), self.code)?;
        for (name, value) in [
            ("detail", self.detail()),
            ("hint", self.hint()),
            ("context", self.context()),
        ] {
            if let Some(value) = value {
                write!(f, "\n{name}: {value}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerError({self})")
    }
}

impl std::error::Error for ServerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        let error = ServerError::parse(
            b"SFEHLER\0VERROR\0C23505\0Mdoppelter Schl\xfcssel\0Dd\0Hh\0Ww\0P17\0spublic\0tt\0cid\0nt_pkey\0\0",
        );
        assert_eq!(error.code(), SqlState::UNIQUE_VIOLATION);
        assert_eq!(error.severity(), "ERROR");
        assert_eq!(error.message(), "doppelter Schl\u{fffd}ssel");
        assert_eq!(error.field(b'M'), Some(&b"doppelter Schl\xfcssel"[..]));
        assert_eq!(error.detail().as_deref(), Some("d"));
        assert_eq!(error.hint().as_deref(), Some("h"));
        assert_eq!(error.context().as_deref(), Some("w"));
        assert_eq!(error.position(), Some(17));
        assert_eq!(error.schema().as_deref(), Some("public"));
        assert_eq!(error.table().as_deref(), Some("t"));
        assert_eq!(error.column().as_deref(), Some("id"));
        assert_eq!(error.constraint().as_deref(), Some("t_pkey"));
        assert_eq!(
            error.to_string(),
            "ERROR: doppelter Schl\u{fffd}ssel (SQLSTATE 23505)\ndetail: d\nhint: h\ncontext: w"
        );
    }

    #[test]
    fn damaged_bodies_give_what_there_is() {
        for (body, expected) in [
            (&b""[..], "ERROR: the server gave no message (SQLSTATE XX000)"),
            (b"\0", "ERROR: the server gave no message (SQLSTATE XX000)"),
            (b"Mwhole\0Dcut", "ERROR: whole (SQLSTATE XX000)"),
            (b"C\x1b[31m\0Mm\0\0", "ERROR: m (SQLSTATE XX000)"),
            (b"SFATAL\0C57P01\0Mbye\0\0", "FATAL: bye (SQLSTATE 57P01)"),
        ] {
            assert_eq!(ServerError::parse(body).to_string(), expected);
        }
    }

    #[test]
    fn long_fields_are_cut() {
        let mut body = b"M".to_vec();
        body.resize(FIELD_BYTES_MAX + 100, b'x');
        body.extend_from_slice(b"\0\0");
        assert_eq!(ServerError::parse(&body).message().len(), FIELD_BYTES_MAX);
    }
}
