//! The backups of one database in one store.

use backstay_core::manifest::Scope;
use backstay_core::repository::LEVEL_RULES;
use backstay_core::retention::ProofState;
use backstay_core::store::ObjectKey;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::history::{BackupHistory, BackupManifest, Series};
use super::verdict::{
    HeldBackup, NewestBackup, PlaceStatus, Problem, ProvenBackup, State, Trend, Trouble, VolumeJudge, Watched,
};

/// Fewer backups than this do not tell what is usual.
const EARLIER_MIN: usize = 3;
/// What is less than one such part of the usual is a loss.
const LOSS_DIVISOR: u64 = 2;

/// The state of the worst.
pub(super) fn worst<'p>(problems: impl IntoIterator<Item = &'p Problem>) -> State {
    problems.into_iter().map(Problem::state).max().unwrap_or(State::Good)
}

/// Times as messages have them.
pub(super) fn time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string()
}

/// A store that could not be asked.
pub(super) fn unreachable(store: usize, why: &str) -> PlaceStatus {
    let problem = Problem::error(Trouble::Unreachable, format!("the store cannot be asked: {why}"));
    PlaceStatus {
        problems: vec![problem],
        state: State::Unknown,
        ..empty(store)
    }
}

/// A store that has no backups of the database.
pub(super) fn lacking(store: usize, watched: &Watched) -> PlaceStatus {
    let message = format!("there is no backup with the prefix {}", watched.prefix);
    PlaceStatus {
        problems: vec![Problem::error(Trouble::NoBackup, message)],
        state: State::Bad,
        ..empty(store)
    }
}

fn empty(store: usize) -> PlaceStatus {
    PlaceStatus {
        store,
        state: State::Good,
        newest: None,
        backups: 0,
        pack_bytes: 0,
        trend: None,
        held: Vec::new(),
        problems: Vec::new(),
    }
}

/// How the backups of a database in one store are doing.
pub(super) fn judge(
    store: usize,
    series: &Series,
    watched: &Watched,
    takes_parts: bool,
    now: Timestamp,
) -> PlaceStatus {
    let past: Vec<&BackupHistory> = series.backups.iter().filter(|backup| backup.id.time() <= now).collect();
    let future = series.backups.len() - past.len();
    let mut problems = Vec::new();
    if future > 0 {
        let last = series
            .backups
            .last()
            .map(|backup| backup.id.to_string())
            .unwrap_or_default();
        let message = format!(
            "{} from the future, such as {last}: a clock is wrong",
            counted(future, "backup is", "backups are")
        );
        problems.push(Problem::warning(Trouble::Future, message));
    }
    let counts = |backup: &&&BackupHistory| is_usable(backup) && (takes_parts || !is_part(backup));
    let newest = past.iter().rev().find(counts).copied();
    problems.extend(age_problem(newest, &past, watched, now));
    problems.extend(refused(&past));
    problems.extend(damaged(&past));
    if let Some(last) = past
        .last()
        .filter(|last| is_usable(last) && newest.map(|newest| &newest.id) != Some(&last.id))
    {
        let message = format!("{} holds only a part of the database, and does not count", last.id);
        problems.push(Problem::warning(Trouble::Part, message));
    }
    let is_unknown = |newest: &&BackupHistory| newest.facts().is_some_and(|facts| facts.scope == Scope::Unknown);
    if let Some(newest) = newest.filter(|newest| !watched.is_part && is_unknown(newest)) {
        let message = format!(
            "{} is encrypted, and without its key nobody knows whether it holds all of the database",
            newest.id
        );
        problems.push(Problem::warning(Trouble::Part, message));
    }
    problems.extend(failed_proofs(&past));
    problems.extend(past.last().and_then(|last| findings(last)));
    let trend = newest.and_then(|newest| {
        let earlier = past.iter().rev().filter(counts).skip(1).copied();
        trend(newest, earlier.filter(|backup| is_part(backup) == is_part(newest)))
    });
    if watched.volume == VolumeJudge::Status {
        problems.extend(trend.and_then(|trend| shrank(&trend)));
    }
    problems.sort_by_key(|problem| problem.severity);
    PlaceStatus {
        store,
        state: worst(&problems),
        newest: newest.and_then(newest_backup),
        backups: series.backups.len() as u64,
        pack_bytes: series
            .backups
            .iter()
            .fold(0, |sum, backup| sum.saturating_add(backup.pack_bytes)),
        trend,
        held: held(&series.backups),
        problems,
    }
}

