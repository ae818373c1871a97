use super::variables;
use crate::conninfo::resolve;

#[track_caller]
fn check(connection: &str, expected: &str) {
    match resolve(Some(connection), &variables(&[])) {
        Ok(resolved) => panic!("{connection} was taken for {}", resolved.config.describe()),
        Err(error) => assert_eq!(error.to_string(), expected, "{connection}"),
    }
}

#[test]
fn malformed_key_value_strings() {
    let missing = "missing `=` after a key (a value with spaces needs single quotes)";
    check(
        "host=h password=a b user=u",
        &format!("{missing}, at character 19 of the connection string"),
    );
    check(
        "host=h user",
        &format!("{missing}, at character 8 of the connection string"),
    );
    check(
        "host=h password='a",
        "unterminated quoted value, at character 17 of the connection string",
    );
    check(
        "password='a\\",
        "unterminated quoted value, at character 10 of the connection string",
    );
    check(
        "password=a\0b",
        "a zero byte is not allowed, at character 11 of the connection string",
    );
    check(
        "user=u hots=h",
        "unknown key at character 8 of the connection string; the nearest known key is `host`",
    );
    check(
        "Host=h",
        "unknown key at character 1 of the connection string; the nearest known key is `host`",
    );
    check(
        "=h",
        "unknown key at character 1 of the connection string; the nearest known key is `user`",
    );
}

#[test]
fn malformed_urls() {
    let at = |problem: &str, position: usize| format!("{problem}, at character {position} of the connection string");
    let not_hex = "`%` is not followed by two hexadecimal digits";
    check("postgresql://u:a%zz@h", &at(not_hex, 17));
    check("postgresql://h/d%4", &at(not_hex, 17));
    check("postgresql://h/d%+4", &at(not_hex, 17));
    check("postgresql://h/d%00", &at("%00 is not allowed", 17));
    check("postgresql://u:a b@h", &at("a space must be written as %20", 17));
    check(
        "postgresql://u:a@b@h/d",
        &at("`@` in a user name or password must be written as %40", 19),
    );
    let slash = "`/` in a password must be written as %2F, `@` in a path as %40";
    check("postgresql://u:12/b@h/d", &at(slash, 20));
    check(
        "postgresql://[::1",
        &at("`[` of an IPv6 address has no matching `]`", 14),
    );
    check("postgresql://[]", &at("an IPv6 address is empty", 14));
    check(
        "postgresql://[::1]x",
        &at("`:` or `/` is expected after an IPv6 address", 19),
    );
    check("postgresql://h?port", &at("a URL parameter has no `=`", 16));
    check("postgresql://h?&port=1", &at("a URL parameter has no `=`", 16));
    check(
        "postgresql://h?options=a=b",
        &at("a URL parameter has a second `=` (write it as %3D)", 25),
    );
    check(
        "postgresql://h?user=u&hostname=h",
        "unknown key at character 23 of the connection string; the nearest known key is `host`",
    );
}

#[test]
fn what_is_not_postgres() {
    let message =
        "the connection string is not a PostgreSQL connection: a URL begins with postgresql:// or postgres://";
    for connection in [
        "mysql://u:p@h/d",
        "mysql://u:p@h/d?a=b",
        "postgresql+psycopg://u:p@h/d",
        "Postgres://u:p@h/d",
        "postgresql:/u:p@h/d",
        "://u:p@h/d",
        "\"postgresql://u:p@h/d\"",
        "u:p@h/d",
        "dbname=postgresql://u:p@h/d",
    ] {
        check(connection, message);
    }
}

#[test]
fn invalid_values() {
    let invalid = |key: &str, expected: &str| {
        format!("invalid value of `{key}` from the connection string: {expected} is expected")
    };
    let modes = "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`";
    check("host=h sslmode=full", &invalid("sslmode", modes));
    check("host=h sslmode=''", &invalid("sslmode", modes));
    check(
        "host=h channel_binding=yes",
        &invalid("channel_binding", "`disable`, `prefer` or `require`"),
    );
    check(
        "host=h connect_timeout=1s",
        &invalid("connect_timeout", "a whole number of seconds"),
    );
    let port = invalid("port", "a number from 1 to 65535 for each host");
    for value in ["0", "65536", "-1", "x", "5432x", "1,x"] {
        check(&format!("host=h port={value}"), &port);
    }
    check("host=h hostaddr=localhost", &invalid("hostaddr", "a numeric address"));
    check(
        "host=ss@h",
        &invalid("host", "a host name, an address or the folder of a socket"),
    );
    check(
        "host=@abstract",
        &invalid("host", "a host name, an address or the folder of a socket"),
    );
    check(
        "host='a, b'",
        &invalid("host", "a host name, an address or the folder of a socket"),
    );
    check("postgresql://%FF@h", &invalid("user", "UTF-8 text"));
    check("host=a,b hostaddr=::1", "2 host names do not match 1 hostaddr values");
    check("host=a,b,c port=1,2", "2 port numbers do not match 3 hosts");
    check("port=1,2", "2 port numbers do not match 1 hosts");
}

#[test]
fn what_must_not_be_ignored() {
    for (pair, reason) in [
        ("replication=database", "a backup needs an ordinary connection"),
        ("requirepeer=postgres", "the owner of the server is not checked"),
        ("require_auth=scram-sha-256", "the way of authentication is not checked"),
        ("sslcrl=/crl", "revocation lists are not looked at"),
        ("gssencmode=require", "connections cannot be encrypted with GSSAPI"),
        ("ssl_min_protocol_version=TLSv1.3", "TLS 1.2 cannot be ruled out"),
        ("sslpassword=p", "the client's private key must not be encrypted"),
        (
            "sslcertmode=require",
            "whether the server asked for the certificate is not checked",
        ),
    ] {
        let key = pair.split_once('=').unwrap().0;
        let expected = format!("`{key}` from the connection string is not supported: {reason}");
        check(&format!("host=h {pair}"), &expected);
    }
    check(
        "host=a,b target_session_attrs=read-write",
        "`target_session_attrs` from the connection string is not supported: the first host that answers is used; \
         name the one host that is meant",
    );
}

#[test]
fn verification_needs_something_to_verify_with() {
    let none = "the server's certificate cannot be verified: no sslrootcert is given (a file, or `system`) and there \
                is no ~/.postgresql/root.crt";
    check("host=h sslmode=verify-ca", none);
    check("host=/sock,h sslmode=verify-full", none);
    let weak = "sslrootcert=system needs sslmode=verify-full, and the connection string asks for less";
    check("host=h sslrootcert=system sslmode=verify-ca", weak);
    check("host=h sslrootcert=system sslmode=require", weak);
    check(
        "host=h sslcert=/c",
        "client certificate /c has no private key: name it with sslkey",
    );
}

#[test]
fn the_environment_is_checked_as_well() {
    let check = |name: &str, value: &str, expected: &str| {
        let error = resolve(None, &variables(&[("PGHOST", "h"), (name, value)])).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        "PGPORT",
        "x",
        "invalid value of `port` from PGPORT: a number from 1 to 65535 for each host is expected",
    );
    check(
        "PGREQUIREPEER",
        "postgres",
        "`requirepeer` from PGREQUIREPEER is not supported: the owner of the server is not checked",
    );
    check(
        "PGDATABASE",
        "postgresql://u:p@h/d",
        "PGDATABASE is not a PostgreSQL connection: a URL begins with postgresql:// or postgres://",
    );
    let nobody = [("HOME", "/nonexistent"), ("PGHOST", "h")].into_iter().collect();
    let error = resolve(None, &nobody).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no user is given, and neither USER nor LOGNAME is set"
    );
}
