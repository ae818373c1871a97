//! Options come before variables, those before the configuration, and that before the defaults.

use backstay::Variables;

use super::*;
use crate::configuration::Configuration;

const ONE: &str = "
[database.shop]
url = 'postgresql://app@db.example.org/kulti'
password = { env = 'SHOP_PASSWORD' }
store = 'near'
also = ['far']
compress = 'zstd:3'
volume-size = '40M'
jobs = 2
tag = ['nightly']
keep-at-least = '30d'
read-back = false
schema = ['a']
table = ['${TABLE:-b}']
exclude-schema = ['c']
exclude-table = ['d']
exclude-table-data = ['e']
large-objects = false
unlogged-data = false
globals = true
lock-wait = 7
pg-dump = 'bin/pg_dump'
retention = { keep-last = 2 }

[store.near]
url = './near'

[store.far]
url = 's3://far/p'
region = 'r'
sse = 'AES256'
access-key-id = 'id'
secret-access-key = { env = 'SHOP_PASSWORD' }
";

const PASSWORD: (&str, &str) = ("SHOP_PASSWORD", "hunter2");

fn environment(text: &str, variables: &[(&str, &str)]) -> Environment {
    Environment {
        configuration: Configuration::of_text(text),
        ..Environment::of(variables)
    }
}

fn backup_in(text: &str, line: &str, variables: &[(&str, &str)]) -> Result<SettledBackup, SettleError> {
    let Command::Backup(typed) = parse(&format!("backup {line}")).unwrap() else {
        panic!("{line}");
    };
    SettledBackup::settle(
        *typed,
        &environment(text, &[&[("USER", "me"), PASSWORD], variables].concat()),
    )
}

