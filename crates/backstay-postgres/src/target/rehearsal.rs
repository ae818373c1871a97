//! Databases that drills restore into on servers of others: made or lent for one drill, and known again if it dies.
//!
//! A drill holds an advisory lock from before its database is there until it is gone, and its database bears a mark. Who finds
//! the mark and no lock has found what a dead drill left. Locks of all databases are seen from each.

mod emptying;

use std::fmt::Write as _;

use backstay_core::Sha256Digest;
use backstay_core::manifest::{DatabaseSetting, Manifest};
use backstay_core::sql::{quote_identifier, quote_literal};

use super::create::{apply_settings, create_statement};
use super::{Keep, RestoreFailure, RestoreRefusal, TargetError, inspect, maintenance_config};
use crate::CancelToken;
use crate::config::ConnectionConfig;
use crate::connect::ConnectErrorKind;
use crate::session;
use crate::wire::{Row, WireConnection, WireError};

/// What the names of databases and schemas of drills begin with; eight random digits, base 16, follow.
const PREFIX: &str = "backstay_drill_";

/// The first number of the locks of all drills; the second is the random one.
const LOCK_CLASS: u32 = 0x6273_6472;

/// The lock of who looks whether a database can be lent, and of its drill: the server keeps one for each database.
const LENT_LOCK: &str = "1651729524, 0";

/// How long the server may take to see that a connection has ended which had the lock.
const LOCK_TIMEOUT: &str = "10s";

/// A database for one drill on a server of others. Dropping it removes it as well as that can be done; what is left then is
/// found by [`remove_dead_drills`].
#[derive(Debug)]
pub struct DatabaseOfDrill {
    config: ConnectionConfig,
    /// Where the lock is held.
    place: ConnectionConfig,
    mark: Mark,
    kind: Kind,
    /// Has the lock.
    holder: Option<WireConnection>,
    cancel: CancelToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It was made, and is dropped.
    Made,
    /// It was there and empty, and is emptied.
    Lent,
}

/// The name of a drill's own database, or of the schema that it puts into one that it was lent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    name: String,
    number: u32,
}

impl Mark {
    /// The server gives what is random, so that nobody else need.
    fn new(connection: &mut WireConnection) -> Result<Self, TargetError> {
        let sql = format!(
            "SELECT '{PREFIX}' || pg_catalog.lpad(pg_catalog.to_hex((pg_catalog.random() * 4294967295)::pg_catalog.int8), \
             8, '0') || '_' || pg_catalog.to_char(pg_catalog.now(), 'YYYYMMDDHH24MISS')"
        );
        let rows = connection.query(sql.as_bytes()).map_err(failed("name the drill"))?;
        let name = rows.first().map(|row| text(row, 0)).unwrap_or_default();
        Self::of_name(&name).ok_or_else(|| TargetError::Wire {
            doing: "name the drill",
            source: WireError::Protocol {
                server: String::new(),
                what: format!("it gave the name {name:?}"),
            },
        })
    }

    /// Reads `backstay_drill_0123abcd_20250116143022`.
    fn of_name(name: &str) -> Option<Self> {
        let (number, time) = name.strip_prefix(PREFIX)?.split_once('_')?;
        let is_hex = number.len() == 8 && number.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_time = time.len() == 14 && time.bytes().all(|b| b.is_ascii_digit());
        let number = u32::from_str_radix(number, 16).ok().filter(|_| is_hex && is_time)?;
        Some(Self {
            name: name.to_owned(),
            number,
        })
    }

    /// The comment that a database or schema of this name bears. It says of which object it is, so that it means nothing at
    /// another one.
    fn comment(&self, oid: &str) -> String {
        let digest = Sha256Digest::of(format!("{}\n{oid}", self.name).as_bytes()).to_string();
        format!("made by Backstay for a drill, which removes it; {}", &digest[..32])
    }

    fn lock(&self) -> String {
        format!("{}, {}", LOCK_CLASS.cast_signed(), self.number.cast_signed())
    }

