//! Rights come back as they were, whatever the target gives by itself.

use backstay::{Atomicity, BackupReader, Keep, Prove, RestoreOptions, RestoreReport, TargetPolicy};

use crate::sabotage::{chain, scene};
use crate::support::{Cluster, back_up, open, restore};

/// Objects of every kind that default privileges know: one as it was made, one that is open and one that is shut.
const OBJECTS: &str = "
    CREATE SCHEMA shut; CREATE SCHEMA open; GRANT USAGE ON SCHEMA open TO rights_anon;
    CREATE TABLE public.plain (x int); CREATE TABLE public.closed (x int, y int); CREATE TABLE public.opened (x int);
    INSERT INTO public.closed VALUES (1, 2);
    REVOKE ALL ON public.closed FROM rights_anon, PUBLIC; GRANT SELECT (x) ON public.closed TO rights_anon;
    GRANT SELECT ON public.opened TO rights_anon WITH GRANT OPTION;
    SET ROLE rights_anon; GRANT SELECT ON public.opened TO rights_user; RESET ROLE;
    CREATE TABLE public.without_owner (x int); REVOKE ALL ON public.without_owner FROM CURRENT_USER;
    CREATE TABLE shut.owned (x serial PRIMARY KEY); ALTER TABLE shut.owned OWNER TO rights_owner;
    CREATE TABLE public.parted (x int) PARTITION BY LIST (x); CREATE TABLE public.part PARTITION OF public.parted DEFAULT;
    CREATE VIEW open.seen AS SELECT * FROM public.closed; CREATE MATERIALIZED VIEW open.kept AS SELECT * FROM public.closed;
    CREATE VIEW open.grouped AS SELECT x FROM shut.owned GROUP BY x;
    CREATE SEQUENCE public.numbers; GRANT USAGE ON SEQUENCE public.numbers TO rights_user;
    CREATE FUNCTION public.everybodys(int, text) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION public.nobodys(OUT int) LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION public.nobodys() FROM PUBLIC;
    CREATE PROCEDURE public.done(INOUT int) LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON PROCEDURE public.done(int) FROM PUBLIC;
    CREATE AGGREGATE public.summed(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
    CREATE TYPE public.state AS ENUM ('a'); CREATE DOMAIN public.small AS int; REVOKE ALL ON TYPE public.state FROM PUBLIC;
    CREATE EXTENSION pg_trgm SCHEMA open; CREATE EXTENSION pg_stat_statements SCHEMA open;
    REVOKE EXECUTE ON FUNCTION open.similarity(text, text) FROM PUBLIC;
    SELECT lo_from_bytea(3, 'x'), lo_from_bytea(4, 'y'); GRANT SELECT ON LARGE OBJECT 4 TO rights_user;";

/// What a hosted platform does, and a bit more: rights on everything for a role that everybody may be, and less than
/// usual for the public.
const DEFAULTS: &str = "
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO rights_anon; ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO rights_anon;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO rights_anon; ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO rights_anon;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO rights_anon WITH GRANT OPTION;
    ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC; ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;
    ALTER DEFAULT PRIVILEGES REVOKE DELETE ON TABLES FROM CURRENT_USER;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC;";

/// All rights there are, one in a line, those that nobody wrote down among them.
const ALL: &str = "
    SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
      SELECT format('%s %s: %s -> %s %s %s', kind, name, grantor::regrole, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
                    privilege_type, is_grantable) AS line
      FROM (
        SELECT 'relation' AS kind, c.oid::regclass::text AS name, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner)) AS acl
          FROM pg_class c WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND relnamespace::regnamespace::text IN ('public', 'open', 'shut')
        UNION ALL SELECT 'column', attrelid::regclass || '.' || attname, attacl FROM pg_attribute WHERE attrelid >= 16384
        UNION ALL SELECT 'routine', p.oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc p WHERE p.oid >= 16384
        UNION ALL SELECT 'type', t.oid::regtype::text, coalesce(typacl, acldefault('T', typowner)) FROM pg_type t WHERE t.oid >= 16384
        UNION ALL SELECT 'schema', nspname, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace WHERE nspname IN ('public', 'open', 'shut')
        UNION ALL SELECT 'large object', oid::text, coalesce(lomacl, acldefault('L', lomowner)) FROM pg_largeobject_metadata) a,
      aclexplode(acl)) lines";