/// A backup with the file and these options.
fn with(line: &str) -> SettledBackup {
    backup_in(ONE, line, &[]).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn get(variables: &Variables, name: &str) -> Option<String> {
    variables.get(name).map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn the_database_is_typed_or_in_variables_or_the_only_one_of_the_file() {
    let of_file = ("app@db.example.org:5432/kulti", ConnectionSource::Configuration);
    let other = ("DATABASE_URL", "postgres://u@h/d");
    for (line, variables, (shown, source)) in [
        ("--db shop", &[][..], of_file),
        ("", &[], of_file),
        ("--db shop", &[other], of_file),
        (
            "--db shop",
            &[("PGHOST", "h"), ("PGUSER", "u"), ("PGPORT", "1")],
            of_file,
        ),
        ("", &[other], ("u@h:5432/d", ConnectionSource::DatabaseUrl)),
        ("", &[("PGHOST", "h")], ("me@h:5432/me", ConnectionSource::Environment)),
        (
            "--from postgres://x@y/z",
            &[other],
            ("x@y:5432/z", ConnectionSource::Given),
        ),
    ] {
        let settled = backup_in(ONE, &format!("./here {line}"), variables).unwrap();
        assert_eq!(
            (settled.source.config.describe().as_str(), settled.source.source),
            (shown, source),
            "{line}"
        );
        // What the section says is of its database, and of no other.
        let is_of_file = source == ConnectionSource::Configuration;
        assert_eq!(settled.options.source.lock_wait.as_secs() == 7, is_of_file);
        assert_eq!(settled.options.prefix.is_some(), is_of_file);
    }
    assert!(parse("backup --db shop --from x").is_err());
    let two = "[database.a]\nhost = 'a'\n[database.b]\nhost = 'b'\n[store.s]\nurl = './s'";
    let error = backup_in(two, "", &[]).unwrap_err();
    assert_eq!(error.to_string(), "backstay.toml has several of [database]: a, b");
    assert_eq!(advise(&error).exit.code(), 2);
    assert_eq!(
        backup_in(two, "--db b", &[]).unwrap().source.config.describe(),
        "me@b:5432/me"
    );
    let error = backup_in(ONE, "--db shp", &[]).unwrap_err();
    assert_eq!(error.to_string(), "no [database.shp] in backstay.toml");
    assert_eq!(advise(&error).hints, ["did you mean shop?"]);
    let none = backup_in("[store.s]\nurl = './s'", "", &[]).unwrap_err();
    assert!(matches!(none, SettleError::Source(ConninfoError::NothingConfigured)));
}

#[test]
fn a_password_comes_from_where_the_file_says() {
    let password = with("")
        .source
        .config
        .password
        .map(|password| password.expose().to_vec());
    assert_eq!(password.as_deref(), Some(&b"hunter2"[..]));
    let env = Environment {
        configuration: Configuration::of_text(ONE),
        ..Environment::of(&[])
    };
    let Command::Backup(typed) = parse("backup").unwrap() else {
        panic!("it is a backup");
    };
    let error = SettledBackup::settle(*typed, &env).unwrap_err();
    assert_eq!(
        error.to_string(),
        "backstay.toml:4:12: the variable SHOP_PASSWORD is not set"
    );
    assert_eq!(advise(&error).exit.code(), 3);
}

#[test]
fn options_of_the_file_yield_to_those_that_are_typed() {
    let file = with("").options;
    let source = &file.source;
    assert_eq!((source.jobs, source.lock_wait.as_secs()), (2, 7));
    assert_eq!(
        (source.unlogged, source.large_objects),
        (Inclusion::Excluded, Inclusion::Excluded)
    );
    let lists = |options: &backstay::BackupOptions| {
        let selection = &options.source.selection;
        let lists = [
            &selection.schemas,
            &selection.tables,
            &selection.exclude_schemas,
            &selection.exclude_tables,
            &selection.exclude_data,
        ];
        lists.map(|list| list.join("+"))
    };
    assert_eq!(lists(&file), ["a", "b", "c", "d", "e"]);
    assert_eq!(file.compression.to_string(), "zstd:3");
    assert_eq!(file.volume_bytes_max, Some(40 << 20));
    assert_eq!((file.read_back, file.globals), (ReadBack::No, GlobalsOption::Included));
    assert_eq!(file.prefix.as_ref().unwrap().as_str(), "shop");
    assert_eq!(file.pg_dump.clone(), Some(PathBuf::from("bin/pg_dump")));
    assert_eq!(with("").retention.unwrap().keep_last, 2);
    let kept = |options: &backstay::BackupOptions| {
        let tags: Vec<String> = options.tags.iter().map(ToString::to_string).collect();
        format!("{} {}", tags.join("+"), options.keep_at_least.unwrap())
    };
    assert_eq!(kept(&file), "nightly 30d");

    let typed = with(
        "-j 9 --lock-wait 5 --no-unlogged-data=false --no-large-objects=false -n A -t B -N C -T D \
         --exclude-table-data E --compress gzip:6 --volume-size 50M --no-read-back=false --globals=false --name other \
         --pg-dump /p --keep-days 3 --tag a --tag b=c --keep-at-least 1y",
    );
    let options = &typed.options;
    assert_eq!(kept(options), "a+b=c 1y");
    let source = &options.source;
    assert_eq!((source.jobs, source.lock_wait.as_secs()), (9, 5));
    assert_eq!(
        (source.unlogged, source.large_objects),
        (Inclusion::Included, Inclusion::Included)
    );
    assert_eq!(lists(options), ["A", "B", "C", "D", "E"]);
    assert_eq!(options.compression.to_string(), "gzip:6");
    assert_eq!(options.volume_bytes_max, Some(50 << 20));
    assert_eq!(
        (options.read_back, options.globals),
        (ReadBack::Yes, GlobalsOption::Excluded)
    );
    assert_eq!(options.prefix.as_ref().unwrap().as_str(), "other");
    assert_eq!(options.pg_dump, Some(PathBuf::from("/p")));
    let policy = typed.retention.unwrap();
    assert_eq!(
        (policy.keep_last, policy.keep_within.unwrap().to_string().as_str()),
        (0, "3d")
    );
    // One list that is typed leaves the others.
    assert_eq!(lists(&with("-T D").options), ["a", "b", "c", "D", "e"]);
    let elsewhere = backup_in(&ONE.replace("jobs = 2", "prefix = 'p'"), "", &[("TABLE", "v")]).unwrap();
    assert_eq!(elsewhere.options.prefix.as_ref().unwrap().as_str(), "p");
    assert_eq!(
        elsewhere.options.source.jobs, 4,
        "the default, where the file says nothing"
    );
    assert_eq!(lists(&elsewhere.options)[1], "v");
}

#[test]
fn the_store_is_typed_or_in_a_variable_or_that_of_the_database_or_the_only_one() {
    let far = "s3://far/p?region=r&sse=AES256";
    let variable = ("BACKSTAY_STORE", "/var/backups");
    let only = "[store.only]\nurl = './only'\n";
    let one_database = "[database.d]\nhost = 'h'\n";
    for (text, line, variables, location, argument) in [
        (ONE, "", &[][..], "./near", Some("near")),
        (ONE, "", &[variable], "/var/backups", None),
        (ONE, "./here", &[variable], "./here", Some("./here")),
        (ONE, "far", &[variable], far, Some("far")),
        (ONE, "--store far", &[], far, Some("far")),
        (ONE, "", &[("BACKSTAY_STORE", "far")], far, None),
        (ONE, "other", &[], "other", Some("other")),
        (ONE, "./far", &[], "./far", Some("./far")),
        (only, "", &[DATABASE], "./only", None),
        (only, "", &[DATABASE, variable], "/var/backups", None),
        (one_database, "", &[], "./backups", None),
        ("", "", &[DATABASE], "./backups", None),
    ] {
        let store = backup_in(text, line, variables).unwrap().store;
        assert_eq!(
            (store.location.as_str(), store.argument.as_deref()),
            (location, argument),
            "{line} {variables:?}"
        );
    }
    // The file does not say which of its stores is meant for a database that it does not have.
    let error = backup_in(ONE, "", &[DATABASE]).unwrap_err();
    assert_eq!(error.to_string(), "backstay.toml has several of [store]: far, near");
    assert_eq!(advise(&error).exit.code(), 2);
}

#[test]
fn credentials_of_a_store_are_for_that_store() {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "other"),
        ("AWS_SESSION_TOKEN", "other"),
        ("AWS_REGION", "e"),
    ];
    let settled = backup_in(ONE, "", &variables).unwrap();
    let names = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
    ];
    let of = |store: &SettledStore| names.map(|name| get(&store.variables, name).unwrap_or_default());
    assert_eq!(of(&settled.store), ["other", "", "other", "e"]);
    assert_eq!(of(&settled.also[0]), ["id", "hunter2", "", "e"]);
    assert_eq!(settled.also[0].shown(), "s3://far/p");
}

