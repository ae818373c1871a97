//! Acting as the roles that own what is restored, by a role without superpowers.
//!
//! Nobody gives an object to a role that it may not act as, and that may make nothing in the schema. So both are lent, and
//! taken back before the rights of the backup are given.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{MutexGuard, PoisonError};

use backstay_core::manifest::Entry;
use backstay_core::sql::{quote_identifier, quote_literal};

use super::{Failed, Restore, Session};
use crate::CancelToken;
use crate::target::platform::OnPlatform;
use crate::target::{RestoreFailure, TargetError};
use crate::wire::{Row, TransactionStatus, WireError};

/// What was lent.
#[derive(Default)]
pub(super) struct Lent {
    /// Roles that the one that restores is a member of meanwhile, with the options of the membership that it had given itself.
    roles: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Schemas in which a role may make something meanwhile, with the role.
    schemas: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

/// The options of the membership of the role `r` that this one gave itself.
const HAD: &[u8] = b"(SELECT pg_catalog.format('WITH INHERIT %s, SET %s', m.inherit_option::text, m.set_option::text)
    FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid AND m.member = m.grantor AND m.member = current_user::pg_catalog.regrole)";
/// A row where the role reads every table, whoever owns it, and the large objects of none of the roles that follow.
const READS_ALL: &[u8] = b"SELECT FROM pg_catalog.pg_roles r, pg_catalog.pg_roles me
    WHERE r.rolname = 'pg_read_all_data' AND pg_catalog.pg_has_role(r.oid, 'USAGE')
    AND me.rolname = current_user AND me.rolbypassrls AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_largeobject_metadata l JOIN pg_catalog.pg_roles o ON o.oid = l.lomowner WHERE o.rolname IN (";
/// Who is a member of which role, but for what comes by itself since 16.
const MEMBERSHIPS: &[u8] = b"SELECT r.rolname, m.rolname, m.rolname = current_user FROM pg_catalog.pg_auth_members a
    JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
    WHERE m.rolname <> current_user OR a.grantor = a.member OR pg_catalog.current_setting('server_version_num')::int4 < 160000
    GROUP BY 1, 2 ORDER BY 1, 2";
const DOING: &str = "look which roles own what is restored";

/// The roles of a backup.
#[derive(Default)]
pub(super) struct KnownRoles {
    /// Those that it makes.
    pub(super) roles: HashSet<Vec<u8>>,
    /// Role and member.
    pub(super) memberships: HashSet<(Vec<u8>, Vec<u8>)>,
}

impl Restore<'_> {
    /// Lets the role act as those of the application that are there. Where that is refused, what needs it fails.
    pub(super) fn borrow_roles(&self, session: &mut Session) -> Result<(), TargetError> {
        let Some(on) = self.on_platform() else { return Ok(()) };
        let owners: BTreeSet<&[u8]> = self
            .selected_entries()
            .filter_map(|entry| Some(entry.owner.as_ref()?.as_bytes()))
            .filter(|owner| !on.profile.is_reserved(owner))
            .collect();
        if owners.is_empty() {
            return Ok(());
        }
        let names: Vec<Vec<u8>> = owners.into_iter().map(quote_literal).collect();
        // Since 16 a member may have the rights of a role, or act as it, or both.
        let (set, options, had): (&[u8], &[u8], &[u8]) = match self.plan.target.server_version_num >= 160_000 {
            true => (b"'SET'", b" WITH INHERIT TRUE, SET TRUE", HAD),
            false => (b"'MEMBER'", b"", b"NULL"),
        };
        let query = [
            b"SELECT r.rolname, ",
            had,
            b" FROM pg_catalog.pg_roles r WHERE NOT (pg_catalog.pg_has_role(r.oid, 'USAGE') AND pg_catalog.pg_has_role(r.oid, ",
            set,
            b")) AND r.rolname IN (",
            &names.join(&b", "[..]),
            b")",
        ]
        .concat();
        let rows = session.connection.query(&query);
        let rows = rows.map_err(|source| TargetError::Wire { doing: DOING, source })?;
        for row in rows {
            let role = row.get(0).unwrap_or_default();
            let grant = [b"GRANT ", &quote_identifier(role)[..], b" TO CURRENT_USER", options].concat();
            if session.try_alone(&grant)?.is_ok() {
                self.lent().roles.insert(role.to_vec(), row.get(1).map(<[u8]>::to_vec));
            }
        }
        Ok(())
    }

    /// Ends memberships that were given since the backup, between roles that it knows or that are the platform's; gives the
    /// statements that end those of the role that restores, which it may need until the end.
    pub(super) fn end_later_memberships(
        &self,
        session: &mut Session,
        on: &OnPlatform,
        known: &KnownRoles,
    ) -> Result<Vec<(String, Vec<u8>)>, TargetError> {
        let mut own = Vec::new();
        for (role, member, is_own) in later_memberships(session, on, known)? {
            let sql = [
                b"REVOKE ",
                &quote_identifier(&role)[..],
                b" FROM ",
                &quote_identifier(&member),
                b";",
            ]
            .concat();
            if !is_own {
                drop(session.try_alone(&sql)?);
            } else {
                own.push((membership(&role, &member), sql));
            }
        }
        for (role, member, _) in later_memberships(session, on, known)?
            .into_iter()
            .filter(|(.., is_own)| !is_own)
        {
            self.report(RestoreFailure {
                what: membership(&role, &member),
                statement: None,
                error: "here, and not in the backup".to_owned(),
                sql_state: None,
            });
        }
        Ok(own)
    }

    /// Lets the owner of an entry make something in its schema, as it must to be given the entry.
    pub(super) fn lend_schema(&self, session: &mut Session, entry: &Entry) -> Result<(), Failed> {
        let (Some(on), Some(schema), Some(owner)) = (self.on_platform(), &entry.schema, &entry.owner) else {
            return Ok(());
        };
        let (schema, owner) = (schema.as_bytes(), owner.as_bytes());
        if on.profile.is_reserved(owner) {
            return Ok(());
        }
        // Until it is given: rights on one schema that two workers give at once, one of them gives in vain.
        let mut lent = self.lent();
        let query = [
            b"SELECT FROM pg_catalog.pg_namespace n, pg_catalog.pg_roles r WHERE n.nspname = ",
            &quote_literal(schema)[..],
            b" AND r.rolname = ",
            &quote_literal(owner),
            b" AND NOT pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')",
        ]
        .concat();
        let lacks = session.connection.query(&query).map_err(|error| Failed {
            statement: query,
            error,
        })?;
        if !lacks.is_empty() {
            session.run(on_schema(b"GRANT", schema, b"TO", owner))?;
            lent.schemas.insert((schema.to_vec(), owner.to_vec()));
        }
        Ok(())
    }

    /// The statements that take back what owners may make in schemas, before these get their rights.
    pub(super) fn take_schemas_back(&self) -> Vec<(String, Vec<u8>)> {
        let schemas = std::mem::take(&mut self.lent().schemas);
        schemas.iter().map(take_schema_back).collect()
    }

    /// Gives the roles back, and takes those that the backup has, in the session that restores; not yet where what was
    /// restored could not be read without them.
    pub(super) fn end_acting_early(&self, session: &mut Session) -> Result<(), TargetError> {
        let statements = self.ends_of_acting();
        if statements.is_empty() || !self.reads_all_by_itself(session)? {
            return Ok(());
        }
        self.run_ends(session, statements)?;
        Ok(())
    }

    /// Gives back over a connection of its own what is still lent.
    pub(super) fn end_acting(&self) -> Result<(), TargetError> {
        let ended = self.end_acting_anew();
        ended
            .map(drop)
            .map_err(|error| self.still_lent(error, self.ends_of_acting()))
    }

    /// Gives back what is still lent, after an error; that is told with it where it cannot be done.
    pub(super) fn end_acting_after(&self, error: TargetError) -> TargetError {
        match self.end_acting_anew() {
            Ok(refused) if refused.is_empty() => error,
            Ok(refused) => self.still_lent(error, refused),
            Err(_) => self.still_lent(error, self.ends_of_acting()),
        }
    }

    /// Also where the restore was cancelled.
    fn end_acting_anew(&self) -> Result<Vec<Ending>, TargetError> {
        let statements = self.ends_of_acting();
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let mut session = self.connect_with(&CancelToken::new())?;
        let refused = self.run_ends(&mut session, statements)?;
        session.connection.close();
        Ok(refused)
    }

    /// Runs the statements that end acting; those that the server refuses are failures, and given.
    fn run_ends(&self, session: &mut Session, statements: Vec<Ending>) -> Result<Vec<Ending>, TargetError> {
        let mut refused = Vec::new();
        for (what, sql) in statements {
            if let Err(error) = session.try_alone(&sql)? {
                self.fail(what.clone(), Some(&sql), &error);
                refused.push((what, sql));
            }
        }
        // Not before: where the connection is lost on the way, all of them are run once more, which does no harm.
        *self.lent() = Lent::default();
        self.own().clear();
        Ok(refused)
    }

    fn still_lent(&self, error: TargetError, statements: Vec<Ending>) -> TargetError {
        let statements = statements.into_iter();
        TargetError::StillLent {
            role: self.plan.target.role.clone(),
            statements: statements
                .map(|(_, sql)| String::from_utf8_lossy(&sql).into_owned())
                .collect(),
            source: Box::new(error),
        }
    }

    /// Whether the role that restores may read all that was restored without the roles that were lent to it.
    fn reads_all_by_itself(&self, session: &mut Session) -> Result<bool, TargetError> {
        let lent: Vec<Vec<u8>> = self.lent().roles.keys().map(|role| quote_literal(role)).collect();
        if lent.is_empty() {
            return Ok(true);
        }
        let query = [READS_ALL, &lent.join(&b", "[..]), b"))"].concat();
        let rows = session.connection.query(&query);
        let rows = rows.map_err(|source| TargetError::Wire { doing: DOING, source })?;
        Ok(!rows.is_empty())
    }

    /// The statements that end acting. Schemas first: the owner of one may be such a role.
    fn ends_of_acting(&self) -> Vec<Ending> {
        let lent = self.lent();
        let schemas = lent.schemas.iter().map(take_schema_back);
        let roles = lent.roles.iter().map(|(role, had)| {
            let what = membership(role, self.plan.target.role.as_bytes());
            let role = quote_identifier(role);
            let sql = match had {
                Some(options) => [b"GRANT ", &role[..], b" TO CURRENT_USER ", options, b";"].concat(),
                None => [b"REVOKE ", &role[..], b" FROM CURRENT_USER;"].concat(),
            };
            (what, sql)
        });
        schemas.chain(roles).chain(self.own().iter().cloned()).collect()
    }

    fn lent(&self) -> MutexGuard<'_, Lent> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> MutexGuard<'_, Vec<Ending>> {
        self.own_memberships.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a statement that ends acting is about, and the statement.
type Ending = (String, Vec<u8>);

type Membership = (Vec<u8>, Vec<u8>, bool);

/// Role, member, and whether that is the role that restores.
fn later_memberships(
    session: &mut Session,
    on: &OnPlatform,
    known: &KnownRoles,
) -> Result<Vec<Membership>, TargetError> {
    let rows = session.connection.query(MEMBERSHIPS);
    let rows = rows.map_err(|source| TargetError::Wire { doing: DOING, source })?;
    let bytes = |row: &Row, column| row.get(column).unwrap_or_default().to_vec();
    let found = rows
        .iter()
        .map(|row| (bytes(row, 0), bytes(row, 1), row.get(2) == Some(b"t")));
    let is_reserved = |role: &[u8]| on.profile.is_reserved(role);
    let is_known = |role: &Vec<u8>| is_reserved(role) || known.roles.contains(role);
    let is_later = |(role, member, _): &Membership| {
        let is_platforms = is_reserved(role) && is_reserved(member);
        let is_new = !known.memberships.contains(&(role.clone(), member.clone()));
        !is_platforms && is_known(role) && is_known(member) && is_new
    };
    Ok(found.filter(is_later).collect())
}

pub(super) fn membership(role: &[u8], member: &[u8]) -> String {
    let (role, member) = (String::from_utf8_lossy(role), String::from_utf8_lossy(member));
    format!("membership of {member} in {role}")
}

fn take_schema_back((schema, owner): &(Vec<u8>, Vec<u8>)) -> Ending {
    let what = format!("ACL SCHEMA {}", String::from_utf8_lossy(schema));
    (what, on_schema(b"REVOKE", schema, b"FROM", owner))
}

fn on_schema(verb: &[u8], schema: &[u8], preposition: &[u8], role: &[u8]) -> Vec<u8> {
    [
        verb,
        b" CREATE ON SCHEMA ",
        &quote_identifier(schema),
        b" ",
        preposition,
        b" ",
        &quote_identifier(role),
        b";",
    ]
    .concat()
}

impl Session {
    /// Runs a statement whose refusal harms nothing, in a transaction or outside of one.
    pub(super) fn try_alone(&mut self, statement: &[u8]) -> Result<Result<(), WireError>, TargetError> {
        let failed = |source| TargetError::Wire { doing: DOING, source };
        let is_inside = self.connection.transaction_status() == TransactionStatus::Open;
        if is_inside {
            self.connection.execute(b"SAVEPOINT backstay").map_err(failed)?;
        }
        let done = match self.connection.execute(statement) {
            Ok(_) => Ok(()),
            Err(error) if error.server_error().is_some() && !self.connection.is_broken() => Err(error),
            Err(source) => return Err(failed(source)),
        };
        if is_inside {
            let end: &[u8] = match done {
                Ok(()) => b"RELEASE SAVEPOINT backstay",
                Err(_) => b"ROLLBACK TO SAVEPOINT backstay",
            };
            self.connection.execute(end).map_err(failed)?;
        }
        Ok(done)
    }
}
