//! Backups of a database into stores on servers, over networks that harm connections and servers that are busy.

use std::sync::Arc;
use std::time::Duration;

use backstay::{
    Archive, BackupError, BackupOptions, BackupReport, CancelToken, CheckOptions, Prove, Repository, RepositoryError,
    RestoreOptions, Silent, Store, TargetPolicy,
};
use backstay_store_s3::{Credentials, PartSizes, Retries, S3Config, S3Store, StaticCredentials};
use backstay_store_supabase::{SupabaseConfig, SupabaseStore};
use backstay_store_vercel_blob::{VercelBlobConfig, VercelBlobStore};
use backstay_testkit::http_server::{Fault, HttpServer, Response};
use backstay_testkit::tcp_proxy::Direction::{ToClient, ToServer};
use backstay_testkit::tcp_proxy::{Connections, Direction, Harm, TcpProxy};
use backstay_testkit::{S3Server, SupabaseServer, SupabaseTraits, VercelBlobServer, VercelTraits};
use jiff::{SignedDuration, Timestamp};

use crate::sabotage::{chain, scene};
use crate::support::{Cluster, programs, restore};

/// A pack of two parts.
const TABLES: &str = "
    CREATE TABLE big AS SELECT i, (SELECT string_agg(encode(decode(md5(i::text || j), 'hex'), 'base64'), '')
        FROM generate_series(1, 20) j) AS t FROM generate_series(1, 20000) i;
    CREATE TABLE few AS SELECT 1 AS x; SELECT lo_from_bytea(7, 'hello');";

const RETRIES: Retries = Retries {
    tries: 8,
    first_wait: Duration::from_millis(5),
};

/// A bucket by way of an endpoint.
fn bucket(endpoint: &str, prefix: &str) -> Arc<dyn Store> {
    let mut config = S3Config::new(S3Server::BUCKET);
    config.endpoint = Some(endpoint.to_owned());
    prefix.clone_into(&mut config.prefix);
    config.parts = PartSizes::Uniform(5 << 20);
    config.retries = RETRIES;
    let credentials = Credentials::new(S3Server::ACCESS_KEY, S3Server::SECRET_KEY);
    Arc::new(S3Store::open(config, Arc::new(StaticCredentials::new(credentials))).unwrap())
}

/// Backs up so many seconds after a time that is always the same.
fn back_up(cluster: &Cluster, database: &str, store: &Arc<dyn Store>, secs: i64) -> Result<BackupReport, BackupError> {
    let now: Timestamp = "2025-01-16T14:30:22Z".parse().unwrap();
    let mut options = BackupOptions::default();
    options.compression = "zstd:1".parse().unwrap();
    backstay::back_up(
        &cluster.config(database),
        &Repository::new(Arc::clone(store)),
        now + SignedDuration::from_secs(secs),
        &programs(),
        &options,
        &Silent,
        &CancelToken::new(),
    )
}

/// How many backups a store lists, all of which are whole.
#[track_caller]
fn sound_backups(store: &Arc<dyn Store>, what: &str) -> usize {
    let repository = Repository::new(Arc::clone(store));
    let listed = repository.list().unwrap().backups;
    for backup in &listed {
        let archive = Archive::open(&repository, &backup.id).unwrap();
        let report = backstay::verify(&archive, &CheckOptions::default(), &Silent, &CancelToken::new()).unwrap();
        assert!(report.is_sound(), "{what}: {}", report.render());
    }
    listed.len()
}

/// What was told is true: a backup that was made is there, and one that failed is not, unless that is said to be unknown.
#[track_caller]
fn assert_told_truly(result: &Result<BackupReport, BackupError>, listed: usize, what: &str) {
    match result {
        Ok(_) => assert_eq!(listed, 1, "{what}: a success without a backup"),
        Err(BackupError::Repository(RepositoryError::Unknown { .. })) => {}
        Err(error) => assert_eq!(listed, 0, "{what}: a backup, although {}", chain(error)),
    }
}

