//! Ctrl-C and SIGTERM.

use std::io::{self, Write as _};
use std::thread;

use backstay::CancelToken;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::exit::Exit;

/// Gives a token that the first signal cancels; the second one ends the program at once.
pub(crate) fn watch() -> Result<CancelToken, io::Error> {
    let token = CancelToken::new();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let watched = token.clone();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in &mut signals {
            if watched.is_cancelled() {
                low_level::exit(i32::from(Exit::Cancelled.code()));
            }
            watched.cancel();
            // Nobody may be there to read it.
            let _ = writeln!(io::stderr(), "cancelling; once more to stop at once");
        }
    })?;
    Ok(token)
}
