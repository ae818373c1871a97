//! Delivery: to one receiver, or to several at the same time.

mod command;
mod email;

use std::error::Error as StdError;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use backstay_http::{Failure, Http, Retries};

use crate::channel::{Channel, How};
use crate::event::{Event, EventKind};

/// How long delivery may take, and how often it is tried.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain settings")]
pub struct Limits {
    /// Tries in all of what may succeed later.
    pub tries: u32,
    /// The wait behind the first; each is twice the one before.
    pub first_wait: Duration,
    /// How long one try may take; of mail, each step of it.
    pub one: Duration,
    /// How long all of it may take.
    pub all: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tries: 3,
            first_wait: Duration::from_secs(1),
            one: Duration::from_secs(10),
            all: Duration::from_secs(40),
        }
    }
}

/// Why somebody was not told. It shows no URL, no password and no argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}{}", if *tries > 1 { format!(" ({tries} tries)") } else { String::new() })]
pub struct DeliveryError {
    why: String,
    tries: u32,
}

impl DeliveryError {
    fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            tries: 1,
        }
    }
}

/// One try that failed.
struct Attempt {
    why: String,
    is_transient: bool,
}

/// Tells one receiver. A ping takes begin, end and test alone; of everything else nothing is sent.
///
/// # Errors
/// It was not taken, however often it was tried.
pub fn deliver(channel: &Channel, event: &Event, limits: &Limits) -> Result<(), DeliveryError> {
    let told = match &channel.how {
        How::Webhook(url) => post(channel, url, "application/json", &event.json(), limits),
        How::Slack(url) => post(channel, url, "application/json", &event.slack_json(), limits),
        How::Ping(url) => {
            let ending = match event.kind {
                EventKind::Start => "/start",
                EventKind::Success | EventKind::Recovery => "",
                EventKind::Failure | EventKind::Alarm => "/fail",
                EventKind::Test => "/log",
                EventKind::Missed => return Ok(()),
            };
            post(
                channel,
                &with_ending(url, ending),
                "text/plain; charset=utf-8",
                &event.text(),
                limits,
            )
        }
        How::Email(email) => tried(limits, || email::send(email, channel.ca_file.as_deref(), event, limits)),
        // Whatever it did may not be harmless to do twice.
        How::Command(arguments) => command::run(arguments, event, limits).map_err(DeliveryError::new),
    };
    told.map_err(|error| DeliveryError {
        why: without(&error.why, &channel.secrets()),
        ..error
    })
}

/// Tells several receivers, all at the same time, and gives the names of those who were not told. It takes no longer than
/// the limit of all; what is not delivered by then is given up.
pub fn deliver_all(receivers: Vec<(String, Channel, Event)>, limits: Limits) -> Vec<(String, DeliveryError)> {
    let deadline = Instant::now() + limits.all;
    let (sender, outcomes) = mpsc::channel();
    let mut waiting: Vec<Option<String>> = Vec::new();
    let mut failed: Vec<(usize, String, DeliveryError)> = Vec::new();
    for (index, (name, channel, event)) in receivers.into_iter().enumerate() {
        let sender = sender.clone();
        // Not scoped: one that hangs is left behind.
        let spawned = thread::Builder::new().name("notification".to_owned()).spawn(move || {
            // Whoever gave up does not listen any more.
            let _ = sender.send((index, deliver(&channel, &event, &limits)));
        });
        match spawned {
            Ok(_) => waiting.push(Some(name)),
            Err(error) => {
                let why = format!("no thread could be started: {error}");
                failed.push((index, name, DeliveryError::new(why)));
                waiting.push(None);
            }
        }
    }
    while waiting.iter().any(Option::is_some) {
        let Ok((index, outcome)) = outcomes.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
            break;
        };
        if let (Some(name), Err(error)) = (waiting[index].take(), outcome) {
            failed.push((index, name, error));
        }
    }
    for (index, name) in waiting.into_iter().enumerate() {
        let why = format!("it took longer than {} s", limits.all.as_secs());
        failed.extend(name.map(|name| (index, name, DeliveryError::new(why))));
    }
    failed.sort_by_key(|(index, ..)| *index);
    failed.into_iter().map(|(_, name, error)| (name, error)).collect()
}

/// Tries as often as the limits say what may succeed later.
fn tried(limits: &Limits, mut attempt: impl FnMut() -> Result<(), Attempt>) -> Result<(), DeliveryError> {
    let retries = retries(limits);
    let mut tries = 1;
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(failed) if failed.is_transient && tries < limits.tries => {
                retries.wait(tries, None);
                tries += 1;
            }
            Err(failed) => return Err(DeliveryError { why: failed.why, tries }),
        }
    }
}

fn retries(limits: &Limits) -> Retries {
    Retries {
        tries: limits.tries,
        first_wait: limits.first_wait,
    }
}

fn post(channel: &Channel, url: &str, kind: &str, body: &str, limits: &Limits) -> Result<(), DeliveryError> {
    let http = client(limits, channel.ca_file.as_deref())?;
    let headers = [("content-type", kind.to_owned())];
    let (answer, tries) = retries(limits).tried(
        |failure| failure.is_transient(&[]),
        || {
            let answer = http.send("POST", url, &headers, Some(body.as_bytes()))?;
            answer.succeeded(|_| (String::new(), String::new())).map(drop)
        },
    );
    answer.map_err(|failure| DeliveryError {
        why: match &failure {
            Failure::Refused { status, .. } => format!("the server answered {status}"),
            failure => chain(failure),
        },
        tries: tries.count,
    })
}

fn client(limits: &Limits, ca_file: Option<&Path>) -> Result<Http, DeliveryError> {
    Http::within(limits.one, ca_file).map_err(|error| DeliveryError::new(chain(&error)))
}

/// An error and its causes, in a line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(&format!(": {cause_text}"));
        }
        next = cause.source();
    }
    text.replace('\n', " ")
}

/// A message without what must not be shown.
fn without(message: &str, secrets: &[&str]) -> String {
    let secrets = secrets.iter().filter(|secret| !secret.is_empty());
    secrets.fold(message.to_owned(), |message, secret| message.replace(secret, "***"))
}

/// A URL with more behind its path.
fn with_ending(url: &str, ending: &str) -> String {
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (url, String::new()),
    };
    match ending {
        "" => url.to_owned(),
        ending => format!("{}{ending}{query}", path.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_ping_says_stands_behind_the_path() {
        for (url, ending, expected) in [
            ("https://hc.example/abc", "/start", "https://hc.example/abc/start"),
            ("https://hc.example/abc/", "/fail", "https://hc.example/abc/fail"),
            (
                "https://hc.example/abc?rid=1",
                "/fail",
                "https://hc.example/abc/fail?rid=1",
            ),
            ("https://hc.example/abc/", "", "https://hc.example/abc/"),
        ] {
            assert_eq!(with_ending(url, ending), expected);
        }
    }
}
