//! Backups at Vercel Blob, on a server in this process.

use backstay_testkit::{VercelBlobServer, VercelTraits};

use crate::killed_uploads::Upload;
use crate::support::{Run, Sandbox};

/// The program with a private store at Vercel.
struct AtVercel {
    sandbox: Sandbox,
    server: VercelBlobServer,
}

impl AtVercel {
    fn start() -> Self {
        Self {
            sandbox: Sandbox::with_sample(),
            server: VercelBlobServer::start(VercelTraits {
                page: 2,
                ..VercelTraits::default()
            }),
        }
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let store = format!("vercel-blob://prod?read-endpoint={}", self.server.read_endpoint());
        let mut command = self.sandbox.backstay(arguments);
        command
            .env("BACKSTAY_STORE", store)
            .env("VERCEL_BLOB_API_URL", self.server.endpoint())
            .env("BLOB_READ_WRITE_TOKEN", VercelBlobServer::TOKEN);
        command
    }

    fn succeed(&self, arguments: &[&str]) -> Run {
        let run = Run::of(&mut self.command(arguments));
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        assert!(
            !format!("{run:?}").contains(VercelBlobServer::TOKEN),
            "{arguments:?}: {run:?}"
        );
        run
    }
}

#[test]
fn a_backup_goes_to_vercel_and_comes_back_row_by_row() {
    let program = AtVercel::start();
    let made = program.succeed(&["backup", "--json"]).json();
    let id = made["id"].as_str().unwrap();
    let listed = program.succeed(&["list", "--json"]).json();
    assert_eq!(listed["store"], "vercel-blob://prod");
    assert_eq!(listed["backups"][0]["id"], id);
    program.succeed(&["show", "latest", "--tables"]);
    program.succeed(&["verify", "latest"]);
    let target = program.sandbox.url("copy");
    program.succeed(&["restore", id, "--to", &target, "--create", "--prove", "--yes", "copy"]);
    let count = program.sandbox.sql("copy", "SELECT count(*) FROM app.orders");
    assert_eq!(count, "2000");
    program.succeed(&["prune", "--litter", "--grace", "0"]);
    let names = program.server.pathnames();
    assert!(names.contains(&format!("prod/{id}.manifest.json")), "{names:?}");
}

#[test]
fn a_killed_upload_leaves_a_store_at_vercel_sound() {
    let program = AtVercel::start();
    let bare = program.server.http.endpoint();
    let command = |endpoint: &str, arguments: &[&str]| {
        let by_way = |url: String| url.replace(&bare, endpoint);
        let mut command = program.command(arguments);
        let read = by_way(program.server.read_endpoint());
        command
            .env(
                "BACKSTAY_STORE",
                format!("vercel-blob://prod?part-size=5MiB&read-endpoint={read}"),
            )
            .env("VERCEL_BLOB_API_URL", by_way(program.server.endpoint()));
        command
    };
    let upload = Upload {
        sandbox: &program.sandbox,
        endpoint: bare.clone(),
        command: &command,
        open_uploads: &|| program.server.uploads(),
    };
    // An upload that was not completed can neither be listed nor ended.
    assert!(upload.assert_sound_after_kills() > 0);
}

#[test]
fn the_token_may_stand_in_the_file_that_vercel_writes() {
    let program = AtVercel::start();
    let file = format!("BLOB_READ_WRITE_TOKEN=\"{}\"\n", VercelBlobServer::TOKEN);
    std::fs::write(program.sandbox.path(".env.local"), file).unwrap();
    let listed = Run::of(program.command(&["list"]).env_remove("BLOB_READ_WRITE_TOKEN"));
    assert_eq!(listed.code, Some(0), "{listed:?}");
    // Where the token is sent to is no matter of such a file.
    let elsewhere = "VERCEL_BLOB_API_URL=http://127.0.0.1:1\n";
    std::fs::write(program.sandbox.path(".env"), elsewhere).unwrap();
    let endpoint = format!(
        "vercel-blob://prod?endpoint={}&read-endpoint={}",
        program.server.endpoint(),
        program.server.read_endpoint()
    );
    let listed = Run::of(
        program
            .command(&["list"])
            .env("BACKSTAY_STORE", endpoint)
            .env_remove("VERCEL_BLOB_API_URL"),
    );
    assert_eq!(listed.code, Some(0), "{listed:?}");
}

#[test]
fn what_is_wrong_with_a_store_at_vercel_is_told() {
    let program = AtVercel::start();
    let with = |name: &str, value: &str| Run::of(program.command(&["list"]).env(name, value));
    let denied = with("BLOB_READ_WRITE_TOKEN", "vercel_blob_rw_Sesam4711Store_hunter3");
    assert_eq!(denied.code, Some(5), "{denied:?}");
    assert!(
        denied.stderr.contains("access denied") && denied.stderr.contains("BLOB_READ_WRITE_TOKEN"),
        "{denied:?}"
    );
    let missing = with("BLOB_READ_WRITE_TOKEN", VercelBlobServer::TOKEN_OF_NOWHERE);
    assert_eq!(missing.code, Some(5), "{missing:?}");
    assert!(missing.stderr.contains("the store does not exist"), "{missing:?}");
    let none = with("BLOB_READ_WRITE_TOKEN", "");
    assert_eq!(none.code, Some(3), "{none:?}");
    assert!(none.stderr.contains("BLOB_READ_WRITE_TOKEN"), "{none:?}");
    let other = with("BACKSTAY_STORE", "vercel-blob://prod?store=Other");
    assert_eq!(other.code, Some(3), "{other:?}");
    for run in [denied, missing, none, other] {
        assert!(!run.stderr.contains("hunter"), "{run:?}");
    }
}
