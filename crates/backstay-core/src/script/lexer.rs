//! Where psql sees quotes, comments, words and ends of statements.

use std::fmt;

use memchr::{memchr, memchr2, memmem};

/// How a plain `'…'` literal is read: the server's setting `standard_conforming_strings`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the setting has two values")]
pub enum StandardStrings {
    /// A backslash in `'…'` is a backslash.
    #[default]
    On,
    /// A backslash in `'…'` escapes, as it does in `E'…'`.
    Off,
}

/// What a piece of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// Spaces, tabs, carriage returns.
    Blank,
    /// `-- …` up to the end of the line.
    LineComment,
    /// `/* … */`, or the part of it in this line.
    BlockComment,
    /// `'…'` with its prefix, or the part of it in this line.
    Literal,
    /// The same where backslashes escape.
    EscapeLiteral,
    /// `"…"` or `U&"…"`, or the part of it in this line.
    QuotedName,
    /// `$tag$…$tag$`, or the part of it in this line.
    DollarLiteral,
    /// An unquoted identifier or keyword.
    Word,
    /// A number.
    Number,
    /// A number or parameter with letters at once behind it, which versions of psql split differently.
    NumberJunk,
    /// `$1`.
    Parameter,
    /// The `;` that ends a statement.
    StatementEnd,
    /// A `;` in parentheses or in a `BEGIN ATOMIC` body.
    InnerSemicolon,
    /// A backslash outside quotes: a psql command follows.
    Backslash,
    /// `:name`: replaced by psql if the variable is set.
    Variable,
    /// `:'name'` or `:"name"`: replaced by psql if the variable is set.
    QuotedVariable,
    /// `:{?name}`: always replaced by psql.
    VariableTest,
    /// An operator, or one other byte.
    Symbol,
}

/// A piece of a line: from where the lexer stood up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) end: usize,
    /// It carries on a quoted piece or comment that began earlier.
    pub(super) carried_on: bool,
}

/// What is still open where the text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Open {
    /// A string literal.
    Literal,
    /// A quoted identifier.
    QuotedName,
    /// A dollar-quoted string.
    DollarLiteral,
    /// A `/* … */` comment.
    BlockComment,
    /// A `-- …` comment without its line end.
    LineComment,
    /// A parenthesis.
    Parenthesis,
    /// What psql takes for a `BEGIN … END` body of a function: also after a function or column named `begin`.
    Body,
    /// A statement without its `;`.
    Statement,
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literal => "a string literal is open",
            Self::QuotedName => "a quoted identifier is open",
            Self::DollarLiteral => "a dollar-quoted string is open",
            Self::BlockComment => "a comment is open",
            Self::LineComment => "a comment has no line end",
            Self::Parenthesis => "a parenthesis is open",
            Self::Body => "a BEGIN is open in the definition of a function",
            Self::Statement => "a statement has no semicolon",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quote {
    /// `'…'`, `U&'…'`: `''` is a quote, backslashes mean nothing here.
    Standard,
    /// `E'…'`: `''` is a quote and backslashes escape.
    Escape,
    /// `B'…'`, `X'…'`: the next quote ends it.
    Bits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Initial,
    InLiteral(Quote),
    /// Behind the closing quote of a literal, where a newline and another quote would carry it on.
    AfterLiteral(Quote),
    InQuotedName,
    InDollarLiteral,
    InBlockComment,
}

/// Reads SQL as psql does: line by line, without the line ends, its state carried from line to line.
///
/// The rules are those of psql's `src/fe_utils/psqlscan.l` (14 to 18), which follow the server's
/// `src/backend/parser/scan.l`. That lines come one by one shows: a literal that goes on in another line after a closing
/// quote begins anew for psql, so that `E'a'` ⏎ `'b\'` is unfinished for the server and finished for psql. Where versions
/// differ, in what follows a number without a space, the newer reading is taken and the token is
/// [`TokenKind::NumberJunk`]; the servers with that reading refuse it.
#[derive(Clone, Debug)]
pub(super) struct Lexer {
    standard_strings: StandardStrings,
    state: State,
    dollar_tag: Vec<u8>,
    comment_depth: usize,
    parenthesis_depth: usize,
    body_depth: usize,
    /// First letters of the first four words, of those that may begin the definition of a function.
    first_words: [u8; 4],
    word_count: usize,
}

impl Lexer {
    pub(super) fn new(standard_strings: StandardStrings) -> Self {
        Self {
            standard_strings,
            state: State::Initial,
            dollar_tag: Vec::new(),
            comment_depth: 0,
            parenthesis_depth: 0,
            body_depth: 0,
            first_words: [0; 4],
            word_count: 0,
        }
    }

