use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use backstay::{
    Archive, BackupOptions, BackupReader, BackupReport, CancelToken, CheckOptions, ConnectionConfig, Platform,
    PlatformChoice, Progress, Repository, RestoreOptions, SearchPath, Severity, TargetPolicy, WhenMissing,
};
use backstay_postgres::{Authentication, Installation, ServerOptions, ThrowawayServer};
use indicatif::{HumanBytes, HumanCount};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::client::{client, output, pipe, query};
use crate::failure::Failure;
use crate::interrupt;
use crate::progress::{self, Shown};

/// Files of the sample with the roles that run them, in the order that the head of the first one gives.
const SAMPLE: [(&str, &str); 4] = [
    ("10-platform.sql", SUPERUSER),
    ("20-realtime.sql", SUPERUSER),
    ("40-kulti.sql", OWNER),
    ("41-kulti-data.sql", OWNER),
];
/// The platform's superuser, whom a customer cannot be.
const SUPERUSER: &str = "supabase_admin";
/// The customer's role, which is no superuser.
const OWNER: &str = "postgres";

/// How many of them the sample is made with.
const USERS: u32 = 2000;

const SOURCE: &str = "postgres";
const RESTORED: &str = "restored_by_backstay";
const RESTORED_BY_PSQL: &str = "restored_by_psql";

/// More workers than this do not make a small database faster.
const JOBS_MAX: usize = 4;

/// Backs up, verifies, restores and compares a sample database on a server that is gone afterwards, and says so step
/// by step. It fails if anything is different.
pub(crate) fn run(programs: &Path) -> Result<(), Failure> {
    let cancel = interrupt::watch()?;
    let begun = Instant::now();
    // Server and files are gone when this returns, whatever it returns.
    let outcome = Demo::start(programs, cancel.clone()).and_then(Demo::run);
    let differences = match outcome {
        Err(_) if cancel.is_cancelled() => return Err(Failure::new("cancelled; everything was removed")),
        other => other?,
    };
    if differences.is_empty() {
        println!(
            "\nNothing differs. Server, databases and backup are removed; it took {:.1} s in all.",
            begun.elapsed().as_secs_f64()
        );
        Ok(())
    } else {
        Err(Failure::new(format!("\nTHIS DIFFERS:\n{}", differences.join("\n"))))
    }
}

struct Demo {
    server: ThrowawayServer,
    folder: TempDir,
    programs: SearchPath,
    jobs: usize,
    shown: Box<dyn Shown>,
    cancel: CancelToken,
}

impl Demo {
    fn start(programs: &Path, cancel: CancelToken) -> Result<Self, Failure> {
        let installation = Installation::at(programs)?;
        let begun = Instant::now();
        let mut options = ServerOptions::new(Authentication::Trust);
        SUPERUSER.clone_into(&mut options.superuser);
        let temporary = std::env::temp_dir();
        let folder = tempfile::Builder::new()
            .prefix("backstay-demo-")
            .tempdir_in(&temporary)
            .map_err(Failure::to(format!("create a folder in {}", temporary.display())))?;
        let server = ThrowawayServer::start(&installation, &temporary, &options)?;
        let version = installation.version();
        let place = installation.bin().display();
        line(
            "server",
            &format!("PostgreSQL {version} of {place}, to be thrown away"),
            begun,
        );
        let path = std::env::var_os("PATH");
        Ok(Self {
            server,
            folder,
            programs: SearchPath::with_usual_places(path.as_deref()).preferring([installation.bin().to_owned()]),
            jobs: thread::available_parallelism().map_or(1, NonZero::get).min(JOBS_MAX),
            shown: progress::shown(),
            cancel,
        })
    }

    /// Gives what differs; nothing is expected to.
    fn run(self) -> Result<Vec<String>, Failure> {
        let mut differences = Vec::new();
        self.load(USERS)?;
        let repository = self.repository()?;
        let made = self.back_up(&repository)?;
        let backup = repository.open(&made.published.manifest.id)?;
        differences.extend(self.verify(&backup)?);
        differences.extend(self.restore(&backup)?);
        differences.extend(self.compare(&backup, RESTORED)?);
        self.restore_by_psql(&made)?;
        differences.extend(self.compare(&backup, RESTORED_BY_PSQL)?);
        self.server.stop()?;
        Ok(differences)
    }

    fn config(&self, role: &str, database: &str) -> ConnectionConfig {
        ConnectionConfig {
            user: role.to_owned(),
            ..self.server.connection_config(database)
        }
    }

