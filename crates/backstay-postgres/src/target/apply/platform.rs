//! What a restore into a hosted platform does otherwise.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::PoisonError;

use backstay_core::manifest::{DatabaseSetting, Entry, MemberContent};
use backstay_core::sql::quote_literal;

use super::acting::{KnownRoles, membership};
use super::{Failed, Restore, Session};
use crate::catalog::Reading as _;
use crate::connect::connect_client;
use crate::pg_dump::{PgDump, find_pg_dump};
use crate::platform::roles::RoleStatement;
use crate::session;
use crate::source::{self, CRON_JOB, Inclusion, OWN_KINDS, PLATFORM_GRANT};
use crate::target::create::{apply_settings, new_tablespace};
use crate::target::examine::{ExamineOptions, Scope, examine_here};
use crate::target::platform::{OnPlatform, is_platforms_publication, list};
use crate::target::{DifferenceKind, Keep, Parts, Prove, RestoreFailure, RestorePlan, RestoreReport, TargetError};
use crate::wire::{Row, SqlState};

/// What statements about roles are called in a report, but for memberships: they may hold the verifier of a password.
pub(super) const ROLES: &str = "roles";
/// How the names of secrets begin there.
pub(super) const SECRET: &str = "VAULT SECRET";

/// Attributes that a role without superpowers may not name, though a new role has none of them.
const NOT_SAID: &[&[u8]] = &[b"NOSUPERUSER", b"NOREPLICATION", b"NOBYPASSRLS"];

/// The default privileges of the role, each with the statement that takes it back to PostgreSQL's own.
const DEFAULT_PRIVILEGES: &str = "
SELECT pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s %s %s ON %s %s %s;', r.rolname,
         CASE a.defaclnamespace WHEN 0 THEN '' ELSE pg_catalog.format(' IN SCHEMA %I', n.nspname) END,
         d.verb, d.privilege_type,
         CASE a.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES'
              WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END,
         d.preposition, CASE d.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(d.grantee)) END)
FROM pg_catalog.pg_default_acl a JOIN pg_catalog.pg_roles r ON r.oid = a.defaclrole
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = a.defaclnamespace,
LATERAL (SELECT CASE a.defaclnamespace WHEN 0
           THEN pg_catalog.acldefault(CASE a.defaclobjtype WHEN 'S' THEN 's' ELSE a.defaclobjtype END, a.defaclrole)
           END AS usual) u,
LATERAL (SELECT 'REVOKE' AS verb, 'FROM' AS preposition, e.grantee, e.privilege_type FROM (
           SELECT * FROM pg_catalog.aclexplode(a.defaclacl) EXCEPT SELECT * FROM pg_catalog.aclexplode(u.usual)) e
         UNION ALL SELECT 'GRANT', 'TO', e.grantee, e.privilege_type FROM (
           SELECT * FROM pg_catalog.aclexplode(u.usual) EXCEPT SELECT * FROM pg_catalog.aclexplode(a.defaclacl)) e) d
WHERE r.rolname = current_user";

/// The statements that give the schema `public` the rights with which PostgreSQL makes it, which a dump tells only the
/// differences from. Its owner's are left alone.
const PUBLIC: &str = "
SELECT pg_catalog.format('%s %s ON SCHEMA public %s %s;', d.verb, d.privilege_type, d.preposition,
         CASE d.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(d.grantee)) END)
FROM pg_catalog.pg_namespace n
JOIN pg_catalog.pg_init_privs i ON i.classoid = n.tableoid AND i.objoid = n.oid AND i.privtype = 'i',
LATERAL (SELECT 'REVOKE' AS verb, 'FROM' AS preposition, e.grantee, e.privilege_type FROM (
           SELECT a.grantee, a.privilege_type FROM pg_catalog.aclexplode(n.nspacl) a
           EXCEPT SELECT a.grantee, a.privilege_type FROM pg_catalog.aclexplode(i.initprivs) a) e
         UNION ALL SELECT 'GRANT', 'TO', e.grantee, e.privilege_type FROM (
           SELECT a.grantee, a.privilege_type FROM pg_catalog.aclexplode(i.initprivs) a
           EXCEPT SELECT a.grantee, a.privilege_type FROM pg_catalog.aclexplode(n.nspacl) a) e) d
