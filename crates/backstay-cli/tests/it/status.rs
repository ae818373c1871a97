//! How databases are doing, as people and monitoring are told.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use backstay::{BackupId, Compression, DrillEvidence, NotedFindings, Prefix, Proof, Repository, Statement};
use backstay_testkit::fixtures::SampleBackup;
use backstay_testkit::http_server::{HttpServer, Request, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::{Run, Sandbox, fed};

const MONITORING: &str = include_str!("../../../../docs/monitoring.md");

/// So many hours ago, and half an hour, which a slow test does not use up.
fn hours_ago(hours: i64) -> Timestamp {
    Timestamp::now()
        .checked_sub(SignedDuration::from_mins(60 * hours + 30))
        .unwrap()
}

fn publish(repository: &Repository, prefix: &str, hours: i64, change: impl FnOnce(&mut SampleBackup)) -> BackupId {
    let prefix: Prefix = prefix.parse().unwrap();
    let id = BackupId::new(prefix, hours_ago(hours));
    let mut sample = SampleBackup::kulti(&id.to_string(), Compression::default());
    change(&mut sample);
    sample.publish(Arc::clone(repository.store()));
    id
}

fn said() -> Statement {
    Statement {
        who: "ann".to_owned(),
        at: Timestamp::now(),
        why: "case \"12\"".to_owned(),
    }
}

fn prove(repository: &Repository, id: &BackupId) {
    let proof = Proof {
        level: "deep".to_owned(),
        passed: true,
        findings: NotedFindings::default(),
    };
    repository.note_proof(id, &said(), &proof).unwrap();
}

fn hold_drill(repository: &Repository, id: &BackupId) {
    let evidence = DrillEvidence {
        passed: true,
        place: "a server of its own".to_owned(),
        server_version: "17.1".to_owned(),
        phases: Vec::new(),
        recovery: Duration::from_millis(90_500),
        recovery_limit: None,
        holdings: None,
        findings: NotedFindings::default(),
        not_checked: Vec::new(),
    };
    repository.note_drill(id, &said(), &evidence).unwrap();
}

const CONFIGURATION: &str = r#"
    [database.kulti]
    dbname = "kulti"
    store = "near"
    also = ["far", "gone"]

    [database.shop]
    dbname = "shop"
    store = "near"
    schedule = "30 2 * * *"
    drill-schedule = "0 4 1 1 *"
    rpo = "8h"
    rto = "60s"

    [database.lost]
    dbname = "lost"
    store = "near"

    [store.near]
    url = "./near"
    [store.far]
    url = "./far"
    [store.gone]
    url = "./gone"
    "#;

#[test]
fn a_fleet_is_told_in_one_table() {
    let sandbox = Sandbox::start();
    let (near, far) = (sandbox.repository("near"), sandbox.repository("far"));
    let id = publish(&near, "kulti", 5, |_| {});
    prove(&near, &id);
    hold_drill(&near, &id);
    publish(&far, "kulti", 50, |_| {});
    let id = publish(&near, "shop", 5, |_| {});
    prove(&near, &id);
    hold_drill(&near, &id);
    near.hold(&id, &said(), None).unwrap();
    sandbox.write("backstay.toml", CONFIGURATION);
    let told = sandbox.session(&[
        &["status"],
        &["status", "--db", "shop", "--rto", "2min"],
        &["status", "--db", "shop", "--rpo", "2h", "--quiet"],
        &["status", "far"],
        &["status", "--db", "nobody"],
        &["status", "far", "--rpo", "3d", "--proven-within", "3d"],
    ]);
    insta::assert_snapshot!(told);
    let json = sandbox.run(&["status", "--json"]);
    assert_eq!(json.code, Some(5));
    let json = json.json();
    assert_eq!(json["state"], "unknown");
    let states: Vec<&Value> = json["databases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| &found["state"])
        .collect();
    assert_eq!(states, ["unknown", "bad", "bad"]);
    let shop = &json["databases"][2];
    assert_eq!(
        (&shop["name"], &shop["rpo"]),
        (&Value::from("shop"), &Value::from("8h"))
    );
    assert_eq!(shop["recovery"]["seconds"], 90.5);
    let next = shop["next_runs"].as_array().unwrap();
    let next: Vec<[&str; 2]> = next
        .iter()
        .map(|run| ["what", "at"].map(|key| run[key].as_str().unwrap()))
        .collect();
    assert!(
        matches!(next[..], [["backup", backup], ["drill", drill]] if backup.ends_with("T02:30:00Z") && drill.ends_with("-01-01T04:00:00Z")),
        "{next:?}"
    );
    assert_eq!(shop["places"][0]["held"][0]["holds"][0]["why"], "case \"12\"");
    assert!(shop["places"][0]["newest"]["age_seconds"].as_i64().unwrap() >= 5 * 3600);
    assert_eq!(json["databases"][1]["places"][0]["problems"][0]["trouble"], "no-backup");
}

#[test]
fn what_is_amiss_is_told_to_those_of_each_database() {
    let answer = |_: &Request| Response::new(200, "ok");
    let server = HttpServer::start(answer, |status, word| Response::new(status, word));
    let sandbox = Sandbox::start();
    let near = sandbox.repository("near");
    publish(&near, "shop", 50, |_| {});
    let id = publish(&near, "kulti", 5, |_| {});
    prove(&near, &id);
    let notified = CONFIGURATION
        .replace("[database.kulti]", "[database.kulti]\nnotify = ['hook']")
        .replace(
            "[database.shop]",
            "[database.shop]\nnotify = ['hook', 'sign', 'drills']",
        )
        .replace("\"far\", ", "");
    let endpoint = server.endpoint();
    let receivers = format!(
        "[notification.hook]\nwebhook = '{endpoint}/hook'\n[notification.sign]\nping = '{endpoint}/sign'\n\
         [notification.drills]\nwebhook = '{endpoint}/drills'\nabout = ['drill']\n"
    );
    sandbox.write("backstay.toml", &format!("{notified}{receivers}"));
    let run = sandbox.run(&["status", "--notify", "--quiet"]);
    assert_eq!(run.code, Some(5), "{run:?}");
    let told = || {
        let requests = server.seen("", "").into_iter();
        let told = requests.map(|request| {
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            let findings = body["findings"].as_array().expect("findings").len();
            (request.target.clone(), text("event"), text("summary"), findings)
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        told
    };
    let one = |event: &str, summary: &str| ("/hook".to_owned(), event.to_owned(), summary.to_owned(), 1);
    let expected = [
        one("alarm", "backup of kulti raised an alarm"),
        one("missed", "backup of shop was missed"),
    ];
    assert_eq!(told(), expected);
    // What is well is not told of; what is amiss is told again; and whoever tells nobody hears it.
    let run = sandbox.run(&["status", "near", "--db", "kulti", "--notify", "--quiet"]);
    assert_eq!((run.code, told().len()), (Some(0), 2), "{run:?}");
    sandbox.run(&["status", "--db", "shop", "--notify", "--quiet"]);
    assert_eq!(told().len(), 3);
    insta::assert_snapshot!(sandbox.session(&[&["status", "--db", "lost", "--notify"]]));
}

#[test]
fn a_page_is_written_whole_or_not_at_all() {
    let sandbox = Sandbox::start();
    let near = sandbox.repository("near");
    for hours in [5, 29, 53] {
        let id = publish(&near, "kulti", hours, |_| {});
        prove(&near, &id);
        hold_drill(&near, &id);
    }
    sandbox.write(
        "backstay.toml",
        "[database.kulti]\ndbname = 'kulti'\nstore = 'near'\nretention = { keep-last = 2 }\n[store.near]\nurl = './near'",
    );
    sandbox.write("page.html", "what was there");
    let written = sandbox.succeed(&["report", "--html", "page.html"]);
    assert_eq!(
        (written.stdout.as_str(), written.stderr.as_str()),
        ("page.html: good\n", "")
    );
    let page = std::fs::read_to_string(sandbox.path("page.html")).unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"),
        "{page}"
    );
    // By the retention of the configuration one goes.
    assert_eq!(page.matches(">to go</span>").count(), 1, "{page}");
    assert_eq!(page.matches(">recent</span>").count(), 2, "{page}");
    let printed = sandbox.succeed(&["report", "--html", "-"]);
    assert!(printed.stdout.starts_with("<!DOCTYPE html>") && printed.stdout.ends_with("</html>"));
    // What is amiss is in the page and in the status.
    let late = sandbox.run(&["report", "--html", "late.html", "--rpo", "2h", "--quiet"]);
    assert_eq!((late.code, late.stdout.as_str()), (Some(1), ""));
    assert!(
        std::fs::read_to_string(sandbox.path("late.html"))
            .unwrap()
            .contains("more than 2h ago")
    );
    let refused = sandbox.run(&["report", "--html", "no/such/page.html"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
}

#[test]
fn metrics_pass_the_parser_of_prometheus() {
    let sandbox = Sandbox::start();
    // What may stand in names of databases and folders.
    let folder = "sto\"re\\s";
    let repository = sandbox.repository(folder);
    let name = "new\nline \"quoted\" \\ back";
    for (hours, cluster) in [(9, 1), (8, 2), (7, 1)] {
        let id = publish(&repository, "kulti", hours, |sample| {
            sample.manifest.source.system_identifier = Some(cluster);
            sample.manifest.source.database = name.into();
        });
        prove(&repository, &id);
        hold_drill(&repository, &id);
    }
    let run = sandbox.run(&["status", folder, "--prometheus"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let samples = parsed(&run.stdout);
    let newest = samples
        .iter()
        .filter(|sample| sample[0] == "backstay_newest_backup_timestamp_seconds");
    let labels: Vec<[&Value; 2]> = newest
        .map(|sample| [&sample[1]["database"], &sample[1]["store"]])
        .collect();
    let databases = [1, 2].map(|cluster| Value::from(format!("kulti ({name} of cluster {cluster})")));
    let store = Value::from(folder);
    assert_eq!(labels, [[&databases[0], &store], [&databases[1], &store]]);
    // The file is the same but for the time, and stands alone in its folder.
    std::fs::create_dir(sandbox.path("collector")).unwrap();
    let written = sandbox.run(&["status", folder, "--textfile", "collector/backstay.prom"]);
    assert_eq!(
        (written.code, written.stdout.as_str(), written.stderr.as_str()),
        (Some(0), "", "")
    );
    assert_eq!(sandbox.files("collector"), ["backstay.prom"]);
    let file = std::fs::read_to_string(sandbox.path("collector/backstay.prom")).unwrap();
    let without_time = |text: &str| {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("backstay_status_timestamp_seconds "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without_time(&file), without_time(&run.stdout));
    let refused = sandbox.run(&["status", folder, "--textfile", "nowhere/backstay.prom"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    // A store that is gone has a line that says so, and none that could be taken for good.
    let gone = sandbox.run(&["status", "gone", "--prometheus"]);
    assert_eq!(gone.code, Some(5));
    let samples = parsed(&gone.stdout);
    let up = samples.iter().find(|sample| sample[0] == "backstay_store_up").unwrap();
    assert_eq!((&up[1]["store"], up[2].as_f64()), (&Value::from("gone"), Some(0.0)));
    assert!(!gone.stdout.contains("backstay_newest"), "{}", gone.stdout);
    the_page_names_the_metrics(&run, &gone);
}

/// The metrics that the page lists, and that its rules rely on, are those that there are.
fn the_page_names_the_metrics(good: &Run, gone: &Run) {
    let names = |text: &str| -> BTreeSet<String> {
        let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let words = text.split(|c: char| !is_of_name(c));
        words
            .filter(|word| word.starts_with("backstay_"))
            .map(str::to_owned)
            .collect()
    };
    let of_samples = |run: &Run| names(&run.stdout);
    let mut told = &of_samples(good) | &of_samples(gone);
    // Of those nothing is planned.
    told.insert("backstay_next_run_timestamp_seconds".to_owned());
    // Nothing is amiss with these databases.
    told.insert("backstay_database_problem".to_owned());
    assert_eq!(names(MONITORING), told);
}

/// Name, labels and value of each sample, as Prometheus's own client for Python reads them.
fn parsed(metrics: &str) -> Vec<Value> {
    const READ: &str = "import json, sys
from prometheus_client.parser import text_string_to_metric_families as families
print(json.dumps([[s.name, s.labels, s.value] for family in families(sys.stdin.read()) for s in family.samples]))";
    let python = std::env::var_os("BACKSTAY_TEST_PROMETHEUS").filter(|named| !named.is_empty());
    let python = python.unwrap_or_else(|| "python3".into());
    let output = fed(Command::new(python).args(["-c", READ]), metrics);
    assert!(
        output.status.success(),
        "{} (run `cargo xtask test`, or: pip install prometheus-client==0.26.0, and name its python3 in \
         BACKSTAY_TEST_PROMETHEUS)",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
