//! The files of a project, from a database with their rows to another project.

use std::process::Command;

use backstay_testkit::http_server::{HttpServer, Request, Response};
use backstay_testkit::{SupabaseProject, SupabaseServer};
use serde_json::json;

use crate::support::{PASSWORD, Run, Sandbox};

const PAGE: &str = include_str!("../../../../docs/storage-files.md");

/// What the service has in the database.
const ROWS: &str = "
    CREATE SCHEMA storage;
    CREATE TABLE storage.objects (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, bucket_id text, name text, version text);
    INSERT INTO storage.objects (bucket_id, name, version) VALUES
      ('avatars', 'ada.png', 'version-1'), ('documents', E'a\\ttab', 'version-2'), ('documents', 'deed.pdf', 'version-3')";

struct Project {
    sandbox: Sandbox,
    server: SupabaseProject,
}

impl Project {
    fn start() -> Self {
        let sandbox = Sandbox::start();
        sandbox.sql("kulti", ROWS);
        let server = SupabaseProject::start();
        server.create_bucket("avatars", true);
        server.create_bucket("documents", false);
        server.put("avatars", "ada.png", b"the picture of ada");
        server.put("documents", "a\ttab", b"odd");
        server.put("documents", "deed.pdf", b"the deed to the house");
        Self { sandbox, server }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.backstay(arguments);
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command
            .env("SUPABASE_URL", self.server.http.endpoint())
            .env("SUPABASE_SECRET_KEY", SupabaseServer::SECRET_KEY);
    }

    fn run(&self, arguments: &[&str], code: i32) -> Run {
        let run = Run::of(&mut self.command(arguments));
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        assert!(!format!("{run:?}").contains(SupabaseServer::SECRET_KEY), "{run:?}");
        run
    }
}

/// The examples of a page, in their order.
fn examples() -> Vec<String> {
    let blocks = PAGE.split("\n```sh ").skip(1);
    let text = |block: &str| {
        block
            .split_once('\n')
            .unwrap()
            .1
            .split("\n```")
            .next()
            .unwrap()
            .to_owned()
    };
    blocks.map(text).collect()
}

#[test]
fn the_page_is_right_from_one_project_to_another() {
    let project = Project::start();
    let other = SupabaseProject::start();
    // A name that the service of tests takes back, as the real one does.
    project.server.remove("documents", "a\ttab");
    project
        .sandbox
        .sql("kulti", "DELETE FROM storage.objects WHERE name LIKE 'a%tab'");
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_backstay")).parent().unwrap();
    let bin = project.sandbox.server.installation().bin().to_owned();
    let examples = examples();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let mut shell = project.sandbox.backstay_in_empty_environment::<&str>(&[]);
        let variables: Vec<_> = project
            .command(&[])
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        shell = {
            let mut command = Command::new("/bin/sh");
            command
                .args(["-e", "-c", &example])
                .current_dir(shell.get_current_dir().unwrap());
            command.env_clear().envs(variables);
            command
        };
        let path = format!("{}:{}:/usr/bin:/bin", folder.display(), bin.display());
        shell
            .env("PATH", path)
            .env("NEW_PROJECT_REF", "other")
            .env("NEW_PROJECT_URL", other.http.endpoint());
        let run = Run::of(&mut shell);
        assert_eq!(run.code, Some(0), "{example}: {run:?}");
    }
    let file = other.file("documents", "deed.pdf").unwrap();
    assert_eq!(file.content.as_deref(), Some(&b"the deed to the house"[..]));
    assert_eq!(file.metadata, Some(json!({ "from": "deed.pdf" })));
    assert_eq!(other.bucket("avatars").unwrap()["public"], json!(true));
}

#[test]
fn what_does_not_go_together_is_told() {
    let project = Project::start();
    project.run(&["backup"], 0);
    let whole = project
        .run(&["storage-files", "backup", "--id", "latest", "--json"], 0)
        .json();
    assert_eq!(whole["files"], 3);
    assert_eq!(
        whole["rows"],
        json!({ "missing": [], "extra": [], "other_version": [] })
    );
    // The time in a name has seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    project.server.remove("documents", "a\ttab");
    project.server.put("documents", "later", b"later");
    project.server.put("avatars", "ada.png", b"another picture of ada");
    let torn = project.run(&["storage-files", "backup", "--id", "latest", "--json"], 1);
    assert!(
        torn.stderr
            .contains("missing: the database has a row, the backup no file: documents/a\u{fffd}tab"),
        "{torn:?}"
    );
    let torn = torn.json();
    assert_eq!(torn["unchanged"], 1);
    assert_eq!(
        torn["rows"]["missing"],
        json!([{ "bucket": "documents", "name": "a\ttab" }])
    );
    assert_eq!(
        torn["rows"]["extra"],
        json!([{ "bucket": "documents", "name": "later" }])
    );
    assert_eq!(
        torn["rows"]["other_version"],
        json!([{ "bucket": "avatars", "name": "ada.png" }])
    );
    project.run(&["storage-files", "verify", "latest"], 0);
    project.run(&["storage-files", "verify", "latest", "--id", "latest"], 1);
    // Backups of the database do not mind, and what removes them does not touch files.
    let before = project.run(&["storage-files", "list"], 0).stdout;
    project.run(&["verify", "latest"], 0);
    project.run(&["prune", "--litter", "--grace", "0"], 0);
    assert_eq!(project.run(&["storage-files", "list"], 0).stdout, before);
    project.run(&["storage-files", "verify", "latest"], 0);
}

