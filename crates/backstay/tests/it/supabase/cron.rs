//! The real `pg_cron` in a project, as Debian packages it; elsewhere a stand-in takes its place.

use backstay::{Atomicity, TargetPolicy};
use backstay_postgres::Installation;

use super::{assert_same, back_up, fingerprint, in_use, jobs, options, restore, with_platform};
use crate::support::{Cluster, installations};

/// The first of the servers that has the extension.
fn installation() -> Installation {
    let has_it = |installation: &Installation| {
        let folders = installation.bin().ancestors();
        let mut shares = folders.flat_map(|folder| {
            let share = folder.join("share");
            let major = installation.major();
            [
                share.join(format!("postgresql/{major}")),
                share.join("postgresql"),
                share,
            ]
        });
        shares.any(|share| share.join("extension/pg_cron.control").exists())
    };
    let found = installations().into_iter().find(has_it);
    found.expect(
        "no server with pg_cron: run `cargo xtask test`, or install it (Debian: apt-get install postgresql-15-cron)",
    )
}

fn project() -> Cluster {
    let settings = [
        ("shared_preload_libraries", "pg_cron"),
        ("cron.database_name", "postgres"),
        // Where nothing listens, so that no job runs meanwhile.
        ("cron.host", "127.0.0.254"),
    ];
    let cluster = with_platform(Cluster::start_as(&installation(), "supabase_admin", &settings));
    // What the platform does after `CREATE EXTENSION`: `pg_cron/after-create.sql` of supabase/postgres.
    cluster.sql(
        "postgres",
        "DROP SCHEMA cron CASCADE; CREATE EXTENSION pg_cron; GRANT USAGE ON SCHEMA cron TO postgres WITH GRANT OPTION;
         ALTER DEFAULT PRIVILEGES IN SCHEMA cron GRANT ALL ON TABLES TO postgres WITH GRANT OPTION;
         ALTER DEFAULT PRIVILEGES IN SCHEMA cron GRANT ALL ON FUNCTIONS TO postgres WITH GRANT OPTION;
         ALTER DEFAULT PRIVILEGES IN SCHEMA cron GRANT ALL ON SEQUENCES TO postgres WITH GRANT OPTION;
         GRANT ALL ON ALL FUNCTIONS IN SCHEMA cron TO postgres WITH GRANT OPTION; GRANT ALL ON ALL TABLES IN SCHEMA cron TO postgres WITH GRANT OPTION;
         REVOKE ALL ON cron.job FROM postgres; GRANT SELECT ON cron.job TO postgres WITH GRANT OPTION",
    );
    cluster
}

#[test]
fn jobs_come_back_under_the_real_scheduler() {
    let full = in_use(project());
    // What only the real one distinguishes: many without a name, also alike.
    full.sql(
        "postgres",
        "SET SESSION AUTHORIZATION postgres; SELECT cron.schedule('@hourly', 'select 5'), cron.schedule('@hourly', 'select 5'),
         cron.alter_job(cron.schedule('@hourly', 'select 6'), active := false)",
    );
    let as_it_was = fingerprint(&full);
    assert_eq!(jobs(&full).len(), 7);
    let backup = back_up(&full, "backups", |_| {});
    let fresh = project();
    restore(&backup, &fresh, &options());
    assert_eq!(jobs(&full), jobs(&fresh));
    for atomicity in [Atomicity::Fitting, Atomicity::StepByStep] {
        full.sql(
            "postgres",
            "SET SESSION AUTHORIZATION postgres; SELECT cron.alter_job(jobid, active := NOT active) FROM cron.job WHERE username = 'postgres';
             SELECT cron.schedule('close old', '@hourly', 'oops'), cron.unschedule('off');
             SET SESSION AUTHORIZATION kulti_worker; SELECT cron.unschedule('close old')",
        );
        let mut options = options();
        options.target = TargetPolicy::Clean;
        options.atomicity = atomicity;
        restore(&backup, &full, &options);
        assert_same(&as_it_was, &fingerprint(&full));
    }
}
