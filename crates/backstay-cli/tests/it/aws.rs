//! AWS's own program reads what is in a bucket, and what it copied is a store.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use backstay_testkit::S3Server;

use crate::support::{Run, Sandbox};

/// More than one part for either program.
const BULK: &str = "
    CREATE TABLE public.bulk AS SELECT i, (
        SELECT string_agg(encode(decode(md5(i::text || j), 'hex'), 'base64'), '') FROM generate_series(1, 20) j
    ) AS filler FROM generate_series(1, 30000) i;
";

/// Two databases with the same answer have the same rows.
const ROWS: &str = "
    SELECT count(*), md5(string_agg(b::text, ',' ORDER BY i)) FROM public.bulk b;
    SELECT count(*), md5(string_agg(u::text, ',' ORDER BY id)) FROM app.users u;
    SELECT count(*), sum(sum) FROM app.orders; SELECT lo_get(4242);
";

fn url(prefix: &str) -> String {
    format!("s3://{}/{prefix}", S3Server::BUCKET)
}

struct Scene {
    sandbox: Sandbox,
    server: S3Server,
}

impl Scene {
    fn start() -> Self {
        let scene = Self {
            sandbox: Sandbox::with_sample(),
            server: S3Server::start(),
        };
        scene.sandbox.sql("kulti", BULK);
        scene
    }

    fn succeed(&self, arguments: &[&str]) -> Run {
        let mut command = self.sandbox.backstay(arguments);
        command
            .env("AWS_ENDPOINT_URL_S3", self.server.endpoint())
            .env("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_KEY);
        let run = Run::of(&mut command);
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        run
    }

    /// `aws s3 …` on the server.
    fn aws(&self, arguments: &[&str]) -> Command {
        let named = std::env::var_os("BACKSTAY_TEST_AWS").filter(|named| !named.is_empty());
        let mut command = Command::new(named.unwrap_or_else(|| OsString::from("aws")));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        let none = self.sandbox.argument("none");
        command
            .args(["--endpoint-url", &self.server.endpoint(), "s3"])
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_KEY)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_CONFIG_FILE", &none)
            .env("AWS_SHARED_CREDENTIALS_FILE", &none)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end, and gives what it printed.
    fn aws_prints(&self, arguments: &[&str]) -> String {
        let output = installed(self.aws(arguments).output());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "aws s3 {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The store under a prefix lists that backup, which is sound, and restores to the same rows.
    fn assert_has(&self, prefix: &str, id: &str, copy: &str) {
        let store = url(prefix);
        let listed = self.succeed(&["list", &store, "--json"]).json();
        assert_eq!(listed["backups"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(listed["backups"][0]["id"], id);
        assert_eq!(listed["adoptable"], serde_json::json!([]));
        self.succeed(&["verify", id, "--store", &store]);
        let target = self.sandbox.url(copy);
        self.succeed(&[
            "restore", id, "--store", &store, "--to", &target, "--create", "--prove", "--yes", copy,
        ]);
        assert_eq!(self.sandbox.sql(copy, ROWS), self.sandbox.sql("kulti", ROWS));
    }
}

fn installed<T>(run: std::io::Result<T>) -> T {
    run.unwrap_or_else(|error| {
        panic!("the program aws does not run: {error}; run `cargo xtask test`, or: pip install awscli==1.46.2")
    })
}

#[test]
fn what_is_in_a_bucket_comes_back_with_aws_and_gunzip_and_psql() {
    let scene = Scene::start();
    let made = scene
        .succeed(&["backup", &url("prod"), "--compress", "gzip:1", "--json"])
        .json();
    let id = made["id"].as_str().unwrap();
    let listed = scene.aws_prints(&["ls", &format!("{}/", url("prod"))]);
    let (pack, manifest) = (format!("{id}.sql.gz"), format!("{id}.manifest.json"));
    let found = |name: &str| {
        let line = listed.lines().find(|line| line.ends_with(&format!(" {name}")));
        let words: Vec<&str> = line
            .unwrap_or_else(|| panic!("no {name}: {listed}"))
            .split_whitespace()
            .collect();
        words[2].parse::<u64>().unwrap()
    };
    assert_eq!(found(&pack), made["bytes"].as_u64().unwrap());
    assert!(found(&pack) > 8 << 20 && found(&manifest) > 0, "{listed}");
    found(&format!("{pack}.sha256"));

    let mut fetch = installed(
        scene
            .aws(&["cp", &format!("{}/{pack}", url("prod")), "-"])
            .stdout(Stdio::piped())
            .spawn(),
    );
    let mut unpack = Command::new("gunzip")
        .stdin(fetch.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    scene.sandbox.sql("postgres", "CREATE DATABASE copy TEMPLATE template0");
    let psql = scene
        .sandbox
        .client("psql", "copy")
        .args(["-Xq", "-v", "ON_ERROR_STOP=1"])
        .stdin(unpack.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(fetch.wait().unwrap().success() && unpack.wait().unwrap().success());
    assert!(psql.status.success(), "{}", String::from_utf8_lossy(&psql.stderr));
    assert_eq!(scene.sandbox.sql("copy", ROWS), scene.sandbox.sql("kulti", ROWS));
}

#[test]
fn what_aws_copied_from_prefix_to_prefix_or_out_of_a_folder_is_a_store() {
    let scene = Scene::start();
    let arguments = [
        "backup",
        "./backups",
        "--also",
        &url("prod"),
        "--compress",
        "gzip:1",
        "--json",
    ];
    let made = scene.succeed(&arguments).json();
    let id = made["id"].as_str().unwrap();
    let (all, wanted) = (["--recursive", "--exclude", "*"], format!("{id}.*"));
    let copied = |from: &str, to: &str| {
        let arguments = [&["cp", from, to], all.as_slice(), &["--include", &wanted]].concat();
        scene.aws_prints(&arguments);
    };
    copied(&url("prod"), &url("copied"));
    scene.assert_has("copied", id, "copied");
    copied(&scene.sandbox.argument("backups"), &url("uploaded"));
    scene.assert_has("uploaded", id, "uploaded");
}
