use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::fields::{Context, Fields, Found};
use crate::problem::Shown;
use crate::secret::{Given, SecretSource};
use crate::text::{PathText, Text};
use crate::value::{HiddenText, Value, Whole, parsed, wrong};

/// Somebody who is told what happens: `[notification.NAME]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notification {
    /// How.
    pub channel: NotificationChannel,
    /// What of: `failure`, `recovery`, `missed`, `alarm`, `success`; without this all but `success`.
    pub on: Option<Vec<&'static str>>,
    /// Of which work: `backup`, `verify`, `drill`, `prune`, `copy`, `export`; without this of all, and pings of `backup` alone.
    pub about: Option<Vec<&'static str>>,
    /// Authorities that are trusted in place of the public ones.
    pub ca_file: Option<PathText>,
}

/// How somebody is told.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "whoever tells must know each")]
pub enum NotificationChannel {
    /// JSON is posted to a URL.
    Webhook(Given),
    /// A message is posted to a URL as Slack takes it.
    Slack(Given),
    /// A URL is called at the begin and at the end, as services that miss a sign of life take it.
    Ping(Given),
    /// Mail.
    Email(Box<EmailAccount>),
    /// A command is run without a shell.
    Command {
        /// The program, and its arguments.
        arguments: Vec<Text>,
        /// The program as a path, for one that is no mere name.
        program: PathText,
    },
}

/// To whom mail goes, and by which server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmailAccount {
    /// The server.
    pub host: Text,
    /// Its port.
    pub port: Option<u16>,
    /// `starttls`, `implicit` or `none`.
    pub tls: Option<&'static str>,
    /// Who logs in.
    pub user: Option<Text>,
    /// With which password.
    pub password: Option<SecretSource>,
    /// The sender.
    pub from: Text,
    /// The receivers.
    pub to: Vec<Text>,
}

const ON: &[&str] = &["failure", "recovery", "missed", "alarm", "success"];
const ABOUT: &[&str] = &["backup", "verify", "drill", "prune", "copy", "export", "storage-files"];
const TLS: &[&str] = &["starttls", "implicit", "none"];
const CHANNELS: [&str; 5] = ["webhook", "slack", "email", "ping", "command"];

impl Notification {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let webhook = fields.get("webhook", "Post JSON to this URL, or to the one that is there.");
        let slack = fields.get(
            "slack",
            "Post a message to this URL as Slack and those like it take it, or to the one that is there.",
        );
        let email = fields.get("email", "Send mail: host, from, to and more.");
        let ping = fields.get(
            "ping",
            "Call this URL when work begins (/start), ends well, or fails (/fail), or the one that is there.",
        );
        let command = fields.get(
            "command",
            "Run this program with these arguments, without a shell; what happened is JSON on its standard input.",
        );
        let on = fields.get("on", "What to tell of; all but success without this.");
        let about = fields.get(
            "about",
            "Of which work; of all without this, and pings of backups alone.",
        );
        let ca_file = fields.get(
            "ca-file",
            "File of authorities that are trusted in place of the public ones.",
        );
        let present = fields.present(&CHANNELS);
        match present[..] {
            [] => fields.refuse_section(&format!("tells nobody: one of {} is needed", CHANNELS.join(", "))),
            [first, ..] => {
                for key in &present[1..] {
                    fields.refuse(key, format!("does not go with {first:?}"));
                }
            }
        }
        if present == ["ping"] {
            fields.refuse("on", "does not go with \"ping\", which tells of begin and end");
        }
        if present == ["command"] {
            fields.refuse("ca-file", "does not go with \"command\"");
        }
        let channel = None
            .or(webhook.map(NotificationChannel::Webhook))
            .or(slack.map(NotificationChannel::Slack))
            .or(ping.map(NotificationChannel::Ping))
            .or(email.map(|email| NotificationChannel::Email(Box::new(email))))
            .or(command.map(|CommandLine { arguments, program }| NotificationChannel::Command { arguments, program }));
        Some(Self {
            channel: channel?,
            on: on.map(words::<On>),
            about: about.map(words::<About>),
            ca_file,
        })
    }
}

