//! Carrying out a restore.

mod acting;
mod check;
mod clean;
mod parallel;
mod platform;
mod rights;
mod serial;
mod tasks;

use acting::Lent;
use platform::{ROLES, SECRET};
pub(super) use platform::{has_secrets, lacking_proof};

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use backstay_core::manifest::{Entry, Manifest, MemberContent, ROWS_FOOTER, RowBlock, Span, Stage, TableRows};
use backstay_core::script::statements;
use backstay_core::sql::{quote_identifier, quote_literal, quote_qualified};

use super::create::{apply_settings, create_database, restore_globals};
use super::{
    Atomicity, Keep, MemberSource, Parts, RestoreEvent, RestoreFailure, RestoreObserver, RestorePlan, RestoreReport,
    Surroundings, TargetError, TargetPolicy, entry_name, part_of,
};
use crate::CancelToken;
use crate::config::ConnectionConfig;
use crate::session;
use crate::wire::{ServerError, SqlState, WireConnection, WireError};

/// How often a statement is tried that lost a deadlock.
const DEADLOCK_ATTEMPTS: u32 = 4;
/// Bytes of a statement that a report shows.
const STATEMENT_SHOWN: usize = 400;

pub(super) fn apply(
    plan: &RestorePlan,
    manifest: &Manifest,
    source: &dyn MemberSource,
    config: &ConnectionConfig,
    observer: &dyn RestoreObserver,
    cancel: &CancelToken,
) -> Result<RestoreReport, TargetError> {
    let restore = Restore {
        plan,
        manifest,
        source,
        config,
        observer,
        cancel,
        texts: Mutex::default(),
        failures: Mutex::default(),
        lent: Mutex::default(),
        own_memberships: Mutex::default(),
        untold: Mutex::default(),
        triggers_act: AtomicBool::new(false),
        stand_ins: (plan.options.surroundings == Surroundings::StandIns).then(Arc::default),
    };
    restore.run()
}

/// What all workers of a restore share.
struct Restore<'a> {
    plan: &'a RestorePlan,
    manifest: &'a Manifest,
    source: &'a dyn MemberSource,
    config: &'a ConnectionConfig,
    observer: &'a dyn RestoreObserver,
    cancel: &'a CancelToken,
    /// Texts of schema members, read once.
    texts: Mutex<HashMap<u32, Arc<Vec<u8>>>>,
    failures: Mutex<Vec<RestoreFailure>>,
    /// What it may do meanwhile to give objects to their owners.
    lent: Mutex<Lent>,
    /// The roles that the one that restores is a member of in the backup, with the statements that make it one.
    own_memberships: Mutex<Vec<(String, Vec<u8>)>>,
    /// What is told in the end of what was left out on a platform.
    untold: Mutex<Vec<String>>,
    /// Whether triggers and keys that are there already act on rows that are loaded.
    triggers_act: AtomicBool,
    /// The roles that were made up, where they may be.
    stand_ins: Option<StandIns>,
}

type StandIns = Arc<Mutex<BTreeSet<String>>>;

/// One connection with what it was told.
struct Session {
    connection: WireConnection,
    tablespace: Vec<u8>,
    access_method: Vec<u8>,
    stand_ins: Option<StandIns>,
}

