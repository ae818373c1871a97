//! A server, and exports into memory.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use backstay_core::store::{MemoryStore, Store};
use backstay_core::{ObjectKey, Prefix};
use backstay_export::{
    Export, ExportError, ExportFormat, ExportOptions, ExportPlace, ExportRows, PublishedExport, export_data,
};
use backstay_postgres::{
    Authentication, CancelToken, ConnectionConfig, Installation, SearchPath, ServerOptions, ThrowawayServer,
};
use backstay_testkit::objects;

pub(crate) const NOW: &str = "2025-01-16T14:30:22Z";

fn installation() -> Installation {
    let named = std::env::var_os("BACKSTAY_TEST_PG_BINS").unwrap_or_default();
    let first = std::env::split_paths(&named).find(|folder| !folder.as_os_str().is_empty());
    match first {
        Some(folder) => Installation::at(&folder).expect("BACKSTAY_TEST_PG_BINS names a folder without a server"),
        None => Installation::find(&SearchPath::with_usual_places(std::env::var_os("PATH").as_deref()))
            .expect("no PostgreSQL server found: run `cargo xtask test`"),
    }
}

/// A database of a server that all tests of this process share.
pub(crate) struct Database {
    server: Arc<ThrowawayServer>,
    name: String,
}

impl Database {
    pub(crate) fn create(name: &str, sql: &str) -> Self {
        static RUNNING: Mutex<Weak<ThrowawayServer>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let server = running.upgrade().unwrap_or_else(|| {
            let options = ServerOptions::new(Authentication::Trust);
            let server = ThrowawayServer::start(&installation(), &std::env::temp_dir(), &options);
            Arc::new(server.expect("a server starts"))
        });
        *running = Arc::downgrade(&server);
        drop(running);
        let postgres = Self {
            server: Arc::clone(&server),
            name: "postgres".to_owned(),
        };
        postgres.sql(&format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
        ));
        let database = Self {
            server,
            name: name.to_owned(),
        };
        database.sql(sql);
        database
    }

    pub(crate) fn config(&self) -> ConnectionConfig {
        self.server.connection_config(&self.name)
    }

    /// What `psql` writes to standard output.
    pub(crate) fn psql(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new(self.server.installation().program("psql"));
        let environment = self.config().child_environment();
        for name in environment.remove {
            command.env_remove(name);
        }
        let output = command
            .envs(environment.set)
            .env("PGCLIENTENCODING", "UTF8")
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        String::from_utf8(self.psql(&["-c", sql]))
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// Runs exports.
    pub(crate) fn export(&self, exports: &[Export]) -> Vec<Result<PublishedExport, ExportError>> {
        self.export_cancellable(exports, &CancelToken::new()).unwrap()
    }

    pub(crate) fn export_cancellable(
        &self,
        exports: &[Export],
        cancel: &CancelToken,
    ) -> Result<Vec<Result<PublishedExport, ExportError>>, ExportError> {
        let now = NOW.parse().unwrap();
        let made = export_data(&self.config(), exports, now, &ExportOptions::default(), cancel)?;
        Ok(made.into_iter().map(|(_, made)| made).collect())
    }
}

/// A place in a store.
pub(crate) fn place(store: impl Store + 'static) -> ExportPlace {
    ExportPlace {
        store: Arc::new(store),
        folder: objects::key("exports"),
        sealer: None,
    }
}

/// An export of a query that is not compressed.
pub(crate) fn export(name: &str, query: &str, format: ExportFormat, place: &ExportPlace) -> Export {
    Export {
        name: name.parse::<Prefix>().unwrap(),
        rows: ExportRows::Query(query.to_owned()),
        format,
        compression: None,
        place: place.clone(),
    }
}

pub(crate) fn read(store: &MemoryStore, key: &ObjectKey) -> Vec<u8> {
    objects::read(store, key.as_str()).unwrap()
}

/// What a program makes of its input.
pub(crate) fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program}: {}", output.status);
    output.stdout
}

/// A Python that has `DuckDB`, which reads Parquet without us.
pub(crate) fn python_with_duckdb() -> PathBuf {
    let named = std::env::var_os("BACKSTAY_TEST_DUCKDB").filter(|named| !named.is_empty());
    named.map_or_else(|| "python3".into(), PathBuf::from)
}
