use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use backstay::{BackupId, CancelToken, Claim, Prefix};
use backstay_notify::Work;
use backstay_schedule::{Decision, Past, Timetable};
use jiff::Timestamp;

use crate::args::JobArgument;
use crate::configuration;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::notify::tell_failed;
use crate::schedule::{self, Job};
use crate::settle::{RunMode, SettleError, store_of};

use super::past::Backups;
use super::step::{Ended, step};
use super::watch::Watcher;
use super::{Shared, past, say};

/// Clocks are set and machines sleep, so nobody waits longer than this without a look at the clock.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How old what is known of a store may be, where it tells something and where it could not be read.
const KNOWN: Duration = Duration::from_secs(3600);
const UNKNOWN: Duration = Duration::from_secs(300);
/// When to look again whether somebody else still works on the database.
const BUSY: Duration = Duration::from_secs(60);
/// How long who was asked to work now waits until nobody else does, and how often it looks.
const TURN: Duration = Duration::from_secs(3600);
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How often the lock is asked for where that fails.
const CLAIM_TRIES: u32 = 3;

/// Does the work on one database, one piece after another.
pub(super) struct Attendant<'a> {
    name: &'a str,
    environment: &'a Environment,
    shared: &'a Shared<'a>,
    jobs: Vec<(Job, Timetable)>,
    prefix: Prefix,
    since: Timestamp,
    tried: BTreeMap<Job, Timestamp>,
    /// When each was done, as far as its store could be read.
    done: BTreeMap<Job, Vec<Timestamp>>,
    /// The backups of the database; none where its store could not be read.
    backups: Backups,
    /// The backup whose verification was taken up, and is not tried twice.
    taken_up: Option<BackupId>,
    looked: Option<Instant>,
    not_before: Option<Instant>,
    is_unknown: bool,
}

impl<'a> Attendant<'a> {
    pub(super) fn of(name: &'a str, environment: &'a Environment, shared: &'a Shared<'a>) -> Result<Self, Failure> {
        let loaded = environment.configuration.require()?;
        let (_, database) = loaded.database(name)?;
        let work = schedule::work(loaded)?.into_iter().find(|work| work.name == name);
        Ok(Self {
            name,
            environment,
            shared,
            jobs: work.map(|work| work.jobs).unwrap_or_default(),
            prefix: configuration::prefix(name, database),
            since: Timestamp::now(),
            tried: BTreeMap::new(),
            done: BTreeMap::new(),
            backups: Backups::default(),
            taken_up: None,
            looked: None,
            not_before: None,
            is_unknown: false,
        })
    }

    pub(super) fn attend(mut self) -> Result<Exit, Failure> {
        match &self.shared.settled.mode {
            RunMode::Now(job, exports) => {
                let jobs = self.asked_for(*job, exports)?;
                let shared = self.shared;
                // Whoever works without knowing them goes by what was asked for.
                drop(self.look_for_backups());
                let work = jobs.first().map_or(Work::Backup, work_of);
                let exit = shared.in_turn(|| self.work_alone(|_| jobs)).unwrap_or(Exit::Cancelled);
                self.tell_skipped(exit, work);
                Ok(exit)
            }
            RunMode::Once => {
                self.look();
                let mut exit = Exit::Done;
                if self.has_work() {
                    let is_due = !self.due().is_empty();
                    let shared = self.shared;
                    let worked = shared.in_turn(|| self.work_alone(Self::due_by_the_store));
                    exit = worked.unwrap_or(Exit::Cancelled);
                    if is_due {
                        self.tell_skipped(exit, Work::Backup);
                    } else if exit == Exit::Refused && self.not_before.is_some() {
                        // Whoever works there verifies what it has made.
                        exit = Exit::Done;
                    }
                } else if !self.is_unknown {
                    say(self.name, "nothing is due");
                }
                // What could not be looked at may have been due.
                if self.is_unknown && !self.shared.stop.is_asked() {
                    for (job, _) in self.jobs.iter().filter(|(job, _)| !self.done.contains_key(job)) {
                        let why = "its store cannot be read, so nobody knows whether it is due";
                        tell_failed(self.name, work_of(job), why, self.environment);
                    }
                    exit = if exit == Exit::Done { Exit::Storage } else { exit };
                }
                Ok(exit)
            }
            RunMode::Always => {
                let of_backups = self.jobs.iter().find(|(job, _)| *job == Job::Backup);
                let timetable = of_backups.map(|(_, timetable)| timetable);
                let prefix = self.prefix.clone();
                let watcher = Watcher::of(self.name, timetable, prefix, self.environment, self.shared);
                thread::scope(|scope| {
                    if let Some(watcher) = watcher {
                        scope.spawn(|| watcher.watch());
                    }
                    while !self.shared.stop.is_asked() {
                        self.attend_once();
                    }
                });
                Ok(Exit::Done)
            }
        }
    }

