//! How databases are doing, by made histories and by stores.

mod made;
mod stores;

use backstay::status::Status;

/// Everything that a status says, for snapshots.
fn shown(status: &Status) -> String {
    let mut text = format!("{}\n", status.state);
    for database in &status.databases {
        let seconds = database.recovery.as_ref().map(|recovery| recovery.took.as_secs());
        text.push_str(&format!(
            "{} {}, proven: {}, recovery: {}\n",
            database.name,
            database.state,
            database
                .proven
                .as_ref()
                .map_or("never".to_owned(), |proven| format!("{} {}", proven.id, proven.level)),
            seconds.map_or("unknown".to_owned(), |seconds| format!("{seconds} s")),
        ));
        for place in &database.places {
            let newest = place
                .newest
                .as_ref()
                .map_or("none".to_owned(), |newest| newest.id.to_string());
            let trend = place
                .trend
                .map(|trend| format!(", {:+} % of {}", trend.percent(), trend.backups));
            text.push_str(&format!(
                "  store {} {}: newest {newest}, {} backups, {} held{}\n",
                place.store,
                place.state,
                place.backups,
                place.held.len(),
                trend.unwrap_or_default(),
            ));
            for problem in &place.problems {
                text.push_str(&format!(
                    "    {} {}: {}\n",
                    problem.severity,
                    problem.trouble.as_str(),
                    problem.message
                ));
            }
        }
        for problem in &database.problems {
            text.push_str(&format!(
                "  {} {}: {}\n",
                problem.severity,
                problem.trouble.as_str(),
                problem.message
            ));
        }
    }
    for store in &status.stores {
        for problem in &store.problems {
            let (trouble, message) = (problem.trouble.as_str(), &problem.message);
            text.push_str(&format!(
                "{}: {} {trouble}: {message}\n",
                store.location, problem.severity
            ));
        }
    }
    text
}
