//! What we print of an archive is what `pg_restore` prints of it, byte for byte.

mod server;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use backstay_postgres::{
    ChildEnvironment, PgDump, PgDumpall, PrintedEntry, ProgramError, RestorePass, RolePasswords, SchemaDumpOptions,
    Toc, dump_globals, dump_schema,
};
use server::Server;

use crate::server::{installation_since, installations};

const SUPERUSER: &str = "supabase_admin";

#[test]
fn printed_entries_equal_pg_restore() {
    let torture = fs::read(file("tests/it/archive/torture.sql")).unwrap();
    // The platform's files need 15.
    let server = Server::start(installation_since(15).bin(), SUPERUSER);
    server.sql("postgres", "create database torture template template0 encoding 'UTF8'");
    server.psql(SUPERUSER, "torture", &torture);
    server.sql("postgres", "create database latin template template0 encoding 'LATIN1'");
    server.psql(SUPERUSER, "latin", &foreign_names(b"LATIN1", b"gr\xfc\xdfe \"\xe9\""));
    server.sql(
        "postgres",
        "create database anything template template0 encoding 'SQL_ASCII'",
    );
    server.psql(
        SUPERUSER,
        "anything",
        &foreign_names(b"SQL_ASCII", b"\xff\xfe \x80 \"\xc3("),
    );
    for (user, script) in [
        (SUPERUSER, "10-platform.sql"),
        (SUPERUSER, "20-realtime.sql"),
        ("postgres", "40-kulti.sql"),
        ("postgres", "41-kulti-data.sql"),
    ] {
        server.psql(
            user,
            "postgres",
            &fs::read(file("../../testdata/supabase").join(script)).unwrap(),
        );
    }

    for database in ["torture", "latin", "anything", "postgres", "template1"] {
        let environment = environment(&server, database);
        let options = SchemaDumpOptions::default();
        let schema = dump_schema(&pg_dump(&server), &environment, &options, &|| false).unwrap();
        compare(&server, database, &schema);
        // Large objects, positions of sequences and refreshes of views are only in archives with data.
        compare(&server, database, &server.pg_dump(database, &[]));
        if pg_dump(&server).version.major >= 18 {
            // The planner's statistics do not go together with --schema-only.
            compare(
                &server,
                database,
                &server.pg_dump(database, &["--no-data", "--statistics"]),
            );
        }
    }
}

/// Compares what we print of an archive with what `pg_restore` does of the entries without data.
fn compare(server: &Server, database: &str, archive: &[u8]) {
    let toc = Toc::parse(archive).unwrap();
    let entries: Vec<_> = toc.print().map(Result::unwrap).collect();
    let ours: Vec<u8> = entries.iter().flat_map(PrintedEntry::text).collect();
    let wanted = toc
        .entries
        .iter()
        .filter(|entry| !entry.has_data)
        .map(|entry| entry.dump_id);
    let theirs = server.pg_restore(archive, wanted);
    let name = format!("{database} of PostgreSQL {}", server.major);
    assert_same(&ours, without_frame(&theirs), &name);

    assert_eq!(toc.database_name, database.as_bytes());
    assert_eq!(toc.dump_major(), pg_dump(server).version.major, "{name}");
    assert!(entries.is_sorted_by_key(|entry| entry.pass), "{name}");
    if database == "torture" {
        // The comparison must have had something to compare.
        let passes = [RestorePass::Main, RestorePass::Acl, RestorePass::PostAcl];
        let counts = passes.map(|pass| entries.iter().filter(|entry| entry.pass == pass).count());
        assert!(
            counts[0] > 400 && counts[1] >= 40 && counts[2] >= 3,
            "{name}: {counts:?}"
        );
        let of_database: Vec<_> = toc.entries.iter().filter(|entry| entry.is_of_database()).collect();
        let mut kinds: Vec<_> = of_database
            .iter()
            .map(|entry| entry.kind.escape_ascii().to_string())
            .collect();
        kinds.sort();
        assert_eq!(kinds, ["ACL", "COMMENT", "DATABASE", "DATABASE PROPERTIES"], "{name}");
        assert_eq!(
            entries.iter().any(|entry| entry.access_method.is_some()),
            server.major >= 17,
            "{name}"
        );
    }
}

/// The text of `pg_restore` without what stands around the entries: the settings and the lines about the dump.
fn without_frame(text: &[u8]) -> &[u8] {
    let begin = b"SET row_security = off;\n\n";
    let end = b"--\n-- PostgreSQL database dump complete\n--\n\n";
    let find = |within: &[u8], part: &[u8]| within.windows(part.len()).position(|window| window == part);
    let from = find(text, begin).expect("the last setting") + begin.len();
    let to = from + find(&text[from..], end).expect("the last comment");
    &text[from..to]
}

