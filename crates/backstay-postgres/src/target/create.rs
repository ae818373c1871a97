//! Making the target database, and the roles and tablespaces that come with a backup.

use std::collections::BTreeSet;

use backstay_core::DbText;
use backstay_core::manifest::{DatabaseSetting, Manifest, Source};
use backstay_core::sql::{quote_identifier, quote_literal};

use super::{Keep, RestoreFailure, Surroundings, TargetError, maintenance_config};
use crate::CancelToken;
use crate::config::ConnectionConfig;
use crate::platform::roles::RoleStatement;
use crate::session;
use crate::wire::{SqlState, WireConnection, WireError};

/// Settings whose value is a list of quoted names (`GUC_LIST_QUOTE`), which must not be quoted as one text.
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Creates a database with the encoding and locale of the source.
pub(super) fn create_database(
    source: &Source,
    config: &ConnectionConfig,
    target_version_num: u32,
    cancel: &CancelToken,
) -> Result<(), TargetError> {
    let mut connection = WireConnection::connect(&maintenance_config(config)?, cancel)?;
    session::prepare(&mut connection, "UTF8", &[])?;
    let sql = create_statement(source, &config.database, target_version_num);
    connection.execute(&sql).map_err(|source| TargetError::Create {
        database: config.database.clone(),
        source,
    })?;
    connection.close();
    Ok(())
}

pub(super) fn create_statement(source: &Source, database: &str, target_version_num: u32) -> Vec<u8> {
    let mut sql = b"CREATE DATABASE ".to_vec();
    sql.extend(quote_identifier(database.as_bytes()));
    sql.extend_from_slice(b" TEMPLATE template0");
    let mut option = |name: &str, value: &str| {
        sql.extend(format!(" {name} ").into_bytes());
        sql.extend(quote_literal(value.as_bytes()));
    };
    option("ENCODING", &source.encoding);
    option("LC_COLLATE", &source.collate);
    option("LC_CTYPE", &source.ctype);
    if let Some(locale) = source
        .provider_locale
        .as_deref()
        .filter(|_| source.locale_provider != "libc")
    {
        option("LOCALE_PROVIDER", &source.locale_provider);
        // Since 17 the builtin provider has a word of its own; ICU kept the one that it came with in 15.
        option(
            if source.locale_provider == "icu" {
                "ICU_LOCALE"
            } else {
                "BUILTIN_LOCALE"
            },
            locale,
        );
        if let Some(rules) = source.icu_rules.as_deref().filter(|_| target_version_num >= 160_000) {
            option("ICU_RULES", rules);
        }
    }
    sql
}

/// Gives a new database the settings of the source.
pub(super) fn apply_settings(
    run: &mut dyn FnMut(&[u8]) -> Result<(), WireError>,
    database: &str,
    settings: &[DatabaseSetting],
    privileges: Keep,
    failures: &mut Vec<RestoreFailure>,
) {
    for setting in settings {
        if setting.role.is_some() && privileges == Keep::No {
            continue;
        }
        let mut sql = match &setting.role {
            Some(role) => {
                let mut sql = b"ALTER ROLE ".to_vec();
                sql.extend(quote_identifier(role.as_bytes()));
                sql.extend_from_slice(b" IN DATABASE ");
                sql.extend(quote_identifier(database.as_bytes()));
                sql
            }
            None => {
                let mut sql = b"ALTER DATABASE ".to_vec();
                sql.extend(quote_identifier(database.as_bytes()));
                sql
            }
        };
        sql.extend_from_slice(b" SET ");
        let name = setting.name.as_bytes();
        // A setting of an extension has a dot, which must stay outside of the quotes.
        let parts: Vec<Vec<u8>> = name.split(|&byte| byte == b'.').map(quote_identifier).collect();
        sql.extend(parts.join(&b'.'));
        sql.extend_from_slice(b" TO ");
        sql.extend(setting_value(&setting.name.to_lossy(), setting.value.as_bytes()));
        if let Err(error) = run(&sql) {
            failures.push(RestoreFailure {
                what: format!("setting {} of the database", setting.name),
                statement: Some(String::from_utf8_lossy(&sql).into_owned()),
                sql_state: error.sql_state().map(|code| code.to_string()),
                error: error.to_string(),
            });
        }
    }
}

fn setting_value(name: &str, value: &[u8]) -> Vec<u8> {
    if !LISTS.contains(&name) {
        return quote_literal(value);
    }
    let mut elements: Vec<Vec<u8>> = Vec::new();
    let mut element = Vec::new();
    let mut quoted = false;
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if quoted && bytes.next_if_eq(&b'"').is_some() => element.push(byte),
            b'"' => quoted = !quoted,
            b',' if !quoted => elements.push(std::mem::take(&mut element)),
            b' ' if !quoted => {}
            byte => element.push(byte),
        }
    }
    elements.push(element);
    let elements: Vec<Vec<u8>> = elements.iter().map(|element| quote_literal(element)).collect();
    elements.join(&b", "[..])
}

