//! Looking whether names could be swapped, before anything is restored.

use backstay_core::sql::quote_literal;

use super::{Swap, SwapError, SwapWay, connect_first, oid, query, text};
use crate::config::ConnectionConfig;
use crate::target::on_a_thread;
use crate::wire::Row;

/// What a swap would meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SwapState {
    /// Sessions that are connected to the database, and will be ended.
    pub sessions: u64,
    /// What should be known before.
    pub warnings: Vec<String>,
}

/// Looks whether a database could be replaced; changes nothing.
///
/// # Errors
/// It could not: see [`SwapError`].
pub fn plan_swap(config: &ConnectionConfig, swap: &Swap) -> Result<SwapState, SwapError> {
    on_a_thread(|| plan(config, swap))
}

/// The names of all databases.
///
/// # Errors
/// There is no connection, or the catalogs cannot be read.
pub fn database_names(config: &ConnectionConfig, swap: &Swap) -> Result<Vec<String>, SwapError> {
    on_a_thread(|| {
        let mut connection = connect_first(config, swap)?;
        let sql = b"SELECT datname FROM pg_catalog.pg_database ORDER BY datname COLLATE \"C\"";
        let rows = query(&mut connection, sql, "list the databases")?;
        connection.close();
        Ok(rows.iter().map(|row| text(row, 0)).collect())
    })
}

const STATE: &str = "
SELECT d.datistemplate, pg_catalog.pg_has_role(d.datdba, 'USAGE'), r.rolsuper OR r.rolcreatedb, r.rolname,
       pg_catalog.pg_get_userbyid(d.datdba),
       (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datid = d.oid),
       CASE WHEN d.dattablespace <> (SELECT dattablespace FROM pg_catalog.pg_database WHERE datname = 'template0')
            THEN (SELECT spcname FROM pg_catalog.pg_tablespace WHERE oid = d.dattablespace) END,
       (SELECT string_agg(slot_name, ', ' ORDER BY slot_name) FROM pg_catalog.pg_replication_slots
          WHERE database = d.datname),
       (SELECT string_agg(subname, ', ' ORDER BY subname) FROM pg_catalog.pg_subscription WHERE subdbid = d.oid)
FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
WHERE r.rolname = current_user AND d.datname = ";

fn plan(config: &ConnectionConfig, swap: &Swap) -> Result<SwapState, SwapError> {
    let mut connection = connect_first(config, swap)?;
    let mut free = vec![&swap.kept];
    match swap.way {
        SwapWay::There => free.push(&swap.replacement),
        SwapWay::Back => drop(oid(&mut connection, &swap.replacement)?),
    }
    for name in free {
        match oid(&mut connection, name) {
            Err(SwapError::Missing { .. }) => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(SwapError::Taken { database: name.clone() }),
        }
    }
    let name = quote_literal(swap.database.as_bytes());
    let rows = query(
        &mut connection,
        &[STATE.as_bytes(), &name].concat(),
        "look at the database",
    )?;
    let Some(row) = rows.first() else {
        return Err(SwapError::Missing {
            database: swap.database.clone(),
        });
    };
    may_rename(row, swap)?;
    let prepared = [
        b"SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = ".to_vec(),
        name,
        b" ORDER BY gid LIMIT 10".to_vec(),
    ]
    .concat();
    let prepared = query(&mut connection, &prepared, "look for prepared transactions")?;
    if !prepared.is_empty() {
        return Err(SwapError::Prepared {
            database: swap.database.clone(),
            transactions: prepared.iter().map(|row| text(row, 0)).collect(),
        });
    }
    connection.close();
    let mut state = SwapState {
        sessions: text(row, 5).parse().unwrap_or(0),
        warnings: Vec::new(),
    };
    if swap.way == SwapWay::There {
        state.warnings = what_stays(row, &swap.kept);
    }
    Ok(state)
}

/// What the replacement will not have.
fn what_stays(row: &Row, kept: &str) -> Vec<String> {
    let stays = [
        (6, "is in the tablespace", "the new one will be in the default one"),
        (
            7,
            "has replication slots, which stay with",
            "who reads from them must begin anew",
        ),
        (
            8,
            "has subscriptions, which stay with",
            "those of the backup are restored and not enabled",
        ),
    ];
    let warning = |(column, has, so): (usize, &str, &str)| {
        let what = String::from_utf8_lossy(row.get(column)?).into_owned();
        let has = if column == 6 {
            has.to_owned()
        } else {
            format!("{has} {kept}")
        };
        Some(format!("the database {has}: {what}; {so}"))
    };
    stays.into_iter().filter_map(warning).collect()
}

fn may_rename(row: &Row, swap: &Swap) -> Result<(), SwapError> {
    let is = |column| row.get(column) == Some(b"t");
    let database = || swap.database.clone();
    if is(0) {
        return Err(SwapError::Template { database: database() });
    }
    let (role, owner) = (text(row, 3), text(row, 4));
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (lacks, grant) = if !is(1) {
        (
            format!("it belongs to {owner}"),
            format!("ALTER DATABASE {} OWNER TO {}", quoted(&swap.database), quoted(&role)),
        )
    } else if !is(2) {
        (
            "that needs CREATEDB".to_owned(),
            format!("ALTER ROLE {} CREATEDB", quoted(&role)),
        )
    } else {
        return Ok(());
    };
    Err(SwapError::Rights {
        role,
        database: database(),
        lacks,
        grant,
        way: swap.way,
    })
}
