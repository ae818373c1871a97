use backstay_core::manifest::Stage;

use super::{Failed, Restore, RestoreFailure, Session, describe};
use crate::target::{Parts, Prove, RestoreEvent, RestorePhase, RestoreReport, TargetError, TargetPolicy};

impl Restore<'_> {
    /// Restores everything in one transaction; the first error undoes all of it and is the only one reported.
    pub(super) fn in_one_transaction(&self, report: &mut RestoreReport) -> Result<(), TargetError> {
        let mut session = self.connect()?;
        let failed = |doing| move |source| TargetError::Wire { doing, source };
        session.connection.execute(b"BEGIN").map_err(failed("begin"))?;
        if self.plan.options.target == TargetPolicy::Clean {
            self.clean(&mut session)?;
        }
        let roles = self.role_statements(&mut session, report)?;
        let failed_role = statements(&mut session, roles);
        let failed_first = match failed_role {
            Some(failed) => Some(failed),
            None => self.everything(&mut session)?,
        };
        if let Some((what, Failed { statement, error })) = failed_first {
            self.fail(what, Some(&statement), &error);
            // The connection may be gone; the server undoes the transaction either way.
            drop(session.connection.execute(b"ROLLBACK"));
            return Ok(());
        }
        if self.has_data() && self.plan.options.parts == Parts::All {
            for group in self.groups() {
                let (what, expected) = (format!("rows of {}", group.name), group.digest.rows());
                match session.count(&group) {
                    Ok(found) if found == expected => continue,
                    Ok(found) => self.report(RestoreFailure {
                        what,
                        statement: None,
                        error: format!("{expected} rows were loaded and {found} are there; everything was undone"),
                        sql_state: None,
                    }),
                    Err(Failed { statement, error }) => self.fail(what, Some(&statement), &error),
                }
                drop(session.connection.execute(b"ROLLBACK"));
                return Ok(());
            }
        }
        session.connection.commit().map_err(failed("commit"))?;
        self.tally(report);
        for (_, sql) in self.tables_to_analyze() {
            drop(session.connection.execute(&sql));
        }
        if self.plan.options.prove == Prove::Yes {
            self.check(report)
        } else {
            Ok(())
        }
    }

    /// Restores in the order in which `psql` would read the pack; gives the first thing that failed.
    fn everything(&self, session: &mut Session) -> Result<Option<(String, Failed)>, TargetError> {
        self.observer.event(RestoreEvent::Phase {
            phase: RestorePhase::PreData,
            bytes: 0,
        });
        let given = self.given_rights(session)?;
        if let Some(failed) = self.stage(session, Stage::PreData)? {
            return Ok(Some(failed));
        }
        self.observer.event(RestoreEvent::Phase {
            phase: RestorePhase::Data,
            bytes: self.plan.text_bytes,
        });
        self.expect_members();
        for (member, block) in self.row_members() {
            if let Err(failed) = self.load(session, member, block)? {
                let table = self.manifest.tables[block.table as usize].display_name();
                return Ok(Some((format!("rows of {table}"), failed)));
            }
        }
        for member in self.large_object_members() {
            let text = self.source.text(member).map_err(TargetError::Backup)?;
            if let Err(failed) = session.run(text) {
                return Ok(Some(("large objects".to_owned(), failed)));
            }
        }
        if let Some(failed) = statements(session, self.sequence_statements()) {
            return Ok(Some(failed));
        }
        self.observer.event(RestoreEvent::Phase {
            phase: RestorePhase::PostData,
            bytes: 0,
        });
        if let Some(failed) = self.stage(session, Stage::PostData)? {
            return Ok(Some(failed));
        }
        let taken_back = given.map_or(Ok(Vec::new()), |given| given.take_back(session))?;
        if let Some(failed) = statements(session, taken_back) {
            return Ok(Some(failed));
        }
        let reset = self.reset_rights(session)?;
        if let Some(failed) = statements(session, reset) {
            return Ok(Some(failed));
        }
        if let Some(failed) = self.stage(session, Stage::Privileges)? {
            return Ok(Some(failed));
        }
        if let Some(failed) = statements(session, self.refresh_statements()) {
            return Ok(Some(failed));
        }
        self.stage(session, Stage::Last)
    }

    fn stage(&self, session: &mut Session, stage: Stage) -> Result<Option<(String, Failed)>, TargetError> {
        for (_, entry) in self.entries(stage) {
            if let Err(failed) = self.restore_entry(session, entry)? {
                return Ok(Some((describe(entry), failed)));
            }
        }
        Ok(None)
    }
}

fn statements(session: &mut Session, statements: Vec<(String, Vec<u8>)>) -> Option<(String, Failed)> {
    statements
        .into_iter()
        .find_map(|(what, sql)| session.run(sql).err().map(|failed| (what, failed)))
}
