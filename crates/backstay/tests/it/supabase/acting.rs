//! What the role that restores is lent to act as the owners of what it restores, and how it gives that back.

use std::slice;
use std::sync::Mutex;

use backstay::{Atomicity, CancelToken, Phase, Progress, ProgressEvent, TargetError};

use super::{back_up, options, owner, project, project_in_use};
use crate::support::Cluster;

/// What may be done as the owner of what no role but its own may act as.
fn may_act(cluster: &Cluster) -> Vec<String> {
    let by_itself = match cluster.server.installation().major() {
        ..16 => "false",
        // Who makes a role is given it by another.
        16.. => "a.grantor <> a.member",
    };
    let query = format!(
        "SELECT 'member of ' || a.roleid::regrole FROM pg_auth_members a
         WHERE a.member = 'postgres'::regrole AND a.roleid::regrole::text LIKE 'kulti_%' AND NOT {by_itself}
         UNION ALL SELECT 'makes in ' || nspname FROM pg_namespace, pg_roles r
         WHERE rolname = 'kulti_worker' AND has_schema_privilege(r.oid, pg_namespace.oid, 'CREATE') ORDER BY 1"
    );
    cluster.sql("postgres", &query).lines().map(str::to_owned).collect()
}

/// A project in which a role that nobody may act as owns a table, whose rows it hides.
fn with_an_owner() -> Cluster {
    let full = project_in_use();
    full.sql(
        "postgres",
        "CREATE TABLE public.of_worker (x int); INSERT INTO public.of_worker SELECT generate_series(1, 100);
         ALTER TABLE public.of_worker OWNER TO kulti_worker; ALTER TABLE public.of_worker ENABLE ROW LEVEL SECURITY;
         ALTER TABLE public.of_worker FORCE ROW LEVEL SECURITY; GRANT SELECT ON public.of_worker TO postgres",
    );
    full
}

/// Does something when a phase begins.
struct When<F: Fn() + Sync>(Phase, F);

impl<F: Fn() + Sync> Progress for When<F> {
    fn event(&self, event: ProgressEvent<'_>) {
        if matches!(event, ProgressEvent::Phase { phase, .. } if phase == self.0) {
            (self.1)();
        }
    }
}

#[test]
fn nothing_is_lent_any_more_while_it_is_proven() {
    let full = with_an_owner();
    let expected = may_act(&full);
    assert!(!expected.contains(&"member of kulti_worker".to_owned()), "{expected:?}");
    let backup = back_up(&full, "backups", |_| {});
    for atomicity in [Atomicity::SingleTransaction, Atomicity::StepByStep] {
        let mut options = options();
        options.atomicity = atomicity;
        let (fresh, cancel, lent) = (project(), CancelToken::new(), Mutex::new(Vec::new()));
        let was_lent = When(Phase::Prove, || {
            lent.lock().unwrap().push(may_act(&fresh));
            // As if it were killed.
            cancel.cancel();
        });
        let plan = backstay::plan_restore(&backup, &owner(&fresh), &options).unwrap();
        let cancelled = backstay::restore(&backup, &plan, &owner(&fresh), &was_lent, &cancel);
        assert!(matches!(cancelled, Err(TargetError::Cancelled)), "{cancelled:?}");
        assert_eq!(lent.into_inner().unwrap(), slice::from_ref(&expected), "{atomicity:?}");
        assert_eq!(may_act(&fresh), expected);
        let analyzed = "SELECT reltuples FROM pg_class WHERE oid = 'public.of_worker'::regclass";
        assert_eq!(
            fresh.sql("postgres", analyzed),
            "100",
            "statistics are gathered as its owner"
        );
        // And without it everything can be proven.
        let whole = project();
        let report = super::restore(&backup, &whole, &options);
        assert!(report.proof.unwrap().rows > 100);
        assert_eq!(may_act(&whole), expected);
    }
}

#[test]
fn what_cannot_be_given_back_is_told() {
    let full = with_an_owner();
    let backup = back_up(&full, "backups", |_| {});
    let fresh = project();
    let before = may_act(&fresh);
    let fresh = Mutex::new(fresh);
    let (config, plan) = {
        let fresh = fresh.lock().unwrap();
        let mut options = options();
        options.atomicity = Atomicity::StepByStep;
        (
            owner(&fresh),
            backstay::plan_restore(&backup, &owner(&fresh), &options).unwrap(),
        )
    };
    let going = When(Phase::Restore, || fresh.lock().unwrap().server.crash().unwrap());
    let stopped = backstay::restore(&backup, &plan, &config, &going, &CancelToken::new());
    let Err(TargetError::StillLent { role, statements, .. }) = stopped else {
        panic!("{stopped:?}")
    };
    assert_eq!(role, "postgres");
    let mut fresh = fresh.into_inner().unwrap();
    fresh.server.restart().unwrap();
    let lent = ["makes in public", "member of kulti_worker"].map(str::to_owned);
    assert!(
        lent.iter().all(|lent| may_act(&fresh).contains(lent)),
        "{:?}",
        may_act(&fresh)
    );
    let statements = format!("SET SESSION AUTHORIZATION postgres; {}", statements.concat());
    fresh.sql("postgres", &statements);
    assert!(
        may_act(&fresh)
            .iter()
            .all(|may| before.contains(may) || !lent.contains(may))
    );
}
