//! How far an operation is: a bar on a terminal, lines elsewhere, nothing where silence was asked for.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backstay::{Phase, Progress, ProgressEvent, Silent};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{Output, Voice, bytes, complain, duration, harmless};

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// How often the bar moves by itself, so that its clock runs.
const TICK: Duration = Duration::from_millis(200);
/// Tables that are named as being read.
const TABLES_MAX: usize = 3;
/// The bar where nobody knows how much there is to do, and where somebody does; a test reads them.
const TEMPLATES: [&str; 2] = [
    "{spinner} {prefix} {elapsed}",
    "{prefix} [{bar:12}] {bytes}/{total_bytes} {bytes_per_sec} {eta} left {wide_msg}",
];

/// Chooses how progress is shown.
pub(crate) fn for_output(output: Output) -> Box<dyn Shown> {
    match output.voice {
        Voice::Quiet => Box::new(Silent),
        Voice::Normal if is_drawable() => Box::new(Bar::default()),
        Voice::Normal => Box::new(Lines::new(complain)),
    }
}

fn is_drawable() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Progress that can be taken off the screen.
pub(crate) trait Shown: Progress {
    /// Leaves standard error to others.
    fn clear(&self);
}

impl Shown for Silent {
    fn clear(&self) {}
}

fn describe(phase: Phase) -> &'static str {
    match phase {
        Phase::Preflight => "looking at the server",
        Phase::Schema => "taking the snapshot and reading definitions",
        Phase::Rows => "reading rows",
        Phase::Publish => "publishing, and reading what was written",
        Phase::Verify => "checking the backup",
        Phase::Copy => "copying the backup",
        Phase::CheckStore => "trying the store",
        Phase::PreData => "restoring definitions",
        Phase::Restore => "restoring rows",
        Phase::PostData => "restoring what needs the rows",
        Phase::Prove => "comparing the copy",
        Phase::PreparePlace => "making the place of the drill",
        Phase::Examine => "examining the copy",
        Phase::ListFiles => "looking which files the project has",
        Phase::ReadFiles => "reading files",
        Phase::WriteFiles => "writing files",
        Phase::VerifyFiles => "checking files",
        _ => "working",
    }
}

