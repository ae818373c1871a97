//! The page for projects of Supabase, lived through with two servers that are made as its are.

use std::collections::BTreeSet;

use backstay_testkit::{SupabaseProject, SupabaseServer};

use super::{example, fenced, run_with};
use crate::support::Sandbox;

const SUPABASE: &str = include_str!("../../../../../docs/supabase.md");

const STATE: &str = "SELECT (SELECT md5(string_agg(u::text, E'\\n' ORDER BY id)) FROM public.users u),
    (SELECT md5(string_agg(email, E'\\n' ORDER BY id)) FROM auth.users),
    (SELECT count(*) FROM storage.objects), (SELECT secret FROM vault.decrypted_secrets),
    has_table_privilege('anon', 'public.credit_transactions', 'INSERT')";

#[test]
fn the_page_for_supabase_works() {
    let (project, new) = (Sandbox::of_supabase(), Sandbox::of_supabase());
    for file in ["40-kulti.sql", "41-kulti-data.sql", "42-kulti-platform.sql"] {
        project.sql_file_as("postgres", file);
    }
    let (files, new_files) = (SupabaseProject::start(), SupabaseProject::start());
    let rows = project.sql("postgres", "SELECT bucket_id, name FROM storage.objects ORDER BY 1, 2");
    assert!(rows.lines().count() > 3, "{rows}");
    for row in rows.lines() {
        let (bucket, name) = row.split_once('|').unwrap();
        if files.bucket(bucket).is_none() {
            files.create_bucket(bucket, false);
        }
        files.put(bucket, name, name.as_bytes());
    }
    let before = project.sql("postgres", STATE);
    let variables = [
        ("SUPABASE_URL", files.http.endpoint()),
        ("SUPABASE_SECRET_KEY", SupabaseServer::SECRET_KEY.to_owned()),
        ("NEW_PROJECT_URL", new_files.http.endpoint()),
        ("DATABASE_URL", project.url("postgres")),
        ("NEW_DATABASE_URL", new.url("postgres")),
        ("BACKSTAY_STORE", "backups".to_owned()),
    ];
    let mut lived = BTreeSet::new();
    let mut live = |name: &'static str| {
        lived.insert(name);
        run_with(&project, name, &example(SUPABASE, name), &variables)
    };
    let looked = live("look");
    assert!(
        looked.contains("platform: Supabase (found by its roles and schemas)"),
        "{looked}"
    );
    live("key");
    let made = live("nightly");
    for told in [
        "Supabase (found by",
        "save it as well",
        "edge functions",
        "schema realtime",
    ] {
        assert!(made.contains(told), "{told}: {made}");
    }
    let saved = live("files");
    assert!(saved.contains(&format!("{} files in", rows.lines().count())), "{saved}");
    let drilled = live("drill");
    assert!(drilled.contains("passed"), "{drilled}");
    let restored = live("new-project");
    assert!(restored.contains("with rights and policies: equal"), "{restored}");
    let files = format!("{} files of storage, whose rows are here", rows.lines().count());
    assert!(restored.contains(&files), "{restored}");
    assert_eq!(new.sql("postgres", STATE), before);
    live("files-back");
    for row in rows.lines() {
        let (bucket, name) = row.split_once('|').unwrap();
        let file = new_files.file(bucket, name).expect("it is back");
        assert_eq!(file.content.as_deref(), Some(name.as_bytes()), "{row}");
    }
    let mut psql = new.client("psql", "postgres");
    psql.env("PGUSER", "kulti_worker").env("PGPASSWORD", "worker-password");
    let output = psql
        .args(["-XAtqc", "SELECT current_user"])
        .output()
        .expect("psql runs");
    assert_eq!(output.stdout, b"kulti_worker\n", "{output:?}");
    project.sql(
        "postgres",
        "DELETE FROM public.session_participants; UPDATE public.users SET bio = NULL; GRANT ALL ON public.credit_transactions TO anon;
         UPDATE auth.users SET email = NULL; DELETE FROM vault.secrets",
    );
    live("in-place");
    assert_eq!(project.sql("postgres", STATE), before);
    let names = fenced(SUPABASE).into_iter().filter(|(language, ..)| *language == "sh");
    assert_eq!(names.map(|(_, name, _)| name).collect::<BTreeSet<_>>(), lived);
}
