//! A database with one of everything, backed up and restored in every way, compared with `pg_dump` and row by row.

use backstay::{Atomicity, CancelToken, GlobalsOption, Keep, Prove, RestoreOptions, Silent, TargetPolicy};

use backstay_postgres::Installation;

use crate::support::{
    Cluster, assert_same, back_up, default_installation, installations, open, prove, restore, testdata,
};

fn sample_cluster(installation: &Installation) -> Cluster {
    sample_cluster_with(installation, &[])
}

fn sample_cluster_with(installation: &Installation, parameters: &[&str]) -> Cluster {
    let cluster = Cluster::start(installation);
    cluster.create_database("source");
    let parameters = [&["-v", "rows=300"], parameters].concat();
    cluster.sql_file("source", &testdata("sample/one-of-everything.sql"), &parameters);
    cluster
}

#[test]
fn one_of_everything_comes_back_by_psql() {
    let cluster = sample_cluster(&default_installation());
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

#[test]
fn one_of_everything_comes_back_in_parallel_and_in_one_transaction() {
    let cluster = sample_cluster(&default_installation());
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
        options.prove = Prove::Yes;
        let report = restore(&cluster, &backup, copy, &options).unwrap();
        assert!(report.is_complete(), "{copy}: {:#?}", (report.failures, report.proof));
        assert_same(&cluster, "source", copy);
    }
}

#[test]
fn one_of_everything_replaces_itself() {
    let cluster = sample_cluster(&default_installation());
    let repository = cluster.repository("backups");
    let backup = open(&repository, &back_up(&cluster, "source", &repository, |_| {}).unwrap());
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    let done = restore(&cluster, &backup, "copy", &options).unwrap();
    assert!(done.is_complete(), "{:#?}", done.failures);
    options.target = TargetPolicy::Clean;
    options.atomicity = Atomicity::SingleTransaction;
    options.prove = Prove::Yes;
    let done = restore(&cluster, &backup, "copy", &options).unwrap();
    assert!(done.is_complete(), "{:#?}", (done.failures, done.proof));
    assert_same(&cluster, "source", "copy");
}

/// With one server only, this brings the sample to another cluster of the same version.
#[test]
fn one_of_everything_comes_up_to_newer_versions() {
    // A tablespace in place is in the data folder of one server; the sample's extension and lz4 are not everywhere.
    let source = sample_cluster_with(&default_installation(), &["-v", "tablespace=off"]);
    source.sql("source", "DROP EXTENSION IF EXISTS backstay_sample CASCADE");
    source.sql("source", "DROP TABLE IF EXISTS compressed_by_lz4");
    let repository = source.repository("backups");
    let with = |options: &mut backstay::BackupOptions| options.globals = GlobalsOption::Included;
    let backup = open(&repository, &back_up(&source, "source", &repository, with).unwrap());
    let mut targets = installations();
    targets.retain(|installation| installation.major() >= source.server.installation().major());
    for installation in targets {
        let target = Cluster::start(&installation);
        let config = target.config("copy");
        let mut options = RestoreOptions::default();
        options.target = TargetPolicy::Create;
        options.globals = Keep::Yes;
        options.prove = Prove::Yes;
        let plan = backstay::plan_restore(&backup, &config, &options).unwrap();
        let report = backstay::restore(&backup, &plan, &config, &Silent, &CancelToken::new()).unwrap();
        let version = installation.version();
        assert!(
            report.is_complete(),
            "{version}: {:#?}",
            (report.failures, report.proof)
        );
    }
}
