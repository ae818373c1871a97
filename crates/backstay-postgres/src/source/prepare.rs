//! Everything that is known before the first row is read: a snapshot, and the definitions in it.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use backstay_core::DbText;
use backstay_core::manifest::{Column, Refresh, Sequence, Source, SourcePlatform};

use super::large_objects::Access;
use super::platform::OnPlatform;
use super::values::read_sequences;
use super::{Inclusion, Reading, SourceError, SourceEvent};
use crate::archive::{Toc, TocEntry};
use crate::catalog::{self, CatalogError, CatalogStamp, KeyOfIndex, LargeObjectOwner, Reading as _, Relation};
use crate::config::ConnectionConfig;
use crate::pg_dump::{ProgramError, dump_schema};
use crate::platform::{FoundPlatform, Profile};
use crate::session;
use crate::snapshot::{self, ATTEMPTS_MAX, Holder, SnapshotError, Taken};

/// The longest that `pg_dump`, or a query that asks for definitions, waits for a lock.
///
/// The holder has a lock on each table, so they only ever wait behind somebody who waits for the holder. A little
/// patience serves those who give up by themselves; then the holder has to let go.
const DEFINITION_LOCK_WAIT_MAX: Duration = Duration::from_secs(5);

const WAITED: &str = "the definitions could not be read because";

/// What a session of the role is like before it is told otherwise.
pub(super) struct UsualSession {
    pub(super) encoding: String,
    pub(super) server_version_num: u32,
    search_path: String,
    standard_strings: bool,
}

impl UsualSession {
    /// Asks, and then sets what shapes the answers to come.
    pub(super) fn of(client: &mut postgres::Client) -> Result<Self, CatalogError> {
        let what = "the session's settings";
        client.batch_execute(session::FIRST).reading(what)?;
        // Every name is qualified: the search path is the database owner's to choose, and functions of theirs must
        // not be called with the rights of this role.
        let row = client
            .query_one(
                "SELECT pg_catalog.getdatabaseencoding()::pg_catalog.text,
                        pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
                        pg_catalog.current_setting('search_path'),
                        pg_catalog.current_setting('standard_conforming_strings')",
                &[],
            )
            .reading(what)?;
        let usual = (|| {
            let number: i32 = row.try_get(1)?;
            Ok::<_, postgres::Error>(Self {
                encoding: row.try_get(0)?,
                server_version_num: u32::try_from(number).unwrap_or(0),
                search_path: row.try_get(2)?,
                standard_strings: row.try_get::<_, String>(3)? == "on",
            })
        })()
        .reading(what)?;
        client.batch_execute(&session::settings_query(&[])).reading(what)?;
        Ok(usual)
    }

    /// How `pg_dump` connects: it writes literals as its session reads them, and a pack reads them by the standard, whatever
    /// the database or the role has set.
    pub(super) fn config_of_pg_dump(&self, config: &ConnectionConfig) -> ConnectionConfig {
        let mut config = config.clone();
        // Only where it is needed, because some poolers refuse options.
        if !self.standard_strings {
            let options = config.options.take().map(|options| options + " ").unwrap_or_default();
            config.options = Some(options + "-c standard_conforming_strings=on");
        }
        config
    }
}

/// Everything that is known before the first row is read.
pub(super) struct Prepared {
    pub(super) snapshot: String,
    pub(super) facts: Source,
    pub(super) relations: Vec<Relation>,
    pub(super) columns: HashMap<u32, Vec<Column>>,
    pub(super) keys: HashMap<u32, KeyOfIndex>,
    pub(super) large_objects: Vec<LargeObjectOwner>,
    pub(super) large_object_access: Access,
    pub(super) public_is_closed: bool,
    pub(super) invalid_indexes: Vec<(DbText, DbText)>,
    pub(super) excluded_data: HashSet<u32>,
    pub(super) sequences: Vec<Sequence>,
    pub(super) refreshes: Vec<Refresh>,
    pub(super) toc: Toc,
    pub(super) on_platform: OnPlatform,
}

impl Prepared {
    /// What the manifest says of the platform.
    fn platform(&self, found: &FoundPlatform) -> SourcePlatform {
        let guests = &self.on_platform.guests;
        SourcePlatform {
            name: found.platform.word().to_owned(),
            found_by: found.by.clone(),
            guests: with_comments(&self.toc, |entry| guests.contains(&(entry.table_oid, entry.oid))),
        }
    }
}

