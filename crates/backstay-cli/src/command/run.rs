//! `backstay run`: does the work when it is due, for containers and machines without a scheduler.
//!
//! What is due is decided by [`backstay_schedule::Timetable`] from what the stores tell, so that it matters neither how long the program
//! was away nor on which machine the last run was. Each piece of work is a process of this program, so that one that crashes or
//! takes all memory takes nothing else with it, and so that all of it is what a person would have typed.

mod attend;
mod past;
mod step;
mod stop;
mod watch;

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use jiff::Timestamp;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{complain, print_text, time};
use crate::schedule;
use crate::settle::{RunMode, SettledRun};

use attend::Attendant;
use stop::Stop;

/// What all attendants of databases share.
struct Shared<'r> {
    settled: &'r SettledRun,
    stop: Stop,
    /// On how many more databases may be worked.
    free: Mutex<usize>,
    freed: Condvar,
}

/// Does what is due, until it is asked to stop, or once.
pub(crate) fn run(settled: &SettledRun, environment: &Environment) -> Result<Exit, Failure> {
    let loaded = environment.configuration.require()?;
    let shared = Shared {
        settled,
        stop: Stop::watch(settled.grace)?,
        free: Mutex::new(settled.at_once),
        freed: Condvar::new(),
    };
    if settled.mode == RunMode::Always {
        for next in schedule::next_runs(loaded, Timestamp::now())? {
            if settled.databases.contains(&next.database) {
                say(&next.database, &format!("{} comes at {}", next.job, time(next.at)));
            }
        }
    }
    let attend = |name: &str| Attendant::of(name, environment, &shared)?.attend();
    let mut exit = Exit::Done;
    thread::scope(|scope| {
        let threads: Vec<_> = settled
            .databases
            .iter()
            .map(|name| {
                let attend = &attend;
                (
                    name,
                    scope.spawn(move || attend(name).map_err(|failure| (failure.exit(), failure.report()))),
                )
            })
            .collect();
        for (name, thread) in threads {
            let ended = match thread.join() {
                Ok(Ok(ended)) => ended,
                Ok(Err((exit, report))) => {
                    complain(&format!("{name}: {report}"));
                    exit
                }
                Err(_) => Exit::Internal,
            };
            // The first that did not go well says how.
            exit = if exit == Exit::Done { ended } else { exit };
        }
    });
    if settled.mode == RunMode::Always && shared.stop.is_asked() {
        say("all", "stopped");
        return Ok(Exit::Done);
    }
    Ok(exit)
}

impl Shared<'_> {
    /// Does something while it is one of so many; nothing where it was asked to stop meanwhile.
    fn in_turn<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |free: &mut usize| *free == 0 && !self.stop.is_asked();
        let mut free = self
            .freed
            .wait_while(free, is_full)
            .unwrap_or_else(PoisonError::into_inner);
        if self.stop.is_asked() {
            return None;
        }
        *free -= 1;
        drop(free);
        let done = work();
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.freed.notify_all();
        Some(done)
    }
}

/// One line for what happened, with its time.
fn say(who: &str, what: &str) {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    // Where nobody can read it, nobody can be told so either.
    let _ = print_text(&format!("{now} {who}: {}\n", what.replace('\n', " ")));
}
