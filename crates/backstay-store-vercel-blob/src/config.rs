use backstay_http::Retries;

use crate::token::Token;

/// Where the API is, unless another place is named.
const ENDPOINT: &str = "https://vercel.com/api/blob";

/// What a [`VercelBlobStore`](crate::VercelBlobStore) is to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VercelBlobConfig {
    /// Whose store it is, and the right to use it.
    pub token: Token,
    /// What all keys begin with: nothing, or text that ends with `/`.
    pub prefix: String,
    /// Who may read; it is a property of the whole store and must be the right one.
    pub access: Access,
    /// URL of the API.
    pub endpoint: String,
    /// URL beneath which blobs are read; `None` is the host of the store.
    pub read_endpoint: Option<String>,
    /// Length of all parts of a large object but the last, 5 MiB to 5 GiB. An object has 10,000 parts at most, so this
    /// bounds it.
    pub part_bytes: u64,
    /// Bytes that the parts of one object may hold in memory while they are sent. One part is always sent, and one
    /// filled, however long they are.
    pub memory_bytes_max: u64,
    /// How often and how patiently something is tried.
    pub retries: Retries,
}

impl VercelBlobConfig {
    /// The store that the token is of, private, with parts of 32 MiB.
    #[must_use]
    pub fn new(token: Token) -> Self {
        Self {
            token,
            prefix: String::new(),
            access: Access::Private,
            endpoint: ENDPOINT.to_owned(),
            read_endpoint: None,
            part_bytes: 32 << 20,
            memory_bytes_max: 128 << 20,
            retries: Retries::default(),
        }
    }
}

/// Who may read the blobs of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the service knows no third one")]
pub enum Access {
    /// Whoever has the token.
    #[default]
    Private,
    /// Everybody who knows or guesses a name. A backup that is not encrypted does not belong there.
    Public,
}

impl Access {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
        }
    }
}
