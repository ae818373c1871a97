use std::process::Command;

use super::Contender;
use super::backup::{pack, plain_file, store};
use super::lab::Lab;
use super::measure::Success;

/// Columns of ratios, and the contenders that they are against.
pub(super) const PEERS: &[(&str, &str)] = &[("gunzip -t", "gunzip-gzip"), ("sha256sum", "sha256sum")];

pub(super) fn contenders(lab: &Lab) -> Vec<Contender<'_>> {
    let jobs = lab.options.jobs;
    let mut all = vec![
        Contender::new("sha256sum", "sha256sum of pg_dump | gzip", || {
            lab.measure(Command::new("sha256sum").arg(plain_file(lab)), Success::Zero)
        }),
        Contender::new("pg_restore", "pg_restore --list", || {
            let mut command = Command::new(lab.installation().program("pg_restore"));
            lab.measure(command.arg("--list").arg(lab.path("directory")), Success::Zero)
        }),
    ];
    for compression in &lab.options.compress {
        // Both mean "decompress all and compare the check sums that the format has".
        let program = if compression.starts_with("zstd") {
            "zstd"
        } else {
            "gunzip"
        };
        let title = format!("{program} -t of Backstay's {compression}");
        all.push(Contender::new(format!("{program}-{compression}"), title, move || {
            let mut command = Command::new(program);
            lab.measure(command.arg("-t").arg(pack(&store(lab, compression))?), Success::Zero)
        }));
        for level in ["quick", "standard"] {
            let title = format!("backstay verify -j{jobs} --level {level} of {compression}");
            all.push(Contender::new(
                format!("ours-{level}-{compression}"),
                title,
                move || {
                    let mut command = Command::new(&lab.backstay);
                    command.args(["verify", "--quiet", "--level", level, "--jobs", &jobs.to_string()]);
                    lab.measure(command.arg(pack(&store(lab, compression))?), Success::Zero)
                },
            ));
        }
    }
    all
}
