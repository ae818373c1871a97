//! What stands in a pack: the same bytes for the same database, texts of every encoding, and no commands.

use std::fs;

use backstay::{BackupReader, Prove, RestoreOptions, TargetPolicy};

use crate::support::{Cluster, assert_same, back_up, default_installation, open, prove, restore};

#[test]
fn the_same_database_gives_the_same_bytes() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("shop");
    cluster.sql(
        "shop",
        "CREATE TABLE big (id int PRIMARY KEY, t text);
         INSERT INTO big SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 60000) i;
         CREATE TABLE small AS SELECT generate_series(1, 100) x; SELECT lo_from_bytea(1, 'x')",
    );
    for compression in ["gzip", "zstd"] {
        let packs: Vec<Vec<u8>> = [1, 4]
            .iter()
            .map(|&jobs| {
                let repository = cluster.repository(&format!("{compression}{jobs}"));
                let report = back_up(&cluster, "shop", &repository, |options| {
                    options.source.jobs = jobs;
                    options.compression = compression.parse().unwrap();
                })
                .unwrap();
                let backup: BackupReader = open(&repository, &report);
                let members = usize::try_from(backup.manifest().stored_bytes()).unwrap();
                assert!(backup.manifest().members.len() > 8, "several chunks of one table");
                let mut pack = fs::read(
                    cluster
                        .path(&format!("{compression}{jobs}"))
                        .join(report.published.pack.as_str()),
                )
                .unwrap();
                pack.truncate(members);
                pack
            })
            .collect();
        assert!(
            packs[0] == packs[1],
            "{compression}: the bytes before the manifest differ"
        );
    }
}

#[test]
fn texts_that_are_not_utf8_come_back_as_bytes() {
    let cluster = Cluster::start(&default_installation());
    for (encoding, name) in [("LATIN1", "latin"), ("SQL_ASCII", "ascii")] {
        cluster.sql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"),
        );
        // Bytes that are no UTF-8, in names, values, a definition and a comment.
        let script = b"SET client_encoding = '@';\nCREATE TABLE \"gr\xf6\xdfe\" (\"\xfcber\" text DEFAULT 'na\xefve');\n\
            COMMENT ON TABLE \"gr\xf6\xdfe\" IS 'Ma\xdf \\ x';\nINSERT INTO \"gr\xf6\xdfe\" VALUES ('\xe4\xf6\xfc'), (DEFAULT), ('a\\b');\n\
            CREATE SEQUENCE \"z\xe4hler\"; SELECT nextval('\"z\xe4hler\"');\nCREATE INDEX \"\xe9\" ON \"gr\xf6\xdfe\" (\"\xfcber\");\n";
        let script: Vec<u8> = script
            .split(|&b| b == b'@')
            .collect::<Vec<_>>()
            .join(encoding.as_bytes());
        fs::write(cluster.path("script.sql"), script).unwrap();
        let none: [&str; 0] = [];
        cluster.sql_file(name, &cluster.path("script.sql"), &none);
        let repository = cluster.repository(name);
        let report = back_up(&cluster, name, &repository, |_| {}).unwrap();
        let backup = open(&repository, &report);
        let mut options = RestoreOptions::default();
        options.target = TargetPolicy::Create;
        options.prove = Prove::Yes;
        let copy = format!("{name}_parallel");
        let done = restore(&cluster, &backup, &copy, &options).unwrap();
        assert!(done.is_complete(), "{:#?}", (done.failures, done.proof));
        assert_eq!(cluster.sql(&copy, "SHOW server_encoding"), encoding);
        let by_hand = format!("{name}_psql");
        cluster.sql(
            "postgres",
            &format!("CREATE DATABASE {by_hand} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"),
        );
        let output = cluster.restore_by_psql(&by_hand, &cluster.path(name).join(report.published.pack.as_str()));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for copy in [copy, by_hand] {
            assert_same(&cluster, name, &copy);
            assert!(prove(&cluster, &backup, &copy).is_equal());
        }
    }
}

#[test]
fn nothing_that_a_database_holds_becomes_a_command() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("hostile");
    let flag = cluster.path("flag");
    let touch = format!("\\! touch {}", flag.display());
    let script = format!(
        "CREATE TABLE \"x\n{touch}\n\" (\"c\n{touch}\" text);
         INSERT INTO \"x\n{touch}\n\" VALUES ('\\.'), (E'\\\\.'), (E'a\\n{escaped}\\n'), ('{touch}');
         COMMENT ON TABLE \"x\n{touch}\n\" IS E'b\\n{escaped}';
         CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $b$ BEGIN RETURN 1; /* $c$
{touch}
*/ END $b$;
         CREATE VIEW \"v\n{touch}\" AS SELECT E'\\n{escaped}\\n' AS \"w\n{touch}\";
         CREATE SCHEMA \"s\n{touch}\"; CREATE SEQUENCE \"s\n{touch}\".\"q\n{touch}\";
         CREATE MATERIALIZED VIEW \"m\n{touch}\" AS SELECT 1 AS one;
         SELECT lo_from_bytea(5, convert_to('{touch}', 'UTF8')); COMMENT ON LARGE OBJECT 5 IS E'l\\n{escaped}';",
        escaped = touch.replace('\\', "\\\\"),
    );
    // Given as a file of one statement at a time, because psql must not read the commands here either.
    let mut client = backstay_postgres::connect_client(&cluster.config("hostile")).unwrap();
    client.batch_execute(&script).unwrap();
    let repository = cluster.repository("backups");
    let report = back_up(&cluster, "hostile", &repository, |_| {}).unwrap();
    cluster.create_database("copy");
    let output = cluster.restore_by_psql("copy", &cluster.path("backups").join(report.published.pack.as_str()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!flag.exists(), "a command was run");
    assert_same(&cluster, "hostile", "copy");
    assert!(prove(&cluster, &open(&repository, &report), "copy").is_equal());

    // The same where the restore goes wrong: the rows of a COPY that fails must not be read as statements.
    cluster.create_database("conflict");
    let mut client = backstay_postgres::connect_client(&cluster.config("conflict")).unwrap();
    client
        .batch_execute(&format!("CREATE TABLE \"x\n{touch}\n\" (other int)"))
        .unwrap();
    let output = cluster.restore_by_psql(
        "conflict",
        &cluster.path("backups").join(report.published.pack.as_str()),
    );
    assert!(!output.status.success() && !flag.exists());
    assert_eq!(
        cluster.sql("conflict", "SELECT count(*) FROM pg_proc WHERE proname = 'f'"),
        "1",
        "it stopped at the table"
    );
}
