//! What strings mean; the tables of URLs follow `src/interfaces/libpq/t/001_uri.pl` of PostgreSQL.

use super::{resolved, shown, variables};
use crate::conninfo::{ConninfoError, Warning, resolve};

#[track_caller]
fn check(connection: &str, expected: &str) {
    let resolved = resolved(connection, &[("PGHOST", "envhost")]);
    assert_eq!(shown(&resolved.config), expected, "{connection}");
    assert_eq!(resolved.warnings, [], "{connection}");
}

#[test]
fn key_value_strings() {
    check("", "me@envhost:5432/me");
    check("host=h", "me@h:5432/me");
    check("host=h port=6000 dbname=d user=u password=p", "u@h:6000/d password=p");
    check("  host = h  port= 6000 dbname =d\n\tuser\t=\tu ", "u@h:6000/d");
    check("host='h' user='a b' dbname='it\\'s'", "a b@h:5432/it's");
    check(
        "host=h password='a\\\\b' user=a\\ b dbname=it\\'s",
        "a b@h:5432/it's password=a\\b",
    );
    check("host=h password='x'user=u", "u@h:5432/u password=x");
    check("host=h password=it's", "me@h:5432/me password=it's");
    check("host=h password=a=b", "me@h:5432/me password=a=b");
    check("host=h password=x\\", "me@h:5432/me password=x");
    check("host=h host=other", "me@other:5432/me");
    check("user=", "me@envhost:5432/me");
    check("host=h user= dbname=d", "dbname=d@h:5432/dbname=d");
    check("host=h user='' dbname=d", "me@h:5432/d");
    check("host=h password=é dbname='ü ß'", "me@h:5432/ü ß password=é");
}

#[test]
fn a_bare_word_is_a_database() {
    check("orders", "me@envhost:5432/orders");
    check("My Orders", "me@envhost:5432/My Orders");
    check("a:b", "me@envhost:5432/a:b");
}

#[test]
fn urls() {
    check("postgresql://", "me@envhost:5432/me");
    check("postgres://", "me@envhost:5432/me");
    check("postgresql:///", "me@envhost:5432/me");
    check("postgresql:///d", "me@envhost:5432/d");
    check("postgresql://u:p@h:12345/d", "u@h:12345/d password=p");
    check("postgres://u:p@h/d\n", "u@h:5432/d password=p");
    check("postgresql://u@h", "u@h:5432/u");
    check("postgresql://u@", "u@envhost:5432/u");
    check("postgresql://u:p@/d", "u@envhost:5432/d password=p");
    check("postgresql://:p@h", "me@h:5432/me password=p");
    check("postgresql://@h", "me@h:5432/me");
    check("postgresql://u:@h", "u@h:5432/u");
    check("postgresql://h:12345/", "me@h:12345/me");
    check("postgresql://h:/d", "me@h:5432/d");
    check("postgresql://:12345/", "me@envhost:12345/me");
    check("postgresql://h?user=u", "u@h:5432/u");
    check("postgresql://h/d?", "me@h:5432/d");
    check("postgresql://h/d?user=u&password=p&", "u@h:5432/d password=p");
    check(
        "postgresql://u%2F%40%3a:p%25%C3%A9@h/d%20%3F",
        "u/@:@h:5432/d ? password=p%é",
    );
    check(
        "postgresql://u:a:b#c?d&e=f[g]@h/d",
        "u@h:5432/d password=a:b#c?d&e=f[g]",
    );
    check("postgresql:// u : p @ h / d ? port = 1 ", "u@h:1/d password=p");
    check("postgresql://first@h?user=second", "second@h:5432/second");
    check("postgresql://h/a/b", "me@h:5432/a/b");
    check("postgresql://h/d?ssl=true", "me@h:5432/d ssl=Require");
    check("postgresql://h/d?o%70tions=-c%20x%3Dy", "me@h:5432/d options=-c x=y");
}

