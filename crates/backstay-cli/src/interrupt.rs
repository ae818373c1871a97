//! Ctrl-C and SIGTERM.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use backstay::CancelToken;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::exit::Exit;
use crate::output::complain;

/// The signals that ask the program to stop. The first one cancels the token, so that what was begun is undone; the
/// second one ends the program at once.
#[derive(Debug)]
pub(crate) struct Interrupt {
    token: CancelToken,
    asking: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over the signals.
    pub(crate) fn watch() -> Result<Self, io::Error> {
        let interrupt = Self {
            token: CancelToken::new(),
            asking: Arc::default(),
        };
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let token = interrupt.token.clone();
        let asking = Arc::clone(&interrupt.asking);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in &mut signals {
                if token.is_cancelled() || asking.load(Ordering::Acquire) {
                    low_level::exit(i32::from(Exit::Cancelled.code()));
                }
                token.cancel();
                complain("cancelling; once more to stop at once");
            }
        })?;
        Ok(interrupt)
    }

    /// What operations look at.
    pub(crate) fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Runs something that waits for a person, when nothing was begun that had to be undone: a signal ends the program.
    pub(crate) fn while_asking<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.asking.store(true, Ordering::Release);
        let answer = ask();
        self.asking.store(false, Ordering::Release);
        answer
    }
}
