use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::catalog::CatalogStamp;
use crate::connect::{CatalogClient, connect_client};
use crate::server::tests::installation;
use crate::{Authentication, ServerOptions, ThrowawayServer};

const LOCK_WAIT: Duration = Duration::from_secs(20);

struct Server {
    server: ThrowawayServer,
    _folder: TempDir,
}

/// One server for the tests that run at the same time.
fn server() -> Arc<Server> {
    static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = running.upgrade() {
        return server;
    }
    let installation = installation();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = ServerOptions::new(Authentication::Trust);
    let server = ThrowawayServer::start(&installation, folder.path(), &options).expect("the server starts");
    let server = Arc::new(Server {
        server,
        _folder: folder,
    });
    *running = Arc::downgrade(&server);
    server
}

/// A database with the tables `first` and `second` of three rows each; `first` is locked first.
struct Scene {
    server: Arc<Server>,
    database: &'static str,
}

impl Scene {
    fn new(database: &'static str) -> Self {
        let server = server();
        let mut client = connect_client(&server.server.connection_config("postgres")).expect("a connection");
        let create = format!("CREATE DATABASE {database} TEMPLATE template0");
        client.batch_execute(&create).expect("a database");
        let scene = Self { server, database };
        scene.reset();
        scene
    }

    fn reset(&self) {
        self.sql(
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public;
             CREATE TABLE first AS SELECT generate_series(1, 3) AS x;
             CREATE TABLE second AS SELECT generate_series(1, 3) AS x; CREATE INDEX key ON second (x);
             DROP SCHEMA IF EXISTS s CASCADE; DROP SCHEMA IF EXISTS s2 CASCADE; CREATE SCHEMA s;
             CREATE TABLE s.parted (x int) PARTITION BY LIST (x);",
        );
    }

    fn config(&self) -> ConnectionConfig {
        self.server.server.connection_config(self.database)
    }

    fn client(&self) -> CatalogClient {
        connect_client(&self.config()).expect("a connection")
    }

    fn sql(&self, sql: &str) {
        self.client().batch_execute(sql).expect("SQL of the test");
    }

    fn version(&self) -> u32 {
        self.server.server.installation().major() * 10_000
    }

    fn holder(&self) -> Holder {
        Holder::connect(&self.config(), "UTF8", &CancelToken::new()).expect("a connection")
    }

