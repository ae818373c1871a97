//! Peak memory of many workers on a table that is much larger.

use super::Contender;
use super::backup::{backup, pack, written};
use super::lab::Lab;
use super::measure::{Sample, Success};
use super::restore::restore;
use crate::failure::Failure;

/// Memory is of interest, not time.
pub(super) const PEERS: &[(&str, &str)] = &[];

/// Connections that work at the same time.
const JOBS: usize = 4;

pub(super) fn contenders(lab: &Lab) -> Vec<Contender<'_>> {
    let of = |compression: &'static str| {
        let name = format!("large-{compression}");
        let to_back_up = format!("backstay backup -j{JOBS} --compress {compression} of one large table");
        let to_restore = format!("backstay restore -j{JOBS} of it");
        [
            Contender::new(format!("ours-backup-{compression}"), to_back_up, {
                let name = name.clone();
                move || back_up(lab, compression, &name)
            }),
            Contender::new(format!("ours-restore-{compression}"), to_restore, move || {
                lab.with_copy(|copy| {
                    let pack = pack(&lab.path(&name))?;
                    lab.measure(&mut restore(lab, copy, JOBS, pack.as_os_str()), Success::Zero)
                })
            }),
        ]
    };
    [of("gzip"), of("zstd")].into_iter().flatten().collect()
}

fn back_up(lab: &Lab, compression: &str, name: &str) -> Result<Sample, Failure> {
    let source = lab.fill_large()?;
    lab.settle()?;
    let store = lab.empty_path(name)?;
    let sample = lab.measure(
        &mut backup(lab, &source, JOBS, compression, store.as_os_str()),
        Success::Zero,
    )?;
    written(sample, &store)
}
