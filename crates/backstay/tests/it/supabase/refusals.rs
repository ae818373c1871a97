//! Targets that could not take the backup of a project whole.

use backstay::{ConnectionConfig, Manifest, Platform, PlatformChoice, RestoreRefusal, TargetError, TargetPolicy};

use super::{options, owner, role};
use crate::support::Cluster;

/// Tries targets that could not take the backup whole; each is as it was afterwards.
pub(super) fn refuses_what_would_lose_something(manifest: &Manifest, fresh: &Cluster) {
    let plan = |config: &ConnectionConfig, manifest: &Manifest| match backstay_postgres::plan_restore(
        manifest,
        config,
        &options(),
    ) {
        Err(TargetError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let refused = |before: &str, after: &str| {
        fresh.sql("postgres", before);
        let refusal = plan(&owner(fresh), manifest);
        fresh.sql("postgres", after);
        refusal
    };
    let lacks = |refusal: RestoreRefusal| match refusal {
        RestoreRefusal::PlatformLacks { tables, .. } | RestoreRefusal::PlatformDenies { tables, .. } => tables,
        other => panic!("{other:?}"),
    };
    let renamed = lacks(refused(
        "ALTER TABLE storage.objects RENAME user_metadata TO other",
        "ALTER TABLE storage.objects RENAME other TO user_metadata",
    ));
    assert_eq!(renamed, ["storage.objects (user_metadata)"]);
    let gone = lacks(refused(
        "ALTER TABLE auth.sessions RENAME TO other",
        "ALTER TABLE auth.other RENAME TO sessions",
    ));
    assert_eq!(gone, ["auth.sessions"]);
    let denied = lacks(refused(
        "REVOKE supabase_auth_admin FROM postgres; REVOKE INSERT ON auth.identities FROM postgres",
        "GRANT INSERT ON auth.identities TO postgres; GRANT supabase_auth_admin TO postgres",
    ));
    assert_eq!(denied, ["auth.identities"]);
    let occupied = |refusal| match refusal {
        RestoreRefusal::NotEmpty { objects, .. } => objects,
        other => panic!("{other:?}"),
    };
    let rows = occupied(refused(
        "INSERT INTO storage.buckets (id, name) VALUES ('a', 'a')",
        "TRUNCATE storage.buckets CASCADE",
    ));
    assert_eq!(rows, ["rows of storage.buckets"]);
    assert_eq!(
        occupied(refused("CREATE TABLE public.x ()", "DROP TABLE public.x")),
        ["public.x"]
    );
    let replica = refused(
        "REVOKE SET ON PARAMETER session_replication_role FROM postgres",
        "GRANT SET ON PARAMETER session_replication_role TO postgres",
    );
    assert_eq!(
        replica,
        RestoreRefusal::MayNotBeReplica {
            role: "postgres".to_owned()
        }
    );
    let restricted = plan(&role(fresh, "authenticator"), manifest);
    assert!(
        matches!(restricted, RestoreRefusal::NotCustomer { .. }),
        "{restricted:?}"
    );

    let changed = |with: &dyn Fn(&mut Manifest)| {
        let mut manifest = manifest.clone();
        with(&mut manifest);
        plan(&owner(fresh), &manifest)
    };
    let older = changed(&|manifest| manifest.source.server_version_num = 990_000);
    assert!(
        matches!(older, RestoreRefusal::OlderTarget { from: 99, .. }),
        "{older:?}"
    );
    let missing = changed(&|manifest| {
        let mut extension = manifest
            .entries
            .iter()
            .find(|entry| entry.kind == "EXTENSION")
            .unwrap()
            .clone();
        extension.name = "postgis_of_the_future".into();
        manifest.source.extensions[0].name = extension.name.clone();
        manifest.entries.push(extension);
    });
    assert!(
        matches!(missing, RestoreRefusal::MissingExtensions { .. }),
        "{missing:?}"
    );
    let beside = ConnectionConfig {
        database: "beside".to_owned(),
        ..owner(fresh)
    };
    let mut create = options();
    create.target = TargetPolicy::Create;
    let refusal = backstay_postgres::plan_restore(manifest, &beside, &create);
    assert!(
        matches!(refusal, Err(TargetError::Refused(RestoreRefusal::BesideProject { .. }))),
        "{refusal:?}"
    );
    let project = |choice| backstay::find_project(&owner(fresh), choice).unwrap().is_some();
    assert!(project(PlatformChoice::Auto) && !project(PlatformChoice::Is(Platform::Plain)));
    let other = changed(&|manifest| manifest.source.platform = None);
    assert!(matches!(other, RestoreRefusal::OtherPlatform { .. }), "{other:?}");
}
