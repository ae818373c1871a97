use std::collections::BTreeMap;
use std::io::{BufRead, Read as _};

use backstay_core::Sha256Digest;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, encoded.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Reads all but the body, and how long that is; `None` where the connection ended.
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
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
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

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(super) fn path(&self) -> String {
        decoded(self.target.split('?').next().unwrap())
    }

    pub(super) fn query(&self) -> BTreeMap<String, String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect()
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .unwrap()
        .into_owned()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256Digest::of(bytes).to_string()
}

/// An answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// How much of the body is sent; all of it is announced.
    pub(super) cut: Option<usize>,
}

impl Response {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut: None,
        }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
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

pub(super) fn refusal(status: u16, code: &str) -> Response {
    let body = format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>as told</Message></Error>");
    Response::new(status, body)
}