/// Whether there is a backup of all of the database. A part replaces no whole of it; but where all of them are parts, in
/// all stores, that is what is wanted.
pub(super) fn has_whole(series: &Series, now: Timestamp) -> bool {
    let is_whole = |backup: &BackupHistory| backup.id.time() <= now && is_usable(backup) && !is_part(backup);
    series.backups.iter().any(is_whole)
}

/// The newest that was proven, has all its packs as far as that is known, counts, and is not from the future.
pub(super) fn proven(store: usize, series: &Series, takes_parts: bool, now: Timestamp) -> Option<ProvenBackup> {
    let is_good = |backup: &&BackupHistory| {
        let lacks_packs = backup.facts().is_some_and(|facts| !facts.is_whole);
        backup.id.time() <= now
            && backup.proof == ProofState::Proven
            && !lacks_packs
            && (takes_parts || !is_part(backup))
    };
    let backup = series.backups.iter().rev().find(is_good)?;
    let proof = backup.proofs.iter().find(|proof| proof.decides() && proof.passed)?;
    Some(ProvenBackup {
        id: backup.id.clone(),
        store,
        level: proof.level.clone(),
        at: proof.at,
    })
}

fn is_usable(backup: &BackupHistory) -> bool {
    backup.facts().is_some_and(|facts| facts.is_whole)
}

pub(super) fn is_part(backup: &BackupHistory) -> bool {
    backup.facts().is_some_and(|facts| facts.scope.is_part())
}

fn newest_backup(backup: &BackupHistory) -> Option<NewestBackup> {
    let facts = backup.facts()?;
    Some(NewestBackup {
        id: backup.id.clone(),
        own_bytes: backup.pack_bytes,
        shared_bytes: facts.shared_bytes,
        holdings: facts.holdings,
        scope: facts.scope.clone(),
        is_sealed: facts.is_sealed,
    })
}

fn age_problem(
    newest: Option<&BackupHistory>,
    past: &[&BackupHistory],
    watched: &Watched,
    now: Timestamp,
) -> Option<Problem> {
    let rpo = watched.limits.rpo;
    let Some(newest) = newest else {
        let message = match past.len() {
            0 => format!(
                "there is no backup with the prefix {} that is not from the future",
                watched.prefix
            ),
            _ => "none of the newest backups can be used".to_owned(),
        };
        return Some(Problem::error(Trouble::NoBackup, message));
    };
    let taken = newest.id.time();
    (taken < rpo.before(now, &TimeZone::UTC)).then(|| {
        let message = format!(
            "the newest backup that can be used is of {}, more than {rpo} ago",
            time(taken)
        );
        Problem::error(Trouble::Late, message)
    })
}

fn refused(past: &[&BackupHistory]) -> Option<Problem> {
    let refused = past.iter().rev().filter_map(|backup| match &backup.manifest {
        BackupManifest::Refused(why) => Some(why),
        BackupManifest::NotRead | BackupManifest::Read(_) => None,
    });
    let refused: Vec<&String> = refused.collect();
    let first = refused.first()?;
    let message = match refused.len() {
        1 => format!("a manifest cannot be read: {first}"),
        several => format!("{several} manifests cannot be read, the newest because {first}"),
    };
    Some(Problem::error(Trouble::Unreadable, message))
}

