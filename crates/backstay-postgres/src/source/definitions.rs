//! The definitions of a database as a backup of it would have them, to be compared with those of a backup.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

use backstay_core::DbText;
use backstay_core::manifest::Stage;

use super::platform::OnPlatform;
use super::prepare::{UsualSession, with_comments};
use super::schema::Schema;
use super::{Inclusion, SourceError};
use crate::CancelToken;
use crate::archive::{Toc, TocEntry};
use crate::catalog::{self, Reading as _};
use crate::config::ConnectionConfig;
use crate::connect::connect_client;
use crate::pg_dump::{PgDump, SchemaDumpOptions, dump_schema};
use crate::platform::Profile;

/// Nobody else works in a database that is compared.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// One entry of the schema, with its statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) kind: String,
    pub(crate) schema: Option<DbText>,
    pub(crate) name: DbText,
    pub(crate) stage: Stage,
    /// What makes it, and what gives it its access method.
    pub(crate) sql: Vec<u8>,
    /// What gives it its owner.
    pub(crate) owner: Vec<u8>,
}

/// Reads all definitions of a database that nobody changes meanwhile; on a platform those of the application, with its secrets
/// or without.
///
/// # Errors
/// It cannot be reached or looked at, or `pg_dump` fails.
pub(crate) fn read_definitions(
    config: &ConnectionConfig,
    pg_dump: &PgDump,
    of: Option<(&Profile, Inclusion)>,
    cancel: &CancelToken,
) -> Result<Vec<Definition>, SourceError> {
    let mut client = connect_client(config)?;
    let usual = UsualSession::of(&mut client)?;
    let mut transaction = client.transaction().reading("the definitions")?;
    let large_objects = catalog::large_object_entries(&mut transaction)?;
    let public_is_closed = catalog::public_is_closed(&mut transaction)?;
    let on_platform = of.map(|(profile, secrets)| OnPlatform::read(&mut transaction, profile, secrets));
    let on_platform = on_platform.transpose()?;
    transaction.rollback().reading("the definitions")?;
    let unread = of.iter().flat_map(|(profile, _)| profile.unread_schemas);
    let options = SchemaDumpOptions {
        encoding: Some(&usual.encoding),
        lock_wait_timeout: Some(LOCK_WAIT),
        exclude_schemas: unread.map(OsString::from).collect(),
        ..SchemaDumpOptions::default()
    };
    let environment = usual.config_of_pg_dump(config).child_environment();
    let toc = Toc::parse(&dump_schema(pg_dump, &environment, &options, &|| {
        cancel.is_cancelled()
    })?)?;
    let mut schema = Schema::new(&toc, HashMap::new(), &large_objects)?;
    if public_is_closed {
        schema.close_public(&toc, usual.server_version_num);
    }
    if let Some(((profile, _), on_platform)) = of.zip(on_platform) {
        let is_guest = |entry: &TocEntry| on_platform.guests.contains(&(entry.table_oid, entry.oid));
        schema.retain_of_application(profile, &with_comments(&toc, is_guest));
        for entry in &on_platform.entries {
            schema.add_own(entry)?;
        }
    }
    Ok(schema.into_definitions(&usual.encoding))
}
