use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use backstay::ConnectionConfig;

use super::lab::{Lab, size};
use super::measure::{Sample, Success};
use super::{Contender, floor};
use crate::client::{client, connect};
use crate::failure::Failure;

/// Columns of ratios, and the contenders that they are against.
pub(super) const PEERS: &[(&str, &str)] = &[
    ("floor", "floor"),
    ("|gzip", "plain"),
    ("-Fd gzip", "directory"),
    ("-Fd zstd", "newer-zstd:1"),
];

/// What a newer `pg_dump` compresses with.
const NEWER: [&str; 3] = ["gzip:1", "zstd:1", "lz4"];

/// A key that nobody has the identity of.
const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
const RECIPIENT_SHOWN: &str = "age1…";

pub(super) fn contenders(lab: &Lab) -> Vec<Contender<'_>> {
    let jobs = lab.options.jobs;
    let own = lab.installation().major();
    let mut all = vec![
        Contender::new(
            "floor",
            format!("COPY TO '/dev/null' by {jobs} connections"),
            move || lab.with_server(|| Ok(Sample::of_wall(floor::backup(&lab.source(), jobs)?))),
        ),
        Contender::new("plain", format!("pg_dump {own} | gzip; sha256sum"), || plain(lab)),
        Contender::new("directory", format!("pg_dump {own} -Fd -j{jobs} -Z1"), move || {
            let pg_dump = lab.installation().program("pg_dump");
            directory(lab, &pg_dump, "--compress=1", "directory")
        }),
    ];
    if let Some(newer) = &lab.newer {
        all.extend(NEWER.map(|compression| {
            let key = format!("newer-{compression}");
            let title = format!("pg_dump {} -Fd -j{jobs} --compress={compression}", newer.version.major);
            Contender::new(key.clone(), title, move || {
                directory(lab, &newer.path, &format!("--compress={compression}"), &key)
            })
        }));
    }
    for compression in &lab.options.compress {
        let title = format!("backstay backup -j{jobs} --compress {compression}");
        let key = format!("ours-{compression}");
        all.push(Contender::new(
            format!("{key}-believed"),
            format!("{title} --no-read-back"),
            move || ours(lab, compression, &["--no-read-back"]),
        ));
        all.push(Contender::new(
            format!("{key}-sealed"),
            format!("{title} --encrypt-to {RECIPIENT_SHOWN}"),
            move || ours(lab, compression, &["--encrypt-to", RECIPIENT]),
        ));
        all.push(Contender::new(key, title, move || ours(lab, compression, &[])));
    }
    all
}

/// The file that `pg_dump | gzip` leaves.
pub(super) fn plain_file(lab: &Lab) -> PathBuf {
    lab.path("plain.sql.gz")
}

/// The store with Backstay's own backup of a compression.
pub(super) fn store(lab: &Lab, compression: &str) -> PathBuf {
    lab.path(&format!("ours-{compression}"))
}

/// The one pack in a store.
pub(super) fn pack(store: &Path) -> Result<PathBuf, Failure> {
    for entry in std::fs::read_dir(store).map_err(Failure::to(format!("read {}", store.display())))? {
        let path = entry?.path();
        let name = path.to_string_lossy();
        if name.ends_with(".sql.gz") || name.ends_with(".sql.zst") {
            return Ok(path);
        }
    }
    Err(Failure::new(format!("there is no pack in {}", store.display())))
}

fn plain(lab: &Lab) -> Result<Sample, Failure> {
    let mut shell = Command::new("bash");
    shell.args([
        "-o",
        "pipefail",
        "-c",
        "\"$1\" | gzip > \"$2\" && sha256sum \"$2\" > \"$2.sha256\"",
        "bash",
    ]);
    shell.arg(lab.installation().program("pg_dump")).arg(plain_file(lab));
    connect(&mut shell, &lab.source());
    let sample = lab.measure(&mut shell, Success::Zero)?;
    written(sample, &plain_file(lab))
}

fn directory(lab: &Lab, pg_dump: &Path, compression: &str, name: &str) -> Result<Sample, Failure> {
    let folder = lab.empty_path(name)?;
    let mut command = client(pg_dump, &lab.source());
    command.args([
        "--format=directory",
        compression,
        "--jobs",
        &lab.options.jobs.to_string(),
        "--file",
    ]);
    let sample = lab.measure(command.arg(&folder), Success::Zero)?;
    written(sample, &folder)
}

fn ours(lab: &Lab, compression: &str, more: &[&str]) -> Result<Sample, Failure> {
    let store = lab.empty_path(&format!("ours-{compression}"))?;
    let mut command = backup(lab, &lab.source(), lab.options.jobs, compression, store.as_os_str());
    let sample = lab.measure(command.args(more), Success::Zero)?;
    written(sample, &store)
}

/// Backstay's backup of a database into a store.
pub(super) fn backup(lab: &Lab, source: &ConnectionConfig, jobs: usize, compression: &str, store: &OsStr) -> Command {
    let mut command = Command::new(&lab.backstay);
    command.args(["backup", "--quiet", "--compress", compression]);
    command
        .args(["--jobs", &jobs.to_string(), "--from", &Lab::url(source)])
        .arg(store);
    command
}

pub(super) fn written(sample: Sample, path: &Path) -> Result<Sample, Failure> {
    Ok(Sample {
        written_bytes: Some(size(path)?),
        ..sample
    })
}
