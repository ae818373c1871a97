use super::{PrintedFile, Setting, Unit, variables};

/// Lines for `crontab`. The zone is set as cronie takes it; others know only that of the machine.
#[must_use]
pub fn crontab(units: &[Unit], setting: &Setting) -> PrintedFile {
    let mut text = String::from(
        "# Backups by Backstay, for crontab -e. CRON_TZ says whose clock it is; Debian's cron does not know it and takes that of\n\
         # the machine. A night that the machine sleeps through is not made up for; backstay run and systemd do that.\n",
    );
    let variables = variables(units);
    if !variables.is_empty() {
        text.push_str(&format!(
            "# These have to be in the environment: {}.\n# A crontab is readable to others: let the configuration say\n\
             # {{ file = … }} in place of {{ env = … }}.\n",
            variables.join(", ")
        ));
    }
    let mut zone = None;
    for unit in units {
        if zone != Some(unit.zone_name()) {
            text.push_str(&format!("CRON_TZ={}\n", unit.zone_name()));
            zone = Some(unit.zone_name());
        }
        text.push_str(&format!("# {}", unit.title));
        if !unit.jitter.is_zero() {
            text.push_str("; the jitter is left out, since cron has none");
        }
        let words = [setting.program.as_str(), "--config", &setting.config];
        let words = words.into_iter().chain(unit.arguments.iter().map(String::as_str));
        let command: Vec<String> = words.map(for_shell).collect();
        text.push_str(&format!("\n{} {}\n", unit.cron, command.join(" ")));
    }
    PrintedFile {
        name: "crontab".to_owned(),
        text,
    }
}

/// A word for the shell, in a line in which cron makes line ends of `%`.
fn for_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@".contains(c);
    let word = if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    };
    word.replace('%', r"\%")
}
