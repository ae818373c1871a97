use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backstay::CancelToken;

use crate::failure::Failure;
use crate::interrupt;

mod backup;
mod bucket;
mod data;
mod floor;
mod lab;
mod measure;
mod memory;
mod report;
mod restore;
mod verify;

use bucket::Bucket;
use lab::Lab;
use measure::Sample;
use report::{Facts, Group};

const USAGE: &str = "\
options of bench:
  --scale F        size of the database; 1 is about 1 GiB of tables (default: 1)
  --jobs N         connections that work at the same time (default: 2)
  --runs R         how often each is measured; medians are shown (default: 3)
  --compress LIST  what Backstay compresses with (default: gzip,zstd)
  --clients FOLDER programs of a newer PostgreSQL, whose pg_dump has more compressions
  --with-pg17      fetch those of PostgreSQL 17
  --only WORD      measure only what has this in its name: backup, restore, verify, bucket, memory
                   (restore and verify read what backup leaves)
  --json FILE      also write the figures to a file
  --smoke          only show that everything works: the same as --scale 0.002 --runs 1";

/// From this scale on the ratios say something.
const JUDGED_SCALE_MIN: f64 = 0.1;

/// By how much later the answers of a bucket come that is far away.
const DELAY: Duration = Duration::from_millis(30);

/// What is measured, and how often.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    scale: f64,
    jobs: usize,
    runs: usize,
    compress: Vec<String>,
    clients: Option<PathBuf>,
    only: Option<String>,
    json: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            scale: 1.0,
            jobs: 2,
            runs: 3,
            compress: vec!["gzip".to_owned(), "zstd".to_owned()],
            clients: None,
            only: None,
            json: None,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument == "--smoke" {
                (options.scale, options.runs) = (0.002, 1);
                continue;
            }
            let wrong = || Failure::new(format!("{argument} cannot be understood\n{USAGE}"));
            let value = arguments.next().ok_or_else(wrong)?;
            match argument.as_str() {
                "--scale" => options.scale = value.parse().map_err(|_| wrong())?,
                "--jobs" => options.jobs = value.parse().map_err(|_| wrong())?,
                "--runs" => options.runs = value.parse().map_err(|_| wrong())?,
                "--compress" => options.compress = value.split(',').map(str::to_owned).collect(),
                "--clients" => options.clients = Some(value.into()),
                "--only" => options.only = Some(value.clone()),
                "--json" => options.json = Some(value.into()),
                _ => return Err(wrong()),
            }
        }
        let sane = options.scale > 0.0 && options.scale <= 1000.0 && options.jobs > 0 && options.runs > 0;
        if sane {
            Ok(options)
        } else {
            Err(Failure::new(format!("nothing can be measured like that\n{USAGE}")))
        }
    }
}

/// What is started to be measured, and what serves it.
pub(crate) struct Programs<'a> {
    /// The folder of PostgreSQL's.
    pub(crate) postgres: &'a Path,
    pub(crate) backstay: &'a Path,
    pub(crate) s3_server: &'a Path,
}

/// Something that is measured.
struct Contender<'l> {
    /// For machines and for comparisons.
    key: String,
    /// For people.
    title: String,
    run: Box<dyn Fn() -> Result<Sample, Failure> + 'l>,
}

impl<'l> Contender<'l> {
    fn new(key: impl Into<String>, title: impl Into<String>, run: impl Fn() -> Result<Sample, Failure> + 'l) -> Self {
        Self {
            key: key.into(),
            title: title.into(),
            run: Box::new(run),
        }
    }
}

/// Measures backups, restores and verifications beside what others do, on a server that is gone afterwards.
///
/// Nothing is asserted of times: machines differ, and are busy.
pub(crate) fn run(programs: &Programs<'_>, options: &Options) -> Result<(), Failure> {
    let cancel = interrupt::watch()?;
    match measure_all(programs, options, &cancel) {
        Err(_) if cancel.is_cancelled() => Err(Failure::new("cancelled; everything was removed")),
        other => other.map(drop),
    }
}

fn measure_all(programs: &Programs<'_>, options: &Options, cancel: &CancelToken) -> Result<Vec<Group>, Failure> {
    let begun = Instant::now();
    let lab = Lab::start(programs.postgres, programs.backstay, options.clone(), cancel.clone())?;
    let bucket = Bucket::start(programs.s3_server)?;
    println!("building a database of scale {}", options.scale);
    lab.fill()?;
    let facts = lab.facts()?;
    println!("{facts}");
    println!("it took {:.0} s", begun.elapsed().as_secs_f64());

    let mut groups = Vec::new();
    // Archives that backups leave are what restores and verifications read.
    for (name, contenders, peers) in [
        ("backup", backup::contenders(&lab), backup::PEERS),
        ("restore", restore::contenders(&lab), restore::PEERS),
        ("verify", verify::contenders(&lab), verify::PEERS),
        ("into a bucket", bucket::backups(&lab, &bucket), bucket::PEERS),
        ("out of a bucket", bucket::restores(&lab, &bucket), bucket::PEERS),
        ("memory", memory::contenders(&lab), memory::PEERS),
    ] {
        if options.only.as_ref().is_some_and(|word| !name.contains(word.as_str())) {
            continue;
        }
        let group = measure_group(&lab, name, &contenders, peers)?;
        println!("\n{group}");
        groups.push(group);
    }
    // Of a smaller database one would measure how long programs take to start.
    if options.scale >= JUDGED_SCALE_MIN {
        print!("{}", report::wanted(&groups));
    }
    if let Some(path) = &options.json {
        let json = report::json(&facts, &groups);
        std::fs::write(path, format!("{json:#}\n")).map_err(Failure::to(format!("write {}", path.display())))?;
    }
    lab.stop()?;
    Ok(groups)
}

/// Measures all in turn, then all again: what disturbs the machine for a while disturbs all of them.
fn measure_group(
    lab: &Lab,
    name: &'static str,
    contenders: &[Contender<'_>],
    peers: &'static [(&'static str, &'static str)],
) -> Result<Group, Failure> {
    let mut group = Group::new(name, peers, contenders);
    // What is in memory hardly changes from run to run.
    let runs = if peers.is_empty() { 1 } else { lab.options.runs };
    for run in 1..=runs {
        for (index, contender) in contenders.iter().enumerate() {
            lab.settle()?;
            let sample = (contender.run)()?;
            eprintln!(
                "{name} {run}/{runs}: {:6.2} s  {}",
                sample.wall.as_secs_f64(),
                contender.title
            );
            group.add(index, sample);
        }
    }
    Ok(group)
}

#[cfg(test)]
mod tests;
