use std::collections::HashMap;

use postgres::Transaction;

use super::{CatalogError, Reading, rows};

/// A fingerprint of every definition in a snapshot, by catalog and OID.
///
/// `pg_get_*def` reads the current catalogs whatever the snapshot; `pg_dump` uses it, so its output belongs to the
/// snapshot only if no definition of the snapshot changed or went before its end. What was added meanwhile does no
/// harm: `pg_dump` does not see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogStamp(HashMap<(u32, u32), i64>);

impl CatalogStamp {
    /// Takes the stamp of the catalogs as the transaction sees them: of each object the `(id, xmin)` of the rows that
    /// describe it, but for temporary objects and those of the system.
    pub(crate) fn take(transaction: &mut Transaction<'_>) -> Result<Self, CatalogError> {
        let found = rows(transaction, "the stamp of the definitions", STAMP, |row| {
            Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))
        })?;
        Ok(Self(found.into_iter().collect()))
    }

    /// Says what of this stamp is no more as it was in a later one; `None` when everything is.
    pub(crate) fn change(
        &self,
        later: &Self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<String>, CatalogError> {
        let mut changed: Vec<(u32, u32)> = self
            .0
            .iter()
            .filter(|(object, stamp)| later.0.get(object) != Some(stamp))
            .map(|(&object, _)| object)
            .collect();
        changed.sort_unstable();
        let Some(&(catalog, oid)) = changed.first() else {
            return Ok(None);
        };
        // To describe what is no more is an error before 14, and it may go even now.
        let name = if later.0.contains_key(&(catalog, oid)) {
            describe(transaction, catalog, oid)?
        } else {
            None
        };
        Ok(Some(match name {
            Some(name) => format!("the definition of {} changed", String::from_utf8_lossy(&name)),
            None => "something was dropped".to_owned(),
        }))
    }
}

/// What people call an object; `None` if it is no more.
fn describe(transaction: &mut Transaction<'_>, catalog: u32, oid: u32) -> Result<Option<Vec<u8>>, CatalogError> {
    let what = "the name of what changed";
    let sql = "SELECT convert_to(pg_catalog.pg_describe_object($1, $2, 0), getdatabaseencoding())";
    let mut attempt = transaction.transaction().reading(what)?;
    let described = attempt.query_one(sql, &[&catalog, &oid]).and_then(|row| row.try_get(0));
    let name = match described {
        Err(error) if error.as_db_error().is_some() => None,
        described => described.reading(what)?,
    };
    attempt.rollback().reading(what)?;
    Ok(name)
}

/// What belongs to a relation or a type (columns, defaults, triggers, rules, policies, keys, …) counts as a part of it.
const STAMP: &str = "
    WITH temp AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_'),
    rel AS (SELECT c.oid, c.xmin FROM pg_catalog.pg_class c
            WHERE c.oid >= 16384 AND c.relkind <> 't' AND c.relnamespace NOT IN (SELECT oid FROM temp)),
    parts (catalog, object, id, x) AS (
      SELECT 'pg_catalog.pg_class'::regclass::oid, oid, 'r', xmin FROM rel
      UNION ALL SELECT 'pg_catalog.pg_class'::regclass::oid, p.object, p.id, p.x FROM (
        SELECT a.attrelid, 'a' || a.attnum, a.xmin FROM pg_catalog.pg_attribute a WHERE a.attnum > 0
        UNION ALL SELECT adrelid, 'd' || oid, xmin FROM pg_catalog.pg_attrdef
        UNION ALL SELECT indrelid, 'x' || indexrelid, xmin FROM pg_catalog.pg_index
        UNION ALL SELECT tgrelid, 't' || oid, xmin FROM pg_catalog.pg_trigger
        UNION ALL SELECT ev_class, 'u' || oid, xmin FROM pg_catalog.pg_rewrite
        UNION ALL SELECT polrelid, 'p' || oid, xmin FROM pg_catalog.pg_policy
        UNION ALL SELECT inhrelid, 'i' || inhseqno, xmin FROM pg_catalog.pg_inherits
        UNION ALL SELECT partrelid, 'k', xmin FROM pg_catalog.pg_partitioned_table
        UNION ALL SELECT stxrelid, 's' || oid, xmin FROM pg_catalog.pg_statistic_ext
        UNION ALL SELECT conrelid, 'c' || oid, xmin FROM pg_catalog.pg_constraint WHERE conrelid <> 0
      ) p (object, id, x) JOIN rel ON rel.oid = p.object
      UNION ALL SELECT 'pg_catalog.pg_type'::regclass::oid, t.oid, p.id, p.x FROM pg_catalog.pg_type t JOIN (
        SELECT oid, 't', xmin FROM pg_catalog.pg_type
        UNION ALL SELECT enumtypid, 'e' || oid, xmin FROM pg_catalog.pg_enum
        UNION ALL SELECT contypid, 'c' || oid, xmin FROM pg_catalog.pg_constraint WHERE contypid <> 0
      ) p (object, id, x) ON p.object = t.oid
      WHERE t.oid >= 16384 AND t.typnamespace NOT IN (SELECT oid FROM temp)
      UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, oid, '', xmin FROM pg_catalog.pg_proc
        WHERE oid >= 16384 AND pronamespace NOT IN (SELECT oid FROM temp)
      UNION ALL SELECT tableoid, oid, '', xmin FROM pg_catalog.pg_operator WHERE oid >= 16384
      UNION ALL SELECT tableoid, oid, '', xmin FROM pg_catalog.pg_opclass WHERE oid >= 16384
      UNION ALL SELECT tableoid, oid, '', xmin FROM pg_catalog.pg_opfamily WHERE oid >= 16384
      UNION ALL SELECT tableoid, oid, '', xmin FROM pg_catalog.pg_cast WHERE oid >= 16384
      UNION ALL SELECT tableoid, oid, '', xmin FROM pg_catalog.pg_collation WHERE oid >= 16384
      UNION ALL SELECT tableoid, oid, '', xmin FROM pg_catalog.pg_ts_config WHERE oid >= 16384
      UNION ALL SELECT tableoid, oid, '', xmin FROM pg_catalog.pg_extension
      UNION ALL SELECT tableoid, oid, '', xmin FROM pg_catalog.pg_event_trigger
      UNION ALL SELECT tableoid, oid, '', xmin FROM pg_catalog.pg_publication
      -- Of the system's schemas, `public` is anybody's to rename.
      UNION ALL SELECT tableoid, oid, '', xmin FROM pg_catalog.pg_namespace
        WHERE (oid >= 16384 OR nspname = 'public' OR oid = 2200) AND oid NOT IN (SELECT oid FROM temp))
    SELECT catalog, object,
           (sum(pg_catalog.hashtextextended(id || '=' || x::text, 0)::numeric) % 9223372036854775807)::int8
    FROM parts GROUP BY 1, 2";
