//! What is expected of backups, and where they are looked for.

use backstay::status::VolumeJudge;

use super::*;
use crate::configuration::Configuration;

const FLEET: &str = "
[database.own]
url = 'postgresql://app@localhost/own'
store = 'near'
also = ['far']
rpo = '8h'
rto = '30min'
proven-within = '2w'
rules = 'strict'

[database.ruled]
url = 'postgresql://app@localhost/ruled'
prefix = 'r'
store = 'far'
rules = 'strict'

[database.plain]
url = 'postgresql://app@localhost/plain'
store = 'broken'
exclude-schema = ['audit']

[store.near]
url = './near'
[store.far]
url = './far'
[store.broken]
url = '${NOWHERE}'

[rules.strict]
max-age = '26h'
restored-within-minutes = 90
";

fn watch(line: &str, text: &str) -> Result<SettledWatch, SettleError> {
    let Command::Status(typed) = parse(&format!("status {line}")).unwrap() else {
        panic!("{line}");
    };
    let environment = Environment {
        configuration: Configuration::of_text(text),
        ..Environment::of(&[])
    };
    Ok(SettledStatus::settle(typed, &environment)?.watch)
}

/// Name, RPO, RTO in minutes, and how old a proof may be.
fn limits(watch: &SettledWatch) -> Vec<(&str, String, u64, String)> {
    let databases = watch.databases.iter().flatten();
    let shown = databases.map(|database| {
        let limits = database.limits;
        let minutes = limits.rto.as_secs() / 60;
        (
            database.name.as_str(),
            limits.rpo.to_string(),
            minutes,
            limits.proven_within.to_string(),
        )
    });
    shown.collect()
}

#[test]
fn what_is_expected_is_typed_or_in_the_section_or_in_its_rules() {
    let of = |name, rpo: &str, rto, within: &str| (name, rpo.to_owned(), rto, within.to_owned());
    assert_eq!(
        limits(&watch("", FLEET).unwrap()),
        [
            of("own", "8h", 30, "2w"),
            of("plain", "24h", 60, "8d"),
            of("ruled", "26h", 90, "8d")
        ]
    );
    let typed = watch(
        "--db ruled --db own --db own --rpo 1h --rto 5min --proven-within 1d",
        FLEET,
    )
    .unwrap();
    assert_eq!(limits(&typed), [of("ruled", "1h", 5, "1d"), of("own", "1h", 5, "1d")]);
}

#[test]
fn each_store_is_looked_at_once_and_one_that_cannot_be_spoils_no_other() {
    let all = watch("", FLEET).unwrap();
    let stores: Vec<(&str, bool)> = all
        .stores
        .iter()
        .map(|store| (store.shown.as_str(), store.store.is_ok()))
        .collect();
    assert_eq!(stores, [("./near", true), ("./far", true), ("broken", false)]);
    let databases = all.databases.unwrap();
    let of: Vec<&[usize]> = databases.iter().map(|database| &database.stores[..]).collect();
    assert_eq!(of, [&[0, 1][..], &[2], &[1]]);
    let judged: Vec<(VolumeJudge, bool)> = databases.iter().map(|found| (found.volume, found.is_part)).collect();
    assert_eq!(
        judged,
        [
            (VolumeJudge::Rules, false),
            (VolumeJudge::Status, true),
            (VolumeJudge::Rules, false)
        ]
    );
    // A store that is typed is the only one.
    let typed = watch("--db own ./here", FLEET).unwrap();
    assert_eq!((typed.stores.len(), typed.stores[0].shown.as_str()), (1, "./here"));
    // Without a database all that it has are meant, and the file says what is expected of them.
    let found = watch("near", FLEET).unwrap();
    assert!(found.databases.is_none());
    assert_eq!((found.stores[0].shown.as_str(), found.known.len()), ("./near", 3));
    assert!(watch("--db nobody", FLEET).is_err());
    // Nobody is asked for a passphrase.
    assert!(!found.keys.can_ask);
}

#[test]
fn a_drill_may_take_what_was_typed_or_what_the_section_of_its_database_says() {
    let limit = |line: &str, prefix: &str| {
        let Command::Drill(typed) = parse(&format!("drill --store near {line}")).unwrap() else {
            panic!("{line}");
        };
        let environment = Environment {
            configuration: Configuration::of_text(FLEET),
            ..Environment::of(&[])
        };
        let settled = SettledDrill::settle(*typed, &environment).unwrap();
        let limit = settled.limit_of(&prefix.parse().unwrap());
        limit.map(|limit| (limit.limit.as_secs() / 60, limit.by.clone()))
    };
    let own = Some((30, "rto of [database.own]".to_owned()));
    assert_eq!(limit("", "own"), own);
    assert_eq!(limit("--no-rules", "own"), own);
    assert_eq!(limit("--rto 5min", "own"), Some((5, "--rto".to_owned())));
    assert_eq!(limit("--rto 5min --rules strict", "own"), Some((5, "--rto".to_owned())));
    // The rules say it, be they typed or those of its section.
    assert_eq!(limit("--rules strict", "own"), None);
    assert_eq!((limit("", "r"), limit("", "ruled")), (None, None));
    assert_eq!(limit("./kulti.sql.gz", "own"), None);
}
