use std::collections::BTreeMap;
use std::io::{BufRead, Read as _};

use percent_encoding::percent_decode_str;

/// A request as it came.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Path and query, encoded.
    pub target: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// As much of its body as was read.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads all but the body, and how long that is; `None` where the connection ended, be it in the middle.
    pub(super) fn read_head(reader: &mut impl BufRead) -> Option<(Self, usize)> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        let mut request = Self {
            method: words.next()?.to_owned(),
            target: words.next()?.to_owned(),
            headers: BTreeMap::new(),
            body: Vec::new(),
        };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            if line == "\r\n" {
                break;
            }
            let (name, value) = line.strip_suffix("\r\n")?.split_once(':')?;
            request.headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = request
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        Some((request, length))
    }

    pub(super) fn read_body(&mut self, reader: &mut impl BufRead, length: usize) {
        // A client that goes away in the middle sends less.
        drop(reader.take(length as u64).read_to_end(&mut self.body));
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The path, decoded.
    #[must_use]
    pub fn path(&self) -> String {
        decoded(self.target.split('?').next().unwrap_or_default())
    }

    /// The pairs of the query, decoded; a plus is a plus.
    #[must_use]
    pub fn query(&self) -> BTreeMap<String, String> {
        pairs(&self.target, decoded)
    }

    /// The same where a plus is a space, as in forms.
    #[must_use]
    pub fn form_query(&self) -> BTreeMap<String, String> {
        pairs(&self.target, |text| decoded(&text.replace('+', " ")))
    }
}

fn pairs(target: &str, decoded: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// An answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// Its status.
    pub status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// How much of the body is sent; all of it is announced.
    pub(super) cut: Option<usize>,
}

impl Response {
    /// One with that status and body.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut: None,
        }
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn bytes(&self, is_head: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} x\r\ncontent-length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !is_head && self.status != 204 {
            let length = self.cut.unwrap_or(self.body.len()).min(self.body.len());
            bytes.extend_from_slice(&self.body[..length]);
        }
        bytes
    }
}
