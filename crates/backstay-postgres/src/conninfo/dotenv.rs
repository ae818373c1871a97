use std::iter::Peekable;
use std::str::Chars;

/// A line of a `.env` text that cannot be read; it never shows the line, which may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
#[non_exhaustive]
pub struct DotenvError {
    /// The line where the entry begins, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: DotenvProblem,
}

/// What is wrong with a line of a `.env` text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DotenvProblem {
    /// There is no `=`.
    #[error("missing `=` after the name")]
    MissingEquals,
    /// The name is empty, or has other characters than letters, digits and `_`, or begins with a digit.
    #[error("invalid name")]
    InvalidName,
    /// A quote is not closed.
    #[error("unterminated quoted value")]
    Unterminated,
    /// Something other than a comment follows the closing quote.
    #[error("unexpected text after the closing quote")]
    AfterQuote,
    /// A value has a zero byte, which no environment can hold.
    #[error("zero byte in the value")]
    ZeroByte,
}

/// Reads the text of a `.env` file into its variables, in the order of the text.
///
/// An entry is `NAME=value`, with or without `export` before it and blanks around `=`. A plain value ends with the line
/// or with a `#` after a blank. In single quotes everything is literal; in double quotes `\n`, `\r`, `\t`, `\"`, `\\`
/// and `\$` are escapes, and a backslash before anything else stays. Quoted values may have several lines. `$NAME` is
/// never replaced. Of a name that comes twice both entries are given.
///
/// # Errors
/// Any line that is neither an entry, a comment nor blank: see [`DotenvProblem`].
pub fn parse_dotenv(text: &str) -> Result<Vec<(String, String)>, DotenvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser {
        rest: text.chars().peekable(),
        line: 1,
    };
    let mut entries = Vec::new();
    loop {
        parser.skip_blanks();
        let line = parser.line;
        match parser.rest.peek() {
            None => return Ok(entries),
            Some('\n') => {
                parser.next();
            }
            Some('#') => parser.skip_line(),
            Some(_) => entries.push(parser.entry().map_err(|problem| DotenvError { line, problem })?),
        }
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Parser<'_> {
    fn entry(&mut self) -> Result<(String, String), DotenvProblem> {
        let mut name = self.name();
        self.skip_blanks();
        if name == "export" && self.rest.peek() != Some(&'=') {
            name = self.name();
            self.skip_blanks();
        }
        let is_name = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
            && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        if self.rest.next_if_eq(&'=').is_none() {
            return Err(DotenvProblem::MissingEquals);
        }
        if !is_name {
            return Err(DotenvProblem::InvalidName);
        }
        self.skip_blanks();
        let value = match self.rest.peek() {
            Some(&quote @ ('"' | '\'')) => {
                self.next();
                let value = self.quoted(quote)?;
                self.skip_blanks();
                match self.rest.peek() {
                    None | Some('\n') => {}
                    Some('#') => self.skip_line(),
                    Some(_) => return Err(DotenvProblem::AfterQuote),
                }
                value
            }
            _ => self.plain(),
        };
        if value.contains('\0') {
            return Err(DotenvProblem::ZeroByte);
        }
        Ok((name, value))
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.rest.next_if(|c| !c.is_whitespace() && *c != '=') {
            name.push(c);
        }
        name
    }

    fn plain(&mut self) -> String {
        let mut value = String::new();
        while let Some(c) = self.rest.next_if(|&c| c != '\n') {
            if c == '#' && value.is_empty() | value.ends_with(is_blank) {
                self.skip_line();
                break;
            }
            value.push(c);
        }
        value.truncate(value.trim_end_matches(is_blank).len());
        value
    }

    fn quoted(&mut self, quote: char) -> Result<String, DotenvProblem> {
        let mut value = String::new();
        loop {
            let c = self.next().ok_or(DotenvProblem::Unterminated)?;
            if c == quote {
                return Ok(value);
            }
            if c == '\\' && quote == '"' {
                let escaped = self.next().ok_or(DotenvProblem::Unterminated)?;
                match escaped {
                    'n' => value.push('\n'),
                    'r' => value.push('\r'),
                    't' => value.push('\t'),
                    '"' | '\\' | '$' => value.push(escaped),
                    _ => value.extend([c, escaped]),
                }
            } else {
                value.push(c);
            }
        }
    }

    fn skip_blanks(&mut self) {
        while self.rest.next_if(|&c| is_blank(c)).is_some() {}
    }

    /// Skips up to the end of the line, which stays.
    fn skip_line(&mut self) {
        while self.rest.next_if(|&c| c != '\n').is_some() {}
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }
}

/// White space within a line; the carriage return of a foreign line end is part of it.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

#[cfg(test)]
mod tests;
