//! Names that are swapped and names that must not be.

use std::process::Stdio;

use backstay::{CancelToken, Swap, SwapError, SwapWay, plan_swap, swap_databases};

use backstay_testkit::tcp_proxy::{Connections, Direction, Harm, TcpProxy};

use crate::sabotage::{shared_cluster, through};
use crate::support::{Cluster, installations};

fn swap(database: &str, replacement: &str, kept: &str, way: SwapWay) -> Swap {
    Swap {
        database: database.to_owned(),
        replacement: replacement.to_owned(),
        kept: kept.to_owned(),
        way,
    }
}

fn names(cluster: &Cluster) -> String {
    cluster.sql(
        "postgres",
        "SELECT string_agg(datname || '=' || oid, ' ' ORDER BY oid) FROM pg_database WHERE oid > 16383",
    )
}

/// Of several hosts the first that answers is meant, also where the database is still to be made.
#[test]
fn a_database_that_is_not_there_yet_is_made_on_the_first_host_that_answers() {
    let cluster = shared_cluster();
    let mut config = cluster.config("not_made_yet");
    config.endpoints.push(config.endpoints[0].clone());
    let settled = backstay_postgres::settle_endpoint(&config, &CancelToken::new()).unwrap();
    assert_eq!(settled.endpoints, config.endpoints[..1]);
}

#[test]
fn names_change_hands_with_what_belongs_to_them_or_not_at_all() {
    let installation = installations().into_iter().next().expect("a server");
    let cluster = Cluster::start_as(&installation, "postgres", &[("max_prepared_transactions", "2")]);
    hostile_names(&cluster);
    refusals(&cluster);
    a_session_that_stays(&cluster);
    what_cannot_be_given(&cluster);
    an_answer_that_is_lost(&cluster);
}

