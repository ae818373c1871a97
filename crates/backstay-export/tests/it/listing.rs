//! Exports are listed apart from backups, and go by a policy of their own.

use backstay_core::repository::Repository;
use backstay_core::retention::{RetentionAction, RetentionPolicy};
use backstay_core::store::{MemoryStore, Store};
use backstay_export::{
    ExportFormat, ExportOptions, ExportSource, export_data, list_exports, plan_export_prune, prune_exports,
};
use backstay_postgres::CancelToken;
use backstay_testkit::{ToyKey, objects};
use jiff::{SignedDuration, Timestamp};

use crate::support::{Database, NOW, export, place};

#[test]
fn a_policy_removes_old_exports_of_one_name_and_what_crashes_left() {
    let database = Database::create("listing", "");
    let store = MemoryStore::new();
    let place = place(store.clone());
    let first: Timestamp = NOW.parse().unwrap();
    let day = |number: i64| first + SignedDuration::from_hours(24 * number);
    let exports = [
        export("a", "SELECT 1 AS x", ExportFormat::Csv, &place),
        export("a_b", "SELECT 1 AS x", ExportFormat::Csv, &place),
    ];
    for number in 0..5 {
        let options = ExportOptions::default();
        let made = export_data(&database.config(), &exports, day(number), &options, &CancelToken::new()).unwrap();
        assert!(made.iter().all(|(_, made)| made.is_ok()));
    }
    let source = ExportSource::ask(&database.config(), &CancelToken::new()).unwrap();
    let source = source.as_ref();
    let folder = &place.folder;
    let name = |text: &str| text.parse().unwrap();
    // A file that lacks, a manifest that nobody understands, one of a newer version, and files without a manifest.
    let time = |number: i64| day(number).strftime("%Y%m%d_%H%M%S").to_string();
    store
        .delete(&objects::key(&format!("exports/a_export_{}.csv", time(3))))
        .unwrap();
    let manifest = |number: i64| format!("exports/a_export_{}.manifest.json", time(number));
    for (number, text) in [(1, "{"), (2, r#"{"backstay_export":2}"#)] {
        store.delete(&objects::key(&manifest(number))).unwrap();
        objects::put(&store, &manifest(number), text.as_bytes()).unwrap();
    }
    objects::put(&store, "exports/a_export_20240101_000000.csv", b"x").unwrap();
    objects::put(&store, "exports/other.txt", b"x").unwrap();
    assert!(
        Repository::new(std::sync::Arc::new(store.clone()))
            .list()
            .unwrap()
            .backups
            .is_empty()
    );

    let listing = list_exports(&store, folder, Some(&name("a"))).unwrap();
    let whole: Vec<bool> = listing.exports.iter().map(|export| export.is_whole).collect();
    assert_eq!(whole, [true, false, false, false, true]);
    assert_eq!(listing.unfinished.len(), 1);
    let mut policy = RetentionPolicy::default();
    policy.keep_last = 1;
    let plan = plan_export_prune(&store, folder, &name("a"), &policy, source, day(5)).unwrap();
    let going: Vec<bool> = plan
        .iter()
        .map(|decision| decision.action == RetentionAction::Delete)
        .collect();
    assert_eq!(going, [true, false, false, true, false], "{plan:?}");

    let before = objects::names(&store).len();
    let pruned = prune_exports(&store, folder, &name("a"), &policy, source, day(5)).unwrap();
    assert_eq!((pruned.removed.len(), pruned.litter.len()), (2, 1));
    assert_eq!(objects::names(&store).len(), before - 3 - 2 - 1);
    assert!(objects::names(&store).contains(&"exports/other.txt".to_owned()));
    let pruned = prune_exports(&store, folder, &name("a"), &policy, source, day(500)).unwrap();
    assert_eq!((pruned.removed.len(), pruned.litter.len()), (0, 0));
    assert_eq!(
        list_exports(&store, folder, Some(&name("a_b"))).unwrap().exports.len(),
        5
    );
    assert_eq!(list_exports(&store, folder, None).unwrap().exports.len(), 8);
}

#[test]
fn exports_of_one_database_count_not_for_those_of_another() {
    let store = MemoryStore::new();
    let place = place(store.clone());
    let first: Timestamp = NOW.parse().unwrap();
    let databases = ["retained_a", "retained_b"].map(|name| Database::create(name, ""));
    for (hours, database) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        let exports = [export("a", "SELECT 1 AS x", ExportFormat::Csv, &place)];
        let now = first + SignedDuration::from_hours(hours);
        let config = databases[database].config();
        export_data(&config, &exports, now, &ExportOptions::default(), &CancelToken::new()).unwrap();
    }
    let mut policy = RetentionPolicy::default();
    policy.keep_last = 1;
    let now = first + SignedDuration::from_hours(4);
    let plan = |source: Option<&ExportSource>| {
        let plan = plan_export_prune(&store, &place.folder, &"a".parse().unwrap(), &policy, source, now).unwrap();
        let times = plan
            .iter()
            .map(|decision| decision.id.time().duration_since(first).as_hours());
        let going = plan.iter().map(|decision| decision.action == RetentionAction::Delete);
        times.zip(going).collect::<Vec<_>>()
    };
    let ask = |database: &Database| ExportSource::ask(&database.config(), &CancelToken::new()).unwrap();
    assert_eq!(plan(ask(&databases[0]).as_ref()), [(0, true), (1, false)]);
    assert_eq!(plan(ask(&databases[1]).as_ref()), [(2, true), (3, false)]);
    // A database of the same name in another cluster has none of them, nor may one that nobody knows.
    let other = ExportSource::new(1, "retained_a".to_owned());
    assert_eq!(plan(Some(&other)), []);
    assert_eq!(plan(None), []);
}

