use std::fmt::{self, Write as _};
use std::ops::Range;

use crate::place::{At, Source};

/// How many mistakes are told in full.
const PROBLEMS_SHOWN_MAX: usize = 20;
/// How much of a line is shown.
const EXCERPT_CHARS_MAX: usize = 100;
/// What stands for text that may be secret.
const HIDDEN: &str = "…";

/// All mistakes of a file, in its order.
///
/// No message repeats a value that may be a secret, nor does the excerpt beside it: of a line with an unknown key or a
/// mistake of grammar nothing is shown behind its `=`.
#[derive(Debug)]
pub struct ConfigError {
    file: String,
    problems: Vec<Problem>,
}

/// A mistake.
#[derive(Debug)]
pub struct Problem {
    at: At,
    message: String,
    excerpt: Option<Excerpt>,
}

/// A line, and what is meant in it.
#[derive(Debug)]
struct Excerpt {
    line: String,
    /// Characters before the mark, and of it.
    mark: (usize, usize),
}

/// What an excerpt may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The key or header that is meant.
    Key,
    /// The value that is meant, which is no secret.
    Value,
    /// That there is a value.
    Hidden,
    /// What stands before the `=`, since nothing is known about the rest.
    Grammar,
}

impl ConfigError {
    /// The mistakes.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return only.fmt(f);
        }
        write!(f, "{} has {} mistakes", self.file, self.problems.len())?;
        for problem in self.problems.iter().take(PROBLEMS_SHOWN_MAX) {
            write!(f, "\n{problem}")?;
        }
        match self.problems.len().saturating_sub(PROBLEMS_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl Problem {
    /// Where it is.
    #[must_use]
    pub fn at(&self) -> &At {
        &self.at
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)?;
        let Some(Excerpt {
            line,
            mark: (before, of),
        }) = &self.excerpt
        else {
            return Ok(());
        };
        let number = self.at.line().to_string();
        let margin = " ".repeat(number.len());
        write!(f, "\n  {number} | {line}\n  {margin} | ")?;
        f.write_str(&" ".repeat(*before))?;
        f.write_str(&"^".repeat(*of))
    }
}

/// Mistakes while they are found.
pub(crate) struct Problems {
    source: Source,
    found: Vec<(usize, Problem)>,
}

impl Problems {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            found: Vec::new(),
        }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn add(&mut self, span: Range<usize>, shown: Shown, message: impl Into<String>) {
        let problem = Problem {
            at: self.source.at(span.start),
            message: message.into(),
            excerpt: Excerpt::of(&self.source, span.clone(), shown),
        };
        self.found.push((span.start, problem));
    }

    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// All of them as an error, or what was read if there are none.
    pub(crate) fn unless<T>(mut self, file: &str, read: T) -> Result<T, ConfigError> {
        if self.found.is_empty() {
            return Ok(read);
        }
        self.found.sort_by_key(|(offset, _)| *offset);
        Err(ConfigError {
            file: file.to_owned(),
            problems: self.found.into_iter().map(|(_, problem)| problem).collect(),
        })
    }
}

impl Excerpt {
    fn of(source: &Source, span: Range<usize>, shown: Shown) -> Option<Self> {
        let (start, line) = source.line(span.start);
        let end = span.end.clamp(span.start, start + line.len());
        let before = source.slice(start..span.start);
        let marked = source.slice(span.start..end);
        let is_header =
            line.trim_start().starts_with('[') && line.trim_end().ends_with(']') && !line.contains(['"', '=', '\'']);
        let (before, marked, after) = match shown {
            _ if is_header => (before.to_owned(), marked, source.slice(end..start + line.len())),
            Shown::Grammar => return Self::of_grammar(source, start, line, before),
            Shown::Key => (
                without_values(before),
                marked,
                behind(source.slice(end..start + line.len())),
            ),
            Shown::Value => (
                without_values(before),
                marked,
                behind_value(source.slice(end..start + line.len())),
            ),
            Shown::Hidden => (without_values(before), HIDDEN, ""),
        };
        Some(Self::made(&before, marked, after))
    }

    /// Where the grammar is broken, nothing is known about what the text means. Inside of text of several lines even what
    /// looks like a key may be a secret.
    fn of_grammar(source: &Source, start: usize, line: &str, before: &str) -> Option<Self> {
        let earlier = source.slice(0..start);
        if earlier.contains("\"\"\"") || earlier.contains("'''") {
            return None;
        }
        let key_end = line.find(['=', '"', '\''])?;
        let key = &line[..key_end];
        let is_key = !key.trim().is_empty() && line[key_end..].starts_with('=');
        if !is_key {
            return None;
        }
        let mark = before.chars().count().min(key.chars().count() + 2);
        let mut excerpt = Self::made(&format!("{key}= "), HIDDEN, "");
        excerpt.mark = (mark, 1);
        Some(excerpt)
    }

    fn made(before: &str, marked: &str, after: &str) -> Self {
        let marked = cut(marked);
        let mut line = String::new();
        let _ = write!(line, "{before}{marked}{after}");
        Self {
            mark: (before.chars().count(), marked.chars().count().max(1)),
            // A tab or another control character would move the mark.
            line: line.replace(|c: char| c.is_control(), " "),
        }
    }
}

/// What stands before a mark: all of it where that is nothing but one key and punctuation.
fn without_values(before: &str) -> String {
    let Some((key, rest)) = before.split_once('=') else {
        // A list may go on from the line before.
        return match before.contains(['"', '\'']) {
            true => format!("{HIDDEN} "),
            false => cut(before),
        };
    };
    if key.contains(['"', '\'']) {
        return format!("{HIDDEN} ");
    }
    let is_harmless = rest.chars().all(|c| c.is_whitespace() || "{[,".contains(c));
    if is_harmless {
        format!("{key}={rest}")
    } else {
        format!("{key}= {HIDDEN} ")
    }
}

/// What stands behind a key.
fn behind(after: &str) -> &'static str {
    match after.trim_start() {
        "" => "",
        rest if rest.starts_with('=') => " = …",
        _ => " …",
    }
}

/// What stands behind a value.
fn behind_value(after: &str) -> &'static str {
    if after.trim().is_empty() { "" } else { " …" }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS_MAX) {
        Some((end, _)) => format!("{}{HIDDEN}", &text[..end]),
        None => text.to_owned(),
    }
}
