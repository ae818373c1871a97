//! A project of Supabase: backed up by its own role, restored into a new project and over itself, nothing lost.

mod acting;
mod cron;
mod refusals;
mod versions;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use backstay::{
    Atomicity, BackupOptions, BackupReader, CancelToken, ConnectionConfig, Inclusion, Platform, PlatformChoice, Prove,
    RestoreOptions, RestoreRefusal, RestoreReport, Silent, TargetError, TargetPolicy,
};
use backstay_core::manifest::{Stage, TableRows};
use backstay_postgres::Installation;

use crate::support::{Cluster, checked, first_difference, installation_since, only_in_first, open, programs, testdata};

const NO_SWITCHES: [&str; 0] = [];

/// A project as the platform makes it.
fn project() -> Cluster {
    project_on(&installation_since(15))
}

fn project_on(installation: &Installation) -> Cluster {
    with_platform(Cluster::start_as(installation, "supabase_admin", &[]))
}

fn with_platform(cluster: Cluster) -> Cluster {
    for file in ["10-platform.sql", "20-realtime.sql", "30-services.sql"] {
        cluster.sql_file("postgres", &testdata("supabase").join(file), &NO_SWITCHES);
    }
    cluster
}

/// One with the application in it.
fn project_in_use() -> Cluster {
    in_use(project())
}

