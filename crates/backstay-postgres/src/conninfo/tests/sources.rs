use super::{shown, variables};
use crate::conninfo::{Source, resolve_described, resolve_source};

#[track_caller]
fn check(explicit: Option<&str>, more: &[(&str, &str)], expected: Result<(Source, &str), &str>) {
    let resolved = resolve_source(explicit, &variables(more));
    match (resolved, expected) {
        (Ok(resolved), Ok((source, expected))) => {
            assert_eq!(
                (resolved.source, shown(&resolved.config).as_str()),
                (source, expected),
                "{more:?}"
            );
        }
        (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected, "{more:?}"),
        (resolved, expected) => panic!("{more:?}: {resolved:?} instead of {expected:?}"),
    }
}

const POOLER: (&str, &str) = (
    "SUPABASE_POOLER_URL",
    "postgresql://postgres.abcdefghij@aws-1-eu-west-1.pooler.supabase.com:5432/postgres",
);
const REFERENCE: (&str, &str) = ("SUPABASE_PROJECT_REF", "abcdefghij");
const DB_PASSWORD: (&str, &str) = ("SUPABASE_DB_PASSWORD", "sp");
const URL: (&str, &str) = ("DATABASE_URL", "postgres://u:p@h/d");
const NOTHING: &str = "no database is named: give a connection, or set DATABASE_URL, SUPABASE_POOLER_URL (with \
                       SUPABASE_DB_PASSWORD), SUPABASE_PROJECT_REF and SUPABASE_DB_PASSWORD, or PGHOST, PGDATABASE \
                       and the other PG* variables";

#[test]
fn each_rule_yields_to_those_before_it() {
    let all = [URL, POOLER, REFERENCE, DB_PASSWORD, ("PGHOST", "eh")];
    check(Some("host=x"), &all, Ok((Source::Given, "me@x:5432/me")));
    check(Some("d"), &all, Ok((Source::Given, "me@eh:5432/d")));
    check(None, &all, Ok((Source::DatabaseUrl, "u@h:5432/d password=p")));
    let project = "postgres@db.abcdefghij.supabase.co:5432/postgres password=sp ssl=VerifyFull root=supabase";
    check(None, &all[1..], Ok((Source::SupabaseProject, project)));
    let pooler = "postgres.abcdefghij@aws-1-eu-west-1.pooler.supabase.com:5432/postgres password=sp ssl=VerifyFull \
                  root=supabase";
    check(
        None,
        &[POOLER, DB_PASSWORD, all[4]],
        Ok((Source::SupabasePoolerUrl, pooler)),
    );
    check(None, &all[2..], Ok((Source::SupabaseProject, project)));
    check(None, &all[3..], Ok((Source::Environment, "me@eh:5432/me")));
    check(
        None,
        &[REFERENCE, ("PGHOST", "eh")],
        Ok((Source::Environment, "me@eh:5432/me")),
    );
    check(None, &[DB_PASSWORD], Err(NOTHING));
    check(None, &[REFERENCE], Err(NOTHING));
    check(None, &[("PGPASSWORD", "p"), ("PGSSLMODE", "require")], Err(NOTHING));
    check(None, &[("DATABASE_URL", ""), ("PGHOST", "")], Err(NOTHING));
}

#[test]
fn an_empty_connection_is_no_connection() {
    check(Some(""), &[URL], Err("the given connection is empty"));
    check(Some(" \n"), &[URL], Err("the given connection is empty"));
}

#[test]
fn the_url_variables_hold_connection_strings() {
    let message = "DATABASE_URL is not a PostgreSQL connection: a URL begins with postgresql:// or postgres://";
    for value in ["file:./dev.db", "orders", "mysql://u:p@h/d", "sqlite:///x"] {
        check(None, &[("DATABASE_URL", value)], Err(message));
    }
    check(
        None,
        &[("DATABASE_URL", "host=h")],
        Ok((Source::DatabaseUrl, "me@h:5432/me")),
    );
    check(
        None,
        &[("DATABASE_URL", "postgres://h/d?hots=x")],
        Err("unknown key at character 16 of DATABASE_URL; the nearest known key is `host`"),
    );
}

