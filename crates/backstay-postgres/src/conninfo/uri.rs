use super::error::{ConninfoError, Origin};
use super::keys::{self, FOREIGN_KEYS};
use super::{Request, Warning};

const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

/// Tells whether the text is a URL of PostgreSQL; the scheme is case-sensitive, as for libpq.
pub(super) fn has_scheme(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| text.starts_with(scheme))
}

/// Reads `postgresql://[user[:password]@][host[:port][,…]][/dbname][?key=value[&…]]` as
/// `conninfo_uri_parse_options` of libpq does, but for a raw `@` in the host or the path, which is refused: it is what
/// is left of a password whose `@` or `/` was not escaped.
pub(super) fn parse(url: &str, origin: &Origin, request: &mut Request) -> Result<(), ConninfoError> {
    let scheme = SCHEMES
        .iter()
        .find(|scheme| url.starts_with(*scheme))
        .map_or(0, |scheme| scheme.len());
    let mut reader = Reader {
        url: url.as_bytes(),
        at: scheme,
        origin,
        request,
    };
    reader.credentials()?;
    reader.hosts()?;
    if reader.peek() == Some(b'/') {
        reader.at += 1;
        reader.database()?;
    }
    if reader.peek() == Some(b'?') {
        reader.at += 1;
        reader.parameters()?;
    }
    Ok(())
}

struct Reader<'a> {
    url: &'a [u8],
    at: usize,
    origin: &'a Origin,
    request: &'a mut Request,
}

impl<'a> Reader<'a> {
    fn credentials(&mut self) -> Result<(), ConninfoError> {
        let start = self.at;
        let (before, stop) = self.take_until(b"@/");
        if stop != Some(b'@') {
            self.at = start;
            return Ok(());
        }
        self.at += 1;
        let colon = before.iter().position(|&byte| byte == b':');
        self.set_decoded("user", &before[..colon.unwrap_or(before.len())], start)?;
        if let Some(colon) = colon {
            self.set_decoded("password", &before[colon + 1..], start + colon + 1)?;
        }
        Ok(())
    }

    /// Collects the hosts and ports into libpq's comma-separated lists.
    fn hosts(&mut self) -> Result<(), ConninfoError> {
        let start = self.at;
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        loop {
            hosts.extend_from_slice(self.host()?);
            if self.peek() == Some(b':') {
                self.at += 1;
                ports.extend_from_slice(self.take_until(b"/?,").0);
            }
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
            hosts.push(b',');
            ports.push(b',');
        }
        if let Some(stray) = self.url[start..self.at].iter().position(|&byte| byte == b'@') {
            return Err(self.syntax(start + stray, "`@` in a user name or password must be written as %40"));
        }
        self.set_decoded("host", &hosts, start)?;
        self.set_decoded("port", &ports, start)
    }

