//! Whether every row that refers to another finds it.

use crate::target::TargetError;
use crate::wire::{Row, WireConnection};

/// A foreign key of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignKey {
    /// Which, for people: `orders_user_id_fkey on public.orders`.
    pub what: String,
    /// Whether the server claims that it holds.
    pub state: ForeignKeyState,
    /// Rows that refer to a row which is not there, or why they could not be counted.
    pub orphans: Result<u64, String>,
}

/// What the server claims of a foreign key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it does, or it does not")]
pub enum ForeignKeyState {
    /// That it holds for all rows.
    Valid,
    /// Nothing about rows that were there before it (`NOT VALID`), or nothing at all (`NOT ENFORCED`).
    NotValid,
}

/// Foreign keys with the query that counts orphans. Keys of partitions come with those of their roots.
///
/// The query compares as the server does when it checks a key: by the operators of the constraint, in the collation of the
/// column that is referred to; a row with a null refers to nothing, under `MATCH FULL` one with nothing but nulls.
const FOREIGN_KEYS: &str = "
    SELECT c.conname, n.nspname, t.relname, c.convalidated AND {ENFORCED},
           CASE WHEN {PERIOD} THEN NULL ELSE pg_catalog.concat(
             'SELECT pg_catalog.count(*) FROM ', CASE WHEN t.relkind = 'p' THEN '' ELSE 'ONLY ' END,
             pg_catalog.format('%I.%I', n.nspname, t.relname), ' f WHERE ',
             CASE WHEN c.confmatchtype = 'f' THEN 'NOT (' || k.all_null || ')' ELSE k.none_null END,
             ' AND NOT EXISTS (SELECT FROM ', CASE WHEN r.relkind = 'p' THEN '' ELSE 'ONLY ' END,
             pg_catalog.format('%I.%I', rn.nspname, r.relname), ' p WHERE ', k.equal, ')') END
    FROM pg_catalog.pg_constraint c
    JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_catalog.pg_class r ON r.oid = c.confrelid
    JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace,
    LATERAL (
      SELECT pg_catalog.string_agg(pg_catalog.format('f.%I IS NULL', a.attname), ' AND ') AS all_null,
             pg_catalog.string_agg(pg_catalog.format('f.%I IS NOT NULL', a.attname), ' AND ') AS none_null,
             pg_catalog.string_agg(pg_catalog.format('p.%I OPERATOR(%I.%s) f.%I%s', p.attname, opn.nspname, op.oprname,
               a.attname, CASE WHEN p.attcollation <> 0 AND p.attcollation <> a.attcollation AND a.attcollation <> 0
                 THEN (SELECT pg_catalog.format(' COLLATE %I.%I', cn.nspname, co.collname)
                       FROM pg_catalog.pg_collation co JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
                       WHERE co.oid = p.attcollation)
                 ELSE '' END), ' AND ') AS equal
      FROM ROWS FROM (pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.confkey), pg_catalog.unnest(c.conpfeqop))
             AS u (fk, pk, eq)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = u.fk
      JOIN pg_catalog.pg_attribute p ON p.attrelid = c.confrelid AND p.attnum = u.pk
      JOIN pg_catalog.pg_operator op ON op.oid = u.eq
      JOIN pg_catalog.pg_namespace opn ON opn.oid = op.oprnamespace) k
    WHERE c.contype = 'f' AND c.conparentid = 0
    ORDER BY n.nspname COLLATE \"C\", t.relname COLLATE \"C\", c.conname COLLATE \"C\"";

/// Counts the orphans of every foreign key. Those that are not counted are told apart.
pub(super) fn check(
    connection: &mut WireConnection,
    server_version_num: u32,
    not_counted: &mut Vec<String>,
) -> Result<Vec<ForeignKey>, TargetError> {
    let failed = |source| TargetError::Wire {
        doing: "look for the foreign keys of the copy",
        source,
    };
    let since_18 = |column: &'static str, before: &'static str| match server_version_num {
        180_000.. => column,
        _ => before,
    };
    let sql = FOREIGN_KEYS
        .replace("{ENFORCED}", since_18("c.conenforced", "true"))
        .replace("{PERIOD}", since_18("c.conperiod", "false"));
    let rows = connection.query(sql.as_bytes()).map_err(failed)?;
    let mut keys = Vec::new();
    for row in &rows {
        let text = |column| String::from_utf8_lossy(row.get(column).unwrap_or_default()).into_owned();
        let what = format!("{} on {}.{}", text(0), text(1), text(2));
        let Some(query) = row.get(4) else {
            not_counted.push(format!("foreign key {what}: it compares periods"));
            continue;
        };
        let orphans = match connection.query(query) {
            // What is no number is no right one.
            Ok(rows) => Ok(rows.first().and_then(number).unwrap_or(u64::MAX)),
            Err(error) if error.server_error().is_some() => Err(error.to_string()),
            Err(source) => return Err(failed(source)),
        };
        keys.push(ForeignKey {
            what,
            state: match row.get(3) {
                Some(b"t") => ForeignKeyState::Valid,
                _ => ForeignKeyState::NotValid,
            },
            orphans,
        });
    }
    Ok(keys)
}

fn number(row: &Row) -> Option<u64> {
    std::str::from_utf8(row.get(0)?).ok()?.parse().ok()
}
