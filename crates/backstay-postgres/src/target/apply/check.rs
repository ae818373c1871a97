//! Looking whether what was restored is there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use backstay_core::manifest::Sequence;

use super::{Failed, Restore, Session};
use crate::target::prove::{self, Group};
use crate::target::{Atomicity, Parts, Prove, RestoreEvent, RestoreFailure, RestorePhase, RestoreReport, TargetError};
use crate::wire::SqlState;

impl Restore<'_> {
    /// Counts the rows of what was loaded, or proves every row, by what the options say.
    pub(super) fn check(&self, report: &mut RestoreReport) -> Result<(), TargetError> {
        let options = &self.plan.options;
        // In one transaction rows were counted before they were kept.
        let is_counted = options.atomicity == Atomicity::SingleTransaction && options.prove == Prove::No;
        if !self.has_data() || is_counted {
            return Ok(());
        }
        self.observer.event(RestoreEvent::Phase {
            phase: RestorePhase::Check,
            bytes: self.plan.text_bytes,
        });
        if self.plan.options.prove == Prove::Yes {
            let tables = &self.plan.selected.tables;
            let whole = self.plan.options.selection.is_whole();
            let proof = prove::prove(
                self.manifest,
                |index| tables.contains(&index),
                whole.then(|| self.sequences_here()).as_deref(),
                self.config,
                self.plan.options.jobs,
                self.observer,
                self.cancel,
            )?;
            report.proof = Some(proof);
            self.prove_definitions(report)?;
        } else if self.plan.options.parts == Parts::Data {
            report
                .left_out
                .push("counting rows again: the tables may have held rows before".to_owned());
        } else {
            self.check_counts()?;
        }
        Ok(())
    }

    /// The sequences that are given their values.
    fn sequences_here(&self) -> Vec<Sequence> {
        let sequences = self.manifest.sequences.iter().enumerate();
        let is_here = |index| self.on_platform().is_none_or(|on| !on.left_sequences.contains(&index));
        sequences
            .filter(|(index, _)| is_here(*index))
            .map(|(_, sequence)| sequence.clone())
            .collect()
    }

    /// The groups of tables whose rows are counted.
    pub(super) fn groups(&self) -> Vec<Group> {
        prove::groups(self.manifest, |index| self.plan.selected.tables.contains(&index))
    }

    /// Counts all rows, with as many connections as rows were loaded with.
    fn check_counts(&self) -> Result<(), TargetError> {
        let groups = self.groups();
        let next = AtomicUsize::new(0);
        let work = || -> Result<(), TargetError> {
            let mut session = self.connect()?;
            while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.cancel.is_cancelled() {
                    return Err(TargetError::Cancelled);
                }
                let what = format!("rows of {}", group.name);
                match session.count(group) {
                    Ok(found) if found == group.digest.rows() => {}
                    Ok(found) => self.report(RestoreFailure {
                        what,
                        statement: None,
                        error: format!("{} rows were loaded and {found} are there", group.digest.rows()),
                        sql_state: None,
                    }),
                    // That the table could not be made was reported already.
                    Err(Failed { error, .. }) if error.sql_state() == Some(SqlState::UNDEFINED_TABLE) => {}
                    Err(Failed { statement, error }) => {
                        self.fail(what, Some(&statement), &error);
                        self.revive(&mut session)?;
                    }
                }
            }
            session.connection.close();
            Ok(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.plan.options.jobs.clamp(1, groups.len().max(1)))
                .map(|_| scope.spawn(work))
                .collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }
}

impl Session {
    /// Counts the rows of a group.
    pub(super) fn count(&mut self, group: &Group) -> Result<u64, Failed> {
        let statement = [&b"SELECT pg_catalog.count(*) FROM "[..], &group.relation_clause()].concat();
        match self.connection.query(&statement) {
            // What is no number is no right one.
            Ok(rows) => Ok(rows
                .first()
                .and_then(|row| std::str::from_utf8(row.get(0)?).ok()?.parse().ok())
                .unwrap_or(u64::MAX)),
            Err(error) => Err(Failed { statement, error }),
        }
    }
}
