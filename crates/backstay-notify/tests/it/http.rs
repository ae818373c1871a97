use std::net::TcpListener;
use std::time::{Duration, Instant};

use backstay_notify::{Channel, EventKind, deliver, deliver_all};
use backstay_testkit::http_server::{Fault, HttpServer, Request, Response};
use serde_json::Value;

use crate::support::{event, failure, limits};

const SECRET: &str = "hunter2";

fn server() -> HttpServer {
    let answer = |_: &Request| Response::new(200, "ok");
    HttpServer::start(answer, |status, word| Response::new(status, word))
}

/// A URL that is as good as a password.
fn url(server: &HttpServer) -> String {
    format!("{}/services/{SECRET}", server.endpoint())
}

fn bodies(server: &HttpServer) -> Vec<Value> {
    let seen = server.seen("POST", SECRET);
    let json = |request: &Request| serde_json::from_slice(&request.body).expect("it is JSON");
    seen.iter().map(json).collect()
}

#[test]
fn a_webhook_gets_the_event_as_json() {
    let server = server();
    deliver(&Channel::webhook(&url(&server)).unwrap(), &failure(), &limits()).unwrap();
    let [body] = &bodies(&server)[..] else {
        panic!("not one request")
    };
    assert_eq!(body["event"], "failure");
    assert_eq!(body["summary"], "backup of kulti failed");
    assert_eq!(body["reason"], "cannot connect: Überlastet");
    let request = &server.seen("POST", "")[0];
    assert_eq!(request.header("content-type"), Some("application/json"));
}

#[test]
fn slack_gets_a_text() {
    let server = server();
    deliver(&Channel::slack(&url(&server)).unwrap(), &failure(), &limits()).unwrap();
    let [body] = &bodies(&server)[..] else {
        panic!("not one request")
    };
    insta::assert_snapshot!(body["text"].as_str().unwrap(), @r"
    *backup of kulti failed*
    why     cannot connect: Überlastet
    store   s3://my-backups/prod
    host    db1
    time    2025-01-16 14:30:22 UTC
    ");
}

#[test]
fn a_ping_tells_begin_and_end() {
    let server = server();
    let ping = Channel::ping(&format!("{}?x=1", url(&server))).unwrap();
    for kind in [
        EventKind::Start,
        EventKind::Success,
        EventKind::Recovery,
        EventKind::Failure,
        EventKind::Alarm,
        EventKind::Test,
        EventKind::Missed,
    ] {
        deliver(&ping, &event(kind), &limits()).unwrap();
    }
    let targets: Vec<String> = server.seen("POST", "").into_iter().map(|seen| seen.target).collect();
    let paths = ["/start", "", "", "/fail", "/fail", "/log"];
    assert_eq!(targets, paths.map(|path| format!("/services/{SECRET}{path}?x=1")));
}

#[test]
fn what_is_transient_is_tried_again_and_nothing_else() {
    for (fault, times, is_delivered, requests) in [
        (Fault::Refuse(503, "busy"), 2, true, 3),
        (Fault::Refuse(503, "busy"), 9, false, 3),
        (Fault::LoseAnswer, 1, true, 2),
        (Fault::Refuse(404, SECRET), 1, false, 1),
        (Fault::Refuse(302, SECRET), 1, false, 1),
    ] {
        let server = server();
        server.fail_times("POST", "", 0, times, fault.clone());
        let outcome = deliver(&Channel::webhook(&url(&server)).unwrap(), &failure(), &limits());
        assert_eq!(outcome.is_ok(), is_delivered, "{fault:?} {outcome:?}");
        assert_eq!(server.seen("POST", "").len(), requests, "{fault:?}");
        if let Err(error) = outcome {
            assert!(error.to_string().starts_with("the server answered "), "{error}");
            assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
        }
    }
}

#[test]
fn no_message_shows_the_url() {
    // Nobody listens; no such host; no certificate that counts; not HTTP.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [
        format!("http://{closed}/{SECRET}"),
        format!("http://name.invalid/{SECRET}?token={SECRET}"),
        format!("https://{closed}/{SECRET}"),
        format!("http://app:{SECRET}@{closed}/"),
        format!("http://[::1/{SECRET}"),
        format!("http://127.0.0.1:99999/{SECRET}"),
    ] {
        for channel in [Channel::webhook(&url), Channel::slack(&url), Channel::ping(&url)] {
            let error = deliver(&channel.unwrap(), &failure(), &limits()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(SECRET), "{url}: {error:?}");
        }
    }
}

#[test]
fn whoever_does_not_answer_keeps_nobody_waiting() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}/{SECRET}", silent.local_addr().unwrap());
    let server = server();
    let mut limits = limits();
    limits.all = Duration::from_secs(1);
    let receivers = vec![
        ("dead".to_owned(), Channel::webhook(&dead).unwrap(), failure()),
        ("alive".to_owned(), Channel::webhook(&url(&server)).unwrap(), failure()),
    ];
    let begun = Instant::now();
    let failed = deliver_all(receivers, limits);
    // Ten seconds would be one try.
    assert!(begun.elapsed() < limits.one, "{:?}", begun.elapsed());
    let told: Vec<String> = failed.iter().map(|(name, error)| format!("{name}: {error}")).collect();
    assert_eq!(told, ["dead: it took longer than 1 s"]);
    assert_eq!(bodies(&server).len(), 1);
}

#[test]
fn one_try_is_bounded_too() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}/{SECRET}", silent.local_addr().unwrap());
    let mut limits = limits();
    limits.one = Duration::from_millis(100);
    let error = deliver(&Channel::webhook(&dead).unwrap(), &failure(), &limits).unwrap_err();
    assert!(error.to_string().ends_with("(3 tries)"), "{error}");
}
