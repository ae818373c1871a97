use crate::cron::{Cron, Field};

use super::{PrintedFile, Setting, Unit};

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A service and a timer for each.
#[must_use]
pub fn systemd(units: &[Unit], setting: &Setting) -> Vec<PrintedFile> {
    units
        .iter()
        .flat_map(|unit| [service(unit, setting), timer(unit)])
        .collect()
}

fn service(unit: &Unit, setting: &Setting) -> PrintedFile {
    let words = [setting.program.as_str(), "--config", &setting.config];
    let words = words.into_iter().chain(unit.arguments.iter().map(String::as_str));
    let command: Vec<String> = words.map(for_exec).collect();
    let secrets = match unit.variables.is_empty() {
        true => String::new(),
        false => format!(
            "# {}; readable to root alone.\nEnvironmentFile=/etc/backstay/secrets.env\n",
            unit.variables.join(", ")
        ),
    };
    PrintedFile {
        name: format!("backstay-{}.service", unit.name),
        text: format!(
            "[Unit]\nDescription=Backstay: {}\nWants=network-online.target\nAfter=network-online.target\n\n[Service]\n\
             Type=oneshot\n{secrets}ExecStart={}\n",
            for_description(&unit.title),
            command.join(" ")
        ),
    }
}

fn timer(unit: &Unit) -> PrintedFile {
    let mut text = format!(
        "[Unit]\nDescription=Backstay: when the {} is due\n\n[Timer]\n",
        for_description(&unit.title)
    );
    for calendar in on_calendar(&unit.cron) {
        text.push_str(&format!("OnCalendar={calendar} {}\n", unit.zone_name()));
    }
    text.push_str("AccuracySec=1s\n");
    if !unit.jitter.is_zero() {
        text.push_str(&format!("RandomizedDelaySec={}s\n", unit.jitter.as_secs()));
    }
    text.push_str("# What was missed while the machine was off is made up for.\nPersistent=true\n");
    text.push_str("\n[Install]\nWantedBy=timers.target\n");
    PrintedFile {
        name: format!("backstay-{}.timer", unit.name),
        text,
    }
}

/// The times of a cron expression, by the grammar of `systemd.time`: two lines where a day is one of the month or of the week.
pub(crate) fn on_calendar(cron: &Cron) -> Vec<String> {
    let (days, weekdays) = (cron.days(), cron.weekdays());
    let months = list(&cron.months());
    let time = format!("{}:{}:00", list(&cron.hours()), list(&cron.minutes()));
    let of_month = format!("*-{months}-{} {time}", list(&days));
    let names: Vec<&str> = weekdays.values.iter().map(|day| WEEKDAYS[usize::from(*day)]).collect();
    let of_week = format!("{} *-{months}-* {time}", names.join(","));
    match (days.is_any, weekdays.is_any) {
        (_, true) => vec![of_month],
        (true, false) => vec![of_week],
        (false, false) => vec![of_month, of_week],
    }
}

fn list(field: &Field) -> String {
    if field.is_any {
        return "*".to_owned();
    }
    let values: Vec<String> = field.values.iter().map(|value| format!("{value:02}")).collect();
    values.join(",")
}

/// A word of `ExecStart`.
fn for_exec(word: &str) -> String {
    let word = word.replace('%', "%%").replace('$', "$$");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%$".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word
    } else {
        super::quoted(&word)
    }
}

fn for_description(text: &str) -> String {
    text.replace('%', "%%")
}
