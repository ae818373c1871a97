use backstay::status::{DatabaseStatus, Problem, State, Status, Trouble};
use backstay_notify::{EventKind, Work};

use crate::notify::Alarm;

/// What makes the exit status another one than 0, for those who are told about each database. What is amiss with a store is told of
/// each that is in it.
pub(super) fn of(status: &Status) -> Vec<Alarm> {
    status
        .databases
        .iter()
        .flat_map(|database| of_database(database, status))
        .collect()
}

fn of_database(database: &DatabaseStatus, status: &Status) -> Vec<Alarm> {
    let mut found: Vec<(EventKind, Work, String)> = Vec::new();
    let mut add = |problems: &[Problem], store: Option<&str>| {
        for problem in problems.iter().filter(|problem| problem.state() >= State::Bad) {
            let (kind, work) = told_as(problem.trouble);
            let message = match store {
                Some(store) => format!("{store}: {}", problem.message),
                None => problem.message.clone(),
            };
            found.push((kind, work, message));
        }
    };
    for place in &database.places {
        let store = status.stores.get(place.store);
        let location = store.map(|store| store.location.as_str());
        add(&place.problems, location);
        // Why it cannot be asked was told of the place.
        if let Some(store) = store.filter(|_| place.state != State::Unknown) {
            add(&store.problems, location);
        }
    }
    add(&database.problems, None);
    let alarm = |(kind, work)| {
        let these = found
            .iter()
            .filter(|(its_kind, its_work, _)| (*its_kind, *its_work) == (kind, work));
        let messages: Vec<String> = these.map(|(.., message)| message.clone()).collect();
        (!messages.is_empty()).then(|| Alarm {
            section: database.watched.clone(),
            prefix: database.prefix.clone(),
            kind,
            work,
            messages,
        })
    };
    let kinds = [
        (EventKind::Missed, Work::Backup),
        (EventKind::Missed, Work::Files),
        (EventKind::Alarm, Work::Backup),
        (EventKind::Alarm, Work::Verify),
        (EventKind::Alarm, Work::Drill),
    ];
    kinds.into_iter().filter_map(alarm).collect()
}

/// What notifications call it, and which work it is about.
fn told_as(trouble: Trouble) -> (EventKind, Work) {
    match trouble {
        Trouble::NoBackup | Trouble::Late => (EventKind::Missed, Work::Backup),
        Trouble::Files => (EventKind::Missed, Work::Files),
        Trouble::Unproven | Trouble::ProofFailed => (EventKind::Alarm, Work::Verify),
        Trouble::Slow | Trouble::NeverDrilled | Trouble::DrillFailed => (EventKind::Alarm, Work::Drill),
        _ => (EventKind::Alarm, Work::Backup),
    }
}
