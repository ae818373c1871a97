//! Emptying a database that was empty when a drill began.

use super::{failed, identifier, text};
use crate::target::TargetError;
use crate::wire::WireConnection;

/// Statements that drop what a database holds, but for one schema. Tables go one by one before their schemas, since a statement
/// that drops many needs as many locks; what goes with others fails here, and is not there in the next round.
const DROPS: &str = "
    SELECT sql FROM (
      SELECT 1, pg_catalog.format('DROP EVENT TRIGGER %I', evtname) FROM pg_catalog.pg_event_trigger
      UNION ALL SELECT 2, pg_catalog.format('DROP PUBLICATION %I', pubname) FROM pg_catalog.pg_publication
      UNION ALL SELECT 3, pg_catalog.format('DROP EXTENSION %I CASCADE', extname) FROM pg_catalog.pg_extension
        WHERE extname <> 'plpgsql'
      UNION ALL SELECT 4, pg_catalog.format('DROP %s %I.%I CASCADE',
          CASE c.relkind WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, n.nspname, c.relname)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f', 'm') AND {OWN}
      UNION ALL SELECT 5, pg_catalog.format('DROP SCHEMA %I CASCADE', n.nspname) FROM pg_catalog.pg_namespace n
        WHERE n.nspname <> 'public' AND {OWN}
      UNION ALL SELECT 6, pg_catalog.format('DROP FOREIGN DATA WRAPPER %I CASCADE', fdwname)
        FROM pg_catalog.pg_foreign_data_wrapper
      UNION ALL SELECT 7, pg_catalog.format('DROP CAST (%s AS %s) CASCADE', pg_catalog.format_type(castsource, NULL),
          pg_catalog.format_type(casttarget, NULL)) FROM pg_catalog.pg_cast WHERE oid >= 16384
      UNION ALL SELECT 8, pg_catalog.format('DROP LANGUAGE %I CASCADE', lanname) FROM pg_catalog.pg_language
        WHERE oid >= 16384
      UNION ALL SELECT 9, pg_catalog.format('DROP ACCESS METHOD %I CASCADE', amname) FROM pg_catalog.pg_am
        WHERE oid >= 16384
      UNION ALL SELECT 10, pg_catalog.format('SELECT pg_catalog.lo_unlink(%s)', oid)
        FROM pg_catalog.pg_largeobject_metadata
    ) d (step, sql) ORDER BY step";

/// The schema `public`, as a new database has it. The owner stays the one that it has.
const PUBLIC: &str = "
    SELECT pg_catalog.format('BEGIN; DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION %I;
      COMMENT ON SCHEMA public IS ''standard public schema''; GRANT %s ON SCHEMA public TO PUBLIC; COMMIT',
      pg_catalog.pg_get_userbyid(nspowner),
      CASE WHEN pg_catalog.current_setting('server_version_num')::int4 >= 150000 THEN 'USAGE' ELSE 'USAGE, CREATE' END)
    FROM pg_catalog.pg_namespace WHERE nspname = 'public'";

/// Drops everything in the database of the connection, and last the schema that marks it.
pub(super) fn empty(connection: &mut WireConnection, mark: &str) -> Result<(), TargetError> {
    let failed = failed("empty the database of a drill");
    drop_subscriptions(connection)?;
    let own = format!("n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '{mark}')");
    let query = DROPS.replace("{OWN}", &own);
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
