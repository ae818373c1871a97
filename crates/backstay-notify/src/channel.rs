use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use lettre::message::Mailbox;

/// How somebody is told. `Debug` shows the kind alone, since a URL may be as good as a password.
#[derive(Clone)]
pub struct Channel {
    pub(crate) how: How,
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Clone)]
pub(crate) enum How {
    Webhook(String),
    Slack(String),
    Ping(String),
    Email(Box<SettledEmail>),
    Command(Vec<String>),
}

/// To whom mail goes, and by which server.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "plain settings; what is not known is `None`")]
pub struct Email {
    /// The server.
    pub host: String,
    /// Its port; without this 465 for implicit TLS, and 587 otherwise.
    pub port: Option<u16>,
    /// How the connection is kept private; without this not at all on this machine, from the begin on port 465, else by
    /// `STARTTLS`.
    pub tls: Option<Tls>,
    /// Who logs in, and with which password.
    pub login: Option<(String, String)>,
    /// The sender.
    pub from: String,
    /// The receivers.
    pub to: Vec<String>,
}

/// How a connection to a mail server is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are no other ways")]
pub enum Tls {
    /// It has to become private by `STARTTLS`, or nothing is sent.
    StartTls,
    /// It is private from its begin.
    Implicit,
    /// It is not.
    None,
}

#[derive(Clone)]
pub(crate) struct SettledEmail {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Tls,
    pub(crate) login: Option<(String, String)>,
    pub(crate) from: Mailbox,
    pub(crate) to: Vec<Mailbox>,
}

/// Why nobody can be told so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidChannel {
    /// Not a URL of HTTP; it is not repeated.
    #[error("that is no URL that begins with https:// or http:// and has a host")]
    Url,
    /// No program is named.
    #[error("the command is empty")]
    Command,
    /// An address of mail cannot be understood.
    #[error("{address:?} is no address of mail")]
    Address {
        /// It.
        address: String,
    },
    /// Whoever listens would have the password.
    #[error("a password for {host} needs TLS: everybody on the way could read it")]
    OpenPassword {
        /// The server.
        host: String,
    },
}

impl Channel {
    /// JSON is posted to a URL.
    ///
    /// # Errors
    /// It is no URL of HTTP.
    pub fn webhook(url: &str) -> Result<Self, InvalidChannel> {
        checked(url).map(How::Webhook).map(Self::from)
    }

    /// A message is posted to a URL as Slack takes it.
    ///
    /// # Errors
    /// It is no URL of HTTP.
    pub fn slack(url: &str) -> Result<Self, InvalidChannel> {
        checked(url).map(How::Slack).map(Self::from)
    }

    /// A URL is called when work begins, ends well and fails, with `/start`, nothing and `/fail` behind its path, as
    /// healthchecks.io and those like it take it.
    ///
    /// # Errors
    /// It is no URL of HTTP.
    pub fn ping(url: &str) -> Result<Self, InvalidChannel> {
        checked(url).map(How::Ping).map(Self::from)
    }

    /// A command is run without a shell: a program and its arguments.
    ///
    /// # Errors
    /// There is no program.
    pub fn command(arguments: Vec<String>) -> Result<Self, InvalidChannel> {
        match arguments.first() {
            Some(program) if !program.is_empty() => Ok(How::Command(arguments).into()),
            _ => Err(InvalidChannel::Command),
        }
    }

    /// Mail.
    ///
    /// # Errors
    /// An address cannot be understood, or a password would go over a network in clear.
    pub fn email(email: Email) -> Result<Self, InvalidChannel> {
        let mailbox = |address: &String| {
            address.parse::<Mailbox>().map_err(|_| InvalidChannel::Address {
                address: address.clone(),
            })
        };
        let is_here = is_loopback(&email.host);
        let tls = email.tls.unwrap_or(match email.port {
            Some(465) => Tls::Implicit,
            _ if is_here => Tls::None,
            _ => Tls::StartTls,
        });
        if tls == Tls::None && email.login.is_some() && !is_here {
            return Err(InvalidChannel::OpenPassword { host: email.host });
        }
        let port = email.port.unwrap_or(if tls == Tls::Implicit { 465 } else { 587 });
        let how = How::Email(Box::new(SettledEmail {
            port,
            tls,
            from: mailbox(&email.from)?,
            to: email.to.iter().map(mailbox).collect::<Result<_, _>>()?,
            host: email.host,
            login: email.login,
        }));
        Ok(how.into())
    }

