//! A project on an older server and on a newer one, where memberships are other than before.

use backstay::{DefinitionsCompared, SearchPath};
use backstay_postgres::Installation;

use super::{back_up, in_use, jobs, options, owner, project, project_in_use, project_on, restored};
use crate::support::{Cluster, installations};

/// Who has the rights of which role of the application, and may act as it.
fn memberships(cluster: &Cluster) -> Vec<String> {
    let set = match cluster.server.installation().major() {
        ..16 => "MEMBER",
        16.. => "SET",
    };
    let found = cluster.sql(
        "postgres",
        &format!(
            "SELECT m.rolname, r.rolname, pg_has_role(m.oid, r.oid, 'USAGE'), pg_has_role(m.oid, r.oid, '{set}')
             FROM pg_roles m, pg_roles r WHERE m.rolname ~ '^(postgres|kulti_)' AND r.rolname ~ '^kulti_' ORDER BY 1, 2"
        ),
    );
    found.lines().map(str::to_owned).collect()
}

/// Before 16 who may give a role on may act as it, and who makes one is no member; from 16 on who makes one may give it on, and
/// may not act as it. One version has the other test.
#[test]
fn a_project_comes_back_on_a_newer_server() {
    let mut installations = installations();
    installations.retain(|installation| installation.major() >= 15);
    installations.sort_by_key(Installation::major);
    let (Some(older), Some(newer)) = (installations.first(), installations.last()) else {
        return;
    };
    if older.major() == newer.major() {
        return;
    }
    let full = in_use(project_on(older));
    full.sql(
        "postgres",
        "CREATE ROLE kulti_other; GRANT kulti_other TO postgres WITH ADMIN OPTION",
    );
    full.sql(
        "postgres",
        "CREATE TABLE public.of_other (); ALTER TABLE public.of_other OWNER TO kulti_worker",
    );
    // What everybody who may make roles could still give, and only those who administer it can now.
    full.sql("postgres", "GRANT pg_read_all_data TO kulti_worker");
    let backup = back_up(&full, "backups", |_| {});
    let fresh = project_on(newer);
    let report = restored(&backup, &fresh, &options());
    let told: Vec<_> = report
        .failures
        .iter()
        .map(|failure| {
            (
                failure.what.as_str(),
                failure.statement.as_deref(),
                failure.sql_state.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [(
            "membership of kulti_worker in pg_read_all_data",
            Some("GRANT pg_read_all_data TO kulti_worker;"),
            Some("42501")
        )]
    );
    let seen = report.examination.expect("definitions are compared");
    assert!(report.proof.is_some_and(|proof| proof.is_equal()) && seen.differences.is_empty());
    assert_eq!(memberships(&full), memberships(&fresh));
    assert_eq!(jobs(&full), jobs(&fresh));
}

/// Without a `pg_dump` for the target nobody compares definitions, and nobody says that they are proven.
#[test]
fn what_cannot_be_proven_is_told_before_and_behind() {
    let full = project_in_use();
    let backup = back_up(&full, "backups", |_| {});
    let fresh = project();
    let mut options = options();
    assert!(
        backstay::plan_restore(&backup, &owner(&fresh), &options)
            .unwrap()
            .warnings
            .iter()
            .all(|warning| !warning.contains("pg_dump"))
    );
    options.programs = Some(SearchPath::only(vec![fresh.path("nowhere")]));
    let warnings = backstay::plan_restore(&backup, &owner(&fresh), &options)
        .unwrap()
        .warnings;
    let told = |warning: &String| warning.starts_with("definitions, rights and policies will not be compared");
    assert!(warnings.iter().any(told), "{warnings:#?}");
    let report = restored(&backup, &fresh, &options);
    assert!(report.is_complete() && !report.is_proven(), "{report:#?}");
    assert_eq!(report.examination.unwrap().compared, DefinitionsCompared::Not);
}
