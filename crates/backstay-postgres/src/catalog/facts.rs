use backstay_core::manifest::{DatabaseSetting, Extension, SnapshotFacts, Source};
use postgres::Transaction;

use super::{CatalogError, Reading, db_text, optional_db_text, rows};

/// Reads what the manifest says of the server and the database.
pub(crate) fn read_facts(transaction: &mut Transaction<'_>) -> Result<Source, CatalogError> {
    let what = "the database's facts";
    let row = transaction
        .query_one(
            "SELECT current_setting('server_version_num')::int4, current_setting('server_version'),
                    convert_to(d.datname, getdatabaseencoding()),
                    convert_to(pg_catalog.pg_get_userbyid(d.datdba), getdatabaseencoding()),
                    pg_catalog.pg_encoding_to_char(d.encoding)::text,
                    to_jsonb(d) ->> 'datcollate', to_jsonb(d) ->> 'datctype',
                    coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
                    coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
                    to_jsonb(d) ->> 'daticurules',
                    CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) END,
                    (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::int8,
                    CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_insert_lsn()::text END,
                    pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()),
                    d.oid
             FROM pg_catalog.pg_database d WHERE d.datname = current_database()",
            &[],
        )
        .reading(what)?;
    let mut source = (|| {
        let number: i32 = row.try_get(0)?;
        let provider: String = row.try_get(7)?;
        let size: Option<i64> = row.try_get(10)?;
        let xmax: i64 = row.try_get(13)?;
        Ok::<_, postgres::Error>(Source {
            server_version_num: u32::try_from(number).unwrap_or(0),
            server_version: row.try_get(1)?,
            database: db_text(&row, 2)?,
            owner: db_text(&row, 3)?,
            encoding: row.try_get(4)?,
            collate: row.try_get::<_, Option<String>>(5)?.unwrap_or_default(),
            ctype: row.try_get::<_, Option<String>>(6)?.unwrap_or_default(),
            locale_provider: match provider.as_str() {
                "i" => "icu",
                "b" => "builtin",
                _ => "libc",
            }
            .to_owned(),
            provider_locale: row.try_get(8)?,
            icu_rules: row.try_get(9)?,
            database_bytes: size.and_then(|bytes| u64::try_from(bytes).ok()),
            snapshot: SnapshotFacts {
                wal_insert_lsn: row.try_get(12)?,
                timeline: None,
                postmaster_start_unix_micros: Some(row.try_get(11)?),
                xmax: u64::try_from(xmax).ok(),
            },
            ..Source::default()
        })
    })()
    .reading(what)?;
    source.snapshot.timeline = timeline(transaction)?;
    source.system_identifier = system_identifier(transaction)?;
    source.settings = rows(
        transaction,
        "the database's settings",
        "SELECT CASE WHEN s.setrole <> 0 THEN convert_to(pg_catalog.pg_get_userbyid(s.setrole), getdatabaseencoding()) END,
                convert_to(split_part(c, '=', 1), getdatabaseencoding()),
                convert_to(substr(c, strpos(c, '=') + 1), getdatabaseencoding())
         FROM pg_catalog.pg_db_role_setting s
         JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS c
         WHERE d.datname = current_database() ORDER BY 1 NULLS FIRST, 2",
        |row| Ok(DatabaseSetting { role: optional_db_text(row, 0)?, name: db_text(row, 1)?, value: db_text(row, 2)? }),
    )?;
    source.extensions = rows(
        transaction,
        "the extensions",
        "SELECT convert_to(e.extname, getdatabaseencoding()), convert_to(n.nspname, getdatabaseencoding()), e.extversion
         FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
         ORDER BY e.extname COLLATE \"C\"",
        |row| Ok(Extension { name: db_text(row, 0)?, schema: db_text(row, 1)?, version: row.try_get(2)? }),
    )?;
    Ok(source)
}

/// The timeline, from the name of the current WAL file; unknown on a standby and where the function is refused.
fn timeline(transaction: &mut Transaction<'_>) -> Result<Option<u32>, CatalogError> {
    let file: Option<String> = optional(
        transaction,
        "the timeline",
        "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery()
                     THEN pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END",
    )?;
    Ok(file.and_then(|file| u32::from_str_radix(file.get(..8)?, 16).ok()))
}

/// The number that no other cluster has, where it may be read.
pub(crate) fn system_identifier(transaction: &mut Transaction<'_>) -> Result<Option<u64>, CatalogError> {
    let id: Option<i64> = optional(
        transaction,
        "the system identifier",
        "SELECT system_identifier FROM pg_catalog.pg_control_system()",
    )?;
    // It is unsigned and comes as a signed number.
    Ok(id.map(i64::cast_unsigned))
}

/// Asks for one value that a managed server may refuse to tell; a refusal gives `None` and leaves the transaction whole.
fn optional<T: for<'a> postgres::types::FromSql<'a>>(
    transaction: &mut Transaction<'_>,
    what: &'static str,
    sql: &str,
) -> Result<Option<T>, CatalogError> {
    let mut attempt = transaction.transaction().reading(what)?;
    match attempt.query_one(sql, &[]) {
        Ok(row) => {
            let value = row.try_get(0).reading(what)?;
            attempt.commit().reading(what)?;
            Ok(value)
        }
        Err(error) if error.as_db_error().is_some() => {
            attempt.rollback().reading(what)?;
            Ok(None)
        }
        Err(error) => Err(error).reading(what),
    }
}
