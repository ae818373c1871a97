use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use backstay_core::DbText;
use backstay_core::manifest::Refresh;
use backstay_core::sql::{quote_identifier, quote_literal, quote_qualified};
use postgres::Transaction;

use super::{CatalogError, OWN_SCHEMA, Reading, Relation, RelationKind, db_text, optional_db_text, rows};

/// What a backup holds besides tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    /// Sequences to read: schema and name.
    pub(crate) sequences: Vec<(DbText, DbText)>,
    /// Populated materialized views in an order in which refreshing works.
    pub(crate) refreshes: Vec<Refresh>,
}

/// Reads the sequences (those of extensions only where they are configuration) and orders the materialized views.
pub(crate) fn read_objects(
    transaction: &mut Transaction<'_>,
    relations: &[Relation],
    selected: impl Fn(&Relation) -> bool,
) -> Result<Objects, CatalogError> {
    let own = |relation: &&Relation| relation.extension.is_none() || relation.configuration.is_some();
    let sequences = relations
        .iter()
        .filter(|relation| relation.kind == RelationKind::Sequence && selected(relation))
        .filter(own)
        .map(|relation| (relation.schema.clone(), relation.name.clone()))
        .collect();
    let edges = rows(
        transaction,
        "the dependencies of views",
        "SELECT DISTINCT r.ev_class, d.refobjid FROM pg_catalog.pg_rewrite r
         JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
         WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class
         ORDER BY 1, 2",
        |row| Ok((row.try_get::<_, u32>(0)?, row.try_get::<_, u32>(1)?)),
    )?;
    let mut needs: HashMap<u32, Vec<u32>> = HashMap::new();
    for (view, needed) in edges {
        needs.entry(view).or_default().push(needed);
    }
    let populated: BTreeMap<u32, &Relation> = relations
        .iter()
        .filter(|relation| relation.kind == RelationKind::MaterializedView && relation.populated)
        .filter(|relation| relation.extension.is_none() && selected(relation))
        .map(|relation| (relation.oid, relation))
        .collect();
    // Names, not OIDs, decide among views that do not depend on each other, so that a copy gives the same order.
    let mut by_name: Vec<&Relation> = populated.values().copied().collect();
    by_name.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    let mut order = Vec::new();
    let mut seen = HashSet::new();
    for relation in by_name {
        visit(relation.oid, &needs, &mut seen, &mut order);
    }
    let refreshes = order
        .iter()
        .filter_map(|oid| populated.get(oid))
        .map(|relation| Refresh {
            schema: relation.schema.clone(),
            name: relation.name.clone(),
        })
        .collect();
    Ok(Objects { sequences, refreshes })
}

/// Depth first with a stack of its own, because chains of views can be long.
fn visit(start: u32, needs: &HashMap<u32, Vec<u32>>, seen: &mut HashSet<u32>, order: &mut Vec<u32>) {
    let mut stack = vec![(start, false)];
    while let Some((oid, done)) = stack.pop() {
        if done {
            order.push(oid);
        } else if seen.insert(oid) {
            stack.push((oid, true));
            stack.extend(
                needs
                    .get(&oid)
                    .into_iter()
                    .flatten()
                    .rev()
                    .map(|&needed| (needed, false)),
            );
        }
    }
}

/// A key constraint whose index can be built first.
#[derive(Clone, Debug)]
pub(crate) struct KeyOfIndex {
    pub(crate) index_definition: DbText,
    pub(crate) attach_statement: DbText,
}

