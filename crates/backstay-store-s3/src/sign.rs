//! Signatures of AWS, version 4, in headers and in URLs.
//!
//! Our own because the kept crates do less or bring more: `rusty-s3` signs URLs and leaves the body unsigned, and
//! `aws-sigv4` stands on the runtime of AWS's SDK. Held by AWS's published examples, and by servers that check.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

use backstay_core::Sha256Digest;

use crate::credentials::Credentials;

const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: AsciiSet = UNRESERVED.remove(b'/');

/// Encodes a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &UNRESERVED).to_string()
}

/// Encodes a path, which keeps its slashes.
pub(crate) fn encoded_path(text: &str) -> String {
    utf8_percent_encode(text, &PATH).to_string()
}

/// Joins names and values as a query, in the order that a signature wants.
pub(crate) fn query(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    let mut pairs: Vec<String> = pairs.collect();
    pairs.sort();
    pairs.join("&")
}

/// A request as far as it is signed.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    /// Encoded, with the slash that it begins with.
    pub(crate) path: &'a str,
    /// Encoded and sorted.
    pub(crate) query: &'a str,
    /// Names in lower case; of these, those that begin with `x-amz-` are signed, as they must be.
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) body: Sha256Digest,
    pub(crate) region: &'a str,
    pub(crate) now: Timestamp,
}

impl Signed<'_> {
    /// The headers that make the request a signed one.
    pub(crate) fn sign(&self, credentials: &Credentials) -> Vec<(&'static str, String)> {
        let time = compact(self.now);
        let body = self.body.to_string();
        let mut added = vec![("x-amz-content-sha256", body.clone()), ("x-amz-date", time.clone())];
        if let Some(token) = credentials.session_token() {
            added.push(("x-amz-security-token", token.to_owned()));
        }
        let mut covered: Vec<(&str, &str)> = vec![("host", self.host)];
        let amazon = self.headers.iter().filter(|(name, _)| name.starts_with("x-amz-"));
        covered.extend(amazon.chain(&added).map(|(name, value)| (*name, value.trim())));
        covered.sort_unstable();
        let names: Vec<&str> = covered.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = covered
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{body}",
            self.method, self.path, self.query
        );
        let scope = scope(&time, self.region);
        let signature = signature(credentials, &time, self.region, &canonical);
        added.push((
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
                credentials.access_key_id()
            ),
        ));
        added
    }
}

/// A URL by which anybody can read an object for some time.
#[derive(Debug)]
pub(crate) struct Presigned<'a> {
    pub(crate) host: &'a str,
    /// Encoded, with the slash that it begins with.
    pub(crate) path: &'a str,
    pub(crate) region: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) expires_in: Duration,
}

impl Presigned<'_> {
    /// The query that makes the URL a signed one.
    pub(crate) fn query(&self, credentials: &Credentials) -> String {
        let time = compact(self.now);
        let credential = format!("{}/{}", credentials.access_key_id(), scope(&time, self.region));
        let expires = self.expires_in.as_secs().to_string();
        let mut parameters = vec![
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &time),
            ("X-Amz-Expires", &expires),
            ("X-Amz-SignedHeaders", "host"),
        ];
        if let Some(token) = credentials.session_token() {
            parameters.push(("X-Amz-Security-Token", token));
        }
        let query = query(&parameters);
        let canonical = format!(
            "GET\n{}\n{query}\nhost:{}\n\nhost\nUNSIGNED-PAYLOAD",
            self.path, self.host
        );
        let signature = signature(credentials, &time, self.region, &canonical);
        format!("{query}&X-Amz-Signature={signature}")
    }
}

fn compact(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// What a key is good for: one day, one region, one service.
fn scope(time: &str, region: &str) -> String {
    format!("{}/{region}/s3/aws4_request", &time[..8])
}

fn signature(credentials: &Credentials, time: &str, region: &str, canonical: &str) -> Sha256Digest {
    let digest = Sha256Digest::of(canonical.as_bytes());
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{}\n{digest}", scope(time, region));
    let secret = format!("AWS4{}", credentials.secret_access_key());
    let mut key = keyed(secret.as_bytes(), &time[..8]);
    for part in [region, "s3", "aws4_request"] {
        key = keyed(&key, part);
    }
    Sha256Digest::from_bytes(keyed(&key, &to_sign))
}

fn keyed(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bucket, keys and time of the examples in AWS's "Signature Calculations for the Authorization Header".
    fn signature(method: &str, path: &str, query: &str, headers: &[(&'static str, String)], body: &[u8]) -> String {
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let signed = Signed {
            method,
            host: "examplebucket.s3.amazonaws.com",
            path,
            query,
            headers,
            body: Sha256Digest::of(body),
            region: "us-east-1",
            now: "2013-05-24T00:00:00Z".parse().unwrap(),
        };
        let added = signed.sign(&credentials);
        let (_, authorization) = added.iter().find(|(name, _)| *name == "authorization").unwrap();
        authorization.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    #[test]
    fn the_published_examples_come_out() {
        assert_eq!(
            signature("GET", "/", "lifecycle=", &[], b""),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            signature("GET", "/", &query(&[("prefix", "J"), ("max-keys", "2")]), &[], b""),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn the_published_example_of_a_url_comes_out() {
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let presigned = Presigned {
            host: "examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            region: "us-east-1",
            now: "2013-05-24T00:00:00Z".parse().unwrap(),
            expires_in: Duration::from_secs(86_400),
        };
        assert_eq!(
            presigned.query(&credentials),
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F\
             aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=\
             aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[test]
    fn only_unreserved_characters_are_left_as_they_are() {
        assert_eq!(encoded_path("a/b c+d~_.-ä%"), "a/b%20c%2Bd~_.-%C3%A4%25");
        assert_eq!(query(&[("uploads", ""), ("a", "x/y=z")]), "a=x%2Fy%3Dz&uploads=");
    }
}
