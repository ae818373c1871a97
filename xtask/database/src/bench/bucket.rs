//! Backups into a bucket and out of it, near and far.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use backstay::ConnectionConfig;

use super::backup::{backup, pack, written};
use super::lab::{Lab, size};
use super::measure::{Sample, Success};
use super::restore::restore;
use super::{Contender, DELAY};
use crate::failure::Failure;

/// Columns of ratios, and the contenders that they are against.
pub(super) const PEERS: &[(&str, &str)] = &[("local", "local"), ("near", "ours-near")];

/// What is compressed with: the quicker one, which hides less of the store.
const COMPRESSION: &str = "zstd";

/// An S3 server in a process of its own, so that what it takes is not counted as the client's.
pub(super) struct Bucket {
    child: Child,
    near: String,
    far: String,
    folder: PathBuf,
    access_key: String,
    secret_key: String,
}

impl Bucket {
    pub(super) fn start(program: &Path) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .arg(DELAY.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::to(format!("run {}", program.display())))?;
        let output = child.stdout.take().map(BufReader::new);
        let mut lines = output.into_iter().flat_map(BufReader::lines);
        let mut line = || {
            let line = lines.next().and_then(Result::ok);
            line.ok_or_else(|| Failure::new("the S3 server does not say where it is"))
        };
        Ok(Self {
            near: line()?,
            far: line()?,
            folder: line()?.into(),
            access_key: line()?,
            secret_key: line()?,
            child,
        })
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It ends with its input, and removes its folder.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Where a bucket is.
#[derive(Clone, Copy)]
enum Distance {
    Near,
    Far,
}

impl Distance {
    fn key(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Far => "far",
        }
    }

    fn title(self) -> String {
        match self {
            Self::Near => "S3".to_owned(),
            Self::Far => format!("S3, answers {} ms later", DELAY.as_millis()),
        }
    }

    /// The prefix in the bucket.
    fn store(self) -> String {
        format!("s3://backups/{}", self.key())
    }
}

pub(super) fn backups<'l>(lab: &'l Lab, bucket: &'l Bucket) -> Vec<Contender<'l>> {
    let jobs = lab.options.jobs;
    let title = format!("backstay backup -j{jobs} --compress {COMPRESSION}");
    let mut all = vec![Contender::new("local", format!("{title} to local disk"), move || {
        let folder = lab.empty_path("local")?;
        let sample = lab.measure(
            &mut backup(lab, &lab.source(), jobs, COMPRESSION, folder.as_os_str()),
            Success::Zero,
        )?;
        written(sample, &folder)
    })];
    all.extend([Distance::Near, Distance::Far].map(|distance| {
        let title = format!("{title} to {}", distance.title());
        Contender::new(format!("ours-{}", distance.key()), title, move || {
            let before = size(&bucket.folder)?;
            let mut command = backup(lab, &lab.source(), jobs, COMPRESSION, distance.store().as_ref());
            let sample = lab.measure(at(&mut command, bucket, distance), Success::Zero)?;
            Ok(Sample {
                written_bytes: Some(size(&bucket.folder)? - before),
                ..sample
            })
        })
    }));
    all
}

pub(super) fn restores<'l>(lab: &'l Lab, bucket: &'l Bucket) -> Vec<Contender<'l>> {
    let jobs = lab.options.jobs;
    let title = format!("backstay restore -j{jobs} of {COMPRESSION}");
    let mut all = vec![Contender::new("local", format!("{title} from local disk"), move || {
        measured(lab, |copy| {
            Ok(restore(lab, copy, jobs, pack(&lab.path("local"))?.as_os_str()))
        })
    })];
    all.extend([Distance::Near, Distance::Far].map(|distance| {
        let title = format!("{title} from {}", distance.title());
        Contender::new(format!("ours-{}", distance.key()), title, move || {
            measured(lab, |copy| {
                let mut command = restore(lab, copy, jobs, "latest".as_ref());
                command.env("BACKSTAY_STORE", distance.store());
                at(&mut command, bucket, distance);
                Ok(command)
            })
        })
    }));
    all
}

fn measured(lab: &Lab, restore: impl FnOnce(&ConnectionConfig) -> Result<Command, Failure>) -> Result<Sample, Failure> {
    lab.measure_restore("backstay", |copy| lab.measure(&mut restore(copy)?, Success::Zero))
}

fn at<'c>(command: &'c mut Command, bucket: &Bucket, distance: Distance) -> &'c mut Command {
    let endpoint = match distance {
        Distance::Near => &bucket.near,
        Distance::Far => &bucket.far,
    };
    command
        .env("AWS_ENDPOINT_URL_S3", endpoint)
        .env("AWS_ACCESS_KEY_ID", &bucket.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &bucket.secret_key)
}