/// Reads the primary keys and unique constraints of ordinary tables that `ADD CONSTRAINT … USING INDEX` can take over,
/// by the OID of the constraint.
///
/// Left out is what that form refuses (PostgreSQL documentation, ALTER TABLE): partitioned tables, indexes that are not
/// b-trees, and those of temporal keys.
pub(crate) fn read_keys(
    transaction: &mut Transaction<'_>,
    server_version_num: u32,
) -> Result<HashMap<u32, KeyOfIndex>, CatalogError> {
    let temporal = if server_version_num >= 180_000 {
        "c.conperiod"
    } else {
        "false"
    };
    let sql = format!(
        "SELECT c.oid, convert_to(n.nspname, getdatabaseencoding()), convert_to(t.relname, getdatabaseencoding()),
                convert_to(c.conname, getdatabaseencoding()), convert_to(i.relname, getdatabaseencoding()),
                c.contype::text, c.condeferrable, c.condeferred,
                convert_to(pg_catalog.pg_get_indexdef(i.oid), getdatabaseencoding())
         FROM pg_catalog.pg_constraint c
         JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
         JOIN pg_catalog.pg_class i ON i.oid = c.conindid
         JOIN pg_catalog.pg_am a ON a.oid = i.relam
         WHERE c.contype IN ('p', 'u') AND t.relkind = 'r' AND i.relkind = 'i' AND a.amname = 'btree'
           AND NOT {temporal} AND {OWN_SCHEMA}"
    );
    let keys = rows(transaction, "the keys", &sql, |row| {
        let kind: String = row.try_get(5)?;
        let mut attach = b"ALTER TABLE ONLY ".to_vec();
        attach.extend(quote_qualified(
            db_text(row, 1)?.as_bytes(),
            db_text(row, 2)?.as_bytes(),
        ));
        attach.extend_from_slice(b" ADD CONSTRAINT ");
        attach.extend(quote_identifier(db_text(row, 3)?.as_bytes()));
        attach.extend_from_slice(if kind == "p" {
            b" PRIMARY KEY USING INDEX "
        } else {
            b" UNIQUE USING INDEX "
        });
        attach.extend(quote_identifier(db_text(row, 4)?.as_bytes()));
        if row.try_get(6)? {
            attach.extend_from_slice(b" DEFERRABLE");
        }
        if row.try_get(7)? {
            attach.extend_from_slice(b" INITIALLY DEFERRED");
        }
        attach.push(b';');
        let mut index = db_text(row, 8)?.into_bytes();
        index.push(b';');
        Ok((
            row.try_get(0)?,
            KeyOfIndex {
                index_definition: DbText::new(index),
                attach_statement: DbText::new(attach),
            },
        ))
    })?;
    Ok(keys.into_iter().collect())
}

/// Lists the indexes that are not valid; `pg_dump` leaves them out.
pub(crate) fn invalid_indexes(transaction: &mut Transaction<'_>) -> Result<Vec<(DbText, DbText)>, CatalogError> {
    let sql = format!(
        "SELECT convert_to(n.nspname, getdatabaseencoding()), convert_to(c.relname, getdatabaseencoding())
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT i.indisvalid AND c.relkind = 'i' AND {OWN_SCHEMA} ORDER BY 1, 2"
    );
    rows(transaction, "the invalid indexes", &sql, |row| {
        Ok((db_text(row, 0)?, db_text(row, 1)?))
    })
}

/// Lists the indexes that queries do not use, and whether each is one of a partitioned table, which then lacks that of a
/// partition.
pub(crate) fn unusable_indexes(transaction: &mut Transaction<'_>) -> Result<Vec<(String, bool)>, CatalogError> {
    let sql = format!(
        "SELECT convert_to(n.nspname, getdatabaseencoding()), convert_to(c.relname, getdatabaseencoding()),
                c.relkind = 'I'
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND {OWN_SCHEMA} ORDER BY 1, 2"
    );
    rows(transaction, "the indexes that are not valid", &sql, |row| {
        let name = format!("index {}.{}", db_text(row, 0)?, db_text(row, 1)?);
        Ok((name, row.try_get(2)?))
    })
}

/// Owner, comment and grants of one large object, as statements.
#[derive(Clone, Debug)]
pub(crate) struct LargeObjectOwner {
    pub(crate) oid: u32,
    pub(crate) owner: DbText,
    pub(crate) owner_statement: Vec<u8>,
    pub(crate) comment_statement: Option<Vec<u8>>,
    pub(crate) grants: Vec<u8>,
}

/// Whether not everybody may create something in the schema `public`.
pub(crate) fn public_is_closed(transaction: &mut Transaction<'_>) -> Result<bool, CatalogError> {
    let sql = "SELECT NOT EXISTS (
        SELECT FROM pg_catalog.pg_namespace n, LATERAL pg_catalog.aclexplode(n.nspacl) a
        WHERE n.nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE')";
    transaction
        .query_one(sql, &[])
        .and_then(|row| row.try_get(0))
        .reading("the rights on the schema public")
}