#[test]
fn what_cannot_be_done_is_told_with_what_to_do() {
    let project = Project::start();
    let none = project.run(&["storage-files", "verify", "latest"], 5);
    assert!(
        none.stderr.contains("the store does not exist") || none.stderr.contains("there is no backup"),
        "{none:?}"
    );
    project.run(&["storage-files", "backup"], 0);
    let log = project.run(&["log"], 0).stdout;
    assert!(log.contains("files") && log.contains("127-0-0-1-"), "{log}");
    let unknown = project.run(&["storage-files", "verify", "abc_files_20260101_000000"], 5);
    assert!(
        unknown.stderr.contains("hint: backstay storage-files list"),
        "{unknown:?}"
    );
    project.run(&["storage-files", "verify", "nonsense"], 2);
    // Where it goes is never taken from variables.
    project.run(&["storage-files", "restore", "latest"], 2);
    project.run(&["storage-files", "restore", "latest", "--to", "abc", "--replace"], 2);
    let one_second = || std::thread::sleep(std::time::Duration::from_millis(1100));
    project.server.remove_bucket("avatars");
    one_second();
    let fewer = project.run(&["storage-files", "backup"], 1);
    assert!(
        fewer
            .stderr
            .contains("bucket gone: the backup before this one had avatars"),
        "{fewer:?}"
    );
    project.server.create_bucket("avatars", true);
    project.server.put("avatars", "ada.png", b"the picture of ada");
    one_second();
    project.run(&["storage-files", "backup"], 0);
    let mut keyless = project.command(&["storage-files", "backup"]);
    keyless.env_remove("SUPABASE_SECRET_KEY");
    let keyless = Run::of(&mut keyless);
    assert_eq!(keyless.code, Some(3), "{keyless:?}");
    assert!(keyless.stderr.contains("into SUPABASE_SECRET_KEY"), "{keyless:?}");
    project.server.put("avatars", "ada.png", b"painted over");
    let endpoint = project.server.http.endpoint();
    let kept = project.run(
        &[
            "storage-files",
            "restore",
            "latest",
            "--to",
            "abc",
            "--endpoint",
            &endpoint,
        ],
        6,
    );
    assert!(
        kept.stderr.contains("left alone, since it is there with other content"),
        "{kept:?}"
    );
    let replace = [
        "storage-files",
        "restore",
        "latest",
        "--to",
        "abc",
        "--endpoint",
        &endpoint,
        "--replace",
        "--yes",
    ];
    project.run(&replace, 0);
    let file = project.server.file("avatars", "ada.png").unwrap();
    assert_eq!(file.content.as_deref(), Some(&b"the picture of ada"[..]));
}

#[test]
fn encrypted_files_show_neither_content_nor_names() {
    let project = Project::start();
    let made = project.run(&["key", "new", "key.txt"], 0);
    let key = made
        .stdout
        .split_whitespace()
        .find(|word| word.starts_with("age1"))
        .unwrap();
    project.run(&["storage-files", "backup", "--encrypt-to", key], 0);
    let files = Command::new("find")
        .arg(project.sandbox.path("backups"))
        .args(["-type", "f"])
        .output()
        .unwrap();
    let files = String::from_utf8(files.stdout).unwrap();
    assert!(files.lines().count() >= 5, "{files}");
    for path in files.lines() {
        let bytes = std::fs::read(path).unwrap();
        for secret in ["the picture of ada", "the deed to the house", "deed.pdf", "avatars"] {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there && !path.contains(secret), "{path}: {secret}");
        }
    }
    let blind = project.run(&["storage-files", "verify", "latest"], 0);
    assert!(blind.stdout.contains("whose content no key at hand opens"), "{blind:?}");
    let sighted = project.run(&["storage-files", "verify", "latest", "--identity", "key.txt"], 0);
    assert!(sighted.stdout.contains("3 files read"), "{sighted:?}");
}

