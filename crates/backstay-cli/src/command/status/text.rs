use std::fmt::Write as _;

use backstay::Severity;
use backstay::status::{DatabaseStatus, PlaceStatus, Problem, State, Status, Trouble};

use crate::output::{Columns, age, bytes, duration, time};

/// One line for each database and store, and below it what is amiss.
pub(super) fn of(status: &Status) -> String {
    let mut text = table(status).to_string();
    let mut hinted = Vec::new();
    for database in &status.databases {
        let mut lines = Vec::new();
        for place in &database.places {
            let shown = match database.places.len() {
                1 => String::new(),
                _ => format!("{}: ", location(status, place)),
            };
            // Why a store cannot be asked is told of the store.
            let problems = place.problems.iter();
            let problems = problems.filter(|problem| problem.trouble != Trouble::Unreachable);
            lines.extend(problems.flat_map(|problem| problem_lines(problem, &shown, &mut hinted)));
            for held in &place.held {
                let holds: Vec<String> = held.holds.iter().map(|hold| one_line(&hold.to_string())).collect();
                lines.push(format!("{shown}{} is held{}", held.id, holds.join("; held")));
            }
        }
        lines.extend(
            database
                .problems
                .iter()
                .flat_map(|problem| problem_lines(problem, "", &mut hinted)),
        );
        push_block(&mut text, &database.name, &lines);
    }
    for store in &status.stores {
        let lines: Vec<String> = store
            .problems
            .iter()
            .flat_map(|problem| problem_lines(problem, "", &mut hinted))
            .collect();
        push_block(&mut text, &store.location, &lines);
    }
    text
}

/// What makes the exit status another one than 0, each in a line; stores that cannot be asked are told by themselves.
pub(super) fn errors(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |about: &str, problems: &[Problem]| {
        let errors = problems.iter().filter(|problem| problem.state() == State::Bad);
        lines.extend(errors.map(|problem| format!("error: {about}: {}", one_line(&problem.message))));
    };
    for database in &status.databases {
        for place in &database.places {
            add(
                &format!("{} in {}", database.name, location(status, place)),
                &place.problems,
            );
        }
        add(&database.name, &database.problems);
    }
    for store in &status.stores {
        add(&store.location, &store.problems);
    }
    lines
}

fn push_block(text: &mut String, heading: &str, lines: &[String]) {
    if !lines.is_empty() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{heading}");
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
    }
}

/// What is amiss, and what to do about it where that was not said yet.
fn problem_lines(problem: &Problem, about: &str, hinted: &mut Vec<&'static str>) -> Vec<String> {
    let mut lines = vec![format!("{}: {about}{}", problem.severity, one_line(&problem.message))];
    let hint = hint(problem.trouble).filter(|_| problem.severity != Severity::Note);
    if let Some(hint) = hint.filter(|hint| !hinted.contains(hint)) {
        hinted.push(hint);
        lines.push(format!("  hint: {hint}"));
    }
    lines
}

/// What to do about it.
fn hint(trouble: Trouble) -> Option<&'static str> {
    Some(match trouble {
        Trouble::NoBackup | Trouble::Late => {
            "look whether the job that makes backups runs: backstay log tells the last; backstay doctor tells what is in its way"
        }
        Trouble::Files => {
            "look whether the job that saves files runs: backstay log tells the last; backstay storage-files backup"
        }
        Trouble::Future | Trouble::Clock => {
            "look at the clocks of this machine and of those that make backups; until then ages say nothing"
        }
        Trouble::Unreadable | Trouble::Damaged | Trouble::ProofFailed => {
            "backstay verify ID tells what is wrong; make another backup, and copy good ones from another store: backstay copy"
        }
        Trouble::Part => "make a backup of the whole database, or say in the configuration which part is meant",
        Trouble::Unproven => "backstay verify latest, or backstay drill, and do so each week",
        Trouble::Findings => "backstay show ID tells all that was found",
        Trouble::Shrank => {
            "look whether rows were lost: backstay show ID --tables; what is meant to vary belongs into rules"
        }
        Trouble::NeverDrilled => "backstay drill restores a backup elsewhere and measures how long it takes",
        Trouble::Slow => "more --jobs, or a faster server; backstay drill tells which phase takes long",
        Trouble::DrillFailed => "backstay drill ID tells what was found",
        Trouble::Litter => "backstay prune --litter removes it",
        Trouble::Adoptable => {
            "a pack that is whole can be verified and restored by its path; what is not can be deleted by hand"
        }
        _ => return None,
    })
}

/// What others wrote into a store, in one line.
fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

fn location<'s>(status: &'s Status, place: &PlaceStatus) -> &'s str {
    status
        .stores
        .get(place.store)
        .map_or("", |store| store.location.as_str())
}

fn table(status: &Status) -> Columns {
    let mut columns = Columns::default();
    if status.databases.is_empty() {
        return columns;
    }
    let is_planned = status.databases.iter().any(|database| !database.next_runs.is_empty());
    let next = |cell: String| is_planned.then_some(cell);
    let headings = [
        "DATABASE", "STORE", "STATE", "NEWEST", "PROVEN", "RECOVERY", "SIZE", "TREND", "BACKUPS", "STORED",
    ];
    columns.row(headings.map(str::to_owned).into_iter().chain(next("NEXT".to_owned())));
    for database in &status.databases {
        let soonest = database.next_runs.iter().min_by_key(|run| run.at);
        let soonest = soonest.map(|run| format!("{} {}", run.what, time(run.at)));
        for (index, place) in database.places.iter().enumerate() {
            let soonest = soonest.clone().filter(|_| index == 0).unwrap_or_default();
            columns.row(
                row(status, database, place, index == 0)
                    .into_iter()
                    .chain(next(soonest)),
            );
        }
    }
    columns
}

/// What is said of a database as a whole stands in the row of its first store.
fn row(status: &Status, database: &DatabaseStatus, place: &PlaceStatus, is_first: bool) -> [String; 10] {
    let now = status.at;
    let of_first = |cell: String| if is_first { cell } else { String::new() };
    let is_known = place.state != State::Unknown;
    let known = |cell: String| if is_known { cell } else { "?".to_owned() };
    let state = match is_first {
        // With what is amiss with the database as a whole.
        true => place.state.max(of_database(database)),
        false => place.state,
    };
    let proven = database.proven.as_ref().map(|proven| age(now, proven.id.time()));
    let recovery = database.recovery.as_ref().map(|recovery| duration(recovery.took));
    let newest = place.newest.as_ref();
    let size = newest.map(|newest| bytes(newest.own_bytes.saturating_add(newest.shared_bytes)));
    [
        of_first(database.name.clone()),
        location(status, place).to_owned(),
        state.to_string(),
        known(newest.map_or("none".to_owned(), |newest| age(now, newest.id.time()))),
        of_first(proven.unwrap_or_else(|| "never".to_owned())),
        of_first(recovery.unwrap_or_else(|| "unknown".to_owned())),
        known(size.unwrap_or_else(|| "-".to_owned())),
        known(
            place
                .trend
                .map_or("-".to_owned(), |trend| format!("{:+} %", trend.percent())),
        ),
        known(place.backups.to_string()),
        known(bytes(place.pack_bytes)),
    ]
}

fn of_database(database: &DatabaseStatus) -> State {
    let states = database.problems.iter().map(Problem::state);
    states.max().unwrap_or(State::Good)
}