/// Everything that is quoted must be.
fn hostile_names(cluster: &Cluster) {
    let (database, role) = ("it's \"a\" $old ü\\", "r \"x\" $new");
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    for statement in [
        &format!("CREATE ROLE {}", quoted(role)),
        &format!("CREATE DATABASE {} OWNER {}", quoted(database), quoted(role)),
        "CREATE DATABASE \"new\"\"er\"",
        &format!("ALTER DATABASE {} SET \"a.b\" TO E'x\\\\ ''y'''", quoted(database)),
        &format!(
            "ALTER ROLE {} IN DATABASE {} SET work_mem = '5MB'",
            quoted(role),
            quoted(database)
        ),
        &format!(
            "GRANT TEMP ON DATABASE {0} TO {1} WITH GRANT OPTION",
            quoted(database),
            quoted(role)
        ),
        &format!("COMMENT ON DATABASE {} IS E'o\\'\\\\n'", quoted(database)),
        // What the new one has by itself is not what belongs to the name.
        "ALTER DATABASE \"new\"\"er\" SET search_path TO x",
        "GRANT CREATE ON DATABASE \"new\"\"er\" TO PUBLIC",
    ] {
        cluster.sql("postgres", statement);
    }
    let facts = "SELECT pg_get_userbyid(datdba), (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a), shobj_description(oid, 'pg_database'),
        (SELECT string_agg(setrole || setconfig::text, ' ' ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)
        FROM pg_database d WHERE datname LIKE 'it%' AND datname NOT LIKE '%kept'";
    let before = cluster.sql("postgres", facts);
    let kept = format!("{database} kept");
    let there = swap(database, "new\"er", &kept, SwapWay::There);
    swap_databases(&cluster.config(database), &there, &CancelToken::new()).unwrap();
    assert_eq!(cluster.sql("postgres", facts), before);
    let found = names(cluster);
    assert!(
        found.starts_with(&format!("{kept}=")) && found.contains(&format!(" {database}=")),
        "{found}"
    );
}

fn refusals(cluster: &Cluster) {
    cluster.create_database("kulti");
    cluster.create_database("other");
    cluster.sql("postgres", "CREATE DATABASE model IS_TEMPLATE true");
    let before = names(cluster);
    let plan = |swap: &Swap| plan_swap(&cluster.config(&swap.database), swap).map(drop);
    let there = |database, replacement, kept| plan(&swap(database, replacement, kept, SwapWay::There));
    assert!(there("kulti", "new", "kept").is_ok());
    assert!(matches!(there("kulti", "other", "kept"), Err(SwapError::Taken { database }) if database == "other"));
    assert!(matches!(there("kulti", "new", "other"), Err(SwapError::Taken { database }) if database == "other"));
    assert!(matches!(there("none", "new", "kept"), Err(SwapError::Missing { .. })));
    assert!(matches!(there("model", "new", "kept"), Err(SwapError::Template { .. })));
    let back = swap("kulti", "none", "kept", SwapWay::Back);
    assert!(matches!(plan(&back), Err(SwapError::Missing { database }) if database == "none"));

    cluster.sql("kulti", "CREATE TABLE t ()");
    cluster.sql(
        "kulti",
        "BEGIN; INSERT INTO t DEFAULT VALUES; PREPARE TRANSACTION 'half done'",
    );
    match there("kulti", "new", "kept") {
        Err(SwapError::Prepared { transactions, .. }) => assert_eq!(transactions, ["half done"]),
        other => panic!("{other:?}"),
    }
    // A swap that was planned before waits for it in vain, and nothing is swapped.
    let late = swap("kulti", "other", "kept", SwapWay::There);
    match swap_databases(&cluster.config("kulti"), &late, &CancelToken::new()) {
        Err(SwapError::InUse { sessions, .. }) => assert_eq!(sessions, ["prepared transaction half done"]),
        other => panic!("{other:?}"),
    }
    cluster.sql("kulti", "ROLLBACK PREPARED 'half done'");
    assert_eq!(names(cluster), before);
}

/// An owner may not end the session of a superuser. It is seen when the first name has changed, which must change back.
fn a_session_that_stays(cluster: &Cluster) {
    cluster.sql("postgres", "CREATE ROLE owner LOGIN CREATEDB");
    cluster.sql("postgres", "ALTER DATABASE kulti OWNER TO owner");
    cluster.sql("postgres", "ALTER DATABASE other OWNER TO owner");
    let before = names(cluster);
    let mut stays = cluster
        .client("psql", "other")
        .args(["-XAtqc", "SELECT pg_sleep(600)"])
        .env("PGAPPNAME", "stays")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while cluster.sql(
        "postgres",
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stays'",
    ) != "1"
    {}
    let mut config = cluster.config("kulti");
    "owner".clone_into(&mut config.user);
    let there = swap("kulti", "other", "kept", SwapWay::There);
    let refused = swap_databases(&config, &there, &CancelToken::new());
    match refused {
        Err(SwapError::InUse { sessions, .. }) => {
            assert_eq!(sessions.len(), 1, "{sessions:?}");
            assert!(sessions[0].ends_with("(postgres, stays)"), "{sessions:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(names(cluster), before);
    stays.kill().unwrap();
    stays.wait().unwrap();
    cluster.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stays'",
    );
    swap_databases(&config, &there, &CancelToken::new()).unwrap();
    assert_ne!(names(cluster), before);
}

/// A setting that only a superuser may give keeps an owner from swapping, because it would be lost.
fn what_cannot_be_given(cluster: &Cluster) {
    cluster.sql("postgres", "ALTER DATABASE kulti SET log_statement TO 'ddl'");
    cluster.sql("postgres", "CREATE DATABASE next OWNER owner");
    let before = names(cluster);
    let mut config = cluster.config("kulti");
    "owner".clone_into(&mut config.user);
    let refused = swap_databases(
        &config,
        &swap("kulti", "next", "kept2", SwapWay::There),
        &CancelToken::new(),
    );
    match refused {
        Err(SwapError::Properties { what, .. }) => {
            assert!(
                what.iter().any(|what| what == "different: setting log_statement=ddl"),
                "{what:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(names(cluster), before);
}

/// Who does not hear what became of the transaction looks.
fn an_answer_that_is_lost(cluster: &Cluster) {
    cluster.create_database("left");
    cluster.create_database("right");
    let before = names(cluster);
    for (direction, is_swapped) in [(Direction::ToServer, false), (Direction::ToClient, true)] {
        let proxy = TcpProxy::to_port(cluster.server.port());
        let harm = Harm::FlipBitOf {
            text: b"COMMIT\0",
            byte: 0,
            bit: 0,
        };
        proxy.harm(Connections::Nth(1), direction, harm);
        let config = through(&proxy, cluster.config("left"));
        let result = swap_databases(
            &config,
            &swap("left", "right", "was left", SwapWay::Back),
            &CancelToken::new(),
        );
        proxy.assert_all_befell();
        assert_eq!(result.is_ok(), is_swapped, "{direction:?}: {result:?}");
        assert_eq!(names(cluster) != before, is_swapped, "{direction:?}");
    }
}
