//! The same database gives the same bytes.

use std::fs;

use backstay::BackupReader;

use crate::support::{Cluster, back_up, default_installation, open};

#[test]
fn the_same_database_gives_the_same_bytes() {
    let cluster = Cluster::start(&default_installation());
    cluster.create_database("shop");
    cluster.sql(
        "shop",
        "CREATE TABLE big (id int PRIMARY KEY, t text);
         INSERT INTO big SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 60000) i;
         CREATE TABLE small AS SELECT generate_series(1, 100) x; SELECT lo_from_bytea(1, 'x')",
    );
    for compression in ["gzip", "zstd"] {
        let packs: Vec<Vec<u8>> = [1, 4]
            .iter()
            .map(|&jobs| {
                let repository = cluster.repository(&format!("{compression}{jobs}"));
                let report = back_up(&cluster, "shop", &repository, |options| {
                    options.source.jobs = jobs;
                    options.compression = compression.parse().unwrap();
                })
                .unwrap();
                let backup: BackupReader = open(&repository, &report);
                let members = usize::try_from(backup.manifest().stored_bytes()).unwrap();
                assert!(backup.manifest().members.len() > 8, "several chunks of one table");
                let mut pack = fs::read(
                    cluster
                        .path(&format!("{compression}{jobs}"))
                        .join(report.published.pack.as_str()),
                )
                .unwrap();
                pack.truncate(members);
                pack
            })
            .collect();
        assert!(
            packs[0] == packs[1],
            "{compression}: the bytes before the manifest differ"
        );
    }
}