/// Reads the large objects there are, with what belongs to each but its content.
pub(crate) fn large_object_entries(transaction: &mut Transaction<'_>) -> Result<Vec<LargeObjectOwner>, CatalogError> {
    let granted = RefCell::new(HashSet::new());
    let mut objects = rows(
        transaction,
        "the large objects",
        "SELECT l.oid, convert_to(pg_catalog.pg_get_userbyid(l.lomowner), getdatabaseencoding()),
                convert_to(pg_catalog.obj_description(l.oid, 'pg_largeobject'), getdatabaseencoding()),
                l.lomacl IS NOT NULL
         FROM pg_catalog.pg_largeobject_metadata l ORDER BY l.oid",
        |row| {
            let oid: u32 = row.try_get(0)?;
            let owner = db_text(row, 1)?;
            let mut owner_statement = format!("ALTER LARGE OBJECT {oid} OWNER TO ").into_bytes();
            owner_statement.extend(quote_identifier(owner.as_bytes()));
            owner_statement.extend_from_slice(b";\n");
            let comment_statement = optional_db_text(row, 2)?.map(|comment| {
                let mut statement = format!("COMMENT ON LARGE OBJECT {oid} IS ").into_bytes();
                statement.extend(quote_literal(comment.as_bytes()));
                statement.extend_from_slice(b";\n");
                statement
            });
            // An object without a list of grants has those of its owner; one with an empty list has none at all.
            if row.try_get(3)? {
                granted.borrow_mut().insert(oid);
            }
            Ok(LargeObjectOwner {
                oid,
                owner,
                owner_statement,
                comment_statement,
                grants: Vec::new(),
            })
        },
    )?;
    let mut grants: HashMap<u32, Vec<Grant>> = HashMap::new();
    let found = rows(
        transaction,
        "the grants on large objects",
        "SELECT l.oid, CASE WHEN a.grantee <> 0 THEN convert_to(pg_catalog.pg_get_userbyid(a.grantee), getdatabaseencoding()) END,
                convert_to(pg_catalog.pg_get_userbyid(a.grantor), getdatabaseencoding()), a.privilege_type, a.is_grantable
         FROM pg_catalog.pg_largeobject_metadata l, LATERAL pg_catalog.aclexplode(l.lomacl) a
         ORDER BY l.oid, a.grantor = l.lomowner DESC, a.grantor, a.grantee, a.privilege_type",
        |row| {
            let grant = Grant {
                grantee: optional_db_text(row, 1)?,
                grantor: db_text(row, 2)?,
                privilege: row.try_get(3)?,
                grantable: row.try_get(4)?,
            };
            Ok((row.try_get(0)?, grant))
        },
    )?;
    for (oid, grant) in found {
        grants.entry(oid).or_default().push(grant);
    }
    for object in &mut objects {
        if granted.borrow().contains(&object.oid) {
            let grants = grants.remove(&object.oid).unwrap_or_default();
            object.grants = grant_statements(object.oid, &object.owner, &grants);
        }
    }
    Ok(objects)
}

struct Grant {
    grantee: Option<DbText>,
    grantor: DbText,
    privilege: String,
    grantable: bool,
}

/// The statements that give a new large object of `owner` these grants, and no other.
fn grant_statements(oid: u32, owner: &DbText, grants: &[Grant]) -> Vec<u8> {
    let mut sql = Vec::new();
    let own: HashSet<&str> = grants
        .iter()
        .filter(|grant| grant.grantee.as_ref() == Some(owner))
        .map(|grant| grant.privilege.as_str())
        .collect();
    if own.len() < 2 {
        sql.extend(format!("REVOKE ALL ON LARGE OBJECT {oid} FROM ").into_bytes());
        sql.extend(quote_identifier(owner.as_bytes()));
        sql.extend_from_slice(b";\n");
    }
    for grant in grants {
        let by_owner = grant.grantor == *owner;
        if by_owner && own.len() == 2 && grant.grantee.as_ref() == Some(owner) {
            continue;
        }
        if !by_owner {
            sql.extend_from_slice(b"SET SESSION AUTHORIZATION ");
            sql.extend(quote_identifier(grant.grantor.as_bytes()));
            sql.extend_from_slice(b";\n");
        }
        sql.extend(format!("GRANT {} ON LARGE OBJECT {oid} TO ", grant.privilege).into_bytes());
        match &grant.grantee {
            Some(grantee) => sql.extend(quote_identifier(grantee.as_bytes())),
            None => sql.extend_from_slice(b"PUBLIC"),
        }
        sql.extend_from_slice(if grant.grantable {
            b" WITH GRANT OPTION;\n"
        } else {
            b";\n"
        });
        if !by_owner {
            sql.extend_from_slice(b"RESET SESSION AUTHORIZATION;\n");
        }
    }
    sql
}
