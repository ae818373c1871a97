use backstay::status::Depth;
use backstay::{LogFilter, Repository};
use backstay_report::{Report, StoreLog, page};
use jiff::{SignedDuration, Timestamp};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::file::write_whole;
use crate::output::{Voice, complain, print, print_text};
use crate::settle::SettledReport;

use super::status::Looked;

/// What was done before that is not told.
const LOG_DAYS: i64 = 14;

/// Writes a page about databases and their backups.
pub(crate) fn report(settled: SettledReport) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let looked = Looked::at(settled.watch, Depth::All, now);
    let status = looked.judge(now);
    let logs: Vec<StoreLog> = looked
        .repositories
        .iter()
        .filter_map(|(store, repository)| log(*store, repository, now))
        .collect();
    let page = page(&Report {
        status: &status,
        stores: &looked.stores,
        policies: &settled.policies,
        logs: &logs,
    });
    match &settled.file {
        None => print(page.as_bytes())?,
        Some(file) => {
            write_whole(file, page.as_bytes())?;
            if settled.voice == Voice::Normal {
                print_text(&format!("{}: {}\n", file.display(), status.state))?;
            }
        }
    }
    Ok(looked.exit(&status))
}

/// What was done lately. Where that cannot be read, it is told, and the page goes without.
fn log(store: usize, repository: &Repository, now: Timestamp) -> Option<StoreLog> {
    let filter = LogFilter {
        id: None,
        since: now.checked_sub(SignedDuration::from_hours(24 * LOG_DAYS)).ok(),
    };
    match repository.log(&filter) {
        Ok(items) => Some(StoreLog { store, items }),
        Err(error) => {
            let why = Failure::from(error).in_one_line();
            complain(&format!("warning: the log of the store is not in the page: {why}"));
            None
        }
    }
}
