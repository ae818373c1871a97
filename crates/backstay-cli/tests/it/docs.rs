//! What the documents tell people to type, typed.

mod supabase;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::{PASSWORD, Sandbox};

const README: &str = include_str!("../../../../README.md");
const FORMAT: &str = include_str!("../../../../docs/format.md");
const RECOVERY: &str = include_str!("../../../../docs/recovery.md");
const MONITORING: &str = include_str!("../../../../docs/monitoring.md");
const CONFIGURATION: &str = include_str!("../../../../docs/configuration.md");

/// The backup that the documents speak of; whatever backup is the newest stands for it.
const ID: &str = "kulti_backup_20250116_143022";

/// What the documents suppose to be in the database.
const SHOP: &str = "
    CREATE ROLE shopkeeper;
    CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
        shouted text GENERATED ALWAYS AS (upper(name)) STORED);
    INSERT INTO users (name) SELECT 'user ' || i FROM generate_series(1, 100) i;
    CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int NOT NULL REFERENCES users, note text);
    INSERT INTO orders (user_id, note) SELECT 1 + i % 100, E'order\\n' || i FROM generate_series(1, 3000) i;
    ALTER TABLE orders OWNER TO shopkeeper;
    -- What would pass for something else if the documents were careless.
    CREATE TABLE traps (line text);
    INSERT INTO traps VALUES ('--G CREATE ROLE evil SUPERUSER;'), ('-- Backstay manifest: what follows is a trap');
    ALTER DATABASE kulti SET work_mem = '5MB'";

/// Everything that must be again as it was.
const STATE: &str = "SELECT (SELECT md5(string_agg(o::text, E'\\n' ORDER BY id)) FROM orders o),
    (SELECT md5(string_agg(u::text, E'\\n' ORDER BY id)) FROM users u),
    (SELECT relowner::regrole FROM pg_class WHERE relname = 'orders'), (SELECT count(*) FROM traps)";

const DELETED: &str = "DELETE FROM orders WHERE user_id = 42";
const DAMAGED: &str = "UPDATE orders SET note = NULL; DROP TABLE traps";

/// Examples that belong together, in the order of their page, in a sandbox of their own.
struct Story {
    page: &'static str,
    /// Options of the backup that is there at the beginning; none where there is none.
    backup: Option<&'static [&'static str]>,
    /// What happens to the database then.
    disaster: Disaster,
    /// Names of the examples.
    examples: &'static [&'static str],
    /// The database that must be in the end as it was in the beginning; `%` stands for a time.
    restored: &'static str,
}

