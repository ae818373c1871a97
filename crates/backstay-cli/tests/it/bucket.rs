//! Backups in a bucket, on a server in this process.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use backstay_testkit::{MotoServer, S3Server};

use crate::killed_uploads::Upload;
use crate::support::{Run, Sandbox};

/// The program with a bucket as its store.
struct InBucket {
    sandbox: Sandbox,
    server: S3Server,
}

impl InBucket {
    fn start() -> Self {
        Self {
            sandbox: Sandbox::with_sample(),
            server: S3Server::start(),
        }
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.sandbox.backstay(arguments);
        command
            .env("BACKSTAY_STORE", format!("s3://{}/prod", S3Server::BUCKET))
            .env("AWS_ENDPOINT_URL_S3", self.server.endpoint())
            .env("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_KEY);
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    fn succeed(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        assert!(
            !format!("{run:?}").contains(S3Server::SECRET_KEY),
            "{arguments:?}: {run:?}"
        );
        run
    }

    /// Every backup that is listed verifies; gives how many there are.
    fn assert_sound(&self) -> usize {
        let listed = self.succeed(&["list", "--json"]).json();
        let backups = listed["backups"].as_array().unwrap();
        for backup in backups {
            self.succeed(&["verify", backup["id"].as_str().unwrap()]);
        }
        backups.len()
    }
}

#[test]
fn a_backup_goes_to_a_bucket_and_comes_back_row_by_row() {
    let program = InBucket::start();
    let made = program.succeed(&["backup", "--json"]).json();
    let id = made["id"].as_str().unwrap();
    let listed = program.succeed(&["list", "--json"]).json();
    assert_eq!(listed["store"], format!("s3://{}/prod", S3Server::BUCKET));
    assert_eq!(listed["backups"][0]["id"], id);
    program.succeed(&["show", "latest", "--tables"]);
    program.succeed(&["verify", "latest"]);
    let target = program.sandbox.url("copy");
    program.succeed(&["restore", id, "--to", &target, "--create", "--prove", "--yes", "copy"]);
    let count = program.sandbox.sql("copy", "SELECT count(*) FROM app.orders");
    assert_eq!(count, "2000");
    // What lies in the bucket are the files that anybody can read.
    let folder = program.server.bucket_folder().join("prod");
    let names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert!(names.contains(&format!("{id}.manifest.json")), "{names:?}");
}

#[test]
fn a_killed_backup_leaves_a_bucket_sound() {
    let program = InBucket::start();
    program.sandbox.sql(
        "kulti",
        "CREATE TABLE public.bulk AS SELECT i, repeat(md5(i::text), 8) AS filler FROM generate_series(1, 60000) i",
    );
    for millis in [0, 150, 400, 800] {
        let before = program.assert_sound();
        let mut child = program
            .command(&["backup", "--jobs", "1", "--compress", "gzip:9"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        let after = program.assert_sound();
        assert!(
            after == before || after == before + 1,
            "{millis} ms: {before} became {after}"
        );
        // The id has the time to the second.
        thread::sleep(Duration::from_millis(1100));
        program.succeed(&["backup"]);
        program.succeed(&["prune", "--litter", "--grace", "0"]);
        assert!(program.assert_sound() > after, "{millis} ms");
        thread::sleep(Duration::from_millis(1100));
    }
}

#[test]
fn a_killed_upload_leaves_a_bucket_sound_and_is_removed() {
    let sandbox = Sandbox::with_sample();
    let moto = MotoServer::shared(std::env::var_os("BACKSTAY_TEST_MOTO"));
    moto.create_bucket("killed");
    let command = |endpoint: &str, arguments: &[&str]| {
        let mut command = sandbox.backstay(arguments);
        command
            .env("BACKSTAY_STORE", "s3://killed/prod")
            .env("AWS_ENDPOINT_URL_S3", endpoint)
            .env("AWS_ACCESS_KEY_ID", MotoServer::ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", MotoServer::SECRET_KEY);
        command
    };
    // This server lists uploads, as those do that people have.
    let seen = || {
        let arguments = ["prune", "--litter", "--grace", "0", "--dry-run", "--json"];
        let seen = Run::of(&mut command(&moto.endpoint(), &arguments)).json();
        seen["temporary"].as_array().unwrap().len()
    };
    let upload = Upload {
        sandbox: &sandbox,
        endpoint: moto.endpoint(),
        command: &command,
        open_uploads: &seen,
    };
    assert!(upload.assert_sound_after_kills() > 0);
}

#[test]
fn encryption_that_a_server_does_not_do_is_told_and_leaves_nothing() {
    let program = InBucket::start();
    // This server takes the wish and does not fulfil it.
    let refused = program.run(&["backup", "--sse", "AES256"]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.stderr.contains("did not encrypt it"), "{refused:?}");
    assert_eq!(program.assert_sound(), 0);
    let folder = program.sandbox.run(&["backup", "./backups", "--sse", "AES256"]);
    assert_eq!(folder.code, Some(2), "{folder:?}");
}

#[test]
fn what_is_wrong_with_a_bucket_is_told() {
    let program = InBucket::start();
    let denied = Run::of(program.command(&["list"]).env("AWS_SECRET_ACCESS_KEY", "hunter2"));
    assert_eq!(denied.code, Some(5), "{denied:?}");
    assert!(
        denied.stderr.contains("access denied") && denied.stderr.contains("AWS_PROFILE"),
        "{denied:?}"
    );
    let missing = Run::of(program.command(&["list"]).env("BACKSTAY_STORE", "s3://nowhere"));
    assert_eq!(missing.code, Some(5), "{missing:?}");
    assert!(missing.stderr.contains("the store does not exist"), "{missing:?}");
    let wrong = Run::of(program.command(&["list"]).env("BACKSTAY_STORE", "s3://b?sse=hunter2"));
    assert_eq!(wrong.code, Some(3), "{wrong:?}");
    for run in [denied, missing, wrong] {
        assert!(!run.stderr.contains("hunter2"), "{run:?}");
    }
}

/// Body of a plain GET, as any program without credentials sends it.
fn fetch(url: &str) -> Vec<u8> {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    answer.split_off(end + 4)
}

#[test]
fn a_backup_is_fetched_by_signed_urls_without_credentials() {
    let program = InBucket::start();
    let made = program.succeed(&["backup", "--json"]).json();
    let signed = program.succeed(&["sign", "latest", "--expires", "15m"]);
    assert!(signed.stderr.contains("it is not encrypted"), "{signed:?}");
    let urls: Vec<&str> = signed.stdout.lines().collect();
    assert_eq!(urls.len(), 2, "{signed:?}");
    assert_eq!(fetch(urls[0]).len() as u64, made["bytes"].as_u64().unwrap());
    let checksum = String::from_utf8(fetch(urls[1])).unwrap();
    assert!(checksum.starts_with(made["sha256"].as_str().unwrap()), "{checksum}");

    let told = program.succeed(&["sign", made["id"].as_str().unwrap(), "--json", "--quiet"]);
    assert_eq!(told.stderr, "");
    let told = told.json();
    assert_eq!(
        (&told["encrypted"], &told["expires_secs"]),
        (&false.into(), &3600.into())
    );
    assert_eq!(fetch(told["files"][1]["url"].as_str().unwrap()), checksum.into_bytes());

    for (arguments, code, expected) in [
        (["sign", "latest", "--expires", "8d"], 5, "seven days"),
        (["sign", "latest", "--expires", "1"], 2, "with s, m, h or d"),
        (
            ["sign", "kulti_backup_20200101_000000", "--expires", "1h"],
            5,
            "there is no backup",
        ),
    ] {
        let run = program.run(&arguments);
        assert_eq!(run.code, Some(code), "{run:?}");
        assert!(run.stderr.contains(expected), "{run:?}");
    }
}

#[test]
fn a_backup_is_in_a_folder_and_in_a_bucket() {
    let program = InBucket::start();
    let bucket = format!("s3://{}/prod", S3Server::BUCKET);
    let made = program
        .succeed(&["backup", "./backups", "--also", &bucket, "--json"])
        .json();
    assert_eq!(made["also"][0]["ok"], true, "{made}");
    assert_eq!(made["also"][0]["store"], bucket);
    program.succeed(&["verify", made["id"].as_str().unwrap()]);
    program.succeed(&["copy", &bucket, "back", "--all"]);
    let folder = |name: &str| program.sandbox.files(name);
    assert_eq!(folder("back"), folder("backups"));
}

#[test]
fn what_a_server_does_not_keep_is_told_and_everything_removed() {
    let program = InBucket::start();
    // This server keeps objects as files and looks before it renames: some names it cannot keep, and races it may lose.
    let checked = program.run(&["store", "check"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    for line in checked.stdout.lines() {
        let may_break = [
            "of racing writers one wins",
            "each name is kept or refused",
            "what is missing is told as missing",
        ];
        assert!(
            line.contains(" kept") || may_break.iter().any(|promise| line.contains(promise)),
            "{checked:?}"
        );
    }
    assert!(checked.stdout.contains("each name is kept or refused"), "{checked:?}");
    let told = program.run(&["store", "check", "--json"]).json();
    assert_eq!(
        (&told["ok"], &told["left_behind"]),
        (&false.into(), &serde_json::json!([]))
    );
    assert_eq!(
        program.succeed(&["list", "--json"]).json()["backups"],
        serde_json::json!([])
    );
}
