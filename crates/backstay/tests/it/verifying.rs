//! Archives as a person finds them: by id, by path, foreign, damaged.

use std::fs;
use std::sync::Arc;

use backstay::{Archive, CancelToken, CheckOptions, Level, Report, Repository, Silent, Store, WhenMissing};

use crate::support::{Cluster, back_up, checked, default_installation};

fn check(archive: &Archive) -> Report {
    backstay::verify(archive, &CheckOptions::default(), &Silent, &CancelToken::new()).unwrap()
}

fn rules(report: &Report) -> Vec<&'static str> {
    report
        .findings
        .iter()
        .filter(|finding| finding.severity == backstay::Severity::Error)
        .map(|f| f.rule)
        .collect()
}

#[test]
fn what_was_made_is_sound_and_what_was_damaged_is_not() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("shop");
    cluster.sql("shop", "CREATE TABLE t (x int PRIMARY KEY, y text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 20000) i");
    let repository = cluster.repository("backups");
    let report = back_up(&cluster, "shop", &repository, |_| {}).unwrap();
    let id = &report.published.manifest.id;
    let by_id = check(&Archive::open(&repository, id).unwrap());
    assert!(
        by_id.is_sound() && by_id.counts.rows == Some(20000),
        "{}",
        by_id.render()
    );

    let store: Arc<dyn Store> = Arc::clone(repository.store());
    let by_path = Archive::open_file(&Repository::new(Arc::clone(&store)), &report.published.pack).unwrap();
    assert!(matches!(by_path, Archive::Pack(_)) && check(&by_path).is_sound());

    // A bit in the middle of the rows: the pack still opens, and every level says what is wrong.
    let path = cluster.path("backups").join(report.published.pack.as_str());
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(&path, &bad).unwrap();
    for level in [Level::Quick, Level::Standard] {
        let mut options = CheckOptions::default();
        options.level = level;
        let archive = Archive::open(&repository, id).unwrap();
        let report = backstay::verify(&archive, &options, &Silent, &CancelToken::new()).unwrap();
        assert!(!report.is_sound(), "{}", report.render());
    }
    // Cut short: opened by its path it is known as a damaged pack, not taken for somebody else's archive.
    fs::write(&path, &good[..good.len() - 200]).unwrap();
    let error = Archive::open_file(&Repository::new(store), &report.published.pack).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    assert!(!check(&Archive::open(&repository, id).unwrap()).is_sound());
}

#[test]
fn foreign_archives_are_verified_as_far_as_they_can_be() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("shop");
    cluster.sql(
        "shop",
        "CREATE TABLE t (x int); INSERT INTO t SELECT generate_series(1, 500)",
    );
    let path = cluster.path("old.sql");
    checked(cluster.client("pg_dump", "shop").arg("-f").arg(&path));
    let store = backstay::open_store(cluster.path("").to_str().unwrap(), WhenMissing::Fail).unwrap();
    let key = "old.sql".parse().unwrap();
    let report = check(&Archive::open_file(&Repository::new(Arc::clone(&store)), &key).unwrap());
    assert!(
        report.is_sound() && report.counts.rows == Some(500),
        "{}",
        report.render()
    );
    assert!(!report.not_checked.is_empty(), "it says what it could not check");

    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    let report = check(&Archive::open_file(&Repository::new(store), &key).unwrap());
    assert!(!rules(&report).is_empty(), "{}", report.render());
}