    pub(super) fn standard_strings(&self) -> StandardStrings {
        self.standard_strings
    }

    pub(super) fn set_standard_strings(&mut self, standard_strings: StandardStrings) {
        self.standard_strings = standard_strings;
    }

    /// Forgets what is open, as psql does when a command has sent the statement.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.standard_strings);
    }

    /// What is open here, apart from a statement or a line comment, which the lexer does not keep.
    pub(super) fn open(&self) -> Option<Open> {
        match self.state {
            State::InLiteral(_) => Some(Open::Literal),
            State::InQuotedName => Some(Open::QuotedName),
            State::InDollarLiteral => Some(Open::DollarLiteral),
            State::InBlockComment => Some(Open::BlockComment),
            State::Initial | State::AfterLiteral(_) if self.parenthesis_depth > 0 => Some(Open::Parenthesis),
            State::Initial | State::AfterLiteral(_) if self.body_depth > 0 => Some(Open::Body),
            State::Initial | State::AfterLiteral(_) => None,
        }
    }

    /// The piece of `line` that begins at `at`; `None` at the end of the line. `line` has no `\n`.
    pub(super) fn next(&mut self, line: &[u8], at: usize) -> Option<Token> {
        let rest = line.get(at..).filter(|rest| !rest.is_empty())?;
        let token = |kind, len: usize, carried_on| Token {
            kind,
            end: at + len,
            carried_on,
        };
        match self.state {
            State::Initial => {}
            State::AfterLiteral(quote) => match carried_on_len(rest) {
                Some(len) => {
                    self.state = State::InLiteral(quote);
                    let len = len + self.literal_len(&rest[len..], quote);
                    return Some(token(literal_kind(quote), len, true));
                }
                None => self.state = State::Initial,
            },
            State::InLiteral(quote) => {
                return Some(token(literal_kind(quote), self.literal_len(rest, quote), true));
            }
            State::InQuotedName => {
                return Some(token(TokenKind::QuotedName, self.quoted_name_len(rest), true));
            }
            State::InDollarLiteral => {
                return Some(token(TokenKind::DollarLiteral, self.dollar_literal_len(rest), true));
            }
            State::InBlockComment => {
                return Some(token(TokenKind::BlockComment, self.block_comment_len(rest), true));
            }
        }
        let (kind, len) = self.fresh(rest);
        Some(token(kind, len, false))
    }

    /// Kind and length of the piece that begins here outside quotes; `rest` is not empty.
    fn fresh(&mut self, rest: &[u8]) -> (TokenKind, usize) {
        let second = rest.get(1).copied();
        match rest[0] {
            b if is_blank(b) => (TokenKind::Blank, run_len(rest, is_blank)),
            b'-' if second == Some(b'-') => (TokenKind::LineComment, memchr(b'\r', rest).unwrap_or(rest.len())),
            b'/' if second == Some(b'*') => {
                self.state = State::InBlockComment;
                self.comment_depth = 1;
                (TokenKind::BlockComment, 2 + self.block_comment_len(&rest[2..]))
            }
            b'\'' => {
                let quote = match self.standard_strings {
                    StandardStrings::On => Quote::Standard,
                    StandardStrings::Off => Quote::Escape,
                };
                self.literal(rest, 1, quote)
            }
            b'e' | b'E' if second == Some(b'\'') => self.literal(rest, 2, Quote::Escape),
            b'b' | b'B' | b'x' | b'X' if second == Some(b'\'') => self.literal(rest, 2, Quote::Bits),
            // The quote behind it begins a literal of its own.
            b'n' | b'N' if second == Some(b'\'') => (TokenKind::Symbol, 1),
            b'u' | b'U' if second == Some(b'&') => match rest.get(2) {
                Some(b'\'') => self.literal(rest, 3, Quote::Standard),
                Some(b'"') => self.quoted_name(rest, 3),
                _ => (TokenKind::Symbol, 1),
            },
            b'"' => self.quoted_name(rest, 1),
            b'$' => self.dollar(rest),
            b'(' => {
                self.parenthesis_depth += 1;
                (TokenKind::Symbol, 1)
            }
            b')' => {
                self.parenthesis_depth = self.parenthesis_depth.saturating_sub(1);
                (TokenKind::Symbol, 1)
            }
            b';' if self.parenthesis_depth == 0 && self.body_depth == 0 => {
                self.word_count = 0;
                (TokenKind::StatementEnd, 1)
            }
            b';' => (TokenKind::InnerSemicolon, 1),
            b'\\' => (TokenKind::Backslash, 1),
            b':' => colon(rest),
            b if is_word_start(b) => {
                let len = run_len(rest, is_word_part);
                self.word(&rest[..len]);
                (TokenKind::Word, len)
            }
            b if b.is_ascii_digit() => number(rest),
            b'.' if second.is_some_and(|b| b.is_ascii_digit()) => number(rest),
            b if is_operator(b) => (TokenKind::Symbol, operator_len(rest)),
            _ => (TokenKind::Symbol, 1),
        }
    }

    fn literal(&mut self, rest: &[u8], prefix_len: usize, quote: Quote) -> (TokenKind, usize) {
        self.state = State::InLiteral(quote);
        let len = prefix_len + self.literal_len(&rest[prefix_len..], quote);
        (literal_kind(quote), len)
    }

    /// Length up to and with the closing quote, or all.
    fn literal_len(&mut self, rest: &[u8], quote: Quote) -> usize {
        let mut at = 0;
        loop {
            let found = match quote {
                Quote::Standard | Quote::Bits => memchr(b'\'', &rest[at..]),
                Quote::Escape => memchr2(b'\'', b'\\', &rest[at..]),
            };
            let Some(found) = found else { return rest.len() };
            at += found;
            match (rest[at], rest.get(at + 1)) {
                (b'\\', Some(_)) => at += 2,
                (b'\'', Some(b'\'')) if quote != Quote::Bits => at += 2,
                // A backslash at the end of a line: the newline that it escapes is not here.
                (b'\\', None) => return rest.len(),
                _ => {
                    self.state = State::AfterLiteral(quote);
                    return at + 1;
                }
            }
        }
    }

    fn quoted_name(&mut self, rest: &[u8], prefix_len: usize) -> (TokenKind, usize) {
        self.state = State::InQuotedName;
        let len = prefix_len + self.quoted_name_len(&rest[prefix_len..]);
        (TokenKind::QuotedName, len)
    }

    fn quoted_name_len(&mut self, rest: &[u8]) -> usize {
        let mut at = 0;
        while let Some(found) = memchr(b'"', &rest[at..]) {
            at += found + 1;
            if rest.get(at) != Some(&b'"') {
                self.state = State::Initial;
                return at;
            }
            at += 1;
        }
        rest.len()
    }

    fn dollar(&mut self, rest: &[u8]) -> (TokenKind, usize) {
        let behind = &rest[1..];
        let tag_len = match behind.first() {
            Some(&b) if is_word_start(b) => run_len(behind, |b| is_word_part(b) && b != b'$'),
            Some(&b) if b.is_ascii_digit() => {
                let len = 1 + run_len(behind, |b| b.is_ascii_digit());
                return match rest.get(len) {
                    Some(&b) if is_word_start(b) => (TokenKind::NumberJunk, len + run_len(&rest[len..], is_word_part)),
                    _ => (TokenKind::Parameter, len),
                };
            }
            _ => 0,
        };
        if behind.get(tag_len) != Some(&b'$') {
            return (TokenKind::Symbol, 1);
        }
        let opening_len = tag_len + 2;
        self.dollar_tag.clear();
        self.dollar_tag.extend_from_slice(&rest[..opening_len]);
        self.state = State::InDollarLiteral;
        let len = opening_len + self.dollar_literal_len(&rest[opening_len..]);
        (TokenKind::DollarLiteral, len)
    }

    fn dollar_literal_len(&mut self, rest: &[u8]) -> usize {
        match memmem::find(rest, &self.dollar_tag) {
            Some(at) => {
                self.state = State::Initial;
                at + self.dollar_tag.len()
            }
            None => rest.len(),
        }
    }

    fn block_comment_len(&mut self, rest: &[u8]) -> usize {
        let mut at = 0;
        while let Some(found) = memchr2(b'*', b'/', &rest[at..]) {
            at += found;
            match (rest[at], rest.get(at + 1)) {
                (b'/', Some(b'*')) => {
                    self.comment_depth += 1;
                    at += 2;
                }
                (b'*', Some(b'/')) => {
                    self.comment_depth -= 1;
                    at += 2;
                    if self.comment_depth == 0 {
                        self.state = State::Initial;
                        return at;
                    }
                }
                _ => at += 1,
            }
        }
        rest.len()
    }

    /// Follows `BEGIN … END` in what begins with `CREATE [OR REPLACE] FUNCTION | PROCEDURE`, by psql's own rule.
    fn word(&mut self, word: &[u8]) {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        if self.word_count == 0 {
            self.first_words = [0; 4];
        }
        if let Some(slot) = self.first_words.get_mut(self.word_count)
            && ["create", "function", "procedure", "or", "replace"].into_iter().any(is)
        {
            *slot = word[0].to_ascii_lowercase();
        }
        self.word_count += 1;
        let defines_routine = matches!(
            self.first_words,
            [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p']
        );
        if !defines_routine || self.parenthesis_depth > 0 {
            return;
        }
        if is("begin") || is("case") && self.body_depth > 0 {
            self.body_depth += 1;
        } else if is("end") {
            self.body_depth = self.body_depth.saturating_sub(1);
        }
    }
}