fn damaged(past: &[&BackupHistory]) -> Option<Problem> {
    let lacks_packs = |backup: &&&BackupHistory| backup.facts().is_some_and(|facts| !facts.is_whole);
    let mut damaged = past.iter().rev().filter(lacks_packs);
    let first = damaged.next()?;
    let message = match damaged.count() {
        0 => format!("{} lacks a pack, or a pack has another length", first.id),
        others => format!(
            "{} lack packs, or packs have other lengths; the newest is {}",
            counted(others + 1, "backup", "backups"),
            first.id
        ),
    };
    Some(Problem::error(Trouble::Damaged, message))
}

fn failed_proofs(past: &[&BackupHistory]) -> Option<Problem> {
    let failed: Vec<&&BackupHistory> = past.iter().filter(|backup| backup.has_failed()).collect();
    let last = failed.last()?;
    let message = match failed.len() {
        1 => format!("the last verification of {} failed", last.id),
        several => format!(
            "the last verifications of {several} backups failed, the newest is {}",
            last.id
        ),
    };
    let is_newest = past.last().is_some_and(|newest| newest.id == last.id);
    Some(match is_newest {
        true => Problem::error(Trouble::ProofFailed, message),
        false => Problem::warning(Trouble::ProofFailed, message),
    })
}

/// What the newest look at a backup found.
fn findings(backup: &BackupHistory) -> Option<Problem> {
    let noted = &backup.noted.as_ref()?.proof;
    let (errors, warnings) = (noted.findings.errors, noted.findings.warnings);
    if noted.passed && errors == 0 && warnings == 0 {
        return None;
    }
    let first = noted.findings.first.first();
    let first = first.map(|finding| format!(": [{}] {}: {}", finding.rule, finding.subject, finding.message));
    let message = format!(
        "{} {} found {} and {}{}",
        match noted.level.as_str() {
            LEVEL_RULES => "the rules that judged",
            _ => "the last look at",
        },
        backup.id,
        counted(to_usize(errors), "error", "errors"),
        counted(to_usize(warnings), "warning", "warnings"),
        first.unwrap_or_default(),
    );
    Some(match noted.passed && errors == 0 {
        true => Problem::warning(Trouble::Findings, message),
        false => Problem::error(Trouble::Findings, message),
    })
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn trend<'b>(newest: &BackupHistory, earlier: impl Iterator<Item = &'b BackupHistory>) -> Option<Trend> {
    let earlier: Vec<&BackupHistory> = earlier.take(super::READ_NEWEST).collect();
    let text_bytes = |backup: &BackupHistory| backup.holdings().map(|holdings| holdings.text_bytes);
    let texts: Option<Vec<u64>> = earlier.iter().map(|backup| text_bytes(backup)).collect();
    let (newest_bytes, mut sizes) = match (text_bytes(newest), texts) {
        (Some(newest), Some(texts)) => (newest, texts),
        _ => (
            newest.needed_bytes(),
            earlier.iter().map(|backup| backup.needed_bytes()).collect(),
        ),
    };
    sizes.sort_unstable();
    Some(Trend {
        backups: sizes.len() as u64,
        // Of two in the middle the lower: no number that never was.
        median_bytes: *sizes.get(sizes.len().checked_sub(1)? / 2)?,
        newest_bytes,
    })
}

fn shrank(trend: &Trend) -> Option<Problem> {
    let is_known = to_usize(trend.backups) >= EARLIER_MIN;
    (is_known && trend.newest_bytes < trend.median_bytes / LOSS_DIVISOR).then(|| {
        let message = format!(
            "the newest backup holds {} % of what those before it held",
            100 + trend.percent()
        );
        Problem::error(Trouble::Shrank, message)
    })
}

fn held(backups: &[BackupHistory]) -> Vec<HeldBackup> {
    let held = backups.iter().filter(|backup| !backup.holds.is_empty());
    held.map(|backup| HeldBackup {
        id: backup.id.clone(),
        holds: backup.holds.clone(),
    })
    .collect()
}

/// `1 backup`, `2 backups`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The first few names, for people.
pub(super) fn named(keys: &[ObjectKey]) -> String {
    let names: Vec<&str> = keys.iter().take(3).map(ObjectKey::as_str).collect();
    names.join(", ")
}
