use backstay::manifest::Scope;
use backstay::status::{DatabaseStatus, HeldBackup, NewestBackup, PlaceStatus, Problem, Status, StoreStatus};
use jiff::Timestamp;
use serde::Serialize;

/// The status for programs: times in UTC as RFC 3339, lengths of time in seconds, sizes in bytes.
pub(super) fn of(status: &Status) -> StatusJson {
    StatusJson {
        at: status.at.to_string(),
        state: status.state.as_str(),
        databases: status.databases.iter().map(|found| database(status, found)).collect(),
        stores: status.stores.iter().map(store).collect(),
    }
}

#[derive(Serialize)]
pub(super) struct StatusJson {
    at: String,
    state: &'static str,
    databases: Vec<DatabaseJson>,
    stores: Vec<StoreJson>,
}

#[derive(Serialize)]
struct DatabaseJson {
    name: String,
    prefix: String,
    state: &'static str,
    rpo: String,
    rto_seconds: f64,
    proven_within: String,
    proven: Option<ProvenJson>,
    recovery: Option<RecoveryJson>,
    last_drill: Option<DrillJson>,
    next_runs: Vec<RunJson>,
    problems: Vec<ProblemJson>,
    places: Vec<PlaceJson>,
}

#[derive(Serialize)]
struct ProvenJson {
    id: String,
    age_seconds: i64,
    store: String,
    level: String,
    at: String,
}

#[derive(Serialize)]
struct RecoveryJson {
    seconds: f64,
    at: String,
    id: String,
}

#[derive(Serialize)]
struct DrillJson {
    id: String,
    at: String,
    passed: bool,
}

#[derive(Serialize)]
struct RunJson {
    what: String,
    at: String,
}

#[derive(Serialize)]
struct PlaceJson {
    store: String,
    state: &'static str,
    newest: Option<NewestJson>,
    backups: u64,
    stored_bytes: u64,
    trend: Option<TrendJson>,
    held: Vec<HeldJson>,
    problems: Vec<ProblemJson>,
}

#[derive(Serialize)]
struct NewestJson {
    id: String,
    time: String,
    age_seconds: i64,
    own_bytes: u64,
    shared_bytes: u64,
    encrypted: bool,
    /// The last three are `null` where it is encrypted and there is no key.
    tables: Option<u64>,
    rows: Option<u64>,
    part: Option<bool>,
}

#[derive(Serialize)]
struct TrendJson {
    backups: u64,
    median_bytes: u64,
    newest_bytes: u64,
    percent: i64,
}

#[derive(Serialize)]
struct HeldJson {
    id: String,
    holds: Vec<HoldJson>,
}

#[derive(Serialize)]
struct HoldJson {
    who: String,
    why: String,
}

#[derive(Serialize)]
struct StoreJson {
    location: String,
    state: &'static str,
    bytes: Option<u64>,
    litter: Option<usize>,
    problems: Vec<ProblemJson>,
}

#[derive(Serialize)]
struct ProblemJson {
    severity: String,
    trouble: &'static str,
    message: String,
}

fn database(status: &Status, database: &DatabaseStatus) -> DatabaseJson {
    let proven = database.proven.as_ref().map(|proven| ProvenJson {
        id: proven.id.to_string(),
        age_seconds: age(status.at, proven.id.time()),
        store: location(status, proven.store),
        level: proven.level.clone(),
        at: proven.at.to_string(),
    });
    let recovery = database.recovery.as_ref().map(|recovery| RecoveryJson {
        seconds: recovery.took.as_secs_f64(),
        at: recovery.at.to_string(),
        id: recovery.id.to_string(),
    });
    let last_drill = database.last_drill.as_ref().map(|drill| DrillJson {
        id: drill.id.to_string(),
        at: drill.said.at.to_string(),
        passed: drill.evidence.passed,
    });
    let next_runs = database.next_runs.iter().map(|run| RunJson {
        what: run.what.clone(),
        at: run.at.to_string(),
    });
    DatabaseJson {
        name: database.name.clone(),
        prefix: database.prefix.to_string(),
        state: database.state.as_str(),
        rpo: database.limits.rpo.to_string(),
        rto_seconds: database.limits.rto.as_secs_f64(),
        proven_within: database.limits.proven_within.to_string(),
        proven,
        recovery,
        last_drill,
        next_runs: next_runs.collect(),
        problems: database.problems.iter().map(problem).collect(),
        places: database.places.iter().map(|found| place(status, found)).collect(),
    }
}

fn place(status: &Status, place: &PlaceStatus) -> PlaceJson {
    PlaceJson {
        store: location(status, place.store),
        state: place.state.as_str(),
        newest: place.newest.as_ref().map(|backup| newest(status.at, backup)),
        backups: place.backups,
        stored_bytes: place.pack_bytes,
        trend: place.trend.map(|trend| TrendJson {
            backups: trend.backups,
            median_bytes: trend.median_bytes,
            newest_bytes: trend.newest_bytes,
            percent: trend.percent(),
        }),
        held: place.held.iter().map(held).collect(),
        problems: place.problems.iter().map(problem).collect(),
    }
}

fn newest(now: Timestamp, backup: &NewestBackup) -> NewestJson {
    NewestJson {
        id: backup.id.to_string(),
        time: backup.id.time().to_string(),
        age_seconds: age(now, backup.id.time()),
        own_bytes: backup.own_bytes,
        shared_bytes: backup.shared_bytes,
        encrypted: backup.is_sealed,
        tables: backup.holdings.map(|holdings| holdings.tables),
        rows: backup.holdings.map(|holdings| holdings.rows),
        part: match backup.scope {
            Scope::All => Some(false),
            Scope::Part(_) => Some(true),
            Scope::Unknown => None,
        },
    }
}

fn held(held: &HeldBackup) -> HeldJson {
    let holds = held.holds.iter().map(|hold| HoldJson {
        who: hold.who.clone(),
        why: hold.why.clone(),
    });
    HeldJson {
        id: held.id.to_string(),
        holds: holds.collect(),
    }
}

fn store(store: &StoreStatus) -> StoreJson {
    StoreJson {
        location: store.location.clone(),
        state: store.state.as_str(),
        bytes: store.bytes,
        litter: store.litter,
        problems: store.problems.iter().map(problem).collect(),
    }
}

fn problem(problem: &Problem) -> ProblemJson {
    ProblemJson {
        severity: problem.severity.to_string(),
        trouble: problem.trouble.as_str(),
        message: problem.message.clone(),
    }
}

fn location(status: &Status, store: usize) -> String {
    status
        .stores
        .get(store)
        .map_or_else(String::new, |store| store.location.clone())
}

fn age(now: Timestamp, then: Timestamp) -> i64 {
    now.as_second().saturating_sub(then.as_second())
}