    /// Does what is due, or waits.
    fn attend_once(&mut self) {
        let known = if self.is_unknown { UNKNOWN } else { KNOWN };
        if self.looked.is_none_or(|looked| looked.elapsed() > known) {
            self.look();
        }
        let is_free = self.not_before.is_none_or(|time| Instant::now() >= time);
        if is_free && self.has_work() {
            let shared = self.shared;
            // What became of it was said.
            let _ = shared.in_turn(|| self.work_alone(Self::due_by_the_store));
            self.look();
            return;
        }
        let now = Timestamp::now();
        let starts = self
            .jobs
            .iter()
            .filter_map(|(job, timetable)| match timetable.decide(now, &self.past(job)) {
                Decision::Wait(until) => Duration::try_from(until.duration_since(now)).ok(),
                Decision::Run(_) | Decision::Never => None,
            });
        self.shared.stop.wait(starts.min().unwrap_or(WAIT_MAX).min(WAIT_MAX));
    }

    fn past(&self, job: &Job) -> Past {
        let now = Timestamp::now();
        // What was never done counts from the oldest backup, which every process sees alike.
        let oldest = self
            .backups
            .ids
            .iter()
            .map(BackupId::time)
            .filter(|time| *time <= now)
            .min();
        // Where no backup will come to count from, a first export is due: every process would wait anew otherwise.
        let is_planned = self.jobs.iter().any(|(job, _)| *job == Job::Backup);
        let is_first = job.export().is_some() && !is_planned && self.backups.ids.is_empty();
        let oldest = oldest.or(is_first.then_some(Timestamp::UNIX_EPOCH));
        let is_known = self.done.contains_key(job);
        Past {
            done: self.done.get(job).cloned(),
            tried: self.tried.get(job).copied(),
            since: oldest.filter(|_| is_known).unwrap_or(self.since),
        }
    }

    /// What is due now.
    fn due(&self) -> Vec<Job> {
        let now = Timestamp::now();
        let is_due =
            |(job, timetable): &&(Job, Timetable)| matches!(timetable.decide(now, &self.past(job)), Decision::Run(_));
        self.jobs.iter().filter(is_due).map(|(job, _)| job.clone()).collect()
    }

    fn has_work(&self) -> bool {
        !self.due().is_empty() || self.to_take_up().is_some()
    }

    /// The newest backup, where backups are made by schedule and nobody has verified it: whoever made it was stopped.
    fn to_take_up(&self) -> Option<&BackupId> {
        let newest = self.backups.newest.as_ref().filter(|newest| !newest.is_judged)?;
        let is_scheduled = self.jobs.iter().any(|(job, _)| *job == Job::Backup);
        (is_scheduled && self.taken_up.as_ref() != Some(&newest.id)).then_some(&newest.id)
    }

    /// The same after another look: somebody else may have done it meanwhile.
    fn due_by_the_store(&mut self) -> Vec<Job> {
        self.look();
        self.due()
    }

