//! Looking at where a backup is to be restored.

use std::collections::BTreeSet;

use backstay_core::DbText;
use backstay_core::manifest::Manifest;

use super::platform::TargetPlatform;
use super::{RestoreRefusal, TargetError};
use crate::cancel::CancelToken;
use crate::catalog::{CatalogError, Reading};
use crate::config::ConnectionConfig;
use crate::connect::{ConnectErrorKind, connect_client};
use crate::platform::{Platform, PlatformChoice, Profile, find};
use crate::pooling;
use crate::session;

/// Names that a message lists.
pub(super) const NAMES_MAX: usize = 10;

/// What is at the target now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TargetState {
    /// `server_version` of the target.
    pub server_version: String,
    /// `server_version_num` of the target.
    pub server_version_num: u32,
    /// `system_identifier` of the target's cluster, where it may be read.
    pub system_identifier: Option<u64>,
    /// The role that is connected.
    pub role: String,
    /// The database, where it exists.
    pub database: Option<ExistingDatabase>,
    /// Roles that own something in the backup and do not exist at the target.
    pub missing_roles: Vec<String>,
    /// Extensions of the backup that cannot be installed at the target.
    pub missing_extensions: Vec<String>,
    /// The platform that the database is on; `None` where it is on none, or is not there.
    pub platform: Option<TargetPlatform>,
    /// The platform of the project beside which the database would be made; `None` where it is there.
    pub beside: Option<Platform>,
}

/// A database that exists at the target.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExistingDatabase {
    /// Its encoding.
    pub encoding: String,
    /// How many objects of users it has, outside of extensions.
    pub object_count: u64,
    /// Some of their names.
    pub objects: Vec<String>,
    /// Rows that the server believes its tables have.
    pub estimated_rows: u64,
}

/// What a restore will ask of the target's cluster.
#[derive(Default)]
pub(super) struct Wanted {
    /// Roles that own something.
    pub(super) roles: Vec<String>,
    /// Extensions.
    pub(super) extensions: Vec<String>,
    /// The platform; nobody looks for one where it is `None`.
    pub(super) platform: Option<PlatformChoice>,
}

impl Wanted {
    pub(super) fn of(manifest: &Manifest, platform: Option<PlatformChoice>) -> Self {
        let owners: BTreeSet<&DbText> = manifest
            .entries
            .iter()
            .filter_map(|entry| entry.owner.as_ref())
            .collect();
        Self {
            roles: owners.into_iter().map(ToString::to_string).collect(),
            extensions: manifest.source.extensions.iter().map(|e| e.name.to_string()).collect(),
            platform,
        }
    }
}

pub(super) fn inspect(config: &ConnectionConfig, wanted: &Wanted) -> Result<TargetState, TargetError> {
    let (mut client, at, exists) = match connect_client(config) {
        Err(error) if error.kind() == ConnectErrorKind::DatabaseMissing => {
            let at = super::maintenance_config(config)?;
            (connect_client(&at)?, at, false)
        }
        other => (other?, config.clone(), true),
    };
    if pooling::is_transaction_pooler(&at, &mut client, &CancelToken::new())? {
        return Err(RestoreRefusal::TransactionPooler.into());
    }
    let what = "the target";
    // The search path of the target is its owner's to choose, and so is how long a query may take.
    session::prepare_client(&mut client).reading(what)?;
    let row = client
        .query_one(
            "SELECT current_setting('server_version'), current_setting('server_version_num')::int4, current_user::text",
            &[],
        )
        .reading(what)?;
    let number: i32 = row.try_get(1).reading(what)?;
    let missing_roles = names(
        &mut client,
        "SELECT r FROM unnest($1::text[]) r WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname::text = r)",
        &wanted.roles,
    )?;
    let missing_extensions = names(
        &mut client,
        "SELECT e FROM unnest($1::text[]) e
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name::text = e)",
        &wanted.extensions,
    )?;
    let system_identifier = client
        .query_one("SELECT system_identifier FROM pg_catalog.pg_control_system()", &[])
        .and_then(|row| row.try_get::<_, i64>(0))
        .ok()
        .map(i64::cast_unsigned);
    let server_version_num = u32::try_from(number).unwrap_or(0);
    let found = match wanted.platform {
        Some(choice) => find(&mut client, config, choice)?,
        None => None,
    };
    let beside = found
        .as_ref()
        .map(|found| found.platform)
        .filter(|platform| !exists && platform.is_of_one_project());
    let found = found.filter(|_| exists);
    let platform = match found {
        Some(found) => found.platform.profile().map(|profile| {
            TargetPlatform::look(&mut client, found.clone(), profile, server_version_num).map(|seen| (seen, profile))
        }),
        None => None,
    };
    let (platform, profile) = platform.transpose()?.unzip();
    let mut database = if exists {
        Some(existing(&mut client, profile)?)
    } else {
        None
    };
    if let (Some(database), Some(platform)) = (&mut database, &platform) {
        let occupied: Vec<String> = platform.occupied().collect();
        database.object_count += occupied.len() as u64;
        database.objects.extend(occupied);
        database.objects.truncate(NAMES_MAX);
    }
    Ok(TargetState {
        server_version: row.try_get(0).reading(what)?,
        server_version_num,
        system_identifier,
        role: row.try_get(2).reading(what)?,
        database,
        missing_roles,
        missing_extensions,
        platform,
        beside,
    })
}

