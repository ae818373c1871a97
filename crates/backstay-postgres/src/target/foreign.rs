//! Restoring a script that somebody else's tool left: the plain output of `pg_dump`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::str::FromStr;

use backstay_core::manifest::Source;
use backstay_core::script::{Event, ScriptReader};
use backstay_core::sql::quote_literal;

use super::create::create_database;
use super::inspect::{TargetState, Wanted, inspect};
use super::{
    Atomicity, RestoreEvent, RestoreFailure, RestoreObserver, RestorePhase, RestoreRefusal, RestoreReport, TargetError,
    TargetPolicy, on_a_thread,
};
use crate::CancelToken;
use crate::config::ConnectionConfig;
use crate::wire::{Row, WireConnection, WireError};

/// Bytes of a statement that a report shows.
const STATEMENT_SHOWN: usize = 400;
/// Failures that a report lists; a script with more is not worth listing.
const FAILURES_MAX: usize = 1000;

/// A restore of a foreign script that was thought through and not begun.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ForeignPlan {
    /// Name of the target database.
    pub database: String,
    /// What is there now.
    pub target: TargetState,
    /// Whether the database is made first.
    pub policy: TargetPolicy,
    /// Whether it is all or nothing.
    pub atomicity: Atomicity,
    /// Encoding of the script, where it states one.
    pub encoding: Option<String>,
}

impl fmt::Display for ForeignPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = match &self.target.database {
            None => "does not exist; it will be created".to_owned(),
            Some(found) => format!("{} objects", found.object_count),
        };
        let how = match self.atomicity {
            Atomicity::SingleTransaction => "statement by statement, in one transaction",
            Atomicity::StepByStep | Atomicity::Fitting => "statement by statement",
        };
        writeln!(
            f,
            "target     {} on PostgreSQL {} as {}",
            self.database, self.target.server_version, self.target.role
        )?;
        writeln!(f, "there now  {now}")?;
        writeln!(f, "how        {how}")
    }
}

/// Looks at the target of a foreign script and decides whether it may be restored there.
///
/// # Errors
/// The target cannot be reached, or it is refused; [`TargetPolicy::Clean`] is, because nothing says what a script
/// would drop.
pub fn plan_foreign_restore(
    encoding: Option<String>,
    config: &ConnectionConfig,
    policy: TargetPolicy,
    atomicity: Atomicity,
) -> Result<ForeignPlan, TargetError> {
    on_a_thread(|| {
        let target = inspect(config, &Wanted::default())?;
        let database = config.database.clone();
        let refusal = match (&target.database, policy) {
            (_, TargetPolicy::Clean) => Some(RestoreRefusal::CleanForeign),
            (None, TargetPolicy::Empty) => Some(RestoreRefusal::Missing {
                database: database.clone(),
            }),
            (Some(_), TargetPolicy::Create) => Some(RestoreRefusal::Exists {
                database: database.clone(),
            }),
            (Some(found), TargetPolicy::Empty) if found.object_count > 0 => Some(RestoreRefusal::NotEmpty {
                database: database.clone(),
                count: found.object_count,
                objects: found.objects.clone(),
                project: None,
            }),
            _ => None,
        };
        match refusal {
            Some(refusal) => Err(refusal.into()),
            None => Ok(ForeignPlan {
                database,
                target,
                policy,
                atomicity,
                encoding,
            }),
        }
    })
}

/// Runs a foreign script, statement by statement, and counts the rows afterwards.
///
/// Commands of psql are not run: those of `\restrict` mean nothing here, every other one is reported as a failure.
///
/// # Errors
/// Only what keeps the restore from going on; what could not be restored stands in the report.
pub fn apply_foreign_restore<R: Read + Send>(
    plan: &ForeignPlan,
    script: R,
    config: &ConnectionConfig,
    observer: &dyn RestoreObserver,
    cancel: &CancelToken,
) -> Result<RestoreReport, TargetError> {
    on_a_thread(|| {
        if plan.policy == TargetPolicy::Create {
            let encoding = plan.encoding.clone().unwrap_or_else(|| "UTF8".to_owned());
            // A script tells nothing of the locale, so the new database gets the one that every server has.
            let source = Source {
                encoding,
                collate: "C".to_owned(),
                ctype: "C".to_owned(),
                ..Source::default()
            };
            create_database(&source, config, plan.target.server_version_num, cancel)?;
        }
        let mut connection = WireConnection::connect(config, cancel)?;
        // The script sets what it needs.
        connection.discard_at_end();
        let single = plan.atomicity == Atomicity::SingleTransaction;
        let mut run = Run {
            connection,
            single,
            server_version_num: plan.target.server_version_num,
            report: RestoreReport::default(),
            loaded: BTreeMap::new(),
            observer,
        };
        match run.everything(ScriptReader::new(script), cancel) {
            Err(_) if cancel.is_cancelled() => Err(TargetError::Cancelled),
            Err(error) => Err(error),
            Ok(()) => Ok(run.report),
        }
    })
}