/// A section of the configuration says all that a night needs.
#[test]
fn files_are_saved_with_the_database_of_the_configuration() {
    let project = Project::start();
    let sandbox = &project.sandbox;
    let hook = HttpServer::start(
        |_: &Request| Response::new(200, "ok"),
        |status, word| Response::new(status, word),
    );
    let command = |arguments: &[&str]| {
        let mut command = sandbox.backstay_in_empty_environment(arguments);
        command
            .env("DATABASE_URL", sandbox.url("kulti"))
            .env("PGPASSWORD", PASSWORD)
            .env("KULTI_PROJECT", project.server.http.endpoint());
        command
    };
    let run = |arguments: &[&str], code: i32| {
        let run = Run::of(&mut command(arguments));
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        run
    };
    let made = run(&["key", "new", "key.txt"], 0).stdout;
    let key = made.split_whitespace().find(|word| word.starts_with("age1")).unwrap();
    sandbox.write("backstay.pub", key);
    sandbox.write("key", SupabaseServer::SECRET_KEY);
    let (_, night) = PAGE.split_once("\n```toml night\n").unwrap();
    let night = night.split("\n```").next().unwrap();
    let url = hook.endpoint();
    sandbox.write(
        "backstay.toml",
        &format!(
            "{}\n[database.other]\nurl = 'postgresql://127.0.0.1/other'\nstore = 'far'\n\
             [store.offsite]\nurl = 'near'\n[store.far]\nurl = 'far'\n[notification.operators]\nwebhook = '{url}/hook'\n",
            night.replace("{ env = \"KULTI_SECRET_KEY\" }", "{ file = 'key' }")
        ),
    );
    let checked = run(&["config", "check"], 0).stdout;
    assert!(
        checked.contains("storage-files-key") && !checked.contains(SupabaseServer::SECRET_KEY),
        "{checked}"
    );
    // Without a key, as on most machines that make backups, rows are not compared with; with one they are.
    let night = ["run", "--now", "backup", "--db", "kulti"];
    let blind = run(&night, 0);
    let warning = "warning: files are not compared with rows of the database";
    assert!(blind.stdout.contains(warning), "{blind:?}");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let mut sighted = command(&night);
    sighted.env("BACKSTAY_IDENTITY_FILE", sandbox.argument("key.txt"));
    let sighted = Run::of(&mut sighted);
    assert_eq!(sighted.code, Some(0), "{sighted:?}");
    assert!(!sighted.stdout.contains(warning), "{sighted:?}");
    let saved = sandbox.files("near/storage-files");
    assert!(saved.iter().any(|file| file.ends_with(".files.json")), "{saved:?}");
    let clear = sandbox.path("near");
    let found = Command::new("grep")
        .args(["-rlE", "deed.pdf|the house"])
        .arg(clear)
        .output()
        .unwrap();
    assert!(found.stdout.is_empty(), "nothing is in clear: {found:?}");
    assert!(hook.seen("POST", "/hook").is_empty(), "nothing to tell");

    // A file that the database has a row of is lost: the backup is there, and it is told without its name.
    project.server.remove("documents", "deed.pdf");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let saving = [
        "storage-files",
        "backup",
        "--db",
        "kulti",
        "--id",
        "latest",
        "--identity",
        "key.txt",
    ];
    let torn = run(&saving, 1);
    assert!(torn.stderr.contains("documents/deed.pdf"), "{torn:?}");
    let told = |at: usize| -> serde_json::Value {
        let posts = hook.seen("POST", "/hook");
        serde_json::from_slice(&posts.get(at).expect("it is told").body).unwrap()
    };
    let alarm = told(0);
    assert_eq!(alarm["summary"], "storage-files of kulti raised an alarm");
    assert_eq!(alarm["reason"], "1 file missing that the database has a row of");
    // The service does not let us in any more.
    sandbox.write("key", "sb_secret_of_yesterday");
    run(&saving, 5);
    let failed = told(1);
    assert_eq!(failed["summary"], "storage-files of kulti failed");
    sandbox.write("key", SupabaseServer::SECRET_KEY);
    project.server.put("documents", "deed.pdf", b"the deed to the house");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    run(&saving, 0);
    assert_eq!(told(2)["summary"], "storage-files of kulti succeeded again");
    // Monitoring looks for them as it does for backups.
    let seen = run(&["status", "--db", "kulti"], 0);
    assert!(!seen.stdout.contains("files"), "{seen:?}");
    std::fs::rename(sandbox.path("near/storage-files"), sandbox.path("elsewhere")).unwrap();
    let missed = run(&["status", "--db", "kulti", "--notify"], 1);
    assert!(
        missed.stdout.contains("error: there is no backup of its files"),
        "{missed:?}"
    );
    assert!(
        missed
            .stdout
            .contains("hint: look whether the job that saves files runs"),
        "{missed:?}"
    );
    assert_eq!(told(3)["summary"], "storage-files of kulti was missed");
    // Which of the two is not guessed.
    run(&["storage-files", "backup"], 2);
}
