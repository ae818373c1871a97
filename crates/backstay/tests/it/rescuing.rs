//! Rows that are put beside living ones, over a bad network and from a manifest that somebody changed.

use std::error::Error;

use backstay::{BackupReader, CancelToken, RescueError, Silent};
use backstay_postgres::{MemberSource, RestoreEvent, RestoreObserver};
use backstay_testkit::tcp_proxy::{Connections, Direction, Harm, TcpProxy};

use crate::sabotage::{scene, through};
use crate::support::{back_up, open};

const ROWS: &str = "CREATE TABLE t (a int, b text); INSERT INTO t SELECT i, i FROM generate_series(1, 10) i";

#[test]
fn a_rescue_whose_end_nobody_heard_of_is_looked_for() {
    let (cluster, repository) = scene("rescue_lost_answer", ROWS);
    let backup = open(
        &repository,
        &back_up(&cluster, "rescue_lost_answer", &repository, |_| {}).unwrap(),
    );
    let tables = ["t".to_owned()];
    let can_look = [true, false];
    for (direction, is_there) in [(Direction::ToServer, false), (Direction::ToClient, true)] {
        for can_look in can_look {
            let schema = format!("rescue_{is_there}_{can_look}");
            let proxy = TcpProxy::to_port(cluster.server.port());
            let harm = Harm::FlipBitOf {
                text: b"COMMIT\0",
                byte: 0,
                bit: 0,
            };
            // The first two plan: one looks whether the other is a session. The third one restores, and the fourth one looks.
            proxy.harm(Connections::Nth(3), direction, harm);
            if !can_look {
                proxy.harm(Connections::Nth(4), Direction::ToServer, Harm::CloseAfter(0));
            }
            let config = through(&proxy, cluster.config("rescue_lost_answer"));
            let plan = backstay::plan_rescue(&backup, &config, &tables, &schema).unwrap();
            let rescued = backstay::rescue(&backup, &plan, &config, &Silent, &CancelToken::new());
            proxy.assert_all_befell();
            match (can_look, &rescued) {
                (true, Ok(())) if is_there => {}
                (true, Err(RescueError::Wire { .. })) if !is_there => {}
                (false, Err(RescueError::Unknown { .. })) => {}
                _ => panic!("{schema}: {rescued:?}"),
            }
            let sql = format!("SELECT count(*) > 0 FROM pg_namespace WHERE nspname = '{schema}'");
            let found = cluster.sql("rescue_lost_answer", &sql);
            assert_eq!(found, if is_there { "t" } else { "f" }, "{schema}");
        }
    }
}

struct Members<'b>(&'b BackupReader);

impl MemberSource for Members<'_> {
    fn text(&self, member: usize) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.text(&self.0.manifest().members[member])?)
    }
}

struct Unseen;

impl RestoreObserver for Unseen {
    fn event(&self, _: RestoreEvent<'_>) {}
}

/// A type may be written with a comment, and what follows is no part of that.
#[test]
fn a_comment_in_a_type_ends_with_it() {
    let (cluster, repository) = scene("rescue_comment", ROWS);
    let backup = open(
        &repository,
        &back_up(&cluster, "rescue_comment", &repository, |_| {}).unwrap(),
    );
    let mut manifest = backup.manifest().clone();
    for column in &mut manifest.tables[0].columns {
        column.data_type = format!("{} --", column.data_type).as_str().into();
    }
    let config = cluster.config("rescue_comment");
    let plan = backstay_postgres::plan_rescue(&manifest, &config, &["t".to_owned()], "rescued").unwrap();
    let cancel = CancelToken::new();
    backstay_postgres::apply_rescue(&plan, &manifest, &Members(&backup), &config, &Unseen, &cancel).unwrap();
    assert_eq!(cluster.sql("rescue_comment", "SELECT count(b) FROM rescued.t"), "10");
}
