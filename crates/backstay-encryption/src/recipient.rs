use std::fmt;
use std::str::FromStr;

/// A public key that backups can be sealed to.
#[derive(Clone)]
pub struct Recipient(Kind);

#[derive(Clone)]
enum Kind {
    X25519(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

impl Recipient {
    pub(crate) fn from_x25519(key: age::x25519::Recipient) -> Self {
        Self(Kind::X25519(key))
    }

    pub(crate) fn as_age(&self) -> &dyn age::Recipient {
        match &self.0 {
            Kind::X25519(key) => key,
            Kind::Ssh(key) => key,
        }
    }
}

/// An SSH key without the comment behind it.
impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::X25519(key) => key.fmt(f),
            Kind::Ssh(key) => {
                let text = key.to_string();
                let mut words = text.split(' ');
                match (words.next(), words.next()) {
                    (Some(kind), Some(key)) => write!(f, "{kind} {key}"),
                    _ => f.write_str(&text),
                }
            }
        }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Recipient {}

/// `age1…`, `ssh-ed25519 …` or `ssh-rsa …`.
impl FromStr for Recipient {
    type Err = InvalidRecipient;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        // What is meant as a secret must not end in a message.
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") || text.starts_with("-----BEGIN") {
            return Err(InvalidRecipient::Secret);
        }
        if let Ok(key) = text.parse() {
            return Ok(Self(Kind::X25519(key)));
        }
        if text.starts_with("ssh-") {
            // The library takes one space between kind and key.
            let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
            return match joined.parse() {
                Ok(key) => Ok(Self(Kind::Ssh(key))),
                Err(_) => Err(InvalidRecipient::Ssh),
            };
        }
        if text.starts_with("age1") {
            return Err(InvalidRecipient::Age(text.to_owned()));
        }
        Err(InvalidRecipient::Unknown)
    }
}

/// Why a text is no recipient.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecipient {
    /// It is a secret key.
    #[error("that is a secret key, which must not be given here: take the public one")]
    Secret,
    /// It begins as an age key does and is none, or one of a plugin.
    #[error("{0} is no public key of age (keys of plugins cannot be used)")]
    Age(String),
    /// An SSH key that cannot be used.
    #[error("that is no SSH key that can be used (known: ssh-ed25519, and ssh-rsa of 2048 bits or more)")]
    Ssh,
    /// Neither.
    #[error("that is no public key (known: age1…, ssh-ed25519, ssh-rsa)")]
    Unknown,
}

/// A line of a file of recipients that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientsError {
    /// A line is no recipient.
    #[error("line {line}: {source}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// Why.
        source: InvalidRecipient,
    },
    /// There is none.
    #[error("it names no recipient")]
    Empty,
}

/// Reads a file of recipients as `age -R` does: one in a line, `#` for comments; also a public SSH key file, or
/// `authorized_keys` without options.
///
/// # Errors
/// A line is no recipient, or there is none.
pub fn parse_recipients(text: &str) -> Result<Vec<Recipient>, RecipientsError> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let recipient = line.parse().map_err(|source| RecipientsError::Line {
            line: index + 1,
            source,
        })?;
        found.push(recipient);
    }
    if found.is_empty() {
        return Err(RecipientsError::Empty);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
    const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

    #[test]
    fn files_of_recipients_are_read_as_age_reads_them() {
        let text = format!("# ops\n{AGE}\n\n  {SSH}   anna@laptop \n");
        let found = parse_recipients(&text).unwrap();
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [AGE, SSH]);
        assert_eq!(parse_recipients("# nobody\n"), Err(RecipientsError::Empty));
        assert!(matches!(
            parse_recipients(&format!("{AGE}\nbob")),
            Err(RecipientsError::Line {
                line: 2,
                source: InvalidRecipient::Unknown
            })
        ));
    }

    #[test]
    fn a_secret_key_is_refused_and_not_repeated() {
        let secret = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
        for text in [secret, &secret.to_lowercase(), "-----BEGIN OPENSSH PRIVATE KEY-----"] {
            let refused = text.parse::<Recipient>().unwrap_err();
            assert_eq!(refused, InvalidRecipient::Secret);
            assert!(!refused.to_string().contains("GQ9778"), "{refused}");
        }
        assert!(matches!(
            "age1yubikey1xyz".parse::<Recipient>(),
            Err(InvalidRecipient::Age(_))
        ));
        assert_eq!("ssh-dss AAAA".parse::<Recipient>(), Err(InvalidRecipient::Ssh));
    }
}