    fn load(&self, users: u32) -> Result<(), Failure> {
        let begun = Instant::now();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/supabase");
        for (file, role) in SAMPLE {
            let mut psql = client(self.server.installation().program("psql"), &self.config(role, SOURCE));
            psql.args(["-Xq", "-v", "ON_ERROR_STOP=1", "-v"])
                .arg(format!("rows={users}"))
                .arg("-f")
                .arg(folder.join(file));
            output(&mut psql, &self.cancel)?;
        }
        let size = "SELECT pg_catalog.pg_size_pretty(pg_catalog.pg_database_size(current_database()))";
        let size = query(
            self.server.installation(),
            &self.config(SUPERUSER, SOURCE),
            size,
            &self.cancel,
        )?;
        line(
            "sample",
            &format!("Kulti with {users} users on the roles of a Supabase project: {size}"),
            begun,
        );
        Ok(())
    }

    fn repository(&self) -> Result<Repository, Failure> {
        let location = format!("file:{}", self.store_folder().display());
        Ok(Repository::new(backstay::open_store(&location, WhenMissing::Create)?))
    }

    fn store_folder(&self) -> PathBuf {
        self.folder.path().join("backups")
    }

    fn back_up(&self, repository: &Repository) -> Result<BackupReport, Failure> {
        let begun = Instant::now();
        let mut options = BackupOptions::default();
        options.prefix = Some("kulti".parse()?);
        options.source.jobs = self.jobs;
        // All of it is wanted on the copy, also what a platform would make by itself.
        options.source.platform = PlatformChoice::Is(Platform::Plain);
        let made = backstay::back_up(
            &self.config(OWNER, SOURCE),
            repository,
            Timestamp::now(),
            &self.programs,
            &options,
            self.progress(),
            &self.cancel,
        );
        self.shown.clear();
        let made = made?;
        let manifest = &made.published.manifest;
        line(
            "backup",
            &format!(
                "{}: {} rows of {} tables, {} of COPY text in {}, by role {OWNER} with {} connections",
                made.published.pack,
                HumanCount(manifest.row_count()),
                manifest.tables.len(),
                HumanBytes(manifest.text_bytes()),
                HumanBytes(made.published.bytes),
                self.jobs
            ),
            begun,
        );
        for omission in &manifest.omissions {
            println!("{:12} left out: {}: {}", "", omission.subject, omission.reason);
        }
        Ok(made)
    }

    fn verify(&self, backup: &BackupReader) -> Result<Vec<String>, Failure> {
        let begun = Instant::now();
        let mut options = CheckOptions::default();
        options.jobs = self.jobs;
        let archive = Archive::Backup(backup.clone());
        let report = backstay::verify(&archive, &options, self.progress(), &self.cancel);
        self.shown.clear();
        let report = report?;
        let rows = report.counts.rows.unwrap_or_default();
        line(
            "verify",
            &format!(
                "level {}: {} members and {} rows read, {} errors, {} warnings",
                report.level,
                HumanCount(report.counts.members),
                HumanCount(rows),
                report.count(Severity::Error),
                report.count(Severity::Warning)
            ),
            begun,
        );
        let mut differences = Vec::new();
        if !report.is_sound() {
            differences.push(report.render());
        }
        Ok(differences)
    }

    fn restore(&self, backup: &BackupReader) -> Result<Vec<String>, Failure> {
        let begun = Instant::now();
        let mut options = RestoreOptions::default();
        options.target = TargetPolicy::Create;
        options.platform = PlatformChoice::Is(Platform::Plain);
        options.jobs = self.jobs;
        let target = self.config(SUPERUSER, RESTORED);
        let plan = backstay::plan_restore(backup, &target, &options)?;
        let report = backstay::restore(backup, &plan, &target, self.progress(), &self.cancel);
        self.shown.clear();
        let report = report?;
        line(
            "restore",
            &format!(
                "into {RESTORED}: {} rows, {} objects, with {} connections",
                HumanCount(report.rows),
                HumanCount(report.entries),
                self.jobs
            ),
            begun,
        );
        Ok(report
            .failures
            .iter()
            .map(|failure| format!("not restored: {failure}"))
            .collect())
    }

    /// Restores the pack with nothing of Backstay.
    fn restore_by_psql(&self, made: &BackupReport) -> Result<(), Failure> {
        let begun = Instant::now();
        let installation = self.server.installation();
        let create = format!("CREATE DATABASE {RESTORED_BY_PSQL} TEMPLATE template0");
        query(installation, &self.config(SUPERUSER, SOURCE), &create, &self.cancel)?;
        let pack = self.store_folder().join(made.published.pack.as_str());
        let mut gunzip = Command::new("gunzip");
        gunzip.arg("--stdout").arg(pack).stdin(Stdio::null());
        let mut psql = client(installation.program("psql"), &self.config(SUPERUSER, RESTORED_BY_PSQL));
        pipe(&mut gunzip, psql.arg("-Xq"), &self.cancel)?;
        line(
            "by hand",
            &format!("gunzip -c {} | psql {RESTORED_BY_PSQL}", made.published.pack),
            begun,
        );
        Ok(())
    }

