use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use super::{Credentials, CredentialsError, Variables};

const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the files of AWS's programs say under one name.
pub(crate) struct Profile {
    name: String,
    /// Whether somebody asked for it by name.
    is_asked_for: bool,
    entries: Option<BTreeMap<String, String>>,
}

impl Profile {
    /// Reads the profile that the variables name, from both files; the one of credentials counts more.
    pub(crate) fn load(variables: &Variables) -> Result<Self, CredentialsError> {
        let asked = variables.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let name = asked.unwrap_or("default").to_owned();
        let mut entries = None;
        let files = [
            (variables.path("AWS_CONFIG_FILE", ".aws/config"), "profile "),
            (variables.path("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), ""),
        ];
        for (path, before) in files {
            let Some(text) = path.map(read).transpose()?.flatten() else {
                continue;
            };
            let header = if name == "default" {
                name.clone()
            } else {
                format!("{before}{name}")
            };
            for found in section(&text, &header) {
                entries.get_or_insert_with(BTreeMap::new).extend(found);
            }
        }
        Ok(Self {
            name,
            is_asked_for: asked.is_some(),
            entries,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// One of its settings.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.entries.as_ref()?.get(key).map(String::as_str)
    }

    /// Its keys; none where nobody asked for the profile and it has none.
    pub(crate) fn credentials(&self) -> Result<Option<Credentials>, CredentialsError> {
        let failed = |reason| {
            Err(CredentialsError::Profile {
                profile: self.name.clone(),
                reason,
            })
        };
        match (self.get("aws_access_key_id"), self.get("aws_secret_access_key")) {
            (Some(id), Some(secret)) => {
                let credentials = Credentials::new(id, secret);
                Ok(Some(match self.get("aws_session_token") {
                    Some(token) => credentials.with_session_token(token),
                    None => credentials,
                }))
            }
            (Some(_), None) | (None, Some(_)) => failed("has half a pair of keys"),
            (None, None) => {
                let needs = |key: &&str| self.get(key).is_some();
                let unsupported = ["role_arn", "sso_session", "sso_start_url", "credential_process"];
                if unsupported.iter().any(needs) {
                    return failed(
                        "needs a role, sso or a process, which is not supported: `aws configure export-credentials` \
                         gives keys for the environment",
                    );
                }
                match (self.is_asked_for, &self.entries) {
                    (false, _) => Ok(None),
                    (true, None) => failed("is in neither file"),
                    // It may only say the region, and the keys come from the machine.
                    (true, Some(_)) => Ok(None),
                }
            }
        }
    }
}

fn read(path: PathBuf) -> Result<Option<String>, CredentialsError> {
    let mut text = String::new();
    let found = File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    match found {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CredentialsError::File { path, source }),
    }
}

/// The entries of each section of that name; `None` of them where there is no such section.
fn section(text: &str, name: &str) -> Vec<BTreeMap<String, String>> {
    let mut found: Vec<BTreeMap<String, String>> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        if let Some(header) = line.trim().strip_prefix('[') {
            is_inside = header.split(']').next().unwrap_or(header).trim() == name;
            if is_inside {
                found.push(BTreeMap::new());
            }
        } else if is_inside
            // Lines that begin with space belong to a nested setting.
            && !line.starts_with([' ', '\t', '#', ';'])
            && let Some((key, value)) = line.split_once('=')
            && let Some(entries) = found.last_mut()
        {
            entries.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}
