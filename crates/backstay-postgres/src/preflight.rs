//! Looking at a server before anything is written: can everything be read, is there a `pg_dump`, is there room.

use std::fmt;
use std::path::Path;

use crate::cancel::CancelToken;
use crate::catalog::{CatalogError, Reading, Relation, RelationKind, read_relations, sizes_query, system_identifier};
use crate::config::ConnectionConfig;
use crate::connect::{ConnectError, ConnectErrorKind, connect_client};
use crate::pg_dump::{PgDump, find_pg_dump};
use crate::platform::{FoundPlatform, PlatformChoice, find};
use crate::pooling::{self, PoolingError};
use crate::search_path::SearchPath;
use crate::session;
use crate::snapshot::blockers;
use crate::source::Inclusion;
use crate::wire::{SqlState, WireConnection, WireError};

/// The oldest major version that is backed up.
const MAJOR_MIN: u32 = 13;
/// The newest major version that was tried.
const MAJOR_TRIED: u32 = 18;
/// Connections besides those of the workers: holder, catalogs, `pg_dump`.
const OTHER_CONNECTIONS: i64 = 3;
/// Names listed in one message.
const NAMES_MAX: usize = 8;
/// How long measuring waits for those who have tables locked.
const MEASURE_WAIT: &str = "2s";

/// What was found before a backup.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Preflight {
    /// `server_version`.
    pub server_version: String,
    /// `server_version_num`.
    pub server_version_num: u32,
    /// `system_identifier` of the cluster, where it may be read.
    pub system_identifier: Option<u64>,
    /// Name of the database.
    pub database: String,
    /// Its encoding.
    pub encoding: String,
    /// The role that is connected.
    pub role: String,
    /// Own tables that hold rows.
    pub tables: usize,
    /// Bytes of their main forks and TOAST tables; 0 while somebody keeps them locked.
    pub table_bytes: u64,
    /// The `pg_dump` that will be used.
    pub pg_dump: Option<PgDump>,
    /// The platform that the database is on, where it is on one.
    pub platform: Option<FoundPlatform>,
    /// What speaks against a backup, or should be known.
    pub findings: Vec<PreflightFinding>,
}

/// Something that the preflight found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PreflightFinding {
    /// How bad it is.
    pub severity: PreflightSeverity,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "callers must react to each")]
pub enum PreflightSeverity {
    /// Good to know.
    Note,
    /// The backup will be made, but something about it is not as one would wish.
    Warning,
    /// No backup can be made.
    Refusal,
}

impl fmt::Display for PreflightSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Refusal => "refused",
        })
    }
}

/// Why the server could not even be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreflightError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The catalogs cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The tables cannot be measured.
    #[error("cannot measure the tables")]
    Measure(#[source] WireError),
}

impl From<PoolingError> for PreflightError {
    fn from(error: PoolingError) -> Self {
        match error {
            PoolingError::Connect(error) => error.into(),
            PoolingError::Catalog(error) => error.into(),
            PoolingError::Wire(error) => Self::Measure(error),
        }
    }
}

impl Preflight {
    /// The findings that forbid a backup.
    pub fn refusals(&self) -> impl Iterator<Item = &PreflightFinding> {
        self.findings
            .iter()
            .filter(|finding| finding.severity == PreflightSeverity::Refusal)
    }
}

/// What the preflight must know of the backup to come.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct PreflightNeeds<'n> {
    /// Connections that will read rows.
    pub jobs: usize,
    /// Where programs are looked for.
    pub programs: &'n SearchPath,
    /// The `pg_dump` that was named.
    pub pg_dump: Option<&'n Path>,
    /// Whether every table will be read.
    pub whole_database: bool,
    /// Whether large objects will be read, if the whole database is.
    pub large_objects: Inclusion,
    /// By the rules of which platform it will be made.
    pub platform: PlatformChoice,
}

