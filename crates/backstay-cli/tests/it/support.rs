//! A folder to run the program in, with a server beside it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use backstay::{Repository, WhenMissing};
use backstay_postgres::{Authentication, Installation, SearchPath, Secret, ServerOptions, ThrowawayServer};
use tempfile::TempDir;

use crate::normalise::normalise;

/// The superuser's password; no output may ever have it.
pub(crate) const PASSWORD: &str = "Sesam-4711-hunter2";

/// Tables with rows, an index, a policy, a large object, a sequence, an unlogged table and a view.
const SAMPLE: &str = "
    CREATE SCHEMA app;
    CREATE TABLE app.users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
    CREATE INDEX users_name ON app.users (name);
    ALTER TABLE app.users ENABLE ROW LEVEL SECURITY;
    CREATE POLICY everybody ON app.users USING (true);
    INSERT INTO app.users (name) SELECT 'user ' || i FROM generate_series(1, 1000) i;
    CREATE TABLE app.orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES app.users, sum numeric);
    INSERT INTO app.orders SELECT i, 1 + i % 1000, i * 1.5 FROM generate_series(1, 2000) i;
    CREATE TABLE public.empty ();
    CREATE UNLOGGED TABLE public.cache (key text);
    INSERT INTO public.cache VALUES ('a'), ('b');
    CREATE VIEW app.totals AS SELECT user_id, sum(sum) FROM app.orders GROUP BY user_id;
    SELECT lo_from_bytea(4242, 'a large object');
";

/// A server, and the folder that the program runs in.
pub(crate) struct Sandbox {
    pub(crate) server: ThrowawayServer,
    folder: TempDir,
}

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Where PostgreSQL's programs are: first what the test command names, then the usual places.
pub(crate) fn programs() -> SearchPath {
    let named = std::env::var_os("BACKSTAY_TEST_PG_BINS").unwrap_or_default();
    SearchPath::with_usual_places(std::env::var_os("PATH").as_deref()).preferring(std::env::split_paths(&named))
}

impl Sandbox {
    /// A server with an empty database `kulti`.
    pub(crate) fn start() -> Self {
        let installation = Installation::find_all(&programs()).into_iter().next().expect(
            "no PostgreSQL server found: run `cargo xtask test`, or install one (Debian: apt-get install postgresql)",
        );
        let options = ServerOptions::new(Authentication::Scram(Secret::new(PASSWORD)));
        let server = ThrowawayServer::start(&installation, &std::env::temp_dir(), &options).expect("a server starts");
        let sandbox = Self {
            server,
            folder: TempDir::new().expect("a temporary folder"),
        };
        sandbox.sql("postgres", "CREATE DATABASE kulti");
        sandbox
    }

    /// A server as Supabase makes it, in whose database `postgres` the role of that name is no superuser; with stand-ins for
    /// what the platform adds to PostgreSQL.
    pub(crate) fn of_supabase() -> Self {
        let installation = Installation::find_all(&programs())
            .into_iter()
            .next()
            .expect("a server, 15 or later");
        let mut options = ServerOptions::new(Authentication::Scram(Secret::new(PASSWORD)));
        "supabase_admin".clone_into(&mut options.superuser);
        let server = ThrowawayServer::start(&installation, &std::env::temp_dir(), &options).expect("a server starts");
        let sandbox = Self {
            server,
            folder: TempDir::new().expect("a temporary folder"),
        };
        for file in ["10-platform.sql", "20-realtime.sql", "30-services.sql"] {
            sandbox.sql_file_as("supabase_admin", file);
        }
        let password = format!("ALTER ROLE postgres PASSWORD '{PASSWORD}'");
        let mut command = sandbox.client("psql", "postgres");
        let output = fed(command.env("PGUSER", "supabase_admin").args(["-Xqf", "-"]), &password);
        assert!(output.status.success(), "{output:?}");
        sandbox
    }

