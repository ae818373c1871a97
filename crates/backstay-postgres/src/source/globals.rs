//! Roles and tablespaces of the cluster, as comments that `psql` passes over.

use std::ffi::OsStr;

use backstay_core::manifest::Omission;
use backstay_core::script::{check_statements, statements as statements_of};

use super::SourceError;
use super::omissions::NO_PASSWORDS;
use crate::CancelToken;
use crate::config::ConnectionConfig;
use crate::pg_dump::{PgDumpall, RolePasswords, dump_globals};
use crate::platform::Profile;
use crate::platform::roles::RoleStatement;
use crate::wire::WireConnection;

const HEAD: &[u8] = b"-- Roles and tablespaces of the cluster; psql passes over them. To have them run:\n\
    --   gunzip -c FILE | awk '!end && /^--G / {print substr($0, 5); on = 1; next} on {end = 1}' | psql -X -d postgres\n";

/// The text of the globals member; the connection is asked whether the verifiers of passwords may be read, and where they
/// may not that is an omission.
pub(super) fn text(
    program: &PgDumpall,
    config: &ConnectionConfig,
    profile: Option<&Profile>,
    connection: &mut WireConnection,
    cancel: &CancelToken,
) -> Result<(Vec<u8>, Option<Omission>), SourceError> {
    let environment = config.child_environment();
    let cancelled = || cancel.is_cancelled();
    let database = OsStr::new(&config.database);
    let rows = connection.query(b"SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')")?;
    let (passwords, omission) = if rows.first().and_then(|row| row.get(0)) == Some(b"t") {
        (RolePasswords::Included, None)
    } else {
        let omission = Omission {
            subject: "passwords of roles".to_owned(),
            reason: NO_PASSWORDS.to_owned(),
        };
        (RolePasswords::LeftOut, Some(omission))
    };
    let script = dump_globals(program, &environment, database, passwords, &cancelled).map_err(SourceError::Globals)?;
    let mut statements = without_restriction(&script);
    if let Some(profile) = profile {
        statements = without_passwords_of(profile, &statements);
    }
    // Who takes the lines out hands them to psql, so they must be as harmless as the definitions are.
    check_statements(&statements).map_err(|source| SourceError::Hazard {
        kind: "roles and tablespaces".to_owned(),
        name: "of the cluster".to_owned(),
        source,
    })?;
    let mut text = HEAD.to_vec();
    for line in statements.split(|&byte| byte == b'\n') {
        text.extend_from_slice(b"--G ");
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    Ok((text, omission))
}

/// The script without the verifiers of the platform's own roles: nobody can set them anew, and whoever has one may try to
/// guess the password of the platform.
fn without_passwords_of(profile: &Profile, script: &[u8]) -> Vec<u8> {
    let harmless = statements_of(script).flat_map(|statement| match RoleStatement::parse(statement) {
        Some(RoleStatement::Alter { role, password, .. }) if profile.is_reserved(&role) => {
            let Some(password) = password else {
                return statement.to_vec();
            };
            [&statement[..password.start], &statement[password.end..]].concat()
        }
        _ => statement.to_vec(),
    });
    harmless.collect()
}

/// The script without `\restrict TOKEN` at its head and `\unrestrict TOKEN` at its end. A line in the comment of a role
/// that looks alike cannot have the token, which `pg_dumpall` makes up.
fn without_restriction(script: &[u8]) -> Vec<u8> {
    let mut lines = script.split(|&byte| byte == b'\n');
    let token = lines.find_map(|line| line.strip_prefix(b"\\restrict "));
    let is_restriction = |line: &[u8]| {
        let of = |prefix: &[u8]| line.strip_prefix(prefix).is_some_and(|rest| Some(rest) == token);
        of(b"\\restrict ") || of(b"\\unrestrict ")
    };
    let kept: Vec<&[u8]> = script
        .split(|&byte| byte == b'\n')
        .filter(|line| !is_restriction(line))
        .collect();
    let mut kept = kept.join(&b'\n');
    if !kept.ends_with(b"\n") {
        kept.push(b'\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::without_restriction;

    #[test]
    fn only_the_programs_own_commands_go() {
        let script = b"\\restrict abc\nCREATE ROLE x;\nCOMMENT ON ROLE x IS 'a\n\\restrict other\n-- b\n\n';\n\\unrestrict abc\n";
        let expected = b"CREATE ROLE x;\nCOMMENT ON ROLE x IS 'a\n\\restrict other\n-- b\n\n';\n";
        assert_eq!(without_restriction(script), expected);
    }
}
