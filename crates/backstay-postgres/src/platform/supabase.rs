//! Supabase. `[pg]` is its image of PostgreSQL (github.com/supabase/postgres), `[cli]` its program (supabase/cli), `[auth]` and
//! `[storage]` its services.

use super::{KeptElsewhere, Platform, Profile, Services, Signs};

pub(super) static PROFILE: Profile = Profile {
    platform: Platform::Supabase,
    // Its documentation, "Connecting to your database".
    hosts: &[".supabase.co", ".supabase.com"],
    signs: Signs {
        roles: &["supabase_admin", "supabase_auth_admin", "authenticator", "anon"],
        schemas: &["auth", "storage"],
    },
    // [pg] nix/tests/expected/roles.out; [cli] the roles that its dump leaves out. supautils refuses to change them.
    roles: &[
        "anon",
        "authenticated",
        "authenticator",
        "cli_login_postgres",
        "dashboard_user",
        "pgbouncer",
        "pgsodium_*",
        "pgtle_admin",
        "postgres",
        "service_role",
        "supabase_*",
        "pg_*",
    ],
    // [cli] the settings that its dump of roles keeps.
    role_settings: &["pgaudit.*", "pgrst.*", "statement_timeout"],
    // [pg] migrations/10000000000000_demote-postgres.sql: owner of what the application makes.
    customer: Some("postgres"),
    // [cli] the schemas that its dump leaves out, without those in which the application may make something itself (pgmq,
    // topology, supabase_migrations, extensions).
    schemas: &[
        "_analytics",
        "_realtime",
        "_supavisor",
        "auth",
        "cron",
        "etl",
        "graphql",
        "graphql_public",
        "net",
        "pgbouncer",
        "pgsodium",
        "pgsodium_masks",
        "pgtle",
        "realtime",
        "storage",
        "supabase_functions",
        "vault",
    ],
    shared_schemas: &["extensions"],
    // The service makes and drops a partition of realtime.messages for each day; who has it locked holds up everybody.
    unread_schemas: &["realtime"],
    // Jobs and secrets come back by calls of the extensions: [pg] nix/tests/expected/vault.out, postgres may only read them.
    // The rest is a log or a queue of the moment.
    unread_rows: &["cron.*", "net.*", "pgsodium.*", "vault.*"],
    // Who may log in, is logged in, and by what: [auth] migrations/, [storage] migrations/.
    rows: &["auth.*", "storage.*"],
    // Which migrations a service has run tells of its tables, which are the target's own; and uploads that were under way.
    // [storage] migration 0045: postgres may only read vectors.
    rows_left: &[
        "auth.schema_migrations",
        "storage.migrations",
        "storage.s3_multipart_uploads*",
        "storage.buckets_vectors",
        "storage.vector_indexes",
        "storage.buckets_analytics",
        "storage.iceberg_*",
    ],
    // [pg] ansible/files: its services' own. What is left of them elsewhere is functions that fail when they are called.
    own_extensions: &["pg_cron", "pg_graphql", "pg_net", "pgjwt", "pgsodium", "supabase_vault"],
    services: Services::Supabase,
    // [pg] supautils: privileged_role_allowed_configs.
    loads_as_replica: true,
    one_transaction_below: 1 << 30,
    // PostgREST's documentation, "Schema cache": its event trigger does not fire in the replica role.
    notify: Some("NOTIFY pgrst, 'reload schema'"),
    // [storage]: migrations/, the table objects.
    rows_of_files: Some("storage.objects"),
    kept_elsewhere: &[
        KeptElsewhere {
            what: "files in storage",
            how: "backstay storage-files backup",
        },
        KeptElsewhere {
            what: "JWT secret or signing keys, and API keys",
            how: "Project Settings > JWT Keys and > API Keys; keep them in a password manager",
        },
        KeptElsewhere {
            what: "edge functions and their secrets",
            how: "supabase functions download NAME; the secrets are shown to nobody: keep them where they come from",
        },
        KeptElsewhere {
            what: "settings of auth: providers, URLs, templates of mails",
            how: "Authentication > Sign In / Providers; supabase config push, from a config.toml under version control",
        },
        KeptElsewhere {
            what: "SMTP server and its password",
            how: "Authentication > Emails > SMTP Settings",
        },
        KeptElsewhere {
            what: "settings of realtime, network restrictions, custom domain, add-ons",
            how: "Project Settings; note them",
        },
    ],
};