fn names(client: &mut postgres::Client, sql: &str, of: &[String]) -> Result<Vec<String>, CatalogError> {
    let what = "the target's catalogs";
    let rows = client.query(sql, &[&of]).reading(what)?;
    rows.iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()
        .reading(what)
}

/// Counts what users have made: everything outside the system schemas that no extension owns, and schemas other than
/// `public`.
fn existing(
    client: &mut postgres::Client,
    profile: Option<&'static Profile>,
) -> Result<ExistingDatabase, CatalogError> {
    let what = "what the target holds";
    let of_platform: Vec<String> = match profile {
        Some(profile) => names(
            client,
            "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE $1::text[] IS NOT NULL",
            &[],
        )?
        .into_iter()
        .filter(|schema| profile.has_objects_in(schema.as_bytes()))
        .collect(),
        None => Vec::new(),
    };
    let own = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname::text <> ALL ($1::text[])";
    let not_extension = |catalog: &str, oid: &str| {
        format!(
            "NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.{catalog}'::regclass \
             AND d.objid = {oid} AND d.deptype = 'e')"
        )
    };
    let sql = format!(
        "WITH objects (name) AS (
           SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE {own} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {}
           UNION ALL SELECT n.nspname || '.' || p.proname || '()' FROM pg_catalog.pg_proc p
             JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE {own} AND {}
           UNION ALL SELECT n.nspname || '.' || t.typname FROM pg_catalog.pg_type t
             JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
             WHERE {own} AND t.typtype IN ('d', 'e', 'r') AND {}
           UNION ALL SELECT 'schema ' || n.nspname FROM pg_catalog.pg_namespace n
             WHERE {own} AND n.nspname <> 'public' AND {}
           UNION ALL SELECT 'large object ' || oid FROM pg_catalog.pg_largeobject_metadata)
         SELECT (SELECT count(*) FROM objects),
                ARRAY(SELECT name::text FROM objects ORDER BY 1 LIMIT {NAMES_MAX}),
                getdatabaseencoding()::text,
                (SELECT coalesce(sum(greatest(reltuples, 0)), 0)::int8 FROM pg_catalog.pg_class c
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {own} AND c.relkind = 'r')",
        not_extension("pg_class", "c.oid"),
        not_extension("pg_proc", "p.oid"),
        not_extension("pg_type", "t.oid"),
        not_extension("pg_namespace", "n.oid"),
    );
    let row = client.query_one(&sql, &[&of_platform]).reading(what)?;
    let count: i64 = row.try_get(0).reading(what)?;
    let rows: i64 = row.try_get(3).reading(what)?;
    Ok(ExistingDatabase {
        encoding: row.try_get(2).reading(what)?,
        object_count: u64::try_from(count).unwrap_or(0),
        objects: row.try_get(1).reading(what)?,
        estimated_rows: u64::try_from(rows).unwrap_or(0),
    })
}
