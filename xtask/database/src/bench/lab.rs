use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use backstay::{CancelToken, ConnectionConfig, SearchPath};
use backstay_postgres::{
    Authentication, Durability, Installation, PgDump, ServerOptions, ThrowawayServer, find_pg_dump,
};
use tempfile::TempDir;

use super::data::{FINGERPRINT, Filling};
use super::floor::Export;
use super::measure::{self, Sample, Success};
use super::{Facts, Options};
use crate::client::query;
use crate::failure::Failure;

/// The database that is backed up.
const SOURCE: &str = "bench";
/// The database that is restored into.
const COPY: &str = "bench_copy";
/// The database with one large table.
const LARGE: &str = "bench_large";
/// The role that does everything, also what only a superuser may: a COPY into a file of the server.
const ROLE: &str = "bench";

/// From here on `pg_dump` has more compressions than gzip.
const COMPRESSIONS_MAJOR: u32 = 16;

/// Those of a server that is not a toy, and without anything that would come in between at times of its own.
const SETTINGS: [(&str, &str); 5] = [
    ("shared_buffers", "512MB"),
    ("max_wal_size", "16GB"),
    ("checkpoint_timeout", "1d"),
    ("autovacuum", "off"),
    ("maintenance_work_mem", "128MB"),
];

/// A server with the database, the programs that are compared, and a folder for what they write.
pub(super) struct Lab {
    pub(super) options: Options,
    pub(super) backstay: PathBuf,
    /// A `pg_dump` with more compressions than the server's own.
    pub(super) newer: Option<PgDump>,
    server: ThrowawayServer,
    folder: TempDir,
    cancel: CancelToken,
    export: OnceCell<Export>,
    large: OnceCell<()>,
}

impl Lab {
    pub(super) fn start(
        programs: &Path,
        backstay: &Path,
        options: Options,
        cancel: CancelToken,
    ) -> Result<Self, Failure> {
        let installation = Installation::at(programs)?;
        let path = std::env::var_os("PATH");
        let search = SearchPath::with_usual_places(path.as_deref()).preferring(options.clients.clone());
        // It is worth a note in the output and no more where there is none.
        let newer = find_pg_dump(&search, installation.major().max(COMPRESSIONS_MAJOR)).ok();
        let temporary = std::env::temp_dir();
        let folder = tempfile::Builder::new()
            .prefix("backstay-bench-")
            .tempdir_in(&temporary)
            .map_err(Failure::to(format!("create a folder in {}", temporary.display())))?;
        let mut server = ServerOptions::new(Authentication::Trust);
        server.durability = Durability::On;
        ROLE.clone_into(&mut server.superuser);
        let setting = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        server.settings.extend(SETTINGS.map(setting));
        Ok(Self {
            backstay: backstay
                .canonicalize()
                .map_err(Failure::to(format!("find {}", backstay.display())))?,
            newer,
            server: ThrowawayServer::start(&installation, &temporary, &server)?,
            folder,
            options,
            cancel,
            export: OnceCell::new(),
            large: OnceCell::new(),
        })
    }

    pub(super) fn fill(&self) -> Result<(), Failure> {
        self.sql("postgres", &format!("CREATE DATABASE {SOURCE}"))?;
        self.filling(self.source()).application()
    }

    /// Makes the database with one large table, unless it is there.
    pub(super) fn fill_large(&self) -> Result<ConnectionConfig, Failure> {
        let config = self.config(LARGE);
        if self.large.get().is_none() {
            self.sql("postgres", &format!("CREATE DATABASE {LARGE}"))?;
            self.filling(config.clone()).large_table()?;
            self.large.get_or_init(|| ());
        }
        Ok(config)
    }

