use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use super::account::Account;
use super::{ThrowawayError, process};

const SHELL: &str = "/bin/sh";

/// Waits for the end of its input, which comes when the program that started it ends in whatever way; then stops the
/// server at once and removes its data. The folder around belongs to the caller and is left for `remove_leftovers`.
const SCRIPT: &str = r#"
read -r _
kill -QUIT "$1" || exit 0
polls=0
while [ "$polls" -lt 300 ] && kill -0 "$1" 2>/dev/null; do
    sleep 0.1
    polls=$((polls + 1))
done
rm -rf "$2"
"#;

/// A process that ends a server when this program is killed.
///
/// Dropping it ends it without harm to the server.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    // Its closing is the signal, so it is kept open until the shell was ended.
    _leash: Option<ChildStdin>,
}

impl Watchdog {
    pub(super) fn guard(postmaster: u32, folder: &Path, account: Option<&Account>) -> Result<Self, ThrowawayError> {
        let shell = Path::new(SHELL);
        let mut shell = process::command(shell, folder, account)
            .args(["-c", SCRIPT, "backstay-watchdog"])
            .arg(postmaster.to_string())
            .arg(super::cluster::data_folder(folder))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| ThrowawayError::not_run(shell, account, source))?;
        let leash = shell.stdin.take();
        Ok(Self { shell, _leash: leash })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // It can only fail if the shell has ended already.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
