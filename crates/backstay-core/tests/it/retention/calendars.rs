use backstay_core::BackupId;
use backstay_core::retention::{BackupFacts, HoldFacts, ProofState, RetentionPolicy};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Backups, one a line: prefix, time, and what is to be known of them. A line `every 1h from A to B` stands for many.
pub(super) fn calendar(text: &str) -> Vec<BackupFacts> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.flat_map(backups).collect()
}

fn backups(line: &str) -> Vec<BackupFacts> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        [prefix, "every", hours, "from", from, "to", to] => {
            let step = 3600 * hours.trim_end_matches('h').parse::<usize>().unwrap();
            let seconds = (time(from).as_second()..=time(to).as_second()).step_by(step);
            seconds
                .map(|second| sound(prefix, Timestamp::from_second(second).unwrap()))
                .collect()
        }
        [prefix, at, ref marks @ ..] => vec![marked(sound(prefix, time(at)), marks)],
        _ => panic!("{line}"),
    }
}

/// A backup of which nothing is special.
pub(super) fn sound(prefix: &str, time: Timestamp) -> BackupFacts {
    BackupFacts {
        origin: None,
        part: None,
        id: BackupId::new(prefix.parse().unwrap(), time),
        is_read: true,
        is_whole: true,
        proof: ProofState::None,
        holds: Vec::new(),
        tags: Vec::new(),
        keep_until: None,
    }
}

fn marked(mut backup: BackupFacts, marks: &[&str]) -> BackupFacts {
    for mark in marks {
        match mark.split_once('=').unwrap_or((mark, "")) {
            ("proven", _) => backup.proof = ProofState::Proven,
            ("perhaps-proven", _) => backup.proof = ProofState::Unread,
            ("unread", _) => (backup.is_read, backup.is_whole) = (false, false),
            ("lacking", _) => backup.is_whole = false,
            ("held", why) => backup.holds.push(HoldFacts {
                who: "ann@db1".to_owned(),
                why: why.to_owned(),
            }),
            ("part", part) => backup.part = Some(part.to_owned()),
            ("tag", tag) => backup.tags.push(tag.parse().unwrap()),
            ("until", until) => backup.keep_until = Some(time(until)),
            _ => panic!("{mark}"),
        }
    }
    backup
}

/// `2025-01-16` or `2025-01-16T14:30`, in UTC.
pub(super) fn time(text: &str) -> Timestamp {
    let text = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        _ => text.to_owned(),
    };
    text.parse().unwrap()
}

/// A policy in words: `last=3 daily=7 zone=berlin`.
pub(super) fn policy(text: &str) -> RetentionPolicy {
    let mut policy = RetentionPolicy::default();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').unwrap();
        match name {
            "last" => policy.keep_last = value.parse().unwrap(),
            "daily" => policy.keep_daily = value.parse().unwrap(),
            "weekly" => policy.keep_weekly = value.parse().unwrap(),
            "monthly" => policy.keep_monthly = value.parse().unwrap(),
            "yearly" => policy.keep_yearly = value.parse().unwrap(),
            "within" => policy.keep_within = Some(value.parse().unwrap()),
            "min-age" => policy.min_age = Some(value.parse().unwrap()),
            "tag" => policy.keep_tags.push(value.replace(':', "=").parse().unwrap()),
            "zone" => policy.time_zone = zone(value),
            _ => panic!("{word}"),
        }
    }
    policy
}

/// Zones by their rules, so that no database of them is needed.
pub(super) fn zone(name: &str) -> TimeZone {
    let rules = match name {
        "berlin" => "CET-1CEST,M3.5.0,M10.5.0/3",
        // Half an hour of summer time, half an hour off the hour.
        "lord-howe" => "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
        "kolkata" => "IST-5:30",
        // Midnight is there twice: half past twelve goes back to half past eleven of the day before.
        "midnight" => "<+01>-1<+02>-2,M3.5.0,M10.5.0/0:30",
        "kiritimati" => "<+14>-14",
        _ => panic!("{name}"),
    };
    TimeZone::posix(rules).unwrap()
}
