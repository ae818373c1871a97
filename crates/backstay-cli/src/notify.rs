//! Who is told what becomes of a command: the notifications of the databases that it was about.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use backstay::{BackupId, Deed, Finding, Outcome, Prefix, Repository, Severity};
use backstay_config::{Notification, NotificationChannel, ResolveError};
use backstay_notify::{
    Channel, DeliveryError, Email, Event, EventKind, InvalidChannel, Limits, Tls, Work, deliver_all,
};
use jiff::Timestamp;

use crate::configuration::{self, Loaded, lookup};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::complain;

/// Of what people are told where nothing else is said.
const ON: [EventKind; 4] = [
    EventKind::Failure,
    EventKind::Recovery,
    EventKind::Missed,
    EventKind::Alarm,
];
/// A sign that work begins keeps the work waiting.
const BEFORE: Limits = Limits {
    tries: 1,
    first_wait: Duration::ZERO,
    one: Duration::from_secs(5),
    all: Duration::from_secs(5),
};
/// A message may name what an encrypted backup holds.
const ENCRYPTED: &str = "what went wrong is not told here, because it is encrypted";

/// Why a notification cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotificationError {
    #[error("[notification.{name}] cannot be used")]
    Invalid { name: String, source: InvalidChannel },
    #[error("[notification.{name}] cannot be used")]
    Resolve { name: String, source: ResolveError },
    #[error("{name} was not told")]
    Undelivered { name: String, source: DeliveryError },
}

/// What a command learns about what it does, for those who are told of it. Nothing that goes wrong here changes what becomes
/// of the command.
pub(crate) struct Watch<'e> {
    environment: &'e Environment,
    work: Work,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The databases, as the configuration calls them.
    sections: BTreeSet<String>,
    /// The stores, and whose entries in their logs tell what became of such work before.
    places: Vec<(Repository, Prefix)>,
    backup: Option<BackupId>,
    findings: Vec<String>,
    is_sealed: bool,
    reason: Option<String>,
}

impl<'e> Watch<'e> {
    /// Runs a command, and tells what became of it.
    pub(crate) fn over(
        work: Work,
        environment: &'e Environment,
        run: impl FnOnce(&Self) -> Result<Exit, Failure>,
    ) -> Result<Exit, Failure> {
        let watch = Self {
            environment,
            work,
            seen: RefCell::default(),
        };
        let result = run(&watch);
        watch.end(&result);
        result
    }

    /// It is about this database of the configuration, if there is one of that name.
    pub(crate) fn of_section(&self, name: Option<&str>) {
        self.seen.borrow_mut().sections.extend(name.map(str::to_owned));
    }

    /// It is about backups with that prefix.
    pub(crate) fn of_prefix(&self, prefix: &Prefix) {
        let Ok(Some(loaded)) = self.environment.configuration.get() else {
            return;
        };
        let sections = loaded.config.databases();
        let sections = sections.filter(|(name, database)| configuration::prefix(name, database) == *prefix);
        let mut seen = self.seen.borrow_mut();
        seen.sections.extend(sections.map(|(name, _)| name.to_owned()));
    }

    /// It works in this store, for backups with that prefix or the export of that name.
    pub(crate) fn at(&self, repository: &Repository, name: &Prefix) {
        self.seen.borrow_mut().places.push((repository.clone(), name.clone()));
    }

    /// It is about this backup.
    pub(crate) fn of_backup(&self, id: &BackupId) {
        self.of_prefix(id.prefix());
        self.seen.borrow_mut().backup = Some(id.clone());
    }

    /// What it is about is encrypted, so no message may tell what is in it.
    pub(crate) fn sealed(&self) {
        self.seen.borrow_mut().is_sealed = true;
    }

    /// What rules found; notes are not told.
    pub(crate) fn found(&self, findings: &[Finding]) {
        let mut seen = self.seen.borrow_mut();
        let is_sealed = seen.is_sealed;
        let serious = findings.iter().filter(|finding| finding.severity < Severity::Note);
        let lines = serious.map(|finding| {
            let Finding {
                severity,
                rule,
                subject,
                message,
                ..
            } = finding;
            match is_sealed {
                true => format!("{severity}: [{rule}]"),
                false => format!("{severity}: [{rule}] {subject}: {message}"),
            }
        });
        seen.findings.extend(lines);
    }

    /// Why it did not do all that it should.
    pub(crate) fn because(&self, reason: &str) {
        self.seen.borrow_mut().reason = Some(reason.to_owned());
    }

