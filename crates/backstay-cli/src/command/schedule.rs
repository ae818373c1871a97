use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use backstay_schedule::{PrintedFile, Setting, Unit, crontab, github_actions, kubernetes, systemd};
use jiff::Timestamp;

use crate::args::{ScheduleCommand, SchedulerArgument};
use crate::configuration::Loaded;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::print_text;
use crate::schedule::{self, Job, Work};
use crate::settle::SettleError;

/// Names of Kubernetes may have so many characters, with our own word before them.
const NAME_CHARS_MAX: usize = 40;

/// Why a file for another scheduler is not there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub(crate) struct ScheduleFileError {
    path: PathBuf,
    source: io::Error,
}

/// Prints the schedules of the configuration for another scheduler, or writes them into files.
pub(crate) fn schedule(command: ScheduleCommand, environment: &Environment) -> Result<Exit, Failure> {
    let ScheduleCommand::Print {
        scheduler,
        db,
        program,
        image,
        folder,
    } = command;
    let loaded = environment.configuration.require()?;
    for name in &db {
        loaded.database(name)?;
    }
    let work = schedule::work(loaded)?;
    if let Some(name) = db.iter().find(|name| !work.iter().any(|work| work.name == **name)) {
        return Err(SettleError::NoSchedule { name: name.clone() }.into());
    }
    let chosen = work
        .iter()
        .filter(|work| db.is_empty() || db.iter().any(|name| name == work.name));
    let units: Vec<Unit> = chosen.flat_map(|work| units(work, loaded)).collect();
    if units.is_empty() {
        return Err(SettleError::NothingScheduled.into());
    }
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let config = match scheduler {
        // It stands in the repository.
        SchedulerArgument::GithubActions => loaded.path.clone(),
        _ => std::path::absolute(&loaded.path)?,
    };
    let setting = Setting {
        program: match program {
            Some(program) => path(&program),
            None => path(&std::env::current_exe()?),
        },
        config: path(&config),
        image,
    };
    let files = match scheduler {
        SchedulerArgument::Cron => vec![crontab(&units, &setting)],
        SchedulerArgument::Systemd => systemd(&units, &setting),
        SchedulerArgument::Kubernetes => vec![kubernetes(&units, &setting)],
        SchedulerArgument::GithubActions => vec![github_actions(&units, &setting, Timestamp::now())?],
    };
    match folder {
        Some(folder) => write(&folder, &files)?,
        None if files.len() == 1 => print_text(&files[0].text)?,
        None => {
            let shown = files.iter().map(|file| format!("# {}\n{}", file.name, file.text));
            print_text(&shown.collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(Exit::Done)
}

fn units(work: &Work<'_>, loaded: &Loaded) -> Vec<Unit> {
    let zone = work.database.schedule.zone_name();
    let unit = |(job, timetable): &(Job, backstay_schedule::Timetable)| {
        let asked: &[&str] = match job {
            Job::Backup => &["backup"],
            Job::Drill => &["drill"],
            Job::Export(name) => &["export", "--export", name],
        };
        let arguments = ["run", "--db", work.name, "--now"]
            .into_iter()
            .chain(asked.iter().copied());
        Unit {
            name: unit_name(work.name, job),
            title: format!("{job} of {}", work.name),
            cron: timetable.cron.clone(),
            zone: (zone.map(str::to_owned), timetable.zone.clone()),
            jitter: timetable.jitter,
            arguments: arguments.map(str::to_owned).collect(),
            variables: variables(work, job, loaded),
        }
    };
    work.jobs.iter().map(unit).collect()
}

/// The variables that the configuration names for a job.
fn variables(work: &Work<'_>, job: &Job, loaded: &Loaded) -> Vec<String> {
    let database = work.database;
    let mut sections = vec![format!("database.{}", work.name)];
    let stores = database.store.iter().chain(&database.also);
    sections.extend(stores.map(|store| format!("store.{}", store.name())));
    if database.store.is_none() {
        sections.extend(loaded.config.stores().map(|(name, _)| format!("store.{name}")));
    }
    sections.extend(
        database
            .notify
            .iter()
            .map(|told| format!("notification.{}", told.name())),
    );
    if let Some(export) = job.export().and_then(|name| loaded.config.export(name)) {
        sections.push("export".to_owned());
        sections.extend(export.store.as_ref().map(|store| format!("store.{}", store.name())));
    }
    let names: BTreeSet<&str> = sections
        .iter()
        .flat_map(|section| loaded.config.variables_of(section))
        .collect();
    names.into_iter().map(str::to_owned).collect()
}

/// A name that every scheduler takes, and that is no other's.
fn unit_name(database: &str, job: &Job) -> String {
    let full = format!("{database}-{job}");
    let plain = |c: char| {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            c
        } else {
            '-'
        }
    };
    let name: String = full.chars().map(|c| plain(c.to_ascii_lowercase())).collect();
    if name.len() <= NAME_CHARS_MAX && name == full.replace(' ', "-") {
        return name;
    }
    // FNV-1a, of what the name does not tell any more.
    let hash = full.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let kept: String = name.chars().take(NAME_CHARS_MAX - 9).collect();
    format!("{}-{hash:08x}", kept.trim_end_matches('-'))
}

fn write(folder: &Path, files: &[PrintedFile]) -> Result<(), Failure> {
    for file in files {
        let path = folder.join(&file.name);
        let written = File::create_new(&path).and_then(|mut open| open.write_all(file.text.as_bytes()));
        written.map_err(|source| ScheduleFileError {
            path: path.clone(),
            source,
        })?;
        print_text(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_that_every_scheduler_takes_them() {
        assert_eq!(unit_name("kulti", &Job::Backup), "kulti-backup");
        assert_eq!(
            unit_name("kulti", &Job::Export("users".to_owned())),
            "kulti-export-users"
        );
        let names = ["Kulti", "ku.lti", "ku_lti", &"x".repeat(128)].map(|name| unit_name(name, &Job::Drill));
        for name in &names {
            assert!(name.len() <= NAME_CHARS_MAX, "{name}");
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{name}"
            );
        }
        assert_ne!(names[1], names[2]);
    }
}
