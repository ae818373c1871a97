//! What belongs to the name of a database and not to its content, which a dump of it does not hold.

use backstay_core::DbText;
use backstay_core::manifest::DatabaseSetting;
use backstay_core::sql::quote_literal;

use super::{Swap, SwapError, query, text};
use crate::target::Keep;
use crate::target::create::apply_settings;
use crate::wire::WireConnection;

/// The statements that give `new` owner, limit, comment, labels and rights of `old`; and take away what it has by itself.
/// Grants come last, for they are the owner's.
const STATEMENTS: &str = "
WITH old AS (SELECT * FROM pg_catalog.pg_database WHERE datname = $old),
     new AS (SELECT * FROM pg_catalog.pg_database WHERE datname = $new),
     acl AS (SELECT a.*, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
             FROM old, aclexplode(old.datacl) a)
SELECT sql FROM (
  SELECT 1 AS step, format('ALTER DATABASE %I OWNER TO %I', new.datname, pg_get_userbyid(old.datdba)) AS sql
    FROM old, new WHERE old.datdba <> new.datdba
  UNION ALL SELECT 2, format('ALTER DATABASE %I CONNECTION LIMIT %s', new.datname, old.datconnlimit)
    FROM old, new WHERE old.datconnlimit <> new.datconnlimit
  UNION ALL SELECT 3, format('COMMENT ON DATABASE %I IS %L', new.datname, shobj_description(old.oid, 'pg_database'))
    FROM old, new WHERE shobj_description(old.oid, 'pg_database') IS NOT NULL
  UNION ALL SELECT 4, format('SECURITY LABEL FOR %I ON DATABASE %I IS %L', s.provider, new.datname, s.label)
    FROM old, new, pg_shseclabel s WHERE s.objoid = old.oid AND s.classoid = 'pg_database'::regclass
  UNION ALL SELECT 5, format('ALTER DATABASE %I RESET ALL', new.datname) FROM new
  UNION ALL SELECT 6, format('ALTER ROLE %I IN DATABASE %I RESET ALL', pg_get_userbyid(s.setrole), new.datname)
    FROM new, pg_db_role_setting s WHERE s.setdatabase = new.oid AND s.setrole <> 0
  UNION ALL SELECT 7, format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I', new.datname, pg_get_userbyid(old.datdba))
    FROM old, new WHERE old.datacl IS NOT NULL
  UNION ALL SELECT 8, format('GRANT %s ON DATABASE %I TO %s%s', acl.privilege_type, new.datname, acl.who,
                             CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM new, acl
) statements ORDER BY step, sql";

const SETTINGS: &str = "
SELECT CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END,
       split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c
WHERE d.datname = $old ORDER BY 1 NULLS FIRST, 2";

/// What one of the two has and the other has not. Who granted a right does not count, nor how a list of names is written.
const DIFFERENCES: &str = "
WITH facts AS (
  SELECT datname, 'owner ' || pg_get_userbyid(datdba) AS fact FROM pg_database
  UNION ALL SELECT datname, 'connection limit ' || datconnlimit FROM pg_database
  UNION ALL SELECT datname, 'comment ' || shobj_description(oid, 'pg_database') FROM pg_database
    WHERE shobj_description(oid, 'pg_database') IS NOT NULL
  UNION ALL SELECT d.datname, 'label ' || s.provider || ' ' || s.label FROM pg_database d
    JOIN pg_shseclabel s ON s.objoid = d.oid AND s.classoid = 'pg_database'::regclass
  UNION ALL SELECT d.datname, 'setting ' || replace(replace(c, ' ', ''), '\"', '')
                   || CASE s.setrole WHEN 0 THEN '' ELSE ' of ' || pg_get_userbyid(s.setrole) END
    FROM pg_database d JOIN pg_db_role_setting s ON s.setdatabase = d.oid, unnest(s.setconfig) c
  UNION ALL SELECT d.datname, 'right ' || a.privilege_type || CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END
                   || ' of ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
    FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a)
SELECT fact FROM facts
WHERE datname IN ($old, $new) GROUP BY fact HAVING count(DISTINCT datname) = 1 ORDER BY fact";

/// Gives the replacement what the database has, and looks whether it has it.
pub(super) fn copy(connection: &mut WireConnection, swap: &Swap) -> Result<(), SwapError> {
    let doing = "read what belongs to the database";
    let mut failed = Vec::new();
    // The search path is empty, so names without a schema are those of the server.
    for row in query(connection, &of(STATEMENTS, swap), doing)? {
        let sql = row.get(0).unwrap_or_default();
        if let Err(error) = connection.execute(sql) {
            failed.push(format!("{}: {error}", String::from_utf8_lossy(sql)));
        }
    }
    let settings: Vec<DatabaseSetting> = query(connection, &of(SETTINGS, swap), doing)?
        .iter()
        .map(|row| DatabaseSetting {
            role: row.get(0).map(DbText::new),
            name: DbText::new(row.get(1).unwrap_or_default()),
            value: DbText::new(row.get(2).unwrap_or_default()),
        })
        .collect();
    let mut failures = Vec::new();
    let mut run = |sql: &[u8]| connection.execute(sql).map(drop);
    apply_settings(&mut run, &swap.replacement, &settings, Keep::Yes, &mut failures);
    failed.extend(failures.into_iter().map(|failure| failure.to_string()));
    let different = query(connection, &of(DIFFERENCES, swap), doing)?;
    if different.is_empty() {
        return Ok(());
    }
    failed.extend(different.iter().map(|row| format!("different: {}", text(row, 0))));
    Err(SwapError::Properties {
        database: swap.database.clone(),
        replacement: swap.replacement.clone(),
        what: failed,
    })
}

/// A query with the names of both databases in it.
fn of(query: &str, swap: &Swap) -> Vec<u8> {
    let mut sql = Vec::new();
    for (index, part) in query.split('$').enumerate() {
        let rest = match (index, part.strip_prefix("old"), part.strip_prefix("new")) {
            (1.., Some(rest), _) => {
                sql.extend(quote_literal(swap.database.as_bytes()));
                rest
            }
            (1.., _, Some(rest)) => {
                sql.extend(quote_literal(swap.replacement.as_bytes()));
                rest
            }
            _ => part,
        };
        sql.extend_from_slice(rest.as_bytes());
    }
    sql
}
