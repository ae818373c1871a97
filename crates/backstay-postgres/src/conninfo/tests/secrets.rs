use super::variables;
use crate::conninfo::{Variables, resolve, resolve_source};

const SECRET: &str = "hunter2";

/// Well-formed and malformed connections that all have the password somewhere.
const CONNECTIONS: &[&str] = &[
    "postgres://u:hunter2@h/d",
    "postgres://u:hunter2@h/d?hots=x",
    "postgres://u:hunter2@h:port/d",
    "postgres://u:hunter2@h:99999/d",
    "postgres://u:hunter2@h/d?sslmode=sure",
    "postgres://u:hunter2%zz@h/d",
    "postgres://u:%zzhunter2@h/d",
    "postgres://u:hunter2%00@h/d",
    "postgres://u:hun@hunter2@h/d",
    "postgres://u:hunter2/@h/d",
    "postgres://u:12/hunter2@h/d",
    "postgres://u:12/x?hunter2@h/d",
    "postgres://u:12/x?hunter2=y@h/d",
    "postgres://u:/hunter2@h/d",
    "postgres://u:hunter2 x@h/d",
    "postgres://u:hunter2?@h/d",
    "postgres://u:hunter2#@h/d",
    "postgres://u:hunter2",
    "postgres://u:hunter2/d",
    "postgres://u:hunter2@[h/d",
    "postgres://u@h/d?password=hunter2&x",
    "postgres://u@h/d?password=hunter2=x",
    "postgres://u@h/d?pasword=hunter2",
    "postgres://u@h/d?hunter2",
    "postgres:/u:hunter2@h/d",
    "postgres//u:hunter2@h/d",
    "POSTGRES://u:hunter2@h/d",
    "mysql://u:hunter2@h/d",
    "mysql://u:hunter2@h/d?a=b",
    "u:hunter2@h/d",
    "host=h password=hunter2",
    "host=h password=hunter2 x",
    "host=h password=x hunter2",
    "host=h password=x hunter2 y",
    "host=h password=x hunter2=y",
    "host=h password='hunter2",
    "host=h password=hunter2 port=x",
    "host=h password=hunter2\0",
    "host=h pasword=hunter2",
    "host=h sslpassword=hunter2",
    "host=h scram_client_key=hunter2",
    "dbname=postgres://u:hunter2@h/d",
    "host=x@hunter2",
    "port=hunter2",
    "hostaddr=hunter2",
    "connect_timeout=hunter2",
    "sslmode=hunter2",
    "channel_binding=hunter2",
    "target_session_attrs=hunter2",
    "postgres://u:[YOUR-PASSWORD]hunter2@h/d",
];

#[track_caller]
fn check(subject: &str, output: &str) {
    assert!(!output.contains(SECRET), "{subject} shows its password: {output}");
}

#[test]
fn nothing_shows_a_password() {
    for connection in CONNECTIONS {
        assert!(connection.contains(SECRET));
        let named = variables(&[
            ("DATABASE_URL", connection),
            ("SUPABASE_DB_PASSWORD", SECRET),
            ("PGPASSWORD", SECRET),
        ]);
        check(connection, &format!("{named:?}"));
        let by_string = resolve(Some(connection), &variables(&[("PGHOST", "h")]));
        for result in [by_string, resolve_source(None, &named)] {
            match result {
                Ok(resolved) => {
                    let child = resolved.config.child_environment();
                    check(
                        connection,
                        &format!("{resolved:?} {child:?} {}", resolved.config.describe()),
                    );
                    for warning in &resolved.warnings {
                        check(connection, &warning.to_string());
                    }
                }
                Err(error) => {
                    assert!(std::error::Error::source(&error).is_none());
                    check(connection, &format!("{error} {error:?}"));
                }
            }
        }
    }
}

#[test]
fn secrets_of_the_environment_and_of_files_are_not_shown() {
    let home = tempfile::tempdir().unwrap();
    let services = "[s]\npassword=hunter2\n[t]\nhunter2\n[u]\nhunter2=x\n[v]\nport=hunter2\n";
    std::fs::write(home.path().join(".pg_service.conf"), services).unwrap();
    for service in ["s", "t", "u", "v"] {
        let variables: Variables = [
            ("HOME", home.path().to_str().unwrap()),
            ("USER", "me"),
            ("PGHOST", "h"),
            ("PGSERVICE", service),
            ("PGPASSWORD", SECRET),
        ]
        .into_iter()
        .collect();
        match resolve(None, &variables) {
            Ok(resolved) => {
                assert_eq!(resolved.config.password.as_ref().unwrap().expose(), SECRET.as_bytes());
                check(service, &format!("{resolved:?}"));
            }
            Err(error) => check(service, &format!("{error} {error:?}")),
        }
    }
}