const OWN: &str = "SELECT string_agg(format('%s %s %s', defaclrole, defaclobjtype, defaclacl), E'\\n' ORDER BY defaclobjtype, defaclnamespace) FROM pg_default_acl";

/// Asserts that the rights are these, and says which are not.
fn assert_rights(cluster: &Cluster, database: &str, expected: &str) {
    let found = cluster.sql(database, ALL);
    let without = |some: &str, others: &str| -> Vec<String> {
        let left = some.lines().filter(|line| !others.lines().any(|other| other == *line));
        left.map(str::to_owned).collect()
    };
    let (lost, gained) = (without(expected, &found), without(&found, expected));
    assert!(
        lost.is_empty() && gained.is_empty(),
        "{database} lost {lost:#?} and gained {gained:#?}"
    );
}

fn restored(
    cluster: &Cluster,
    backup: &BackupReader,
    database: &str,
    with: impl FnOnce(&mut RestoreOptions),
) -> RestoreReport {
    let mut options = RestoreOptions::default();
    options.prove = Prove::Yes;
    with(&mut options);
    let report = restore(cluster, backup, database, &options).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert!(
        report.is_complete(),
        "{database}: {:#?}",
        (report.failures, report.proof)
    );
    report
}

#[test]
fn what_was_revoked_does_not_come_back_by_default_privileges_of_the_target() {
    let database = "rights";
    let (cluster, repository) = scene(
        database,
        "CREATE ROLE rights_anon; CREATE ROLE rights_user; CREATE ROLE rights_owner",
    );
    cluster.sql(database, OBJECTS);
    let report = back_up(&cluster, database, &repository, |_| {}).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let backup = open(&repository, &report);
    let expected = cluster.sql(database, ALL);
    let anon_reads = "SELECT has_table_privilege('rights_anon', 'public.closed', 'SELECT')";
    assert_eq!(cluster.sql(database, anon_reads), "f");

    let target = |name: &str| {
        cluster.create_database(name);
        cluster.sql(name, DEFAULTS);
        cluster.sql(name, OWN)
    };
    for (name, atomicity) in [
        ("rights_in_steps", Atomicity::StepByStep),
        ("rights_at_once", Atomicity::SingleTransaction),
    ] {
        let own = target(name);
        restored(&cluster, &backup, name, |options| options.atomicity = atomicity);
        assert_rights(&cluster, name, &expected);
        assert_eq!(
            cluster.sql(name, OWN),
            own,
            "{name}: what the target does by itself is its own affair"
        );
    }

    // What was there before keeps what the target gave it.
    target("rights_cleaned");
    cluster.sql(
        "rights_cleaned",
        "CREATE TABLE public.mine (x int); CREATE TABLE public.closed (z int)",
    );
    restored(&cluster, &backup, "rights_cleaned", |options| {
        options.target = TargetPolicy::Clean;
    });
    let mine = "SELECT has_table_privilege('rights_anon', 'public.mine', 'INSERT')";
    assert_eq!(cluster.sql("rights_cleaned", mine), "t");
    cluster.sql("rights_cleaned", "DROP TABLE public.mine");
    assert_rights(&cluster, "rights_cleaned", &expected);

    // Who wants no rights of the backup gets those of the target.
    target("rights_of_the_target");
    restored(&cluster, &backup, "rights_of_the_target", |options| {
        options.privileges = Keep::No;
    });
    assert_eq!(cluster.sql("rights_of_the_target", anon_reads), "t");

    // PostgreSQL's own programs have this trap, so it is one.
    target("rights_by_psql");
    let pack = cluster.path(database).join(report.published.pack.as_str());
    let output = cluster.restore_by_psql("rights_by_psql", &pack);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(cluster.sql("rights_by_psql", anon_reads), "t");
}
