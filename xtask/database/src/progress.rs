use std::io::{self, IsTerminal};
use std::time::Duration;

use backstay::{Phase, Progress, ProgressEvent, Silent};
use indicatif::{ProgressBar, ProgressStyle};

/// How often the bar moves by itself, so that its clock runs.
const TICK: Duration = Duration::from_millis(200);

/// A bar on a terminal; elsewhere nothing, because every step ends with a line anyway.
pub(crate) fn shown() -> Box<dyn Shown> {
    if io::stderr().is_terminal() {
        Box::new(Bar(ProgressBar::new(0)))
    } else {
        Box::new(Silent)
    }
}

/// Progress that can be taken off the screen.
pub(crate) trait Shown: Progress {
    /// Leaves the terminal to others.
    fn clear(&self);
}

impl Shown for Silent {
    fn clear(&self) {}
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn event(&self, event: ProgressEvent<'_>) {
        match event {
            ProgressEvent::Phase { phase, bytes_total } => {
                self.0.reset();
                self.0.set_style(style(bytes_total));
                self.0.set_length(bytes_total);
                self.0.set_prefix(describe(phase));
                self.0.set_message("");
                self.0.enable_steady_tick(TICK);
            }
            ProgressEvent::Advance { bytes, table } => {
                self.0.inc(bytes);
                if let Some(table) = table {
                    self.0.set_message(table.replace(char::is_control, "\u{fffd}"));
                }
            }
            ProgressEvent::Note(note) => self.0.suspend(|| eprintln!("note: {note}")),
            _ => {}
        }
    }
}

impl Shown for Bar {
    fn clear(&self) {
        self.0.finish_and_clear();
    }
}

fn style(bytes_total: u64) -> ProgressStyle {
    let template = match bytes_total {
        0 => "  {spinner} {prefix} {elapsed}",
        _ => "  {prefix} [{bar:24}] {bytes}/{total_bytes} {bytes_per_sec}  {wide_msg}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

fn describe(phase: Phase) -> &'static str {
    match phase {
        Phase::Preflight => "looking at the server",
        Phase::Schema => "reading definitions",
        Phase::Rows => "reading rows",
        Phase::Publish => "publishing",
        Phase::Verify => "verifying",
        Phase::PreData => "restoring definitions",
        Phase::Restore => "restoring rows",
        Phase::PostData => "restoring what needs the rows",
        Phase::Prove => "comparing rows",
        _ => "working",
    }
}