    /// Runs a file of the sample of a project.
    pub(crate) fn sql_file_as(&self, user: &str, file: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/supabase");
        let mut command = self.client("psql", "postgres");
        command
            .env("PGUSER", user)
            .args(["-Xq", "-v", "ON_ERROR_STOP=1", "-v", "rows=50", "-f"]);
        let output = command.arg(folder.join(file)).output().expect("psql runs");
        assert!(
            output.status.success(),
            "{file}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A server with the sample in the database `kulti`.
    pub(crate) fn with_sample() -> Self {
        let sandbox = Self::start();
        sandbox.sql("kulti", SAMPLE);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path as an argument.
    pub(crate) fn argument(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path of text").to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file is written");
    }

    /// The store in a folder of the sandbox.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        Repository::new(backstay::open_store(&self.argument(name), WhenMissing::Create).expect("a store"))
    }

    /// Names of what is in a folder of the sandbox but log and proofs, sorted; none where it is missing.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("a name of text")
            })
            .collect();
        names.retain(|name| name != "log" && !name.contains(".proof-"));
        names.sort();
        names
    }

    /// The one file in a folder that ends so.
    pub(crate) fn file_ending(&self, folder: &str, ending: &str) -> PathBuf {
        let names = self.files(folder);
        let mut fitting = names.iter().filter(|name| name.ends_with(ending));
        match (fitting.next(), fitting.next()) {
            (Some(name), None) => self.path(folder).join(name),
            _ => panic!("not one {ending} in {names:?}"),
        }
    }

    /// A URL of a database, without the password, which is in the environment.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.server.port())
    }

    /// Writes a program in the language of the shell.
    ///
    /// A process of its own writes it: a file that this process has open for writing cannot be run while another test
    /// starts a child, which has the file open for a moment too.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        let path = self.argument(name);
        let write = r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod +x "$1""#;
        let status = Command::new("/bin/sh").args(["-c", write, "sh", &path, text]).status();
        assert!(status.expect("a shell runs").success());
        path
    }

    /// The program in an environment that says where the server is, and nothing else.
    pub(crate) fn backstay<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.backstay_in_empty_environment(arguments);
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.server.port().to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", "kulti")
            .env("PGPASSWORD", PASSWORD);
        command
    }

    /// The program in an environment that tells only where programs are.
    pub(crate) fn backstay_in_empty_environment<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
        command
            .args(arguments)
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.server.installation().bin().display()),
            )
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program as [`Sandbox::backstay`] would.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.backstay(arguments))
    }

    /// Runs the program, which must succeed.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        run
    }

    /// What a run gave, without what differs from run to run.
    pub(crate) fn shown(&self, run: &Run) -> String {
        let installation = self.server.installation();
        let version = self.sql("postgres", "SHOW server_version");
        let major = installation.major();
        let packages = [
            (format!("version {major}"), "version [MAJOR]"),
            (format!("postgresql-client-{major}"), "postgresql-client-[MAJOR]"),
            (format!("postgresql{major}"), "postgresql[MAJOR]"),
            (format!("postgresql@{major}"), "postgresql@[MAJOR]"),
        ];
        let known = [
            (self.argument(""), "[FOLDER]/"),
            (installation.bin().display().to_string(), "[BIN]"),
            (
                format!("({})", version.split(' ').next().unwrap_or_default()),
                "([VERSION])",
            ),
            (
                format!("pg_dump {}", version.split(' ').next().unwrap_or_default()),
                "pg_dump [VERSION]",
            ),
            (version, "[VERSION]"),
            (self.server.port().to_string(), "[PORT]"),
        ];
        let known: Vec<(String, &str)> = known.into_iter().chain(packages).collect();
        let code = run.code.map_or_else(|| "signal".to_owned(), |code| code.to_string());
        let mut text = String::new();
        for (name, part) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
            if !part.is_empty() {
                text.push_str(&format!("--- {name}\n{}", normalise(part, &known)));
            }
        }
        format!("{text}--- exit {code}\n")
    }

    /// Runs the program and shows the command too, for snapshots of several runs.
    pub(crate) fn session(&self, commands: &[&[&str]]) -> String {
        let runs = commands.iter().map(|arguments| {
            let run = self.run(arguments);
            let line = Run {
                stdout: format!("$ backstay {}\n", arguments.join(" ")),
                stderr: String::new(),
                code: None,
            };
            let line = self.shown(&line);
            let line = line
                .trim_start_matches("--- stdout\n")
                .trim_end_matches("--- exit signal\n");
            format!("{line}{}", self.shown(&run))
        });
        runs.collect::<Vec<_>>().join("\n")
    }

    /// Runs SQL and gives what psql prints.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let mut command = self.client("psql", database);
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        let output = fed(&mut command, sql);
        assert!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A client program of the server's own version.
    pub(crate) fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.server.installation().program(program));
        command
            .env_clear()
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.server.port().to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", database)
            .env("PGPASSWORD", PASSWORD);
        command
    }
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().expect("the program runs"))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let run = Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        };
        assert!(
            !run.stdout.contains(PASSWORD) && !run.stderr.contains(PASSWORD),
            "the password was shown: {run:?}"
        );
        run
    }
}

/// Runs a command with a text as its standard input.
pub(crate) fn fed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    // Whether everything was read shows in the status.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    output
}

/// What a compressed file holds.
pub(crate) fn unpacked(path: &Path) -> Vec<u8> {
    let output = Command::new("gzip").arg("-dc").arg(path).output().expect("gzip runs");
    assert!(output.status.success(), "{}", path.display());
    output.stdout
}
