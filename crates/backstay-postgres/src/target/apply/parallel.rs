use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::thread;

use backstay_core::manifest::{Entry, MemberContent, Stage};
use backstay_core::script::statements;

use super::rights::GivenRights;
use super::tasks::{Work, is_early, is_foreign_key, tasks};
use super::{Failed, Restore, Session, describe};
use crate::target::schedule::Schedule;
use crate::target::{RestoreEvent, RestorePhase, RestoreReport, TargetError, TargetPolicy};

impl Restore<'_> {
    /// Restores step by step; what fails is reported, and the rest goes on.
    pub(super) fn step_by_step(&self, report: &mut RestoreReport) -> Result<(), TargetError> {
        let mut session = self.connect()?;
        let failed = |doing| move |source| TargetError::Wire { doing, source };
        self.borrow_roles(&mut session)?;
        if self.plan.options.target == TargetPolicy::Clean {
            session.connection.execute(b"BEGIN").map_err(failed("begin"))?;
            self.clean(&mut session)?;
            session.connection.commit().map_err(failed("commit"))?;
        }
        for (what, sql) in self.role_statements(&mut session, report)? {
            self.note(what, session.run(sql));
        }
        self.borrow_roles(&mut session)?;
        self.observer.event(RestoreEvent::Phase {
            phase: RestorePhase::PreData,
            bytes: 0,
        });
        let given = self.given_rights(&mut session)?;
        self.stage_by_entry(&mut session, Stage::PreData)?;
        // Before the rows come, so that nobody may read them meanwhile.
        self.take_rights_back(&mut session, given.as_ref())?;
        self.observer.event(RestoreEvent::Phase {
            phase: RestorePhase::Data,
            bytes: self.plan.text_bytes,
        });
        self.in_parallel()?;
        self.observer.event(RestoreEvent::Phase {
            phase: RestorePhase::PostData,
            bytes: 0,
        });
        self.late_entries(&mut session)?;
        self.take_rights_back(&mut session, given.as_ref())?;
        for (what, sql) in self.take_schemas_back() {
            self.note(what, session.run(sql));
        }
        for (what, sql) in self.reset_rights(&mut session)? {
            self.note(what, session.run(sql));
        }
        for (what, sql) in self.revocations() {
            self.or_refused(what, session.run(sql.clone()));
            self.revive(&mut session)?;
        }
        self.stage_by_entry(&mut session, Stage::Privileges)?;
        self.refresh(&mut session);
        self.stage_by_entry(&mut session, Stage::Last)?;
        self.end_acting_early(&mut session)?;
        // The workers' commits did not wait for the disk. This one does, and a write-ahead log is flushed in order, so
        // theirs are on disk with it.
        session
            .connection
            .execute(b"SELECT pg_catalog.pg_logical_emit_message(true, 'backstay', 'restored')")
            .map_err(failed("make the restore durable"))?;
        session.connection.close();
        self.tally(report);
        Ok(())
    }

    fn take_rights_back(&self, session: &mut Session, given: Option<&GivenRights>) -> Result<(), TargetError> {
        if let Some(given) = given {
            for (what, sql) in given.take_back(session)? {
                self.note(what, session.run(sql));
            }
        }
        self.revive(session)
    }

    fn stage_by_entry(&self, session: &mut Session, stage: Stage) -> Result<(), TargetError> {
        for (_, entry) in self.entries(stage) {
            self.entry_or_report(session, entry)?;
        }
        Ok(())
    }

    fn entry_or_report(&self, session: &mut Session, entry: &Entry) -> Result<(), TargetError> {
        if self.cancel.is_cancelled() {
            return Err(TargetError::Cancelled);
        }
        let restored = self.restore_entry(session, entry)?;
        if self.may_be_refused(entry) {
            self.or_refused(&describe(entry), restored);
            self.revive(session)?;
        } else if let Err(Failed { statement, error }) = restored {
            self.fail(describe(entry), Some(&statement), &error);
            self.revive(session)?;
        }
        Ok(())
    }

    /// What comes after all rows, indexes and foreign keys: triggers, rules, policies, publications.
    fn late_entries(&self, session: &mut Session) -> Result<(), TargetError> {
        let late = |entry: &Entry| !is_early(entry) && !is_foreign_key(entry);
        for (_, entry) in self.entries(Stage::PostData).filter(|(_, entry)| late(entry)) {
            self.entry_or_report(session, entry)?;
        }
        Ok(())
    }

    /// Refreshes views; one that fails because it needs another in a way that nobody sees is tried again after it.
    fn refresh(&self, session: &mut Session) {
        let mut left = self.refresh_statements();
        loop {
            let mut failed = Vec::new();
            let before = left.len();
            for (what, sql) in left {
                if let Err(error) = session.run(sql.clone()) {
                    failed.push((what, sql, error));
                }
            }
            if failed.is_empty() || failed.len() == before {
                for (what, _, Failed { statement, error }) in failed {
                    self.fail(what, Some(&statement), &error);
                }
                return;
            }
            left = failed.into_iter().map(|(what, sql, _)| (what, sql)).collect();
        }
    }

    /// Loads rows and builds indexes and keys with all connections, then foreign keys.
    fn in_parallel(&self) -> Result<(), TargetError> {
        self.expect_members();
        let schedule = Schedule::new(tasks(self));
        let unbuilt: Mutex<HashSet<usize>> = Mutex::default();
        let fatal: Mutex<Option<TargetError>> = Mutex::default();
        thread::scope(|scope| {
            for _ in 0..self.plan.options.jobs.max(1) {
                scope.spawn(|| {
                    if let Err(error) = self.work(&schedule, &unbuilt) {
                        fatal
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .get_or_insert(error);
                        schedule.stop();
                    }
                });
            }
        });
        if let Some(error) = fatal.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        if schedule.left() > 0 {
            return Err(TargetError::Backup(
                "entries of the backup depend on each other in a circle".into(),
            ));
        }
        Ok(())
    }

    fn work(&self, schedule: &Schedule<Work>, unbuilt: &Mutex<HashSet<usize>>) -> Result<(), TargetError> {
        let mut session = self.worker_session()?;
        while let Some((number, work)) = schedule.next() {
            if self.cancel.is_cancelled() {
                return Err(TargetError::Cancelled);
            }
            self.do_work(&mut session, work, unbuilt)?;
            if session.connection.is_broken() {
                session = self.worker_session()?;
            }
            schedule.done(number);
        }
        session.connection.close();
        Ok(())
    }

    fn worker_session(&self) -> Result<Session, TargetError> {
        let mut session = self.connect()?;
        // A crash of the server ends the restore with an error anyway; the last commit makes all of it durable.
        drop(session.connection.execute(b"SET synchronous_commit = off"));
        Ok(session)
    }

    fn do_work(&self, session: &mut Session, work: &Work, unbuilt: &Mutex<HashSet<usize>>) -> Result<(), TargetError> {
        let entries = &self.manifest.entries;
        match work {
            Work::Gate => {}
            Work::Rows { member } => {
                if let MemberContent::Rows(block) = &self.manifest.members[*member].content {
                    let what = format!("rows of {}", self.manifest.tables[block.table as usize].display_name());
                    self.note(what, self.load(session, *member, block)?);
                }
            }
            Work::LargeObjects { members } => {
                for &member in members {
                    let text = self.source.text(member).map_err(TargetError::Backup)?;
                    self.note("large objects".to_owned(), session.run(text));
                }
            }
            Work::Sequences => self.set_sequences(session),
            Work::Build { entry } => {
                let sql = self.first_statement(&entries[*entry])?;
                self.observer.event(RestoreEvent::IndexBegun);
                let built = session.prepare_for(&entries[*entry]).and_then(|()| session.run(sql));
                self.observer.event(RestoreEvent::IndexEnded);
                if built.is_err() {
                    // Its whole definition is tried instead, and its error is the one that counts.
                    unbuilt.lock().unwrap_or_else(PoisonError::into_inner).insert(*entry);
                }
            }
            Work::Attach { entry: index } => {
                let entry = &entries[*index];
                if unbuilt.lock().unwrap_or_else(PoisonError::into_inner).contains(index) {
                    self.note(describe(entry), self.restore_entry(session, entry)?);
                } else {
                    let rest = self.after_first(entry)?;
                    let result = rest.into_iter().try_for_each(|sql| session.run(sql));
                    self.note(describe(entry), result);
                }
            }
            Work::Entry { entry } => {
                self.note(
                    describe(&entries[*entry]),
                    self.restore_entry(session, &entries[*entry])?,
                );
            }
            // Statistics are no part of the backup; the server gathers them by itself where this may not.
            Work::Analyze { sql } => drop(session.connection.execute(sql)),
        }
        Ok(())
    }

    fn note(&self, what: String, result: Result<(), Failed>) {
        if let Err(Failed { statement, error }) = result {
            self.fail(what, Some(&statement), &error);
        }
    }

    /// Sets all sequences at once, or one by one where that fails.
    fn set_sequences(&self, session: &mut Session) {
        let all = self.sequence_statements();
        let together: Vec<u8> = all.iter().flat_map(|(_, sql)| sql.iter().copied()).collect();
        if session.run(together).is_err() {
            for (what, sql) in all {
                self.note(what, session.run(sql));
            }
        }
    }

    /// The statement that builds the index of an entry.
    fn first_statement(&self, entry: &Entry) -> Result<Vec<u8>, TargetError> {
        if let Some(key) = &entry.key {
            return Ok(key.index_definition.as_bytes().to_vec());
        }
        let definition = self.definition(entry)?;
        Ok(statements(&definition)
            .find(|statement| !is_setting(statement))
            .unwrap_or_default()
            .to_vec())
    }

    /// What is left of an entry after its index was built.
    fn after_first(&self, entry: &Entry) -> Result<Vec<Vec<u8>>, TargetError> {
        let definition = self.definition(entry)?;
        let attach = entry.key.iter().map(|key| key.attach_statement.as_bytes().to_vec());
        let rest = statements(&definition)
            .skip_while(is_setting)
            .skip(1)
            .map(<[u8]>::to_vec);
        Ok(attach.chain(rest).chain(self.epilogue(entry)?).collect())
    }
}

/// Whether a statement only says again what the session was told.
fn is_setting(statement: &&[u8]) -> bool {
    let statement = statement.trim_ascii_start();
    statement.starts_with(b"SET standard_conforming_strings") || statement.starts_with(b"SET client_encoding")
}
