//! Who asks: keys, where they come from, and when they end.

mod chain;
mod profile;
mod remote;
mod variables;

use std::fmt;
use std::path::PathBuf;

pub use chain::DefaultChain;
pub(crate) use profile::Profile;
pub use variables::Variables;

/// An access key with its secret. `Debug` shows neither the secret nor the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expires_unix_secs: Option<i64>,
}

impl Credentials {
    /// Keys that do not expire.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
            expires_unix_secs: None,
        }
    }

    /// The same with the token of a session.
    #[must_use]
    pub fn with_session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// The same with an end, in seconds since the Unix epoch.
    #[must_use]
    pub fn with_expiry(mut self, expires_unix_secs: i64) -> Self {
        self.expires_unix_secs = Some(expires_unix_secs);
        self
    }

    pub(crate) fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    pub(crate) fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    pub(crate) fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// Whether they still hold a while after `now`.
    pub(crate) fn are_fresh(&self, now_unix_secs: i64) -> bool {
        const MARGIN_SECS: i64 = 300;
        self.expires_unix_secs
            .is_none_or(|expires| expires > now_unix_secs + MARGIN_SECS)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expires_unix_secs", &self.expires_unix_secs)
            .finish_non_exhaustive()
    }
}

/// A place that credentials come from.
pub trait CredentialsProvider: Send + Sync + fmt::Debug {
    /// Fetches credentials anew. A store keeps them until shortly before they expire, or until they are refused as
    /// expired, and then fetches again.
    ///
    /// # Errors
    /// There are none, or they cannot be had.
    fn fetch(&self) -> Result<Credentials, CredentialsError>;
}

/// The same credentials at each time.
#[derive(Clone, Debug)]
pub struct StaticCredentials(Credentials);

impl StaticCredentials {
    /// Of these.
    #[must_use]
    pub fn new(credentials: Credentials) -> Self {
        Self(credentials)
    }
}

impl CredentialsProvider for StaticCredentials {
    fn fetch(&self) -> Result<Credentials, CredentialsError> {
        Ok(self.0.clone())
    }
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// No place has any.
    #[error(
        "there are none in the environment (AWS_ACCESS_KEY_ID), in the profile {profile:?}, by web identity, or from the \
         machine"
    )]
    Nowhere {
        /// Name of the profile.
        profile: String,
    },
    /// A variable is there without the one that belongs to it.
    #[error("{present} is set, and {missing} is not")]
    Incomplete {
        /// The one that is there.
        present: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The profile that was asked for is not there, or has no keys.
    #[error("the profile {profile:?} {reason}")]
    Profile {
        /// Its name.
        profile: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A service that gives credentials failed.
    #[error("{service} gave none")]
    Service {
        /// Which.
        service: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether another try may succeed.
        is_transient: bool,
    },
    /// A provider of another crate failed.
    #[error("the provider of credentials failed")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CredentialsError {
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Service { is_transient: true, .. })
    }
}
