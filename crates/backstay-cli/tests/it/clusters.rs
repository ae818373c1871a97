//! Databases of one name in two clusters, and one store.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use backstay::encryption::{AgeSealer, SecretKey};
use backstay::{BackupOptions, CancelToken, Seals, Silent};
use jiff::{SignedDuration, Timestamp};

use crate::support::{Run, Sandbox, programs};

/// Two clusters with a database of one name each, and the store of the first, which both use.
struct Clusters {
    first: Sandbox,
    second: Sandbox,
    key: SecretKey,
}

impl Clusters {
    fn start() -> Self {
        Self {
            first: Sandbox::with_sample(),
            second: Sandbox::with_sample(),
            key: SecretKey::generate(),
        }
    }

    /// A backup of the first cluster's database that was made so many days ago.
    fn old_backup(&self, days: i64, is_sealed: bool) -> String {
        let mut repository = self.first.repository("backups");
        if is_sealed {
            let sealer = Arc::new(AgeSealer::to_keys([self.key.recipient()]).unwrap());
            repository = repository.with_seals(Seals {
                packs: sealer.clone(),
                index: sealer,
            });
        }
        let report = backstay::back_up(
            &self.first.server.connection_config("kulti"),
            &repository,
            Timestamp::now() - SignedDuration::from_hours(24 * days),
            &programs(),
            &BackupOptions::default(),
            &Silent,
            &CancelToken::new(),
        );
        report.unwrap().published.manifest.id.to_string()
    }

    fn run(&self, sandbox: &Sandbox, more: &[&str]) -> Run {
        // The id has the time to the second.
        thread::sleep(Duration::from_millis(1100));
        let store = self.first.argument("backups");
        sandbox.run(&[&["backup", &store, "--keep-days", "1"], more].concat())
    }

    fn has(&self, id: &str) -> bool {
        self.first.files("backups").contains(&format!("{id}.manifest.json"))
    }
}

fn assert_refused(run: &Run) {
    assert_eq!(run.code, Some(7), "{run:?}");
    for part in ["of another cluster", "--name", "--same-database"] {
        assert!(run.stderr.contains(part), "{part}: {run:?}");
    }
}

#[test]
fn backups_of_another_cluster_are_neither_mixed_with_ours_nor_removed() {
    let clusters = Clusters::start();
    let old = clusters.old_backup(10, false);
    assert_refused(&clusters.run(&clusters.second, &[]));
    assert_eq!(
        clusters.first.files("backups").len(),
        3,
        "nothing was made, nothing went"
    );

    // Whoever came first: both may have begun when there was no backup at all.
    let ours = clusters.first.repository("backups");
    let report = backstay::back_up(
        &clusters.second.server.connection_config("kulti"),
        &ours,
        Timestamp::now() - SignedDuration::from_hours(1),
        &programs(),
        &{
            let mut options = BackupOptions::default();
            options.earlier = backstay::EarlierBackups::OfThisDatabase;
            options
        },
        &Silent,
        &CancelToken::new(),
    );
    report.unwrap();
    let run = clusters.run(&clusters.second, &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let warning = format!("warning: {old} stays, however old it is: it is of another cluster");
    assert!(run.stderr.contains(&warning), "{run:?}");
    assert!(clusters.has(&old));
    assert_refused(&clusters.run(&clusters.first, &[]));

    // A database that has moved takes its backups along.
    let run = clusters.run(&clusters.second, &["--same-database"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.stderr.contains("warning") && !clusters.has(&old), "{run:?}");
}

#[test]
fn encrypted_backups_tell_clusters_apart_without_a_key() {
    let clusters = Clusters::start();
    let to = clusters.key.recipient().to_string();
    let sealed = ["--encrypt-to", to.as_str()];
    let silent = clusters.old_backup(20, true);
    let old = clusters.old_backup(10, true);
    assert_refused(&clusters.run(&clusters.second, &sealed));

    // As a version wrote it that put no fingerprint there.
    let name = format!("{silent}.manifest.json");
    let path = clusters.first.path("backups").join(name);
    let mut sidecar: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    sidecar["sealed"].as_object_mut().unwrap().remove("source").unwrap();
    std::fs::write(&path, format!("{sidecar}\n")).unwrap();
    let run = clusters.run(&clusters.first, &sealed);
    assert_eq!(run.code, Some(0), "{run:?}");
    let warning = format!("warning: {silent} stays, however old it is: nothing tells whose it is");
    assert!(run.stderr.contains(&warning), "{run:?}");
    assert!(clusters.has(&silent) && !clusters.has(&old), "{run:?}");

    // Where only such a one is there a backup is made, and nothing is removed.
    for file in clusters.first.files("backups") {
        if file.starts_with("kulti_") && !file.starts_with(&silent) {
            std::fs::remove_file(clusters.first.path("backups").join(file)).unwrap();
        }
    }
    let run = clusters.run(&clusters.second, &sealed);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(clusters.has(&silent) && run.stderr.contains(&warning), "{run:?}");
}
