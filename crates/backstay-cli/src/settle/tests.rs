mod configuration;
mod status;

use std::time::Duration;

use backstay::{
    Atomicity, ConnectionSource, EarlierBackups, GlobalsOption, Inclusion, Level, Parts, ReadBack, SourceOptions,
    TargetPolicy,
};
use clap::Parser as _;

use super::*;
use crate::args::{Arguments, Command};
use crate::explain::advise;

const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://app@db.example.org/kulti");

fn parse(line: &str) -> Result<Command, clap::Error> {
    let words = std::iter::once("backstay").chain(line.split_whitespace());
    Arguments::try_parse_from(words).map(|arguments| arguments.command)
}

fn backup(line: &str, variables: &[(&str, &str)]) -> Result<SettledBackup, SettleError> {
    let Command::Backup(typed) = parse(&format!("backup {line}")).unwrap() else {
        panic!("{line}");
    };
    SettledBackup::settle(*typed, &Environment::of(variables))
}

fn restore_with(line: &str, environment: &Environment) -> Result<SettledRestore, SettleError> {
    let Command::Restore(typed) = parse(&format!("restore latest {line}")).unwrap() else {
        panic!("{line}");
    };
    SettledRestore::settle(*typed, environment)
}

fn restore(line: &str) -> Result<SettledRestore, SettleError> {
    restore_with(line, &Environment::of(&[("PGHOST", "h"), ("PGUSER", "u"), DATABASE]))
}

#[test]
fn encryption_by_the_server_is_a_setting_of_the_bucket() {
    for (line, location) in [
        ("s3://b/p --sse AES256", "s3://b/p?sse=AES256"),
        ("s3://b/p?region=r --sse aws:kms", "s3://b/p?region=r&sse=aws:kms"),
        (
            "s3://b --sse aws:kms:arn:aws:kms:r:1:key/2",
            "s3://b?sse=aws:kms&sse-kms-key=arn:aws:kms:r:1:key/2",
        ),
    ] {
        assert_eq!(backup(line, &[DATABASE]).unwrap().store.location, location);
    }
    let folder = backup("./here --sse AES256", &[DATABASE]);
    assert!(matches!(folder, Err(SettleError::SseWithoutBucket)), "{folder:?}");
}

#[test]
fn the_store_is_typed_or_in_a_variable_or_the_default() {
    let variable = ("BACKSTAY_STORE", "/var/backups");
    for (line, variables, location, argument) in [
        ("", &[DATABASE][..], "./backups", None),
        ("here", &[DATABASE], "here", Some("here")),
        ("--store here", &[DATABASE], "here", Some("here")),
        ("", &[DATABASE, variable], "/var/backups", None),
        ("here", &[DATABASE, variable], "here", Some("here")),
        ("/var/backups", &[DATABASE, variable], "/var/backups", None),
        ("", &[DATABASE, ("BACKSTAY_STORE", "")], "./backups", None),
    ] {
        let store = backup(line, variables).unwrap().store;
        assert_eq!(store.location, location, "{line}");
        assert_eq!(store.argument.as_deref(), argument, "{line}");
    }
    assert!(parse("backup here --store there").is_err());
}

#[test]
fn a_connection_is_no_store_and_is_not_repeated() {
    for line in [
        "postgres://u:hunter2@h/d",
        "--store postgresql://u:hunter2@h/d",
        "host=h,PASSWORD=hunter2",
    ] {
        let error = backup(line, &[DATABASE]).unwrap_err();
        assert!(matches!(error, SettleError::StoreIsConnection), "{line}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{line}");
    }
    let error = backup("", &[DATABASE, ("BACKSTAY_STORE", " ")]).unwrap_err();
    assert!(matches!(error, SettleError::StoreEmpty), "{error:?}");
}

#[test]
fn the_source_is_typed_or_in_variables() {
    let pg = [("PGHOST", "h"), ("PGDATABASE", "d"), ("PGUSER", "u")];
    for (line, variables, source, database) in [
        ("", &[DATABASE][..], ConnectionSource::DatabaseUrl, "kulti"),
        ("--from postgres://u@h/x", &[DATABASE], ConnectionSource::Given, "x"),
        ("", &pg, ConnectionSource::Environment, "d"),
    ] {
        let settled = backup(line, variables).unwrap().source;
        assert_eq!((settled.source, settled.config.database.as_str()), (source, database));
    }
    let error = backup("", &[]).unwrap_err();
    assert!(matches!(error, SettleError::Source(ConninfoError::NothingConfigured)));
}

