//! Who is told what becomes of a backup, and that telling harms none.

use std::net::TcpListener;

use backstay_testkit::http_server::{HttpServer, Request, Response};
use serde_json::Value;

use crate::support::{PASSWORD, Run, Sandbox};

const TOKEN: &str = "hunter2";

fn server() -> HttpServer {
    let answer = |_: &Request| Response::new(200, "ok");
    HttpServer::start(answer, |status, word| Response::new(status, word))
}

/// A database whose notifications are those, and what else stands in its section.
fn file(sandbox: &Sandbox, database: &str, more: &str) -> String {
    format!(
        "[database.shop]\nhost = '127.0.0.1'\nport = {}\nuser = 'postgres'\ndbname = '{database}'\n\
         password = {{ file = 'secret' }}\nstore = 'near'\n[store.near]\nurl = 'near'\n{more}",
        sandbox.server.port()
    )
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    Run::of(&mut sandbox.backstay_in_empty_environment(arguments))
}

/// What was posted to a path since the last look, and what was called with nothing to say.
fn told(server: &HttpServer, seen: &mut usize) -> Vec<String> {
    let requests = server.seen("POST", "");
    let new = requests.iter().skip(*seen).map(|request| {
        let text = String::from_utf8(request.body.clone()).expect("text");
        assert!(!text.contains(PASSWORD) && !text.contains(TOKEN), "{text}");
        let place = request.target.replace(TOKEN, "TOKEN");
        match serde_json::from_str::<Value>(&text) {
            Ok(json) => format!("{place} {} {}", json["event"].as_str().unwrap_or("?"), json["summary"]),
            Err(_) => place,
        }
    });
    let mut new: Vec<String> = new.collect();
    *seen = requests.len();
    // They are sent at the same time.
    new.sort();
    new
}