    fn host(&mut self) -> Result<&'a [u8], ConninfoError> {
        if self.peek() != Some(b'[') {
            return Ok(self.take_until(b":/?,").0);
        }
        let bracket = self.at;
        self.at += 1;
        let (address, stop) = self.take_until(b"]");
        if stop.is_none() {
            return Err(self.syntax(bracket, "`[` of an IPv6 address has no matching `]`"));
        }
        if address.is_empty() {
            return Err(self.syntax(bracket, "an IPv6 address is empty"));
        }
        self.at += 1;
        match self.peek() {
            None | Some(b':' | b'/' | b'?' | b',') => Ok(address),
            Some(_) => Err(self.syntax(self.at, "`:` or `/` is expected after an IPv6 address")),
        }
    }

    fn database(&mut self) -> Result<(), ConninfoError> {
        let start = self.at;
        let (name, _) = self.take_until(b"?");
        if let Some(stray) = name.iter().position(|&byte| byte == b'@') {
            return Err(self.syntax(
                start + stray,
                "`/` in a password must be written as %2F, `@` in a path as %40",
            ));
        }
        self.set_decoded("dbname", name, start)
    }

    fn parameters(&mut self) -> Result<(), ConninfoError> {
        while self.at < self.url.len() {
            let start = self.at;
            let (parameter, _) = self.take_until(b"&");
            self.at += 1;
            let Some(equals) = parameter.iter().position(|&byte| byte == b'=') else {
                return Err(self.syntax(start, "a URL parameter has no `=`"));
            };
            let (name, value) = (&parameter[..equals], &parameter[equals + 1..]);
            if let Some(second) = value.iter().position(|&byte| byte == b'=') {
                let at = start + equals + 1 + second;
                return Err(self.syntax(at, "a URL parameter has a second `=` (write it as %3D)"));
            }
            let name = self.decode(name, start)?;
            let value = self.decode(value, start + equals + 1)?;
            self.parameter(&name, value, start)?;
        }
        Ok(())
    }

    fn parameter(&mut self, name: &[u8], value: Vec<u8>, start: usize) -> Result<(), ConninfoError> {
        // JDBC's way to ask for TLS, which libpq takes as well.
        if name == b"ssl" && value == b"true" {
            self.request.settings.set("sslmode", "require", self.origin.clone());
        } else if let Some(foreign) = FOREIGN_KEYS.iter().find(|foreign| foreign.as_bytes() == name) {
            self.request.warnings.push(Warning::ForeignKey(foreign));
        } else if self.request.settings.set_by_name(name, value, self.origin).is_none() {
            return Err(ConninfoError::UnknownKey {
                origin: self.origin.clone(),
                position: start + 1,
                nearest: keys::nearest(name),
            });
        }
        Ok(())
    }

    /// Sets a part of the URL, unless it is empty: `postgresql:///` leaves all to the environment.
    fn set_decoded(&mut self, key: &'static str, encoded: &[u8], start: usize) -> Result<(), ConninfoError> {
        if !encoded.is_empty() {
            let value = self.decode(encoded, start)?;
            self.request.settings.set(key, value, self.origin.clone());
        }
        Ok(())
    }

    /// Undoes percent-encoding; spaces around the value are dropped, those inside are refused.
    fn decode(&self, encoded: &[u8], start: usize) -> Result<Vec<u8>, ConninfoError> {
        let first = encoded.iter().position(|&byte| byte != b' ').unwrap_or(encoded.len());
        let last = encoded
            .iter()
            .rposition(|&byte| byte != b' ')
            .map_or(first, |last| last + 1);
        let mut value = Vec::with_capacity(last - first);
        let mut at = first;
        while at < last {
            let byte = match encoded[at] {
                b' ' => return Err(self.syntax(start + at, "a space must be written as %20")),
                0 => return Err(self.syntax(start + at, "a zero byte is not allowed")),
                b'%' => {
                    let byte = hex_pair(encoded.get(at + 1..at + 3))
                        .ok_or_else(|| self.syntax(start + at, "`%` is not followed by two hexadecimal digits"))?;
                    if byte == 0 {
                        return Err(self.syntax(start + at, "%00 is not allowed"));
                    }
                    at += 2;
                    byte
                }
                byte => byte,
            };
            value.push(byte);
            at += 1;
        }
        Ok(value)
    }

    fn peek(&self) -> Option<u8> {
        self.url.get(self.at).copied()
    }

    /// The bytes before the first of `stops`, and which one it is; it is not consumed.
    fn take_until(&mut self, stops: &[u8]) -> (&'a [u8], Option<u8>) {
        let rest = &self.url[self.at..];
        let length = rest.iter().position(|byte| stops.contains(byte)).unwrap_or(rest.len());
        self.at += length;
        (&rest[..length], rest.get(length).copied())
    }

    fn syntax(&self, at: usize, problem: &'static str) -> ConninfoError {
        ConninfoError::Syntax {
            origin: self.origin.clone(),
            position: at + 1,
            problem,
        }
    }
}

fn hex_pair(digits: Option<&[u8]>) -> Option<u8> {
    let &[high, low] = digits? else { return None };
    let value = char::from(high).to_digit(16)? * 16 + char::from(low).to_digit(16)?;
    u8::try_from(value).ok()
}
