use backstay_core::manifest::Stage;

use super::{Failed, Restore, RestoreFailure, Session, describe};
use crate::platform::roles::RoleStatement;
use crate::target::{Parts, RestoreEvent, RestorePhase, RestoreReport, TargetError, TargetPolicy};

impl Restore<'_> {
    /// Restores everything in one transaction; the first error undoes all of it and is the only one reported. Gives whether
    /// it was kept.
    pub(super) fn in_one_transaction(&self, report: &mut RestoreReport) -> Result<bool, TargetError> {
        let mut session = self.connect()?;
        let failed = |doing| move |source| TargetError::Wire { doing, source };
        session.connection.execute(b"BEGIN").map_err(failed("begin"))?;
        self.borrow_roles(&mut session)?;
        if self.plan.options.target == TargetPolicy::Clean {
            self.clean(&mut session)?;
        }
        let roles = self.role_statements(&mut session, report)?;
        let failed_role = self.roles(&mut session, roles)?;
        let failed_first = match failed_role {
            Some(failed) => Some(failed),
            None => {
                self.borrow_roles(&mut session)?;
                self.everything(&mut session)?
            }
        };
        if let Some((what, Failed { statement, error })) = failed_first {
            self.fail(what, Some(&statement), &error);
            // The connection may be gone; the server undoes the transaction either way.
            drop(session.connection.execute(b"ROLLBACK"));
            return Ok(false);
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
                return Ok(false);
            }
        }
        // Before the roles are given back, as whose owner it may.
        for (_, sql) in self.tables_to_analyze() {
            drop(session.try_alone(&sql)?);
        }
        self.end_acting_early(&mut session)?;
        session.connection.commit().map_err(failed("commit"))?;
        self.tally(report);
        Ok(true)
    }

    /// Makes roles as the backup has them. A role must be there; a membership, a setting or a comment that is refused keeps the
    /// rest from nothing, and is told.
    fn roles(
        &self,
        session: &mut Session,
        roles: Vec<(String, Vec<u8>)>,
    ) -> Result<Option<(String, Failed)>, TargetError> {
        let failed = |doing| move |source| TargetError::Wire { doing, source };
        for (what, sql) in roles {
            let must_be = matches!(
                RoleStatement::parse(&sql),
                None | Some(RoleStatement::Create { .. } | RoleStatement::Alter { .. })
            );
            if must_be {
                if let Err(failed) = session.run(sql) {
                    return Ok(Some((what, failed)));
                }
                continue;
            }
            let connection = &mut session.connection;
            connection
                .execute(b"SAVEPOINT backstay")
                .map_err(failed("set a savepoint"))?;
            let end: &[u8] = match connection.execute(&sql) {
                Ok(_) => b"RELEASE SAVEPOINT backstay",
                Err(error) if error.server_error().is_some() => {
                    self.fail(what, Some(&sql), &error);
                    b"ROLLBACK TO SAVEPOINT backstay"
                }
                Err(source) => return Err(failed("set up roles")(source)),
            };
            connection.execute(end).map_err(failed("end a savepoint"))?;
        }
        Ok(None)
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
        if let Some(failed) = statements(session, self.take_schemas_back()) {
            return Ok(Some(failed));
        }
        let reset = self.reset_rights(session)?;
        if let Some(failed) = statements(session, reset) {
            return Ok(Some(failed));
        }
        for (what, sql) in self.revocations() {
            if let Some(failed) = self.try_or_go_on(session, what, |session| Ok(session.run(sql.clone())))? {
                return Ok(Some((what.clone(), failed)));
            }
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
            let failed = match self.may_be_refused(entry) {
                true => self.try_or_go_on(session, &describe(entry), |session| self.restore_entry(session, entry))?,
                false => self.restore_entry(session, entry)?.err(),
            };
            if let Some(failed) = failed {
                return Ok(Some((describe(entry), failed)));
            }
        }
        Ok(None)
    }

    /// Does what the platform may refuse, and undoes that alone where it does.
    fn try_or_go_on(
        &self,
        session: &mut Session,
        what: &str,
        work: impl FnOnce(&mut Session) -> Result<Result<(), Failed>, TargetError>,
    ) -> Result<Option<Failed>, TargetError> {
        if let Err(failed) = session.run(b"SAVEPOINT backstay".to_vec()) {
            return Ok(Some(failed));
        }
        let worked = work(session)?;
        let end: &[u8] = match worked {
            Ok(()) => b"RELEASE SAVEPOINT backstay",
            Err(_) => b"ROLLBACK TO SAVEPOINT backstay",
        };
        self.or_refused(what, worked);
        Ok(session.run(end.to_vec()).err())
    }
}

fn statements(session: &mut Session, statements: Vec<(String, Vec<u8>)>) -> Option<(String, Failed)> {
    statements
        .into_iter()
        .find_map(|(what, sql)| session.run(sql).err().map(|failed| (what, failed)))
}
