use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use backstay::CancelToken;
use wait4::Wait4;

use crate::client::{self, drain, joined};
use crate::failure::Failure;

/// How often it is looked whether a program has ended; a small part of anything that is measured.
const POLL: Duration = Duration::from_millis(2);

/// What one run of something took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) wall: Duration,
    /// Processor time of the program and of those that it waited for, in user mode and in the kernel; not the server's.
    pub(super) cpu: Option<Duration>,
    /// Processor time of the server's processes that ended with it; known on Linux only.
    pub(super) server_cpu: Option<Duration>,
    /// Peak of resident memory of the largest of these processes, in bytes.
    pub(super) peak_bytes: Option<u64>,
    /// Size of what it wrote.
    pub(super) written_bytes: Option<u64>,
}

impl Sample {
    pub(super) fn of_wall(wall: Duration) -> Self {
        Self {
            wall,
            cpu: None,
            server_cpu: None,
            peak_bytes: None,
            written_bytes: None,
        }
    }
}

/// What an exit status must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Success {
    /// Zero.
    Zero,
    /// Zero, or one: `pg_restore` of a newer version sets what an older server does not know, and says so at the end.
    /// Whether everything is there is checked by looking.
    OneAtMost,
}

/// Runs a program, which must succeed, and measures it.
pub(super) fn measure(command: &mut Command, success: Success, cancel: &CancelToken) -> Result<Sample, Failure> {
    let name = client::name(command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().map_err(Failure::to(format!("run {name}")))?;
    let complaints = child.stderr.take().map(drain);
    let used = loop {
        if let Some(used) = child.try_wait4()? {
            break used;
        }
        if cancel.is_cancelled() {
            child.kill()?;
        }
        thread::sleep(POLL);
    };
    let wall = begun.elapsed();
    let complaints = complaints.map(joined).unwrap_or_default();
    let code_max = match success {
        Success::Zero => 0,
        Success::OneAtMost => 1,
    };
    if used.status.code().is_none_or(|code| code > code_max) {
        return Err(client::complaint(&name, used.status, &complaints));
    }
    Ok(Sample {
        wall,
        cpu: Some(used.rusage.utime + used.rusage.stime),
        server_cpu: None,
        peak_bytes: Some(used.rusage.maxrss),
        written_bytes: None,
    })
}

/// Processor time of all children of a process that have ended; `None` where there is no `/proc`.
pub(super) fn ended_children_cpu(pid: i32) -> Option<Duration> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Adds up `cutime` and `cstime`, fields 16 and 17 of `proc_pid_stat(5)`; the second field, the name, may hold anything.
fn parse_stat(stat: &str) -> Option<Duration> {
    // The unit of what the kernel shows is 1/100 s on every architecture that PostgreSQL runs on.
    const TICK: Duration = Duration::from_millis(10);
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(13);
    let (user, kernel): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(TICK * (user + kernel))
}

/// The middle one by wall time; of two in the middle the quicker one.
pub(super) fn median(samples: &[Sample]) -> Option<Sample> {
    let mut sorted = samples.to_vec();
    sorted.sort_by_key(|sample| sample.wall);
    sorted.get(samples.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_sample() {
        let sample = |seconds| Sample::of_wall(Duration::from_secs(seconds));
        let check = |seconds: &[u64], expected: Option<u64>| {
            let samples: Vec<Sample> = seconds.iter().map(|&seconds| sample(seconds)).collect();
            assert_eq!(median(&samples), expected.map(sample));
        };
        check(&[], None);
        check(&[3], Some(3));
        check(&[9, 2], Some(2));
        check(&[9, 2, 4], Some(4));
        check(&[9, 2, 4, 3], Some(3));
    }

    #[test]
    fn the_time_of_ended_children_is_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 3 4 5 6 100 200 30 12 20 0 1 0 55 1 2";
        assert_eq!(parse_stat(stat), Some(Duration::from_millis(420)));
        assert_eq!(parse_stat("7 (a) S 1"), None);
    }

    #[test]
    fn programs_are_measured_with_their_children() {
        let cancel = CancelToken::new();
        let shell = |script: &str, success| {
            let mut command = Command::new("sh");
            measure(command.args(["-c", script]), success, &cancel)
        };
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done";
        let used = shell(&format!("sh -c '{busy}'; true"), Success::Zero).unwrap();
        assert!(used.cpu.unwrap() > Duration::from_millis(5), "{used:?}");
        assert!(
            used.wall >= Duration::from_millis(5) && used.peak_bytes.unwrap() > 100_000,
            "{used:?}"
        );
        let failure = shell("echo broken >&2; exit 1", Success::Zero).unwrap_err();
        assert!(failure.to_string().contains("broken"), "{failure}");
        assert!(shell("exit 1", Success::OneAtMost).is_ok() && shell("exit 2", Success::OneAtMost).is_err());
        cancel.cancel();
        let mut sleep = Command::new("sleep");
        assert!(measure(sleep.arg("60"), Success::Zero, &cancel).is_err());
    }
}