fn in_use(cluster: Cluster) -> Cluster {
    for file in ["40-kulti.sql", "41-kulti-data.sql", "42-kulti-platform.sql"] {
        let mut psql = cluster.client("psql", "postgres");
        psql.env("PGUSER", "postgres")
            .args(["-Xq", "-v", "ON_ERROR_STOP=1", "-v", "rows=200", "-f"]);
        checked(psql.arg(testdata("supabase").join(file)));
    }
    let elsewhere = cluster.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    // Everything of a server belongs to the user that it runs as.
    let owner = std::fs::metadata(cluster.server.data_folder()).unwrap();
    std::os::unix::fs::chown(&elsewhere, Some(owner.uid()), Some(owner.gid())).unwrap();
    std::fs::set_permissions(cluster.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let tablespace = format!("CREATE TABLESPACE slow LOCATION '{}'", elsewhere.display());
    cluster.sql("postgres", &tablespace);
    // An old dashboard made tables as its own role.
    cluster.sql(
        "postgres",
        "CREATE TABLE public.of_dashboard (x int); INSERT INTO public.of_dashboard VALUES (7)",
    );
    cluster
}

/// Gives an extension of the platform tables in which users configure it; its own rows are not dumped.
fn with_configuration(cluster: &Cluster) {
    cluster.sql(
        "postgres",
        "CREATE TABLE extensions.systems (id int PRIMARY KEY, name text); CREATE TABLE extensions.fixed (id int PRIMARY KEY);
         INSERT INTO extensions.systems VALUES (1, 'of the extension'); ALTER EXTENSION pgcrypto ADD TABLE extensions.systems;
         ALTER EXTENSION pgcrypto ADD TABLE extensions.fixed; GRANT ALL ON extensions.systems TO postgres;
         UPDATE pg_extension SET extconfig = ARRAY['extensions.systems'::regclass::oid, 'extensions.fixed'::regclass::oid],
                extcondition = ARRAY['WHERE id > 100', ''] WHERE extname = 'pgcrypto'",
    );
}

/// The connection of the role that the owner of a project has.
fn owner(cluster: &Cluster) -> ConnectionConfig {
    role(cluster, "postgres")
}

fn role(cluster: &Cluster, name: &str) -> ConnectionConfig {
    ConnectionConfig {
        user: name.to_owned(),
        ..cluster.config("postgres")
    }
}

fn back_up(cluster: &Cluster, store: &str, with: impl FnOnce(&mut BackupOptions)) -> BackupReader {
    let repository = cluster.repository(store);
    let (now, mut options, cancel) = (jiff::Timestamp::now(), BackupOptions::default(), CancelToken::new());
    with(&mut options);
    let made = backstay::back_up(
        &owner(cluster),
        &repository,
        now,
        &programs(),
        &options,
        &Silent,
        &cancel,
    );
    open(&repository, &made.unwrap())
}

fn options() -> RestoreOptions {
    let mut options = RestoreOptions::default();
    options.prove = Prove::Yes;
    options.programs = Some(programs());
    options.atomicity = Atomicity::Fitting;
    options
}

fn restored(backup: &BackupReader, cluster: &Cluster, options: &RestoreOptions) -> RestoreReport {
    let config = owner(cluster);
    let plan = backstay::plan_restore(backup, &config, options).unwrap();
    let frightens = |warning: &&String| warning.contains("do not exist at the target");
    assert_eq!(plan.warnings.iter().find(frightens), None, "roles are made");
    backstay::restore(backup, &plan, &config, &Silent, &CancelToken::new()).unwrap()
}

fn restore(backup: &BackupReader, cluster: &Cluster, options: &RestoreOptions) -> RestoreReport {
    let report = restored(backup, cluster, options);
    let seen = report.examination.as_ref().expect("definitions are compared");
    assert!(
        report.is_complete(),
        "{:#?}\n{:#?}\n{:#?}\n{:#?}",
        report.failures,
        report.proof,
        seen.differences,
        report.left_out
    );
    assert!(seen.definitions > 100);
    report
}

/// Everything that a project is, a line each: definitions with owners, rights, policies, triggers and publications; rows,
/// sequences, large objects; roles with memberships, settings and passwords; jobs and secrets.
fn fingerprint(cluster: &Cluster) -> (String, Vec<String>) {
    let definitions = cluster.schema("postgres");
    // Who owns it in a new project is said.
    let definitions = definitions
        .replace(
            "public.of_dashboard OWNER TO supabase_admin",
            "public.of_dashboard OWNER TO postgres",
        )
        .replace("GRANT ALL ON TABLE public.of_dashboard TO postgres;\n", "")
        .replace(
            "Name: of_dashboard; Type: TABLE; Schema: public; Owner: supabase_admin",
            "Name: of_dashboard; Type: TABLE; Schema: public; Owner: postgres",
        )
        .replace(
            "Name: TABLE of_dashboard; Type: ACL; Schema: public; Owner: supabase_admin",
            "Name: TABLE of_dashboard; Type: ACL; Schema: public; Owner: postgres",
        );
    let mut rows = cluster.content_of(
        "postgres",
        &[
            "--exclude-schema=vault",
            "--exclude-schema=cron",
            "--exclude-schema=realtime",
            "--exclude-table=storage.migrations",
        ],
    );
    rows.retain(|line| !line.starts_with("--"));
    let mut globals = cluster.client("pg_dumpall", "postgres");
    let globals = checked(globals.args(["--roles-only", "--no-role-passwords", "--database=postgres"]));
    let globals = String::from_utf8(globals.stdout).unwrap();
    rows.extend(
        globals
            .lines()
            .filter(|line| !line.contains("restrict"))
            .map(str::to_owned),
    );
    let more = cluster.sql(
        "postgres",
        "SELECT concat('password ', rolname, ' ', rolpassword) FROM pg_authid WHERE rolname ~ '^kulti'
         UNION ALL SELECT concat('setting ', setdatabase <> 0, ' ', setrole::regrole, ' ', setconfig) FROM pg_db_role_setting
         UNION ALL SELECT concat('job ', jobname, ' ', schedule, ' ', command, ' ', active, ' ', username) FROM cron.job
         UNION ALL SELECT concat('secret ', name, ' ', description, ' ', secret) FROM vault.secrets
         UNION ALL SELECT concat('view ', host_stats) FROM public.host_stats
         UNION ALL SELECT concat('populated ', oid::regclass, ' ', relispopulated) FROM pg_class WHERE relkind = 'm'",
    );
    rows.extend(more.lines().map(str::to_owned));
    rows.sort_unstable();
    (definitions, rows)
}

/// The jobs of it.
fn jobs(cluster: &Cluster) -> Vec<String> {
    let (_, mut lines) = fingerprint(cluster);
    lines.retain(|line| line.starts_with("job "));
    lines
}

fn assert_same(expected: &(String, Vec<String>), found: &(String, Vec<String>)) {
    assert_eq!(first_difference(&expected.0, &found.0), None);
    let (lost, gained) = (
        only_in_first(&expected.1, &found.1),
        only_in_first(&found.1, &expected.1),
    );
    assert!(lost.is_empty() && gained.is_empty(), "-{lost:#.300?}\n+{gained:#.300?}");
}

/// What some users see through the policies.
fn seen_by_users(cluster: &Cluster) -> String {
    let tables = [
        "public.users",
        "public.sessions",
        "public.session_participants",
        "public.recordings",
        "storage.objects",
    ];
    let see =
        |table| format!("SELECT '{table}', count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t;");
    let see: String = tables.map(see).concat();
    let users = [1, 2, 17].map(|number| {
        format!(
            "SELECT set_config('request.jwt.claims', json_build_object('sub', md5('user{number}')::uuid)::text, false) IS NULL;
             {see} SELECT count(*) FROM public.credit_transactions;"
        )
    });
    cluster.sql(
        "postgres",
        &format!(
            "SET ROLE authenticated; {} SET ROLE anon; SELECT count(*) FROM public.sessions",
            users.concat()
        ),
    )
}

fn assert_it_works(cluster: &Cluster, seen: &str) {
    assert_eq!(seen_by_users(cluster), seen);
    for (right, expected) in [
        (
            "has_table_privilege('anon', 'public.credit_transactions', 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')",
            "f",
        ),
        (
            "has_table_privilege('authenticated', 'public.credit_transactions', 'INSERT, UPDATE, DELETE')",
            "f",
        ),
        (
            "has_table_privilege('authenticated', 'public.credit_transactions', 'SELECT')",
            "t",
        ),
        (
            "has_function_privilege('anon', 'public.apply_credit()', 'EXECUTE')",
            "f",
        ),
        (
            "has_column_privilege('authenticated', 'public.users', 'credits', 'UPDATE')",
            "f",
        ),
        (
            "has_column_privilege('authenticated', 'public.users', 'bio', 'UPDATE')",
            "t",
        ),
        (
            "has_table_privilege('kulti_readonly', 'storage.objects', 'SELECT')",
            "t",
        ),
        ("has_table_privilege('kulti_worker', 'storage.objects', 'DELETE')", "f"),
        (
            "has_column_privilege('anon', 'public.credit_transactions', 'amount', 'SELECT')",
            "f",
        ),
        (
            "has_column_privilege('anon', 'auth.users', 'encrypted_password', 'SELECT')",
            "f",
        ),
        (
            "has_column_privilege('authenticated', 'auth.users', 'email', 'SELECT')",
            "t",
        ),
        (
            "has_column_privilege('anon', 'supabase_functions.hooks', 'hook_name', 'INSERT')",
            "t",
        ),
        ("has_table_privilege('anon', 'supabase_functions.hooks', 'DELETE')", "f"),
        (
            "has_table_privilege('authenticated', 'supabase_functions.hooks', 'UPDATE')",
            "t",
        ),
    ] {
        assert_eq!(cluster.sql("postgres", &format!("SELECT {right}")), expected, "{right}");
    }
    let signed_up = "BEGIN; SET ROLE supabase_auth_admin;
        INSERT INTO auth.users (id, email, raw_user_meta_data) VALUES (md5('new')::uuid, 'new@example.org', '{\"username\": \"new_one\"}');
        RESET ROLE; SELECT username FROM public.users WHERE email = 'new@example.org'; ROLLBACK";
    assert_eq!(cluster.sql("postgres", signed_up), "new_one");
}

#[test]
fn a_project_comes_back_in_a_new_one_and_over_itself() {
    let full = project_in_use();
    let seen = seen_by_users(&full);
    with_configuration(&full);
    full.sql(
        "postgres",
        "INSERT INTO extensions.systems VALUES (101, 'mine'), (102, 'mine too'); INSERT INTO extensions.fixed VALUES (1)",
    );
    let as_it_was = fingerprint(&full);
    let backup = back_up(&full, "backups", |options| options.source.secrets = Inclusion::Included);
    let manifest = backup.manifest();
    let platform = manifest.source.platform.as_ref().unwrap();
    assert_eq!(
        (platform.name.as_str(), &*platform.found_by),
        ("supabase", "its roles and schemas")
    );
    assert!(
        manifest
            .tables
            .iter()
            .all(|table| table.schema.as_bytes() != b"realtime")
    );

    let fresh = project();
    with_configuration(&fresh);
    fresh.sql("postgres", "INSERT INTO extensions.fixed VALUES (1)");
    // More than the source has, on a schema that is never dropped.
    fresh.sql("postgres", "GRANT CREATE ON SCHEMA public TO anon");
    refusals::refuses_what_would_lose_something(manifest, &fresh);
    let mut step_by_step = options();
    step_by_step.atomicity = Atomicity::StepByStep;
    let report = restore(&backup, &fresh, &step_by_step);
    let adopted = report
        .left_out
        .iter()
        .filter(|told| told.contains("TABLE public.of_dashboard"));
    assert_eq!(adopted.count(), 1, "{:#?}", report.left_out);
    let tablespaces = "tablespaces, which nobody can make on Supabase: slow".to_owned();
    assert!(report.left_out.contains(&tablespaces), "{:#?}", report.left_out);
    let fixed = "rows of tables of extensions, which the role postgres may not replace: extensions.fixed".to_owned();
    assert!(report.left_out.contains(&fixed), "{:#?}", report.left_out);
    assert_same(&as_it_was, &fingerprint(&fresh));
    assert_it_works(&fresh, &seen);

    // Everything that an accident may do.
    let accident = "
        DELETE FROM public.session_participants; DROP TRIGGER on_auth_user_created ON auth.users; DROP POLICY \"own files\" ON storage.objects;
        DROP POLICY \"hosts listen\" ON realtime.messages; DROP POLICY \"own profile\" ON public.users;
        GRANT ALL ON public.credit_transactions TO anon; GRANT EXECUTE ON FUNCTION public.apply_credit() TO anon;
        GRANT CREATE ON SCHEMA public TO authenticated;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO anon;
        REVOKE SELECT ON storage.objects FROM kulti_readonly; GRANT DELETE ON storage.objects TO kulti_worker;
        REVOKE SELECT (email, id) ON auth.users FROM authenticated; GRANT SELECT (encrypted_password) ON auth.users TO anon;
        REVOKE UPDATE ON supabase_functions.hooks FROM authenticated; GRANT DELETE ON supabase_functions.hooks TO anon;
        GRANT UPDATE (name) ON storage.objects TO kulti_worker WITH GRANT OPTION;
        DELETE FROM extensions.systems WHERE id = 101; INSERT INTO extensions.systems VALUES (103, 'later');
        REVOKE kulti_readonly FROM postgres; GRANT kulti_worker TO anon; GRANT kulti_worker TO postgres;
        GRANT SELECT (amount) ON public.credit_transactions TO anon; DROP TABLE public.recordings CASCADE; SELECT lo_unlink(424242);
        ALTER PUBLICATION supabase_realtime DROP TABLE public.sessions; DELETE FROM auth.refresh_tokens;
        INSERT INTO storage.buckets (id, name) VALUES ('later', 'later'); ALTER DATABASE postgres RESET default_transaction_deferrable;
        ALTER ROLE kulti_worker PASSWORD 'forgotten'; REVOKE kulti_readonly FROM kulti_worker; SELECT cron.schedule('close old', '@hourly', 'oops');
        SELECT cron.alter_job(jobid, active := false) FROM cron.job;
        UPDATE auth.users SET email = 'x' || id || '@example.org'";
    for (cluster, atomicity) in [(&full, Atomicity::Fitting), (&fresh, Atomicity::StepByStep)] {
        cluster.sql("postgres", &format!("SET SESSION AUTHORIZATION postgres; {accident}"));
        // A later version of the service has one more table.
        cluster.sql(
            "postgres",
            "SET SESSION AUTHORIZATION supabase_auth_admin; CREATE TABLE auth.passkeys (user_id uuid REFERENCES auth.users);
             INSERT INTO auth.passkeys SELECT id FROM auth.users LIMIT 3; GRANT ALL ON auth.passkeys TO postgres;
             RESET SESSION AUTHORIZATION; UPDATE cron.job SET command = 'oops' WHERE username = 'kulti_worker'",
        );
        let mut options = options();
        options.target = TargetPolicy::Clean;
        options.atomicity = atomicity;
        let report = restore(&backup, cluster, &options);
        let told = |text: &str| report.left_out.iter().filter(|told| told.contains(text)).count();
        assert_eq!(told("3 rows of \"auth\".\"passkeys\""), 1, "{:#?}", report.left_out);
        // It has its settings when it is looked at.
        assert_eq!(told("default_transaction_deferrable"), 0, "{:#?}", report.left_out);
        assert_eq!(cluster.sql("postgres", "SELECT count(*) FROM auth.passkeys"), "0");
        cluster.sql("postgres", "DROP TABLE auth.passkeys");
        assert_same(&as_it_was, &fingerprint(cluster));
        assert_it_works(cluster, &seen);
    }
    // A backup of a part has not what is on the platform, and takes nothing of it away.
    full.sql("postgres", "DROP POLICY \"hosts listen\" ON realtime.messages");
    let part = back_up(&full, "part", |options| {
        options.source.selection.exclude_tables = vec!["public.presence_cache".to_owned()];
    });
    let mut over = options();
    over.target = TargetPolicy::Clean;
    over.prove = Prove::No;
    let config = owner(&full);
    let plan = backstay::plan_restore(&part, &config, &over).unwrap();
    let report = backstay::restore(&part, &plan, &config, &Silent, &CancelToken::new()).unwrap();
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    let right = "SELECT has_table_privilege('kulti_readonly', 'storage.objects', 'SELECT')";
    assert_eq!(full.sql("postgres", right), "t");
    // Rows that would not come back are not removed.
    let mut without = manifest.clone();
    let mut tables = without.tables.iter_mut();
    let sessions = tables.find(|table| table.display_name() == "auth.sessions").unwrap();
    sessions.rows = TableRows::Excluded {
        reason: "its rows were excluded".to_owned(),
    };
    let mut over = options();
    over.target = TargetPolicy::Clean;
    match backstay_postgres::plan_restore(&without, &owner(&full), &over) {
        Err(TargetError::Refused(RestoreRefusal::KeptRows { tables })) => assert_eq!(tables, ["\"auth\".\"sessions\""]),
        other => panic!("{other:?}"),
    }
    // What the platform refuses or passes over is told, also where nothing is proven, and the rest is there.
    for atomicity in [Atomicity::Fitting, Atomicity::StepByStep] {
        full.sql(
            "postgres",
            "REVOKE GRANT OPTION FOR ALL ON supabase_functions.hooks FROM postgres CASCADE;
             DELETE FROM cron.job WHERE username = 'kulti_worker'; REVOKE ALL ON FUNCTION cron.schedule(text, text, text) FROM PUBLIC;
             GRANT ALL ON FUNCTION cron.schedule(text, text, text) TO postgres;
             SET SESSION AUTHORIZATION postgres; DELETE FROM public.presence_cache",
        );
        let mut options = options();
        options.target = TargetPolicy::Clean;
        options.prove = Prove::No;
        options.atomicity = atomicity;
        let config = owner(&full);
        let plan = backstay::plan_restore(&backup, &config, &options).unwrap();
        let report = backstay::restore(&backup, &plan, &config, &Silent, &CancelToken::new()).unwrap();
        let failures: Vec<&str> = report.failures.iter().map(|failure| failure.what.as_str()).collect();
        let refused = "CRON JOB close old of kulti_worker: permission denied for function schedule".to_owned();
        assert!(report.left_out.contains(&refused), "{:#?}", report.left_out);
        assert_eq!(
            failures,
            [
                "CRON JOB close old of kulti_worker",
                "PLATFORM GRANT SELECT ON TABLE supabase_functions.hooks TO PUBLIC",
                "PLATFORM GRANT UPDATE ON TABLE supabase_functions.hooks TO authenticated",
            ]
        );
        assert_eq!(
            full.sql("postgres", "SELECT count(*) FROM public.presence_cache"),
            "100"
        );
    }
    // Where one statement fails in one transaction all is undone, the roles too, and no secret is told.
    full.sql(
        "postgres",
        "REVOKE EXECUTE ON FUNCTION vault.update_secret FROM PUBLIC; SET SESSION AUTHORIZATION postgres;
         DELETE FROM public.presence_cache; ALTER ROLE kulti_worker PASSWORD 'later'; ALTER DATABASE postgres SET work_mem = '5MB'",
    );
    let before = fingerprint(&full);
    let mut options = options();
    options.target = TargetPolicy::Clean;
    let config = owner(&full);
    let plan = backstay::plan_restore(&backup, &config, &options).unwrap();
    let report = backstay::restore(&backup, &plan, &config, &Silent, &CancelToken::new()).unwrap();
    assert_eq!(report.failures.len(), 1, "{:#?}", report.failures);
    assert!(
        !report.is_complete() && !format!("{report:?}").contains("hunter2"),
        "{:#?}",
        report.failures
    );
    assert_same(&before, &fingerprint(&full));
}

#[test]
fn secrets_and_what_changes_at_any_time_stay_out() {
    let full = project_in_use();
    full.sql("postgres", "SELECT cron.schedule('tidy up', '@daily', 'select 4')");
    let backup = back_up(&full, "backups", |_| {});
    let told: Vec<&str> = backup
        .manifest()
        .omissions
        .iter()
        .map(|omission| omission.subject.as_str())
        .collect();
    for subject in [
        "1 secrets of the vault",
        "job tidy up of supabase_admin",
        "tables of the schema realtime",
        "rows of cron.job",
        "rows of vault.secrets",
    ] {
        assert!(told.contains(&subject), "{told:#?}");
    }
    let members = &backup.manifest().members;
    let texts: Vec<u8> = members.iter().flat_map(|member| backup.text(member).unwrap()).collect();
    assert!(!String::from_utf8_lossy(&texts).contains("hunter2"));
    // Verifiers of the platform's own roles are nobody's business; those of the application's roles come along.
    let verifiers: Vec<String> = String::from_utf8_lossy(&texts)
        .lines()
        .filter(|line| line.starts_with("--G ALTER ROLE") && line.contains("PASSWORD"))
        .map(|line| line.split(' ').nth(3).unwrap().to_owned())
        .collect();
    assert_eq!(verifiers, ["kulti_worker"]);
    let last = backup
        .manifest()
        .entries
        .iter()
        .filter(|entry| entry.stage == Stage::Last && entry.kind == "CRON JOB");
    assert_eq!(last.count(), 4);

    // A server of one's own takes all of it, what calls the platform's services being passed over.
    let other = Cluster::start_as(&installation_since(15), "supabase_admin", &[]);
    other.sql("template1", "CREATE ROLE postgres");
    other.create_database("own");
    for role in [
        "anon",
        "authenticated",
        "service_role",
        "dashboard_user",
        "pgbouncer",
        "kulti_readonly",
        "kulti_worker",
    ] {
        other.sql("own", &format!("CREATE ROLE {role}"));
    }
    for role in ["auth", "storage", "realtime", "functions"] {
        other.sql("own", &format!("CREATE ROLE supabase_{role}_admin"));
    }
    let pack = full.path("backups").join(format!("{}.sql.gz", backup.manifest().id));
    let output = other.restore_by_psql("own", &pack);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(other.sql("own", "SELECT count(*) FROM auth.users"), "200");
    assert_eq!(other.sql("own", "SELECT count(*) FROM cron.job"), "4");
    let proof = backstay::prove(&backup, &other.config("own"), 2, &Silent, &CancelToken::new()).unwrap();
    assert!(proof.is_equal(), "{:#?}", proof.mismatches);

    let whole = back_up(&full, "whole", |options| {
        options.source.platform = PlatformChoice::Is(Platform::Plain);
    });
    assert_eq!(whole.manifest().source.platform, None);
    assert!(
        whole
            .manifest()
            .tables
            .iter()
            .any(|table| table.schema.as_bytes() == b"realtime")
    );
}
