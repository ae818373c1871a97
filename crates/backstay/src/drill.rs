//! Drills: a backup is restored where nothing else is, and examined, so that the day on which it is needed is not the first.

mod findings;
mod place;
mod report;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use backstay_core::manifest::MemberContent;
use backstay_core::repository::BackupReader;
use backstay_postgres::{
    CancelToken, ConnectionConfig, ExamineOptions, Keep, Prove, RestoreOptions, RestorePlan, RestoreReport, SearchPath,
    Surroundings, TargetError, TargetPolicy, ThrowawayError, examine_copy, find_pg_dump, prove_copy,
};
use backstay_verify::{Rules, VerifyError};
use jiff::Timestamp;

use crate::checks::ask_checks;
use crate::progress::{Phase, Progress, ProgressEvent};
use crate::restore::{Observer, Source, reading_ahead};
use crate::verify::{Archive, CheckOptions, verify};

use findings::Findings;
use place::Place;
pub use report::{DrillReport, DrillTimes, note_drill};
use watch::Watch;

/// Where a drill restores into. Whatever it is, nothing of it is left behind the drill.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth way")]
pub enum DrillTarget {
    /// A server that is started for it, in a new folder below this one, which must exist and belong to drills of this user.
    Throwaway {
        /// The folder.
        folder: PathBuf,
    },
    /// A database that is made for it on this server, with a name of its own. The database of the connection does not matter.
    NewDatabase(ConnectionConfig),
    /// A database that is there and empty. It is emptied behind the drill.
    Database(ConnectionConfig),
}

/// How a drill goes; every default is safe.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DrillOptions {
    /// Connections that work at the same time.
    pub jobs: usize,
    /// Whether objects get their owners.
    pub owners: Keep,
    /// Whether grants are restored.
    pub privileges: Keep,
    /// Of these the queries for the restored database count, and the time in which it must be there.
    pub rules: Rules,
    /// How long it may take to have the database back, in place of what the rules say: see [`DrillTimes::recovery`].
    pub recovery_limit: Option<Duration>,
    /// How long each query may take.
    pub check_limit: Duration,
    /// The time, for exemptions; without it none counts.
    pub now: Option<Timestamp>,
}

impl Default for DrillOptions {
    /// Everything, by two connections; no rules, a minute for each query.
    fn default() -> Self {
        Self {
            jobs: 2,
            owners: Keep::Yes,
            privileges: Keep::Yes,
            rules: Rules::default(),
            recovery_limit: None,
            check_limit: Duration::from_secs(60),
            now: None,
        }
    }
}

/// What a drill works with.
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "the caller has each of them")]
pub struct DrillTools<'t> {
    /// Where programs of PostgreSQL are looked for.
    pub programs: &'t SearchPath,
    /// Gives the time since any moment that stays the same.
    pub stopwatch: &'t (dyn Fn() -> Duration + Sync),
    /// Is told how it goes on.
    pub progress: &'t dyn Progress,
    /// Ends it.
    pub cancel: &'t CancelToken,
}

impl std::fmt::Debug for DrillTools<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DrillTools").finish_non_exhaustive()
    }
}

/// Why a drill could not be carried to its end. What is wrong with the backup stands in the report instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrillError {
    /// It is a dump of another program, or encrypted and there is no key.
    #[error("only a backup that can be read says what it holds, so that it can be compared")]
    NotReadable,
    /// The backup cannot be read.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The target cannot be reached, looked at or written, or may not be restored into.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no server on this machine that could be started.
    #[error(
        "no PostgreSQL server of version {major} or newer was found on this machine{}",
        seen(found)
    )]
    NoServer {
        /// Major version of the server that was backed up.
        major: u32,
        /// The versions that were found.
        found: Vec<String>,
    },
    /// It was asked to stop; nothing was left behind.
    #[error("cancelled; nothing was left behind")]
    Cancelled,
    /// The server cannot be started.
    #[error("cannot start a server for the drill")]
    Server(#[source] ThrowawayError),
}

fn seen(found: &[String]) -> String {
    match found {
        [] => String::new(),
        found => format!(" (only {})", found.join(", ")),
    }
}

