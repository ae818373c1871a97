//! TLS, channel binding, and what runs over it.

use backstay_postgres::{
    ChannelBinding, ConnectErrorKind, Host, RootCertificates, Secret, SslMode, Variables, WireError, resolve,
};

use super::server::{Server, openssl};
use super::{both, cancels_a_sleep, connect, tcp};

#[test]
fn tls_verifies_what_the_mode_says() {
    let server = Server::start(
        "local all postgres trust\nhostnossl all postgres 127.0.0.1/32 trust\nhostnossl all plain 127.0.0.1/32 trust\n\
         hostssl all cert 127.0.0.1/32 cert\nhostssl all scram 127.0.0.1/32 scram-sha-256\n",
    );
    connect(&server.config())
        .execute(
            b"SET password_encryption = 'scram-sha-256';
              CREATE ROLE plain LOGIN; CREATE ROLE cert LOGIN; CREATE ROLE scram LOGIN PASSWORD 'pw'",
        )
        .unwrap();
    let folder = server.folder();
    for name in ["ca", "other"] {
        openssl(
            &folder,
            &format!("req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.crt -days 2 -subj /CN={name}"),
        );
    }
    sign(
        &server,
        "server",
        "db.example",
        "subjectAltName=DNS:db.example,DNS:localhost,DNS:db.abc.supabase.co",
    );
    sign(&server, "client", "cert", "extendedKeyUsage=clientAuth");
    server.restart("ssl=on\nssl_ca_file='ca.crt'\n");
    std::fs::copy(folder.join("server.crt"), folder.join("named.crt")).unwrap();

    let right = tcp("db.example", Some("127.0.0.1"));
    let wrong = tcp("other.example", Some("127.0.0.1"));
    let tls = Some(ConnectErrorKind::Tls);
    let denied = Some(ConnectErrorKind::Denied);
    let settings = Some(ConnectErrorKind::Settings);
    for (user, mode, roots, host, expected) in [
        ("scram", SslMode::VerifyFull, "ca.crt", &right, None),
        ("scram", SslMode::VerifyFull, "ca.crt", &wrong, tls),
        ("scram", SslMode::VerifyFull, "other.crt", &right, tls),
        ("scram", SslMode::VerifyFull, "", &right, settings),
        // The server's own certificate as its own root.
        ("scram", SslMode::VerifyFull, "named.crt", &right, None),
        ("scram", SslMode::VerifyFull, "named.crt", &wrong, tls),
        ("scram", SslMode::VerifyCa, "ca.crt", &wrong, None),
        ("scram", SslMode::VerifyCa, "other.crt", &right, tls),
        ("scram", SslMode::Require, "other.crt", &right, tls),
        ("scram", SslMode::Require, "", &wrong, None),
        ("scram", SslMode::Prefer, "other.crt", &wrong, None),
        ("scram", SslMode::Disable, "", &right, denied),
        // Whom the server lets in without TLS only.
        ("plain", SslMode::Prefer, "", &right, None),
        ("plain", SslMode::Require, "", &right, denied),
        // Who has a certificate in place of a password.
        ("cert", SslMode::VerifyFull, "ca.crt", &right, None),
    ] {
        let name = format!("{user} {mode:?} {roots:?} {host:?}");
        let mut config = server.config();
        config.endpoints[0].host = host.clone();
        config.user = user.to_owned();
        config.password = Some(Secret::new("pw"));
        config.ssl_mode = mode;
        config.ssl_root_cert = (!roots.is_empty()).then(|| RootCertificates::File(folder.join(roots)));
        if user == "cert" {
            config.ssl_client_cert = Some((folder.join("client.crt"), folder.join("client.key")));
        }
        assert_eq!(both(&name, &config), expected, "{name}");
        if user == "scram" && expected.is_none() {
            config.channel_binding = ChannelBinding::Require;
            assert_eq!(both(&name, &config), None, "{name}, bound");
        }
    }
    // A machine without root certificates refuses even earlier.
    let mut config = server.config();
    config.endpoints[0].host = right.clone();
    config.ssl_mode = SslMode::VerifyFull;
    config.ssl_root_cert = Some(RootCertificates::System);
    let kind = both("verify-full, system", &config);
    assert!(kind == tls || kind == Some(ConnectErrorKind::Settings), "{kind:?}");
    only_an_authority_that_is_named_may_stand_in_for_supabases(&server);
    cancellation_and_rows_work_over_tls(&server, right);
}

