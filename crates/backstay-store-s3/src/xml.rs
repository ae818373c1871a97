//! Answers in XML, read into a small tree. What is read has a bound before it comes here.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Elements within elements; answers have four.
const DEPTH_MAX: usize = 16;

/// An element: its name without namespace, its text, what is in it.
#[derive(Debug, Default)]
pub(crate) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

/// A text that is no XML of the kind that servers answer with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum XmlError {
    #[error("the answer is no XML")]
    Syntax(#[source] quick_xml::Error),
    #[error("the answer is no XML: {0}")]
    Shape(&'static str),
}

impl Element {
    /// Reads a document.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, XmlError> {
        let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Shape("it is not UTF-8"))?;
        let mut reader = Reader::from_str(text);
        // The first is the document itself.
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().map_err(XmlError::Syntax)? {
                Event::Start(start) => {
                    if open.len() > DEPTH_MAX {
                        return Err(XmlError::Shape("it is nested too deeply"));
                    }
                    open.push(Self::named(start.local_name().as_ref()));
                }
                Event::Empty(empty) => within(&mut open)?
                    .children
                    .push(Self::named(empty.local_name().as_ref())),
                Event::End(_) => {
                    let closed = open.pop().ok_or(XmlError::Shape("it ends twice"))?;
                    within(&mut open)?.children.push(closed);
                }
                Event::Text(text) => {
                    let text = text.decode().map_err(|error| XmlError::Syntax(error.into()))?;
                    within(&mut open)?.text.push_str(&text);
                }
                Event::CData(text) => {
                    let text = text.decode().map_err(|error| XmlError::Syntax(error.into()))?;
                    within(&mut open)?.text.push_str(&text);
                }
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref().map_err(XmlError::Syntax)? {
                        Some(character) => character,
                        None => predefined(&reference).ok_or(XmlError::Shape("it has an unknown entity"))?,
                    };
                    within(&mut open)?.text.push(character);
                }
                Event::DocType(_) => return Err(XmlError::Shape("it has a document type")),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        match (open.pop(), open.is_empty()) {
            (Some(document), true) => document
                .children
                .into_iter()
                .next()
                .ok_or(XmlError::Shape("it is empty")),
            _ => Err(XmlError::Shape("it was cut off")),
        }
    }

    fn named(name: &[u8]) -> Self {
        Self {
            name: String::from_utf8_lossy(name).into_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The elements of that name that are directly in this one.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first element of that name in this one.
    pub(crate) fn first<'a>(&'a self, name: &'a str) -> Option<&'a Self> {
        self.all(name).next()
    }

    /// The text of the first element of that name.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.children
            .iter()
            .find(|child| child.name == name)
            .map(|child| child.text.as_str())
    }
}

fn within(open: &mut [Element]) -> Result<&mut Element, XmlError> {
    open.last_mut().ok_or(XmlError::Shape("it ends twice"))
}

fn predefined(name: &[u8]) -> Option<char> {
    Some(match name {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        _ => return None,
    })
}

/// Escapes a text for an element.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_as_they_went_in() {
        let text = "<?xml version=\"1.0\"?>\n<R xmlns=\"x\">\n <Key> a&amp;b &#228;&#x1F6DF;<![CDATA[<]]> </Key><Key/><n:Other \
                    xmlns:n=\"y\">1</n:Other></R>";
        let root = Element::parse(text.as_bytes()).unwrap();
        assert_eq!(root.name(), "R");
        let keys: Vec<&str> = root.all("Key").map(|key| key.text.as_str()).collect();
        assert_eq!(keys, [" a&b ä🛟< ", ""]);
        assert_eq!(root.text_of("Other"), Some("1"));
        assert_eq!(root.text_of("Missing"), None);
    }

    #[test]
    fn what_is_cut_or_odd_is_refused() {
        let deep = "<a>".repeat(50) + &"</a>".repeat(50);
        for bad in [
            "",
            " ",
            "<a>",
            "<a><b></a>",
            "</a>",
            "<a>&nope;</a>",
            "<!DOCTYPE a><a/>",
            "<a",
            deep.as_str(),
        ] {
            assert!(Element::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(Element::parse(b"<a>\xff</a>").is_err());
    }
}