#[test]
fn a_backup_over_a_bad_network_is_in_the_bucket_or_is_told_to_have_failed() {
    let database = "bad_way_to_a_bucket";
    let (cluster, _) = scene(database, TABLES);
    let server = S3Server::start();
    let proxy = TcpProxy::to_endpoint(&server.endpoint());
    back_up(&cluster, database, &bucket(&proxy.endpoint(), "sound/"), 0).unwrap();
    let (sent, answered) = (proxy.bytes(ToServer), proxy.bytes(ToClient));
    assert!(sent > 6 << 20, "{sent} bytes are no two parts");
    let once = |harm: Harm, direction: Direction| (Connections::Together, direction, harm, true);
    for (number, (connections, direction, harm, is_mended)) in [
        once(Harm::ResetAfter(sent / 4), ToServer),
        once(Harm::CloseAfter(sent * 9 / 10), ToServer),
        once(Harm::ResetAfter(answered / 2), ToClient),
        once(Harm::StallAfter(sent / 2, Some(Duration::from_millis(700))), ToServer),
        // The server compares what comes with the digest in the signature.
        once(Harm::FlipBit { byte: sent / 3, bit: 4 }, ToServer),
        (Connections::Each, ToServer, Harm::Slow(6_000_000), true),
        // No part of five megabytes ever gets through; the network goes away with what was written; the reading back is wrong.
        (Connections::Each, ToServer, Harm::ResetAfter(1 << 20), false),
        (Connections::Together, ToServer, Harm::DownAfter(sent * 4 / 5), false),
        (
            Connections::Together,
            ToClient,
            Harm::FlipBit {
                byte: answered / 2,
                bit: 4,
            },
            false,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let what = format!("{direction:?} {harm:?}");
        let prefix = format!("{number}/");
        let proxy = TcpProxy::to_endpoint(&server.endpoint());
        let store = bucket(&proxy.endpoint(), &prefix);
        proxy.harm(connections, direction, harm);
        let result = back_up(&cluster, database, &store, 0);
        proxy.assert_all_befell();
        let direct = bucket(&server.endpoint(), &prefix);
        assert_told_truly(&result, sound_backups(&direct, &what), &what);
        match result {
            Ok(_) => assert!(is_mended, "{what}: a success"),
            Err(error) => {
                assert!(!is_mended, "{what}: {}", chain(&error));
                // A message that is there, and no backup; the next one is made.
                proxy.heal();
                let next = back_up(&cluster, database, &store, 1);
                next.unwrap_or_else(|error| panic!("the one after {what}: {}", chain(&error)));
                assert_eq!(sound_backups(&direct, &what), 1);
            }
        }
    }
}

#[test]
fn a_restore_over_a_bad_network_reads_on_or_fails() {
    let database = "bad_way_from_a_bucket";
    let (cluster, _) = scene(database, TABLES);
    let server = S3Server::start();
    let report = back_up(&cluster, database, &bucket(&server.endpoint(), "p/"), 0).unwrap();
    let mut options = RestoreOptions::default();
    options.target = TargetPolicy::Create;
    options.prove = Prove::Yes;
    let restored = |harm: Option<(Connections, Harm)>, copy: &str| {
        let proxy = TcpProxy::to_endpoint(&server.endpoint());
        let backup = Repository::new(bucket(&proxy.endpoint(), "p/"))
            .open(&report.published.manifest.id)
            .unwrap();
        if let Some((connections, harm)) = harm {
            proxy.harm(connections, ToClient, harm);
        }
        let result = restore(&cluster, &backup, copy, &options);
        proxy.assert_all_befell();
        (result, proxy.bytes(ToClient))
    };
    let (sound, bytes) = restored(None, "from_a_bucket");
    assert!(sound.unwrap().is_complete());
    for (number, harm) in [Harm::ResetAfter(bytes / 3), Harm::CloseAfter(bytes / 2)]
        .into_iter()
        .enumerate()
    {
        let (result, _) = restored(Some((Connections::Together, harm)), &format!("from_a_bucket_{number}"));
        assert!(result.unwrap().is_complete(), "{harm:?}");
    }
    let flip = Harm::FlipBit {
        byte: bytes / 2,
        bit: 0,
    };
    for (connections, harm) in [
        (Connections::Together, flip),
        (Connections::Together, Harm::DownAfter(bytes / 2)),
    ] {
        let (result, _) = restored(Some((connections, harm)), "from_a_bucket_not");
        assert!(!result.is_ok_and(|report| report.is_complete()), "{harm:?}");
        cluster.sql("postgres", "DROP DATABASE IF EXISTS from_a_bucket_not");
    }
}

/// Each request is refused twice and then carried out; then there is no end of refusals, from the second write on.
fn assert_storms_are_sat_out(
    cluster: &Cluster,
    database: &str,
    http: &HttpServer,
    (store, writes): (&Arc<dyn Store>, &'static str),
) {
    // As whoever stands before the service says it.
    let refused = Fault::Answer(Response::new(503, "slow down"));
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
        for _ in 0..100 {
            http.fail_times(method, "", 1, 2, refused.clone());
        }
    }
    let result = back_up(cluster, database, store, 0);
    result.unwrap_or_else(|error| panic!("{}", chain(&error)));
    http.heal();
    assert_eq!(sound_backups(store, "after a storm"), 1);
    http.fail_times(writes, "", 1, usize::MAX, refused);
    let error = back_up(cluster, database, store, 1).unwrap_err();
    assert!(chain(&error).contains("503"), "{}", chain(&error));
    http.heal();
    assert_eq!(sound_backups(store, "in a storm"), 1);
    back_up(cluster, database, store, 2).unwrap();
    assert_eq!(sound_backups(store, "after all storms"), 2);
}

#[test]
fn refusals_of_a_busy_server_are_sat_out_at_supabase() {
    let database = "busy_supabase";
    let (cluster, _) = scene(database, TABLES);
    let server = SupabaseServer::start(SupabaseTraits::default());
    let key = SupabaseServer::SECRET_KEY.parse().unwrap();
    let mut config = SupabaseConfig::at(format!("{}/storage/v1", server.endpoint()), key, SupabaseServer::BUCKET);
    config.retries = RETRIES;
    let store: Arc<dyn Store> = Arc::new(SupabaseStore::open(config).unwrap());
    assert_storms_are_sat_out(&cluster, database, &server.http, (&store, "POST"));
}

#[test]
fn refusals_of_a_busy_server_are_sat_out_at_vercel() {
    let database = "busy_vercel";
    let (cluster, _) = scene(database, TABLES);
    let server = VercelBlobServer::start(VercelTraits::default());
    let mut config = VercelBlobConfig::new(VercelBlobServer::TOKEN.parse().unwrap());
    config.endpoint = server.endpoint();
    config.read_endpoint = Some(server.read_endpoint());
    config.retries = RETRIES;
    let store: Arc<dyn Store> = Arc::new(VercelBlobStore::open(config).unwrap());
    assert_storms_are_sat_out(&cluster, database, &server.http, (&store, "PUT"));
}
