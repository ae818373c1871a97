use serde::Serialize;

use crate::args::NotifyCommand;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::notify::test;
use crate::output::{Form, Output, Voice, complain, print_json, print_text};

/// Sends tests to those that are named, and tells who got one.
pub(crate) fn notify(command: NotifyCommand, environment: &Environment) -> Result<Exit, Failure> {
    let NotifyCommand::Test { names, output } = command;
    let output = Output::from(output);
    // A name that nobody has is told before anybody gets a message.
    let loaded = environment.configuration.require()?;
    for name in &names {
        loaded.notification(name)?;
    }
    let mut told = Vec::new();
    let mut exit = Exit::Done;
    for name in names {
        let error = test(&name, environment).err();
        if let Some(failure) = &error {
            complain(&failure.report());
            exit = if exit == Exit::Done { failure.exit() } else { exit };
        } else if output.form == Form::Text && output.voice == Voice::Normal {
            print_text(&format!("{name} was told\n"))?;
        }
        told.push(ToldJson {
            ok: error.is_none(),
            error: error.map(|failure| failure.in_one_line()),
            name,
        });
    }
    if output.form == Form::Json {
        print_json(&told)?;
    }
    Ok(exit)
}

#[derive(Serialize)]
struct ToldJson {
    name: String,
    ok: bool,
    error: Option<String>,
}
