use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Warning, small_file};
use crate::{Endpoint, Host, Secret};

/// The folders that some build of libpq takes for its default; a socket in one of them counts as `localhost`.
const DEFAULT_SOCKET_FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// The lines `host:port:database:user:password` of a password file.
pub(super) struct Passfile {
    path: PathBuf,
    content: Vec<u8>,
}

impl Passfile {
    /// Reads the file. One that does not exist is no cause for a warning; one that others can read, is not a plain
    /// file or cannot be read is ignored with one, as libpq does.
    pub(super) fn read(path: &Path, warnings: &mut Vec<Warning>) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let warning = if !metadata.is_file() {
            Warning::PassfileNotPlain
        } else if metadata.permissions().mode() & 0o077 != 0 {
            Warning::PassfileExposed
        } else if let Ok(content) = small_file::read(path) {
            let path = path.to_owned();
            return Some(Self { path, content });
        } else {
            Warning::PassfileUnreadable
        };
        warnings.push(warning(path.to_owned()));
        None
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The password of the first line that matches; an empty one counts as none.
    pub(super) fn password(&self, endpoint: &Endpoint, database: &str, user: &str) -> Option<Secret> {
        let port = endpoint.port.to_string();
        let find = |host: &str| {
            let wanted = [host, &port, database, user];
            self.lines()
                .find_map(|(number, line)| Some((number, password_in(line, wanted)?)))
        };
        let by_host = match &endpoint.host {
            Host::Tcp { name, .. } => find(name),
            Host::Unix(folder) => {
                let by_folder = folder.to_str().and_then(find);
                let is_default = DEFAULT_SOCKET_FOLDERS
                    .iter()
                    .any(|default| folder == Path::new(default));
                let by_localhost = if is_default { find("localhost") } else { None };
                by_folder
                    .into_iter()
                    .chain(by_localhost)
                    .min_by_key(|(number, _)| *number)
            }
        };
        by_host
            .map(|(_, password)| password)
            .filter(|password| !password.is_empty())
            .map(Secret::new)
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let lines = self.content.split(|&byte| byte == b'\n');
        lines
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .enumerate()
            .filter(|(_, line)| !line.starts_with(b"#"))
    }
}

/// The last field of a line, if the fields before it are these.
fn password_in(line: &[u8], wanted: [&str; 4]) -> Option<Vec<u8>> {
    let password = wanted
        .iter()
        .try_fold(line, |rest, wanted| after_field(rest, wanted.as_bytes()))?;
    Some(unescaped_field(password))
}

/// What follows the first field, if that is `*` or `wanted`; `\` takes the next byte's meaning away.
///
/// As in libpq (`pwdfMatchesString`), a `:` that stands where `wanted` has one needs no backslash: `::1:5432:…` works.
fn after_field<'a>(line: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    if let Some(rest) = line.strip_prefix(b"*:") {
        return Some(rest);
    }
    let mut line = line;
    for &expected in wanted {
        line = line.strip_prefix(b"\\").unwrap_or(line);
        line = line.strip_prefix(&[expected])?;
    }
    line.strip_prefix(b":")
}

fn unescaped_field(line: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next_if(|&byte| byte != b':') {
        let escaped = if byte == b'\\' { bytes.next() } else { None };
        field.push(escaped.unwrap_or(byte));
    }
    field
}
