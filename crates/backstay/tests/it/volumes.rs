//! Backups in volumes, from the database to the database.

use std::fs;
use std::process::Command;

use backstay::{
    Archive, BackupError, CancelToken, CheckOptions, Prove, RepositoryError, RestoreOptions, Silent, TargetPolicy,
    verify,
};

use crate::support::{Cluster, assert_same, back_up, checked, default_installation, open, prove, restore, testdata};

/// Room for the manifest and each member, and not for all of them.
const BYTES_MAX: u64 = 2_000_000;

#[test]
fn volumes_are_a_whole_for_cat_and_psql_and_for_backstay() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("source");
    cluster.sql_file("source", &testdata("sample/one-of-everything.sql"), &["-v", "rows=300"]);
    // Large tables of which none can be compressed to much less than half.
    for table in ["first", "second", "third", "fourth", "fifth", "sixth"] {
        let sql = format!(
            "CREATE TABLE public.{table} AS SELECT n, md5(n::text || '{table}') AS digest FROM generate_series(1, 40000) n"
        );
        cluster.sql("source", &sql);
    }
    for compression in ["gzip", "zstd"] {
        let repository = cluster.repository(compression);
        let report = back_up(&cluster, "source", &repository, |options| {
            options.compression = compression.parse().unwrap();
            options.volume_bytes_max = Some(BYTES_MAX);
        })
        .unwrap();
        let manifest = &report.published.manifest;
        assert!(manifest.packs.len() > 3, "{:?}", manifest.packs);
        let folder = cluster.path(compression);
        for pack in &manifest.packs {
            let length = fs::metadata(folder.join(&pack.name)).unwrap().len();
            assert!(length == pack.bytes && length <= BYTES_MAX, "{pack:?}");
        }
        let extension = if compression == "gzip" { "gz" } else { "zst" };
        let id = &manifest.id;
        let script = format!(
            "sha256sum -c {id}.sql.{extension}.sha256 && cat {id}.vol*.sql.{extension} > whole.sql.{extension}"
        );
        checked(Command::new("sh").args(["-c", &script]).current_dir(&folder));
        let copy = format!("copy_{compression}");
        cluster.create_database(&copy);
        let output = cluster.restore_by_psql(&copy, &folder.join(format!("whole.sql.{extension}")));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_same(&cluster, "source", &copy);
        let proof = prove(&cluster, &open(&repository, &report), &copy);
        assert!(proof.is_equal() && proof.rows > 240_000, "{proof:?}");

        let by_name = Archive::open_file(&repository, &report.published.pack).unwrap();
        let checked = verify(&by_name, &CheckOptions::default(), &Silent, &CancelToken::new()).unwrap();
        assert!(checked.is_sound(), "{}", checked.render());
        let mut options = RestoreOptions::default();
        options.target = TargetPolicy::Create;
        options.jobs = 4;
        options.prove = Prove::Yes;
        let restored = format!("restored_{compression}");
        let report = restore(&cluster, by_name.backup().unwrap(), &restored, &options).unwrap();
        assert!(report.is_complete(), "{:#?}", (report.failures, report.proof));
        assert_same(&cluster, "source", &restored);
    }
}

#[test]
fn a_row_that_no_volume_can_hold_is_named_and_leaves_nothing() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("source");
    cluster.sql(
        "source",
        "CREATE TABLE public.small AS SELECT n, md5(n::text) AS digest FROM generate_series(1, 40000) n;
         CREATE TABLE public.large AS SELECT string_agg(md5(n::text), '') AS digest FROM generate_series(1, 150000) n;",
    );
    let repository = cluster.repository("backups");
    let error = back_up(&cluster, "source", &repository, |options| {
        options.volume_bytes_max = Some(BYTES_MAX);
    })
    .unwrap_err();
    let BackupError::Repository(RepositoryError::VolumeTooSmall { what, bytes, .. }) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(what, "a single row of public.large");
    assert!(*bytes > BYTES_MAX);
    // Volumes of the other table were there already.
    assert_eq!(repository.store().list("").unwrap(), []);
    assert_eq!(repository.store().list_leftovers().unwrap(), []);
}