#[test]
fn many_hosts_addresses_and_sockets() {
    check("postgresql://[::1]:12345/d", "me@[::1]:12345/d");
    check("postgresql://[2001:db8::1234]?user=u", "u@[2001:db8::1234]:5432/u");
    check("postgresql://u@a,b:1,[::1]:2/d", "u@a:5432,b:1,[::1]:2/d");
    check("postgresql://a,b/d?port=7", "me@a:7,b:7/d");
    check("postgresql://a,b/d?port=7,8", "me@a:7,b:8/d");
    check("host=a,b port=7,", "me@a:7,b:5432/me");
    check(
        "host=a,b hostaddr=10.0.0.1,10.0.0.2",
        "me@a:5432,b:5432/me address=10.0.0.1 address=10.0.0.2",
    );
    check("host=a,b hostaddr=,10.0.0.2", "me@a:5432,b:5432/me address=10.0.0.2");
    check("host='' hostaddr=::1", "me@[::1]:5432/me address=::1");
    check("host=h hostaddr=fe80::1%eth0", "me@h:5432/me address=fe80::1%eth0");
    check("postgresql://%2Fvar%2Flib%2Fsock/d", "me@/var/lib/sock:5432/d");
    check("postgresql://%2Fa%2Fb:7,h:8/d", "me@/a/b:7,h:8/d");
    check("postgresql:///d?host=/a/b&port=6000", "me@/a/b:6000/d");
    check("host=/a/b,h", "me@/a/b:5432,h:5432/me");
    check("postgresql://a%2Cb/d", "me@a:5432,b:5432/d");
    check("postgresql://h/d?hostaddr=127.0.0.1", "me@h:5432/d address=127.0.0.1");
}

#[test]
fn what_else_is_settled() {
    check("host=h sslmode=disable", "me@h:5432/me ssl=Disable");
    check("host=h sslmode=allow", "me@h:5432/me ssl=Allow");
    check("host=h sslmode=prefer", "me@h:5432/me");
    check("host=h sslmode=require", "me@h:5432/me ssl=Require");
    check(
        "host=h sslmode=verify-ca sslrootcert=/r",
        "me@h:5432/me ssl=VerifyCa root=/r",
    );
    check(
        "host=h sslmode=verify-full sslrootcert=system",
        "me@h:5432/me ssl=VerifyFull root=system",
    );
    check("host=h sslrootcert=system", "me@h:5432/me ssl=VerifyFull root=system");
    check("host=h sslrootcert=/r", "me@h:5432/me root=/r");
    check("host=h requiressl=1", "me@h:5432/me ssl=Require");
    check("host=h requiressl=0", "me@h:5432/me");
    check("host=/sock sslmode=verify-full", "me@/sock:5432/me ssl=VerifyFull");
    check("host=h sslcert=/c sslkey=/k", "me@h:5432/me client=/c,/k");
    check("host=h sslcert=/c sslkey=/k sslcertmode=disable", "me@h:5432/me");
    check(
        "host=h sslcert=/c sslkey=/k sslmode=disable",
        "me@h:5432/me ssl=Disable",
    );
    check("host=h channel_binding=require", "me@h:5432/me binding=Require");
    check("host=h channel_binding=disable", "me@h:5432/me binding=Disable");
    check(
        "host=h application_name=n fallback_application_name=f",
        "me@h:5432/me name=n",
    );
    check("host=h fallback_application_name=f", "me@h:5432/me name=f");
    check("host=h connect_timeout=' 10 '", "me@h:5432/me timeout=10s");
    check("host=h connect_timeout=0", "me@h:5432/me");
    check("host=h connect_timeout=-1", "me@h:5432/me");
    check("host=h options='-c a=b'", "me@h:5432/me options=-c a=b");
    check("host=a,b target_session_attrs=any", "me@a:5432,b:5432/me");
}

#[test]
fn keys_that_change_nothing_are_accepted() {
    for pair in [
        "keepalives=0",
        "keepalives_idle=5",
        "tcp_user_timeout=1",
        "client_encoding=auto",
        "load_balance_hosts=random",
        "sslcompression=1",
        "sslnegotiation=direct",
        "gssencmode=prefer",
        "gssencmode=disable",
        "krbsrvname=postgres",
        "sslsni=1",
        "ssl_min_protocol_version=TLSv1.2",
        "replication=false",
        "replication=''",
        "requirepeer=''",
    ] {
        check(&format!("host=h {pair}"), "me@h:5432/me");
    }
}