/// What happens to the data.
#[derive(Clone, Copy)]
enum Disaster {
    None,
    /// Somebody types this.
    Sql(&'static str),
    /// The disk gives other bytes for the orders than were written.
    Corruption,
    /// There is a new server, which has nothing but a superuser, and the backups.
    ServerLost,
    /// The database is gone, and its backup is encrypted.
    GoneAndSealed,
}

impl Disaster {
    /// Lets it happen; gives what there is then.
    fn strike(self, mut sandbox: Sandbox) -> Sandbox {
        match self {
            Self::None => {}
            Self::Sql(sql) => drop(sandbox.sql("kulti", sql)),
            Self::Corruption => {
                let file = sandbox.sql("kulti", "CHECKPOINT; SELECT pg_relation_filepath('orders')");
                let file = sandbox.server.data_folder().join(file);
                let length = std::fs::metadata(&file).expect("a file of rows").len();
                let garbage = vec![0xA5; usize::try_from(length).expect("a small file")];
                let mut opened = std::fs::OpenOptions::new()
                    .write(true)
                    .open(&file)
                    .expect("it can be written");
                opened.write_all(&garbage).expect("it is written");
                // What is in memory is still good.
                sandbox.server.restart().expect("the server starts again");
                let mut read = sandbox.client("psql", "kulti");
                let read = read
                    .args(["-Xqc", "SELECT count(*) FROM orders"])
                    .output()
                    .expect("psql runs");
                assert!(!read.status.success(), "the damage can be read: {read:?}");
            }
            Self::GoneAndSealed => {
                let made = sandbox.succeed(&["key", "new", "restore.key"]).stdout;
                let public = made.split_whitespace().find(|word| word.starts_with("age1"));
                sandbox.succeed(&["backup", "--encrypt-to", public.expect("a public key")]);
                sandbox.sql("postgres", "DROP DATABASE kulti");
            }
            Self::ServerLost => {
                let fresh = Sandbox::start();
                fresh.sql("postgres", "DROP DATABASE kulti");
                std::fs::rename(sandbox.path("backups"), fresh.path("backups")).expect("the backups are moved");
                return fresh;
            }
        }
        sandbox
    }
}

const STORIES: &[Story] = &[
    Story {
        page: README,
        backup: None,
        disaster: Disaster::None,
        examples: &["first-backup", "cron", "retention", "psql-only"],
        restored: "kulti_again",
    },
    Story {
        page: README,
        backup: None,
        disaster: Disaster::None,
        examples: &["encrypted"],
        restored: "kulti_sealed",
    },
    Story {
        page: README,
        backup: None,
        disaster: Disaster::None,
        examples: &["several-stores"],
        restored: "kulti_elsewhere",
    },
    Story {
        page: FORMAT,
        backup: Some(&["--globals"]),
        disaster: Disaster::None,
        examples: &[
            "check",
            "manifest-by-hand",
            "globals",
            "rows-of-one-table",
            "member-by-hand",
            "volumes",
            "clear",
        ],
        restored: "kulti",
    },
    Story {
        page: RECOVERY,
        backup: Some(&[]),
        disaster: Disaster::Sql(DELETED),
        examples: &["choose", "choose-by-hand", "rows", "rows-run"],
        restored: "kulti",
    },
    Story {
        page: RECOVERY,
        backup: Some(&[]),
        disaster: Disaster::Sql(DELETED),
        examples: &["rows-beside", "rows-back"],
        restored: "kulti",
    },
    Story {
        page: RECOVERY,
        backup: Some(&[]),
        disaster: Disaster::Sql(DELETED),
        examples: &["rows-by-hand", "rows-back"],
        restored: "kulti",
    },
    Story {
        page: RECOVERY,
        backup: Some(&[]),
        disaster: Disaster::Corruption,
        examples: &["damaged"],
        restored: "kulti",
    },
    Story {
        page: RECOVERY,
        backup: Some(&[]),
        disaster: Disaster::Sql(DAMAGED),
        examples: &["damaged", "undo"],
        restored: "kulti_undone_%",
    },
    Story {
        page: RECOVERY,
        backup: Some(&[]),
        disaster: Disaster::Sql(DAMAGED),
        examples: &["damaged-by-hand", "swap"],
        restored: "kulti",
    },
    Story {
        page: RECOVERY,
        backup: Some(&[]),
        disaster: Disaster::Sql(DAMAGED),
        examples: &["in-place"],
        restored: "kulti",
    },
    Story {
        page: RECOVERY,
        backup: Some(&["--globals"]),
        disaster: Disaster::ServerLost,
        examples: &["owners", "gone"],
        restored: "kulti",
    },
    Story {
        page: RECOVERY,
        backup: Some(&["--globals"]),
        disaster: Disaster::ServerLost,
        examples: &["gone-by-hand"],
        restored: "kulti",
    },
    Story {
        page: RECOVERY,
        backup: None,
        disaster: Disaster::GoneAndSealed,
        examples: &["sealed", "sealed-by-hand"],
        restored: "kulti",
    },
    Story {
        page: RECOVERY,
        backup: Some(&[]),
        disaster: Disaster::None,
        examples: &["foreign", "manifest"],
        restored: "kulti_old",
    },
    Story {
        page: RECOVERY,
        backup: Some(&[]),
        disaster: Disaster::Sql("SELECT 1"),
        examples: &["rehearse"],
        restored: "kulti",
    },
    Story {
        page: MONITORING,
        backup: None,
        disaster: Disaster::None,
        examples: &["status", "report", "textfile"],
        restored: "kulti",
    },
];

#[test]
fn what_is_watched_shows() {
    tell(MONITORING);
}

#[test]
fn the_readme_works() {
    tell(README);
}

#[test]
fn the_format_is_as_described() {
    tell(FORMAT);
}

#[test]
fn what_was_lost_comes_back() {
    tell(RECOVERY);
}

/// Lives through all stories of a page.
fn tell(page: &str) {
    thread::scope(|scope| {
        for story in STORIES.iter().filter(|story| story.page == page) {
            scope.spawn(|| story.live());
        }
    });
}

impl Story {
    fn live(&self) {
        let sandbox = Sandbox::start();
        sandbox.sql("kulti", SHOP);
        sandbox.sql(
            "postgres",
            &format!("CREATE ROLE app SUPERUSER LOGIN PASSWORD '{PASSWORD}'"),
        );
        let before = sandbox.sql("kulti", STATE);
        if let Some(options) = self.backup {
            sandbox.succeed(&[&["backup"], options].concat());
        }
        let sandbox = self.disaster.strike(sandbox);
        for name in self.examples {
            // An id has the time to the second, and some examples make a backup.
            thread::sleep(Duration::from_millis(1100));
            let script = example(self.page, name);
            run(&sandbox, name, &script.replace(ID, &newest(&sandbox)));
        }
        let named = format!("SELECT datname FROM pg_database WHERE datname LIKE '{}'", self.restored);
        let restored = sandbox.sql("postgres", &named);
        assert_eq!(sandbox.sql(&restored, STATE), before, "{:?}", self.examples);
        let evil = "SELECT count(*) FROM pg_roles WHERE rolname = 'evil'";
        assert_eq!(sandbox.sql("postgres", evil), "0");
    }
}

/// Runs a script as a person would who looks at every status.
fn run(sandbox: &Sandbox, name: &str, script: &str) {
    drop(run_with(sandbox, name, script, &[]));
}

/// The same with more variables; gives what was printed.
fn run_with(sandbox: &Sandbox, name: &str, script: &str, more: &[(&str, String)]) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_backstay"));
    let folders = [
        program.parent().expect("a folder"),
        sandbox.server.installation().bin(),
        Path::new("/usr/local/bin"),
        Path::new("/usr/bin"),
        Path::new("/bin"),
    ];
    let folder = sandbox.path("");
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .env_clear()
        .env("PATH", std::env::join_paths(folders).expect("a search path"))
        .env("HOME", &folder)
        .env("PGHOST", "localhost")
        .env("PGPORT", sandbox.server.port().to_string())
        .env("PGUSER", "postgres")
        .env("PGPASSWORD", PASSWORD)
        .envs(more.iter().map(|(name, value)| (name, value)))
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{name} ended with {}:\n{script}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The id of the newest backup.
fn newest(sandbox: &Sandbox) -> String {
    let files = sandbox.files("backups");
    let mut ids = files.iter().filter_map(|name| name.strip_suffix(".manifest.json"));
    ids.next_back().unwrap_or(ID).to_owned()
}

#[test]
fn every_example_is_run() {
    let told: BTreeSet<(usize, &str)> = STORIES
        .iter()
        .flat_map(|story| story.examples.iter().map(|name| (story.page.len(), *name)))
        .collect();
    let mut written = BTreeSet::new();
    for page in [README, FORMAT, RECOVERY, CONFIGURATION, MONITORING] {
        for (language, name, _) in fenced(page) {
            if language == "sh" {
                assert!(!name.is_empty(), "an example has no name");
                assert!(written.insert((page.len(), name)), "two examples are called {name}");
            }
        }
    }
    assert_eq!(told, written);
}

/// Every configuration that is shown is one.
#[test]
fn every_configuration_passes_the_check() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut checked = BTreeSet::new();
    for page in [README, CONFIGURATION] {
        for (language, name, text) in fenced(page) {
            if language != "toml" {
                continue;
            }
            assert!(
                checked.insert((page.len(), name)),
                "two configurations are called {name:?}"
            );
            std::fs::write(folder.path().join("backstay.toml"), &text).expect("a file is written");
            let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
            command
                .args(["config", "check"])
                .env_clear()
                .env("USER", "app")
                .current_dir(&folder);
            let output = command.output().expect("it runs");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {told}");
        }
    }
    assert!(checked.len() > 5, "{checked:?}");
}