#[test]
fn what_is_sealed_or_has_no_source_counts_for_its_own_database() {
    let database = Database::create("sealed_source", "");
    let store = MemoryStore::new();
    let mut place = place(store.clone());
    place.sealer = Some(ToyKey::new("ann").seals().packs);
    let first: Timestamp = NOW.parse().unwrap();
    for hours in 0..2 {
        let exports = [export("a", "SELECT 1 AS x", ExportFormat::Csv, &place)];
        let now = first + SignedDuration::from_hours(hours);
        let options = ExportOptions::default();
        export_data(&database.config(), &exports, now, &options, &CancelToken::new()).unwrap();
    }
    let mut policy = RetentionPolicy::default();
    policy.keep_last = 1;
    let now = first + SignedDuration::from_hours(4);
    let going = |source: Option<&ExportSource>| {
        let plan = plan_export_prune(&store, &place.folder, &"a".parse().unwrap(), &policy, source, now).unwrap();
        let going = plan
            .iter()
            .filter(|decision| decision.action == RetentionAction::Delete);
        (plan.len(), going.count())
    };
    let own = ExportSource::ask(&database.config(), &CancelToken::new()).unwrap();
    let other = ExportSource::new(1, "sealed_source".to_owned());
    assert_eq!((going(own.as_ref()), going(Some(&other))), ((2, 1), (0, 0)));
    // As older versions wrote it.
    let key = objects::key("exports/a_export_20250116_143022.manifest.json");
    let mut json: serde_json::Value = serde_json::from_slice(&objects::read(&store, key.as_str()).unwrap()).unwrap();
    assert!(json.as_object_mut().unwrap().remove("source").is_some());
    store.delete(&key).unwrap();
    objects::put(&store, key.as_str(), json.to_string().as_bytes()).unwrap();
    assert_eq!((going(own.as_ref()), going(Some(&other))), ((2, 1), (1, 0)));
    // A role that may not read which cluster it is makes exports all the same.
    database.sql("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; CREATE ROLE plain LOGIN");
    let mut config = database.config();
    config.user = "plain".to_owned();
    assert_eq!(ExportSource::ask(&config, &CancelToken::new()).unwrap(), None);
}

#[test]
fn a_removal_that_is_cut_off_leaves_no_export_without_its_file() {
    use backstay_core::store::ErrorKind;
    use backstay_testkit::{Fault, Faulty, Verb, When};

    let database = Database::create("cut_off", "");
    for nth in 1..=3 {
        let store = MemoryStore::new();
        let place = place(store.clone());
        let first: Timestamp = NOW.parse().unwrap();
        for number in 0..2 {
            let now = first + SignedDuration::from_hours(number);
            let exports = [export("a", "SELECT 1 AS x", ExportFormat::Csv, &place)];
            export_data(
                &database.config(),
                &exports,
                now,
                &ExportOptions::default(),
                &CancelToken::new(),
            )
            .unwrap();
        }
        let failing = Faulty::new(store.clone()).with_fault(
            When::nth(Verb::Delete, nth).and_after(),
            Fault::Error(ErrorKind::Denied),
        );
        let mut policy = RetentionPolicy::default();
        policy.keep_last = 1;
        let name = "a".parse().unwrap();
        let source = ExportSource::ask(&database.config(), &CancelToken::new()).unwrap();
        assert!(
            prune_exports(
                &failing,
                &place.folder,
                &name,
                &policy,
                source.as_ref(),
                Timestamp::now()
            )
            .is_err()
        );
        let listing = list_exports(&store, &place.folder, None).unwrap();
        assert!(listing.exports.iter().all(|export| export.is_whole), "{nth}");
        assert_eq!(listing.exports.len(), if nth == 1 { 2 } else { 1 });
    }
}