/// Restores a backup into a place of its own, examines what is there, and removes it.
///
/// What earlier drills left at that place is removed before, if they do not run any more. The source is not touched: a target
/// that is, or may be, the database of the backup is refused, and so is one that holds anything.
///
/// # Errors
/// Only what keeps it from coming to an end. Whether the backup is any good is [`DrillReport::passed`].
pub fn drill(
    archive: &Archive,
    target: &DrillTarget,
    options: &DrillOptions,
    tools: DrillTools<'_>,
) -> Result<DrillReport, DrillError> {
    let all = || {
        let mut drill = Drill::begin(archive, target, options, tools)?;
        drill.fetch()?;
        if drill.is_sound() {
            drill.restore()?;
            drill.examine()?;
        }
        Ok(drill.end())
    };
    all().map_err(|error| {
        if tools.cancel.is_cancelled() {
            DrillError::Cancelled
        } else {
            error
        }
    })
}

/// A drill that goes on step by step: [`drill`] is all of them. Dropping it removes its place.
#[derive(Debug)]
pub struct Drill<'d> {
    archive: &'d Archive,
    backup: &'d BackupReader,
    options: &'d DrillOptions,
    tools: DrillTools<'d>,
    place: Place,
    plan: RestorePlan,
    findings: Findings,
    times: DrillTimes,
    restored: Option<RestoreReport>,
    definitions_compared: u64,
}

impl<'d> Drill<'d> {
    /// Removes what dead drills left, and makes the place.
    ///
    /// # Errors
    /// The archive is no backup that can be read; the target is refused or cannot be had; no server is there that could be
    /// started.
    pub fn begin(
        archive: &'d Archive,
        target: &DrillTarget,
        options: &'d DrillOptions,
        tools: DrillTools<'d>,
    ) -> Result<Self, DrillError> {
        let backup = archive.backup().ok_or(DrillError::NotReadable)?;
        let begun = (tools.stopwatch)();
        let mut restore = RestoreOptions::default();
        restore.jobs = options.jobs;
        restore.owners = options.owners;
        restore.privileges = options.privileges;
        restore.prove = Prove::No;
        if matches!(target, DrillTarget::Throwaway { .. }) {
            restore.target = TargetPolicy::Create;
            restore.surroundings = Surroundings::StandIns;
            if has_globals(backup) {
                restore.globals = Keep::Yes;
            }
        }
        let (place, plan) = Place::make(backup, target, &restore, tools)?;
        let mut findings = Findings::default();
        findings.of_place(&place);
        Ok(Self {
            archive,
            backup,
            options,
            tools,
            place,
            plan,
            findings,
            times: DrillTimes {
                prepare: (tools.stopwatch)().saturating_sub(begun),
                ..DrillTimes::default()
            },
            restored: None,
            definitions_compared: 0,
        })
    }

    /// How to get to the database that is restored into.
    #[must_use]
    pub fn config(&self) -> &ConnectionConfig {
        self.place.config()
    }

    /// Reads the whole backup and verifies it, as `restore` does before it begins.
    ///
    /// # Errors
    /// The store fails.
    pub fn fetch(&mut self) -> Result<(), DrillError> {
        let begun = self.now();
        let mut options = CheckOptions::default();
        options.jobs = self.options.jobs;
        let report = verify(self.archive, &options, self.tools.progress, self.tools.cancel)?;
        self.findings.of_verification(report);
        self.times.fetch = self.since(begun);
        Ok(())
    }