    /// Waits until so many sessions wait for a lock.
    fn await_waiting(&self, count: i64) {
        let mut client = self.client();
        let sql = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
                   WHERE NOT granted AND datname = current_database()";
        while client.query_one(sql, &[]).expect("the locks").get::<_, i64>(0) < count {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Locks and takes a snapshot while `between` happens after the tables were listed and before they are locked.
    fn attempt_with(&self, between: &str) -> (Holder, Result<Result<Taken, String>, SnapshotError>) {
        let mut gate = self.client();
        gate.batch_execute("BEGIN; LOCK TABLE first").expect("a lock");
        thread::scope(|scope| {
            let attempt = scope.spawn(|| {
                let mut holder = self.holder();
                let taken = attempt(&mut holder, &mut self.client(), self.version(), LOCK_WAIT, None);
                (holder, taken)
            });
            self.await_waiting(1);
            self.sql(between);
            gate.batch_execute("COMMIT").expect("the end of the lock");
            attempt.join().expect("an attempt")
        })
    }

    /// The rows of `second` in a snapshot.
    fn rows(&self, snapshot: &str) -> i64 {
        let mut client = self.client();
        let mut transaction = import(&mut client, snapshot).expect("the snapshot");
        let row = transaction.query_one("SELECT count(*) FROM public.second", &[]);
        row.expect("a count").get(0)
    }
}

#[test]
fn what_happens_before_the_locks_is_seen_or_makes_a_new_attempt() {
    let scene = Scene::new("before");
    for (between, expected) in [
        // The snapshot comes after the locks, so it sees what was done before them.
        ("SELECT 1", Ok(3)),
        ("TRUNCATE second; INSERT INTO second VALUES (7)", Ok(1)),
        ("ALTER TABLE second ALTER x TYPE bigint", Ok(3)),
        ("CLUSTER second USING key", Ok(3)),
        ("CREATE VIEW v AS SELECT 1; CREATE TEMP TABLE mine (x int)", Ok(3)),
        ("DROP TABLE second", Err("a table was dropped")),
        ("ALTER TABLE second RENAME TO other", Err("a table was dropped")),
        ("DROP SCHEMA s CASCADE", Err("a table was dropped")),
        ("CREATE TABLE third AS SELECT 1", Err("public.third was created")),
        (
            "CREATE TABLE s.leaf PARTITION OF s.parted DEFAULT",
            Err("s.leaf was created"),
        ),
        ("DROP TABLE second; CREATE TABLE second AS SELECT 1", Ok(1)),
        // Its name belongs to something else by the time of the lock, which locks that.
        (
            "ALTER TABLE second RENAME TO other; CREATE VIEW second AS SELECT 1",
            Err("public.other was created"),
        ),
        (
            "ALTER TABLE second RENAME TO other; CREATE SEQUENCE second",
            Err("a table was dropped"),
        ),
    ] {
        scene.reset();
        let (_holder, taken) = scene.attempt_with(between);
        match (taken.expect("an attempt"), expected) {
            (Ok(taken), Ok(rows)) => assert_eq!(scene.rows(&taken.name), rows, "{between}"),
            (Err(reason), Err(expected)) => assert_eq!(reason, expected, "{between}"),
            (Ok(_), Err(expected)) => panic!("{between}: a snapshot, although {expected}"),
            (Err(reason), Ok(_)) => panic!("{between}: {reason}"),
        }
    }
}

#[test]
fn what_happens_after_the_locks_is_kept_out_or_makes_a_new_attempt() {
    let scene = Scene::new("after");
    let mut client = scene.client();
    let mut holder = scene.holder();
    assert_eq!(
        holder.lock(&mut client, LOCK_WAIT, None).expect("locks"),
        Locking::Locked
    );
    for locked_out in [
        "TRUNCATE second",
        "DROP TABLE second",
        "ALTER TABLE second ALTER x TYPE bigint",
        "VACUUM FULL second",
        "ALTER TABLE second RENAME TO other",
    ] {
        let mut other = scene.client();
        other.batch_execute("SET lock_timeout = '50ms'").expect("a setting");
        let error = other.batch_execute(locked_out).expect_err("the lock is held");
        assert_eq!(
            error.code().map(postgres::error::SqlState::code),
            Some("55P03"),
            "{locked_out}"
        );
    }
    scene.sql("INSERT INTO second VALUES (4); CREATE TABLE third AS SELECT 1");
    let name = holder.export().expect("a snapshot");
    scene.sql("DELETE FROM second; CREATE TABLE fourth AS SELECT 1");
    assert_eq!(scene.rows(&name), 4);
    let mut transaction = import(&mut client, &name).expect("the snapshot");
    let relations = read_relations(&mut transaction, scene.version()).expect("the relations");
    let difference = holder.difference(&relations);
    assert_eq!(difference.as_deref(), Some("public.third was created"));
}

/// Why the locks come first: the other way round a truncated table reads as empty, and nothing says so but the storage.
#[test]
fn a_snapshot_before_the_locks_reads_a_truncated_or_rewritten_table_as_empty() {
    let scene = Scene::new("reason");
    for change in [
        "TRUNCATE second; INSERT INTO second VALUES (7)",
        "ALTER TABLE second ALTER x TYPE bigint",
    ] {
        scene.reset();
        let mut holder = scene.holder();
        holder
            .execute("begin", b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .expect("a transaction");
        let name = holder.export().expect("a snapshot");
        scene.sql(change);
        holder
            .execute("lock", b"LOCK TABLE public.first, public.second IN ACCESS SHARE MODE")
            .expect("locks");
        assert_eq!(scene.rows(&name), 0, "{change}: had three rows, and has some now");

        let mut client = scene.client();
        holder.locked = locks_of(&mut client, holder.pid).expect("the locks");
        let mut transaction = import(&mut client, &name).expect("the snapshot");
        let relations = read_relations(&mut transaction, scene.version()).expect("the relations");
        assert_eq!(
            holder.difference(&relations).as_deref(),
            Some("public.second was truncated, rewritten or dropped"),
            "{change}"
        );
    }
}

#[test]
fn who_keeps_a_table_locked_is_named() {
    let scene = Scene::new("named");
    let mut other = scene.client();
    other
        .batch_execute("BEGIN; LOCK TABLE second IN ACCESS EXCLUSIVE MODE")
        .expect("a lock");
    let mut holder = scene.holder();
    let wait = Duration::from_millis(300);
    let error = attempt(&mut holder, &mut scene.client(), scene.version(), wait, None)
        .map(drop)
        .expect_err("it is locked");
    let SnapshotError::Locked { waited, blockers, .. } = error else {
        panic!("{error:?}")
    };
    let pid: i32 = other.query_one("SELECT pg_backend_pid()", &[]).expect("its id").get(0);
    assert_eq!(waited, wait);
    assert_eq!(
        blockers,
        format!(
            "process {pid} of postgres has an exclusive lock on public.second \
             (BEGIN; LOCK TABLE second IN ACCESS EXCLUSIVE MODE)"
        )
    );
    other.batch_execute("COMMIT").expect("the end of the lock");
    let taken = attempt(&mut holder, &mut scene.client(), scene.version(), wait, None).expect("an attempt");
    assert!(taken.is_ok(), "the holder is fit for another attempt");
}

/// Two sessions that lock the same tables in another order: one is thrown out by the server, and if it is the holder it
/// tries again.
#[test]
fn a_deadlock_makes_a_new_attempt() {
    let scene = Scene::new("deadlock");
    let mut other = scene.client();
    other
        .batch_execute("SET deadlock_timeout = '1h'; BEGIN; LOCK TABLE second")
        .expect("a lock");
    thread::scope(|scope| {
        let attempt = scope.spawn(|| {
            let mut holder = scene.holder();
            attempt(&mut holder, &mut scene.client(), scene.version(), LOCK_WAIT, None)
        });
        scene.await_waiting(1);
        other
            .batch_execute("LOCK TABLE first; COMMIT")
            .expect("the other one wins");
        let taken = attempt.join().expect("an attempt").expect("no error");
        assert_eq!(taken.err().as_deref(), Some("the locks met those of somebody else"));
    });
}

#[test]
fn measuring_does_not_wait_behind_those_who_wait_for_the_holder() {
    let scene = Scene::new("measure");
    let mut holder = scene.holder();
    let mut client = scene.client();
    assert_eq!(
        holder.lock(&mut client, LOCK_WAIT, None).expect("locks"),
        Locking::Locked
    );
    thread::scope(|scope| {
        let waiting = scope.spawn(|| scene.sql("ALTER TABLE second ADD COLUMN y int"));
        scene.await_waiting(1);
        let name = holder.export().expect("a snapshot");
        let mut transaction = import(&mut client, &name).expect("the snapshot");
        let relations = read_relations(&mut transaction, scene.version()).expect("the relations");
        let second = relations
            .iter()
            .find(|r| r.name.as_bytes() == b"second")
            .expect("it is there");
        let sizes = holder.sizes().expect("the sizes");
        assert_eq!(sizes.get(&second.oid), Some(&RelationSize { pages: 1, bytes: 8192 }));
        let who = holder.waiting().expect("the locks").expect("somebody waits");
        assert!(
            who.contains("waits for") && who.contains("ALTER TABLE second ADD COLUMN y int"),
            "{who}"
        );
        drop(transaction);
        holder.release().expect("the end");
        waiting.join().expect("the definition changes then");
    });
}

#[test]
fn a_role_locks_what_it_may_read() {
    let scene = Scene::new("role");
    scene.sql(
        "GRANT USAGE ON SCHEMA public TO PUBLIC; CREATE ROLE reader LOGIN; GRANT SELECT ON first TO reader; CREATE SCHEMA closed;
         CREATE TABLE closed.t AS SELECT 1; GRANT SELECT ON closed.t TO reader",
    );
    let mut config = scene.config();
    config.user = "reader".to_owned();
    let mut holder = Holder::connect(&config, "UTF8", &CancelToken::new()).expect("a connection");
    let mut client = connect_client(&config).expect("a connection");
    let taken = attempt(&mut holder, &mut client, scene.version(), LOCK_WAIT, None).expect("an attempt");
    let relations = taken.map_err(|reason| panic!("{reason}")).map(|taken| taken.relations);
    let readable = |name: &[u8]| {
        relations
            .iter()
            .flatten()
            .any(|r| r.name.as_bytes() == name && r.readable)
    };
    assert!(readable(b"first") && !readable(b"second") && !readable(b"t"));
}

#[test]
fn a_table_that_is_gone_by_now_is_not_one_that_may_not_be_read() {
    let scene = Scene::new("gone");
    let mut client = scene.client();
    let mut snapshot = client
        .build_transaction()
        .isolation_level(postgres::IsolationLevel::RepeatableRead)
        .start()
        .expect("a transaction");
    snapshot.batch_execute("SELECT 1").expect("a snapshot");
    scene.sql("DROP TABLE second");
    let relations = read_relations(&mut snapshot, scene.version()).expect("the relations");
    let second = relations.iter().find(|relation| relation.name.as_bytes() == b"second");
    assert!(second.is_some_and(|second| second.readable && !second.storage_is_current));
}

#[test]
fn a_stamp_sees_changes_of_what_is_in_the_snapshot_and_nothing_else() {
    let scene = Scene::new("stamp");
    for (change, expected) in [
        ("SELECT 1", None),
        (
            "INSERT INTO second VALUES (9); ANALYZE second; VACUUM second; VACUUM FREEZE pg_class",
            None,
        ),
        (
            "CREATE TEMP TABLE t (x int PRIMARY KEY); CREATE TABLE third (x int); CREATE VIEW w AS SELECT 1",
            None,
        ),
        (
            "COMMENT ON FUNCTION f() IS 'pg_dump reads comments in the snapshot'",
            None,
        ),
        (
            "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
            Some("function f()"),
        ),
        ("CREATE OR REPLACE VIEW v AS SELECT 2 AS x", Some("view v")),
        ("ALTER VIEW v RENAME x TO y", Some("view v")),
        ("ALTER TABLE second ALTER x SET DEFAULT 7", Some("table second")),
        ("ALTER TABLE second ADD CHECK (x > 0) NOT VALID", Some("table second")),
        ("CREATE INDEX ON second (x)", Some("table second")),
        (
            "CREATE STATISTICS st (dependencies) ON x, y FROM wide",
            Some("table wide"),
        ),
        ("CREATE POLICY p ON second", Some("table second")),
        (
            "CREATE TRIGGER t BEFORE UPDATE ON second FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            Some("table second"),
        ),
        ("ALTER TYPE mood ADD VALUE 'glad'", Some("type mood")),
        ("ALTER DOMAIN d ADD CHECK (VALUE > 0)", Some("type d")),
        ("ALTER SCHEMA s RENAME TO s2", Some("schema s2")),
        ("DROP FUNCTION f()", Some("something was dropped")),
        ("DROP VIEW v", Some("something was dropped")),
    ] {
        scene.reset();
        scene.sql(
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT 1 AS x;
             CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN d AS int; CREATE TABLE wide (x int, y int)",
        );
        let (mut before, mut after) = (scene.client(), scene.client());
        let mut snapshot = before
            .build_transaction()
            .isolation_level(postgres::IsolationLevel::RepeatableRead)
            .start()
            .expect("a transaction");
        let stamp = CatalogStamp::take(&mut snapshot).expect("a stamp");
        for statement in change.split("; ") {
            scene.sql(statement);
        }
        assert_eq!(
            CatalogStamp::take(&mut snapshot).expect("a stamp"),
            stamp,
            "{change}: the snapshot stays"
        );
        let mut now = after.transaction().expect("a transaction");
        let later = CatalogStamp::take(&mut now).expect("a stamp");
        let found = stamp.change(&later, &mut now).expect("a look");
        let found = found.as_deref();
        match expected {
            None => assert_eq!(found, None, "{change}"),
            Some(expected) => assert!(
                found.is_some_and(|found| found.contains(expected)),
                "{change}: {found:?}"
            ),
        }
    }
}
