use std::io;
use std::thread;

use backstay::CancelToken;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// What a shell shows of a program that was ended by Ctrl-C.
const INTERRUPTED: i32 = 128 + SIGINT;

/// Gives a token that the first Ctrl-C or `SIGTERM` cancels. The second ends the program at once; a watchdog removes its
/// server even then.
pub(crate) fn watch() -> Result<CancelToken, io::Error> {
    let token = CancelToken::new();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let watched = token.clone();
    thread::spawn(move || {
        for _ in &mut signals {
            if watched.is_cancelled() {
                low_level::exit(INTERRUPTED);
            }
            watched.cancel();
            eprintln!("cleaning up; once more to stop at once");
        }
    });
    Ok(token)
}
