use std::collections::HashSet;

use super::{Keep, Parts, Restore, Session};
use crate::target::TargetError;
use crate::wire::Row;

/// What a target gives by itself, by `ALTER DEFAULT PRIVILEGES`, to what is made in it.
///
/// A dump tells the rights on an object by what is other than PostgreSQL's own default. So what the target adds would
/// stay, and a role from which the source has taken a right would have it again.
pub(super) struct GivenRights {
    /// What was there before the restore, by catalog and OID: its rights are the target's own affair.
    before: HashSet<Vec<u8>>,
}

/// Every object whose rights are written down, with the statements that make them PostgreSQL's default.
///
/// Of a member of an extension that gave rights on it by itself (`pg_init_privs`), only what default privileges name is
/// taken from others than its owner, and only the owner gets anything.
const FOUND: &str = r#"
WITH found AS (
  SELECT c.tableoid AS catalog, c.oid, c.relnamespace AS schema, CASE c.relkind WHEN 'S' THEN 'S' ELSE 'r' END AS code,
         CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
         pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.relacl AS rights,
         pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::pg_catalog."char", c.relowner) AS usual
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT p.tableoid, p.oid, p.pronamespace, 'f', 'ROUTINE', p.oid::pg_catalog.regprocedure::text, p.proacl,
         pg_catalog.acldefault('f', p.proowner)
  FROM pg_catalog.pg_proc p
  UNION ALL SELECT t.tableoid, t.oid, t.typnamespace, 'T', 'TYPE', pg_catalog.format('%I.%I', n.nspname, t.typname),
         t.typacl, pg_catalog.acldefault('T', t.typowner)
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  UNION ALL SELECT n.tableoid, n.oid, 0, 'n', 'SCHEMA', pg_catalog.quote_ident(n.nspname), n.nspacl,
         pg_catalog.acldefault('n', n.nspowner)
  FROM pg_catalog.pg_namespace n
  UNION ALL SELECT l.tableoid, l.oid, 0, 'L', 'LARGE OBJECT', l.oid::text, l.lomacl,
         pg_catalog.acldefault('L', l.lomowner)
  FROM pg_catalog.pg_largeobject_metadata l)
SELECT f.catalog || ' ' || f.oid, f.kind || ' ' || f.name,
  (SELECT pg_catalog.string_agg(pg_catalog.format('%s %s ON %s %s %s %s;', d.verb, d.privilege_type, f.kind, f.name,
            d.preposition, CASE d.grantee WHEN 0 THEN 'PUBLIC'
              ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(d.grantee)) END), ' ' ORDER BY d.verb DESC)
   FROM (SELECT 'REVOKE' AS verb, 'FROM' AS preposition, e.* FROM (
           SELECT * FROM pg_catalog.aclexplode(f.rights) EXCEPT SELECT * FROM pg_catalog.aclexplode(f.usual)) e
         WHERE i.objoid IS NULL OR (e.grantee, e.privilege_type) IN (
           SELECT g.grantee, g.privilege_type
           FROM pg_catalog.pg_default_acl a, LATERAL pg_catalog.aclexplode(a.defaclacl) g
           WHERE a.defaclobjtype::text = f.code AND a.defaclnamespace IN (0, f.schema))
         UNION ALL SELECT 'GRANT', 'TO', e.* FROM (
           SELECT * FROM pg_catalog.aclexplode(f.usual) EXCEPT SELECT * FROM pg_catalog.aclexplode(f.rights)) e
         WHERE i.objoid IS NULL OR e.grantee = e.grantor) d)
FROM found f LEFT JOIN pg_catalog.pg_init_privs i
  ON i.classoid = f.catalog AND i.objoid = f.oid AND i.objsubid = 0 AND i.privtype = 'e'
WHERE f.rights IS NOT NULL AND EXISTS (SELECT FROM pg_catalog.pg_default_acl)
ORDER BY f.catalog, f.oid"#;

impl Restore<'_> {
    /// Looks what the target has before anything is made in it; `None` where its rights shall be as the target gives them.
    pub(super) fn given_rights(&self, session: &mut Session) -> Result<Option<GivenRights>, TargetError> {
        if self.plan.options.privileges == Keep::No || self.plan.options.parts == Parts::Data {
            return Ok(None);
        }
        let mut before = HashSet::new();
        for row in found(session)? {
            before.extend(row.get(0).map(<[u8]>::to_vec));
        }
        Ok(Some(GivenRights { before }))
    }
}

impl GivenRights {
    /// The statements, each with what it is about, that take back what the target gave to what was made since.
    pub(super) fn take_back(&self, session: &mut Session) -> Result<Vec<(String, Vec<u8>)>, TargetError> {
        let found = found(session)?;
        let made = found
            .iter()
            .filter(|row| row.get(0).is_some_and(|object| !self.before.contains(object)));
        let statements = made.filter_map(|row| {
            let what = format!("ACL {}", String::from_utf8_lossy(row.get(1)?));
            Some((what, row.get(2)?.to_vec()))
        });
        Ok(statements.collect())
    }
}

fn found(session: &mut Session) -> Result<Vec<Row>, TargetError> {
    let doing = "read the rights that the target gives";
    let rows = session.connection.query(FOUND.as_bytes());
    rows.map_err(|source| TargetError::Wire { doing, source })
}