    /// Whether the drill runs.
    fn is_held(&self, connection: &mut WireConnection) -> Result<bool, TargetError> {
        let sql = format!(
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid = {LOCK_CLASS} \
             AND objid = {} AND objsubid = 2 AND granted",
            self.number
        );
        let rows = connection
            .query(sql.as_bytes())
            .map_err(failed("look for other drills"))?;
        // What is no number is no reason to take it for dead.
        Ok(rows.first().is_none_or(|row| row.get(0) != Some(b"0")))
    }
}

impl DatabaseOfDrill {
    /// Makes a database with the encoding and locale of the backup's, and a name of its own, on the server of `at`.
    ///
    /// # Errors
    /// The server cannot be reached, or the role may not make databases there.
    pub fn create(manifest: &Manifest, at: &ConnectionConfig, cancel: &CancelToken) -> Result<Self, TargetError> {
        let place = maintenance_config(at)?;
        let mut holder = connect(&place, cancel)?;
        let mark = Mark::new(&mut holder)?;
        take_lock(&mut holder, &mark.lock(), &mark.name)?;
        let config = ConnectionConfig {
            database: mark.name.clone(),
            ..at.clone()
        };
        let version = number(&mut holder, "SELECT pg_catalog.current_setting('server_version_num')")?;
        // Until it is marked nobody gets in, so one without a mark has nothing in it.
        let mut sql = create_statement(&manifest.source, &mark.name, version);
        sql.extend_from_slice(b" ALLOW_CONNECTIONS false");
        holder.execute(&sql).map_err(|source| TargetError::Create {
            database: mark.name.clone(),
            source,
        })?;
        let mut made = Self {
            config,
            place,
            mark,
            kind: Kind::Made,
            holder: None,
            cancel: cancel.clone(),
        };
        let marked = made.mark_database(&mut holder);
        made.holder = Some(holder);
        marked.map(|()| made)
    }

    fn mark_database(&self, holder: &mut WireConnection) -> Result<(), TargetError> {
        let name = self.mark.name.as_str();
        let sql = format!("SELECT oid FROM pg_catalog.pg_database WHERE datname = '{name}'");
        let oid = number(holder, &sql)?.to_string();
        let comment = literal(&self.mark.comment(&oid));
        for sql in [
            format!("COMMENT ON DATABASE {name} IS {comment}"),
            format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"),
        ] {
            holder
                .execute(sql.as_bytes())
                .map_err(failed("mark the database of the drill"))?;
        }
        Ok(())
    }

    /// Takes an empty database for a drill.
    ///
    /// # Errors
    /// It cannot be reached, or holds something, or the role may not make a schema in it.
    pub fn lend(config: &ConnectionConfig, cancel: &CancelToken) -> Result<Self, TargetError> {
        let mut holder = connect(config, cancel)?;
        take_lock(&mut holder, LENT_LOCK, &config.database)?;
        let mark = Mark::new(&mut holder)?;
        take_lock(&mut holder, &mark.lock(), &mark.name)?;
        let mut lent = Self {
            config: config.clone(),
            place: config.clone(),
            mark,
            kind: Kind::Lent,
            holder: None,
            cancel: cancel.clone(),
        };
        let failed = failed("mark the database of the drill");
        let name = &lent.mark.name;
        let mut begin = || -> Result<String, TargetError> {
            let sql = format!("BEGIN; CREATE SCHEMA {name}; SELECT '{name}'::pg_catalog.regnamespace::pg_catalog.oid");
            let rows = holder.query(sql.as_bytes()).map_err(failed)?;
            Ok(rows.first().map(|row| text(row, 0)).unwrap_or_default())
        };
        let oid = begin()?;
        let comment = literal(&lent.mark.comment(&oid));
        let sql = format!("COMMENT ON SCHEMA {name} IS {comment}");
        holder.execute(sql.as_bytes()).map_err(failed)?;
        // The mark says that all of it may go, so it must be there while the database is empty, and only then.
        let mut objects = emptying::contents(&mut holder, name)?;
        if !objects.is_empty() {
            let count = objects.len() as u64;
            objects.truncate(inspect::NAMES_MAX);
            return Err(TargetError::Refused(RestoreRefusal::NotEmpty {
                database: config.database.clone(),
                count,
                objects,
                project: None,
            }));
        }
        holder.commit().map_err(failed)?;
        lent.holder = Some(holder);
        Ok(lent)
    }