#[test]
fn further_stores_are_typed_or_those_of_the_file() {
    let also = |line: &str| -> Vec<String> { with(line).also.iter().map(SettledStore::shown).collect() };
    assert_eq!(also(""), ["s3://far/p"]);
    assert_eq!(also("--also ./third"), ["./third"]);
    assert_eq!(also("--also far --also ./third"), ["s3://far/p", "./third"]);
    // What the file has beside its own store may be typed as the store.
    assert_eq!(also("--store far"), [""; 0]);
    let twice = backup_in(ONE, "--also near", &[]);
    assert!(matches!(twice, Err(SettleError::SameStore { .. })), "{twice:?}");
    let sse = with("--store far --sse aws:kms:key").store.location;
    assert_eq!(sse, "s3://far/p?region=r&sse=aws:kms&sse-kms-key=key");
}

#[test]
fn encryption_is_typed_or_that_of_the_file() {
    let key = |number: u8| match number {
        1 => "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
        _ => "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef",
    };
    let text = |more: &str| format!("[database.d]\nhost = 'h'\n{more}\n[store.s]\nurl = './s'");
    let seals = |more: &str, line: &str| {
        let settled = backup_in(&text(more), line, &[("KEY", key(1)), ("BACKSTAY_PASSPHRASE", "other")]);
        let settled = settled.unwrap_or_else(|error| panic!("{more}: {error}"));
        let recipients: Vec<String> = settled.seals.recipients.iter().map(ToString::to_string).collect();
        let passphrase = get(&settled.store.variables, "BACKSTAY_PASSPHRASE").unwrap_or_default();
        (
            recipients,
            settled.seals.files,
            settled.seals.passphrase,
            settled.seals.index.len(),
            passphrase,
        )
    };
    let to_key = format!(
        "encrypt-to = ['${{KEY}}']\nencrypt-to-file = ['keys']\nindex-to = ['{}']",
        key(2)
    );
    let other = || "other".to_owned();
    let of_file = (vec![key(1).to_owned()], vec![PathBuf::from("keys")], None, 1, other());
    assert_eq!(seals(&to_key, ""), of_file);
    let typed = (vec![key(2).to_owned()], vec![], None, 0, other());
    assert_eq!(seals(&to_key, &format!("--encrypt-to {}", key(2))), typed);
    let passphrase = (vec![], vec![], Some(crate::keys::NewPassphrase::OfAge), 0, other());
    assert_eq!(seals(&to_key, "--encrypt-passphrase"), passphrase);
    let of_file = (
        vec![],
        vec![],
        Some(crate::keys::NewPassphrase::OfAge),
        0,
        "hunter2".to_owned(),
    );
    assert_eq!(seals("encrypt-passphrase = { env = 'SHOP_PASSWORD' }", ""), of_file);
    let of_file = (
        vec![],
        vec![],
        Some(crate::keys::NewPassphrase::OfOpenPgp),
        0,
        "hunter2".to_owned(),
    );
    assert_eq!(seals("encrypt-gpg = { env = 'SHOP_PASSWORD' }", ""), of_file);
    let error = backup_in(&text("encrypt-to = ['AGE-SECRET-KEY-1HUNTER2']"), "", &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "backstay.toml:3:15: a key of \"encrypt-to\" cannot be used"
    );
    assert!(!format!("{error:?}").contains("HUNTER2"));
}