#[test]
fn warnings_are_values() {
    let check = |connection: &str, expected: &[Warning]| {
        assert_eq!(resolved(connection, &[]).warnings, expected, "{connection}");
    };
    let url = "postgresql://h/d?pgbouncer=true&schema=public&connection_limit=1";
    check(
        url,
        &[
            Warning::ForeignKey("pgbouncer"),
            Warning::ForeignKey("schema"),
            Warning::ForeignKey("connection_limit"),
        ],
    );
    check(
        "host=h target_session_attrs=read-write",
        &[Warning::SessionAttributesUnchecked],
    );
}

#[test]
fn the_project_of_a_database_at_supabase_is_recognised() {
    for (connection, expected) in [
        ("postgresql://postgres@db.abc.supabase.co/postgres", Some("abc")),
        ("postgresql://postgres@DB.abc.Supabase.Co.:5433/postgres", Some("abc")),
        (
            "postgresql://postgres.abc@aws-0-eu-west-1.pooler.supabase.com/postgres",
            Some("abc"),
        ),
        (
            "postgresql://my.role.abc@aws-0-eu-west-1.pooler.supabase.com/postgres",
            Some("abc"),
        ),
        (
            "postgresql://postgres@aws-0-eu-west-1.pooler.supabase.com/postgres",
            None,
        ),
        ("postgresql://postgres.abc@db.example.com/postgres", None),
        ("postgresql://postgres@db.abc.supabase.co.example/postgres", None),
        ("host=/run/postgresql user=postgres.abc", None),
    ] {
        let config = resolved(connection, &[]).config;
        assert_eq!(config.supabase_project().as_deref(), expected, "{connection}");
    }
}

#[test]
fn supabases_transaction_pooler_is_refused_with_the_right_port() {
    let check = |connection: &str, expected: Option<(&str, &str)>| {
        let refused = match resolve(Some(connection), &variables(&[])) {
            Ok(_) => None,
            Err(ConninfoError::TransactionPooler { endpoint, session }) => Some((endpoint, session)),
            Err(error) => panic!("{connection}: {error}"),
        };
        let refused = refused
            .as_ref()
            .map(|(endpoint, session)| (endpoint.as_str(), session.as_str()));
        assert_eq!(refused, expected, "{connection}");
    };
    check(
        "postgresql://aws-0-eu-west-1.pooler.supabase.com:6543/postgres",
        Some((
            "aws-0-eu-west-1.pooler.supabase.com:6543",
            "aws-0-eu-west-1.pooler.supabase.com:5432",
        )),
    );
    check(
        "postgresql://AWS-1-eu-west-1.Pooler.Supabase.Com.:6543/postgres",
        Some((
            "AWS-1-eu-west-1.Pooler.Supabase.Com.:6543",
            "AWS-1-eu-west-1.Pooler.Supabase.Com.:5432",
        )),
    );
    let direct = Some(("db.abc.supabase.co:6543", "db.abc.supabase.co:5432"));
    check("postgresql://db.abc.supabase.co:6543/postgres", direct);
    check("postgresql://h,db.abc.supabase.co/d?port=5432,6543", direct);
    check("postgresql://aws-0-eu-west-1.pooler.supabase.com:5432/postgres", None);
    check("postgresql://db.abc.supabase.co/postgres", None);
    check("postgresql://localhost:6543/postgres", None);
    check("postgresql://notsupabase.co:6543/postgres", None);
    check("host=/supabase.co port=6543", None);
}

#[test]
fn descriptions_have_no_control_characters() {
    let config = resolved("postgresql://u%1B%5B2J:p@h/d%0A", &[]).config;
    assert_eq!(config.describe(), "u\u{fffd}[2J@h:5432/d\u{fffd}");
    assert_eq!(config.database, "d\n");
}