    /// Looks into the stores.
    fn look(&mut self) {
        self.looked = Some(Instant::now());
        let mut backups = Some(self.look_for_backups());
        let newest = self.backups.newest.as_ref().map(|newest| newest.id.time());
        let source = past::Source::of(self.name, self.environment);
        let mut failure = None;
        for (job, _) in &self.jobs {
            let done = match job {
                Job::Backup => backups.take().unwrap_or(Ok(())).map(|()| newest.into_iter().collect()),
                Job::Drill => past::drills(self.name, &self.prefix, self.environment),
                Job::Export(name) => past::exports(name, &source),
            };
            match done {
                Ok(done) => {
                    self.done.insert(job.clone(), done);
                }
                Err(error) => {
                    self.done.remove(job);
                    failure = Some(error);
                }
            }
        }
        if let Some(failure) = &failure
            && !self.is_unknown
        {
            say(
                self.name,
                &format!("what was done is not known: {}", failure.in_one_line()),
            );
        }
        self.is_unknown = failure.is_some();
    }

    /// Whoever works without knowing them goes by what the process itself has seen, and what it does tells.
    fn look_for_backups(&mut self) -> Result<(), Failure> {
        self.backups = Backups::default();
        self.backups = past::backups(self.name, &self.prefix, self.environment)?;
        Ok(())
    }

    /// Tells of work that nobody did because somebody else had the lock, where nobody tries it again.
    fn tell_skipped(&self, exit: Exit, work: Work) {
        if self.not_before.is_some() && exit == Exit::Refused {
            let why = "skipped: another run works on the database";
            tell_failed(self.name, work, why, self.environment);
        }
    }

    /// Does work while nobody else does any on the database. It is chosen when that is sure.
    fn work_alone(&mut self, choose: impl FnOnce(&mut Self) -> Vec<Job>) -> Exit {
        let mut claim = match self.claim_in_time() {
            Ok(Some(claim)) => Some(claim),
            Ok(None) => {
                if self.not_before.is_none() {
                    say(self.name, "skipped: another run works on the database");
                }
                self.not_before = Some(Instant::now() + BUSY);
                return Exit::Refused;
            }
            // The work itself tells, and a drill needs no database.
            Err(failure) => {
                say(
                    self.name,
                    &format!(
                        "whether another run works on it is not known: {}",
                        failure.in_one_line()
                    ),
                );
                None
            }
        };
        self.not_before = None;
        let jobs = choose(self);
        let mut exit = Exit::Done;
        let exports: Vec<&str> = jobs.iter().filter_map(Job::export).collect();
        let is_asked_for = matches!(self.shared.settled.mode, RunMode::Now(..));
        let makes_another = is_asked_for || jobs.contains(&Job::Backup);
        if let Some(id) = self.to_take_up().filter(|_| !makes_another).cloned() {
            say(self.name, &format!("{id} is not verified yet"));
            let doubt = self
                .has_rules()
                .then(|| "what the rules said of it is not known any more".to_owned());
            exit = self.verify_and_prune(&Made { id, doubt }, &mut claim);
        }
        for job in jobs.iter().filter(|job| job.export().is_none()) {
            let ended = self.work_on(job, &mut claim);
            exit = if exit == Exit::Done { ended } else { exit };
        }
        if !exports.is_empty() && !self.shared.stop.is_asked() {
            for job in jobs.iter().filter(|job| job.export().is_some()) {
                self.tried.insert(job.clone(), Timestamp::now());
            }
            let (ended, _) = self.step(Work::Export, &[&["export-data", "--quiet"], &exports[..]].concat());
            exit = if exit == Exit::Done { ended } else { exit };
        }
        if let Some(claim) = claim {
            claim.release();
        }
        exit
    }

    /// Claims the database. Who was asked to work now waits for others, since nobody asks again.
    fn claim_in_time(&self) -> Result<Option<Claim>, Failure> {
        let begun = Instant::now();
        let mut has_told = false;
        let mut failures = 0;
        loop {
            let claim = match self.claim() {
                Err(_) if failures + 1 < CLAIM_TRIES && !self.shared.stop.is_asked() => {
                    failures += 1;
                    self.shared.stop.wait(ASK_AGAIN);
                    continue;
                }
                claim => claim?,
            };
            let can_wait = matches!(self.shared.settled.mode, RunMode::Now(..)) && begun.elapsed() < TURN;
            if claim.is_some() || !can_wait || self.shared.stop.is_asked() {
                return Ok(claim);
            }
            if !has_told {
                say(self.name, "waiting: another run works on the database");
                has_told = true;
            }
            self.shared.stop.wait(ASK_AGAIN);
        }
    }

