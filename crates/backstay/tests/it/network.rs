//! A bad network between a backup or a restore and its database: what it ends fails, what it delays comes later, and what
//! it changes is noticed where anybody can notice it without TLS.

use std::thread;
use std::time::{Duration, Instant};

use backstay::manifest::TableRows;
use backstay::{
    Archive, Atomicity, BackupError, BackupOptions, BackupReport, CancelToken, CheckOptions, Prove, Repository,
    RestoreOptions, Silent, TargetPolicy,
};
use backstay_testkit::tcp_proxy::Direction::{ToClient, ToServer};
use backstay_testkit::tcp_proxy::{Connections, Direction, Harm, TcpProxy};

use crate::sabotage::{assert_untouched, chain, scene, through};
use crate::support::{Cluster, open, programs, prove, restore};

/// Some megabytes, most of them rows.
const TABLES: &str = "
    CREATE TABLE big (x int PRIMARY KEY, t text);
    INSERT INTO big SELECT i, repeat(md5(i::text), 4) FROM generate_series(1, 20000) i;
    CREATE TABLE few AS SELECT 1 AS x; SELECT lo_from_bytea(7, 'hello'); CREATE SEQUENCE counter;";

/// Rows in `TABLES`.
const ROWS: u64 = 20_001;
const NOW: jiff::Timestamp = jiff::Timestamp::UNIX_EPOCH;

/// Backs up by way of a proxy.
fn back_up_through(
    proxy: &TcpProxy,
    cluster: &Cluster,
    database: &str,
    repository: &Repository,
    cancel: &CancelToken,
) -> Result<BackupReport, BackupError> {
    let config = through(proxy, cluster.config(database));
    let options = BackupOptions::default();
    let now = jiff::Timestamp::now();
    backstay::back_up(&config, repository, now, &programs(), &options, &Silent, cancel)
}

/// How many bytes a backup that nothing harms takes in a direction.
fn bytes_of_backup(cluster: &Cluster, database: &str) -> impl Fn(Direction) -> u64 {
    let proxy = TcpProxy::to_port(cluster.server.port());
    let repository = cluster.repository(&format!("{database}_sound"));
    let report = back_up_through(&proxy, cluster, database, &repository, &CancelToken::new());
    assert_sound(&repository, &report.unwrap(), ROWS);
    move |direction| proxy.bytes(direction)
}

/// The backup is listed and whole, and has so many rows.
#[track_caller]
fn assert_sound(repository: &Repository, report: &BackupReport, rows: u64) {
    let id = &report.published.manifest.id;
    let listed = repository.list().unwrap().backups;
    assert!(listed.iter().any(|backup| backup.id == *id), "{id} is not listed");
    let archive = Archive::open(repository, id).unwrap();
    let checked = backstay::verify(&archive, &CheckOptions::default(), &Silent, &CancelToken::new()).unwrap();
    assert!(checked.is_sound(), "{}", checked.render());
    let tables = report.published.manifest.tables.iter();
    let found = tables.map(|table| match &table.rows {
        TableRows::Included { digest, .. } => digest.rows(),
        TableRows::Excluded { .. } => 0,
    });
    assert_eq!(found.sum::<u64>(), rows);
}