/// The server's certificate is for the name, by an authority that is not Supabase's.
fn only_an_authority_that_is_named_may_stand_in_for_supabases(server: &Server) {
    let port = server.config().endpoints[0].port;
    let config = |more: &str| {
        let connection = format!(
            "host=db.abc.supabase.co hostaddr=127.0.0.1 port={port} user=scram password=pw dbname=postgres {more}"
        );
        resolve(Some(&connection), &Variables::default()).unwrap().config
    };
    assert_eq!(both("supabase", &config("")), Some(ConnectErrorKind::Tls));
    assert_eq!(
        both("supabase, verify-ca", &config("sslmode=verify-ca")),
        Some(ConnectErrorKind::Tls)
    );
    let named = config(&format!("sslrootcert={}", server.folder().join("ca.crt").display()));
    assert_eq!(named.ssl_mode, SslMode::VerifyFull);
    assert_eq!(both("supabase, sslrootcert", &named), None);
    let mut other = named;
    other.endpoints[0].host = tcp("db.other.supabase.co", Some("127.0.0.1"));
    assert_eq!(both("supabase, another project", &other), Some(ConnectErrorKind::Tls));
    assert_eq!(both("supabase, require", &config("sslmode=require")), None);
}

/// Signs a certificate for `name.key`, made anew, by the authority.
fn sign(server: &Server, name: &str, subject: &str, extension: &str) {
    let folder = server.folder();
    std::fs::write(folder.join("extensions"), extension).unwrap();
    openssl(
        &folder,
        &format!("req -new -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={subject}"),
    );
    openssl(
        &folder,
        &format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out {name}.crt"
        ),
    );
    server.own(&format!("{name}.key"));
}

fn cancellation_and_rows_work_over_tls(server: &Server, host: Host) {
    let mut config = server.config();
    config.endpoints[0].host = host;
    config.user = "scram".to_owned();
    config.password = Some(Secret::new("pw"));
    config.ssl_mode = SslMode::VerifyFull;
    config.ssl_root_cert = Some(RootCertificates::File(server.folder().join("ca.crt")));
    let mut connection = connect(&config);
    let encrypted = connection
        .query(b"SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .unwrap();
    assert_eq!(encrypted[0].get(0), Some(&b"t"[..]));
    let mut bytes = 0;
    let rows = connection
        .copy_out(
            b"COPY (SELECT repeat('x', g % 1000) FROM generate_series(1, 50000) g) TO STDOUT",
            |row| {
                bytes += row.len();
                Ok::<_, WireError>(())
            },
        )
        .unwrap();
    assert_eq!((rows, bytes), (50_000, 50_000 + 50 * (999 * 1000 / 2)));
    connection.execute(b"CREATE TEMPORARY TABLE t (x text)").unwrap();
    let mut copy = connection.copy_in(b"COPY t FROM STDIN").unwrap();
    for _ in 0..50_000 {
        copy.send(&[&[b'y'; 400][..], b"\n"].concat()).unwrap();
    }
    assert_eq!(copy.finish().unwrap(), 50_000);
    cancels_a_sleep(&config);
}

#[test]
fn channel_binding_knows_the_hash_of_every_kind_of_certificate() {
    let server = Server::start("local all postgres trust\nhost all scram 127.0.0.1/32 scram-sha-256\n");
    let mut unix = server.config();
    unix.endpoints[0].host = Host::Unix(server.folder());
    connect(&unix)
        .execute(b"SET password_encryption = 'scram-sha-256'; CREATE ROLE scram LOGIN PASSWORD 'pw'")
        .unwrap();
    let mut config = server.config();
    config.user = "scram".to_owned();
    config.password = Some(Secret::new("pw"));
    config.channel_binding = ChannelBinding::Require;
    config.ssl_mode = SslMode::Require;
    for (key, options) in [
        ("rsa:2048", "-sha256"),
        ("rsa:2048", "-sha384"),
        ("rsa:2048", "-sha512"),
        ("ec -pkeyopt ec_paramgen_curve:prime256v1", "-sha256"),
        ("ec -pkeyopt ec_paramgen_curve:secp384r1", "-sha384"),
    ] {
        let make = format!("req -x509 -newkey {key} -nodes -keyout server.key -out server.crt -subj /CN=x {options}");
        openssl(&server.folder(), &make);
        server.own("server.key");
        server.restart("ssl=on\n");
        assert_eq!(both(&make, &config), None, "{make}");
    }
    // X.509 version 1, which `openssl x509 -req` made by default for many years.
    openssl(
        &server.folder(),
        "req -new -newkey rsa:2048 -nodes -keyout server.key -out old.csr -subj /CN=x",
    );
    openssl(
        &server.folder(),
        "x509 -req -in old.csr -signkey server.key -out server.crt",
    );
    server.own("server.key");
    server.restart("ssl=on\n");
    assert_eq!(both("version 1", &config), None);
}