    /// Tells those who want a sign of life that it begins.
    pub(crate) fn begin(&self) {
        let seen = self.seen.borrow();
        let is_ping = |notification: &Notification| matches!(notification.channel, NotificationChannel::Ping(_));
        self.tell(&seen, is_ping, |_| vec![EventKind::Start], None, BEFORE);
    }

    fn end(&self, result: &Result<Exit, Failure>) {
        let seen = self.seen.take();
        let is_sound = matches!(result, Ok(Exit::Done));
        let has_failed = match result {
            Ok(Exit::Done) => false,
            // The backup is there.
            Ok(Exit::Findings) => !matches!(self.work, Work::Backup | Work::Files),
            // Who stopped it knows.
            Ok(Exit::Cancelled) => return,
            Err(failure) if failure.exit() == Exit::Cancelled => return,
            _ => true,
        };
        let reason = match result {
            Err(_) if seen.is_sealed => Some(ENCRYPTED.to_owned()),
            // Of a copy it is told where there is none; of rows it would be what is in them.
            Ok(_) if seen.is_sealed && self.work == Work::Export => Some(ENCRYPTED.to_owned()),
            Err(failure) => Some(failure.in_one_line()),
            Ok(Exit::Done) => None,
            Ok(exit) => Some(seen.reason.clone().unwrap_or_else(|| exit.meaning().to_owned())),
        };
        let has_alarm = !has_failed && (!is_sound || !seen.findings.is_empty());
        let recovered = OnceCell::new();
        let has_recovered = || *recovered.get_or_init(|| self.has_recovered(&seen));
        let kinds = |receiver: &Receiver| {
            if receiver.channel.is_ping() {
                return vec![if is_sound {
                    EventKind::Success
                } else {
                    EventKind::Failure
                }];
            }
            let ending = match () {
                () if has_failed => EventKind::Failure,
                () if receiver.wants(EventKind::Recovery) && has_recovered() => EventKind::Recovery,
                () => EventKind::Success,
            };
            let alarm = has_alarm.then_some(EventKind::Alarm);
            let kinds = alarm.into_iter().chain([ending]);
            kinds.filter(|kind| receiver.wants(*kind)).collect()
        };
        self.tell(&seen, |_| true, kinds, reason.as_deref(), Limits::default());
    }

    /// Whether the last work of the kind before this one failed, as far as the log of the store tells.
    fn has_recovered(&self, seen: &Seen) -> bool {
        let deed = match self.work {
            Work::Backup => Deed::Backup,
            Work::Verify => Deed::Verification,
            Work::Drill => Deed::Drill,
            Work::Export => Deed::Export,
            Work::Files => Deed::Files,
            _ => return false,
        };
        let has_failed_before = |(repository, name): &(Repository, Prefix)| match repository.outcomes(deed, name) {
            Ok(outcomes) => is_recovery(outcomes.iter().map(|(_, outcome)| *outcome)),
            Err(error) => {
                let why = Failure::from(error).in_one_line();
                complain(&format!("warning: whether it failed before is not known: {why}"));
                false
            }
        };
        seen.places.iter().any(has_failed_before)
    }

    /// Tells those of each database what is chosen for each.
    fn tell(
        &self,
        seen: &Seen,
        whom: impl Fn(&Notification) -> bool + Copy,
        chosen: impl Fn(&Receiver) -> Vec<EventKind>,
        reason: Option<&str>,
        limits: Limits,
    ) {
        let Ok(Some(loaded)) = self.environment.configuration.get() else {
            return;
        };
        let mut messages = Vec::new();
        for section in &seen.sections {
            let receivers = receivers(section, whom, loaded, self.environment);
            for receiver in receivers.iter().filter(|receiver| receiver.is_about(self.work)) {
                for kind in chosen(receiver) {
                    let is_good = matches!(kind, EventKind::Start | EventKind::Success | EventKind::Recovery);
                    let event = Event {
                        kind,
                        work: self.work,
                        store: seen.places.first().map(|(repository, _)| repository.store().location()),
                        backup: seen.backup.as_ref().map(ToString::to_string),
                        reason: reason.filter(|_| !is_good).map(str::to_owned),
                        findings: if is_good { Vec::new() } else { seen.findings.clone() },
                        ..plain(section, self.environment)
                    };
                    messages.push((receiver.name.clone(), receiver.channel.clone(), event));
                }
            }
        }
        let _ = send(messages, limits);
    }
}