/// Makes the tablespaces that entries name, in the folder of the server; gives their names.
pub(super) fn stand_in_for_tablespaces(
    manifest: &Manifest,
    config: &ConnectionConfig,
    cancel: &CancelToken,
) -> Result<Vec<String>, TargetError> {
    let named = manifest.entries.iter().filter_map(|entry| entry.tablespace.as_ref());
    let named: BTreeSet<&DbText> = named.filter(|name| !name.as_bytes().is_empty()).collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let mut connection = WireConnection::connect(&maintenance_config(config)?, cancel)?;
    session::prepare(&mut connection, &manifest.source.encoding, &[])?;
    let mut made = Vec::new();
    for name in named {
        let mut sql = b"CREATE TABLESPACE ".to_vec();
        sql.extend(quote_identifier(name.as_bytes()));
        sql.extend_from_slice(b" LOCATION ''");
        let set = connection.execute(b"SET allow_in_place_tablespaces = on");
        if set.and_then(|_| connection.execute(&sql)).is_ok() {
            made.push(format!("tablespace {name}"));
        }
    }
    connection.close();
    Ok(made)
}

/// Whether a statement among globals is about a tablespace.
fn is_about_tablespace(statement: &[u8]) -> bool {
    let mut words = statement.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.nth(1) == Some(b"TABLESPACE") || memchr::memmem::find(statement, b" ON TABLESPACE ").is_some()
}

/// The tablespace that a statement among globals makes.
pub(super) fn new_tablespace(statement: &[u8]) -> Option<String> {
    if RoleStatement::parse(statement).is_some() {
        return None;
    }
    let at = memchr::memmem::find(statement, b"CREATE TABLESPACE ")?;
    let rest = &statement[at + b"CREATE TABLESPACE ".len()..];
    let end = [&b" OWNER "[..], b" LOCATION "].map(|word| memchr::memmem::find(rest, word));
    let name = &rest[..end.into_iter().flatten().min()?];
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Runs the statements of a globals member one by one; roles that exist already are left as they are.
pub(super) fn restore_globals(
    text: &[u8],
    encoding: &str,
    surroundings: Surroundings,
    config: &ConnectionConfig,
    cancel: &CancelToken,
    failures: &mut Vec<RestoreFailure>,
) -> Result<(), TargetError> {
    let mut connection = WireConnection::connect(&maintenance_config(config)?, cancel)?;
    session::prepare(&mut connection, encoding, &[])?;
    let script: Vec<u8> = text
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"--G "))
        .flat_map(|line| [line, b"\n"].concat())
        .collect();
    for statement in backstay_core::script::statements(&script) {
        if surroundings == Surroundings::StandIns && is_about_tablespace(statement) {
            continue;
        }
        // A platform's superuser, who gave it, is none on a server that is thrown away.
        let statement = match RoleStatement::parse(statement) {
            Some(RoleStatement::Grant { options, .. }) if surroundings == Surroundings::StandIns => {
                &RoleStatement::without_grantor(statement, &options)
            }
            _ => statement,
        };
        if let Err(error) = connection.execute(statement) {
            if error.sql_state() == Some(SqlState::DUPLICATE_OBJECT) {
                continue;
            }
            failures.push(RestoreFailure {
                what: "roles and tablespaces".to_owned(),
                // The statement may hold the verifier of a password.
                statement: None,
                sql_state: error.sql_state().map(|code| code.to_string()),
                error: error.to_string(),
            });
        }
    }
    connection.close();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_about_tablespaces_are_known() {
        for (statement, expected) in [
            ("CREATE TABLESPACE fast OWNER a LOCATION '/srv/fast';", true),
            ("\nCREATE  TABLESPACE fast LOCATION '/srv/fast';", true),
            ("ALTER TABLESPACE fast SET (seq_page_cost=1);", true),
            ("COMMENT ON TABLESPACE fast IS 'x';", true),
            ("GRANT ALL ON TABLESPACE fast TO a;", true),
            ("CREATE ROLE \"TABLESPACE\";", false),
            ("ALTER ROLE a WITH LOGIN;", false),
        ] {
            assert_eq!(is_about_tablespace(statement.as_bytes()), expected, "{statement}");
        }
    }

    #[test]
    fn tablespaces_that_are_made_are_known() {
        let name = |statement: &str| new_tablespace(statement.as_bytes());
        for (statement, expected) in [
            (
                "--\n-- Tablespaces\n--\n\nCREATE TABLESPACE fast OWNER a LOCATION '/srv/fast';",
                Some("fast"),
            ),
            ("\nCREATE TABLESPACE fast LOCATION '';", Some("fast")),
            ("COMMENT ON ROLE a IS 'CREATE TABLESPACE b LOCATION c';", None),
            ("ALTER TABLESPACE fast SET (seq_page_cost=1);", None),
        ] {
            assert_eq!(name(statement).as_deref(), expected, "{statement}");
        }
    }

    #[test]
    fn lists_are_quoted_element_by_element() {
        assert_eq!(
            setting_value("search_path", b"\"$user\", public, \"a,b\""),
            b"'$user', 'public', 'a,b'"
        );
        assert_eq!(
            setting_value("search_path", b"\"it's \"\"x\"\"\", \"\""),
            b"'it''s \"x\"', ''"
        );
        assert_eq!(setting_value("work_mem", b"1, 2"), b"'1, 2'");
    }

    #[test]
    fn the_providers_words_are_those_of_the_server() {
        let source = Source {
            encoding: "UTF8".into(),
            collate: "C".into(),
            ctype: "C".into(),
            locale_provider: "icu".into(),
            provider_locale: Some("de".into()),
            ..Source::default()
        };
        assert_eq!(
            String::from_utf8(create_statement(&source, "a\"b", 150_000)).unwrap(),
            "CREATE DATABASE \"a\"\"b\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' \
             LOCALE_PROVIDER 'icu' ICU_LOCALE 'de'"
        );
    }
}
