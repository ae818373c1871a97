use crate::support::{Cluster, assert_same, back_up, installations, testdata};

#[test]
fn one_of_everything_comes_back_by_psql() {
    for installation in installations() {
        let cluster = Cluster::start(&installation);
        cluster.create_database("source");
        cluster.sql_file("source", &testdata("sample/one-of-everything.sql"), &["-v", "rows=300"]);
        for compression in ["gzip", "zstd"] {
            let repository = cluster.repository(compression);
            let report = back_up(&cluster, "source", &repository, |options| {
                options.compression = compression.parse().unwrap()
            })
            .unwrap();
            let copy = format!("copy_{compression}");
            cluster.create_database(&copy);
            let pack = cluster.path(compression).join(report.published.pack.as_str());
            let output = cluster.restore_by_psql(&copy, &pack);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_same(&cluster, "source", &copy);
        }
    }
}
