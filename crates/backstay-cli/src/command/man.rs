use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::Arguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::print;

/// A function of [`Man`] that writes one section.
type Section = fn(&Man, &mut dyn io::Write) -> io::Result<()>;

/// Writes one manual page that covers all commands.
pub(crate) fn manual_page() -> Result<Exit, Failure> {
    print(page()?.as_bytes())?;
    Ok(Exit::Done)
}

fn page() -> io::Result<String> {
    let mut definition = Arguments::definition();
    definition.build();
    let man = Man::new(definition.clone()).title("BACKSTAY");
    let sections: [Section; 4] = [
        |man, to| man.render_name_section(to),
        |man, to| man.render_synopsis_section(to),
        |man, to| man.render_description_section(to),
        |man, to| man.render_options_section(to),
    ];
    let mut page = rendered(&man, |man, to| man.render_title(to))?;
    for section in sections {
        page.push_str(from_heading(&rendered(&man, section)?));
    }
    for command in definition.get_subcommands() {
        page.push_str(&of_command(command)?);
    }
    let mut exits = Roff::new();
    exits.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in Exit::all() {
        exits.control("TP", []);
        exits.text([bold(code.to_string())]);
        exits.text([roman(meaning)]);
    }
    page.push_str(from_heading(&exits.to_roff()));
    Ok(page)
}

/// The section of one command, made of its own sections without their headings.
fn of_command(command: &Command) -> io::Result<String> {
    let man = Man::new(command.clone());
    let mut heading = Roff::new();
    heading.control("SH", [format!("backstay {}", command.get_name()).as_str()]);
    let mut section = from_heading(&heading.to_roff()).to_owned();
    let synopsis = rendered(&man, |man, to| man.render_synopsis_section(to))?;
    let description = rendered(&man, |man, to| man.render_description_section(to))?;
    let options = rendered(&man, |man, to| man.render_options_section(to))?;
    section.push_str(behind_heading(&synopsis));
    section.push_str(".PP\n");
    section.push_str(behind_heading(&description));
    section.push_str(behind_heading(&options));
    Ok(section)
}

fn rendered(man: &Man, section: Section) -> io::Result<String> {
    let mut bytes = Vec::new();
    section(man, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A section without the definitions that each piece of roff begins with; the title has them already.
fn from_heading(roff: &str) -> &str {
    roff.find(".SH").map_or(roff, |start| &roff[start..])
}

fn behind_heading(roff: &str) -> &str {
    from_heading(roff).split_once('\n').map_or("", |(_, behind)| behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_exit_status_has_its_place() {
        let page = page().unwrap();
        for command in Arguments::definition().get_subcommands() {
            let heading = format!(".SH \"backstay {}\"\n", command.get_name());
            assert_eq!(page.matches(&heading).count(), 1, "{heading}");
        }
        for (code, meaning) in Exit::all() {
            assert!(page.contains(&format!(".TP\n\\fB{code}\\fR\n{meaning}\n")), "{code}");
        }
        assert_eq!(page.matches(".ie").count(), 1);
        assert_eq!(page.matches(".SH OPTIONS").count(), 1);
        assert!(page.contains("\\-\\-keep\\-days"));
    }
}
