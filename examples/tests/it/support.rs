use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use backstay::{ConnectionConfig, Repository, SearchPath};
use backstay_postgres::{Authentication, Installation, ServerOptions, ThrowawayServer};
use tempfile::TempDir;

/// A database of a small shop, and a folder for its backups.
pub(crate) struct Shop {
    server: ThrowawayServer,
    folder: TempDir,
}

const SHOP: &str = "
    CREATE TABLE product (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE sale (id int PRIMARY KEY, product_id int NOT NULL REFERENCES product, amount numeric NOT NULL);
    INSERT INTO product SELECT n, 'product ' || n FROM generate_series(1, 100) n;
    INSERT INTO sale SELECT n, 1 + n % 100, n * 1.25 FROM generate_series(1, 20000) n;";

impl Shop {
    pub(crate) fn open() -> Self {
        let installation = Installation::find_all(&programs()).into_iter().next().expect(
            "no PostgreSQL server found: run `cargo xtask test`, or install one (Debian: apt-get install postgresql)",
        );
        let options = ServerOptions::new(Authentication::Trust);
        let server = ThrowawayServer::start(&installation, &std::env::temp_dir(), &options).expect("a server starts");
        let folder = TempDir::new().expect("a temporary folder");
        let shop = Self { server, folder };
        shop.sql_in("postgres", "CREATE DATABASE shop");
        shop.sql(SHOP);
        shop
    }

    pub(crate) fn database(&self) -> ConnectionConfig {
        self.server.connection_config("shop")
    }

    /// The programs of this very server first.
    pub(crate) fn programs(&self) -> SearchPath {
        programs().preferring([self.server.installation().bin().to_owned()])
    }

    pub(crate) fn repository(&self) -> Repository {
        let folder = self.folder.path().join("backups");
        backstay_examples::repository(folder.to_str().expect("a path in UTF-8")).expect("a folder")
    }

    /// Writes a file of SQL.
    pub(crate) fn file(&self, sql: &str) -> PathBuf {
        let path = self.folder.path().join("up.sql");
        std::fs::write(&path, sql).expect("a file");
        path
    }

    /// Runs SQL and gives what `psql -At` prints.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.sql_in("shop", sql)
    }

    fn sql_in(&self, database: &str, sql: &str) -> String {
        let output = self.psql(database).args(["-c", sql]).output().expect("psql runs");
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {messages}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Keeps the sales locked against all reading, until what it gives is dropped.
    pub(crate) fn lock_sales(&self) -> Locker {
        let mut command = self.psql("shop");
        let mut psql = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql runs");
        let input = psql.stdin.as_mut().expect("a pipe");
        input
            .write_all(b"BEGIN; LOCK TABLE sale IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n")
            .expect("psql reads");
        let mut answer = String::new();
        BufReader::new(psql.stdout.take().expect("a pipe"))
            .read_line(&mut answer)
            .expect("psql answers");
        assert_eq!(answer, "locked\n");
        Locker(psql)
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(self.server.installation().program("psql"));
        let environment = self.server.connection_config(database).child_environment();
        for name in environment.remove {
            command.env_remove(name);
        }
        command.envs(environment.set);
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1"]).stdin(Stdio::null());
        command
    }
}

/// A session that has something locked.
pub(crate) struct Locker(Child);

impl Drop for Locker {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn programs() -> SearchPath {
    let named = std::env::var_os("BACKSTAY_TEST_PG_BINS").unwrap_or_default();
    backstay_examples::programs().preferring(std::env::split_paths(&named))
}