/// Whether work that just ended well did not the time before; its own entry may be missing.
fn is_recovery(outcomes: impl DoubleEndedIterator<Item = Outcome>) -> bool {
    let mut ends = outcomes.rev().filter(|outcome| *outcome != Outcome::Begun);
    match ends.next() {
        Some(Outcome::Done) => ends.next() == Some(Outcome::Failed),
        newest => newest == Some(Outcome::Failed),
    }
}

/// Tells those who want to know that a database has no backup that is young enough. Whether anybody was told, if there is
/// somebody to tell.
pub(crate) fn tell_missed(section: &str, why: &str, environment: &Environment) -> bool {
    tell_of(section, EventKind::Missed, Work::Backup, why, environment)
}

/// Tells those who want to know that work failed of which its process could not tell itself.
pub(crate) fn tell_failed(section: &str, work: Work, why: &str, environment: &Environment) {
    tell_of(section, EventKind::Failure, work, why, environment);
}

fn tell_of(section: &str, kind: EventKind, work: Work, why: &str, environment: &Environment) -> bool {
    let event = Event {
        kind,
        work,
        reason: Some(why.to_owned()),
        ..plain(section, environment)
    };
    let messages = messages(section, &event, environment);
    let count = messages.len();
    count == 0 || send(messages, Limits::default()) < count
}

/// Something that a look at the stores found amiss with a database.
pub(crate) struct Alarm {
    /// The database as the configuration calls it, if it has that prefix.
    pub(crate) section: String,
    pub(crate) prefix: Prefix,
    pub(crate) kind: EventKind,
    pub(crate) work: Work,
    /// What it is, for people.
    pub(crate) messages: Vec<String>,
}

/// Tells those who want to know what is amiss with databases of the configuration.
pub(crate) fn tell_alarms(alarms: Vec<Alarm>, environment: &Environment) {
    let Ok(Some(loaded)) = environment.configuration.get() else {
        return;
    };
    let mut all = Vec::new();
    for alarm in alarms {
        let section = alarm.section.as_str();
        let database = loaded.config.database(section);
        if database.is_some_and(|database| configuration::prefix(section, database) == alarm.prefix) {
            let event = Event {
                kind: alarm.kind,
                work: alarm.work,
                findings: alarm.messages,
                ..plain(section, environment)
            };
            all.extend(messages(section, &event, environment));
        }
    }
    let _ = send(all, Limits::default());
}

/// An event for those who want to know of it. Pings are called for failures alone: what is missed shows by their silence.
fn messages(section: &str, event: &Event, environment: &Environment) -> Vec<(String, Channel, Event)> {
    let Ok(Some(loaded)) = environment.configuration.get() else {
        return Vec::new();
    };
    let is_wanted = |receiver: &Receiver| match receiver.channel.is_ping() {
        true => event.kind == EventKind::Failure,
        false => receiver.wants(event.kind),
    };
    let receivers = receivers(section, |_| true, loaded, environment).into_iter();
    let receivers = receivers.filter(|receiver| receiver.is_about(event.work) && is_wanted(receiver));
    receivers
        .map(|receiver| (receiver.name, receiver.channel, event.clone()))
        .collect()
}

/// Sends one of them a test.
pub(crate) fn test(name: &str, environment: &Environment) -> Result<(), Failure> {
    let loaded = environment.configuration.require()?;
    let channel = channel(name, loaded.notification(name)?, environment)?;
    let event = Event {
        kind: EventKind::Test,
        database: None,
        ..plain("", environment)
    };
    match deliver_all(vec![(name.to_owned(), channel, event)], Limits::default()).pop() {
        Some((name, source)) => Err(NotificationError::Undelivered { name, source }.into()),
        None => Ok(()),
    }
}

fn plain(section: &str, environment: &Environment) -> Event {
    Event {
        kind: EventKind::Success,
        work: Work::Backup,
        database: Some(section.to_owned()),
        at: Timestamp::now(),
        host: environment.witness().from,
        store: None,
        backup: None,
        reason: None,
        findings: Vec::new(),
    }
}

/// One who is told about a database.
struct Receiver {
    name: String,
    channel: Channel,
    on: Option<Vec<&'static str>>,
    about: Option<Vec<&'static str>>,
}

impl Receiver {
    fn wants(&self, kind: EventKind) -> bool {
        match &self.on {
            Some(on) => on
                .iter()
                .any(|word| word.parse().is_ok_and(|known: EventKind| known == kind)),
            None => ON.contains(&kind),
        }
    }

    /// A later success of other work must not hide that a backup failed, so pings are about backups.
    fn is_about(&self, work: Work) -> bool {
        match &self.about {
            Some(about) => about
                .iter()
                .any(|word| word.parse().is_ok_and(|known: Work| known == work)),
            None => work == Work::Backup || !self.channel.is_ping(),
        }
    }
}