    fn claim(&self) -> Result<Option<Claim>, Failure> {
        let loaded = self.environment.configuration.require()?;
        let (_, database) = loaded.database(self.name)?;
        let source = configuration::source(database, &self.environment.variables)?;
        Ok(Claim::take(&source.config, &CancelToken::new())?)
    }

    /// Does all that belongs to a piece of work; what does not go well ends it.
    fn work_on(&mut self, job: &Job, claim: &mut Option<Claim>) -> Exit {
        if self.shared.stop.is_asked() {
            return Exit::Cancelled;
        }
        self.tried.insert(job.clone(), Timestamp::now());
        let name = self.name;
        if *job == Job::Drill {
            // One that a wrong clock dated is not the newest, and one of a part shows nothing of the whole.
            let mut arguments = vec!["drill".to_owned()];
            arguments.extend(match &self.backups.newest {
                Some(newest) => self.named(&newest.id.to_string()),
                None => ["latest", "--database", name].map(str::to_owned).to_vec(),
            });
            arguments.push("--quiet".to_owned());
            return self.step(Work::Drill, &texts(&arguments)).0;
        }
        // Old ones go when it is certain that the new one is good, and not before.
        let (exit, printed) = self.step(
            Work::Backup,
            &["backup", "--db", name, "--keep-all", "--quiet", "--json"],
        );
        if exit != Exit::Done {
            return exit;
        }
        let Some(made) = Made::of(&printed) else {
            let why = "the backup is made, and its id is not known, so it is not verified";
            say(name, why);
            tell_failed(name, Work::Verify, why, self.environment);
            return Exit::Internal;
        };
        let exit = self.verify_and_prune(&made, claim);
        let files = self.save_files(&made.id);
        if exit == Exit::Done { files } else { exit }
    }

    /// Saves the files of the project, whose rows are in the backup: what is uploaded meanwhile is a file without a row, which
    /// does no harm.
    fn save_files(&self, id: &BackupId) -> Exit {
        let loaded = self.environment.configuration.get().ok().flatten();
        let database = loaded.and_then(|loaded| loaded.config.database(self.name));
        if database.is_none_or(|database| database.storage_files.is_none()) {
            return Exit::Done;
        }
        if self.shared.stop.is_asked() {
            return Exit::Cancelled;
        }
        let id = id.to_string();
        let arguments = ["storage-files", "backup", "--db", self.name, "--id", &id, "--quiet"];
        self.step(Work::Files, &arguments).0
    }

    fn has_rules(&self) -> bool {
        let loaded = self.environment.configuration.get().ok().flatten();
        loaded.is_some_and(|loaded| {
            let database = loaded.config.database(self.name);
            database.and_then(|database| loaded.config.rules_of(database)).is_some()
        })
    }

    /// What comes after a backup was made.
    fn verify_and_prune(&mut self, made: &Made, claim: &mut Option<Claim>) -> Exit {
        let id = &made.id;
        if self.shared.stop.is_asked() {
            return Exit::Cancelled;
        }
        self.taken_up = Some(id.clone());
        let name = self.name;
        let loaded = self.environment.configuration.get();
        let database = loaded
            .ok()
            .flatten()
            .and_then(|loaded| Some((loaded, loaded.config.database(name)?)));
        let has_retention = database.is_some_and(|(loaded, database)| loaded.config.retention_of(database).is_some());
        let verify = [
            vec!["verify".to_owned()],
            self.named(&id.to_string()),
            vec!["--quiet".to_owned()],
        ]
        .concat();
        let (exit, _) = self.step(Work::Verify, &texts(&verify));
        if exit != Exit::Done || !has_retention {
            return exit;
        }
        if self.shared.stop.is_asked() {
            return Exit::Cancelled;
        }
        if let Some(doubt) = &made.doubt {
            say(name, &format!("prune is left out: {doubt}"));
            return Exit::Done;
        }
        // A backup is worth more than the lock, and a removal is not.
        if !claim.as_mut().is_some_and(Claim::is_held) {
            say(name, "prune is left out, because the lock is not held");
            *claim = None;
            return Exit::Done;
        }
        // It would take the place of the newest, and the good ones would go.
        match past::backups(name, &self.prefix, self.environment) {
            Ok(backups) => self.backups = backups,
            Err(failure) => {
                let why = format!("prune is left out: {}", failure.in_one_line());
                say(name, &why);
                tell_failed(name, Work::Prune, &why, self.environment);
                return failure.exit();
            }
        }
        let now = Timestamp::now();
        if let Some(wrong) = self.backups.ids.iter().find(|id| id.time() > now) {
            let why =
                format!("prune is left out, because {wrong} is dated in the future; delete it if it is not wanted");
            say(name, &why);
            tell_failed(name, Work::Prune, &why, self.environment);
            return Exit::Refused;
        }
        self.step(Work::Prune, &["prune", "--db", name, "--quiet"]).0
    }