impl Restore<'_> {
    fn run(&self) -> Result<RestoreReport, TargetError> {
        let options = &self.plan.options;
        let mut report = RestoreReport::default();
        if options.globals == Keep::Yes && self.on_platform().is_none() {
            self.globals()?;
        }
        if options.target == TargetPolicy::Create {
            let version = self.plan.target.server_version_num;
            create_database(&self.manifest.source, self.config, version, self.cancel)?;
        }
        let is_made = match options.atomicity {
            Atomicity::SingleTransaction => self.in_one_transaction(&mut report)?,
            Atomicity::StepByStep | Atomicity::Fitting => match self.step_by_step(&mut report) {
                Ok(()) => true,
                Err(error) => return Err(self.end_acting_after(error)),
            },
        };
        if options.target == TargetPolicy::Create {
            let mut session = self.connect()?;
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            let settings = &self.manifest.source.settings;
            let mut run = |sql: &[u8]| session.run(sql.to_vec()).map_err(|failed| failed.error);
            apply_settings(
                &mut run,
                &self.plan.database,
                settings,
                options.privileges,
                &mut failures,
            );
        }
        report.left_out.extend(self.plan.left_out.clone());
        if is_made {
            let finished = self.finish_on_platform(&mut report);
            let checked = finished.and_then(|()| self.check(&mut report));
            if let Err(error) = checked {
                return Err(self.end_acting_after(error));
            }
            self.end_acting()?;
            self.check_own_entries(&report)?;
        }
        if let Some(made) = &self.stand_ins {
            let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
            report.stand_ins.extend(std::mem::take(&mut *made));
        }
        if self.triggers_act.load(Ordering::Relaxed) {
            report.left_out.push(
                "switching off the target's triggers and foreign keys, which acted on the rows: the role may not set \
                 session_replication_role"
                    .to_owned(),
            );
        }
        report
            .failures
            .append(&mut self.failures.lock().unwrap_or_else(PoisonError::into_inner));
        if self.cancel.is_cancelled() {
            return Err(TargetError::Cancelled);
        }
        Ok(report)
    }

    fn globals(&self) -> Result<(), TargetError> {
        for (index, member) in self.manifest.members.iter().enumerate() {
            if member.content == MemberContent::Globals {
                let text = self.source.text(index).map_err(TargetError::Backup)?;
                let mut failures = Vec::new();
                restore_globals(
                    &text,
                    &self.manifest.source.encoding,
                    self.plan.options.surroundings,
                    self.config,
                    self.cancel,
                    &mut failures,
                )?;
                self.failures
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .append(&mut failures);
            }
        }
        Ok(())
    }

    fn connect(&self) -> Result<Session, TargetError> {
        self.connect_with(self.cancel)
    }

    fn connect_with(&self, cancel: &CancelToken) -> Result<Session, TargetError> {
        let mut connection = WireConnection::connect(self.config, cancel)?;
        session::prepare(&mut connection, &self.manifest.source.encoding, &[])?;
        if self.on_platform().is_some_and(|on| on.profile.loads_as_replica) {
            // By SET alone: as an option of the connection the platform refuses it.
            let set = connection.execute(b"SET session_replication_role = replica");
            let doing = "keep triggers from acting";
            set.map_err(|source| TargetError::Wire { doing, source })?;
        } else if self.plan.options.parts == Parts::Data {
            // Triggers and foreign keys are there already and must not act on rows that come in any order. Who may not
            // set this gets their errors, and is told that they acted.
            let set = connection.execute(b"SET session_replication_role = replica");
            self.triggers_act.fetch_or(set.is_err(), Ordering::Relaxed);
        }
        Ok(Session {
            connection,
            tablespace: Vec::new(),
            access_method: b"heap".to_vec(),
            stand_ins: self.stand_ins.clone(),
        })
    }

    fn fail(&self, what: String, statement: Option<&[u8]>, error: &WireError) {
        let shown = |sql: &[u8]| {
            let start = sql.trim_ascii_start();
            String::from_utf8_lossy(&start[..start.len().min(STATEMENT_SHOWN)]).into_owned()
        };
        // A statement, and what the server says of where it failed, may hold the verifier of a password, or a secret.
        let is_secret = what == ROLES || what.starts_with(SECRET);
        let told = match error.server_error().filter(|_| is_secret) {
            Some(error) => String::from_utf8_lossy(error.field(b'M').unwrap_or_default()).into_owned(),
            None => error.to_string(),
        };
        let failure = RestoreFailure {
            what,
            statement: statement.filter(|_| !is_secret).map(shown),
            error: told,
            sql_state: error.sql_state().map(|code| code.to_string()),
        };
        self.report(failure);
    }

    fn report(&self, failure: RestoreFailure) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(failure);
    }

    /// The entries of a stage that are to be restored, in order.
    fn entries(&self, stage: Stage) -> impl Iterator<Item = (usize, &Entry)> {
        let selected = &self.plan.selected.entries;
        let entries = self.manifest.entries.iter().enumerate();
        let there = self.on_platform().map(|on| &on.there);
        entries.filter(move |(index, entry)| {
            entry.stage == stage && selected.contains(index) && there.is_none_or(|there| !there.contains(index))
        })
    }

    /// The members with rows that are to be loaded, in the order of the pack.
    fn row_members(&self) -> impl Iterator<Item = (usize, &RowBlock)> {
        let selected = &self.plan.selected.tables;
        self.manifest
            .members
            .iter()
            .enumerate()
            .filter_map(move |(index, member)| match &member.content {
                MemberContent::Rows(block) if selected.contains(&(block.table as usize)) => Some((index, block)),
                _ => None,
            })
    }

    /// Says which members will be asked for: those of tables that are loaded behind all others come last.
    fn expect_members(&self) {
        let is_last = |block: &RowBlock| self.manifest.tables[block.table as usize].load_last;
        let (last, first): (Vec<_>, Vec<_>) = self.row_members().partition(|(_, block)| is_last(block));
        let members: Vec<usize> = first.into_iter().chain(last).map(|(member, _)| member).collect();
        self.source.expect(&members);
    }

    /// Whether sequences, large objects and views get their content.
    fn has_data(&self) -> bool {
        self.plan.options.parts != Parts::Schema
    }

    fn large_object_members(&self) -> Vec<usize> {
        let wanted = self.has_data() && self.plan.options.selection.is_whole();
        let members = self.manifest.members.iter().enumerate();
        members
            .filter(|(_, m)| wanted && m.content == MemberContent::LargeObjects)
            .map(|(index, _)| index)
            .collect()
    }

    fn sql(&self, span: Span) -> Result<Vec<u8>, TargetError> {
        let text = {
            let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(text) = texts.get(&span.member) {
                Arc::clone(text)
            } else {
                let text = Arc::new(self.source.text(span.member as usize).map_err(TargetError::Backup)?);
                texts.insert(span.member, Arc::clone(&text));
                text
            }
        };
        part_of(&text, span).map(<[u8]>::to_vec)
    }

    fn definition(&self, entry: &Entry) -> Result<Vec<u8>, TargetError> {
        entry.definition.map_or(Ok(Vec::new()), |span| self.sql(span))
    }

    /// What follows an entry's definition: its owner, its access method.
    fn epilogue(&self, entry: &Entry) -> Result<Vec<Vec<u8>>, TargetError> {
        let is_given = |owner: &backstay_core::DbText| {
            let on = self.on_platform();
            on.is_none_or(|on| !on.profile.is_foreign_owner(owner.as_bytes()))
        };
        let is_given = self.plan.options.owners == Keep::Yes && entry.owner.as_ref().is_none_or(is_given);
        let owner = entry.owner_statement.filter(|_| is_given);
        [owner, entry.access_method_statement]
            .into_iter()
            .flatten()
            .map(|span| self.sql(span))
            .collect()
    }

    /// Restores an entry, statement after statement.
    fn restore_entry(&self, session: &mut Session, entry: &Entry) -> Result<Result<(), Failed>, TargetError> {
        let definition = self.definition(entry)?;
        let epilogue = self.epilogue(entry)?;
        if let Err(failed) = session.prepare_for(entry).and_then(|()| session.run(definition)) {
            return Ok(Err(failed));
        }
        if !epilogue.is_empty()
            && let Err(failed) = self.lend_schema(session, entry)
        {
            return Ok(Err(failed));
        }
        for statement in epilogue {
            if let Err(failed) = session.run(statement) {
                return Ok(Err(failed));
            }
        }
        Ok(Ok(()))
    }

    /// Loads the rows of a member.
    fn load(&self, session: &mut Session, member: usize, block: &RowBlock) -> Result<Result<(), Failed>, TargetError> {
        let text = self.source.text(member).map_err(TargetError::Backup)?;
        let split = text.split_at_checked(block.header_bytes as usize);
        let parts = split.and_then(|(header, rest)| {
            let copy = statements(header).last()?.trim_ascii();
            Some((copy.to_vec(), rest.strip_suffix(ROWS_FOOTER)?))
        });
        let Some((copy, rows)) = parts else {
            return Err(TargetError::Backup("a member with rows is not of its form".into()));
        };
        let table = &self.manifest.tables[block.table as usize];
        let loaded = session.connection.copy_in(&copy).and_then(|mut sink| {
            sink.send(rows)?;
            sink.finish()
        });
        self.observer.event(RestoreEvent::Rows {
            table: &table.display_name(),
            text_bytes: rows.len() as u64,
        });
        Ok(match loaded {
            Ok(count) if count == block.digest.rows() => Ok(()),
            Ok(count) => Err(Failed {
                statement: copy,
                error: WireError::Protocol {
                    server: self.config.describe(),
                    what: format!("it says that it took {count} of {} rows", block.digest.rows()),
                },
            }),
            Err(error) => Err(Failed { statement: copy, error }),
        })
    }

    /// The statements that set the sequences which are restored.
    fn sequence_statements(&self) -> Vec<(String, Vec<u8>)> {
        if !self.has_data() {
            return Vec::new();
        }
        let all = self.plan.options.selection.is_whole() || self.plan.options.parts == Parts::Data;
        let selected: Vec<&Entry> = self
            .plan
            .selected
            .entries
            .iter()
            .map(|&index| &self.manifest.entries[index])
            .filter(|entry| entry.kind == "SEQUENCE")
            .collect();
        let left = self.on_platform().map(|on| &on.left_sequences);
        let sequences = self.manifest.sequences.iter().enumerate();
        let here = sequences.filter(|(index, _)| left.is_none_or(|left| !left.contains(index)));
        let wanted = here.map(|(_, sequence)| sequence).filter(|sequence| {
            all || selected
                .iter()
                .any(|e| e.schema.as_ref() == Some(&sequence.schema) && e.name == sequence.name)
        });
        wanted
            .map(|sequence| {
                let mut sql = b"SELECT pg_catalog.setval(".to_vec();
                sql.extend(quote_literal(&quote_qualified(
                    sequence.schema.as_bytes(),
                    sequence.name.as_bytes(),
                )));
                sql.extend(format!(", {}, {});", sequence.last_value, sequence.is_called).into_bytes());
                (
                    format!("value of the sequence {}.{}", sequence.schema, sequence.name),
                    sql,
                )
            })
            .collect()
    }

    /// The statements that refresh the materialized views which are restored, in an order in which that works.
    fn refresh_statements(&self) -> Vec<(String, Vec<u8>)> {
        if !self.has_data() || self.plan.options.parts == Parts::Data {
            return Vec::new();
        }
        let entries = &self.plan.selected.entries;
        let is_selected = |schema: &backstay_core::DbText, name: &backstay_core::DbText| {
            entries.iter().map(|&index| &self.manifest.entries[index]).any(|entry| {
                entry.kind == "MATERIALIZED VIEW" && entry.schema.as_ref() == Some(schema) && entry.name == *name
            })
        };
        let views = self
            .manifest
            .refreshes
            .iter()
            .filter(|view| is_selected(&view.schema, &view.name));
        views
            .map(|view| {
                let mut sql = b"REFRESH MATERIALIZED VIEW ".to_vec();
                sql.extend(quote_qualified(view.schema.as_bytes(), view.name.as_bytes()));
                sql.push(b';');
                (format!("MATERIALIZED VIEW DATA {}.{}", view.schema, view.name), sql)
            })
            .collect()
    }

    /// Has a working connection again after one was lost.
    fn revive(&self, session: &mut Session) -> Result<(), TargetError> {
        if session.connection.is_broken() {
            *session = self.connect()?;
        }
        Ok(())
    }

    /// Counts what was done into the report.
    fn tally(&self, report: &mut RestoreReport) {
        report.tables = self.plan.tables;
        report.rows = self.plan.rows;
        report.entries = self.plan.entries;
        let of_files = self.on_platform().and_then(|on| on.profile.rows_of_files);
        let tables = self
            .plan
            .selected
            .tables
            .iter()
            .map(|&index| &self.manifest.tables[index])
            .filter(|table| self.has_data() && of_files == Some(table.display_name().as_str()));
        let rows = tables.map(|table| match &table.rows {
            TableRows::Included { digest, .. } => digest.rows(),
            TableRows::Excluded { .. } => 0,
        });
        report.rows_of_files = rows.sum();
        let entries = self
            .plan
            .selected
            .entries
            .iter()
            .map(|&index| &self.manifest.entries[index]);
        report.indexes = entries
            .filter(|e| matches!(e.kind.as_str(), "INDEX" | "CONSTRAINT"))
            .count() as u64;
    }

    /// Tables whose statistics are worth gathering, with the statement that does it.
    fn tables_to_analyze(&self) -> Vec<(u32, Vec<u8>)> {
        if !self.has_data() {
            return Vec::new();
        }
        let tables = self.manifest.tables.iter().zip(0u32..);
        tables
            .filter(|(_, index)| self.plan.selected.tables.contains(&(*index as usize)))
            .filter(|(table, _)| matches!(&table.rows, TableRows::Included { digest, .. } if digest.rows() > 0))
            .map(|(table, index)| {
                let mut sql = b"ANALYZE ".to_vec();
                sql.extend(quote_qualified(table.schema.as_bytes(), table.name.as_bytes()));
                (index, sql)
            })
            .collect()
    }
}

