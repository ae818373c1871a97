use std::time::Duration;

use backstay_notify::{Event, EventKind, Limits, Work};

/// A failure.
pub(crate) fn failure() -> Event {
    Event {
        kind: EventKind::Failure,
        work: Work::Backup,
        database: Some("kulti".to_owned()),
        at: "2025-01-16T14:30:22Z".parse().expect("a time"),
        host: "db1".to_owned(),
        store: Some("s3://my-backups/prod".to_owned()),
        backup: None,
        reason: Some("cannot connect: Überlastet".to_owned()),
        findings: Vec::new(),
    }
}

pub(crate) fn event(kind: EventKind) -> Event {
    Event { kind, ..failure() }
}

/// Three tries without waits.
pub(crate) fn limits() -> Limits {
    Limits {
        first_wait: Duration::ZERO,
        ..Limits::default()
    }
}
