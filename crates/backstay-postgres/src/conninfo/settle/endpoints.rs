use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::conninfo::error::ConninfoError;
use crate::conninfo::settings::{Setting, Settings};
use crate::{Endpoint, Host};

const DEFAULT_PORT: u16 = 5432;

/// Where Debian's libpq looks for a socket, and where that of PostgreSQL's own sources does.
const DEFAULT_SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Pairs the comma-separated lists of `host`, `hostaddr` and `port`.
pub(super) fn settle(settings: &Settings) -> Result<Vec<Endpoint>, ConninfoError> {
    let host_setting = settings.filled("host");
    let address_setting = settings.filled("hostaddr");
    let names = elements(settings.filled_text("host")?);
    let addresses = elements(settings.filled_text("hostaddr")?);
    if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
        return Err(ConninfoError::HostCount {
            hosts: names.len(),
            addresses: addresses.len(),
        });
    }
    let count = names.len().max(addresses.len()).max(1);
    let ports = ports(settings, count)?;
    let mut endpoints = Vec::with_capacity(count);
    for (index, port) in ports.into_iter().enumerate() {
        let name = host_setting.zip(names.get(index).copied().filter(|name| !name.is_empty()));
        let address = address_setting.zip(addresses.get(index).copied().filter(|address| !address.is_empty()));
        let host = match (name, address) {
            (name, Some((setting, address))) => {
                check_address(address, setting)?;
                let name = match name {
                    Some((setting, name)) => checked_name(name, setting)?,
                    None => address,
                };
                let (name, address) = (name.to_owned(), Some(address.to_owned()));
                Host::Tcp { name, address }
            }
            (Some((_, folder)), None) if folder.starts_with('/') => Host::Unix(PathBuf::from(folder)),
            (Some((setting, name)), None) => Host::Tcp {
                name: checked_name(name, setting)?.to_owned(),
                address: None,
            },
            (None, None) => default_host(&DEFAULT_SOCKET_FOLDERS),
        };
        endpoints.push(Endpoint { host, port });
    }
    Ok(endpoints)
}

fn elements(list: Option<&str>) -> Vec<&str> {
    list.map_or_else(Vec::new, |list| list.split(',').collect())
}

/// One port for each host: a single one counts for all, a missing or empty one is the default.
fn ports(settings: &Settings, hosts: usize) -> Result<Vec<u16>, ConninfoError> {
    let Some(setting) = settings.filled("port") else {
        return Ok(vec![DEFAULT_PORT; hosts]);
    };
    let parse = |port: &str| match port {
        "" => Ok(DEFAULT_PORT),
        _ => match port.trim_ascii().parse::<u16>() {
            Ok(port) if port != 0 => Ok(port),
            _ => Err(setting.invalid("port", "a number from 1 to 65535 for each host")),
        },
    };
    let ports = setting
        .text("port")?
        .split(',')
        .map(parse)
        .collect::<Result<Vec<_>, _>>()?;
    match ports[..] {
        [port] => Ok(vec![port; hosts]),
        _ if ports.len() == hosts => Ok(ports),
        _ => Err(ConninfoError::PortCount {
            ports: ports.len(),
            hosts,
        }),
    }
}

/// Refuses what no host is called, above all `part-of-a-password@host` and Linux's abstract sockets (`@name`).
fn checked_name<'a>(name: &'a str, setting: &Setting) -> Result<&'a str, ConninfoError> {
    let is_strange = |c: char| c == '@' || c.is_whitespace() || c.is_control();
    if name.contains(is_strange) {
        return Err(setting.invalid("host", "a host name, an address or the folder of a socket"));
    }
    Ok(name)
}

fn check_address(address: &str, setting: &Setting) -> Result<(), ConninfoError> {
    // `fe80::1%eth0` names the interface of a link-local address, which Rust's type does not know.
    let without_zone = address.split_once('%').map_or(address, |(address, _)| address);
    match without_zone.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(setting.invalid("hostaddr", "a numeric address")),
    }
}

fn default_host(folders: &[&str]) -> Host {
    match folders.iter().find(|folder| Path::new(folder).is_dir()) {
        Some(folder) => Host::Unix(PathBuf::from(folder)),
        None => Host::Tcp {
            name: "localhost".to_owned(),
            address: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_host_is_the_first_socket_folder_that_exists() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().to_str().unwrap();
        let absent = format!("{here}/absent");
        assert_eq!(default_host(&[&absent, here, "/"]), Host::Unix(here.into()));
        let localhost = Host::Tcp {
            name: "localhost".to_owned(),
            address: None,
        };
        assert_eq!(default_host(&[&absent]), localhost);
    }
}