/// Those who are told about a database. What cannot be used is told of.
fn receivers(
    section: &str,
    whom: impl Fn(&Notification) -> bool,
    loaded: &Loaded,
    environment: &Environment,
) -> Vec<Receiver> {
    let Some(database) = loaded.config.database(section) else {
        return Vec::new();
    };
    let names: BTreeSet<&str> = database.notify.iter().map(backstay_config::Reference::name).collect();
    let mut receivers = Vec::new();
    for name in names {
        let Some(notification) = loaded.config.notification(name).filter(|found| whom(found)) else {
            continue;
        };
        match channel(name, notification, environment) {
            Ok(channel) => receivers.push(Receiver {
                name: name.to_owned(),
                channel,
                on: notification.on.clone(),
                about: notification.about.clone(),
            }),
            Err(error) => complain(&format!("warning: {}", Failure::from(error).in_one_line())),
        }
    }
    receivers
}

/// How many were not told.
fn send(messages: Vec<(String, Channel, Event)>, limits: Limits) -> usize {
    let failed = deliver_all(messages, limits);
    let count = failed.len();
    for (name, source) in failed {
        let why = Failure::from(NotificationError::Undelivered { name, source }).in_one_line();
        complain(&format!("warning: {why}"));
    }
    count
}

/// A channel with its secrets.
fn channel(name: &str, notification: &Notification, environment: &Environment) -> Result<Channel, NotificationError> {
    let lookup = lookup(&environment.variables);
    let unresolved = |source| NotificationError::Resolve {
        name: name.to_owned(),
        source,
    };
    let url = |given: &backstay_config::Given| given.resolve(&lookup).map_err(unresolved);
    let made = match &notification.channel {
        NotificationChannel::Webhook(given) => Channel::webhook(url(given)?.expose()),
        NotificationChannel::Slack(given) => Channel::slack(url(given)?.expose()),
        NotificationChannel::Ping(given) => Channel::ping(url(given)?.expose()),
        NotificationChannel::Email(account) => {
            let text = |text: &backstay_config::Text| text.resolve(&lookup).map_err(unresolved);
            let login = match (&account.user, &account.password) {
                (Some(user), Some(password)) => Some((
                    text(user)?,
                    password.resolve(&lookup).map_err(unresolved)?.into_exposed(),
                )),
                _ => None,
            };
            Channel::email(Email {
                host: text(&account.host)?,
                port: account.port,
                tls: account.tls.map(|word| match word {
                    "none" => Tls::None,
                    "implicit" => Tls::Implicit,
                    _ => Tls::StartTls,
                }),
                login,
                from: text(&account.from)?,
                to: account.to.iter().map(text).collect::<Result<_, _>>()?,
            })
        }
        NotificationChannel::Command { arguments, program } => {
            let texts = arguments.iter().map(|argument| argument.resolve(&lookup));
            let mut texts: Vec<String> = texts.collect::<Result<_, _>>().map_err(unresolved)?;
            // A mere name is looked for where programs are.
            if let Some(first) = texts
                .first_mut()
                .filter(|first| first.contains(std::path::is_separator))
            {
                *first = program
                    .resolve(&lookup)
                    .map_err(unresolved)?
                    .to_string_lossy()
                    .into_owned();
            }
            Channel::command(texts)
        }
    };
    let ca_file = notification.ca_file.as_ref().map(|file| file.resolve(&lookup));
    let channel = made.map_err(|source| NotificationError::Invalid {
        name: name.to_owned(),
        source,
    })?;
    Ok(channel.trusting(ca_file.transpose().map_err(unresolved)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_works_again_where_the_time_before_it_did_not() {
        use Outcome::{Begun, Done, Failed};

        // Oldest first, as a log tells them to work that just ended well.
        for (outcomes, expected) in [
            (&[Failed, Done][..], true),
            (&[Failed, Begun, Done], true),
            (&[Done, Failed, Failed, Begun, Done], true),
            (&[Failed, Done, Done], false),
            (&[Failed, Done, Begun, Done], false),
            (&[Done], false),
            (&[], false),
            // What was killed said nothing of how it ended.
            (&[Done, Begun, Done], false),
            (&[Begun], false),
            // Its own entry could not be written.
            (&[Done, Failed], true),
            (&[Failed, Begun], true),
        ] {
            assert_eq!(is_recovery(outcomes.iter().copied()), expected, "{outcomes:?}");
        }
    }
}