struct Run<'o> {
    connection: WireConnection,
    single: bool,
    server_version_num: u32,
    report: RestoreReport,
    /// What was loaded, by the OID of the table: what its name means may change from statement to statement.
    loaded: BTreeMap<u32, Loaded>,
    observer: &'o dyn RestoreObserver,
}

/// What was loaded into one table.
#[derive(Default)]
struct Loaded {
    /// The table as the script names it.
    name: String,
    rows: u64,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    Go,
    Stop,
}

impl Run<'_> {
    fn everything<R: Read>(&mut self, mut script: ScriptReader<R>, cancel: &CancelToken) -> Result<(), TargetError> {
        let failed = |doing| move |source| TargetError::Wire { doing, source };
        self.observer.event(RestoreEvent::Phase {
            phase: RestorePhase::Data,
            bytes: 0,
        });
        if self.single {
            self.connection.execute(b"BEGIN").map_err(failed("begin"))?;
        }
        let next = self.events(&mut script, cancel)?;
        if next == Next::Go {
            self.observer.event(RestoreEvent::Phase {
                phase: RestorePhase::Check,
                bytes: 0,
            });
            self.count()?;
        }
        if self.single && self.report.failures.is_empty() {
            self.connection.commit().map_err(failed("commit"))?;
        } else if self.single {
            self.connection.execute(b"ROLLBACK").map_err(failed("roll back"))?;
        }
        Ok(())
    }

    fn events<R: Read>(&mut self, script: &mut ScriptReader<R>, cancel: &CancelToken) -> Result<Next, TargetError> {
        loop {
            if cancel.is_cancelled() {
                return Err(TargetError::Cancelled);
            }
            let event = match script.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(Next::Go),
                Err(error) => {
                    self.fail("the script".to_owned(), None, error.to_string(), None);
                    return Ok(Next::Stop);
                }
            };
            let next = match event {
                Event::Statement(statement) => {
                    let sql = statement.part.text.to_vec();
                    self.statement(&sql, statement.part.line)?
                }
                Event::CopyStart(start) => {
                    let (sql, line) = (start.part.text.to_vec(), start.part.line);
                    let table = qualified(&start.target.table);
                    self.copy(script, &sql, &table, line)?
                }
                Event::Command(command) if matches!(command.name, b"restrict" | b"unrestrict") => Next::Go,
                Event::Command(command) => {
                    let what = format!("psql command in line {}", command.part.line);
                    let text = command.part.text.to_vec();
                    self.fail(what, Some(&text), "it is not run".to_owned(), None)
                }
                _ => Next::Go,
            };
            if next == Next::Stop {
                return Ok(Next::Stop);
            }
        }
    }

    fn statement(&mut self, sql: &[u8], line: u64) -> Result<Next, TargetError> {
        if self.single {
            // pg_dump puts large objects between these, which would end the one transaction around everything.
            if [&b"BEGIN;"[..], b"COMMIT;"]
                .iter()
                .any(|word| sql.trim_ascii().eq_ignore_ascii_case(word))
            {
                return Ok(Next::Go);
            }
            if ends_transactions(sql) {
                let error = "it could end the one transaction around everything".to_owned();
                return Ok(self.fail(format!("statement in line {line}"), Some(sql), error, None));
            }
        }
        // What pg_dump begins with from 17 on, and what older servers do not know and need not be told.
        if self.server_version_num < 170_000 && sql.trim_ascii() == b"SET transaction_timeout = 0;" {
            return Ok(Next::Go);
        }
        match self.connection.execute(sql) {
            Ok(_) => {
                self.report.entries += 1;
                Ok(Next::Go)
            }
            Err(error) => self.refused(format!("statement in line {line}"), sql, error),
        }
    }

    fn copy<R: Read>(
        &mut self,
        script: &mut ScriptReader<R>,
        sql: &[u8],
        table: &[u8],
        line: u64,
    ) -> Result<Next, TargetError> {
        let name = String::from_utf8_lossy(table).into_owned();
        let mut error = None;
        let mut sink = match self.connection.copy_in(sql) {
            Ok(sink) => Some(sink),
            Err(e) => {
                error = Some(e);
                None
            }
        };
        // The rows of a COPY that was refused are passed over, never run as statements.
        let rows = loop {
            match script.next_event() {
                Ok(Some(Event::CopyRows(block))) => {
                    if let Some(open) = &mut sink
                        && let Err(e) = open.send(block.bytes)
                    {
                        error = Some(e);
                        sink = None;
                    }
                    self.observer.event(RestoreEvent::Rows {
                        table: &name,
                        text_bytes: block.bytes.len() as u64,
                    });
                }
                Ok(Some(Event::CopyEnd(end))) => break end.rows,
                Ok(_) => {}
                Err(e) => {
                    // Dropping the sink makes the server forget the rows.
                    drop(sink);
                    self.fail(format!("rows of {name}"), Some(sql), e.to_string(), None);
                    return Ok(Next::Stop);
                }
            }
        };
        match sink.map(crate::wire::CopyIn::finish) {
            Some(Ok(taken)) if taken == rows => {
                self.report.tables += 1;
                self.report.rows += rows;
                let find = [
                    &b"SELECT pg_catalog.to_regclass("[..],
                    &quote_literal(table),
                    b")::pg_catalog.oid",
                ]
                .concat();
                match self.connection.query(&find) {
                    Ok(found) => {
                        // No table has the OID 0, so what cannot be found is not there when it is counted.
                        let loaded = self.loaded.entry(number(&found).unwrap_or(0)).or_default();
                        loaded.name = name;
                        loaded.rows += rows;
                        Ok(Next::Go)
                    }
                    Err(error) => self.refused(format!("rows of {name} (line {line})"), &find, error),
                }
            }
            Some(Ok(taken)) => {
                let error = format!("the server took {taken} of {rows} rows");
                Ok(self.fail(format!("rows of {name}"), Some(sql), error, None))
            }
            Some(Err(error)) => self.refused(format!("rows of {name} (line {line})"), sql, error),
            None => {
                let error = error.unwrap_or(WireError::CopyEnded);
                self.refused(format!("rows of {name} (line {line})"), sql, error)
            }
        }
    }

    /// Counts what was loaded.
    fn count(&mut self) -> Result<(), TargetError> {
        for (oid, Loaded { name, rows }) in std::mem::take(&mut self.loaded) {
            let what = format!("rows of {name}");
            // The script may have put operators of its own before the server's. Rows of a partitioned table are in its
            // partitions.
            let find = format!(
                "SELECT pg_catalog.format(CASE c.relkind WHEN 'p' THEN '%I.%I' ELSE 'ONLY %I.%I' END, n.nspname, c.relname)
                 FROM pg_catalog.pg_class c
                 JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
                 WHERE c.oid OPERATOR(pg_catalog.=) {oid}"
            );
            let next = match self.connection.query(find.as_bytes()) {
                Err(error) => self.refused(what, find.as_bytes(), error)?,
                Ok(found) => match found.first().and_then(|row| row.get(0)) {
                    None => {
                        let error = format!("{rows} rows were loaded and the table is no more");
                        self.fail(what, None, error, None)
                    }
                    Some(table) => self.count_one(what, table, rows)?,
                },
            };
            if next == Next::Stop {
                break;
            }
        }
        Ok(())
    }

    fn count_one(&mut self, what: String, table: &[u8], expected: u64) -> Result<Next, TargetError> {
        let sql = [b"SELECT pg_catalog.count(*) FROM ", table].concat();
        match self.connection.query(&sql) {
            Err(error) => self.refused(what, &sql, error),
            Ok(found) if number(&found) == Some(expected) => Ok(Next::Go),
            Ok(found) => {
                let found = number::<u64>(&found).map_or_else(|| "no number".to_owned(), |found| found.to_string());
                let error = format!("{expected} rows were loaded and {found} are there");
                Ok(self.fail(what, None, error, None))
            }
        }
    }

    fn refused(&mut self, what: String, sql: &[u8], error: WireError) -> Result<Next, TargetError> {
        if error.server_error().is_none() || self.connection.is_broken() {
            return Err(TargetError::Wire {
                doing: "run the script",
                source: error,
            });
        }
        let state = error.sql_state().map(|state| state.to_string());
        Ok(self.fail(what, Some(sql), error.to_string(), state))
    }

    fn fail(&mut self, what: String, sql: Option<&[u8]>, error: String, sql_state: Option<String>) -> Next {
        let shown = |sql: &[u8]| String::from_utf8_lossy(&sql[..sql.len().min(STATEMENT_SHOWN)]).into_owned();
        self.report.failures.push(RestoreFailure {
            what,
            statement: sql.map(shown),
            error,
            sql_state,
        });
        if self.single || self.report.failures.len() >= FAILURES_MAX {
            Next::Stop
        } else {
            Next::Go
        }
    }
}

/// Whether a statement may end the transaction that it runs in; also one that only goes back to a savepoint.
fn ends_transactions(sql: &[u8]) -> bool {
    let word = sql.split(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or_default();
    ["ABORT", "COMMIT", "END", "ROLLBACK"]
        .iter()
        .any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
}

/// The number that a query gives.
fn number<T: FromStr>(rows: &[Row]) -> Option<T> {
    std::str::from_utf8(rows.first()?.get(0)?).ok()?.parse().ok()
}

/// The name of a table as SQL.
fn qualified(name: &backstay_core::script::QualifiedName) -> Vec<u8> {
    use backstay_core::sql::{quote_identifier, quote_qualified};
    match &name.schema {
        Some(schema) => quote_qualified(schema.as_bytes(), name.name.as_bytes()),
        None => quote_identifier(name.name.as_bytes()),
    }
}