/// A statement that failed.
struct Failed {
    statement: Vec<u8>,
    error: WireError,
}

impl Session {
    /// Sets what an entry needs to be created as it was.
    fn prepare_for(&mut self, entry: &Entry) -> Result<(), Failed> {
        if let Some(tablespace) = entry.tablespace.as_ref().map(backstay_core::DbText::as_bytes)
            && tablespace != self.tablespace
        {
            let mut sql = b"SET default_tablespace = ".to_vec();
            sql.extend(if tablespace.is_empty() {
                b"''".to_vec()
            } else {
                quote_identifier(tablespace)
            });
            self.run(sql)?;
            self.tablespace = tablespace.to_vec();
        }
        if let Some(method) = entry.access_method.as_ref().map(backstay_core::DbText::as_bytes)
            && method != self.access_method
        {
            let mut sql = b"SET default_table_access_method = ".to_vec();
            sql.extend(quote_identifier(method));
            self.run(sql)?;
            self.access_method = method.to_vec();
        }
        Ok(())
    }

    /// Runs statements; one that loses a deadlock is tried again, and one that misses a role that may be made up.
    fn run(&mut self, statement: Vec<u8>) -> Result<(), Failed> {
        if statement.trim_ascii().is_empty() {
            return Ok(());
        }
        let (mut attempt, mut made_up) = (0, Vec::new());
        loop {
            attempt += 1;
            match self.connection.execute(&statement) {
                Ok(_) => break,
                Err(error) if self.stand_in(&error, &mut made_up) => attempt -= 1,
                Err(error) => {
                    let deadlock = error.sql_state() == Some(SqlState::DEADLOCK_DETECTED);
                    if !deadlock || attempt == DEADLOCK_ATTEMPTS {
                        return Err(Failed { statement, error });
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes the role up that a statement failed for the lack of, once for each statement; whether it may be tried again.
    fn stand_in(&mut self, error: &WireError, made_up: &mut Vec<Vec<u8>>) -> bool {
        let Some(all) = &self.stand_ins else { return false };
        let Some(role) = error.server_error().and_then(missing_role) else {
            return false;
        };
        if made_up.contains(&role) {
            return false;
        }
        // Others that miss it wait until it is there.
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("role {}", String::from_utf8_lossy(&role));
        if !all.contains(&name) {
            let create = [b"CREATE ROLE ".to_vec(), quote_identifier(&role)].concat();
            if self.connection.execute(&create).is_err() {
                return false;
            }
            all.insert(name);
        }
        made_up.push(role);
        true
    }
}

/// The role that the server says it has not.
fn missing_role(error: &ServerError) -> Option<Vec<u8>> {
    let message = error
        .field(b'M')
        .filter(|_| error.code() == SqlState::UNDEFINED_OBJECT)?;
    let name = message.strip_prefix(b"role \"")?.strip_suffix(b"\" does not exist")?;
    Some(name.to_vec())
}

/// An entry for people: `TABLE public.users`.
fn describe(entry: &Entry) -> String {
    entry_name(&entry.kind, entry.schema.as_ref(), &entry.name)
}
