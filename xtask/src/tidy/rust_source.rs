/// Rust source as its rules see it: comments and the contents of literals are blanked, lines stay where they are.
pub(super) struct Code {
    text: String,
}

impl Code {
    pub(super) fn new(source: &str) -> Self {
        Self { text: blank(source) }
    }

    /// The same without what is only compiled for tests: everything from `#[cfg(test)]` to the end of its item.
    pub(super) fn without_tests(mut self) -> Self {
        const MARK: &str = "#[cfg(test)]";
        while let Some(start) = self.text.find(MARK) {
            let rest = &self.text[start + MARK.len()..];
            let end = item_end(rest).map_or(self.text.len(), |end| start + MARK.len() + end);
            let kept: String = self.text[start..end]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' })
                .collect();
            self.text.replace_range(start..end, &kept);
        }
        self
    }

    /// Lines on which a path such as `std::fs` is named, be it in full or in a `use` with braces.
    pub(super) fn lines_naming(&self, path: &str) -> Vec<usize> {
        let mut lines: Vec<usize> = self.lines_with(path);
        if let Some((parent, name)) = path.split_once("::") {
            let opening = format!("{parent}::{{");
            for (start, _) in self.text.match_indices(&opening) {
                let group = &self.text[start + opening.len()..];
                lines.extend(
                    members(group)
                        .filter(|(_, member)| first_word(member) == name)
                        .map(|(offset, _)| self.line_of(start + opening.len() + offset)),
                );
            }
        }
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// What is used of a module by its last name, as in `env::var` or `env::{var, args}`, with the lines.
    pub(super) fn uses_of(&self, module: &str) -> Vec<(usize, &str)> {
        let mut uses = Vec::new();
        for (start, found) in self.words(&format!("{module}::")) {
            let at = start + found.len();
            let rest = &self.text[at..];
            match rest.strip_prefix('{') {
                Some(group) => uses
                    .extend(members(group).map(|(offset, member)| (self.line_of(at + 1 + offset), first_word(member)))),
                None => uses.push((self.line_of(at), first_word(rest))),
            }
        }
        uses
    }

    /// Lines with `text`, not as part of a longer word.
    pub(super) fn lines_with(&self, text: &str) -> Vec<usize> {
        self.words(text).map(|(start, _)| self.line_of(start)).collect()
    }

    fn words<'a>(&'a self, text: &str) -> impl Iterator<Item = (usize, &'a str)> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let opens = text.starts_with(is_part);
        let closes = text.ends_with(is_part);
        self.text.match_indices(text).filter(move |(start, found)| {
            let before = self.text[..*start].chars().next_back();
            let after = self.text[start + found.len()..].chars().next();
            !(opens && before.is_some_and(is_part) || closes && after.is_some_and(is_part))
        })
    }

    fn line_of(&self, position: usize) -> usize {
        self.text[..position].matches('\n').count() + 1
    }
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}

/// The members of a group, up to its closing brace, with where each begins.
fn members(group: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut depth = 0_usize;
    let mut start = 0;
    let mut found = Vec::new();
    for (position, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push((start, &group[start..position]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push((start, &group[start..position]));
                start = position + 1;
            }
            _ => {}
        }
    }
    found.into_iter().map(|(start, member)| {
        let space = member.len() - member.trim_start().len();
        (start + space, &member[space..])
    })
}

/// Where the item at the beginning ends: at its first `;`, or with the brace that closes its body.
fn item_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (position, c) in text.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == '}' {
                    return Some(position + 1);
                }
            }
            ';' if depth == 0 => return Some(position + 1),
            _ => {}
        }
    }
    None
}

fn blank(source: &str) -> String {
    let mut output = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (kept, skipped) = token(rest, first, output.chars().next_back());
        output.push_str(&rest[..kept]);
        output.extend(
            rest[kept..kept + skipped]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' }),
        );
        rest = &rest[kept + skipped..];
    }
    output
}

/// How many bytes at the beginning are code, and how many after them are a comment or inside a literal.
fn token(text: &str, first: char, before: Option<char>) -> (usize, usize) {
    if text.starts_with("//") {
        return (0, text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return (0, block_comment(text));
    }
    if first == 'r' && before.is_none_or(|c| matches!(c, 'b' | 'c') || !(c.is_alphanumeric() || c == '_')) {
        let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
        if let Some(body) = text[1 + hashes..].strip_prefix('"') {
            let closing = format!("\"{}", "#".repeat(hashes));
            let length = body.find(&closing).map_or(body.len(), |end| end + closing.len());
            return (2 + hashes, length);
        }
    }
    match first {
        '"' => (1, quoted(&text[1..], '"')),
        '\'' if is_char_literal(text) => (1, quoted(&text[1..], '\'')),
        _ => (first.len_utf8(), 0),
    }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut position = 0;
    while position < text.len() {
        let rest = &text[position..];
        if rest.starts_with("/*") {
            depth += 1;
            position += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else {
            position += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length up to and with the closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (position, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return position + 1,
            _ => {}
        }
    }
    text.len()
}

/// Tells `'a'` from the lifetime `'a`.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text[1..].chars();
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, path: &str, expected: &[usize]) {
        assert_eq!(Code::new(source).lines_naming(path), expected, "{source}");
    }

    #[test]
    fn paths_are_found_in_full_and_in_groups() {
        check("use std::fs;\nlet f = std::fs::read(p);", "std::fs", &[1, 2]);
        check("use std::{\n    io::{self, Read},\n    fs::File,\n};", "std::fs", &[3]);
        check("use std::{fs, io};", "std::fs", &[1]);
        check("use std::{io::fs, fmt};\nuse std::fsync;", "std::fs", &[]);
        check("let now = Instant::now();", "Instant::now", &[1]);
    }

    #[test]
    fn what_is_used_of_a_module_is_known() {
        let code = Code::new("use std::env;\nenv::var(x);\nuse std::env::{self,\n args};\nmyenv::x();");
        assert_eq!(code.uses_of("env"), [(2, "var"), (3, "self"), (4, "args")]);
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        check("// std::fs\n/// std::fs\n/* std::fs /* */ std::fs */", "std::fs", &[]);
        check(
            r##"let a = "std::fs \" std::fs"; let b = r#"std::fs " std::fs"#;"##,
            "std::fs",
            &[],
        );
        check(
            "let c = '\"'; std::fs::read(p); let d = '\\''; std::fs::read(p)",
            "std::fs",
            &[1],
        );
        check("fn f<'a>(x: &'a str) { std::fs::read(x) }", "std::fs", &[1]);
        check("let a = \"one\ntwo\";\nstd::fs::read(a)", "std::fs", &[3]);
        check("let r = 1; let s = br\"std::fs\"; std::fs::read(p)", "std::fs", &[1]);
    }

    #[test]
    fn tests_are_left_out_and_what_follows_them_is_not() {
        let source = "#[cfg(test)]\nuse std::fs;\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\nuse std::fs;";
        assert_eq!(Code::new(source).without_tests().lines_naming("std::fs"), [7]);
        let source = "#[cfg(test)]\nmod tests;\nuse std::fs;";
        assert_eq!(Code::new(source).without_tests().lines_naming("std::fs"), [3]);
        let source = "#[cfg(test)]\nfn helper(files: &[(&str, [u8; 2])]) {\n    std::fs::read(files)\n}\nuse std::fs;";
        assert_eq!(Code::new(source).without_tests().lines_naming("std::fs"), [5]);
    }

    #[test]
    fn words_are_whole() {
        let code = Code::new("eprintln!(); println!(); my_println!();");
        assert_eq!(code.lines_with("println!").len(), 1);
    }
}
