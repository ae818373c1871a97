use super::profile::Profile;
use super::remote::Remote;
use super::{Credentials, CredentialsError, CredentialsProvider, Variables};

/// The usual places, in this order: the environment, a profile, a web identity, the container, the machine (`IMDSv2`).
///
/// - The environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
/// - A profile: `AWS_PROFILE` or `default`, in `~/.aws/credentials` and `~/.aws/config`. Keys only: roles, `sso` and
///   `credential_process` are told of as not supported where a profile needs them.
/// - A web identity: `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`.
/// - The container: `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI`.
/// - The machine, unless `AWS_EC2_METADATA_DISABLED` is `true`.
#[derive(Clone, Debug)]
pub struct DefaultChain {
    variables: Variables,
    remote: Remote,
}

impl DefaultChain {
    /// What these variables say; nothing is read or asked before credentials are needed.
    #[must_use]
    pub fn new(variables: &Variables) -> Self {
        Self {
            variables: variables.clone(),
            remote: Remote::new(),
        }
    }

    fn of_environment(&self) -> Result<Option<Credentials>, CredentialsError> {
        let incomplete = |present, missing| Err(CredentialsError::Incomplete { present, missing });
        let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
        match (self.variables.get(id), self.variables.get(secret)) {
            (None, None) => Ok(None),
            (Some(_), None) => incomplete(id, secret),
            (None, Some(_)) => incomplete(secret, id),
            (Some(id), Some(secret)) => {
                let credentials = Credentials::new(id, secret);
                Ok(Some(match self.variables.get("AWS_SESSION_TOKEN") {
                    Some(token) => credentials.with_session_token(token),
                    None => credentials,
                }))
            }
        }
    }
}

impl CredentialsProvider for DefaultChain {
    fn fetch(&self) -> Result<Credentials, CredentialsError> {
        if let Some(found) = self.of_environment()? {
            return Ok(found);
        }
        let profile = Profile::load(&self.variables)?;
        if let Some(found) = profile.credentials()? {
            return Ok(found);
        }
        if let Some(found) = self.remote.of_web_identity(&self.variables)? {
            return Ok(found);
        }
        if let Some(found) = self.remote.of_container(&self.variables)? {
            return Ok(found);
        }
        if let Some(found) = self.remote.of_machine(&self.variables)? {
            return Ok(found);
        }
        Err(CredentialsError::Nowhere {
            profile: profile.name().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(variables: &[(&str, &str)]) -> Result<Credentials, CredentialsError> {
        let disabled = [("AWS_EC2_METADATA_DISABLED", "true")];
        let variables: Variables = disabled.iter().chain(variables).copied().collect();
        DefaultChain::new(&variables).fetch()
    }

    #[test]
    fn the_environment_comes_first_and_must_be_whole() {
        let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        assert_eq!(fetch(&keys).unwrap(), Credentials::new("id", "secret"));
        let all = [keys[0], keys[1], ("AWS_SESSION_TOKEN", "token")];
        assert_eq!(fetch(&all).unwrap().session_token(), Some("token"));
        for key in keys {
            assert!(
                matches!(fetch(&[key]), Err(CredentialsError::Incomplete { .. })),
                "{key:?}"
            );
        }
        assert!(matches!(fetch(&[]), Err(CredentialsError::Nowhere { .. })));
    }

    #[test]
    fn profiles_come_from_both_files() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".aws");
        std::fs::create_dir(&folder).unwrap();
        let credentials = "[default]\naws_access_key_id = a\naws_secret_access_key=b # no comment\n\n[other]\n\
                           aws_access_key_id=c\naws_secret_access_key=d\naws_session_token=e\n[half]\naws_access_key_id=x\n";
        std::fs::write(folder.join("credentials"), credentials).unwrap();
        let config = "# comment\n[profile in config]\naws_access_key_id = f\naws_secret_access_key = g\n[profile sso]\n\
                      sso_session = x\n";
        std::fs::write(folder.join("config"), config).unwrap();
        let of = |profile: &str| fetch(&[("HOME", home.path().to_str().unwrap()), ("AWS_PROFILE", profile)]);
        assert_eq!(of("").unwrap(), Credentials::new("a", "b # no comment"));
        assert_eq!(of("other").unwrap(), Credentials::new("c", "d").with_session_token("e"));
        assert_eq!(of("in config").unwrap(), Credentials::new("f", "g"));
        for profile in ["half", "sso", "missing"] {
            assert!(
                matches!(of(profile), Err(CredentialsError::Profile { .. })),
                "{profile}"
            );
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let credentials = Credentials::new("id", "hunter2").with_session_token("hunter3");
        let variables: Variables = [("AWS_SECRET_ACCESS_KEY", "hunter2")].into_iter().collect();
        let shown = format!("{credentials:?} {variables:?} {:?}", DefaultChain::new(&variables));
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
