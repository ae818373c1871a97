use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::place::At;
use crate::resolve::{Lookup, ResolveError, filled};
use crate::text::{PathText, Text};

/// The longest secret; what is longer is something else.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// A value that no message, log or `Debug` output may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself; to be handed to a server, never to a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The value itself, for good.
    #[must_use]
    pub fn into_exposed(self) -> String {
        self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret is: `{ env = "NAME" }`, `{ file = "PATH" }` or `{ command = ["PROGRAM", "ARGUMENT"] }`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SecretSource {
    /// In a variable.
    Variable {
        /// Its name.
        name: String,
        /// Where it is named.
        at: At,
    },
    /// In a file.
    File(PathText),
    /// On the standard output of a command, which is run without a shell.
    Command {
        /// The program, and its arguments.
        arguments: Vec<Text>,
        /// The program as a path, for one that is no mere name.
        program: PathText,
    },
}

/// Something that does not keep a secret from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretWarning {
    /// Every user of the machine can read the file.
    WorldReadable(PathBuf),
}

impl fmt::Display for SecretWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorldReadable(path) => write!(
                f,
                "every user of this machine can read the secret in {}; chmod o-rwx would keep it",
                path.display()
            ),
        }
    }
}

/// A value that may stand in the file, or be somewhere else as a secret is.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "it is here or there")]
pub enum Given {
    /// It stands in the file.
    Text(Text),
    /// It is somewhere else.
    Secret(SecretSource),
}

impl Given {
    /// The value.
    ///
    /// # Errors
    /// Those of [`Text::resolve`] and [`SecretSource::resolve`].
    pub fn resolve(&self, lookup: Lookup<'_>) -> Result<Secret, ResolveError> {
        match self {
            Self::Text(text) => text.resolve(lookup).map(Secret),
            Self::Secret(source) => source.resolve(lookup),
        }
    }
}

impl SecretSource {
    /// Fetches the secret: looks the variable up, reads the file, or runs the command, which has this process's standard
    /// input and standard error, so that it can ask. Of a file or an output, one line end behind the secret is no part of it.
    ///
    /// # Errors
    /// It is not there, is empty, is no text, or has more than 64 KiB; or the command fails. No error repeats what was
    /// read, nor the arguments of the command.
    pub fn resolve(&self, lookup: Lookup<'_>) -> Result<Secret, ResolveError> {
        match self {
            Self::Variable { name, at } => {
                let value = filled(lookup, name).ok_or_else(|| ResolveError::Variable {
                    at: at.clone(),
                    name: name.clone(),
                })?;
                Ok(Secret(value))
            }
            Self::File(file) => {
                let at = file.text().at();
                let path = file.resolve(lookup)?;
                let bytes = File::open(&path)
                    .and_then(read_bounded)
                    .map_err(|source| ResolveError::File {
                        at: at.clone(),
                        path: path.clone(),
                        source,
                    })?;
                secret_of(bytes, at, || path.display().to_string())
            }
            Self::Command { arguments, program } => {
                let at = program.text().at();
                let bytes = output(arguments, program, lookup)?;
                secret_of(bytes, at, || "the command".to_owned())
            }
        }
    }

    /// Looks whether the secret can be had, without fetching it: a command is not run. Tells what the person should know.
    ///
    /// # Errors
    /// The variable is not set, or the file cannot be opened.
    pub fn look(&self, lookup: Lookup<'_>) -> Result<Option<SecretWarning>, ResolveError> {
        match self {
            Self::Variable { .. } => self.resolve(lookup).map(|_| None),
            Self::File(file) => {
                let path = file.resolve(lookup)?;
                let opened = File::open(&path).and_then(|file| is_world_readable(&file));
                let is_exposed = opened.map_err(|source| ResolveError::File {
                    at: file.text().at().clone(),
                    path: path.clone(),
                    source,
                })?;
                Ok(is_exposed.then_some(SecretWarning::WorldReadable(path)))
            }
            Self::Command { arguments, .. } => {
                for argument in arguments {
                    argument.resolve(lookup)?;
                }
                Ok(None)
            }
        }
    }

    /// Where it is named.
    #[must_use]
    pub fn at(&self) -> &At {
        match self {
            Self::Variable { at, .. } => at,
            Self::File(file) => file.text().at(),
            Self::Command { program, .. } => program.text().at(),
        }
    }
}