fn literal_kind(quote: Quote) -> TokenKind {
    match quote {
        Quote::Standard | Quote::Bits => TokenKind::Literal,
        Quote::Escape => TokenKind::EscapeLiteral,
    }
}

/// Length of blanks and comments with a carriage return among them and a quote at their end, which carry a literal on.
fn carried_on_len(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut newline = false;
    loop {
        match rest.get(at)? {
            b'\r' => {
                newline = true;
                at += 1;
            }
            &b if is_blank(b) => at += 1,
            b'-' if rest.get(at + 1) == Some(&b'-') => at += memchr(b'\r', &rest[at..])?,
            b'\'' if newline => return Some(at + 1),
            _ => return None,
        }
    }
}

/// What begins with a colon: a cast, an assignment, a psql variable or just a colon.
fn colon(rest: &[u8]) -> (TokenKind, usize) {
    let name_len = |from: usize| run_len(&rest[from.min(rest.len())..], is_variable_part);
    match rest.get(1) {
        Some(b':' | b'=') => (TokenKind::Symbol, 2),
        Some(&quote @ (b'\'' | b'"')) => match name_len(2) {
            len if len > 0 && rest.get(2 + len) == Some(&quote) => (TokenKind::QuotedVariable, len + 3),
            _ => (TokenKind::Symbol, 1),
        },
        Some(b'{') if rest.get(2) == Some(&b'?') => match name_len(3) {
            len if len > 0 && rest.get(3 + len) == Some(&b'}') => (TokenKind::VariableTest, len + 4),
            _ => (TokenKind::Symbol, 1),
        },
        Some(&b) if is_variable_part(b) => (TokenKind::Variable, 1 + name_len(1)),
        _ => (TokenKind::Symbol, 1),
    }
}