#[test]
fn failures_recoveries_and_alarms_are_told_to_those_who_want_them() {
    let sandbox = Sandbox::with_sample();
    sandbox.write("secret", PASSWORD);
    let server = server();
    let endpoint = server.endpoint();
    let more = format!(
        "[notification.hook]\nwebhook = '{endpoint}/hook/{TOKEN}'\n\
         [notification.all]\nwebhook = '{endpoint}/all/{TOKEN}'\non = ['success', 'failure', 'alarm']\n\
         [notification.sign]\nping = '{endpoint}/sign/{TOKEN}'\n"
    );
    let notify = "[database.shop]\nnotify = ['hook', 'all', 'sign']\n";
    let write = |database: &str, rules: &str| {
        let text = file(&sandbox, database, &more).replace("[database.shop]\n", &format!("{notify}{rules}"));
        sandbox.write("backstay.toml", &text);
    };
    let mut seen = 0;
    write("kulti", "");
    assert_eq!(run(&sandbox, &["backup", "--quiet"]).code, Some(0));
    let good = [
        r#"/all/TOKEN success "backup of shop succeeded""#,
        "/sign/TOKEN",
        "/sign/TOKEN/start",
    ];
    assert_eq!(told(&server, &mut seen), good);
    // No such database; the password is in the section, and stays there.
    write("nowhere", "");
    let failed = run(&sandbox, &["backup", "--quiet"]);
    assert_eq!(failed.code, Some(4), "{failed:?}");
    let bad = [
        r#"/all/TOKEN failure "backup of shop failed""#,
        r#"/hook/TOKEN failure "backup of shop failed""#,
        "/sign/TOKEN/fail",
        "/sign/TOKEN/start",
    ];
    assert_eq!(told(&server, &mut seen), bad);
    let body: Value = serde_json::from_slice(&server.seen("POST", "/hook").pop().expect("one").body).expect("JSON");
    let reason = body["reason"].as_str().expect("a reason");
    assert!(reason.contains("nowhere"), "{reason}");
    assert_eq!(body["store"], "near");
    // What the section needs is not there, so that nothing can be begun.
    std::fs::rename(sandbox.path("secret"), sandbox.path("hidden")).unwrap();
    assert_eq!(run(&sandbox, &["backup", "--quiet"]).code, Some(3));
    assert_eq!(told(&server, &mut seen), bad);
    std::fs::rename(sandbox.path("hidden"), sandbox.path("secret")).unwrap();
    write("kulti", "");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(run(&sandbox, &["backup", "--quiet"]).code, Some(0));
    let again = [
        r#"/all/TOKEN success "backup of shop succeeded""#,
        r#"/hook/TOKEN recovery "backup of shop succeeded again""#,
        "/sign/TOKEN",
        "/sign/TOKEN/start",
    ];
    assert_eq!(told(&server, &mut seen), again);
    // A rule finds something: the backup is there.
    write("kulti", "rules = { require-table = ['public.nothing'] }\n");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(run(&sandbox, &["backup", "--quiet"]).code, Some(1));
    let alarm = [
        r#"/all/TOKEN alarm "backup of shop raised an alarm""#,
        r#"/all/TOKEN success "backup of shop succeeded""#,
        r#"/hook/TOKEN alarm "backup of shop raised an alarm""#,
        "/sign/TOKEN/fail",
        "/sign/TOKEN/start",
    ];
    assert_eq!(told(&server, &mut seen), alarm);
    let body: Value = serde_json::from_slice(&server.seen("POST", "/hook").pop().expect("one").body).expect("JSON");
    assert!(
        body["findings"][0]
            .as_str()
            .expect("a finding")
            .contains("public.nothing"),
        "{body}"
    );
    // What an encrypted backup holds is told to nobody.
    let key = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
    write(
        "kulti",
        &format!("rules = {{ require-table = ['public.nothing'] }}\nprefix = 'sealed'\nencrypt-to = ['{key}']\n"),
    );
    assert_eq!(run(&sandbox, &["backup", "--quiet"]).code, Some(1));
    assert_eq!(told(&server, &mut seen), alarm);
    let body: Value = serde_json::from_slice(&server.seen("POST", "/hook").pop().expect("one").body).expect("JSON");
    assert_eq!(
        body["findings"],
        serde_json::json!(["error: [required-table]"]),
        "{body}"
    );
    write("kulti", "rules = { require-table = ['public.nothing'] }\n");
    // Other work is told too, but is no sign of life of backups.
    assert_eq!(
        run(&sandbox, &["verify", "latest", "--database", "shop", "--quiet"]).code,
        Some(1)
    );
    let verified = [
        r#"/all/TOKEN failure "verify of shop failed""#,
        r#"/hook/TOKEN failure "verify of shop failed""#,
    ];
    assert_eq!(told(&server, &mut seen), verified);
    let tested = run(&sandbox, &["notify", "test", "hook", "sign"]);
    assert_eq!(
        (tested.code, tested.stdout.as_str()),
        (Some(0), "hook was told\nsign was told\n")
    );
    assert_eq!(
        told(&server, &mut seen),
        [r#"/hook/TOKEN test "test of a notification""#, "/sign/TOKEN/log"]
    );
}

#[test]
fn a_dead_receiver_harms_no_backup() {
    let sandbox = Sandbox::with_sample();
    sandbox.write("secret", PASSWORD);
    // Nobody listens there; a variable is not set; a command fails.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let more = format!(
        "[notification.dead]\nping = 'http://{closed}/{TOKEN}'\n[notification.unset]\nslack = {{ env = 'NO_SUCH' }}\n\
         [notification.fails]\ncommand = ['sh', '-c', 'exit 3', '{TOKEN}']\non = ['success']\n"
    );
    let text = file(&sandbox, "kulti", &more);
    let text = text.replace(
        "store = 'near'\n",
        "store = 'near'\nnotify = ['dead', 'unset', 'fails']\n",
    );
    sandbox.write("backstay.toml", &text);
    let run = run(&sandbox, &["backup", "--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.stderr.contains(TOKEN), "{run:?}");
    run.json();
    insta::assert_snapshot!(run.stderr.replace(&closed.port().to_string(), "[PORT]"));
    sandbox.file_ending("near", ".manifest.json");
    let tested = Run::of(&mut sandbox.backstay_in_empty_environment(&["notify", "test", "fails"]));
    assert_eq!(tested.code, Some(1), "{tested:?}");
    insta::assert_snapshot!(tested.stderr);
    let unknown = Run::of(&mut sandbox.backstay_in_empty_environment(&["notify", "test", "ded"]));
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    insta::assert_snapshot!(unknown.stderr);
}
