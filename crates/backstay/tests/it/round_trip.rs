//! A database with one of everything, backed up and restored in every way, compared with `pg_dump` and row by row.

use backstay::{Atomicity, RestoreOptions, TargetPolicy};

use crate::support::{Cluster, assert_same, back_up, installations, open, prove, restore, testdata};

fn sample_cluster(installation: &backstay_postgres::Installation) -> Cluster {
    let cluster = Cluster::start(installation);
    cluster.create_database("source");
    cluster.sql_file("source", &testdata("sample/one-of-everything.sql"), &["-v", "rows=300"]);
    cluster
}

#[test]
fn one_of_everything_comes_back_by_psql() {
    for installation in installations() {
        let cluster = sample_cluster(&installation);
        for compression in ["gzip", "zstd"] {
            let repository = cluster.repository(compression);
            let report = back_up(&cluster, "source", &repository, |options| {
                options.compression = compression.parse().unwrap();
            })
            .unwrap();
            let copy = format!("copy_{compression}");
            cluster.create_database(&copy);
            let pack = cluster.path(compression).join(report.published.pack.as_str());
            let output = cluster.restore_by_psql(&copy, &pack);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_same(&cluster, "source", &copy);
            let proof = prove(&cluster, &open(&repository, &report), &copy);
            assert!(proof.is_equal() && proof.rows > 1000, "{proof:?}");
        }
    }
}

#[test]
fn one_of_everything_comes_back_in_parallel_and_in_one_transaction() {
    for installation in installations() {
        let cluster = sample_cluster(&installation);
        let repository = cluster.repository("backups");
        let backup = open(&repository, &back_up(&cluster, "source", &repository, |_| {}).unwrap());
        for (copy, atomicity) in [
            ("parallel", Atomicity::StepByStep),
            ("single", Atomicity::SingleTransaction),
        ] {
            let mut options = RestoreOptions::default();
            options.target = TargetPolicy::Create;
            options.atomicity = atomicity;
            options.jobs = 4;
            options.prove = backstay::Prove::Yes;
            let report = restore(&cluster, &backup, copy, &options).unwrap();
            assert!(report.is_complete(), "{copy}: {:#?}", (report.failures, report.proof));
            assert_same(&cluster, "source", copy);
        }
    }
}

#[test]
fn one_of_everything_replaces_itself() {
    let cluster = sample_cluster(&crate::support::default_installation());
    let repository = cluster.repository("backups");
    let backup = open(&repository, &back_up(&cluster, "source", &repository, |_| {}).unwrap());
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    let done = restore(&cluster, &backup, "copy", &options).unwrap();
    assert!(done.is_complete(), "{:#?}", done.failures);
    options.target = TargetPolicy::Clean;
    options.atomicity = Atomicity::SingleTransaction;
    options.prove = backstay::Prove::Yes;
    let done = restore(&cluster, &backup, "copy", &options).unwrap();
    assert!(done.is_complete(), "{:#?}", (done.failures, done.proof));
    assert_same(&cluster, "source", "copy");
}