#[test]
fn options_of_a_backup() {
    let plain = backup("", &[DATABASE]).unwrap();
    assert_eq!(
        plain.options.source.jobs, 4,
        "eight processors, but a server that others use"
    );
    assert_eq!(plain.options.compression.to_string(), "gzip:1");
    assert_eq!(plain.options.read_back, ReadBack::Yes);
    assert_eq!(plain.options.source.lock_wait, Duration::from_secs(30));
    assert!(plain.options.source.selection.is_whole_database() && plain.retention.is_none());
    assert_eq!(plain.options.earlier, EarlierBackups::AsTheySay);
    let all = backup(
        "-j 9 --compress zstd:7 --no-read-back --name x -n a -n b -t c -N d -T e --exclude-table-data f \
         --no-large-objects --no-unlogged-data --globals --same-database --lock-wait 5 --pg-dump /p --keep-days 7 --json -q",
        &[DATABASE],
    )
    .unwrap();
    let SourceOptions {
        jobs,
        lock_wait,
        selection,
        unlogged,
        large_objects,
        ..
    } = all.options.source;
    assert_eq!((jobs, lock_wait), (9, Duration::from_secs(5)));
    assert_eq!((unlogged, large_objects), (Inclusion::Excluded, Inclusion::Excluded));
    let lists = [
        selection.schemas,
        selection.tables,
        selection.exclude_schemas,
        selection.exclude_tables,
        selection.exclude_data,
    ];
    assert_eq!(lists.map(|list| list.join("+")), ["a+b", "c", "d", "e", "f"]);
    assert_eq!(all.options.compression.to_string(), "zstd:7");
    assert_eq!(all.options.read_back, ReadBack::No);
    assert_eq!(all.options.globals, GlobalsOption::Included);
    assert_eq!(
        all.options.prefix.map(|prefix| prefix.to_string()).as_deref(),
        Some("x")
    );
    assert_eq!(all.options.pg_dump, Some(PathBuf::from("/p")));
    let within = all.retention.and_then(|policy| policy.keep_within);
    assert_eq!(within.map(|age| age.to_string()).as_deref(), Some("7d"));
    assert_eq!(all.options.earlier, EarlierBackups::OfThisDatabase);
    assert_eq!((all.output.form, all.output.voice), (Form::Json, Voice::Quiet));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything() {
    for line in [
        "",
        "backup --jobs 0",
        "backup --jobs 65",
        "backup --keep-days 0",
        "backup --compress lz4",
        "backup --compress gzip:13",
        "backup --name a/b",
        "backup --lock-wait 0",
        "prune",
        "verify",
        "verify latest --level deep",
        "restore latest",
        "restore latest --to d --clean",
        "restore latest --to d --clean --create --accept-loss d",
        "restore latest --to d --safety-backup s",
        "restore latest --to d --accept-loss d",
        "restore latest --to d --clean --safety-backup s --accept-loss d",
        "restore latest --to d --single-transaction --jobs 2",
        "restore latest --to d --data-only --schema-only",
        "restore latest --to d --data-only --create",
        "restore latest --to d --data-only --clean --single-transaction",
        "restore latest --to d --schema-only --prove",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn a_target_is_never_taken_from_a_variable() {
    let settled = restore("--to copy --yes copy").unwrap();
    assert_eq!(settled.target.config.describe(), "u@h:5432/copy");
    assert_eq!(settled.target.source, ConnectionSource::Given);
}

#[test]
fn a_restore_is_confirmed_by_the_name_of_the_target() {
    assert_eq!(
        restore("--to copy --yes copy").unwrap().mode,
        RestoreMode::Restore(Confirmation::Given)
    );
    assert_eq!(
        restore("--to copy").unwrap().mode,
        RestoreMode::Restore(Confirmation::Ask)
    );
    assert_eq!(restore("--to copy --dry-run").unwrap().mode, RestoreMode::Show);
    for line in [
        "--to copy --yes other",
        "--to copy --clean --accept-loss other --yes copy",
    ] {
        let error = restore(line).unwrap_err();
        assert!(matches!(error, SettleError::OtherDatabase { .. }), "{line}");
        assert_eq!(advise(&error).exit.code(), 7, "{line}");
    }
    let mut nobody = Environment::of(&[("PGHOST", "h"), ("PGUSER", "u")]);
    nobody.can_ask = false;
    let error = restore_with("--to copy", &nobody).unwrap_err();
    assert!(matches!(error, SettleError::NobodyToAsk { .. }));
    assert_eq!(advise(&error).exit.code(), 2);
    assert!(restore_with("--to copy --yes copy", &nobody).is_ok());
    assert!(restore_with("--to copy --dry-run", &nobody).is_ok());
}

#[test]
fn options_of_a_restore() {
    for (line, target, atomicity, parts) in [
        ("", TargetPolicy::Empty, Atomicity::Fitting, Parts::All),
        ("--create", TargetPolicy::Create, Atomicity::Fitting, Parts::All),
        (
            "--clean --single-transaction",
            TargetPolicy::Clean,
            Atomicity::SingleTransaction,
            Parts::All,
        ),
        (
            "--clean --accept-loss copy -s",
            TargetPolicy::Clean,
            Atomicity::Fitting,
            Parts::Schema,
        ),
        ("-a", TargetPolicy::Empty, Atomicity::Fitting, Parts::Data),
    ] {
        let options = restore(&format!("--to copy {line}")).unwrap().options;
        assert_eq!(
            (options.target, options.atomicity, options.parts),
            (target, atomicity, parts)
        );
    }
    let settled = restore("--to copy --clean --safety-backup safe -j 3 -t a.b -n c -O -x --globals --prove").unwrap();
    let WayBack::SafetyBackup(store) = &settled.way_back else {
        panic!("{:?}", settled.way_back);
    };
    assert_eq!(store.location, "safe");
    assert_eq!(settled.options.jobs, 3);
    assert_eq!(settled.options.selection.tables, ["a.b"]);
    assert_eq!(settled.options.selection.schemas, ["c"]);
    let keeps = [
        settled.options.owners,
        settled.options.privileges,
        settled.options.globals,
    ];
    assert_eq!(keeps, [backstay::Keep::No, backstay::Keep::No, backstay::Keep::Yes]);
    assert_eq!(settled.options.prove, backstay::Prove::Yes);
    assert_eq!(
        settled.only_for_backups,
        [
            "--clean",
            "--table",
            "--schema",
            "--no-owner",
            "--no-privileges",
            "--globals",
            "--prove",
            "--jobs"
        ]
    );
    let plain = restore("--to copy --create --single-transaction").unwrap();
    assert_eq!(plain.only_for_backups, [""; 0]);
    assert_eq!(plain.way_back, WayBack::NotNeeded);
}

#[test]
fn options_of_a_verification() {
    let settle = |line: &str| {
        let Command::Verify(typed) = parse(line).unwrap() else {
            panic!("{line}");
        };
        SettledVerify::settle(typed, &Environment::of(&[])).unwrap()
    };
    let plain = settle("verify latest");
    assert_eq!((plain.options.level, plain.options.jobs), (Level::Standard, 8));
    let quick = settle("verify latest --level quick -j 3 --require-table a.b --require-table c --database x");
    assert_eq!((quick.options.level, quick.options.jobs), (Level::Quick, 3));
    assert_eq!(quick.require_tables, ["a.b", "c"]);
    let database = Some("x".to_owned());
    assert_eq!(quick.backup.name, BackupName::Latest { database });
}

#[test]
fn further_stores_are_others() {
    let further = |line: &str| -> Result<Vec<String>, SettleError> {
        let settled = backup(line, &[DATABASE])?;
        Ok(settled.also.into_iter().map(|store| store.location).collect())
    };
    assert_eq!(further("a").unwrap(), [""; 0]);
    assert_eq!(further("a --also b --also s3://c/d").unwrap(), ["b", "s3://c/d"]);
    assert_eq!(
        further("s3://a --sse AES256 --also b --also s3://c?region=r").unwrap(),
        ["b", "s3://c?region=r&sse=AES256"]
    );
    for line in [
        "a --also a",
        "a --also b --also b/",
        "--also ./backups",
        "s3://a/b --also s3://a/b/?region=r",
        "a --also file:a",
    ] {
        assert!(matches!(further(line), Err(SettleError::SameStore { .. })), "{line}");
    }
    assert!(matches!(
        further("a --also postgres://h/d"),
        Err(SettleError::StoreIsConnection)
    ));
}

#[test]
fn the_backups_to_copy_are_named_in_one_way() {
    let which = |line: &str| match parse(&format!("copy a b {line}")) {
        Ok(Command::Copy(typed)) => Some(SettledCopy::settle(typed, &Environment::of(&[])).unwrap().which),
        _ => None,
    };
    assert_eq!(which(""), Some(CopyWhich::Latest { database: None }));
    let database = Some("kulti".to_owned());
    assert_eq!(which("--database kulti"), Some(CopyWhich::Latest { database }));
    assert_eq!(which("--all"), Some(CopyWhich::All));
    assert_eq!(
        which("--newest-per week"),
        Some(CopyWhich::NewestPer(backstay::Period::Week))
    );
    let id = "kulti_backup_20250116_143022";
    assert_eq!(
        which(&format!("--id {id}")),
        Some(CopyWhich::Ids(vec![id.parse().unwrap()]))
    );
    for line in [
        "--all --newest-per day",
        &format!("--all --id {id}"),
        "--all --database x",
        "--newest-per hour",
    ] {
        assert_eq!(which(line), None, "{line}");
    }
}

#[test]
fn settings_behind_a_url_are_not_shown() {
    for (location, shown) in [
        ("s3://b/p?endpoint=x&secret=hunter2", "s3://b/p"),
        ("other:x?token=hunter2", "other:x"),
        ("./a?b/", "./a?b"),
        ("file:/a?b", "/a?b"),
        ("./a:b?c", "./a:b?c"),
    ] {
        let store = SettledStore::settle(Some(location.to_owned()), &Environment::of(&[])).unwrap();
        assert_eq!(store.shown(), shown);
    }
}