#[test]
fn the_settings_are_those_that_are_written() {
    let settings = backstay_core::sql::settings_text("UTF8");
    assert_eq!(block("sql", "settings"), String::from_utf8(settings).unwrap());
    let literals = backstay_core::sql::literal_settings("UTF8");
    assert_eq!(block("sql", "literal-settings"), String::from_utf8(literals).unwrap());
}

#[test]
fn the_worked_example_of_the_row_digest_is_right() {
    let mut sum = backstay_core::RowDigest::default();
    let mut lines = FORMAT.lines().skip_while(|line| *line != "| row | hash |").skip(2);
    for line in lines.by_ref() {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let ["", row, hash, ""] = cells[..] else {
            panic!("{line}");
        };
        if row == format!("sum of {} rows", sum.rows()) {
            assert_eq!(hash, sum.sum_hex());
            assert_eq!(sum.rows(), 3);
            return;
        }
        let mut digest = backstay_core::RowDigest::default();
        digest.add_row(row.replace("\\t", "\t").replace("\\\\", "\\").as_bytes());
        assert_eq!(hash, digest.sum_hex(), "{row}");
        sum.merge(&digest);
    }
    panic!("there is no sum");
}

#[test]
fn every_exit_status_is_told() {
    let help = Command::new(env!("CARGO_BIN_EXE_backstay"))
        .arg("--help")
        .output()
        .expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let (_, statuses) = help.split_once("Exit status:\n").expect("a table");
    let mut expected: Vec<&str> = statuses
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    expected.sort_unstable();
    for (page, heading) in [
        (README, "| status | meaning |"),
        (RECOVERY, "| status | meaning | what"),
    ] {
        let rows = page.lines().skip_while(|line| !line.starts_with(heading)).skip(2);
        let rows = rows.take_while(|line| line.starts_with('|'));
        let mut found: Vec<&str> = rows.filter_map(|line| line.split('|').nth(1)).map(str::trim).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{heading}");
    }
}

fn example(page: &str, name: &str) -> String {
    let mut found = fenced(page)
        .into_iter()
        .filter(|block| (block.0, block.1) == ("sh", name));
    found.next().unwrap_or_else(|| panic!("there is no example {name}")).2
}

fn block(language: &str, name: &str) -> String {
    let mut found = fenced(FORMAT)
        .into_iter()
        .filter(|block| (block.0, block.1) == (language, name));
    found.next().unwrap_or_else(|| panic!("there is no block {name}")).2
}

/// The fenced blocks of a page: language, name, text.
fn fenced(page: &str) -> Vec<(&str, &str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let (language, name) = info.split_once(' ').unwrap_or((info, ""));
        let text = lines
            .by_ref()
            .take_while(|line| line.trim_start() != "```")
            .flat_map(|line| [line.get(indent..).unwrap_or_default(), "\n"])
            .collect();
        blocks.push((language, name, text));
    }
    blocks
}