/// The ids of entries, and those of the comments on them.
pub(super) fn with_comments(toc: &Toc, is_wanted: impl Fn(&TocEntry) -> bool) -> Vec<i32> {
    let wanted: HashSet<i32> = toc
        .entries
        .iter()
        .filter(|entry| is_wanted(entry))
        .map(|entry| entry.dump_id)
        .collect();
    let is_comment =
        |entry: &&TocEntry| entry.kind == b"COMMENT" && entry.dependencies.iter().any(|needed| wanted.contains(needed));
    let comments = toc.entries.iter().filter(is_comment).map(|entry| entry.dump_id);
    let mut ids: Vec<i32> = wanted.iter().copied().chain(comments).collect();
    ids.sort_unstable();
    ids
}

/// What the catalogs say in the snapshot, beside the relations.
struct Definitions {
    stamp: CatalogStamp,
    facts: Source,
    columns: HashMap<u32, Vec<Column>>,
    keys: HashMap<u32, KeyOfIndex>,
    large_objects: Vec<LargeObjectOwner>,
    large_object_access: Access,
    public_is_closed: bool,
    invalid_indexes: Vec<(DbText, DbText)>,
    excluded_data: HashSet<u32>,
    on_platform: OnPlatform,
}

impl Reading<'_> {
    /// Takes the snapshot and reads the definitions in it; begins anew when something changed meanwhile.
    pub(super) fn prepare(
        &self,
        client: &mut postgres::Client,
        holder: &mut Holder,
        usual: &UsualSession,
        found: Option<&FoundPlatform>,
    ) -> Result<Prepared, SourceError> {
        let profile = found.and_then(|found| found.platform.profile());
        let number = usual.server_version_num;
        let mut last = String::new();
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                holder.release()?;
                self.observer.event(SourceEvent::Retry { reason: &last });
            }
            if self.cancel.is_cancelled() {
                return Err(SourceError::Cancelled);
            }
            let prepared = match snapshot::attempt(holder, client, number, self.options.lock_wait, profile)? {
                Ok(taken) => self.read_definitions(client, holder, taken, usual, profile)?,
                Err(reason) => Err(reason),
            };
            match prepared {
                Ok(mut prepared) => {
                    prepared.facts.platform = found.map(|found| prepared.platform(found));
                    return Ok(prepared);
                }
                Err(reason) => last = reason,
            }
        }
        Err(SnapshotError::Unstable { last }.into())
    }

    /// Reads everything but rows; `Err` of the inner result says what changed since the snapshot.
    fn read_definitions(
        &self,
        client: &mut postgres::Client,
        holder: &mut Holder,
        taken: Taken,
        usual: &UsualSession,
        profile: Option<&Profile>,
    ) -> Result<Result<Prepared, String>, SourceError> {
        let Taken { name, relations } = taken;
        let mut transaction = snapshot::import(client, &name)?;
        let lock_wait = self.options.lock_wait.min(DEFINITION_LOCK_WAIT_MAX);
        transaction
            .batch_execute(&format!("SET LOCAL lock_timeout = {}", lock_wait.as_millis().max(1)))
            .reading("lock_timeout")?;
        // Both at a time: the sooner pg_dump has its locks, the less likely it is that somebody waits before it.
        let failed = AtomicBool::new(false);
        let (definitions, dump) = thread::scope(|scope| {
            let dump = scope.spawn(|| self.dump(&name, usual, lock_wait, profile, &failed));
            let definitions = self.definitions(&mut transaction, usual, profile);
            failed.store(definitions.is_err(), Ordering::Release);
            let dump = dump.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (definitions, dump)
        });
        let definitions = match definitions {
            Err(SourceError::Catalog(error)) if error.is_lock_timeout() => {
                drop(transaction);
                return match holder.waiting()? {
                    Some(who) => Ok(Err(format!("{WAITED} {who}"))),
                    None => Err(error.into()),
                };
            }
            definitions => definitions?,
        };
        let changed = |client: &mut postgres::Client| -> Result<Option<String>, CatalogError> {
            let mut now = client.transaction().reading("the definitions of now")?;
            let later = CatalogStamp::take(&mut now)?;
            definitions.stamp.change(&later, &mut now)
        };
        let dump = match dump {
            Ok(dump) => dump,
            Err(error @ ProgramError::Failed { .. }) => {
                drop(transaction);
                let reason = match holder.waiting()? {
                    Some(who) => Some(format!("{WAITED} {who}")),
                    None => changed(client)?,
                };
                return reason.map_or(Err(error.into()), |reason| Ok(Err(reason)));
            }
            Err(error) => return Err(error.into()),
        };
        let toc = Toc::parse(&dump)?;
        drop(dump);
        if toc
            .standard_strings_statement()
            .is_some_and(|sql| memchr::memmem::find(sql, b"on").is_none())
        {
            return Err(SourceError::StandardStrings);
        }
        let in_dump: HashSet<u32> = toc.entries.iter().map(|entry| entry.oid).collect();
        let extensions: HashSet<&[u8]> = toc
            .entries
            .iter()
            .filter(|entry| entry.kind == b"EXTENSION")
            .map(|entry| entry.tag.as_slice())
            .collect();
        let objects = catalog::read_objects(&mut transaction, &relations, |relation| {
            // Configuration of an extension comes with the extension, which the dump names instead of its members.
            let of_extension = relation
                .extension
                .as_ref()
                .is_some_and(|name| extensions.contains(name.as_bytes()));
            in_dump.contains(&relation.oid) || (relation.configuration.is_some() && of_extension)
        })?;
        transaction.rollback().reading("the end of the snapshot")?;
        let is_read = |(schema, name): &&(DbText, DbText)| {
            profile.is_none_or(|profile| !profile.leaves_rows(schema.as_bytes(), name.as_bytes()))
        };
        let names: Vec<(DbText, DbText)> = objects.sequences.iter().filter(is_read).cloned().collect();
        let sequences = match read_sequences(holder, &names, self.options.lock_wait)? {
            Ok(sequences) => sequences,
            Err(reason) => return Ok(Err(reason)),
        };
        if let Some(reason) = changed(client)? {
            return Ok(Err(reason));
        }
        let mut facts = definitions.facts;
        facts.pg_dump_version = self.pg_dump.version.to_string();
        Ok(Ok(Prepared {
            snapshot: name,
            facts,
            relations,
            columns: definitions.columns,
            keys: definitions.keys,
            large_objects: definitions.large_objects,
            large_object_access: definitions.large_object_access,
            public_is_closed: definitions.public_is_closed,
            invalid_indexes: definitions.invalid_indexes,
            excluded_data: definitions.excluded_data,
            sequences,
            refreshes: objects.refreshes,
            toc,
            on_platform: definitions.on_platform,
        }))
    }

    fn definitions(
        &self,
        transaction: &mut postgres::Transaction<'_>,
        usual: &UsualSession,
        profile: Option<&Profile>,
    ) -> Result<Definitions, SourceError> {
        let number = usual.server_version_num;
        let selection = &self.options.selection;
        let stamp = CatalogStamp::take(transaction)?;
        let mut large_objects = Vec::new();
        let mut large_object_access = Access::Table;
        if selection.is_whole_database() && self.options.large_objects == Inclusion::Included {
            large_objects = catalog::large_object_entries(transaction)?;
            let readable: bool = transaction
                .query_one("SELECT has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')", &[])
                .and_then(|row| row.try_get(0))
                .reading("the rights on large objects")?;
            large_object_access = if readable { Access::Table } else { Access::Function };
        }
        Ok(Definitions {
            stamp,
            facts: catalog::read_facts(transaction)?,
            columns: catalog::read_columns(transaction, number)?,
            keys: catalog::read_keys(transaction, number)?,
            large_objects,
            large_object_access,
            public_is_closed: catalog::public_is_closed(transaction)?,
            invalid_indexes: catalog::invalid_indexes(transaction)?,
            excluded_data: selection.excluded_data(transaction, &usual.search_path)?,
            on_platform: match profile {
                Some(profile) if selection.is_whole_database() => {
                    OnPlatform::read(transaction, profile, self.options.secrets)?
                }
                Some(profile) => OnPlatform::guests_alone(transaction, profile)?,
                None => OnPlatform::default(),
            },
        })
    }

    /// Runs `pg_dump` in the snapshot; ends it once `failed` is set.
    fn dump(
        &self,
        snapshot: &str,
        usual: &UsualSession,
        lock_wait: Duration,
        profile: Option<&Profile>,
        failed: &AtomicBool,
    ) -> Result<Vec<u8>, ProgramError> {
        let mut options = self
            .options
            .selection
            .dump_options(snapshot, &usual.encoding, lock_wait);
        let unread = profile.iter().flat_map(|profile| profile.unread_schemas);
        options.exclude_schemas.extend(unread.map(OsString::from));
        let stopped = || self.cancel.is_cancelled() || failed.load(Ordering::Acquire);
        let environment = usual.config_of_pg_dump(self.config).child_environment();
        dump_schema(self.pg_dump, &environment, &options, &stopped)
    }
}