    /// The arguments that name a backup of the database in its store.
    fn named(&self, id: &str) -> Vec<String> {
        let store = store_of(self.name, self.environment)
            .ok()
            .and_then(|store| store.argument);
        let store = store.into_iter().flat_map(|store| ["--store".to_owned(), store]);
        [id.to_owned()].into_iter().chain(store).collect()
    }

    /// Runs a step, and tells of what its process cannot have told itself. Gives what it printed, too.
    fn step(&self, work: Work, arguments: &[&str]) -> (Exit, Vec<u8>) {
        let settled = self.shared.settled;
        let ended = step(
            self.name,
            &work.to_string(),
            arguments,
            &settled.config,
            &self.shared.stop,
        );
        let (exit, why) = match ended {
            Ended::Well(printed) => return (Exit::Done, printed),
            Ended::Cancelled => (Exit::Cancelled, None),
            Ended::Lost(why) => (Exit::Internal, Some(why)),
            Ended::Badly(code) => {
                let exit = Exit::of_code(code);
                let why = match exit {
                    // It has told unless it could not read who is to be told.
                    Exit::Configuration => self
                        .environment
                        .configuration
                        .look_again()
                        .err()
                        .map(|error| Failure::from(error).in_one_line()),
                    Exit::Internal | Exit::Usage => Some(format!("exit status {code}")),
                    _ => None,
                };
                (exit, why)
            }
        };
        if let Some(why) = why {
            tell_failed(self.name, work, &why, self.environment);
        }
        (exit, Vec::new())
    }

    /// What was asked for, whether it is due or not.
    fn asked_for(&self, job: JobArgument, exports: &[String]) -> Result<Vec<Job>, Failure> {
        Ok(match job {
            JobArgument::Backup => vec![Job::Backup],
            JobArgument::Drill => vec![Job::Drill],
            JobArgument::Export => {
                let loaded = self.environment.configuration.require()?;
                let of_database = schedule::exports_of(self.name, loaded)?.map(|(export, _)| export);
                let chosen =
                    of_database.filter(|export| exports.is_empty() || exports.iter().any(|name| name == export));
                let jobs: Vec<Job> = chosen.map(|export| Job::Export(export.to_owned())).collect();
                if jobs.is_empty() {
                    return Err(SettleError::NoExports.into());
                }
                jobs
            }
        })
    }
}

/// What notifications call it.
fn work_of(job: &Job) -> Work {
    match job {
        Job::Backup => Work::Backup,
        Job::Drill => Work::Drill,
        Job::Export(_) => Work::Export,
    }
}

/// What `backup --json` tells of the backup that it made.
struct Made {
    id: BackupId,
    /// Why older ones are better kept.
    doubt: Option<String>,
}

impl Made {
    fn of(printed: &[u8]) -> Option<Self> {
        let told: serde_json::Value = serde_json::from_slice(printed).ok()?;
        Some(Self {
            id: told.get("id")?.as_str()?.parse().ok()?,
            doubt: told.get("doubt").and_then(|doubt| doubt.as_str()).map(str::to_owned),
        })
    }
}

fn texts(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}
