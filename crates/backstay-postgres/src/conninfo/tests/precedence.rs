use super::{resolved, shown, variables, with_home};
use crate::conninfo::{Source, Variables, resolve};

const ALL: &[(&str, &str)] = &[
    ("PGHOST", "eh"),
    ("PGHOSTADDR", "127.0.0.1"),
    ("PGPORT", "7"),
    ("PGDATABASE", "ed"),
    ("PGUSER", "eu"),
    ("PGPASSWORD", "ep"),
    ("PGSSLMODE", "verify-full"),
    ("PGSSLROOTCERT", "/r"),
    ("PGSSLCERT", "/c"),
    ("PGSSLKEY", "/k"),
    ("PGCHANNELBINDING", "disable"),
    ("PGAPPNAME", "en"),
    ("PGCONNECT_TIMEOUT", "3"),
    ("PGOPTIONS", "-c a=b"),
    ("PGTARGETSESSIONATTRS", "any"),
];

#[test]
fn every_variable_counts() {
    let resolved = resolve(None, &variables(ALL)).unwrap();
    assert_eq!(resolved.source, Source::Environment);
    assert_eq!(
        shown(&resolved.config),
        "eu@eh:7/ed address=127.0.0.1 password=ep ssl=VerifyFull root=/r client=/c,/k binding=Disable options=-c a=b \
         name=en timeout=3s"
    );
}

#[test]
fn the_string_comes_first_then_the_service_then_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let services = "[s]\nhost=sh\nport=1\nuser=su\ndbname=sd\n";
    std::fs::write(home.path().join(".pg_service.conf"), services).unwrap();
    let check = |connection: Option<&str>, more: &[(&str, &str)], expected: &str| {
        let variables = with_home(home.path(), more);
        let resolved = resolve(connection, &variables).unwrap();
        assert_eq!(shown(&resolved.config), expected, "{connection:?} {more:?}");
    };
    let environment = [
        ("PGHOST", "eh"),
        ("PGPORT", "7"),
        ("PGUSER", "eu"),
        ("PGPASSWORD", "ep"),
    ];
    check(None, &environment, "eu@eh:7/eu password=ep");
    check(Some("host=h service=s"), &environment, "su@h:1/sd password=ep");
    check(
        Some("postgresql://u@/?service=s"),
        &environment,
        "u@sh:1/sd password=ep",
    );
    check(Some("d"), &environment, "eu@eh:7/d password=ep");
    check(
        Some("host='' hostaddr=::1"),
        &environment,
        "eu@[::1]:7/eu address=::1 password=ep",
    );
    let by_variable = [&environment[..], &[("PGSERVICE", "s")]].concat();
    check(None, &by_variable, "su@sh:1/sd password=ep");
    check(Some("user=u service=''"), &by_variable, "u@eh:7/u password=ep");
}

#[test]
fn an_empty_value_is_a_value() {
    let config = resolved(
        "host=h dbname='' password=''",
        &[("PGDATABASE", "ed"), ("PGPASSWORD", "ep")],
    )
    .config;
    assert_eq!(shown(&config), "me@h:5432/me");
    let config = resolve(None, &variables(&[("PGHOST", "h"), ("PGUSER", ""), ("PGPORT", "")]))
        .unwrap()
        .config;
    assert_eq!(shown(&config), "me@h:5432/me");
}

#[test]
fn the_old_variable_for_tls_counts_where_no_mode_is_written() {
    let mode = |connection: &str, more: &[(&str, &str)]| shown(&resolved(connection, more).config);
    assert_eq!(mode("host=h", &[("PGREQUIRESSL", "1")]), "me@h:5432/me ssl=Require");
    assert_eq!(mode("host=h", &[("PGREQUIRESSL", "0")]), "me@h:5432/me");
    assert_eq!(
        mode("host=h", &[("PGREQUIRESSL", "1"), ("PGSSLMODE", "allow")]),
        "me@h:5432/me ssl=Allow"
    );
    assert_eq!(
        mode("host=h sslmode=allow", &[("PGREQUIRESSL", "1")]),
        "me@h:5432/me ssl=Allow"
    );
}

#[test]
fn the_default_user_is_the_operating_systems() {
    let user = |variables: &Variables| resolve(Some("host=h"), variables).unwrap().config.user;
    let names: Variables = [("USER", "a"), ("LOGNAME", "b")].into_iter().collect();
    assert_eq!(user(&names), "a");
    assert_eq!(user(&names.with_os_user("c")), "c");
    let names: Variables = [("USER", ""), ("LOGNAME", "b")].into_iter().collect();
    assert_eq!(user(&names), "b");
}