#[test]
fn a_connection_that_ends_at_any_byte_ends_the_backup() {
    let database = "ends_at_a_byte";
    let (cluster, repository) = scene(database, TABLES);
    let bytes = bytes_of_backup(&cluster, database);
    let mut failed = 0;
    for direction in [ToServer, ToClient] {
        // Behind nine tenths, all that is needed may have come.
        for (number, at) in (0..6).map(|part| part * bytes(direction) * 9 / 50).enumerate() {
            let harm = [Harm::CloseAfter, Harm::ResetAfter][number % 2](at);
            let proxy = TcpProxy::to_port(cluster.server.port());
            proxy.harm(Connections::Together, direction, harm);
            let result = back_up_through(&proxy, &cluster, database, &repository, &CancelToken::new());
            proxy.assert_all_befell();
            // One that does not even begin may be begun again.
            match result {
                Ok(report) => {
                    assert_eq!(at, 0, "{direction:?} {harm:?}");
                    assert_sound(&repository, &report, ROWS);
                    repository.remove(&report.published.manifest.id, NOW).unwrap();
                }
                Err(error) => {
                    failed += 1;
                    assert!(!chain(&error).is_empty());
                    assert_untouched(&repository);
                }
            }
        }
    }
    assert!(failed >= 10, "{failed}");
    let proxy = TcpProxy::to_port(cluster.server.port());
    let report = back_up_through(&proxy, &cluster, database, &repository, &CancelToken::new());
    assert_sound(&repository, &report.unwrap(), ROWS);
}

#[test]
fn a_slow_network_makes_a_backup_later_and_no_other() {
    let database = "slow_network";
    let (cluster, _) = scene(database, TABLES);
    let bytes = bytes_of_backup(&cluster, database)(ToClient);
    let wait = Some(Duration::from_millis(700));
    for (number, (connections, harm)) in [
        (Connections::Together, Harm::StallAfter(bytes / 2, wait)),
        (Connections::Each, Harm::Slow(3_000_000)),
        (Connections::Each, Harm::Delay(Duration::from_millis(5))),
    ]
    .into_iter()
    .enumerate()
    {
        let repository = cluster.repository(&format!("{database}_{number}"));
        let proxy = TcpProxy::to_port(cluster.server.port());
        proxy.harm(connections, ToClient, harm);
        let report = back_up_through(&proxy, &cluster, database, &repository, &CancelToken::new());
        assert_sound(
            &repository,
            &report.unwrap_or_else(|error| panic!("{harm:?}: {}", chain(&error))),
            ROWS,
        );
        proxy.assert_all_befell();
    }
}

