//! Rules of the configuration, on a database with planted faults.

use crate::support::{PASSWORD, Run, Sandbox};

const RULES: &str = "
[rules.shop]
require-table = ['app.users', 'app.orders']
max-age = '26h'

[rules.shop.table.\"app.users\"]
min-rows = 900
row-security = 'enabled'
policy = ['everybody']
index = ['users_name']
deny = { PUBLIC = ['SELECT'] }

[rules.shop.sql.orders]
query = 'SELECT count(*), sum(sum) FROM app.orders'
expect-rows = 1

[rules.shop.sql.revenue]
query = 'SELECT sum(sum) FROM app.orders'
expect = 'as-in-backup'

[rules.shop.sql.broken]
query = 'SELECT count(*) FROM orders'
expect = 'as-in-backup'
";

fn file(sandbox: &Sandbox, more: &str) -> String {
    format!(
        "[database.shop]\nhost = '127.0.0.1'\nport = {}\nuser = 'postgres'\ndbname = 'kulti'\n\
         password = {{ file = 'secret' }}\nstore = 'near'\nrules = 'shop'\n{more}\n[store.near]\nurl = 'near'\n{RULES}",
        sandbox.server.port()
    )
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    Run::of(&mut sandbox.backstay_in_empty_environment(arguments))
}

/// What `list` shows of each backup, oldest first, without the day.
fn proven(sandbox: &Sandbox) -> Vec<String> {
    let listed = run(sandbox, &["list", "near"]);
    let lines = listed.stdout.lines().filter(|line| line.contains("_backup_"));
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    lines
        .map(|line| {
            line.split("yes")
                .last()
                .unwrap_or_default()
                .trim()
                .replace(&today, "today")
        })
        .collect()
}

#[test]
fn planted_faults_are_told_the_same_night() {
    let sandbox = Sandbox::with_sample();
    sandbox.write("secret", PASSWORD);
    sandbox.write("backstay.toml", &file(&sandbox, ""));
    let made = run(&sandbox, &["backup", "--json"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stderr.contains("the check \"broken\" gave no value"), "{made:?}");
    assert!(made.stderr.contains("relation \"orders\" does not exist"), "{made:?}");
    assert_eq!(made.json()["rules"], serde_json::json!([]));
    let first = made.json()["id"].as_str().unwrap().to_owned();
    let manifest = std::fs::read_to_string(sandbox.file_ending("near", ".manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let values = manifest["check_values"].as_array().unwrap();
    let revenue = values.iter().find(|value| value["name"] == "revenue").unwrap();
    assert_eq!(revenue["value"], "3001500.0", "the value of the snapshot");
    assert_eq!(values.len(), 2, "only what is compared is asked");
    assert_eq!(proven(&sandbox), ["never"]);
    let verified = run(&sandbox, &["verify", "latest", "--database", "shop"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(verified.stdout.contains("they are for a drill"), "{verified:?}");
    assert_eq!(proven(&sandbox), ["standard today"]);

    sandbox.sql(
        "kulti",
        "DELETE FROM app.orders; DELETE FROM app.users WHERE id > 100; DROP POLICY everybody ON app.users;
         DROP INDEX app.users_name; GRANT SELECT ON app.users TO PUBLIC",
    );
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let made = run(&sandbox, &["backup"]);
    assert_eq!(
        made.code,
        Some(1),
        "the backup is there, and something is wrong: {made:?}"
    );
    let told: Vec<&str> = made.stderr.lines().filter(|line| line.contains('[')).collect();
    insta::assert_snapshot!(told.join("\n"));
    let verified = run(&sandbox, &["verify", "latest", "--database", "shop", "--json"]);
    assert_eq!(verified.code, Some(1), "{verified:?}");
    assert_eq!(proven(&sandbox), ["standard today", "FAILED standard today"]);
    let shown = run(&sandbox, &["show", "latest", "--database", "shop"]);
    let (_, proof) = shown.stdout.split_once("last looked at").expect("the newest proof");
    assert!(proof.contains("standard FAILED"), "{proof}");
    assert!(proof.contains("error: [missing-policy] app.users"), "{proof}");
    let listed = run(&sandbox, &["list", "near", "--json"]).json();
    let proofs = &listed["backups"][1]["proofs"];
    let levels: Vec<&str> = proofs
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["level"].as_str().unwrap())
        .collect();
    assert_eq!(
        (levels.len(), proofs[0]["passed"].as_bool()),
        (2, Some(false)),
        "{proofs}"
    );

    // Without the rules it is a sound backup, and by others typed it is judged by those.
    let plain = run(
        &sandbox,
        &["verify", "latest", "--database", "shop", "--no-rules", "-q"],
    );
    assert_eq!(plain.code, Some(0), "{plain:?}");
    let by_name = run(
        &sandbox,
        &["verify", &first, "--rules", "shop", "--store", "near", "-q"],
    );
    assert_eq!(by_name.code, Some(0), "{by_name:?}");
    let unknown = run(
        &sandbox,
        &["verify", "latest", "--database", "shop", "--rules", "shopp"],
    );
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("no [rules.shopp]"), "{unknown:?}");
    let typed = run(
        &sandbox,
        &[
            "verify",
            &first,
            "--store",
            "near",
            "--database",
            "shop",
            "--require-table",
            "app.none",
        ],
    );
    assert_ne!(typed.code, Some(0), "{typed:?}");
}

#[test]
fn records_of_encrypted_backups_tell_nothing_of_what_is_in_them() {
    let sandbox = Sandbox::with_sample();
    sandbox.write("secret", PASSWORD);
    let key = run(&sandbox, &["key", "new", "restore.key"]);
    let public = key
        .stdout
        .split_whitespace()
        .find(|word| word.starts_with("age1"))
        .map(str::to_owned);
    let public = public.or_else(|| {
        let text = std::fs::read_to_string(sandbox.path("restore.key")).ok()?;
        let public = text.split_whitespace().find(|word| word.starts_with("age1"));
        public.map(str::to_owned)
    });
    let more = format!("encrypt-to = ['{}']", public.expect("a public key"));
    sandbox.write("backstay.toml", &file(&sandbox, &more));
    sandbox.sql("kulti", "DROP POLICY everybody ON app.users");
    let made = run(&sandbox, &["backup", "-q"]);
    assert_eq!(made.code, Some(1), "{made:?}");
    assert!(made.stderr.contains("error: [missing-policy]"), "{made:?}");
    let verify = ["verify", "latest", "--database", "shop", "--identity", "restore.key"];
    let verified = run(&sandbox, &verify);
    assert_eq!(verified.code, Some(1), "{verified:?}");
    assert!(verified.stdout.contains("missing-policy"), "{verified:?}");
    let mut records = 0;
    for entry in std::fs::read_dir(sandbox.path("near")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains(".proof-") {
            let text = std::fs::read_to_string(&path).unwrap();
            records += 1;
            for word in ["users", "policy", "orders", "3001500"] {
                assert!(!text.contains(word), "{name}: {text}");
            }
            assert!(text.contains("\"errors\":1"), "{text}");
        }
    }
    assert_eq!(records, 2);
    let manifest = std::fs::read_to_string(sandbox.file_ending("near", ".manifest.json")).unwrap();
    assert!(
        !manifest.contains("check_values") && !manifest.contains("revenue"),
        "{manifest}"
    );
    std::thread::sleep(std::time::Duration::from_millis(1100));
    // Nobody may believe that they were judged by what could not be looked at, least of all who wants to hear errors only.
    let again = run(&sandbox, &["backup", "-q", "--json"]);
    assert_eq!(again.json()["not_checked"].as_array().unwrap().len(), 3, "{again:?}");
    assert!(
        again
            .stderr
            .contains("against 1 earlier backups, which could not be read"),
        "{again:?}"
    );
    assert!(
        again
            .stderr
            .contains("who has which rights: the backup cannot be opened here"),
        "{again:?}"
    );
    // Nor does the log, where one fails.
    let failed = run(
        &sandbox,
        &["backup", "--table", "app.secret_orders", "--name", "failing"],
    );
    assert!(
        failed.code != Some(0) && failed.stderr.contains("app.secret_orders"),
        "{failed:?}"
    );
    let log = run(&sandbox, &["log", "near", "--json"]);
    let last = log.json().as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["deed"], &last["outcome"]), (&"backup".into(), &"failed".into()));
    assert!(!log.stdout.contains("secret_orders"), "{log:?}");
    let without_key = run(&sandbox, &["verify", "latest", "--database", "shop"]);
    assert!(
        without_key.stdout.contains("the rules: it is encrypted"),
        "{without_key:?}"
    );
}

#[test]
fn nothing_is_removed_for_a_backup_that_the_rules_find_bad() {
    let sandbox = Sandbox::with_sample();
    sandbox.write("secret", PASSWORD);
    sandbox.write("backstay.toml", &file(&sandbox, "retention = { keep-last = 1 }"));
    let back_up = || {
        let made = run(&sandbox, &["backup", "--json", "-q"]);
        let removed = made.json()["removed"].as_array().unwrap().len();
        (made.code, removed, made.stderr.contains("no older backup was removed"))
    };
    assert_eq!(back_up(), (Some(0), 0, false));
    sandbox.sql("kulti", "DROP POLICY everybody ON app.users");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(back_up(), (Some(1), 0, true));
    sandbox.sql("kulti", "CREATE POLICY everybody ON app.users USING (true)");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let (code, removed, is_told) = back_up();
    assert_eq!((code, is_told), (Some(0), false));
    assert_eq!(removed, 2);
}

#[test]
fn nothing_is_removed_while_rows_may_be_lost() {
    let sandbox = Sandbox::with_sample();
    sandbox.write("secret", PASSWORD);
    let more = "retention = { keep-last = 1 }\nschedule = '0 0 29 2 *'";
    let rules = format!("{}\n[rules.plain]\nmax-age = '26h'", file(&sandbox, more));
    sandbox.write("backstay.toml", &rules.replace("rules = 'shop'", "rules = 'plain'"));
    let one_second = || std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(run(&sandbox, &["backup", "--quiet"]).code, Some(0));
    one_second();
    sandbox.sql("kulti", "TRUNCATE app.users CASCADE");
    let by_schedule = run(&sandbox, &["run", "--now", "backup", "--db", "shop"]);
    assert_eq!(
        (by_schedule.code, proven(&sandbox).len()),
        (Some(0), 2),
        "{by_schedule:?}"
    );
    assert!(
        by_schedule.stdout.contains("[table-emptied] app.users")
            && by_schedule
                .stdout
                .contains("prune is left out: by the rules rows may be lost"),
        "{by_schedule:?}"
    );
    one_second();
    sandbox.sql(
        "kulti",
        "INSERT INTO app.users (name) SELECT 'user ' || i FROM generate_series(1, 1000) i",
    );
    assert_eq!(run(&sandbox, &["backup", "--quiet"]).code, Some(0));
    // The one that was verified stays as the newest of those.
    assert_eq!(proven(&sandbox).len(), 2);
    one_second();
    sandbox.sql("kulti", "TRUNCATE app.users CASCADE");
    let made = run(&sandbox, &["backup", "--quiet"]);
    assert_eq!((made.code, proven(&sandbox).len()), (Some(0), 3), "{made:?}");
    for told in [
        "[table-emptied] app.users",
        "no older backup was removed, whatever the retention says: by the rules rows may be lost",
    ] {
        assert!(made.stderr.contains(told), "{made:?}");
    }
}

#[test]
fn who_wants_to_read_nothing_hears_what_is_wrong() {
    let sandbox = Sandbox::with_sample();
    sandbox.succeed(&["backup"]);
    let pack = sandbox.file_ending("backups", ".sql.gz");
    let bytes = std::fs::read(&pack).unwrap();
    std::fs::write(&pack, &bytes[..bytes.len() - 100]).unwrap();
    let quiet = sandbox.run(&["verify", "latest", "--quiet"]);
    assert_eq!(quiet.code, Some(1));
    assert!(quiet.stderr.contains("error   ["), "{quiet:?}");
}
