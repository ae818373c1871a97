use std::env::var_os;

use backstay_notify::{Channel, DeliveryError, Email, Tls, deliver};
use backstay_testkit::{SmtpServer, SmtpTls};

use crate::support::{failure, limits};

const SECRET: &str = "hunter2";

fn server(tls: SmtpTls, login: Option<(&str, &str)>, refuse: &[u16]) -> SmtpServer {
    SmtpServer::start(var_os("BACKSTAY_TEST_SMTP"), tls, login, refuse)
}

/// Sends a mail to it.
fn send(server: &SmtpServer, tls: Option<Tls>, login: Option<(&str, &str)>) -> Result<(), DeliveryError> {
    let channel = Channel::email(Email {
        host: "localhost".to_owned(),
        port: Some(server.port()),
        tls,
        login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
        from: "Backups <backups@example.org>".to_owned(),
        to: vec!["ops@example.org".to_owned(), "Ann <ann@example.org>".to_owned()],
    });
    let is_private = tls.is_some_and(|tls| tls != Tls::None);
    let channel = channel.unwrap().trusting(is_private.then(|| server.certificate()));
    deliver(&channel, &failure(), &limits())
}

#[test]
fn a_mail_arrives() {
    let mut server = server(SmtpTls::None, None, &[]);
    send(&server, None, None).unwrap();
    let mail = server.told();
    assert_eq!(mail["from"], "backups@example.org");
    assert_eq!(mail["to"], serde_json::json!(["ops@example.org", "ann@example.org"]));
    let text = mail["text"].as_str().unwrap();
    assert!(
        text.contains("Subject: [backstay] backup of kulti failed\r\n"),
        "{text}"
    );
    assert!(text.contains("From: Backups <backups@example.org>\r\n"), "{text}");
    assert!(text.contains("s3://my-backups/prod"), "{text}");
}

#[test]
fn a_login_goes_by_tls() {
    let login = Some(("app", SECRET));
    for (asked, used) in [(SmtpTls::StartTls, Tls::StartTls), (SmtpTls::Implicit, Tls::Implicit)] {
        let mut server = server(asked, login, &[]);
        send(&server, Some(used), login).unwrap_or_else(|error| panic!("{asked:?}: {error}"));
        let mail = server.told();
        assert_eq!(mail["tls"], true, "{asked:?}");
        assert_eq!(mail["user"], "app", "{asked:?}");
    }
}

#[test]
fn a_wrong_password_is_told_and_not_shown() {
    let server = server(SmtpTls::StartTls, Some(("app", "right")), &[]);
    let error = send(&server, Some(Tls::StartTls), Some(("app", SECRET))).unwrap_err();
    assert!(error.to_string().contains("535"), "{error}");
    assert!(!error.to_string().contains("tries"), "{error}");
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
    assert!(server.end().is_empty());
}

#[test]
fn nothing_is_sent_where_there_is_no_tls() {
    // It offers none; it offers one that nobody vouches for.
    let open = server(SmtpTls::None, None, &[]);
    let error = send(&open, Some(Tls::StartTls), None).unwrap_err();
    assert!(error.to_string().contains("STARTTLS"), "{error}");
    assert!(open.end().is_empty());
    let other = server(SmtpTls::StartTls, None, &[]);
    let channel = Channel::email(Email {
        host: "localhost".to_owned(),
        port: Some(other.port()),
        tls: Some(Tls::StartTls),
        login: None,
        from: "backups@example.org".to_owned(),
        to: vec!["ops@example.org".to_owned()],
    });
    let error = deliver(&channel.unwrap(), &failure(), &limits()).unwrap_err();
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    assert!(other.end().is_empty());
}

#[test]
fn a_mail_that_was_put_off_is_sent_again() {
    let mut server = server(SmtpTls::None, None, &[451, 451, 554]);
    send(&server, None, None).unwrap_err();
    for code in [451, 451, 554] {
        assert_eq!(server.told()["refused"], code);
    }
    send(&server, None, None).unwrap();
    assert!(server.told()["text"].is_string());
    assert!(server.end().is_empty());
}
