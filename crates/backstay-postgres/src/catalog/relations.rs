use std::collections::HashMap;

use backstay_core::DbText;
use backstay_core::manifest::{Column, Persistence, RowSecurity};
use postgres::Transaction;

use super::{CatalogError, OWN_SCHEMA, Reading, db_text, oid_list, optional_db_text, rows};

/// Whether the role may read a relation; `NULL` where it is gone by now.
const READABLE: &str = "(pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
    AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))";

/// Kinds of relations that a backup cares for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelationKind {
    Table,
    Partitioned,
    Foreign,
    MaterializedView,
    View,
    Sequence,
}

/// A relation as the snapshot sees it.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    pub(crate) schema: DbText,
    pub(crate) name: DbText,
    pub(crate) kind: RelationKind,
    pub(crate) persistence: Persistence,
    /// Whether the storage that the snapshot's catalog names is the storage there is now.
    pub(crate) storage_is_current: bool,
    pub(crate) heap: bool,
    /// Access method, where there is one.
    pub(crate) access_method: Option<String>,
    /// All zero until it is measured: see [`sizes_query`].
    pub(crate) size: RelationSize,
    pub(crate) row_security: RowSecurity,
    /// Whether row level security would hide rows from this role.
    pub(crate) row_security_active: bool,
    /// Whether the role may read it, which says nothing of one that is gone by now.
    pub(crate) readable: bool,
    pub(crate) populated: bool,
    /// The extension that owns it.
    pub(crate) extension: Option<DbText>,
    /// The condition of an extension's configuration table: empty for all rows.
    pub(crate) configuration: Option<DbText>,
    /// The partition root through which its rows must be loaded.
    pub(crate) load_through: Option<u32>,
    /// Whether a check of it calls a function of a user, which may read other tables.
    pub(crate) checks_by_function: bool,
    pub(crate) policies: Vec<DbText>,
    pub(crate) indexes: Vec<DbText>,
}

/// How much storage a table has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RelationSize {
    /// Pages of the main fork.
    pub(crate) pages: u32,
    /// Bytes of the main fork and of the TOAST table.
    pub(crate) bytes: u64,
}

/// Lists what a snapshot holder must lock, by name, before there is a snapshot: every table that may be read.
pub(crate) fn lockable_relations(client: &mut postgres::Client) -> Result<Vec<(u32, DbText, DbText)>, CatalogError> {
    let sql = format!(
        "SELECT c.oid, convert_to(n.nspname, getdatabaseencoding()), convert_to(c.relname, getdatabaseencoding())
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {READABLE} AND {OWN_SCHEMA}
         ORDER BY c.oid"
    );
    let what = "the tables to lock";
    let found = client.query(&sql, &[]).reading(what)?;
    found
        .iter()
        .map(|row| Ok((row.try_get(0)?, db_text(row, 1)?, db_text(row, 2)?)))
        .collect::<Result<_, postgres::Error>>()
        .reading(what)
}

/// The query that gives OID, pages, and bytes with TOAST of tables.
///
/// Measuring a table locks it for a moment, and so waits while somebody has or awaits an exclusive lock.
pub(crate) fn sizes_query(tables: &[u32]) -> String {
    let oids = oid_list(tables);
    format!(
        "SELECT s.oid, s.main / current_setting('block_size')::int8, s.main + s.toast
         FROM (SELECT c.oid, coalesce(pg_catalog.pg_relation_size(c.oid), 0) AS main,
                 CASE WHEN c.reltoastrelid <> 0 THEN coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0)
                      ELSE 0 END AS toast
               FROM pg_catalog.pg_class c WHERE c.relkind = 'r' AND c.oid = ANY ({oids})) s"
    )
}