/// Looks at a server. Works on a thread of its own.
///
/// # Errors
/// The server cannot be reached, or its catalogs cannot be read.
pub fn preflight(config: &ConnectionConfig, needs: PreflightNeeds<'_>) -> Result<Preflight, PreflightError> {
    std::thread::scope(|scope| match scope.spawn(|| look(config, needs)).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn look(config: &ConnectionConfig, needs: PreflightNeeds<'_>) -> Result<Preflight, PreflightError> {
    let mut client = connect_client(config)?;
    let what = "the server's settings";
    let facts = pooling::session_facts(&mut client)?;
    let mut found = Preflight {
        server_version: facts.server_version.clone(),
        server_version_num: facts.server_version_num,
        system_identifier: None,
        database: config.database.clone(),
        encoding: facts.encoding.clone(),
        role: config.user.clone(),
        tables: 0,
        table_bytes: 0,
        pg_dump: None,
        platform: None,
        findings: Vec::new(),
    };
    let mut second = match WireConnection::connect(config, &CancelToken::new()) {
        // How many are left is told below.
        Err(error) if error.kind() == ConnectErrorKind::TooManyConnections => None,
        second => Some(second?),
    };
    let pooled = match &mut second {
        Some(second) => pooling::shares_sessions(second, &mut client, &facts)?,
        None => false,
    };
    if config.looks_like_transaction_pooler() || pooled {
        found.refuse(
            "the connection goes through a pooler in transaction mode, which cannot keep a snapshot".to_owned(),
            "use the pooler's session mode (port 5432 instead of 6543 on Supabase) or the direct host",
        );
        // Whatever else would be found could be of several sessions, and what is set would stay in them.
        return Ok(found);
    }
    session::prepare_client(&mut client).reading(what)?;
    if let Some(second) = &mut second {
        second.discard_at_end();
        for settings in [session::FIRST, &session::settings_query(&[]), "BEGIN READ ONLY"] {
            second.query(settings.as_bytes()).map_err(PreflightError::Measure)?;
        }
    }
    let row = client
        .query_one(
            "SELECT convert_to(current_user, getdatabaseencoding()), convert_to(d.datname, getdatabaseencoding()),
                    current_setting('max_connections')::int8
                      - CASE WHEN r.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int8
                          + coalesce(current_setting('reserved_connections', true), '0')::int8 END
                      - (SELECT count(*) FROM pg_catalog.pg_stat_activity
                         WHERE backend_type = 'client backend' OR backend_type IS NULL AND usesysid IS NOT NULL),
                    CASE WHEN rolconnlimit >= 0 AND NOT r.rolsuper THEN rolconnlimit
                      - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usesysid = r.oid) END,
                    CASE WHEN datconnlimit >= 0 AND NOT r.rolsuper THEN datconnlimit
                      - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datid = d.oid) END,
                    current_setting('max_locks_per_transaction')::int8,
                    current_setting('max_connections')::int8 + current_setting('max_prepared_transactions')::int8
                      + current_setting('max_worker_processes')::int8 + current_setting('max_wal_senders')::int8
                      + coalesce(current_setting('autovacuum_worker_slots', true),
                                 current_setting('autovacuum_max_workers'))::int8,
                    EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'timescaledb')
             FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
             WHERE r.rolname = current_user AND d.datname = current_database()",
            &[],
        )
        .reading(what)?;
    let text = |column| -> Result<String, CatalogError> {
        let bytes: Vec<u8> = row.try_get(column).reading(what)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    found.role = text(0)?;
    found.database = text(1)?;
    let mut transaction = client.transaction().reading(what)?;
    found.system_identifier = system_identifier(&mut transaction)?;
    transaction.rollback().reading(what)?;
    found.check_version(needs);
    let left: i64 = row.try_get(2).reading(what)?;
    let role_left: Option<i64> = row.try_get(3).reading(what)?;
    let database_left: Option<i64> = row.try_get(4).reading(what)?;
    let left = left
        .min(role_left.unwrap_or(i64::MAX))
        .min(database_left.unwrap_or(i64::MAX))
        + 1
        + i64::from(second.is_some());
    let needed = i64::try_from(needs.jobs)
        .unwrap_or(i64::MAX)
        .saturating_add(OTHER_CONNECTIONS);
    if left < needed {
        found.refuse(
            format!(
                "the server has {left} connections left for {}, and {needed} are needed",
                found.role
            ),
            "use fewer --jobs, or try again when fewer clients are connected",
        );
    }
    if row.try_get(7).reading(what)? {
        found.refuse(
            "the database uses TimescaleDB, whose chunks a logical backup of tables does not restore".to_owned(),
            "back it up with TimescaleDB's own tools",
        );
    }
    found.platform = find(&mut client, config, needs.platform)?;
    if let Some(platform) = &found.platform {
        let message = format!("platform: {} (found by {})", platform.platform, platform.by);
        found.add(PreflightSeverity::Note, message, None);
    }
    let profile = found.platform.as_ref().and_then(|found| found.platform.profile());
    let mut transaction = client.transaction().reading(what)?;
    let mut relations = read_relations(&mut transaction, found.server_version_num)?;
    relations.retain(|relation| profile.is_none_or(|profile| !profile.leaves_schema(relation.schema.as_bytes())));
    found.check_relations(&relations, needs);
    found.check_locks(&relations, row.try_get(5).reading(what)?, row.try_get(6).reading(what)?);
    if needs.whole_database && needs.large_objects == Inclusion::Included {
        check_large_objects(&mut transaction, &mut found)?;
    }
    check_inherited_not_null(&mut transaction, &relations, &mut found)?;
    drop(transaction);
    if let Some(second) = &mut second {
        found.measure(&relations, second).map_err(PreflightError::Measure)?;
    }
    found
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(found)
}

