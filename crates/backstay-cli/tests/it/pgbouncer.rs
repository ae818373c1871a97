//! Through `PgBouncer`: sessions work and keep nothing of ours, transactions are refused.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use backstay_postgres::{Answer, CancelToken, ask};
use rustix::process::{Pid, Signal, getuid, kill_process};

use crate::crash::run_until;
use crate::support::Sandbox;

/// Server connections of a pool.
const POOL: usize = 8;
/// What a session may keep of whoever had it before.
const KEPT: &str = "SHOW ALL; SELECT 'prepared', count(*) FROM pg_prepared_statements;
    SELECT 'locks', count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();";
const END: &str = "that is all";

/// A running pooler; dropping it ends it.
struct PgBouncer {
    child: Child,
    port: u16,
}

impl PgBouncer {
    fn start(sandbox: &Sandbox, mode: &str, settings: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let name = format!("pgbouncer-{mode}-{port}.ini");
        let password = sandbox.server.connection_config("postgres").password.unwrap();
        // It does not run as root.
        let user = if getuid().is_root() { "user = postgres" } else { "" };
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres password={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = {POOL}\n\
             {user}\n{settings}\n",
            sandbox.server.port(),
            String::from_utf8_lossy(password.expose()),
        );
        sandbox.write(&name, &text);
        let program = [
            "/usr/sbin/pgbouncer",
            "/usr/local/bin/pgbouncer",
            "/opt/homebrew/bin/pgbouncer",
        ];
        let program = program.into_iter().find(|path| fs::exists(path).unwrap_or(false));
        let program =
            program.expect("no PgBouncer: run `cargo xtask test`, or install it (Debian: apt-get install pgbouncer)");
        let child = Command::new(program)
            .arg(sandbox.path(&name))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pooler = Self { child, port };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(30), "PgBouncer does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        pooler
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Every session of the pool is like a new one.
    fn assert_nothing_is_kept(&self, sandbox: &Sandbox, database: &str, after: &str) {
        let (fresh, expected) = session(sandbox, sandbox.server.port(), database);
        let pooled: Vec<(Child, String)> = (0..POOL).map(|_| session(sandbox, self.port, database)).collect();
        for (_, found) in &pooled {
            let differing: Vec<_> = found.lines().filter(|line| !expected.contains(line)).collect();
            assert!(
                differing.is_empty() && *found == expected,
                "after {after}: {differing:?}"
            );
        }
        for (mut client, _) in pooled.into_iter().chain([(fresh, expected)]) {
            drop(client.stdin.take());
            client.wait().unwrap();
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A client that has a session of its own, and what it found in it.
fn session(sandbox: &Sandbox, port: u16, database: &str) -> (Child, String) {
    let mut child = sandbox
        .client("psql", database)
        .env("PGPORT", port.to_string())
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("{KEPT}\n\\echo {END}\n");
    child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    let mut found = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        match line.unwrap() {
            line if line == END => return (child, found),
            line => found.push_str(&format!("{line}\n")),
        }
    }
    panic!("psql ended after {found}");
}

/// The sample with a table that takes a while.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_sample();
    sandbox.sql(
        "kulti",
        "CREATE TABLE public.bulk AS SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 60000) i;
         ALTER ROLE postgres SET statement_timeout = '1min'; ALTER ROLE postgres SET lock_timeout = '7s'",
    );
    sandbox.sql("postgres", "CREATE DATABASE restored");
    sandbox
}

fn counted(sandbox: &Sandbox, database: &str) -> String {
    sandbox.sql(database, "SELECT count(*), sum(hashtext(b::text)) FROM public.bulk b")
}

#[test]
fn sessions_are_enough_and_keep_nothing() {
    let sandbox = sandbox();
    let pooler = PgBouncer::start(&sandbox, "session", "");
    let kulti = pooler.url("kulti");
    sandbox.succeed(&["backup", "--from", &kulti]);
    sandbox.succeed(&["verify", "latest"]);
    pooler.assert_nothing_is_kept(&sandbox, "kulti", "a backup");
    let restored = pooler.url("restored");
    sandbox.succeed(&["restore", "latest", "--to", &restored, "--prove", "--yes", "restored"]);
    assert_eq!(counted(&sandbox, "restored"), counted(&sandbox, "kulti"));
    pooler.assert_nothing_is_kept(&sandbox, "restored", "a restore");
    for (signal, what) in [(Signal::KILL, "a killed backup"), (Signal::INT, "a cancelled backup")] {
        let mut child = run_until(&sandbox, &["backup", "--from", &kulti], Some("reading rows"));
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait().unwrap();
        pooler.assert_nothing_is_kept(&sandbox, "kulti", what);
    }
}

/// A pooler that gives sessions on as they are left. `pg_dump`, which sets a few things, is no part of these commands.
#[test]
fn sessions_are_left_as_they_were_found() {
    let sandbox = sandbox();
    sandbox.succeed(&["backup"]);
    let pooler = PgBouncer::start(&sandbox, "session", "server_reset_query =");
    sandbox.succeed(&["doctor", "--from", &pooler.url("kulti")]);
    pooler.assert_nothing_is_kept(&sandbox, "kulti", "doctor");
    let restored = pooler.url("restored");
    sandbox.succeed(&["restore", "latest", "--to", &restored, "--prove", "--yes", "restored"]);
    pooler.assert_nothing_is_kept(&sandbox, "restored", "a restore");
    // What a plain dump sets is nobody else's either.
    sandbox.sql("postgres", "CREATE DATABASE plain");
    let script = "SET statement_timeout = 0;\nSET check_function_bodies = false;\n\
                  SELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE public.plain (i int);\n";
    sandbox.write("plain.sql", script);
    let plain = pooler.url("plain");
    sandbox.succeed(&["restore", "plain.sql", "--to", &plain, "--yes", "plain"]);
    pooler.assert_nothing_is_kept(&sandbox, "plain", "a restore of a plain dump");
}

/// Other clients may take a session just when it is looked whether it was given away, and give it back at once.
#[test]
fn transactions_are_told_from_sessions_while_others_are_busy() {
    let sandbox = Sandbox::with_sample();
    let pooler = PgBouncer::start(&sandbox, "transaction", "");
    let others: Vec<Child> = (0..6)
        .map(|_| {
            let mut child = sandbox
                .client("psql", "kulti")
                .env("PGPORT", pooler.port.to_string())
                .arg("-XAtq")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let busy = b"SELECT pg_sleep(0.002) \\watch 0.001\n";
            child.stdin.as_mut().unwrap().write_all(busy).unwrap();
            child
        })
        .collect();
    let looks: Vec<_> = (0..10)
        .map(|_| sandbox.run(&["doctor", "--from", &pooler.url("kulti")]))
        .collect();
    for mut other in others {
        other.kill().unwrap();
        other.wait().unwrap();
    }
    for look in looks {
        assert_eq!(look.code, Some(7), "{look:?}");
        assert!(look.stdout.contains("a pooler in transaction mode"), "{look:?}");
    }
}

/// Looking for a pooler takes a second connection only where there is one.
#[test]
fn a_target_that_lets_one_connection_in_is_looked_at() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    sandbox.sql(
        "postgres",
        "CREATE DATABASE one; CREATE ROLE one LOGIN PASSWORD 'one' CONNECTION LIMIT 1",
    );
    let to = format!("postgres://one:one@127.0.0.1:{}/one", sandbox.server.port());
    sandbox.succeed(&["restore", "latest", "--to", &to, "--no-owner", "--dry-run"]);
}

#[test]
fn transactions_are_refused_before_anything_is_set() {
    let sandbox = sandbox();
    sandbox.succeed(&["backup"]);
    sandbox.write("plain.sql", "CREATE TABLE public.plain (i int);\n");
    let pooler = PgBouncer::start(&sandbox, "transaction", "");
    let (kulti, copy) = (pooler.url("kulti"), pooler.url("restored"));
    let refused: [&[&str]; 8] = [
        &["backup", "--from", &kulti],
        &["restore", "latest", "--to", &copy, "--yes", "restored"],
        &["restore", "plain.sql", "--to", &copy, "--yes", "restored"],
        &[
            "restore",
            "latest",
            "--table",
            "public.bulk",
            "--into-schema",
            "rescue",
            "--to",
            &kulti,
            "--yes",
            "kulti",
        ],
        &["restore", "--undo=restored", "--to", &kulti, "--yes", "kulti"],
        &["restore", "--undo", "--to", &kulti, "--yes", "kulti"],
        &["restore", "latest", "--swap", "--to", &kulti, "--yes", "kulti"],
        &[
            "export-data",
            "--subject",
            "public.bulk.i=1",
            "--from",
            &kulti,
            "--store",
            "./exports",
        ],
    ];
    for arguments in refused {
        let refused = sandbox.run(arguments);
        assert_eq!(refused.code, Some(7), "{arguments:?}: {refused:?}");
        assert!(
            refused.stderr.contains("a pooler in transaction mode"),
            "{arguments:?}: {refused:?}"
        );
        assert!(
            refused.stderr.contains("hint: use the pooler's session mode"),
            "{arguments:?}: {refused:?}"
        );
    }
    let limit = Duration::from_secs(60);
    let queries = ["SELECT 1".to_owned()];
    let mut config = sandbox.server.connection_config("kulti");
    config.endpoints[0].port = pooler.port;
    let answers = ask(&config, &queries, limit, &CancelToken::new());
    assert!(
        matches!(&answers[..], [Answer::Failed(why)] if why.contains("transaction mode")),
        "{answers:?}"
    );
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(sandbox.sql("restored", tables), "0");
    for database in ["kulti", "restored"] {
        // In this mode a session is kept as long as a transaction.
        let (mut client, found) = session(&sandbox, pooler.port, database);
        drop(client.stdin.take());
        client.wait().unwrap();
        assert!(
            found.contains("\nstatement_timeout|1min|") && found.contains("\nlock_timeout|7s|"),
            "{found}"
        );
        assert!(found.contains("\nprepared|0\n"), "{found}");
        assert!(found.contains("\nsearch_path|\"$user\", public|"), "{found}");
    }
}