fn number(rest: &[u8]) -> (TokenKind, usize) {
    let digits = |from: usize| run_len(&rest[from..], |b| b.is_ascii_digit());
    let mut len = digits(0);
    // Two dots are a range, `1..10`.
    if rest.get(len) == Some(&b'.') && (len == 0 || rest.get(len + 1) != Some(&b'.')) {
        len += 1;
        len += digits(len);
    }
    let base = len;
    if matches!(rest.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(len + 1), Some(b'+' | b'-')));
        if rest.get(len + 1 + sign).is_some_and(u8::is_ascii_digit) {
            len += 1 + sign;
            len += digits(len);
        }
    }
    // A dollar sign begins no identifier, but `1e5$a$` is a 1 with the identifier `e5$a$` at once behind it.
    let junk_from = |from: usize| match rest.get(from) {
        Some(&b) if is_word_start(b) => from + run_len(&rest[from..], is_word_part),
        _ => from,
    };
    let with_junk = junk_from(base).max(junk_from(len));
    if with_junk > len {
        (TokenKind::NumberJunk, with_junk)
    } else {
        (TokenKind::Number, len)
    }
}

/// Length of an operator, which ends where a comment begins.
fn operator_len(rest: &[u8]) -> usize {
    let run = &rest[..run_len(rest, is_operator)];
    run.windows(2)
        .position(|pair| pair == b"--" || pair == b"/*")
        .unwrap_or(run.len())
}

fn run_len(rest: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    rest.iter().position(|&b| !belongs(b)).unwrap_or(rest.len())
}

/// White space; the vertical tab belongs to it from version 16 on.
pub(super) fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_word_start(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || b >= 0x80
}

fn is_word_part(b: u8) -> bool {
    is_word_start(b) || b.is_ascii_digit() || b == b'$'
}

fn is_variable_part(b: u8) -> bool {
    is_word_start(b) || b.is_ascii_digit()
}

fn is_operator(b: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&b)
}
