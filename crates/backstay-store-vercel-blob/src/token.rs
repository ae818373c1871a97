use std::fmt;
use std::str::FromStr;

/// A read-write token of one store: `vercel_blob_rw_STORE_SECRET`. `Debug` shows the store alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: String,
    store: String,
}

impl Token {
    /// Id of its store.
    #[must_use]
    pub fn store(&self) -> &str {
        &self.store
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.text)
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fields: Vec<&str> = text.splitn(5, '_').collect();
        let ["vercel", "blob", "rw", store, secret] = fields[..] else {
            return Err(InvalidToken);
        };
        // The store becomes part of a host's name, and all of it a header.
        let is_host = !store.is_empty() && store.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_host || secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidToken);
        }
        Ok(Self {
            text: text.to_owned(),
            store: store.to_owned(),
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// A text that is no [`Token`]; it is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not look like vercel_blob_rw_STORE_SECRET")]
#[expect(clippy::exhaustive_structs, reason = "there is no more to say without saying it")]
pub struct InvalidToken;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_store_and_shows_no_secret() {
        let token: Token = "vercel_blob_rw_AbC123_hunter2_hunter3".parse().unwrap();
        assert_eq!(token.store(), "AbC123");
        assert_eq!(token.bearer(), "Bearer vercel_blob_rw_AbC123_hunter2_hunter3");
        assert!(!format!("{token:?}").contains("hunter"), "{token:?}");
        for bad in [
            "",
            "hunter2",
            "vercel_blob_rw_AbC123",
            "vercel_blob_rw_AbC123_",
            "vercel_blob_rw__hunter2",
            "vercel_blob_client_AbC123_hunter2",
            "vercel_blob_rw_evil.example/_hunter2",
            "vercel_blob_rw_AbC123_hunter2\r\nx: y",
        ] {
            assert_eq!(bad.parse::<Token>(), Err(InvalidToken), "{bad:?}");
        }
    }
}
