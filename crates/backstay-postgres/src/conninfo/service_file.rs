use std::io;
use std::path::{Path, PathBuf};

use super::error::{ConninfoError, Origin};
use super::settings::Settings;
use super::text::is_blank;
use super::variables::Variables;
use super::{keys, small_file};

/// Where the system's `pg_service.conf` may be: of Debian's libpq, and of one that was built without options.
const SYSTEM_FOLDERS: [&str; 2] = ["/etc/postgresql-common", "/usr/local/pgsql/etc"];

/// Adds the settings of the service that `service` or `PGSERVICE` names, where nothing was set so far.
///
/// The file is the one that `PGSERVICEFILE` names, else `~/.pg_service.conf`; what has no such service there is looked
/// for in `pg_service.conf` of `PGSYSCONFDIR` or the system's folder.
pub(super) fn add(settings: &mut Settings, variables: &Variables) -> Result<(), ConninfoError> {
    let service = match settings.get("service") {
        Some(setting) => setting.text("service")?.to_owned(),
        None => match variables.get_filled("PGSERVICE").map(|name| name.to_str()) {
            Some(Some(name)) => name.to_owned(),
            Some(None) => {
                return Err(ConninfoError::InvalidValue {
                    key: "service",
                    origin: Origin::Variable("PGSERVICE"),
                    expected: "UTF-8 text",
                });
            }
            None => return Ok(()),
        },
    };
    if service.is_empty() {
        return Ok(());
    }
    if let Some(named) = variables.get("PGSERVICEFILE") {
        let path = PathBuf::from(named);
        let content = small_file::read(&path).map_err(|source| unreadable(&path, source))?;
        if add_group(settings, &service, &path, &content)? {
            return Ok(());
        }
    } else if let Some(path) = variables.in_home(".pg_service.conf")
        && add_from_existing(settings, &service, &path)?
    {
        return Ok(());
    }
    let system_folders = match variables.get("PGSYSCONFDIR") {
        Some(folder) => vec![PathBuf::from(folder)],
        None => SYSTEM_FOLDERS.map(PathBuf::from).to_vec(),
    };
    for folder in system_folders {
        if add_from_existing(settings, &service, &folder.join("pg_service.conf"))? {
            return Ok(());
        }
    }
    Err(ConninfoError::ServiceNotFound { service })
}

/// Tells whether the file exists and has the service.
fn add_from_existing(settings: &mut Settings, service: &str, path: &Path) -> Result<bool, ConninfoError> {
    match small_file::read(path) {
        Ok(content) => add_group(settings, service, path, &content),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(unreadable(path, error)),
    }
}

/// Adds the first group of that name, as `parseServiceFile` of libpq reads it: no blanks around `=`, no quotes, and of
/// a key that comes twice the first one counts.
fn add_group(settings: &mut Settings, service: &str, path: &Path, content: &[u8]) -> Result<bool, ConninfoError> {
    let header = [b"[", service.as_bytes(), b"]"].concat();
    let lines = content.split(|&byte| byte == b'\n').map(trim_blanks).enumerate();
    let mut in_group = lines.skip_while(|(_, line)| !line.starts_with(&header)).peekable();
    if in_group.next().is_none() {
        return Ok(false);
    }
    for (index, line) in in_group.take_while(|(_, line)| !line.starts_with(b"[")) {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let path = path.to_owned();
        let origin = Origin::ServiceFile { path, line: index + 1 };
        let syntax = |problem| ConninfoError::Syntax {
            origin: origin.clone(),
            position: 1,
            problem,
        };
        let Some(equals) = line.iter().position(|&byte| byte == b'=') else {
            return Err(syntax("missing `=`"));
        };
        let (name, value) = (&line[..equals], &line[equals + 1..]);
        match keys::find(name) {
            Some(key) if key.name == "service" => return Err(syntax("a service cannot name another service")),
            Some(key) => settings.set_if_absent(key.name, value, origin),
            None if name.last().is_some_and(|&byte| is_blank(byte)) => {
                return Err(syntax("no blanks are allowed around `=`"));
            }
            None => {
                return Err(ConninfoError::UnknownKey {
                    origin,
                    position: 1,
                    nearest: keys::nearest(name),
                });
            }
        }
    }
    Ok(true)
}

fn trim_blanks(line: &[u8]) -> &[u8] {
    let first = line.iter().position(|&byte| !is_blank(byte)).unwrap_or(line.len());
    let last = line
        .iter()
        .rposition(|&byte| !is_blank(byte))
        .map_or(first, |last| last + 1);
    &line[first..last]
}

fn unreadable(path: &Path, source: io::Error) -> ConninfoError {
    let path = path.to_owned();
    ConninfoError::ServiceFile { path, source }
}
