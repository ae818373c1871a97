use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::ThrowawayError;
use super::account::Account;

const POLL: Duration = Duration::from_millis(10);
const END_POLLS_MAX: u32 = 1000;

/// A command with an environment of its own, in a process group of its own, run as `account` if one is given.
///
/// With a user set and the caller being root, the standard library clears the supplementary groups too.
pub(super) fn command(program: &Path, folder: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir(folder)
        // A Ctrl-C at the terminal is for the caller, who may still need the server to end in order.
        .process_group(0);
    if let Some(account) = account {
        command.uid(account.uid()).gid(account.gid());
    }
    command
}

/// A process id that may be signalled; `None` for zero and negative numbers, which mean groups.
pub(super) fn pid(number: i32) -> Option<Pid> {
    if number > 0 { Pid::from_raw(number) } else { None }
}

/// Kills a process and the group that it leads, if it leads one: a server's child does, with what it runs by `sh`.
pub(super) fn kill_with_group(pid: Pid) {
    // Both fail only where nothing is left to kill.
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    let _ = rustix::process::kill_process(pid, Signal::KILL);
}

/// Waits until none of the processes runs any more.
pub(super) fn await_end(pids: &[Pid]) -> Result<(), ThrowawayError> {
    for &pid in pids {
        let mut polls = 0;
        while is_running(pid) {
            if polls == END_POLLS_MAX {
                return Err(ThrowawayError::NotKilled {
                    pid: pid.as_raw_nonzero().get(),
                });
            }
            polls += 1;
            std::thread::sleep(POLL);
        }
    }
    Ok(())
}

/// The processes whose parent is `parent`.
pub(super) fn children_of(parent: Pid) -> Result<Vec<Pid>, ThrowawayError> {
    let parent = parent.as_raw_nonzero().get();
    let pairs = if has_proc() { pairs_of_proc()? } else { pairs_of_ps()? };
    Ok(pairs
        .into_iter()
        .filter(|pair| pair.1 == parent)
        .filter_map(|pair| pid(pair.0))
        .collect())
}

/// The command line of a process, its words joined by spaces; `None` if there is no such process.
pub(super) fn command_line(pid: Pid) -> Option<String> {
    let number = pid.as_raw_nonzero();
    let bytes = if has_proc() {
        fs::read(format!("/proc/{number}/cmdline")).ok()?
    } else {
        ps(&["-o", "command=", "-p", &number.to_string()]).ok()?
    };
    let line = String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned();
    (!line.is_empty()).then_some(line)
}

/// Whether a process is there and not merely waiting for its parent to take note of its end: where nothing reaps
/// orphans, as in many containers, they stay.
fn is_running(pid: Pid) -> bool {
    if rustix::process::test_kill_process(pid).is_err() {
        return false;
    }
    fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
        .ok()
        .and_then(|stat| state_and_parent(&stat))
        .is_none_or(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

fn pairs_of_proc() -> Result<Vec<(i32, i32)>, ThrowawayError> {
    let folder = Path::new("/proc");
    let entries = fs::read_dir(folder).map_err(ThrowawayError::io("list", folder))?;
    Ok(entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // A process may end while it is looked at.
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, state_and_parent(&stat)?.1))
        })
        .collect())
}

/// Reads the third and fourth field of `/proc/PID/stat`; the second, a name in parentheses, may hold anything.
fn state_and_parent(stat: &str) -> Option<(char, i32)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

fn pairs_of_ps() -> Result<Vec<(i32, i32)>, ThrowawayError> {
    let program = Path::new("ps");
    let output = ps(&["-A", "-o", "pid=", "-o", "ppid="]).map_err(|e| ThrowawayError::not_run(program, None, e))?;
    Ok(String::from_utf8_lossy(&output)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        })
        .collect())
}

fn ps(arguments: &[&str]) -> io::Result<Vec<u8>> {
    Ok(Command::new("ps").args(arguments).output()?.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_mislead() {
        assert_eq!(state_and_parent("12 (a) Z 1 (b)) S 34 12 12 0"), Some(('S', 34)));
        assert_eq!(state_and_parent("12 (a) R"), None);
        assert_eq!(state_and_parent(""), None);
    }

    #[test]
    fn numbers_that_mean_groups_are_no_processes() {
        assert_eq!(pid(0), None);
        assert_eq!(pid(-5), None);
        assert_eq!(pid(5).map(|pid| pid.as_raw_nonzero().get()), Some(5));
    }

    #[test]
    fn children_are_found_in_both_ways_and_end_when_killed() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep runs");
        let own = pid(std::process::id().try_into().expect("a process id")).expect("a process id");
        let of_child = pid(child.id().try_into().expect("a process id")).expect("a process id");
        assert!(children_of(own).expect("a list").contains(&of_child));
        let pair = (of_child.as_raw_nonzero().get(), own.as_raw_nonzero().get());
        assert!(pairs_of_ps().expect("a list").contains(&pair));
        assert_eq!(command_line(of_child).as_deref(), Some("sleep 1000"));

        kill_with_group(of_child);
        await_end(&[of_child]).expect("it ends, though nobody has taken note of it");
        child.wait().expect("its end");
        assert_eq!(command_line(of_child), None);
    }
}