    /// How to get there.
    #[must_use]
    pub fn config(&self) -> &ConnectionConfig {
        &self.config
    }

    /// The schema in it that is the drill's own.
    #[must_use]
    pub fn own_schema(&self) -> Option<&str> {
        (self.kind == Kind::Lent).then_some(self.mark.name.as_str())
    }

    /// Gives a database that was made the settings of the backup's; gives what that failed with.
    ///
    /// # Errors
    /// There is no connection.
    pub fn apply_settings(
        &self,
        settings: &[DatabaseSetting],
        privileges: Keep,
    ) -> Result<Vec<RestoreFailure>, TargetError> {
        let mut failures = Vec::new();
        if self.kind == Kind::Made {
            let mut connection = connect(&self.config, &self.cancel)?;
            let mut run = |sql: &[u8]| connection.execute(sql).map(drop);
            apply_settings(&mut run, &self.config.database, settings, privileges, &mut failures);
            connection.close();
        }
        Ok(failures)
    }

    /// Makes sure that the lock is held; a connection that nobody spoke over for long may be gone.
    ///
    /// # Errors
    /// It is not, and cannot be had.
    pub fn hold(&mut self) -> Result<(), TargetError> {
        if let Some(holder) = &mut self.holder
            && holder.execute(b"SELECT 1").is_ok()
        {
            return Ok(());
        }
        self.holder = Some(self.connect_again(&self.cancel)?);
        Ok(())
    }

    /// Takes the locks by another connection, when the server has seen that the one which had them has ended.
    fn connect_again(&self, cancel: &CancelToken) -> Result<WireConnection, TargetError> {
        let mut holder = connect(&self.place, cancel)?;
        let mut sql = format!("SET lock_timeout = '{LOCK_TIMEOUT}'; ");
        if self.kind == Kind::Lent {
            let _ = write!(sql, "SELECT pg_catalog.pg_advisory_lock({LENT_LOCK}); ");
        }
        let _ = write!(
            sql,
            "SELECT pg_catalog.pg_advisory_lock({}); SET lock_timeout = 0",
            self.mark.lock()
        );
        holder
            .query(sql.as_bytes())
            .map_err(failed("take the lock of the drill again"))?;
        Ok(holder)
    }

    /// Drops the database, or empties it, as it was come by.
    ///
    /// # Errors
    /// It cannot be done; the next drill at this place tries it again.
    pub fn remove(mut self) -> Result<(), TargetError> {
        self.take_away()
    }

    fn take_away(&mut self) -> Result<(), TargetError> {
        let Some(mut holder) = self.holder.take() else {
            return Ok(());
        };
        // The wish to stop is heeded by others; what was made must go.
        let cancel = CancelToken::new();
        if self.cancel.is_cancelled() || holder.is_broken() || holder.execute(b"SELECT 1").is_err() {
            holder.close();
            holder = match self.kind {
                // Its name is its own, so nobody else can have it.
                Kind::Made => connect(&self.place, &cancel)?,
                Kind::Lent => self.connect_again(&cancel)?,
            };
        }
        match self.kind {
            Kind::Made => drop_database(&mut holder, &self.config, &cancel)?,
            // Without its mark and its locks another one may have it by now.
            Kind::Lent if self.is_marked(&mut holder)? => emptying::empty(&mut holder, &self.mark.name)?,
            Kind::Lent => {
                return Err(TargetError::Refused(RestoreRefusal::MarkOfDrill {
                    database: self.config.database.clone(),
                }));
            }
        }
        holder.close();
        Ok(())
    }
}