/// Tables that a backup reads, or has to know.
fn own_tables(relations: &[Relation]) -> impl Iterator<Item = &Relation> {
    relations
        .iter()
        .filter(|relation| matches!(relation.kind, RelationKind::Table | RelationKind::Partitioned))
        .filter(|relation| relation.extension.is_none() || relation.configuration.is_some())
}

impl Preflight {
    /// Adds up the storage of all tables. Whoever keeps one locked is reported, and not waited for.
    fn measure(&mut self, relations: &[Relation], connection: &mut WireConnection) -> Result<(), WireError> {
        let tables: Vec<u32> = own_tables(relations).map(|table| table.oid).collect();
        let setting = format!("SET LOCAL lock_timeout = '{MEASURE_WAIT}'");
        connection.execute(setting.as_bytes())?;
        let total = format!(
            "SELECT sum(s.bytes) FROM ({}) s (oid, pages, bytes)",
            sizes_query(&tables)
        );
        match connection.query(total.as_bytes()) {
            Ok(rows) => {
                let bytes = rows.first().and_then(|row| row.get(0));
                let bytes = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok());
                self.table_bytes = bytes.unwrap_or(0);
            }
            Err(error) if error.sql_state() == Some(SqlState::LOCK_NOT_AVAILABLE) => {
                connection.execute(b"ROLLBACK")?;
                let message = format!("tables are locked: {}", blockers(connection, &tables)?);
                let hint = "the backup waits for them, for as long as --lock-wait says";
                self.add(PreflightSeverity::Warning, message, Some(hint));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn add(&mut self, severity: PreflightSeverity, message: String, hint: Option<&str>) {
        self.findings.push(PreflightFinding {
            severity,
            message,
            hint: hint.map(str::to_owned),
        });
    }

    fn refuse(&mut self, message: String, hint: &str) {
        self.add(PreflightSeverity::Refusal, message, Some(hint));
    }

    /// What lets the role read everything.
    fn grant(&self) -> &'static str {
        if self.server_version_num >= 140_000 {
            "GRANT pg_read_all_data TO the role"
        } else {
            "GRANT SELECT on each of them TO the role"
        }
    }

    fn check_version(&mut self, needs: PreflightNeeds<'_>) {
        let major = self.server_version_num / 10_000;
        if major < MAJOR_MIN {
            self.refuse(
                format!(
                    "the server is PostgreSQL {}, older than {MAJOR_MIN}",
                    self.server_version
                ),
                "use pg_dump for it",
            );
        } else if major > MAJOR_TRIED {
            let message = format!("PostgreSQL {major} is newer than what this version of Backstay was tried with");
            self.add(PreflightSeverity::Warning, message, Some("use the newest Backstay"));
        }
        let program = match needs.pg_dump {
            Some(path) => PgDump::at(path.to_owned(), major),
            None => find_pg_dump(needs.programs, major),
        };
        match program {
            Ok(program) => self.pg_dump = Some(program),
            Err(error) => {
                let advice = error.advice();
                let message = error.to_string();
                self.add(PreflightSeverity::Refusal, message, advice.as_deref());
            }
        }
    }

    fn check_relations(&mut self, relations: &[Relation], needs: PreflightNeeds<'_>) {
        let name = |relation: &&Relation| format!("{}.{}", relation.schema, relation.name);
        let tables: Vec<&Relation> = own_tables(relations).collect();
        self.tables = tables.iter().filter(|table| table.kind == RelationKind::Table).count();
        let severity = if needs.whole_database {
            PreflightSeverity::Refusal
        } else {
            PreflightSeverity::Warning
        };
        let rows = |table: &&&Relation| table.kind == RelationKind::Table;
        let denied: Vec<String> = tables
            .iter()
            .filter(rows)
            .filter(|table| !table.readable)
            .map(&name)
            .collect();
        if !denied.is_empty() {
            let message = format!("{} may not read {}", self.role, list(&denied));
            let hint = format!("{}, or leave the tables out with --exclude-table", self.grant());
            self.add(severity, message, Some(&hint));
        }
        let hidden: Vec<String> = tables
            .iter()
            .filter(rows)
            .filter(|table| table.readable && table.row_security_active)
            .map(&name)
            .collect();
        if !hidden.is_empty() {
            let message = format!("row level security hides rows from {} in {}", self.role, list(&hidden));
            self.add(
                severity,
                message,
                Some("use a role with BYPASSRLS, or the owner of the tables"),
            );
        }
        let sequences: Vec<String> = relations
            .iter()
            .filter(|relation| relation.kind == RelationKind::Sequence && relation.extension.is_none())
            .filter(|sequence| !sequence.readable)
            .map(|sequence| name(&sequence))
            .collect();
        if !sequences.is_empty() {
            let message = format!("{} may not read the values of {}", self.role, list(&sequences));
            self.add(severity, message, Some(self.grant()));
        }
        let others: Vec<String> = tables
            .iter()
            .filter(rows)
            .filter(|table| !table.heap)
            .map(|table| format!("{} ({})", name(table), table.access_method.as_deref().unwrap_or("?")))
            .collect();
        if !others.is_empty() {
            let message = format!("not stored as heap, so read in one piece: {}", list(&others));
            self.add(PreflightSeverity::Note, message, None);
        }
        let foreign: Vec<String> = relations
            .iter()
            .filter(|relation| relation.kind == RelationKind::Foreign)
            .map(|relation| name(&relation))
            .collect();
        if !foreign.is_empty() {
            let message = format!("foreign tables, whose rows are not backed up: {}", list(&foreign));
            self.add(PreflightSeverity::Note, message, None);
        }
    }

    /// Compares what will be locked with what the server can lock at a time: `per_transaction` locks for each of
    /// `transactions` (PostgreSQL documentation, "Lock Management"). It may have room for some more.
    ///
    /// The holder of the snapshot locks tables and sequences, `pg_dump` tables and views. What both of them lock counts
    /// once.
    fn check_locks(&mut self, relations: &[Relation], per_transaction: i64, transactions: i64) {
        let is_locked = |relation: &&Relation| relation.kind != RelationKind::Foreign;
        let needed = i64::try_from(relations.iter().filter(is_locked).count()).unwrap_or(i64::MAX);
        let there = per_transaction.saturating_mul(transactions);
        if needed > there {
            let message =
                format!("{needed} tables, views and sequences may be more than the server can lock ({there})");
            let enough = needed / transactions.max(1) + 1;
            let hint =
                format!("raise max_locks_per_transaction to {enough} or more; the server must be restarted then");
            self.add(PreflightSeverity::Warning, message, Some(&hint));
        }
    }
}

/// Warns of definitions that the server itself would not understand again.
///
/// From 18 on `pg_dump` writes `NOT NULL column` into a table that inherits the column and forbids nulls by itself, as
/// its primary key does. Older servers do not know that.
fn check_inherited_not_null(
    transaction: &mut postgres::Transaction<'_>,
    relations: &[Relation],
    found: &mut Preflight,
) -> Result<(), CatalogError> {
    let major = found.server_version_num / 10_000;
    let Some(version) = found.pg_dump.as_ref().map(|program| program.version) else {
        return Ok(());
    };
    if major >= 18 || version.major < 18 {
        return Ok(());
    }
    let what = "the columns that are inherited";
    let sql = "SELECT DISTINCT c.oid FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        WHERE a.attnum > 0 AND a.attnotnull AND NOT a.attislocal AND NOT a.attisdropped AND NOT c.relispartition
          AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_attribute p ON p.attrelid = i.inhparent
            WHERE i.inhrelid = c.oid AND p.attname = a.attname AND p.attnotnull)";
    let rows = transaction.query(sql, &[]).reading(what)?;
    let oids: Result<Vec<u32>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    let oids = oids.reading(what)?;
    let names: Vec<String> = own_tables(relations)
        .filter(|table| oids.contains(&table.oid))
        .map(|table| format!("{}.{}", table.schema, table.name))
        .collect();
    if !names.is_empty() {
        let message = format!(
            "pg_dump {version} defines {} in words that only PostgreSQL 18 and later understand",
            list(&names)
        );
        let hint =
            format!("to be able to restore into PostgreSQL {major}, name a pg_dump of {major} with --pg-dump PATH");
        found.add(PreflightSeverity::Warning, message, Some(&hint));
    }
    Ok(())
}

fn check_large_objects(transaction: &mut postgres::Transaction<'_>, found: &mut Preflight) -> Result<(), CatalogError> {
    let what = "the large objects";
    let readable: bool = transaction
        .query_one("SELECT has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')", &[])
        .and_then(|row| row.try_get(0))
        .reading(what)?;
    if readable {
        return Ok(());
    }
    let mut attempt = transaction.transaction().reading(what)?;
    let sql = "SELECT count(pg_catalog.lo_get(oid, 0, 1)) FROM pg_catalog.pg_largeobject_metadata";
    match attempt.query_one(sql, &[]) {
        Ok(_) => attempt.commit().reading(what),
        Err(error) if error.as_db_error().is_some() => {
            let message = format!("{} may not read every large object", found.role);
            let hint = format!("{}, or leave them out with --no-large-objects", found.grant());
            found.refuse(message, &hint);
            attempt.rollback().reading(what)
        }
        Err(error) => Err(error).reading(what),
    }
}

fn list(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMES_MAX)].join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
