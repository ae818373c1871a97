//! Backups in a bucket of Supabase Storage, on a server in this process.

use backstay_testkit::{SupabaseServer, SupabaseTraits};

use crate::killed_uploads::Upload;
use crate::support::{Run, Sandbox};

/// The program with a bucket of Supabase.
struct AtSupabase {
    sandbox: Sandbox,
    server: SupabaseServer,
}

impl AtSupabase {
    fn start() -> Self {
        Self {
            sandbox: Sandbox::with_sample(),
            server: SupabaseServer::start(SupabaseTraits {
                page: 2,
                ..SupabaseTraits::default()
            }),
        }
    }

    fn store(&self, settings: &str) -> String {
        let endpoint = self.server.endpoint();
        format!(
            "supabase://{}/prod?endpoint={endpoint}{settings}",
            SupabaseServer::BUCKET
        )
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.sandbox.backstay(arguments);
        command
            .env("BACKSTAY_STORE", self.store(""))
            .env("SUPABASE_SECRET_KEY", SupabaseServer::SECRET_KEY);
        command
    }

    fn succeed(&self, arguments: &[&str]) -> Run {
        succeed(&mut self.command(arguments))
    }
}

fn succeed(command: &mut std::process::Command) -> Run {
    let run = Run::of(command);
    assert_eq!(run.code, Some(0), "{command:?}: {run:?}");
    let shown = format!("{run:?}");
    for secret in [SupabaseServer::SECRET_KEY, SupabaseServer::SERVICE_ROLE_KEY] {
        assert!(!shown.contains(secret), "{shown}");
    }
    run
}

#[test]
fn a_backup_goes_to_supabase_and_comes_back_row_by_row() {
    let program = AtSupabase::start();
    let made = program.succeed(&["backup", "--json"]).json();
    let id = made["id"].as_str().unwrap();
    let listed = program.succeed(&["list", "--json"]).json();
    assert_eq!(listed["store"], format!("supabase://{}/prod", SupabaseServer::BUCKET));
    assert_eq!(listed["backups"][0]["id"], id);
    program.succeed(&["show", "latest", "--tables"]);
    program.succeed(&["verify", "latest"]);
    let target = program.sandbox.url("copy");
    program.succeed(&["restore", id, "--to", &target, "--create", "--prove", "--yes", "copy"]);
    let count = program.sandbox.sql("copy", "SELECT count(*) FROM app.orders");
    assert_eq!(count, "2000");
    program.server.put("prod/.backstay-tmp-left", b"by a crash");
    program.succeed(&["prune", "--litter", "--grace", "0"]);
    let names = program.server.names();
    assert!(names.contains(&format!("prod/{id}.manifest.json")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("tmp")), "{names:?}");
}

#[test]
fn a_backup_above_the_limit_of_the_project_goes_into_volumes() {
    let program = AtSupabase::start();
    // Text that cannot be compressed much; the limit is ten times as short.
    program.sandbox.sql(
        "kulti",
        "CREATE TABLE public.bulk AS
         SELECT i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 30) j) AS filler
         FROM generate_series(1, 60000) i",
    );
    let store = program.store("&object-limit=8MB");
    let mut command = program.command(&["backup", "--json"]);
    succeed(command.env("BACKSTAY_STORE", &store));
    let names = program.server.names();
    let volumes: Vec<_> = names.iter().filter(|name| name.ends_with(".sql.gz")).collect();
    assert!(volumes.len() > 2, "{names:?}");
    for name in &names {
        assert!(program.server.object(name).unwrap().len() <= 8_000_000, "{name}");
    }
    program.succeed(&["verify", "latest"]);
    let target = program.sandbox.url("copy");
    program.succeed(&[
        "restore", "latest", "--to", &target, "--create", "--prove", "--yes", "copy",
    ]);
}

#[test]
fn a_killed_upload_leaves_a_bucket_of_supabase_sound() {
    let program = AtSupabase::start();
    let command = |endpoint: &str, arguments: &[&str]| {
        let mut command = program.command(arguments);
        let store = program.store("").replace(&program.server.endpoint(), endpoint);
        command.env("BACKSTAY_STORE", store);
        command
    };
    let upload = Upload {
        sandbox: &program.sandbox,
        endpoint: program.server.endpoint(),
        command: &command,
        open_uploads: &|| program.server.uploads(),
    };
    // An upload that was not completed is seen by nobody, and the service forgets it after a day.
    assert!(upload.assert_sound_after_kills() > 0);
    let names = program.server.names();
    assert!(!names.iter().any(|name| name.contains("tmp")), "{names:?}");
}

#[test]
fn a_bucket_of_the_databases_own_project_is_warned_of() {
    let program = AtSupabase::start();
    let warned = |host: &str, settings: &str| {
        let mut command = program.command(&["backup"]);
        command
            .env("BACKSTAY_STORE", program.store(settings))
            .env("PGHOST", host)
            .env("PGHOSTADDR", "127.0.0.1")
            .env("PGSSLMODE", "disable");
        let run = succeed(&mut command);
        // The id has the time to the second.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        run.stderr.contains("belongs to the project of the database (abc1)")
    };
    assert!(warned("db.abc1.supabase.co", "&project=abc1"));
    assert!(!warned("db.abc1.supabase.co", "&project=other"));
    assert!(!warned("db.abc1.supabase.co", ""));
    assert!(!warned("db.abc1.example", "&project=abc1"));
}

#[test]
fn what_is_wrong_with_a_bucket_of_supabase_is_told() {
    let program = AtSupabase::start();
    let with = |name: &str, value: &str| Run::of(program.command(&["list"]).env(name, value));
    let denied = with("SUPABASE_SECRET_KEY", "sb_secret_hunter3");
    assert_eq!(denied.code, Some(5), "{denied:?}");
    assert!(
        denied.stderr.contains("access denied") && denied.stderr.contains("SUPABASE_SECRET_KEY"),
        "{denied:?}"
    );
    let nowhere = format!("supabase://nowhere?endpoint={}", program.server.endpoint());
    let missing = with("BACKSTAY_STORE", &nowhere);
    assert_eq!(missing.code, Some(5), "{missing:?}");
    assert!(missing.stderr.contains("the store does not exist"), "{missing:?}");
    let none = with("SUPABASE_SECRET_KEY", "");
    assert_eq!(none.code, Some(3), "{none:?}");
    assert!(none.stderr.contains("SUPABASE_SECRET_KEY"), "{none:?}");
    let public = with("SUPABASE_SECRET_KEY", "sb_publishable_hunter2");
    assert_eq!(public.code, Some(3), "{public:?}");
    let unnamed = with("BACKSTAY_STORE", "supabase://backups");
    assert_eq!(unnamed.code, Some(3), "{unnamed:?}");
    assert!(unnamed.stderr.contains("project=REF"), "{unnamed:?}");
    for run in [denied, missing, none, public, unnamed] {
        assert!(!run.stderr.contains("hunter"), "{run:?}");
    }
    // The older kind of key does as well.
    let mut command = program.command(&["list"]);
    command
        .env_remove("SUPABASE_SECRET_KEY")
        .env("SUPABASE_SERVICE_ROLE_KEY", SupabaseServer::SERVICE_ROLE_KEY);
    succeed(&mut command);
}
