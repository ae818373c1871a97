//! Tokens of a text that is wholly at hand, with their place in it.

use std::ops::Range;

use memchr::memchr;

use super::lexer::{Lexer, StandardStrings, TokenKind};

/// The tokens of a text in order: together with the newlines between them they are the text.
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    line: Range<usize>,
    at: usize,
    pub(super) lexer: Lexer,
}

/// One of them; `range` is its place in the text.
pub(super) struct TextToken {
    pub(super) kind: TokenKind,
    pub(super) range: Range<usize>,
    pub(super) carried_on: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8], standard_strings: StandardStrings) -> Self {
        Self {
            text,
            line: 0..memchr(b'\n', text).unwrap_or(text.len()),
            at: 0,
            lexer: Lexer::new(standard_strings),
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = TextToken;

    fn next(&mut self) -> Option<TextToken> {
        loop {
            let line = &self.text[self.line.clone()];
            if let Some(token) = self.lexer.next(line, self.at - self.line.start) {
                let range = self.at..self.line.start + token.end;
                self.at = range.end;
                return Some(TextToken {
                    kind: token.kind,
                    range,
                    carried_on: token.carried_on,
                });
            }
            let start = self.line.end + 1;
            let rest = self.text.get(start..)?;
            self.line = start..start + memchr(b'\n', rest).unwrap_or(rest.len());
            self.at = start;
        }
    }
}

/// A word, name, literal, number or symbol of a statement, whole even where it has several lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) kind: TokenKind,
    pub(super) text: &'a [u8],
}

impl Piece<'_> {
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol.as_bytes()
    }
}

/// The pieces of a statement, without blanks and comments.
pub(super) struct Pieces<'a> {
    tokens: Tokens<'a>,
    held: Option<TextToken>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(text: &'a [u8], standard_strings: StandardStrings) -> Self {
        Self {
            tokens: Tokens::new(text, standard_strings),
            held: None,
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let text = self.tokens.text;
        let mut piece = self.held.take();
        for token in &mut self.tokens {
            match &mut piece {
                Some(piece) if token.carried_on => piece.range.end = token.range.end,
                Some(_) if is_skipped(token.kind) => {}
                Some(_) => {
                    self.held = Some(token);
                    break;
                }
                None if is_skipped(token.kind) => {}
                None => piece = Some(token),
            }
        }
        piece.map(|piece| Piece {
            kind: piece.kind,
            text: &text[piece.range],
        })
    }
}

pub(super) fn is_skipped(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Blank | TokenKind::LineComment | TokenKind::BlockComment
    )
}