/// What a command prints.
fn output(arguments: &[Text], program: &PathText, lookup: Lookup<'_>) -> Result<Vec<u8>, ResolveError> {
    let at = program.text().at();
    let name = program.text().resolve(lookup)?;
    // A mere name is looked for where programs are.
    let path = if name.contains(std::path::is_separator) {
        program.resolve(lookup)?
    } else {
        PathBuf::from(&name)
    };
    let rest = arguments.iter().skip(1).map(|argument| argument.resolve(lookup));
    let rest: Vec<String> = rest.collect::<Result<_, _>>()?;
    let failed = |source| ResolveError::Command {
        at: at.clone(),
        program: name.clone(),
        source,
    };
    let mut child = Command::new(path)
        .args(rest)
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let read = match child.stdout.take() {
        Some(stdout) => read_bounded(stdout),
        None => Ok(Vec::new()),
    };
    // Its output was read to the end or is not wanted any more: dropping the pipe ends a program that goes on writing.
    let status = child.wait().map_err(failed)?;
    let bytes = read.map_err(failed)?;
    let is_cut_off = bytes.len() as u64 > SECRET_BYTES_MAX;
    if !status.success() && !is_cut_off {
        return Err(ResolveError::CommandFailed {
            at: at.clone(),
            program: name,
            status: status.to_string(),
        });
    }
    Ok(bytes)
}

/// One byte more than a secret may have tells that there are more.
fn read_bounded(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(unix)]
fn is_world_readable(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;

    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_world_readable(_: &File) -> io::Result<bool> {
    Ok(false)
}

fn secret_of(bytes: Vec<u8>, at: &At, origin: impl Fn() -> String) -> Result<Secret, ResolveError> {
    let unusable = |problem| ResolveError::Unusable {
        at: at.clone(),
        origin: origin(),
        problem,
    };
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(unusable("longer than 64 KiB"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| unusable("no text in UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(unusable("empty"));
    }
    Ok(Secret(text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::place::Source;

    fn text(text: &str) -> Text {
        Text::parse(text, Source::new("f", "").at(0)).unwrap()
    }

    fn path(path: &str) -> PathText {
        PathText {
            text: text(path),
            folder: Path::new("").into(),
        }
    }

    fn command(arguments: &[&str]) -> SecretSource {
        SecretSource::Command {
            arguments: arguments.iter().map(|argument| text(argument)).collect(),
            program: path(arguments[0]),
        }
    }

    fn variables(name: &str) -> Option<String> {
        (name == "WORD").then(|| "hunter2".to_owned())
    }

    fn fetch(source: &SecretSource) -> Result<String, ResolveError> {
        source.resolve(&variables).map(Secret::into_exposed)
    }

    #[test]
    fn one_line_end_is_no_part_of_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        for (written, expected) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            (" a ", " a "),
        ] {
            std::fs::write(&file, written).unwrap();
            let secret = fetch(&SecretSource::File(path(file.to_str().unwrap()))).unwrap();
            assert_eq!(secret, expected, "{written:?}");
            let secret = fetch(&command(&["printf", "%s", written])).unwrap();
            assert_eq!(secret, expected, "{written:?}");
        }
    }

    #[test]
    fn a_command_is_run_without_a_shell() {
        let secret = fetch(&command(&["printf", "%s", "${WORD}; $(echo x) *"])).unwrap();
        assert_eq!(secret, "hunter2; $(echo x) *");
    }

    #[test]
    fn to_look_for_a_secret_runs_no_command() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made");
        let touch = command(&["touch", file.to_str().unwrap()]);
        assert_eq!(touch.look(&variables).unwrap(), None);
        assert!(!file.exists());
        assert!(fetch(&touch).is_err() && file.exists());
    }

    #[test]
    fn a_secret_that_cannot_be_had_is_told_without_what_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let file = folder.path().join(name);
            std::fs::write(&file, bytes).unwrap();
            SecretSource::File(path(file.to_str().unwrap()))
        };
        let long = vec![b'x'; (64 << 10) + 1];
        for (source, expected) in [
            (file("empty", b"\n"), "is empty"),
            (file("binary", b"hunter2\xff"), "is no text in UTF-8"),
            (file("long", &long), "is longer than 64 KiB"),
            (
                SecretSource::File(path("/nowhere/at/all")),
                "cannot read the secret in /nowhere/at/all",
            ),
            (
                command(&["sh", "-c", "echo hunter2; exit 3"]),
                "sh failed (exit status: 3)",
            ),
            (command(&["yes", "hunter2"]), "is longer than 64 KiB"),
            (command(&["true"]), "the secret from the command is empty"),
            (command(&["no-such-program", "hunter2"]), "cannot run no-such-program"),
        ] {
            let error = fetch(&source).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        let missing = SecretSource::Variable {
            name: "NONE".to_owned(),
            at: text("").at().clone(),
        };
        assert_eq!(
            fetch(&missing).unwrap_err().to_string(),
            "f:1:1: the variable NONE is not set"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_everybody_can_read_is_told() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "x").unwrap();
        for (mode, is_told) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let warning = SecretSource::File(path(file.to_str().unwrap()))
                .look(&variables)
                .unwrap();
            assert_eq!(warning.is_some(), is_told, "{mode:o}");
        }
    }
}