/// No answer for hours may mean that the server works for hours: who waits decides.
#[test]
fn a_backup_that_hears_nothing_more_waits_until_it_is_cancelled() {
    let database = "silent_network";
    let (cluster, repository) = scene(database, TABLES);
    let bytes = bytes_of_backup(&cluster, database)(ToClient);
    let proxy = TcpProxy::to_port(cluster.server.port());
    proxy.harm(Connections::Together, ToClient, Harm::StallAfter(bytes / 2, None));
    let cancel = CancelToken::new();
    let (result, took) = thread::scope(|scope| {
        let backup = scope.spawn(|| back_up_through(&proxy, &cluster, database, &repository, &cancel));
        while proxy.befallen() == 0 && !backup.is_finished() {
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(500));
        assert!(!backup.is_finished());
        let begun = Instant::now();
        cancel.cancel();
        (backup.join().unwrap(), begun.elapsed())
    });
    assert!(matches!(result, Err(BackupError::Cancelled)), "{result:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_untouched(&repository);
}

/// Rows of two bytes in messages of seven: each bit of the stream that is changed is of another field.
#[test]
fn damage_to_a_message_ends_the_backup_and_damage_to_a_row_is_for_tls_to_see() {
    let database = "changed_bits";
    let rows = 150_000;
    let sql = format!("CREATE TABLE t (x text); INSERT INTO t SELECT 'A' FROM generate_series(1, {rows})");
    let (cluster, repository) = scene(database, &sql);
    let (mut taken, mut silent) = (0, 0);
    let text = b"d\0\0\0\x06A\n";
    // Bit 3 makes a length that is too long by eight, two thousand, half a million or more bytes than there are.
    for byte in 0..text.len() {
        let proxy = TcpProxy::to_port(cluster.server.port());
        proxy.harm(Connections::Each, ToClient, Harm::FlipBitOf { text, byte, bit: 3 });
        let cancel = CancelToken::new();
        let result = thread::scope(|scope| {
            let backup = scope.spawn(|| back_up_through(&proxy, &cluster, database, &repository, &cancel));
            let begun = Instant::now();
            // A message that is said to be longer than all that comes is waited for, as silence is.
            while !backup.is_finished() {
                if begun.elapsed() > Duration::from_secs(5) {
                    cancel.cancel();
                }
                thread::sleep(Duration::from_millis(10));
            }
            backup.join().unwrap()
        });
        proxy.assert_all_befell();
        match result {
            Ok(report) => {
                taken += 1;
                assert_sound(&repository, &report, rows);
                let copy = "changed_copy";
                let mut options = RestoreOptions::default();
                options.target = TargetPolicy::Create;
                options.prove = Prove::Yes;
                let restored = restore(&cluster, &open(&repository, &report), copy, &options).unwrap();
                assert!(restored.is_complete(), "it is what came");
                assert_eq!(cluster.sql(copy, "SELECT DISTINCT x FROM t WHERE x <> 'A'"), "I");
                repository.remove(&report.published.manifest.id, NOW).unwrap();
            }
            Err(BackupError::Cancelled) => silent += 1,
            Err(error) => assert!(!chain(&error).is_empty()),
        }
        assert_untouched(&repository);
    }
    assert_eq!(taken, 1, "one of the seven bytes is the row's only one");
    // One makes a message longer than all that comes, and another one that is half as long as that.
    assert!((1..=2).contains(&silent), "{silent}");
}

#[test]
fn a_restore_over_a_bad_network_is_complete_only_where_every_row_is_there() {
    let database = "bad_way_back";
    let (cluster, repository) = scene(database, TABLES);
    let proxy = TcpProxy::to_port(cluster.server.port());
    let report = back_up_through(&proxy, &cluster, database, &repository, &CancelToken::new()).unwrap();
    let backup = open(&repository, &report);
    let restored = |proxy: &TcpProxy, copy: &str, atomicity| {
        let mut options = RestoreOptions::default();
        options.target = TargetPolicy::Create;
        options.atomicity = atomicity;
        options.prove = Prove::Yes;
        let config = through(proxy, cluster.config(copy));
        let plan = backstay::plan_restore(&backup, &config, &options)?;
        backstay::restore(&backup, &plan, &config, &Silent, &CancelToken::new())
    };
    let proxy = TcpProxy::to_port(cluster.server.port());
    assert!(
        restored(&proxy, "way_back", Atomicity::StepByStep)
            .unwrap()
            .is_complete()
    );
    let bytes = proxy.bytes(ToServer);
    // Of the first row.
    let text = b"c4ca4238a0b923820dcc509a6f75849b";
    let flip = |_| Harm::FlipBitOf { text, byte: 9, bit: 1 };
    let harms: [&dyn Fn(u64) -> Harm; 3] = [&Harm::CloseAfter, &Harm::ResetAfter, &flip];
    for (number, harm) in harms.into_iter().enumerate() {
        for (part, atomicity) in [
            (2, Atomicity::StepByStep),
            (3, Atomicity::SingleTransaction),
            (4, Atomicity::StepByStep),
        ] {
            let (copy, harm) = (format!("way_back_{number}_{part}"), harm(bytes * part / 6));
            let proxy = TcpProxy::to_port(cluster.server.port());
            proxy.harm(Connections::Together, ToServer, harm);
            let result = restored(&proxy, &copy, atomicity);
            proxy.assert_all_befell();
            match result {
                Ok(report) => assert!(!report.is_complete(), "{harm:?} {atomicity:?}: {report:?}"),
                Err(error) => assert!(!chain(&error).is_empty()),
            }
        }
    }
    let proxy = TcpProxy::to_port(cluster.server.port());
    proxy.harm(Connections::Each, ToServer, Harm::Slow(4_000_000));
    assert!(
        restored(&proxy, "way_back_slow", Atomicity::StepByStep)
            .unwrap()
            .is_complete()
    );
    assert!(prove(&cluster, &backup, "way_back_slow").is_equal());
}
