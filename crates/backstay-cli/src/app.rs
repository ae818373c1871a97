//! From arguments to an exit status.

use std::ffi::OsString;

use backstay_notify::Work;
use clap::FromArgMatches as _;
use clap::error::ErrorKind;

use crate::args::{Arguments, Command, ConfigCommand, StorageFilesCommand};
use crate::command;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::notify::Watch;
use crate::output::{complain, print, print_text};
use crate::settle::{
    SettledBackup, SettledCopy, SettledDoctor, SettledDrill, SettledExport, SettledFilesBackup, SettledFilesList,
    SettledFilesRestore, SettledFilesVerify, SettledHold, SettledKey, SettledList, SettledLog, SettledPrune,
    SettledRecover, SettledRekey, SettledReport, SettledRun, SettledShow, SettledSign, SettledStatus,
    SettledStoreCheck, SettledVerify, export_sections, files_section, section_name,
};

/// Runs the program.
pub(crate) fn run() -> Exit {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let parsed = Arguments::definition()
        .try_get_matches_from(&typed)
        .and_then(|mut matches| Arguments::from_arg_matches_mut(&mut matches));
    let result = match parsed {
        Ok(arguments) => dispatch(arguments),
        Err(error) => tell_of_arguments(&error, &typed),
    };
    result.unwrap_or_else(|failure| {
        complain(&failure.report());
        failure.exit()
    })
}

fn dispatch(arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments { config, command } = arguments;
    match command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::definition(), "backstay", &mut script);
            print(&script)?;
            return Ok(Exit::Done);
        }
        Command::Man => return command::manual_page(),
        Command::Config(ConfigCommand::Example) => return command::config_example(),
        Command::Config(ConfigCommand::Schema) => return command::config_schema(),
        _ => {}
    }
    let environment = Environment::of_process(config)?;
    match command {
        Command::Backup(typed) => Watch::over(Work::Backup, &environment, |watch| {
            watch.of_section(section_name(&typed.from, &environment).as_deref());
            watch.begin();
            command::back_up(SettledBackup::settle(*typed, &environment)?, &environment, watch)
        }),
        Command::Verify(typed) => Watch::over(Work::Verify, &environment, |watch| {
            watch.of_section(typed.backup.database.as_deref());
            command::verify(&SettledVerify::settle(typed, &environment)?, &environment, watch)
        }),
        Command::Restore(typed) => command::restoring(*typed, &environment),
        Command::Recover(typed) => command::recover(SettledRecover::settle(typed)?, &environment),
        Command::Drill(typed) => Watch::over(Work::Drill, &environment, |watch| {
            watch.of_section(typed.database.as_deref());
            command::drill(&SettledDrill::settle(*typed, &environment)?, &environment, watch)
        }),
        Command::List(typed) => command::list(&SettledList::settle(typed, &environment)?),
        Command::Status(typed) => command::status(SettledStatus::settle(typed, &environment)?, &environment),
        Command::Report(typed) => command::report(SettledReport::settle(typed, &environment)?),
        Command::Show(typed) => command::show(&SettledShow::settle(typed, &environment)?),
        Command::Doctor(typed) => command::examine(&SettledDoctor::settle(typed, &environment)?, &environment),
        Command::ExportData(typed) => Watch::over(Work::Export, &environment, |watch| {
            for section in export_sections(&typed, &environment) {
                watch.of_section(Some(&section));
            }
            command::export(&SettledExport::settle(*typed, &environment)?, &environment, watch)
        }),
        Command::Key(typed) => command::key(&SettledKey::settle(typed, &environment)?),
        Command::Rekey(typed) => command::rekey(&SettledRekey::settle(*typed, &environment)?, &environment),
        Command::Prune(typed) => Watch::over(Work::Prune, &environment, |watch| {
            if !typed.dry_run {
                watch.of_section(typed.db.as_deref());
            }
            command::prune(&SettledPrune::settle(*typed, &environment)?, &environment)
        }),
        Command::Run(typed) => command::run(&SettledRun::settle(typed, &environment)?, &environment),
        Command::Schedule(typed) => command::schedule(typed, &environment),
        Command::Notify(typed) => command::notify(typed, &environment),
        Command::Hold(typed) => command::hold(&SettledHold::settle_hold(typed, &environment)?),
        Command::Release(typed) => command::release(&SettledHold::settle_release(typed, &environment)?),
        Command::Log(typed) => command::log(&SettledLog::settle(typed, &environment)?),
        Command::Copy(typed) => Watch::over(Work::Copy, &environment, |watch| {
            watch.of_section(typed.database.as_deref());
            command::copy(&SettledCopy::settle(typed, &environment)?, &environment, watch)
        }),
        Command::Sign(typed) => command::sign(&SettledSign::settle(typed, &environment)?),
        Command::Store(typed) => command::check_store(&SettledStoreCheck::settle(typed, &environment)?),
        Command::StorageFiles(typed) => storage_files(typed, &environment),
        Command::Config(ConfigCommand::Check { output }) => command::config_check(output.into(), &environment),
        Command::Config(_) | Command::Completions { .. } | Command::Man => Ok(Exit::Done),
    }
}

fn storage_files(typed: StorageFilesCommand, environment: &Environment) -> Result<Exit, Failure> {
    match typed {
        StorageFilesCommand::Backup(typed) => Watch::over(Work::Files, environment, |watch| {
            watch.of_section(typed.db.as_deref());
            let only = files_section(typed.db.as_deref(), environment).ok().flatten();
            watch.of_section(only.map(|(name, _)| name));
            command::back_up_files(&SettledFilesBackup::settle(*typed, environment)?, environment, watch)
        }),
        StorageFilesCommand::Restore(typed) => {
            command::restore_files(&SettledFilesRestore::settle(typed, environment)?, environment)
        }
        StorageFilesCommand::Verify(typed) => command::verify_files(&SettledFilesVerify::settle(typed, environment)?),
        StorageFilesCommand::List(typed) => command::list_files(&SettledFilesList::settle(typed, environment)?),
    }
}

/// Prints what clap has to say: help and version to standard output, everything else to standard error.
fn tell_of_arguments(error: &clap::Error, typed: &[OsString]) -> Result<Exit, Failure> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        print_text(&error.to_string())?;
        return Ok(Exit::Done);
    }
    complain(without_secrets(&error.to_string(), typed).trim_end());
    Ok(Exit::Usage)
}

/// The message repeats arguments that it did not expect, and one of them may be a connection with its password.
fn without_secrets(message: &str, typed: &[OsString]) -> String {
    let mut message = message.to_owned();
    for argument in typed {
        let Some(argument) = argument.to_str() else { continue };
        let value = match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => value,
            _ => argument,
        };
        if value.contains("://")
            || ["password", "secret-key"]
                .iter()
                .any(|word| value.to_ascii_lowercase().contains(word))
        {
            message = message.replace(value, "***");
        }
    }
    message
}