    pub(super) fn filling(&self, config: ConnectionConfig) -> Filling<'_> {
        Filling {
            installation: self.installation(),
            config,
            scale: self.options.scale,
            cancel: &self.cancel,
        }
    }

    /// The rows of the database in files of the server.
    pub(super) fn export(&self) -> Result<&Export, Failure> {
        if self.export.get().is_none() {
            let export = Export::of(&self.source(), self.options.jobs)?;
            self.export.get_or_init(|| export);
        }
        self.export
            .get()
            .ok_or_else(|| Failure::new("the rows were not exported"))
    }

    pub(super) fn facts(&self) -> Result<Facts, Failure> {
        let sizes = "SELECT sum(pg_relation_size(oid))::text || ' ' || max(pg_relation_size(oid)) \
            || ' ' || pg_database_size(current_database()) FROM pg_class \
            WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
        let sizes = self.sql(SOURCE, sizes)?;
        let mut sizes = sizes.split(' ').map(|size| size.parse().unwrap_or_default());
        let mut size = || sizes.next().unwrap_or_default();
        Ok(Facts {
            scale: self.options.scale,
            jobs: self.options.jobs,
            runs: self.options.runs,
            server: self.installation().version().to_owned(),
            newer_clients: self.newer.as_ref().map(|pg_dump| pg_dump.version.to_string()),
            settings: SETTINGS.map(|(name, value)| format!("{name}={value}")).join(" "),
            heap_bytes: size(),
            largest_heap_bytes: size(),
            database_bytes: size(),
        })
    }

    /// Leaves the server nothing to write while something is measured.
    pub(super) fn settle(&self) -> Result<(), Failure> {
        self.sql(SOURCE, "CHECKPOINT").map(drop)
    }

    pub(super) fn installation(&self) -> &Installation {
        self.server.installation()
    }

    /// The database that is backed up.
    pub(super) fn source(&self) -> ConnectionConfig {
        self.config(SOURCE)
    }

    fn config(&self, database: &str) -> ConnectionConfig {
        self.server.connection_config(database)
    }

    pub(super) fn url(config: &ConnectionConfig) -> String {
        let places: Vec<String> = config.endpoints.iter().map(ToString::to_string).collect();
        format!("postgres://{}@{}/{}", config.user, places.join(","), config.database)
    }

    /// A folder or file for what one contender writes.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name.replace([':', ' '], "-"))
    }

    /// The same, with nothing there.
    pub(super) fn empty_path(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(path),
        }
    }

    pub(super) fn measure(&self, command: &mut Command, success: Success) -> Result<Sample, Failure> {
        self.with_server(|| measure::measure(command, success, &self.cancel))
    }

    /// Adds what the server did.
    pub(super) fn with_server(&self, work: impl FnOnce() -> Result<Sample, Failure>) -> Result<Sample, Failure> {
        let cpu = || {
            // A backend ends a moment after its client.
            thread::sleep(Duration::from_millis(100));
            self.server.postmaster_pid().and_then(measure::ended_children_cpu)
        };
        let before = cpu();
        let sample = work()?;
        Ok(Sample {
            server_cpu: cpu().zip(before).map(|(after, before)| after.saturating_sub(before)),
            ..sample
        })
    }

    /// Has an empty database filled, and checks that nothing is missing in it afterwards.
    pub(super) fn measure_restore(
        &self,
        title: &str,
        restore: impl FnOnce(&ConnectionConfig) -> Result<Sample, Failure>,
    ) -> Result<Sample, Failure> {
        self.with_copy(|copy| {
            let sample = restore(copy)?;
            let (expected, found) = (self.sql(SOURCE, FINGERPRINT)?, self.sql(COPY, FINGERPRINT)?);
            if expected == found {
                Ok(sample)
            } else {
                Err(Failure::new(format!(
                    "{title} restored something else: {expected} in the source, {found} in the copy"
                )))
            }
        })
    }

    /// Does something with an empty database, which is dropped afterwards.
    pub(super) fn with_copy(
        &self,
        work: impl FnOnce(&ConnectionConfig) -> Result<Sample, Failure>,
    ) -> Result<Sample, Failure> {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {COPY}"))?;
        self.sql("postgres", &format!("CREATE DATABASE {COPY} TEMPLATE template0"))?;
        self.settle()?;
        let sample = work(&self.config(COPY))?;
        self.sql("postgres", &format!("DROP DATABASE {COPY}"))?;
        Ok(sample)
    }

    pub(super) fn stop(self) -> Result<(), Failure> {
        Ok(self.server.stop()?)
    }

    fn sql(&self, database: &str, sql: &str) -> Result<String, Failure> {
        query(self.installation(), &self.config(database), sql, &self.cancel)
    }
}

/// Bytes of all files in a folder or of one file.
pub(super) fn size(path: &Path) -> Result<u64, Failure> {
    let read = Failure::to(format!("read {}", path.display()));
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return Err(read(error)),
    };
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    let entries = fs::read_dir(path).map_err(read)?;
    entries.map(|entry| size(&entry?.path())).sum()
}