#[test]
fn the_poolers_password() {
    let check_url = |url: &str, more: &[(&str, &str)], expected| {
        check(None, &[&[("SUPABASE_POOLER_URL", url)], more].concat(), expected);
    };
    let other = [DB_PASSWORD, ("PGPASSWORD", "ep")];
    let found = Ok((Source::SupabasePoolerUrl, "u@h:5432/d password=sp"));
    check_url("postgresql://u@h/d", &other, found);
    check_url("postgresql://u:@h/d", &other, found);
    check_url("postgresql://u:[YOUR-PASSWORD]@h/d", &other, found);
    check_url("postgresql://u:%5BYOUR-PASSWORD%5D@h/d", &other, found);
    check_url(
        "postgresql://u:own@h/d",
        &other,
        Ok((Source::SupabasePoolerUrl, "u@h:5432/d password=own")),
    );
    check_url(
        "postgresql://u@h/d",
        &other[1..],
        Ok((Source::SupabasePoolerUrl, "u@h:5432/d password=ep")),
    );
    let placeholder = "SUPABASE_POOLER_URL still has a placeholder where the password belongs";
    check_url("postgresql://u:[YOUR-PASSWORD]@h/d", &other[1..], Err(placeholder));
    let placeholder = "DATABASE_URL still has a placeholder where the password belongs";
    check(
        None,
        &[("DATABASE_URL", "postgresql://u:[YOUR-PASSWORD]@h/d"), DB_PASSWORD],
        Err(placeholder),
    );
}

#[test]
fn the_pooler_is_kept_for_where_the_direct_host_cannot_be_reached() {
    let pooler_of = |more: &[(&str, &str)]| {
        let resolved = resolve_source(None, &variables(&[&[REFERENCE, DB_PASSWORD], more].concat())).unwrap();
        resolved.pooler.map(|pooler| shown(&pooler))
    };
    let pooler = "postgres.abcdefghij@aws-1-eu-west-1.pooler.supabase.com:5432/postgres password=sp ssl=VerifyFull \
                  root=supabase";
    assert_eq!(pooler_of(&[POOLER]).as_deref(), Some(pooler));
    assert_eq!(pooler_of(&[]), None);
    // A pooler of somebody's own is what is meant.
    let own = [("SUPABASE_POOLER_URL", "postgresql://postgres@h:5432/postgres")];
    let own = [&[REFERENCE, DB_PASSWORD], &own[..]].concat();
    check(
        None,
        &own,
        Ok((Source::SupabasePoolerUrl, "postgres@h:5432/postgres password=sp")),
    );
    let other = ("SUPABASE_PROJECT_REF", "other");
    check(
        None,
        &[other, POOLER, DB_PASSWORD],
        Err("SUPABASE_PROJECT_REF and SUPABASE_POOLER_URL are of different projects"),
    );
    let direct = (
        "SUPABASE_POOLER_URL",
        "postgresql://postgres@db.abcdefghij.supabase.co/postgres",
    );
    check(
        None,
        &[other, direct, DB_PASSWORD],
        Err("SUPABASE_PROJECT_REF and SUPABASE_POOLER_URL are of different projects"),
    );
    let same = "postgres@db.abcdefghij.supabase.co:5432/postgres password=sp ssl=VerifyFull root=supabase";
    check(
        None,
        &[REFERENCE, direct, DB_PASSWORD],
        Ok((Source::SupabasePoolerUrl, same)),
    );
    // Of which project the pooler of a user without a reference is, nobody knows.
    let unknown = "postgresql://me@aws-1-eu-west-1.pooler.supabase.com:5432/postgres";
    assert_eq!(
        pooler_of(&[("SUPABASE_POOLER_URL", unknown)]).as_deref(),
        Some("me@aws-1-eu-west-1.pooler.supabase.com:5432/postgres password=sp ssl=VerifyFull root=supabase")
    );
}

#[test]
fn servers_at_supabase_are_verified_unless_something_else_is_written() {
    let check_with = |more: &[(&str, &str)], expected: &str, is_verified: bool| {
        for connection in [
            "postgres://u@db.abc.supabase.co/d",
            "postgres://u@aws-1-eu-west-1.pooler.supabase.com/d",
        ] {
            let resolved = resolve_source(Some(connection), &variables(more)).unwrap();
            let text = shown(&resolved.config);
            assert_eq!(text.split_once(' ').map_or("", |(_, rest)| rest), expected, "{more:?}");
            assert_eq!(
                resolved.warnings.is_empty(),
                is_verified,
                "{more:?}: {:?}",
                resolved.warnings
            );
        }
    };
    check_with(&[], "ssl=VerifyFull root=supabase", true);
    check_with(&[("PGSSLMODE", "verify-ca")], "ssl=VerifyCa root=supabase", true);
    check_with(&[("PGSSLROOTCERT", "/r")], "ssl=VerifyFull root=/r", true);
    check_with(&[("PGSSLROOTCERT", "system")], "ssl=VerifyFull root=system", true);
    check_with(
        &[("PGSSLROOTCERT", "/r"), ("PGSSLMODE", "require")],
        "ssl=Require root=/r",
        true,
    );
    // Plain text may be spoken then.
    for (mode, name) in [("prefer", ""), ("allow", "ssl=Allow ")] {
        let settings = [("PGSSLROOTCERT", "/r"), ("PGSSLMODE", mode)];
        check_with(&settings, &format!("{name}root=/r"), false);
    }
    check_with(&[("PGSSLMODE", "allow")], "ssl=Allow", false);
    check_with(&[("PGSSLMODE", "require")], "ssl=Require", false);
    check_with(&[("PGSSLMODE", "prefer")], "", false);
    check_with(&[("PGSSLMODE", "disable")], "ssl=Disable", false);
    // One host that is none of theirs, and it is as everywhere.
    check(
        Some("postgres://u@db.abc.supabase.co,h/d"),
        &[],
        Ok((Source::Given, "u@db.abc.supabase.co:5432,h:5432/d")),
    );
}