/// Reads every relation outside the system schemas, without taking a lock on any.
pub(crate) fn read_relations(
    transaction: &mut Transaction<'_>,
    server_version_num: u32,
) -> Result<Vec<Relation>, CatalogError> {
    let access_method = if server_version_num >= 120_000 {
        "a.amname"
    } else {
        "NULL::name"
    };
    let sql = format!(
        "SELECT c.oid, convert_to(n.nspname, getdatabaseencoding()), convert_to(c.relname, getdatabaseencoding()),
                c.relkind::text, c.relpersistence::text,
                c.relfilenode IS NOT DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid),
                {access_method}::text,
                c.relrowsecurity, c.relforcerowsecurity,
                CASE WHEN c.relkind IN ('r', 'p') THEN pg_catalog.row_security_active(c.oid) ELSE false END,
                coalesce({READABLE}, true),
                c.relispopulated,
                (SELECT convert_to(e.extname, getdatabaseencoding())
                   FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0
                    AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'),
                (SELECT convert_to(coalesce(e.extcondition[array_position(e.extconfig, c.oid)], ''), getdatabaseencoding())
                   FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig) LIMIT 1),
                c.relchecks > 0 AND EXISTS (
                  SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d
                    ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid
                  WHERE k.conrelid = c.oid AND k.contype = 'c' AND d.refobjid >= 16384
                    AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass)
         FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
         WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v', 'S') AND c.relpersistence <> 't' AND {OWN_SCHEMA}
         ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\""
    );
    let mut relations = rows(transaction, "the relations", &sql, |row| {
        let kind: String = row.try_get(3)?;
        let persistence: String = row.try_get(4)?;
        let access_method: Option<String> = row.try_get(6)?;
        let kind = match kind.as_str() {
            "p" => RelationKind::Partitioned,
            "f" => RelationKind::Foreign,
            "m" => RelationKind::MaterializedView,
            "v" => RelationKind::View,
            "S" => RelationKind::Sequence,
            _ => RelationKind::Table,
        };
        Ok(Relation {
            oid: row.try_get(0)?,
            schema: db_text(row, 1)?,
            name: db_text(row, 2)?,
            kind,
            persistence: if persistence == "u" {
                Persistence::Unlogged
            } else {
                Persistence::Permanent
            },
            // Only tables and materialized views have storage that a truncation or rewrite replaces under a reader.
            storage_is_current: kind != RelationKind::Table || row.try_get(5)?,
            heap: access_method.as_deref().is_none_or(|method| method == "heap"),
            access_method,
            size: RelationSize::default(),
            row_security: match (row.try_get(7)?, row.try_get(8)?) {
                (true, true) => RowSecurity::Forced,
                (true, false) => RowSecurity::Enabled,
                (false, _) => RowSecurity::Off,
            },
            row_security_active: row.try_get(9)?,
            readable: row.try_get(10)?,
            populated: row.try_get(11)?,
            extension: optional_db_text(row, 12)?,
            configuration: optional_db_text(row, 13)?,
            load_through: None,
            checks_by_function: row.try_get(14)?,
            policies: Vec::new(),
            indexes: Vec::new(),
        })
    })?;
    let mut policies = names_by_table(
        transaction,
        "the policies",
        "SELECT polrelid, convert_to(polname, getdatabaseencoding()) FROM pg_catalog.pg_policy ORDER BY polname COLLATE \"C\"",
    )?;
    let mut indexes = names_by_table(
        transaction,
        "the indexes",
        "SELECT i.indrelid, convert_to(c.relname, getdatabaseencoding())
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
         WHERE i.indisvalid OR c.relkind = 'I' ORDER BY c.relname COLLATE \"C\"",
    )?;
    let mut roots = unsafe_partition_roots(transaction, server_version_num)?;
    for relation in &mut relations {
        relation.policies = policies.remove(&relation.oid).unwrap_or_default();
        relation.indexes = indexes.remove(&relation.oid).unwrap_or_default();
        relation.load_through = roots.remove(&relation.oid);
    }
    Ok(relations)
}

fn names_by_table(
    transaction: &mut Transaction<'_>,
    what: &'static str,
    sql: &str,
) -> Result<HashMap<u32, Vec<DbText>>, CatalogError> {
    let mut names: HashMap<u32, Vec<DbText>> = HashMap::new();
    for (oid, name) in rows(transaction, what, sql, |row| Ok((row.try_get(0)?, db_text(row, 1)?)))? {
        names.entry(oid).or_default().push(name);
    }
    Ok(names)
}

/// Leaves whose rows may belong to another leaf in another database, and the other leaves of the same tree, with their
/// root.
///
/// That is so below a hash partitioning by an expression, by a column with a collation that is not deterministic, or by
/// a type whose hash depends on OIDs: enums, and everything that is made of user-defined types.
fn unsafe_partition_roots(
    transaction: &mut Transaction<'_>,
    server_version_num: u32,
) -> Result<HashMap<u32, u32>, CatalogError> {
    if server_version_num < 120_000 {
        return Ok(HashMap::new());
    }
    let sql = "
        WITH hashed AS (
          SELECT p.partrelid FROM pg_catalog.pg_partitioned_table p
          WHERE p.partstrat = 'h' AND EXISTS (
            SELECT FROM unnest(p.partattrs::int2[], p.partcollation::oid[]) AS k (attnum, coll)
            LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = k.attnum
            LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_catalog.pg_collation c ON c.oid = k.coll
            WHERE k.attnum = 0 OR t.oid >= 16384 OR t.typelem >= 16384 OR NOT coalesce(c.collisdeterministic, true)))
        SELECT DISTINCT l.relid::oid, r.root
        FROM (SELECT DISTINCT pg_catalog.pg_partition_root(partrelid)::oid FROM hashed) r (root),
             pg_catalog.pg_partition_tree(r.root) l WHERE l.isleaf";
    let pairs = rows(transaction, "the partitions", sql, |row| {
        Ok((row.try_get::<_, u32>(0)?, row.try_get::<_, u32>(1)?))
    })?;
    Ok(pairs.into_iter().collect())
}

/// Reads the columns that are copied, by table: no dropped and no generated ones.
pub(crate) fn read_columns(
    transaction: &mut Transaction<'_>,
    server_version_num: u32,
) -> Result<HashMap<u32, Vec<Column>>, CatalogError> {
    let not_generated = if server_version_num >= 120_000 {
        "a.attgenerated = ''"
    } else {
        "true"
    };
    let sql = format!(
        "SELECT a.attrelid, convert_to(a.attname, getdatabaseencoding()),
                convert_to(pg_catalog.format_type(a.atttypid, a.atttypmod), getdatabaseencoding())
         FROM pg_catalog.pg_attribute a
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND {not_generated} AND {OWN_SCHEMA}
         ORDER BY a.attrelid, a.attnum"
    );
    let mut columns: HashMap<u32, Vec<Column>> = HashMap::new();
    let found = rows(transaction, "the columns", &sql, |row| {
        Ok((
            row.try_get(0)?,
            Column {
                name: db_text(row, 1)?,
                data_type: db_text(row, 2)?,
            },
        ))
    })?;
    for (table, column) in found {
        columns.entry(table).or_default().push(column);
    }
    Ok(columns)
}