    /// Reads every row of a copy again and compares it with the backup, and the definitions with the source's.
    fn compare(&self, backup: &BackupReader, copy: &str) -> Result<Vec<String>, Failure> {
        let begun = Instant::now();
        let target = self.config(SUPERUSER, copy);
        let proof = backstay::prove(backup, &target, self.jobs, self.progress(), &self.cancel);
        self.shown.clear();
        let proof = proof?;
        let mut differences: Vec<String> = proof
            .mismatches
            .iter()
            .map(|mismatch| {
                format!(
                    "{copy}: {}: {} in the backup, {} there",
                    mismatch.what, mismatch.expected, mismatch.found
                )
            })
            .collect();
        let (source, target) = (self.definitions(SOURCE)?, self.definitions(copy)?);
        let different = first_difference(&source, &target);
        differences.extend(different.map(|lines| format!("{copy}: the definitions differ:\n{lines}")));
        line(
            if differences.is_empty() { "proof" } else { "NO PROOF" },
            &format!(
                "{copy}: {} rows of {} tables, {} sequences, {} lines of definitions: {}",
                HumanCount(proof.rows),
                proof.tables,
                proof.sequences,
                HumanCount(target.len() as u64),
                if differences.is_empty() { "equal" } else { "NOT EQUAL" }
            ),
            begun,
        );
        Ok(differences)
    }

    /// The definitions of a database as `pg_dump` prints them, without what differs from run to run.
    fn definitions(&self, database: &str) -> Result<Vec<String>, Failure> {
        let mut pg_dump = client(
            self.server.installation().program("pg_dump"),
            &self.config(SUPERUSER, database),
        );
        pg_dump.arg("--schema-only");
        let printed = output(&mut pg_dump, &self.cancel)?;
        Ok(String::from_utf8_lossy(&printed)
            .lines()
            .filter(|line| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict "))
            .map(str::to_owned)
            .collect())
    }

    fn progress(&self) -> &dyn Progress {
        &*self.shown
    }
}

/// Tells of one step when it is done.
fn line(step: &str, what: &str, begun: Instant) {
    println!("{step:10} {:6.2} s  {what}", begun.elapsed().as_secs_f64());
}

/// The first lines in which two texts differ.
fn first_difference(left: &[String], right: &[String]) -> Option<String> {
    let end = "(nothing)".to_owned();
    let index = (0..left.len().max(right.len())).find(|&index| left.get(index) != right.get(index))?;
    let at = |lines: &[String]| lines.get(index).unwrap_or(&end).clone();
    Some(format!("line {}:\n- {}\n+ {}", index + 1, at(left), at(right)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation() -> Installation {
        let named = std::env::var_os("BACKSTAY_TEST_PG_BINS").unwrap_or_default();
        let path = std::env::var_os("PATH");
        let search = SearchPath::with_usual_places(path.as_deref()).preferring(std::env::split_paths(&named));
        Installation::find(&search)
            .expect("no PostgreSQL server: run `cargo xtask test`, or install one (Debian: apt-get install postgresql)")
    }

    #[test]
    fn the_demonstration_finds_nothing_different_until_something_is() {
        let demo = Demo::start(installation().bin(), CancelToken::new()).unwrap();
        demo.load(50).unwrap();
        let repository = demo.repository().unwrap();
        let made = demo.back_up(&repository).unwrap();
        let backup = repository.open(&made.published.manifest.id).unwrap();
        assert_eq!(demo.verify(&backup).unwrap(), [""; 0]);
        assert_eq!(demo.restore(&backup).unwrap(), [""; 0]);
        demo.restore_by_psql(&made).unwrap();

        for (copy, change) in [
            (
                RESTORED,
                "UPDATE public.users SET bio = bio || '.' WHERE username = 'user_7'",
            ),
            (RESTORED_BY_PSQL, "DROP INDEX auth.users_email_partial_key"),
        ] {
            assert_eq!(demo.compare(&backup, copy).unwrap(), [""; 0]);
            let config = demo.config(SUPERUSER, copy);
            query(demo.server.installation(), &config, change, &demo.cancel).unwrap();
            let differences = demo.compare(&backup, copy).unwrap();
            assert_eq!(differences.len(), 1, "after {change}: {differences:?}");
        }
    }

    #[test]
    fn the_first_difference_is_found() {
        let check = |left: &[&str], right: &[&str], expected: Option<&str>| {
            let owned = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
            let found = first_difference(&owned(left), &owned(right));
            assert_eq!(found.as_deref(), expected);
        };
        check(&["a", "b"], &["a", "b"], None);
        check(&["a", "b"], &["a", "c"], Some("line 2:\n- b\n+ c"));
        check(&["a"], &["a", "b"], Some("line 2:\n- (nothing)\n+ b"));
        check(&["a"], &[], Some("line 1:\n- a\n+ (nothing)"));
    }
}