WHERE n.nspname = 'public' AND d.grantee <> n.nspowner AND d.grantee <> 'pg_database_owner'::pg_catalog.regrole
ORDER BY d.verb DESC";

impl Restore<'_> {
    pub(super) fn on_platform(&self) -> Option<&OnPlatform> {
        self.plan.on_platform.as_ref()
    }

    /// Whether an entry is there and stays, also where what the backup contains is dropped first.
    pub(super) fn stays(&self, index: usize, entry: &Entry) -> bool {
        let Some(on) = self.on_platform() else { return false };
        // Rights that the platform has given on the schema public go with it and cannot be given again.
        let is_public = entry.kind == "SCHEMA" && entry.name.as_bytes() == b"public";
        on.there.contains(&index)
            || is_public
            || (entry.kind == "EXTENSION" && self.extensions_stay())
            || is_platforms_publication(entry)
    }

    /// Whether extensions are the platform's to make, which its own schemas need.
    pub(super) fn extensions_stay(&self) -> bool {
        self.on_platform().is_some_and(|on| on.profile.is_of_one_project())
    }

    /// Whether the rights of a whole project come back into one of the same platform.
    pub(super) fn brings_all_of_a_project(&self) -> bool {
        let options = &self.plan.options;
        self.on_platform().is_some_and(|on| on.is_same_project)
            && options.privileges == Keep::Yes
            && options.parts != Parts::Data
            && options.selection.is_whole()
    }

    /// The statements that take away the role's default privileges, and what the platform and others have given on the schema
    /// `public`, which is never dropped; before both get what the backup has.
    pub(super) fn reset_rights(&self, session: &mut Session) -> Result<Vec<(String, Vec<u8>)>, TargetError> {
        if !self.brings_all_of_a_project() {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for (what, query) in [
            ("DEFAULT ACL of the target", DEFAULT_PRIVILEGES),
            ("ACL SCHEMA public of the target", PUBLIC),
        ] {
            let doing = "read the rights that are there";
            let rows = session.connection.query(query.as_bytes());
            let rows = rows.map_err(|source| TargetError::Wire { doing, source })?;
            let statements = rows.iter().filter_map(|row| row.get(0));
            all.extend(statements.map(|sql| (what.to_owned(), sql.to_vec())));
        }
        Ok(all)
    }

    /// The rights on the platform's tables that the backup has not, each with the statement that takes it away.
    pub(super) fn revocations(&self) -> &[(String, Vec<u8>)] {
        match self.on_platform().filter(|_| self.brings_all_of_a_project()) {
            Some(on) => &on.revocations,
            None => &[],
        }
    }

    /// Whether the restore goes on without an entry that the platform refuses: what is missing then is found at the end.
    pub(super) fn may_be_refused(&self, entry: &Entry) -> bool {
        matches!(entry.kind.as_str(), PLATFORM_GRANT | CRON_JOB) && self.brings_all_of_a_project()
    }

    /// Notes what the platform refuses, without the statement: that of a job may hold a secret.
    pub(super) fn or_refused(&self, what: &str, result: Result<(), Failed>) {
        let Err(Failed { error, .. }) = result else { return };
        let told = match error.server_error() {
            Some(error) => String::from_utf8_lossy(error.field(b'M').unwrap_or_default()).into_owned(),
            None => error.to_string(),
        };
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.push(format!("{what}: {told}"));
    }

    /// The entries that are restored.
    pub(super) fn selected_entries(&self) -> impl Iterator<Item = &Entry> {
        let selected = self.plan.selected.entries.iter();
        selected.map(|&index| &self.manifest.entries[index])
    }

    /// Looks whether the platform has what it may refuse, or pass over without an error. A proof has looked already.
    pub(super) fn check_own_entries(&self, report: &RestoreReport) -> Result<(), TargetError> {
        let Some(on) = self.on_platform().filter(|_| self.brings_all_of_a_project()) else {
            return Ok(());
        };
        if report.examination.is_some() && report.is_proven() {
            return Ok(());
        }
        let what = "what is on the platform";
        let mut client = connect_client(self.config)?;
        session::prepare_client(&mut client).reading(what)?;
        let mut transaction = client.transaction().reading(what)?;
        let found = source::OnPlatform::read(&mut transaction, on.profile, Inclusion::Excluded)?;
        transaction.rollback().reading(what)?;
        let found: BTreeSet<(&str, &str)> = found.entries.iter().map(|own| (own.kind, own.name.as_str())).collect();
        let own = self.selected_entries();
        let own = own.filter(|entry| OWN_KINDS.contains(&entry.kind.as_str()) && entry.kind != SECRET);
        let own: Vec<(&str, Cow<'_, str>)> = own.map(|entry| (entry.kind.as_str(), entry.name.to_lossy())).collect();
        let expected: BTreeSet<(&str, &str)> = own.iter().map(|(kind, name)| (*kind, &**name)).collect();
        let missing = expected
            .difference(&found)
            .map(|own| (own, "in the backup, and not here"));
        let rights = |(kind, _): &&(&str, &str)| *kind == PLATFORM_GRANT;
        let more = found.difference(&expected).filter(rights);
        for ((kind, name), error) in missing.chain(more.map(|own| (own, "here, and not in the backup"))) {
            self.report(RestoreFailure {
                what: format!("{kind} {name}"),
                statement: None,
                error: error.to_owned(),
                sql_state: None,
            });
        }
        Ok(())
    }

    /// Gives the database its settings, and tells services that the schema is another one.
    pub(super) fn finish_on_platform(&self, report: &mut RestoreReport) -> Result<(), TargetError> {
        let Some(on) = self.on_platform() else { return Ok(()) };
        report.left_out.extend(on.left_out.iter().cloned());
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        report.left_out.append(&mut untold);
        drop(untold);
        let mut session = self.connect()?;
        let mut failures = Vec::new();
        let settings: &[DatabaseSetting] = &on.settings;
        let mut run = |sql: &[u8]| session.run(sql.to_vec()).map_err(|failed: Failed| failed.error);
        apply_settings(
            &mut run,
            &self.plan.database,
            settings,
            self.plan.options.privileges,
            &mut failures,
        );
        for failure in failures {
            let is_denied = failure.sql_state.as_deref() == Some(&SqlState::INSUFFICIENT_PRIVILEGE.to_string());
            match is_denied {
                // Then it was the platform that had set it.
                true => report.left_out.push(format!("{}: {}", failure.what, failure.error)),
                false => self.report(failure),
            }
        }
        if let Some(notify) = on.profile.notify {
            drop(session.connection.execute(notify.as_bytes()));
        }
        session.connection.close();
        Ok(())
    }

    /// The statements that make the roles of the application and give them what they had. Those of the platform are left
    /// alone. It is the transaction of the restore in which they are run, so that it is undone with it.
    pub(super) fn role_statements(
        &self,
        session: &mut Session,
        report: &mut RestoreReport,
    ) -> Result<Vec<(String, Vec<u8>)>, TargetError> {
        let options = &self.plan.options;
        let is_wanted = self.plan.makes_roles && options.parts != Parts::Data;
        let Some(on) = self.on_platform().filter(|_| is_wanted) else {
            return Ok(Vec::new());
        };
        let doing = "read the roles";
        let rows = session.connection.query(b"SELECT rolname FROM pg_catalog.pg_roles");
        let rows = rows.map_err(|source| TargetError::Wire { doing, source })?;
        let there: Vec<&[u8]> = rows.iter().filter_map(|row| row.get(0)).collect();
        let set = role_settings(session)?;
        let (mut said, mut own, mut tablespaces) = (Vec::new(), Vec::new(), Vec::new());
        let mut known = KnownRoles::default();
        let members = self.manifest.members.iter().enumerate();
        for (index, _) in members.filter(|(_, member)| member.content == MemberContent::Globals) {
            let text = self.source.text(index).map_err(TargetError::Backup)?;
            let script: Vec<u8> = text
                .split(|&byte| byte == b'\n')
                .filter_map(|line| line.strip_prefix(b"--G "))
                .flat_map(|line| [line, b"\n"].concat())
                .collect();
            for statement in backstay_core::script::statements(&script) {
                tablespaces.extend(new_tablespace(statement));
                let Some(statement) = self.role_statement(on, statement, report) else {
                    continue;
                };
                let (mut is_own, mut what) = (false, ROLES.to_owned());
                let is_there = match RoleStatement::parse(&statement) {
                    Some(RoleStatement::Create { role }) => {
                        let is_there = there.contains(&role.as_slice());
                        known.roles.insert(role);
                        is_there
                    }
                    Some(RoleStatement::Grant { role, member, .. }) => {
                        is_own = member == self.plan.target.role.as_bytes();
                        what = membership(&role, &member);
                        known.memberships.insert((role, member));
                        false
                    }
                    _ => set.iter().any(|setting| setting.is_set_by(&statement)),
                };
                if !is_there {
                    let all = if is_own { &mut own } else { &mut said };
                    all.push((what, statement));
                }
            }
        }
        if !tablespaces.is_empty() {
            let (platform, names) = (on.profile.platform, list(&tablespaces));
            report
                .left_out
                .push(format!("tablespaces, which nobody can make on {platform}: {names}"));
        }
        if on.is_same_project && options.selection.is_whole() {
            own.extend(self.end_later_memberships(session, on, &known)?);
        }
        *self.own_memberships.lock().unwrap_or_else(PoisonError::into_inner) = own;
        Ok(said)
    }

    /// A statement about roles as the platform's role may say it; `None` where it is not its to say.
    fn role_statement(&self, on: &OnPlatform, statement: &[u8], report: &mut RestoreReport) -> Option<Vec<u8>> {
        let is_reserved = |role: &[u8]| on.profile.is_reserved(role);
        match RoleStatement::parse(statement)? {
            RoleStatement::Create { role } | RoleStatement::Comment { role } if is_reserved(&role) => None,
            RoleStatement::Create { .. } | RoleStatement::Comment { .. } => Some(statement.to_vec()),
            RoleStatement::Set { role, setting } if is_reserved(&role) && !on.profile.lets_set(&setting) => None,
            RoleStatement::Set { .. } => Some(statement.to_vec()),
            RoleStatement::Alter { role, .. } if is_reserved(&role) => None,
            RoleStatement::Alter { role, attributes, .. } => {
                let words: Vec<&[u8]> = statement[attributes.clone()].split(|&byte| byte == b' ').collect();
                if words.contains(&&b"SUPERUSER"[..]) {
                    let role = String::from_utf8_lossy(&role);
                    report.left_out.push(format!(
                        "the superpowers of the role {role}, which nobody can have here"
                    ));
                }
                let said = |word: &&[u8]| *word != b"SUPERUSER" && !NOT_SAID.contains(word);
                let words: Vec<&[u8]> = words.into_iter().filter(said).collect();
                let (before, behind) = (&statement[..attributes.start], &statement[attributes.end..]);
                Some([before, &words.join(&b' '), behind].concat())
            }
            RoleStatement::Grant { role, member, options } => {
                let is_own = member == self.plan.target.role.as_bytes();
                if is_reserved(&role) && is_reserved(&member) {
                    return None;
                }
                match is_own && self.plan.target.server_version_num >= 160_000 {
                    true => RoleStatement::own_since_16(statement, &options),
                    false => Some(RoleStatement::without_grantor(statement, &options)),
                }
            }
        }
    }

    /// Compares the definitions of the application with those of the backup.
    pub(super) fn prove_definitions(&self, report: &mut RestoreReport) -> Result<(), TargetError> {
        let options = &self.plan.options;
        let Some(on) = self.on_platform().filter(|_| proves_definitions(self.plan)) else {
            return Ok(());
        };
        let pg_dump = pg_dump(self.plan);
        let mut examine = ExamineOptions {
            owners: options.owners,
            privileges: options.privileges,
            settings: Keep::Yes,
            pg_dump,
            ..ExamineOptions::default()
        };
        examine.scope = Some(Scope {
            profile: on.profile,
            entries: self.plan.selected.entries.clone(),
        });
        let mut seen = examine_here(self.manifest, self.source, self.config, &examine, self.cancel)?;
        // Which version there is, and which settings may be changed, the platform says.
        let of_platform = |kind| matches!(kind, DifferenceKind::ExtensionVersion | DifferenceKind::Setting);
        let (others, differences) = seen
            .differences
            .drain(..)
            .partition(|difference| of_platform(difference.kind));
        seen.differences = differences;
        let others: Vec<crate::target::Difference> = others;
        report.left_out.extend(others.iter().map(ToString::to_string));
        report.left_out.append(&mut seen.not_compared);
        report.examination = Some(seen);
        Ok(())
    }
}

/// A setting of a role at the target.
struct RoleSetting {
    role: Vec<u8>,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl RoleSetting {
    /// Whether a statement would only say it again: that of a role of the platform may not be said by everybody.
    fn is_set_by(&self, statement: &[u8]) -> bool {
        let Some(RoleStatement::Set { role, setting }) = RoleStatement::parse(statement) else {
            return false;
        };
        let end = [b" TO ", &quote_literal(&self.value)[..], b";"].concat();
        (&role, &setting) == (&self.role, &self.name) && statement.trim_ascii_end().ends_with(&end)
    }
}

fn role_settings(session: &mut Session) -> Result<Vec<RoleSetting>, TargetError> {
    let doing = "read the settings of roles";
    let rows = session.connection.query(
        b"SELECT r.rolname, pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
          FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
          WHERE s.setdatabase = 0",
    );
    let rows = rows.map_err(|source| TargetError::Wire { doing, source })?;
    let bytes = |row: &Row, column| row.get(column).unwrap_or_default().to_vec();
    let settings = rows.iter().map(|row| RoleSetting {
        role: bytes(row, 0),
        name: bytes(row, 1),
        value: bytes(row, 2),
    });
    Ok(settings.collect())
}

fn proves_definitions(plan: &RestorePlan) -> bool {
    let options = &plan.options;
    plan.on_platform.is_some()
        && options.prove == Prove::Yes
        && options.parts == Parts::All
        && options.selection.is_whole()
}

fn pg_dump(plan: &RestorePlan) -> Option<PgDump> {
    let programs = plan.options.programs.as_ref()?;
    find_pg_dump(programs, plan.target.server_version_num / 10_000).ok()
}

/// What cannot be proven though it was asked for; it is better known before.
pub(in crate::target) fn lacking_proof(plan: &RestorePlan) -> Option<String> {
    let major = plan.target.server_version_num / 10_000;
    (proves_definitions(plan) && pg_dump(plan).is_none()).then(|| {
        format!(
            "definitions, rights and policies will not be compared, because no pg_dump of PostgreSQL {major} or newer is \
             here: install it before (postgresql-client-{major})"
        )
    })
}

/// Whether the backup has secrets, so that those of the target are compared.
pub(in crate::target) fn has_secrets(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.kind == SECRET)
}
