//! What the columns of an export are, by the server's catalogs.

use backstay_postgres::{ColumnDescription, WireConnection, WireError};

use crate::error::ExportError;

/// A column of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as the server writes it: `numeric(10,2)`, `text[]`, `public.status`.
    pub type_name: String,
    /// What its values are.
    pub kind: ColumnKind,
    /// Whether it is an array of them; what stands between two elements in its text.
    pub(crate) array_delimiter: Option<u8>,
}

/// What the values of a column are, or the elements of its arrays. Of a domain, those of the type below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnKind {
    /// `boolean`.
    Bool,
    /// `smallint`.
    Int16,
    /// `integer`.
    Int32,
    /// `bigint`.
    Int64,
    /// `oid`: 32 bits without a sign.
    Oid,
    /// `real`.
    Float32,
    /// `double precision`.
    Float64,
    /// `numeric` with a precision of at most 38 and a scale from 0 to the precision.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// `bytea`.
    Bytes,
    /// `date`.
    Date,
    /// `timestamp`.
    Timestamp,
    /// `timestamptz`.
    TimestampTz,
    /// `uuid`.
    Uuid,
    /// `json` or `jsonb`.
    Json,
    /// Every other type, by its text.
    Text,
}

/// A type of the catalogs, without the domains around it.
struct TypeFacts {
    oid: u32,
    modifier: i32,
    /// Of an array: the type and modifier of its elements, and what stands between two.
    element: Option<(u32, u8)>,
}

/// How many domains may stand around a type; the server has no bound, and nobody has more.
const DOMAINS_MAX: usize = 32;

/// Looks the types of columns up.
pub(crate) fn describe(
    connection: &mut WireConnection,
    columns: &[ColumnDescription],
) -> Result<Vec<Column>, ExportError> {
    columns
        .iter()
        .map(|column| {
            let name = String::from_utf8(column.name.clone()).map_err(|_| ExportError::Malformed {
                what: "the name of a column is not in UTF-8".to_owned(),
            })?;
            let (oid, modifier) = (column.type_oid, column.type_modifier);
            let shown = format!("SELECT pg_catalog.format_type({oid}, {modifier})");
            let shown = one_value(connection, &shown).map_err(ExportError::wire("read the types of columns"))?;
            let mut facts = base_type(connection, oid, modifier)?;
            let mut array_delimiter = None;
            if let Some((element, delimiter)) = facts.element {
                array_delimiter = Some(delimiter);
                facts = base_type(connection, element, facts.modifier)?;
            }
            // An array whose elements are, by way of a domain, arrays: they have but their text.
            let kind = match facts.element {
                Some(_) => ColumnKind::Text,
                None => kind(facts.oid, facts.modifier),
            };
            Ok(Column {
                name,
                type_name: shown.unwrap_or_default(),
                kind,
                array_delimiter,
            })
        })
        .collect()
}

/// The type below all domains.
fn base_type(connection: &mut WireConnection, mut oid: u32, mut modifier: i32) -> Result<TypeFacts, ExportError> {
    // Only a true array is written in braces: `int2vector` has elements, too.
    let query = |oid: u32| {
        format!(
            "SELECT t.typtype, t.typbasetype, t.typtypmod, e.oid, pg_catalog.ascii(e.typdelim::pg_catalog.text) \
             FROM pg_catalog.pg_type t \
             LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid WHERE t.oid = {oid}"
        )
    };
    for _ in 0..DOMAINS_MAX {
        let rows = connection
            .query(query(oid).as_bytes())
            .map_err(ExportError::wire("read the types of columns"))?;
        let Some(row) = rows.first() else { break };
        let number = |index| -> Option<i64> { std::str::from_utf8(row.get(index)?).ok()?.parse().ok() };
        if row.get(0) != Some(b"d") {
            let element = number(3).zip(number(4));
            let element =
                element.and_then(|(oid, delimiter)| Some((u32::try_from(oid).ok()?, u8::try_from(delimiter).ok()?)));
            return Ok(TypeFacts { oid, modifier, element });
        }
        let base = number(1).and_then(|base| u32::try_from(base).ok());
        let Some(base) = base else { break };
        oid = base;
        modifier = number(2)
            .and_then(|modifier| i32::try_from(modifier).ok())
            .unwrap_or(-1);
    }
    Err(ExportError::Malformed {
        what: format!("nothing tells what the type {oid} is"),
    })
}

/// The first value of the first row.
pub(crate) fn one_value(connection: &mut WireConnection, sql: &str) -> Result<Option<String>, WireError> {
    let rows = connection.query(sql.as_bytes())?;
    let value = rows.first().and_then(|row| row.get(0));
    Ok(value.map(|value| String::from_utf8_lossy(value).into_owned()))
}

/// By the OIDs of `pg_type.dat`, which never change.
fn kind(oid: u32, modifier: i32) -> ColumnKind {
    match oid {
        16 => ColumnKind::Bool,
        17 => ColumnKind::Bytes,
        20 => ColumnKind::Int64,
        21 => ColumnKind::Int16,
        23 => ColumnKind::Int32,
        26 => ColumnKind::Oid,
        114 | 3802 => ColumnKind::Json,
        700 => ColumnKind::Float32,
        701 => ColumnKind::Float64,
        1082 => ColumnKind::Date,
        1114 => ColumnKind::Timestamp,
        1184 => ColumnKind::TimestampTz,
        1700 => decimal(modifier).unwrap_or(ColumnKind::Text),
        2950 => ColumnKind::Uuid,
        _ => ColumnKind::Text,
    }
}

/// What the modifier of `numeric` says: precision and scale, which has a sign since PostgreSQL 15.
fn decimal(modifier: i32) -> Option<ColumnKind> {
    const HEADER: i32 = 4;
    const DIGITS_MAX: u8 = 38;
    let packed = modifier.checked_sub(HEADER).filter(|packed| *packed >= 0)?;
    let precision = u8::try_from((packed >> 16) & 0xffff).ok()?;
    let scale = u8::try_from(((packed & 0x7ff) ^ 1024) - 1024).ok()?;
    (precision <= DIGITS_MAX && scale <= precision).then_some(ColumnKind::Decimal { precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerics_are_decimals_where_one_can_hold_them() {
        let modifier = |precision: i32, scale: i32| (precision << 16 | (scale & 0x7ff)) + 4;
        for (given, expected) in [
            (-1, None),
            (modifier(10, 2), Some((10, 2))),
            (modifier(38, 38), Some((38, 38))),
            (modifier(1, 0), Some((1, 0))),
            (modifier(39, 0), None),
            (modifier(1000, 2), None),
            (modifier(2, -3), None),
            (modifier(2, 5), None),
        ] {
            let found = match kind(1700, given) {
                ColumnKind::Decimal { precision, scale } => Some((precision, scale)),
                _ => None,
            };
            assert_eq!(found, expected, "{given}");
        }
    }
}