    /// The same, trusting the authorities of a file in place of the public ones.
    #[must_use]
    pub fn trusting(mut self, ca_file: Option<PathBuf>) -> Self {
        self.ca_file = ca_file;
        self
    }

    /// Whether it tells of begin and end, and takes no messages.
    #[must_use]
    pub fn is_ping(&self) -> bool {
        matches!(self.how, How::Ping(_))
    }

    /// What no message may show.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        match &self.how {
            How::Webhook(url) | How::Slack(url) | How::Ping(url) => {
                let path = url.splitn(4, '/').nth(3).filter(|path| path.len() > 3);
                let host = url.split('/').nth(2).unwrap_or_default();
                let login = host.rsplit_once('@').map(|(login, _)| login);
                [Some(url.as_str()), path, login].into_iter().flatten().collect()
            }
            How::Email(email) => email.login.iter().map(|(_, password)| password.as_str()).collect(),
            How::Command(arguments) => arguments.iter().skip(1).map(String::as_str).collect(),
        }
    }
}

impl From<How> for Channel {
    fn from(how: How) -> Self {
        Self { how, ca_file: None }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.how {
            How::Webhook(_) => "webhook",
            How::Slack(_) => "slack",
            How::Ping(_) => "ping",
            How::Email(_) => "email",
            How::Command(_) => "command",
        })
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Email")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

fn checked(url: &str) -> Result<String, InvalidChannel> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?']).next());
    match host {
        Some(host) if !host.is_empty() && url.chars().all(|c| c.is_ascii_graphic()) => Ok(url.to_owned()),
        _ => Err(InvalidChannel::Url),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(host: &str, port: Option<u16>, tls: Option<Tls>, has_login: bool) -> Result<(u16, Tls), InvalidChannel> {
        let channel = Channel::email(Email {
            host: host.to_owned(),
            port,
            tls,
            login: has_login.then(|| ("app".to_owned(), "hunter2".to_owned())),
            from: "Backups <backups@example.org>".to_owned(),
            to: vec!["ops@example.org".to_owned()],
        })?;
        assert_eq!(format!("{channel:?}"), "email");
        match channel.how {
            How::Email(email) => Ok((email.port, email.tls)),
            _ => panic!("it is mail"),
        }
    }

    #[test]
    fn mail_is_private_unless_it_stays_here_or_was_asked_for() {
        for (host, port, tls, expected) in [
            ("mail.example.org", None, None, (587, Tls::StartTls)),
            ("mail.example.org", Some(465), None, (465, Tls::Implicit)),
            ("mail.example.org", None, Some(Tls::Implicit), (465, Tls::Implicit)),
            ("mail.example.org", Some(25), Some(Tls::None), (25, Tls::None)),
            ("localhost", Some(25), None, (25, Tls::None)),
            ("127.0.0.1", Some(465), None, (465, Tls::Implicit)),
            ("[::1]", Some(25), Some(Tls::StartTls), (25, Tls::StartTls)),
        ] {
            assert_eq!(email(host, port, tls, false).unwrap(), expected, "{host} {port:?}");
        }
        assert!(email("localhost", None, None, true).is_ok());
        let open = email("mail.example.org", None, Some(Tls::None), true).unwrap_err();
        assert!(matches!(open, InvalidChannel::OpenPassword { .. }), "{open:?}");
    }

    #[test]
    fn what_is_no_url_is_refused_without_showing_it() {
        for url in [
            "",
            "hunter2",
            "https://",
            "https:///hunter2",
            "ftp://hunter2/x",
            "https://h/hunter2\r\nX: y",
        ] {
            for made in [Channel::webhook(url), Channel::slack(url), Channel::ping(url)] {
                let error = made.unwrap_err();
                assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
            }
        }
        assert_eq!(
            format!("{:?}", Channel::webhook("https://h/hunter2").unwrap()),
            "webhook"
        );
    }
}
