//! Emptying a database that was empty when a drill began.

use super::{failed, identifier, text};
use crate::target::TargetError;
use crate::wire::WireConnection;

/// What a database holds beside one schema, and the statement that drops each; what is in `public` alone is not among them,
/// but for its tables. Tables go one by one before their schemas, since a statement that drops many needs as many locks; what
/// goes with others fails here, and is not there in the next round.
const DROPS: &str = "
    SELECT sql, class, oid FROM (
      SELECT 1, pg_catalog.format('DROP EVENT TRIGGER %I', evtname), 'pg_event_trigger', oid FROM pg_catalog.pg_event_trigger
      UNION ALL SELECT 2, pg_catalog.format('DROP PUBLICATION %I', pubname), 'pg_publication', oid
        FROM pg_catalog.pg_publication
      UNION ALL SELECT 3, pg_catalog.format('DROP EXTENSION %I CASCADE', extname), 'pg_extension', oid
        FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql'
      UNION ALL SELECT 4, pg_catalog.format('DROP %s %I.%I CASCADE',
          CASE c.relkind WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, n.nspname,
          c.relname), 'pg_class', c.oid
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f', 'm') AND {OWN}
      UNION ALL SELECT 5, pg_catalog.format('DROP SCHEMA %I CASCADE', n.nspname), 'pg_namespace', n.oid
        FROM pg_catalog.pg_namespace n WHERE n.nspname <> 'public' AND {OWN}
      UNION ALL SELECT 6, pg_catalog.format('DROP FOREIGN DATA WRAPPER %I CASCADE', fdwname), 'pg_foreign_data_wrapper', oid
        FROM pg_catalog.pg_foreign_data_wrapper
      UNION ALL SELECT 7, pg_catalog.format('DROP CAST (%s AS %s) CASCADE', pg_catalog.format_type(castsource, NULL),
          pg_catalog.format_type(casttarget, NULL)), 'pg_cast', oid FROM pg_catalog.pg_cast WHERE oid >= 16384
      UNION ALL SELECT 8, pg_catalog.format('DROP LANGUAGE %I CASCADE', lanname), 'pg_language', oid
        FROM pg_catalog.pg_language WHERE oid >= 16384
      UNION ALL SELECT 9, pg_catalog.format('DROP ACCESS METHOD %I CASCADE', amname), 'pg_am', oid
        FROM pg_catalog.pg_am WHERE oid >= 16384
      UNION ALL SELECT 10, pg_catalog.format('SELECT pg_catalog.lo_unlink(%s)', oid), 'pg_largeobject', oid
        FROM pg_catalog.pg_largeobject_metadata
      UNION ALL SELECT 11, {DEFAULT_PRIVILEGES}, 'pg_default_acl', oid
        FROM (SELECT oid, defaclacl, pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(defaclrole)) AS role,
            CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
              WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END AS objects
          FROM pg_catalog.pg_default_acl WHERE defaclnamespace = 0) a
    ) d (step, sql, class, oid)";

/// Statements that give back what a role's new objects usually let others do: what is as usual is not in the catalog.
const DEFAULT_PRIVILEGES: &str = "
    pg_catalog.concat(
      (SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %s REVOKE ALL ON %s FROM %s; ',
         role, objects, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE
           pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END), '')
       FROM pg_catalog.aclexplode(defaclacl)),
      pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %s GRANT ALL ON %s TO %s', role, objects, role),
      CASE WHEN objects IN ('FUNCTIONS', 'TYPES')
        THEN pg_catalog.format('; ALTER DEFAULT PRIVILEGES FOR ROLE %s GRANT ALL ON %s TO PUBLIC', role, objects) END)";

/// The schema `public`, as a new database has it. The owner stays the one that it has.
const PUBLIC: &str = "
    SELECT pg_catalog.format('BEGIN; DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION %I;
      COMMENT ON SCHEMA public IS ''standard public schema''; GRANT %s ON SCHEMA public TO PUBLIC; COMMIT',
      pg_catalog.pg_get_userbyid(nspowner),
      CASE WHEN pg_catalog.current_setting('server_version_num')::int4 >= 150000 THEN 'USAGE' ELSE 'USAGE, CREATE' END)
    FROM pg_catalog.pg_namespace WHERE nspname = 'public'";

/// Names what [`empty`] would remove from the database of the connection, beside the schema that marks it.
pub(super) fn contents(connection: &mut WireConnection, mark: &str) -> Result<Vec<String>, TargetError> {
    let described = |class: &str, oid: &str| {
        format!("SELECT pg_catalog.pg_describe_object({class}::pg_catalog.regclass, {oid}, 0)")
    };
    let sql = format!(
        "{} FROM ({}) d
         UNION SELECT 'subscription ' || s.subname FROM pg_catalog.pg_subscription s
           JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = pg_catalog.current_database()
         UNION {} FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace n ON n.oid = d.refobjid
           WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND n.nspname = 'public' AND d.classid <> 0
         ORDER BY 1",
        described("('pg_catalog.' || d.class)", "d.oid"),
        drops(mark),
        described("d.classid", "d.objid"),
    );
    let failed = failed("look whether the database of the drill is empty");
    let found = connection.query(sql.as_bytes()).map_err(failed)?;
    Ok(found.iter().map(|row| text(row, 0)).collect())
}

fn drops(mark: &str) -> String {
    let own = format!("n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '{mark}')");
    DROPS
        .replace("{OWN}", &own)
        .replace("{DEFAULT_PRIVILEGES}", DEFAULT_PRIVILEGES)
}

/// Drops everything in the database of the connection, and last the schema that marks it.
pub(super) fn empty(connection: &mut WireConnection, mark: &str) -> Result<(), TargetError> {
    let failed = failed("empty the database of a drill");
    drop_subscriptions(connection)?;
    let query = format!("{} ORDER BY step", drops(mark));
    let mut left = usize::MAX;
    loop {
        let drops = connection.query(query.as_bytes()).map_err(failed)?;
        if drops.is_empty() {
            break;
        }
        let mut last_error = None;
        for drop in &drops {
            if let Err(error) = connection.execute(drop.get(0).unwrap_or_default()) {
                if error.server_error().is_none() {
                    return Err(failed(error));
                }
                last_error.get_or_insert(error);
            }
        }
        // Each round must do something, or it would go on for ever.
        if let (true, Some(error)) = (drops.len() >= left, last_error) {
            return Err(failed(error));
        }
        left = drops.len();
    }
    for public in connection.query(PUBLIC.as_bytes()).map_err(failed)? {
        if let Err(error) = connection.execute(public.get(0).unwrap_or_default()) {
            // The first error is the one that counts.
            let _ = connection.execute(b"ROLLBACK");
            return Err(failed(error));
        }
    }
    let sql = format!("DROP SCHEMA {}", identifier(mark));
    connection.execute(sql.as_bytes()).map_err(failed)?;
    Ok(())
}

/// Drops the subscriptions of the database without a word to their publishers: a slot there is the source's.
pub(super) fn drop_subscriptions(connection: &mut WireConnection) -> Result<(), TargetError> {
    let failed = failed("drop the subscriptions of a drill");
    let sql = b"SELECT s.subname FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
                WHERE d.datname = pg_catalog.current_database()";
    for row in connection.query(sql).map_err(failed)? {
        let name = identifier(&text(&row, 0));
        for sql in [
            format!("ALTER SUBSCRIPTION {name} DISABLE"),
            format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"),
            format!("DROP SUBSCRIPTION {name}"),
        ] {
            connection.execute(sql.as_bytes()).map_err(failed)?;
        }
    }
    Ok(())
}