/// The phase in at most 12 characters: with the bar, the numbers and a table it has to fit into a terminal of 80 columns.
fn describe_shortly(phase: Phase) -> &'static str {
    match phase {
        Phase::Rows => "reading rows",
        Phase::Publish => "publishing",
        Phase::Verify => "checking",
        Phase::Copy => "copying",
        Phase::PreData => "definitions",
        Phase::Restore => "restoring",
        Phase::Prove => "comparing",
        Phase::PreparePlace => "preparing",
        Phase::Examine => "examining",
        Phase::ReadFiles => "reading",
        Phase::WriteFiles => "writing",
        Phase::VerifyFiles => "checking",
        _ => "working",
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is shown may be wrong after a panic elsewhere; it is only shown.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The tables that were worked on last.
#[derive(Debug, Default)]
struct Tables(VecDeque<String>);

impl Tables {
    fn add(&mut self, table: &str) {
        let table = harmless(table);
        self.0.retain(|known| *known != table);
        self.0.push_front(table);
        self.0.truncate(TABLES_MAX);
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        names.join(", ")
    }
}

/// A bar on a terminal, a new one for each phase.
#[derive(Default)]
struct Bar(Mutex<BarState>);

#[derive(Default)]
struct BarState {
    bar: Option<ProgressBar>,
    tables: Tables,
}

fn style(bytes_total: u64) -> ProgressStyle {
    let template = match bytes_total {
        0 => TEMPLATES[0],
        _ => TEMPLATES[1],
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

impl Progress for Bar {
    fn event(&self, event: ProgressEvent<'_>) {
        let mut state = locked(&self.0);
        match event {
            ProgressEvent::Phase { phase, bytes_total } => state.begin(phase, bytes_total),
            ProgressEvent::Advance { bytes, table } => {
                if let Some(table) = table {
                    state.tables.add(table);
                }
                if let Some(bar) = &state.bar {
                    bar.set_message(state.tables.names());
                    bar.inc(bytes);
                }
            }
            ProgressEvent::Note(note) => {
                let line = format!("note: {note}");
                match &state.bar {
                    Some(bar) => bar.suspend(|| complain(&line)),
                    None => complain(&line),
                }
            }
            _ => {}
        }
    }
}

impl BarState {
    fn begin(&mut self, phase: Phase, bytes_total: u64) {
        self.clear();
        let prefix = match bytes_total {
            0 => describe(phase),
            _ => describe_shortly(phase),
        };
        // Nothing is drawn before the style is known.
        let bar = ProgressBar::with_draw_target(Some(bytes_total), ProgressDrawTarget::stderr_with_hz(10))
            .with_style(style(bytes_total))
            .with_prefix(prefix);
        bar.enable_steady_tick(TICK);
        self.bar = Some(bar);
    }

    fn clear(&mut self) {
        self.tables = Tables::default();
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Shown for Bar {
    fn clear(&self) {
        locked(&self.0).clear();
    }
}

/// A line at the start of each phase and now and then within.
struct Lines<W> {
    write: W,
    state: Mutex<LinesState>,
}

struct LinesState {
    phase: Phase,
    bytes_total: u64,
    bytes_done: u64,
    begun: Instant,
    last_line: Instant,
    tables: Tables,
}

impl<W: Fn(&str) + Sync> Lines<W> {
    fn new(write: W) -> Self {
        let now = Instant::now();
        Self {
            write,
            state: Mutex::new(LinesState {
                phase: Phase::Preflight,
                bytes_total: 0,
                bytes_done: 0,
                begun: now,
                last_line: now,
                tables: Tables::default(),
            }),
        }
    }

    fn event_at(&self, event: &ProgressEvent<'_>, now: Instant) {
        let mut state = locked(&self.state);
        match *event {
            ProgressEvent::Phase { phase, bytes_total } => {
                *state = LinesState {
                    phase,
                    bytes_total,
                    bytes_done: 0,
                    begun: now,
                    last_line: now,
                    tables: Tables::default(),
                };
                let size = match bytes_total {
                    0 => String::new(),
                    total => format!(" ({})", bytes(total)),
                };
                (self.write)(&format!("{}{size}", describe(phase)));
            }
            ProgressEvent::Advance { bytes, table } => {
                state.bytes_done += bytes;
                if let Some(table) = table {
                    state.tables.add(table);
                }
                if now.duration_since(state.last_line) >= LINE_INTERVAL {
                    state.last_line = now;
                    (self.write)(&state.line(now));
                }
            }
            ProgressEvent::Note(note) => (self.write)(&format!("note: {note}")),
            _ => {}
        }
    }
}

impl LinesState {
    fn line(&self, now: Instant) -> String {
        let seconds = now.duration_since(self.begun).as_secs_f64().max(0.001);
        let done = self.bytes_done;
        let rate = done as f64 / seconds;
        let mut line = format!("{}: {}", describe(self.phase), bytes(done));
        if self.bytes_total > 0 {
            let part = done as f64 / self.bytes_total as f64;
            line.push_str(&format!(
                " of {} ({:.0} %)",
                bytes(self.bytes_total),
                100.0 * part.min(1.0)
            ));
        }
        line.push_str(&format!(", {}/s", bytes(rate as u64)));
        let left = self.bytes_total.saturating_sub(done);
        if left > 0 && rate >= 1.0 {
            let left = Duration::from_secs_f64((left as f64 / rate).min(1e9));
            line.push_str(&format!(", about {} left", duration(left)));
        }
        let tables = self.tables.names();
        if !tables.is_empty() {
            line.push_str(&format!(": {tables}"));
        }
        line
    }
}

impl<W: Fn(&str) + Sync> Progress for Lines<W> {
    fn event(&self, event: ProgressEvent<'_>) {
        self.event_at(&event, Instant::now());
    }
}

impl<W: Fn(&str) + Sync> Shown for Lines<W> {
    fn clear(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_with_phases_and_now_and_then() {
        let written = Mutex::new(Vec::new());
        let lines = Lines::new(|line: &str| written.lock().unwrap().push(line.to_owned()));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let advance = |table| ProgressEvent::Advance {
            bytes: 10 << 20,
            table: Some(table),
        };
        let phase = |phase, bytes_total| ProgressEvent::Phase { phase, bytes_total };
        lines.event_at(&phase(Phase::Preflight, 0), at(0));
        lines.event_at(&phase(Phase::Rows, 100 << 20), at(0));
        for (seconds, table) in [(2, "a"), (4, "b"), (6, "c"), (8, "a"), (10, "d\u{1b}"), (12, "e")] {
            lines.event_at(&advance(table), at(seconds));
        }
        lines.event_at(&ProgressEvent::Note("again"), at(13));
        lines.event_at(&advance("e"), at(20));
        assert_eq!(
            *written.lock().unwrap(),
            [
                "looking at the server",
                "reading rows (100.00 MiB)",
                "reading rows: 50.00 MiB of 100.00 MiB (50 %), 5.00 MiB/s, about 10.0 s left: d\u{fffd}, a, c",
                "note: again",
                "reading rows: 70.00 MiB of 100.00 MiB (70 %), 3.50 MiB/s, about 8.6 s left: e, d\u{fffd}, a",
            ]
        );
    }

    #[test]
    fn the_line_fits_into_a_narrow_terminal() {
        const NUMBERS: &str = " [============] 1023.99 MiB/1023.99 MiB 999.99 MiB/s 10m left ";
        for phase in [
            Phase::Preflight,
            Phase::Schema,
            Phase::Rows,
            Phase::Publish,
            Phase::Verify,
            Phase::PreData,
            Phase::Restore,
            Phase::Prove,
            Phase::PreparePlace,
            Phase::Examine,
            Phase::ReadFiles,
            Phase::WriteFiles,
            Phase::VerifyFiles,
        ] {
            assert!(describe_shortly(phase).len() + NUMBERS.len() < 80, "{phase:?}");
        }
    }

    #[test]
    fn the_templates_of_the_bar_are_right() {
        for template in TEMPLATES {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
