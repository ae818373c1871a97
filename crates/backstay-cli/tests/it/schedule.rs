//! Schedules for schedulers of others, as these programs read them.

use std::process::Command;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::support::Run;

const FILE: &str = "
[database.kulti]
url = { env = 'KULTI_URL' }
store = 'offsite'
schedule = '30 2 * * *'
drill-schedule = '0 4 * * SUN'
time-zone = 'Asia/Tokyo'
jitter-minutes = 10
notify = ['chat']
[database.shop]
host = '${SHOP_HOST}'
password = { env = 'SHOP_PASSWORD' }
store = 'offsite'
schedule = '15 */6 1,15 * *'
[store.offsite]
url = 's3://my-backups/prod?region=${REGION:-eu-central-1}'
access-key-id = '${KEY_ID}'
secret-access-key = { env = 'SECRET_KEY' }
[notification.chat]
slack = { env = 'SLACK_URL' }
[[export]]
name = 'users'
database = 'shop'
table = 'users'
schedule = '0 5 * * 1-5'
";

/// The program in a folder with the file, and with every secret it names.
fn print(folder: &std::path::Path, text: &str, arguments: &[&str]) -> Run {
    std::fs::write(folder.join("backstay.toml"), text).expect("a file is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    command
        .args(["schedule", "print", "--for"])
        .args(arguments)
        .env_clear()
        .current_dir(folder);
    for name in [
        "KULTI_URL",
        "SHOP_HOST",
        "SHOP_PASSWORD",
        "KEY_ID",
        "SECRET_KEY",
        "SLACK_URL",
    ] {
        command.env(name, format!("hunter2-{name}"));
    }
    let run = Run::of(&mut command);
    assert!(!run.stdout.contains("hunter2"), "{run:?}");
    run
}

fn program(name: &str, variable: &str, help: &str) -> Command {
    let named = std::env::var_os(variable).unwrap_or_else(|| name.into());
    let found = Command::new(&named).arg("--version").output();
    assert!(found.is_ok(), "no {name}: run `cargo xtask test`, or: {help}");
    Command::new(named)
}

fn succeed(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    format!("{stdout}{stderr}")
}

#[test]
fn systemd_takes_the_units_and_means_the_same_times() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = print(folder.path(), FILE, &["systemd", "--folder", "."]);
    assert_eq!(written.code, Some(0), "{written:?}");
    let units: Vec<&str> = written.stdout.lines().collect();
    assert_eq!(units.len(), 8, "{units:?}");
    let mut verify = program("systemd-analyze", "BACKSTAY_TEST_SYSTEMD", "apt-get install systemd");
    verify
        .arg("verify")
        .args(&units)
        .current_dir(folder.path())
        .env("SYSTEMD_LOG_LEVEL", "warning");
    let said = succeed(verify);
    assert!(!said.contains("backstay-"), "{said}");
    // A file is never written over.
    assert_eq!(print(folder.path(), FILE, &["systemd", "--folder", "."]).code, Some(5));
    for (name, zone) in [
        ("backstay-kulti-drill", "Asia/Tokyo"),
        ("backstay-shop-backup", "UTC"),
        ("backstay-shop-export-users", "UTC"),
    ] {
        let timer = std::fs::read_to_string(folder.path().join(format!("{name}.timer"))).expect("a timer");
        let calendar: Vec<&str> = timer
            .lines()
            .filter_map(|line| line.strip_prefix("OnCalendar="))
            .collect();
        let [calendar] = calendar[..] else {
            panic!("not one in {timer}")
        };
        let cron = match name {
            "backstay-kulti-drill" => "0 4 * * SUN",
            "backstay-shop-backup" => "15 */6 1,15 * *",
            _ => "0 5 * * 1-5",
        };
        let cron: backstay_schedule::Cron = cron.parse().expect("an expression");
        let zone = TimeZone::get(zone).expect("a zone");
        let mut now = Timestamp::now();
        let mut analyze = program("systemd-analyze", "BACKSTAY_TEST_SYSTEMD", "apt-get install systemd");
        analyze
            .args([
                "calendar",
                "--iterations=30",
                &format!("--base-time=@{}", now.as_second()),
                calendar,
            ])
            .env("TZ", "UTC");
        let told = succeed(analyze);
        // `Next elapse:` and `Iteration #2:`, each with the time behind it, in UTC.
        let lines = told.lines().filter_map(|line| {
            let (label, time) = line.trim().split_once(": ")?;
            let is_time = label == "Next elapse" || label.starts_with("Iteration") || label.starts_with("Iter.");
            (is_time && time.trim().ends_with("UTC")).then(|| time.trim().to_owned())
        });
        let times: Vec<String> = lines.collect();
        assert_eq!(times.len(), 30, "{told}");
        for time in times {
            now = cron.next_after(now, &zone).expect("a time");
            assert_eq!(time, now.strftime("%a %Y-%m-%d %H:%M:%S UTC").to_string(), "{name}");
            now += SignedDuration::from_secs(1);
        }
    }
}

#[test]
fn kubernetes_takes_the_jobs() {
    let folder = tempfile::tempdir().expect("a folder");
    let printed = print(folder.path(), FILE, &["kubernetes"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    insta::assert_snapshot!(printed.stdout);
    std::fs::write(folder.path().join("backstay.yaml"), &printed.stdout).expect("a file is written");
    let help = "pip install kubernetes-validate==1.37.0";
    let mut validate = program("kubernetes-validate", "BACKSTAY_TEST_KUBERNETES", help);
    validate.args(["--strict", "backstay.yaml"]).current_dir(folder.path());
    succeed(validate);
}

#[test]
fn github_takes_the_workflow_and_hears_why_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let printed = print(folder.path(), FILE, &["github-actions"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    insta::assert_snapshot!(printed.stdout);
    std::fs::write(folder.path().join("backstay.yml"), &printed.stdout).expect("a file is written");
    let help = "pip install check-jsonschema==0.39.0";
    let mut check = program("check-jsonschema", "BACKSTAY_TEST_CHECK_JSONSCHEMA", help);
    check
        .args(["--builtin-schema", "vendor.github-workflows", "backstay.yml"])
        .current_dir(folder.path());
    succeed(check);
    let berlin = FILE.replace("Asia/Tokyo", "Europe/Berlin");
    let refused = print(folder.path(), &berlin, &["github-actions"]);
    assert_eq!(refused.code, Some(7), "{refused:?}");
    insta::assert_snapshot!(refused.stderr);
}

#[test]
fn cron_gets_lines_and_whoever_has_no_schedule_hears_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let printed = print(folder.path(), FILE, &["cron", "--program", "/usr/bin/backstay"]);
    let place = std::path::absolute(folder.path())
        .expect("a path")
        .display()
        .to_string();
    insta::assert_snapshot!(printed.stdout.replace(&place, "[FOLDER]"));
    let one = print(folder.path(), FILE, &["cron", "--db", "shop"]);
    assert!(one.code == Some(0) && !one.stdout.contains("kulti"), "{one:?}");
    let none = print(folder.path(), "[database.kulti]\nhost = 'h'", &["cron"]);
    assert_eq!(none.code, Some(3), "{none:?}");
    insta::assert_snapshot!(none.stderr);
}
