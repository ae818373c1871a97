//! Ways to disturb a backup at a moment of one's choice.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use backstay::{
    BackupError, BackupOptions, BackupReport, CancelToken, ConnectionConfig, Progress, ProgressEvent, Repository,
    StoreErrorKind,
};
use backstay_postgres::{WireConnection, find_pg_dump};
use backstay_testkit::tcp_proxy::TcpProxy;

use crate::support::{Cluster, default_installation, installation_since, programs};

/// One server for all tests that run at the same time and do not end it; each has a database of its own.
pub(crate) fn shared_cluster() -> Arc<Cluster> {
    static RUNNING: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = running.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(Cluster::start(&default_installation()));
    *running = Arc::downgrade(&cluster);
    cluster
}

/// A new database in the shared cluster, with a store of the same name.
pub(crate) fn scene(database: &str, sql: &str) -> (Arc<Cluster>, Repository) {
    scene_in(shared_cluster(), database, sql)
}

/// The same on a server that is at least of this version.
pub(crate) fn scene_since(major: u32, database: &str, sql: &str) -> (Arc<Cluster>, Repository) {
    let installation = installation_since(major);
    let cluster = if installation == default_installation() {
        shared_cluster()
    } else {
        Arc::new(Cluster::start(&installation))
    };
    scene_in(cluster, database, sql)
}

fn scene_in(cluster: Arc<Cluster>, database: &str, sql: &str) -> (Arc<Cluster>, Repository) {
    cluster.create_database(database);
    cluster.sql(database, sql);
    let repository = cluster.repository(database);
    (cluster, repository)
}

/// Progress that runs a function at each event.
pub(crate) struct Hook<F>(pub(crate) F);

impl<F: Fn(&ProgressEvent<'_>) + Sync> Progress for Hook<F> {
    fn event(&self, event: ProgressEvent<'_>) {
        (self.0)(&event);
    }
}

/// Backs a database up and runs a function at each event.
pub(crate) fn back_up_hooked(
    cluster: &Cluster,
    database: &str,
    repository: &Repository,
    with: impl FnOnce(&mut BackupOptions),
    hook: impl Fn(&ProgressEvent<'_>) + Sync,
    cancel: &CancelToken,
) -> Result<BackupReport, BackupError> {
    let mut options = BackupOptions::default();
    with(&mut options);
    backstay::back_up(
        &cluster.config(database),
        repository,
        jiff::Timestamp::now(),
        &programs(),
        &options,
        &Hook(hook),
        cancel,
    )
}

/// Takes down the notes of a backup, in which it says why it tries again.
pub(crate) fn noting(notes: &Mutex<Vec<String>>) -> impl Fn(&ProgressEvent<'_>) + Sync {
    |event| {
        if let ProgressEvent::Note(note) = event {
            notes.lock().unwrap().push((*note).to_owned());
        }
    }
}

/// A connection to a database of the cluster.
pub(crate) fn connect(cluster: &Cluster, database: &str) -> WireConnection {
    WireConnection::connect(&cluster.config(database), &CancelToken::new()).expect("a connection")
}

/// Waits until a query gives `t`.
pub(crate) fn await_truth(cluster: &Cluster, database: &str, sql: &str) {
    let mut connection = connect(cluster, database);
    for _ in 0..3000 {
        let rows = connection.query(sql.as_bytes()).expect("a query of the test");
        if rows.first().and_then(|row| row.get(0)) == Some(b"t") {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it never came to be: {sql}");
}

/// Waits until so many sessions wait for locks in a database.
pub(crate) fn await_waiting(cluster: &Cluster, database: &str, count: usize) {
    let sql = format!(
        "SELECT count(DISTINCT l.pid) >= {count} FROM pg_locks l JOIN pg_database d ON d.oid = l.database
         WHERE NOT l.granted AND d.datname = current_database()"
    );
    await_truth(cluster, database, &sql);
}

/// Ends the sessions whose process ids a query gives, waits until they are gone, and tells how many there were.
pub(crate) fn terminate(cluster: &Cluster, pids: &str) -> usize {
    // `pg_terminate_backend` itself can wait from 14 on only.
    let sql = format!("SELECT pid, pg_terminate_backend(pid) FROM ({pids}) s");
    let rows = connect(cluster, "postgres").query(sql.as_bytes()).unwrap();
    let pids = rows
        .iter()
        .map(|row| String::from_utf8_lossy(row.get(0).unwrap()).into_owned());
    let pids: Vec<String> = pids.collect();
    let gone = format!(
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ANY ('{{{}}}')",
        pids.join(",")
    );
    await_truth(cluster, "postgres", &gone);
    pids.len()
}

/// A `pg_dump` that is a shell script, with the real one's path in `$real`, `$psql`, and `$marks`, a folder to leave
/// marks in. The connection is in the environment.
pub(crate) fn scripted_pg_dump(cluster: &Cluster, name: &str, script: &str) -> PathBuf {
    let marks = cluster.path(&format!("{name}.marks"));
    std::fs::create_dir(&marks).unwrap();
    let path = cluster.path(&format!("{name}.sh"));
    let installation = cluster.server.installation();
    // The one that a backup would take: a much newer one writes what an old server does not understand.
    let real = find_pg_dump(&programs(), installation.major()).unwrap().path;
    let text = format!(
        "#!/bin/sh\nreal='{}'\npsql='{} -XAtq -v ON_ERROR_STOP=1'\nmarks='{}'\n\
         if [ \"$1\" = --version ]; then exec \"$real\" --version; fi\n{script}\n",
        real.display(),
        installation.program("psql").display(),
        marks.display(),
    );
    write_program(&path, &text);
    path
}

/// Writes a shell script that can be run.
pub(crate) fn write_program(path: &Path, text: &str) {
    // Another process writes it, because a file that this one has open cannot be run while it starts a child.
    let written = Command::new("/bin/sh")
        .args(["-c", r#"printf %s "$2" > "$1" && chmod +x "$1""#, "sh"])
        .arg(path)
        .arg(text)
        .status();
    assert!(written.unwrap().success());
}

/// The same connection by way of a proxy.
pub(crate) fn through(proxy: &TcpProxy, mut config: ConnectionConfig) -> ConnectionConfig {
    for endpoint in &mut config.endpoints {
        endpoint.port = proxy.address().port();
    }
    config
}

/// An error with everything that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Asserts that a store holds nothing at all.
pub(crate) fn assert_untouched(repository: &Repository) {
    let listing = match repository.list() {
        // A folder is made for the first byte.
        Err(error) if error.kind() == StoreErrorKind::StoreMissing => return,
        listing => listing.unwrap(),
    };
    assert!(listing.backups.is_empty(), "{listing:?}");
    let objects = repository.store().list("").unwrap();
    assert!(objects.is_empty(), "{objects:?}");
    let leftovers = repository.store().list_leftovers().unwrap();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}