fn assert_same(ours: &[u8], theirs: &[u8], name: &str) {
    if ours == theirs {
        return;
    }
    let at = ours
        .iter()
        .zip(theirs)
        .position(|(a, b)| a != b)
        .unwrap_or(ours.len().min(theirs.len()));
    let around = |text: &[u8]| {
        let range = at.saturating_sub(200)..text.len().min(at + 200);
        text[range].escape_ascii().to_string().replace("\\n", "\n")
    };
    panic!(
        "{name} differs at byte {at}\n=== ours ===\n{}\n=== pg_restore ===\n{}",
        around(ours),
        around(theirs)
    );
}

/// A script with names in bytes of an encoding.
fn foreign_names(encoding: &[u8], name: &[u8]) -> Vec<u8> {
    let quoted: Vec<u8> = name
        .iter()
        .flat_map(|&b| if b == b'"' { vec![b, b] } else { vec![b] })
        .collect();
    let template = "set client_encoding = 'ENCODING'; drop schema public; create role \"NAME\"; create schema \"NAME\";
        create table \"NAME\".\"NAME\" (\"NAME\" text default 'NAME' check (\"NAME\" <> 'NAME'), primary key (\"NAME\"));
        alter table \"NAME\".\"NAME\" owner to \"NAME\"; comment on table \"NAME\".\"NAME\" is 'NAME';
        create function \"NAME\".\"NAME\"(\"NAME\" \"NAME\".\"NAME\") returns int language sql as 'select 1 -- NAME';
        alter function \"NAME\".\"NAME\" owner to \"NAME\"; grant select on \"NAME\".\"NAME\" to public;
        create index on \"NAME\".\"NAME\" (\"NAME\"); create publication \"NAME\" for table \"NAME\".\"NAME\";";
    let with_encoding = replace(template.as_bytes(), b"ENCODING", encoding);
    replace(&with_encoding, b"NAME", &quoted)
}

fn replace(text: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(part.len()).position(|window| window == part) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(by);
        rest = &rest[at + part.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[test]
fn dumps_take_databases_by_name_and_tell_failures() {
    let server = Server::start(installations()[0].bin(), SUPERUSER);
    let name = "host=x '\\ \"";
    server.sql(
        "postgres",
        "create database \"host=x '\\ \"\"\"; create role guest login password 'x'",
    );
    let environment_of = |database: &str| environment(&server, database);
    let program = pg_dump(&server);
    let options = SchemaDumpOptions::default();
    let archive = dump_schema(&program, &environment_of(name), &options, &|| false).unwrap();
    assert_eq!(Toc::parse(&archive).unwrap().database_name, name.as_bytes());

    let error = dump_schema(&program, &environment_of("nowhere"), &options, &|| false).unwrap_err();
    let ProgramError::Failed { status: 1, stderr, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(stderr.contains("database \"nowhere\" does not exist"), "{stderr}");

    let options = SchemaDumpOptions {
        snapshot: Some("00000003-1"),
        ..SchemaDumpOptions::default()
    };
    assert!(dump_schema(&program, &environment_of(name), &options, &|| false).is_err());

    let program = PgDumpall::at(server.bin.join("pg_dumpall"), server.major).unwrap();
    let globals = |passwords| {
        let environment = environment_of("ignored");
        let sql = dump_globals(&program, &environment, OsStr::new(name), passwords, &|| false).unwrap();
        String::from_utf8(sql).unwrap()
    };
    assert!(globals(RolePasswords::Included).contains("CREATE ROLE guest"));
    assert!(globals(RolePasswords::Included).contains("PASSWORD 'SCRAM-SHA-256$"));
    assert!(!globals(RolePasswords::LeftOut).contains("PASSWORD '"));
}

fn pg_dump(server: &Server) -> PgDump {
    PgDump::at(server.bin.join("pg_dump"), server.major).unwrap()
}

fn environment(server: &Server, database: &str) -> ChildEnvironment {
    let mut environment = ChildEnvironment::default();
    for name in [
        "PGHOSTADDR",
        "PGPORT",
        "PGSERVICE",
        "PGOPTIONS",
        "PGCLIENTENCODING",
        "PGPASSWORD",
        "PGPASSFILE",
    ] {
        environment.remove.push(name.into());
    }
    environment.set = vec![
        ("PGHOST".into(), server.folder.as_os_str().to_owned()),
        ("PGUSER".into(), SUPERUSER.into()),
        ("PGDATABASE".into(), database.into()),
    ];
    environment
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