impl EmailAccount {
    pub(crate) fn read_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let host: Option<Text> = fields.require("host", "The server that takes the mail.");
        let port: Option<Whole<1, 65_535>> =
            fields.get("port", "Its port; 465 for implicit TLS and 587 otherwise without this.");
        let tls = fields.get(
            "tls",
            "starttls, implicit or none; none on this machine without this, implicit on port 465, else starttls.",
        );
        let user = fields.get("user", "Who logs in; nobody without this.");
        let password: Option<SecretSource> = fields.get("password", "Where the password is.");
        let from = fields.require("from", "The sender, such as Backups <backups@example.org>.");
        let to: Option<Vec<Text>> = fields.require("to", "The receivers.");
        if let ([_], []) | ([], [_]) = (&fields.present(&["user"])[..], &fields.present(&["password"])[..]) {
            for key in ["user", "password"] {
                fields.refuse(key, "needs both: \"user\" and \"password\"");
            }
        }
        if to.as_ref().is_some_and(Vec::is_empty) {
            fields.refuse("to", "names nobody");
            return None;
        }
        Some(Self {
            host: host?,
            port: port.and_then(|Whole(port)| u16::try_from(port).ok()),
            tls: tls.map(|OneOf(word, _): OneOf<Tls>| word),
            user,
            password,
            from: from?,
            to: to?,
        })
    }
}

impl Value for EmailAccount {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let DeValue::Table(table) = found.value.get_ref() else {
            wrong(
                found,
                context,
                Shown::Value,
                "a table: { host = …, from = …, to = […] }",
            );
            return None;
        };
        let section = format!("{}.{}", found.section, found.key);
        // Only its begin is shown: a password may stand in it by mistake.
        let begin = found.span().start;
        let mut fields = Fields::reading(table, &section, begin..begin, context);
        let account = Self::read_fields(&mut fields);
        fields.finish();
        account
    }

    fn schema() -> Json {
        json!({ "allOf": [{ "$ref": "#/definitions/notification-email" }] })
    }
}

/// A program and its arguments, which may be secret by mistake.
struct CommandLine {
    arguments: Vec<Text>,
    program: PathText,
}

impl Value for CommandLine {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        let arguments: Vec<HiddenText> = Value::read(found, context)?;
        let Some(HiddenText(program)) = arguments.first().cloned() else {
            let message = format!("{} has no program", found.name());
            context.problems.add(found.span(), Shown::Hidden, message);
            return None;
        };
        Some(Self {
            program: PathText {
                text: program,
                folder: context.folder.clone(),
            },
            arguments: arguments.into_iter().map(|HiddenText(argument)| argument).collect(),
        })
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
    }
}

/// A few words that are known.
trait Known {
    const WORDS: &'static [&'static str];
}

struct On;

impl Known for On {
    const WORDS: &'static [&'static str] = ON;
}

struct About;

impl Known for About {
    const WORDS: &'static [&'static str] = ABOUT;
}

struct Tls;

impl Known for Tls {
    const WORDS: &'static [&'static str] = TLS;
}

/// One of them.
struct OneOf<K>(&'static str, std::marker::PhantomData<K>);

impl<K: Known> Value for OneOf<K> {
    fn read(found: &Found<'_>, context: &mut Context) -> Option<Self> {
        parsed(found, context, "one of a few words", |text| {
            let known = K::WORDS.iter().find(|word| **word == text);
            known
                .map(|word| Self(word, std::marker::PhantomData))
                .ok_or_else(|| format!("must be of {}", K::WORDS.join(", ")))
        })
    }

    fn schema() -> Json {
        json!({ "enum": K::WORDS })
    }
}

fn words<K>(list: Vec<OneOf<K>>) -> Vec<&'static str> {
    list.into_iter().map(|OneOf(word, _)| word).collect()
}
