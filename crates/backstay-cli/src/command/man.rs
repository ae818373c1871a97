use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::Arguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::print;

/// Writes one manual page that covers all commands.
pub(crate) fn manual_page() -> Result<Exit, Failure> {
    print(&page()?)?;
    Ok(Exit::Done)
}

fn page() -> io::Result<Vec<u8>> {
    // The exit status gets a section of its own in place of the text behind the help.
    let mut definition = Arguments::definition().after_help(None::<&str>);
    definition.build();
    let man = Man::new(definition.clone()).title("BACKSTAY");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in definition.get_subcommands() {
        page.extend(command_section(command)?);
    }
    let mut exits = Roff::new();
    exits.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in Exit::all() {
        exits.control("TP", []);
        exits.text([bold(code.to_string())]);
        exits.text([roman(meaning)]);
    }
    page.extend(body(&exits.to_roff(), None));
    Ok(page)
}

/// The section of one command: its sections without their own headings.
fn command_section(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut heading = Roff::new();
    heading.control("SH", [format!("backstay {}", command.get_name()).as_str()]);
    let mut section = body(&heading.to_roff(), None);
    let mut add = |rendered: Vec<u8>, title: &str, separate: bool| {
        if separate {
            section.extend(b".PP\n");
        }
        section.extend(body(&String::from_utf8_lossy(&rendered), Some(title)));
    };
    let mut part = Vec::new();
    man.render_synopsis_section(&mut part)?;
    add(part, "SYNOPSIS", false);
    let mut part = Vec::new();
    man.render_description_section(&mut part)?;
    add(part, "DESCRIPTION", true);
    let mut part = Vec::new();
    man.render_options_section(&mut part)?;
    add(part, "OPTIONS", false);
    Ok(section)
}

/// What stands behind the definitions that each piece of roff begins with and, where there is one, behind the heading.
fn body(roff: &str, heading: Option<&str>) -> Vec<u8> {
    let start = match heading {
        Some(heading) => roff.find(&format!(".SH {heading}\n")).map(|at| at + heading.len() + 5),
        None => roff.find(".SH"),
    };
    roff.as_bytes()[start.unwrap_or(0)..].to_vec()
}
