use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use backstay::ConnectionConfig;

use super::Contender;
use super::backup::{pack, plain_file, store};
use super::lab::Lab;
use super::measure::{Sample, Success};
use crate::client::{client, connect};
use crate::failure::Failure;

/// Columns of ratios, and the contenders that they are against.
pub(super) const PEERS: &[(&str, &str)] = &[
    ("floor", "floor"),
    ("|psql", "psql"),
    ("pg_restore", "pg_restore"),
    ("newer", "newer-pg_restore"),
];

pub(super) fn contenders(lab: &Lab) -> Vec<Contender<'_>> {
    let jobs = lab.options.jobs;
    let own = lab.installation().major();
    let mut all = vec![
        Contender::new(
            "floor",
            format!("COPY FROM files by {jobs} connections, then the same keys"),
            move || floor(lab, jobs),
        ),
        Contender::new("psql", format!("gunzip | psql {own}"), || by_psql(lab)),
        Contender::new("pg_restore", format!("pg_restore {own} -j{jobs}"), move || {
            let pg_restore = lab.installation().program("pg_restore");
            by_pg_restore(lab, &pg_restore, "directory")
        }),
    ];
    if let Some(newer) = &lab.newer {
        let title = format!("pg_restore {} -j{jobs} of zstd:1", newer.version.major);
        all.push(Contender::new("newer-pg_restore", title, || {
            by_pg_restore(lab, &newer.path.with_file_name("pg_restore"), "newer-zstd:1")
        }));
    }
    for compression in &lab.options.compress {
        let title = format!("backstay restore -j{jobs} of {compression}");
        all.push(Contender::new(format!("ours-{compression}"), title, move || {
            ours(lab, compression)
        }));
    }
    all
}

fn floor(lab: &Lab, jobs: usize) -> Result<Sample, Failure> {
    let export = lab.export()?;
    lab.measure_restore("the server itself", |copy| {
        let filling = lab.filling(copy.clone());
        filling.tables()?;
        lab.with_server(|| Ok(Sample::of_wall(export.restore(&filling, jobs)?)))
    })
}

fn by_psql(lab: &Lab) -> Result<Sample, Failure> {
    lab.measure_restore("psql", |copy| {
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", "gunzip --stdout \"$1\" | \"$2\" -Xq", "bash"]);
        shell.arg(plain_file(lab)).arg(lab.installation().program("psql"));
        connect(&mut shell, copy);
        lab.measure(&mut shell, Success::Zero)
    })
}

fn by_pg_restore(lab: &Lab, pg_restore: &Path, archive: &str) -> Result<Sample, Failure> {
    lab.measure_restore("pg_restore", |copy| {
        let mut command = client(pg_restore, copy);
        command.args(["--jobs", &lab.options.jobs.to_string(), "--dbname", &copy.database]);
        lab.measure(command.arg(lab.path(archive)), Success::OneAtMost)
    })
}

fn ours(lab: &Lab, compression: &str) -> Result<Sample, Failure> {
    lab.measure_restore("backstay", |copy| {
        let pack = pack(&store(lab, compression))?;
        lab.measure(
            &mut restore(lab, copy, lab.options.jobs, pack.as_os_str()),
            Success::Zero,
        )
    })
}

/// Backstay's restore of a backup, by its path or its id, into an empty database.
pub(super) fn restore(lab: &Lab, copy: &ConnectionConfig, jobs: usize, backup: &OsStr) -> Command {
    let mut command = Command::new(&lab.backstay);
    command.args(["restore", "--quiet", "--yes", &copy.database]);
    command
        .args(["--jobs", &jobs.to_string(), "--to", &Lab::url(copy)])
        .arg(backup);
    command
}