    /// Whether nothing was found so far that is an error.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_sound()
    }

    /// Restores the backup.
    ///
    /// # Errors
    /// Only what keeps it from going on; what could not be restored is a finding.
    pub fn restore(&mut self) -> Result<(), DrillError> {
        let manifest = self.backup.manifest();
        self.findings
            .of_stand_ins(self.place.stand_in_for_tablespaces(manifest, self.tools.cancel)?);
        let watch = Watch::new(self.tools.progress, self.tools.stopwatch);
        let config = self.place.config();
        let report = reading_ahead(self.backup, |source| {
            backstay_postgres::apply_restore(&self.plan, manifest, source, config, &watch, self.tools.cancel)
        })?;
        watch.end(&mut self.times);
        self.findings.of_restore(&report);
        let settings = self.place.apply_settings(manifest, self.options.privileges)?;
        self.findings.of_failures(&settings);
        self.restored = Some(report);
        Ok(())
    }

    /// Compares what was restored with the backup, row by row and definition by definition, counts what refers to nothing, and
    /// asks the queries.
    ///
    /// # Errors
    /// Only what keeps it from looking; what is different is a finding.
    pub fn examine(&mut self) -> Result<(), DrillError> {
        let manifest = self.backup.manifest();
        let (progress, cancel) = (self.tools.progress, self.tools.cancel);
        self.place.hold()?;
        let begun = self.now();
        let bytes_total = manifest.text_bytes();
        progress.event(ProgressEvent::Phase {
            phase: Phase::Prove,
            bytes_total,
        });
        let proof = prove_copy(
            manifest,
            self.place.config(),
            self.options.jobs,
            &Observer(progress),
            cancel,
        )?;
        self.findings.of_proof(&proof);
        self.times.prove = self.since(begun);

        let begun = self.now();
        progress.event(ProgressEvent::Phase {
            phase: Phase::Examine,
            bytes_total: 0,
        });
        let examined = examine_copy(
            manifest,
            &Source(self.backup),
            self.place.config(),
            &self.examine_options(),
            cancel,
        )?;
        self.definitions_compared = examined.definitions;
        self.findings.of_examination(examined);
        let rules = &self.options.rules;
        if !rules.sql.is_empty() {
            let outcomes = ask_checks(self.place.config(), &rules.sql, self.options.check_limit, cancel);
            self.findings.of_checks(rules, &outcomes, &manifest.check_values);
        }
        self.times.examine = self.since(begun);
        if cancel.is_cancelled() {
            return Err(TargetError::Cancelled.into());
        }
        self.findings
            .of_time(&manifest.id, &self.rules(), self.times.recovery());
        Ok(())
    }

    /// Removes the place, and tells what came of it.
    #[must_use]
    pub fn end(self) -> DrillReport {
        let place = self.place.to_string();
        let server_version = self.plan.target.server_version.clone();
        let rules = self.rules();
        let left = self.place.remove();
        let (findings, not_checked) = self.findings.finish(&rules, self.options.now);
        DrillReport {
            id: self.backup.manifest().id.clone(),
            taken_at: self.backup.manifest().taken_at,
            is_sealed: self.backup.manifest().digest_key.is_some(),
            place,
            server_version,
            times: self.times,
            recovery_limit: rules.restored_within,
            restored: self.restored,
            definitions_compared: self.definitions_compared,
            findings,
            not_checked,
            left,
        }
    }

    fn examine_options(&self) -> ExamineOptions {
        let source = &self.backup.manifest().source;
        let majors = [source.server_version_num, self.plan.target.server_version_num].map(|number| number / 10_000);
        let of_dump = source
            .pg_dump_version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok());
        // Best is the version that wrote those of the backup.
        let at_least = majors.into_iter().chain(of_dump).max().unwrap_or(0);
        let mut options = ExamineOptions::default();
        options.owners = self.options.owners;
        options.privileges = self.options.privileges;
        options.settings = self.place.has_settings();
        options.pg_dump = find_pg_dump(self.tools.programs, at_least).ok();
        options.ignored_schema = self.place.own_schema().map(str::to_owned);
        options
    }

    /// The rules, with the bound that was named in place of theirs.
    fn rules(&self) -> Rules {
        let mut rules = self.options.rules.clone();
        rules.restored_within = self.options.recovery_limit.or(rules.restored_within);
        rules
    }

    fn now(&self) -> Duration {
        (self.tools.stopwatch)()
    }

    fn since(&self, begun: Duration) -> Duration {
        self.now().saturating_sub(begun)
    }
}

fn has_globals(backup: &BackupReader) -> bool {
    let members = &backup.manifest().members;
    members.iter().any(|member| member.content == MemberContent::Globals)
}