#[test]
fn the_projects_direct_host() {
    let check_with = |more: &[(&str, &str)], expected: &str| {
        let all = [&[REFERENCE, DB_PASSWORD], more].concat();
        let expected = format!("postgres@db.abcdefghij.supabase.co:5432/postgres password=sp{expected}");
        check(None, &all, Ok((Source::SupabaseProject, &expected)));
    };
    check_with(&[], " ssl=VerifyFull root=supabase");
    check_with(&[("PGSSLMODE", "prefer")], "");
    // What says where another server is must not redirect this one.
    check_with(
        &[
            ("PGHOST", "x"),
            ("PGHOSTADDR", "10.0.0.1"),
            ("PGPORT", "1"),
            ("PGUSER", "x"),
            ("PGDATABASE", "x"),
        ],
        " ssl=VerifyFull root=supabase",
    );
    for reference in ["a.evil.example/", "a b", "ref@host"] {
        let message = "SUPABASE_PROJECT_REF is not a project reference: letters and digits are expected";
        check(None, &[("SUPABASE_PROJECT_REF", reference), DB_PASSWORD], Err(message));
    }
}

/// What the values of a configuration make of a connection, in an environment that names another one.
fn described(connection: Option<&str>, values: &[(&str, &str)]) -> Result<String, String> {
    let elsewhere = [
        URL,
        ("PGHOST", "eh"),
        ("PGHOSTADDR", "10.0.0.1"),
        ("PGPORT", "1"),
        ("PGDATABASE", "ed"),
        ("PGUSER", "eu"),
        ("PGSERVICE", "es"),
        ("PGPASSWORD", "ep"),
        ("PGSSLMODE", "require"),
    ];
    let resolved = resolve_described(connection, values.iter().copied(), &variables(&elsewhere));
    let resolved = resolved.map_err(|error| error.to_string())?;
    assert_eq!(resolved.source, Source::Configuration);
    Ok(shown(&resolved.config))
}

#[test]
fn variables_do_not_make_another_database_of_one_that_is_described() {
    for (connection, values, expected) in [
        (Some("postgres://u:p@h/d"), &[][..], "u@h:5432/d password=p ssl=Require"),
        (
            Some("host=h"),
            &[("password", "x")],
            "me@h:5432/me password=x ssl=Require",
        ),
        (
            Some("postgres://u:p@h/d"),
            &[("password", "x")],
            "u@h:5432/d password=x ssl=Require",
        ),
        (
            None,
            &[("host", "h"), ("port", "6"), ("sslmode", "prefer")],
            "me@h:6/me password=ep",
        ),
        (
            None,
            &[("host", "h"), ("dbname", "d"), ("user", "u")],
            "u@h:5432/d password=ep ssl=Require",
        ),
    ] {
        assert_eq!(
            described(connection, values).as_deref(),
            Ok(expected),
            "{connection:?} {values:?}"
        );
    }
}

#[test]
fn what_a_configuration_says_is_refused_without_repeating_it() {
    for (connection, values, expected) in [
        (Some(" "), &[][..], "the given connection is empty"),
        (
            Some("hunter2"),
            &[],
            "the configuration is not a PostgreSQL connection: a URL begins with postgresql:// or postgres://",
        ),
        (
            None,
            &[("host", "h"), ("port", "hunter2")],
            "invalid value of `port` from the configuration: a number from 1 to 65535 for each host is expected",
        ),
        (
            None,
            &[("hots", "hunter2")],
            "unknown key at character 1 of the configuration; the nearest known key is `host`",
        ),
        (
            None,
            &[("password", "hunter2\0")],
            "a zero byte is not allowed, at character 8 of the configuration",
        ),
    ] {
        assert_eq!(described(connection, values).unwrap_err(), expected);
    }
}