impl DatabaseOfDrill {
    /// Whether the schema of the drill is there, with its comment.
    fn is_marked(&self, holder: &mut WireConnection) -> Result<bool, TargetError> {
        let name = &self.mark.name;
        let sql = format!(
            "SELECT oid, pg_catalog.obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace
             WHERE nspname = '{name}'"
        );
        let rows = holder
            .query(sql.as_bytes())
            .map_err(failed("look for the mark of the drill"))?;
        let is_it = |row: &Row| row.get(1) == Some(self.mark.comment(&text(row, 0)).as_bytes());
        Ok(rows.first().is_some_and(is_it))
    }
}

impl Drop for DatabaseOfDrill {
    fn drop(&mut self) {
        // Nobody is left to hear of it; the next drill looks.
        let _ = self.take_away();
    }
}

/// Removes from the server of `at` what drills left that do not run any more: databases that they made and, where
/// `lent` is named, what they left in it. Says what was removed.
///
/// A database or schema goes only if it bears the mark of a drill that is its own, or the name of one and nobody was ever let
/// in; and only if nobody has the lock of that drill.
///
/// # Errors
/// The server cannot be asked, or something cannot be removed.
pub fn remove_dead_drills(at: &ConnectionConfig, lent: Lent, cancel: &CancelToken) -> Result<Vec<String>, TargetError> {
    let mut removed = Vec::new();
    if lent == Lent::Yes {
        let mut connection = match connect(at, cancel) {
            Err(TargetError::Connect(error)) if error.kind() == ConnectErrorKind::DatabaseMissing => {
                return Ok(removed);
            }
            connected => connected?,
        };
        match take_lock(&mut connection, LENT_LOCK, &at.database) {
            Ok(()) => {}
            // Somebody else is about it, or holds a drill.
            Err(TargetError::Refused(_)) => return Ok(removed),
            Err(error) => return Err(error),
        }
        let emptied = dead_schemas(&mut connection).and_then(|marks| {
            for mark in marks {
                emptying::empty(&mut connection, &mark.name)?;
                removed.push(format!("what a drill left in {}", at.database));
            }
            Ok(removed)
        });
        // Whoever comes next need not wait until the server sees that the connection has ended.
        let unlock = format!("SELECT pg_catalog.pg_advisory_unlock({LENT_LOCK})");
        let _ = connection.execute(unlock.as_bytes());
        connection.close();
        return emptied;
    }
    let mut connection = connect(&maintenance_config(at)?, cancel)?;
    let mut first_error = None;
    for mark in dead_databases(&mut connection)? {
        let config = ConnectionConfig {
            database: mark.name.clone(),
            ..at.clone()
        };
        match drop_database(&mut connection, &config, cancel) {
            Ok(()) => removed.push(format!("database {}", mark.name)),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    connection.close();
    first_error.map_or(Ok(removed), Err)
}

/// Whether the database of a connection is one that drills are lent, or only the server matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Lent {
    /// Drills restore into it.
    Yes,
    /// They make databases beside it.
    No,
}

fn dead_databases(connection: &mut WireConnection) -> Result<Vec<Mark>, TargetError> {
    let sql = format!(
        "SELECT datname, oid, pg_catalog.shobj_description(oid, 'pg_database'),
                NOT datallowconn AND pg_catalog.pg_get_userbyid(datdba) = current_user
         FROM pg_catalog.pg_database
         WHERE datname LIKE '{PREFIX}%' AND pg_catalog.pg_has_role(datdba, 'USAGE') ORDER BY datname"
    );
    dead(connection, &sql)
}

fn dead_schemas(connection: &mut WireConnection) -> Result<Vec<Mark>, TargetError> {
    let sql = format!(
        "SELECT nspname, oid, pg_catalog.obj_description(oid, 'pg_namespace'), false
         FROM pg_catalog.pg_namespace WHERE nspname LIKE '{PREFIX}%' AND pg_catalog.pg_get_userbyid(nspowner) = current_user
         ORDER BY nspname"
    );
    dead(connection, &sql)
}

fn dead(connection: &mut WireConnection, sql: &str) -> Result<Vec<Mark>, TargetError> {
    let rows = connection
        .query(sql.as_bytes())
        .map_err(failed("look for other drills"))?;
    let mut dead = Vec::new();
    for row in &rows {
        let Some(mark) = Mark::of_name(&text(row, 0)) else {
            continue;
        };
        let is_marked = row.get(2) == Some(mark.comment(&text(row, 1)).as_bytes());
        let was_never_open = row.get(2).is_none() && row.get(3) == Some(b"t");
        if (is_marked || was_never_open) && !mark.is_held(connection)? {
            dead.push(mark);
        }
    }
    Ok(dead)
}

fn drop_database(
    connection: &mut WireConnection,
    config: &ConnectionConfig,
    cancel: &CancelToken,
) -> Result<(), TargetError> {
    // One that was never let anybody in has none, and cannot be looked into.
    if let Ok(mut inside) = connect(config, cancel) {
        emptying::drop_subscriptions(&mut inside)?;
        inside.close();
    }
    let version = number(connection, "SELECT pg_catalog.current_setting('server_version_num')")?;
    let mut sql = format!("DROP DATABASE IF EXISTS {}", identifier(&config.database));
    if version >= 130_000 {
        // A backend of a killed program may not have noticed yet.
        let _ = write!(sql, " WITH (FORCE)");
    }
    connection
        .execute(sql.as_bytes())
        .map(drop)
        .map_err(failed("drop the database of a drill"))
}

fn take_lock(holder: &mut WireConnection, lock: &str, name: &str) -> Result<(), TargetError> {
    let sql = format!("SELECT pg_catalog.pg_try_advisory_lock({lock})");
    let rows = holder
        .query(sql.as_bytes())
        .map_err(failed("take the lock of the drill"))?;
    match rows.first().and_then(|row| row.get(0)) {
        Some(b"t") => Ok(()),
        _ => Err(TargetError::Refused(RestoreRefusal::LockOfDrill {
            name: name.to_owned(),
        })),
    }
}

fn connect(config: &ConnectionConfig, cancel: &CancelToken) -> Result<WireConnection, TargetError> {
    let mut connection = WireConnection::connect(config, cancel)?;
    session::prepare(&mut connection, "UTF8", &[])?;
    Ok(connection)
}

fn failed(doing: &'static str) -> impl Fn(WireError) -> TargetError + Copy {
    move |source| TargetError::Wire { doing, source }
}

fn text(row: &Row, column: usize) -> String {
    String::from_utf8_lossy(row.get(column).unwrap_or_default()).into_owned()
}

fn number(connection: &mut WireConnection, sql: &str) -> Result<u32, TargetError> {
    let rows = connection
        .query(sql.as_bytes())
        .map_err(failed("look at the server of the drill"))?;
    Ok(rows.first().and_then(|row| text(row, 0).parse().ok()).unwrap_or(0))
}

fn literal(text: &str) -> String {
    String::from_utf8_lossy(&quote_literal(text.as_bytes())).into_owned()
}

fn identifier(name: &str) -> String {
    String::from_utf8_lossy(&quote_identifier(name.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::Mark;

    #[test]
    fn only_names_of_drills_are_marks() {
        let mark = Mark::of_name("backstay_drill_0123abcd_20250116143022").unwrap();
        assert_eq!(mark.number, 0x0123_abcd);
        for name in [
            "backstay_drill_0123abcd",
            "backstay_drill_0123abcd_",
            "backstay_drill_0123abc_20250116143022",
            "backstay_drill_0123ABCD_20250116143022",
            "backstay_drill_+123abcd_20250116143022",
            "backstay_drill_0123abcd_2025011614302",
            "backstay_drill_0123abcd_20250116143022_2",
            "my_backstay_drill_0123abcd_20250116143022",
            "backstay_drill_results",
        ] {
            assert_eq!(Mark::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn the_mark_of_one_object_is_not_that_of_another() {
        let mark = Mark::of_name("backstay_drill_0123abcd_20250116143022").unwrap();
        let other = Mark::of_name("backstay_drill_0123abce_20250116143022").unwrap();
        assert_ne!(mark.comment("16384"), mark.comment("16385"));
        assert_ne!(mark.comment("16384"), other.comment("16384"));
    }
}