#[test]
fn a_backup_is_looked_for_where_the_file_says() {
    let verify = |text: &str, line: &str| {
        let Command::Verify(typed) = parse(&format!("verify {line}")).unwrap() else {
            panic!("{line}");
        };
        let settled = SettledVerify::settle(typed, &environment(text, &[PASSWORD]))?;
        let store = settled
            .backup
            .store
            .location
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned();
        Ok::<_, SettleError>((settled.backup.name, store))
    };
    let latest = |database: &str| BackupName::Latest {
        database: Some(database.to_owned()),
    };
    let of_prefix = ONE.replace("jobs = 2", "prefix = 'p'");
    for (text, line, expected) in [
        (ONE, "latest --database shop", (latest("shop"), "./near")),
        (&*of_prefix, "latest --database shop", (latest("p"), "./near")),
        (
            ONE,
            "latest --database shop --store far",
            (latest("shop"), "s3://far/p"),
        ),
        (
            &*of_prefix,
            "latest --database shop --store ./x",
            (latest("shop"), "./x"),
        ),
        (
            "[store.only]\nurl = './only'",
            "latest --database x",
            (latest("x"), "./only"),
        ),
    ] {
        let (name, store) = verify(text, line).unwrap();
        assert_eq!((name, store.as_str()), expected, "{line}");
    }
    // The only database says which.
    assert_eq!(verify(ONE, "latest").unwrap().1, "./near");
    let two = format!("{ONE}\n[database.other]\nurl = 'postgresql://app@db.example.org/other'\nstore = 'far'");
    assert!(matches!(
        verify(&two, "latest"),
        Err(SettleError::Configuration(ConfigurationError::Several {
            kind: "store",
            ..
        }))
    ));
}

#[test]
fn backups_are_pruned_as_the_file_says() {
    let prune = |text: &str, line: &str| {
        let Ok(Command::Prune(typed)) = parse(&format!("prune {line}")) else {
            panic!("{line}");
        };
        SettledPrune::settle(*typed, &environment(text, &[PASSWORD]))
    };
    let of_prefix = ONE.replace("jobs = 2", "prefix = 'p'");
    for (text, line, prefix, last, location) in [
        (ONE, "--db shop", Some("shop"), 2, "./near"),
        (&*of_prefix, "--db shop", Some("p"), 2, "./near"),
        (ONE, "--db shop ./here", Some("shop"), 2, "./here"),
        (ONE, "--db shop --keep-last 5", Some("shop"), 5, "./near"),
        (ONE, "near --keep-last 5", None, 5, "./near"),
        (ONE, "near --keep-last 5 --name x", Some("x"), 5, "./near"),
    ] {
        let settled = prune(text, line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(settled.prefix.as_ref().map(backstay::Prefix::as_str), prefix, "{line}");
        assert_eq!(settled.policy.unwrap().keep_last, last, "{line}");
        assert_eq!(settled.store.location, location, "{line}");
        assert_eq!(settled.litter_grace_secs, None, "{line}");
    }
    // Without rules everything would stay, and nobody would notice.
    let silent = ONE.replace("retention = { keep-last = 2 }", "");
    for line in ["--db shop", "--db shop --litter"] {
        let error = prune(&silent, line).unwrap_err();
        assert_eq!(error.to_string(), "[database.shop] says of no retention", "{line}");
    }
    assert!(parse("prune --db a --name b").is_err());
}

#[test]
fn a_file_with_a_mistake_is_in_the_way_only_of_those_who_need_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backstay.toml");
    std::fs::write(&path, "mistake").unwrap();
    let environment = Environment {
        configuration: Configuration::find(Some(path), &Variables::default()),
        ..Environment::of(&[("PGHOST", "h"), ("PGUSER", "u"), ("BACKSTAY_STORE", "./s")])
    };
    for (line, is_in_the_way) in [
        ("restore ./x.sql.gz --to copy --yes copy", false),
        ("restore latest --to copy --yes copy", false),
        ("restore latest --to copy --yes copy --store /backups", false),
        (
            "restore latest --to copy --yes copy --store ./s --database kulti",
            false,
        ),
        ("restore latest --to copy --yes copy --store name", true),
        ("restore latest --to copy --yes copy --database kulti", true),
    ] {
        let Command::Restore(typed) = parse(line).unwrap() else {
            panic!("{line}");
        };
        let settled = SettledRestore::settle(*typed, &environment);
        assert_eq!(settled.is_err(), is_in_the_way, "{line}: {settled:?}");
    }
}
