//! Statements about roles as `pg_dumpall` writes them, told apart by whose role they are about.

use std::ops::Range;

/// What a statement about roles does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoleStatement {
    /// `CREATE ROLE role;`
    Create { role: Vec<u8> },
    /// `ALTER ROLE role WITH …;`: where its attributes are, and where among them the password is with the blank before it.
    Alter {
        role: Vec<u8>,
        attributes: Range<usize>,
        password: Option<Range<usize>>,
    },
    /// `ALTER ROLE role SET …;`
    Set { role: Vec<u8>, setting: Vec<u8> },
    /// `COMMENT ON ROLE role IS …;`
    Comment { role: Vec<u8> },
    /// `GRANT role TO member …;`: where what follows the member is.
    Grant {
        role: Vec<u8>,
        member: Vec<u8>,
        options: Range<usize>,
    },
}

impl RoleStatement {
    /// A membership as whoever may give it gives it: from 16 on nobody gives it as somebody who may not.
    pub(crate) fn without_grantor(statement: &[u8], options: &Range<usize>) -> Vec<u8> {
        let how = &statement[options.clone()];
        let kept = memchr::memmem::rfind(how, b" GRANTED BY ").unwrap_or(how.len());
        [&statement[..options.start + kept], b";"].concat()
    }

    /// A membership of the role that restores, from 16 on, where who makes a role is its member by itself, with the right to give
    /// it on, and cannot say so again; `None` where that is all. Before 16 that right was one more, and a member could act as
    /// the role.
    pub(crate) fn own_since_16(statement: &[u8], options: &Range<usize>) -> Option<Vec<u8>> {
        let how = String::from_utf8_lossy(&statement[options.clone()]).into_owned();
        let has = |words: &str| how.contains(words);
        if has("INHERIT FALSE") && has("SET FALSE") {
            return None;
        }
        let mut kept = Vec::new();
        kept.extend(
            ["INHERIT TRUE", "INHERIT FALSE", "SET FALSE"]
                .into_iter()
                .filter(|words| has(words)),
        );
        let with = if kept.is_empty() { "" } else { " WITH " };
        Some(
            [
                &statement[..options.start],
                with.as_bytes(),
                kept.join(", ").as_bytes(),
                b";",
            ]
            .concat(),
        )
    }

    /// `None` where it is about something else, such as a tablespace.
    pub(crate) fn parse(statement: &[u8]) -> Option<Self> {
        let start = code_start(statement);
        let mut words = Words {
            text: statement,
            at: start,
        };
        match words.next()? {
            b"CREATE" => {
                words.is(b"ROLE")?;
                Some(Self::Create { role: words.name()? })
            }
            b"COMMENT" => {
                words.is(b"ON")?;
                words.is(b"ROLE")?;
                Some(Self::Comment { role: words.name()? })
            }
            b"GRANT" => {
                let role = words.name()?;
                words.is(b"TO")?;
                let member = words.name()?;
                let end = statement.iter().rposition(|&byte| byte == b';')?;
                Some(Self::Grant {
                    role,
                    member,
                    options: words.at..end,
                })
            }
            b"ALTER" => {
                words.is(b"ROLE")?;
                let role = words.name()?;
                match words.next()? {
                    b"WITH" => {
                        let end = statement.iter().rposition(|&byte| byte == b';')?;
                        let attributes = words.at..end;
                        Some(Self::Alter {
                            password: password(statement, &attributes),
                            role,
                            attributes,
                        })
                    }
                    b"SET" => Some(Self::Set {
                        role,
                        setting: words.name()?,
                    }),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Where the first word is, behind blanks and comments.
fn code_start(statement: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += statement[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        if !statement[at..].starts_with(b"--") {
            return at;
        }
        at += statement[at..].iter().take_while(|&&byte| byte != b'\n').count();
    }
}

/// ` PASSWORD '…'` among attributes. A verifier has no quote in it.
fn password(statement: &[u8], attributes: &Range<usize>) -> Option<Range<usize>> {
    const WORD: &[u8] = b" PASSWORD '";
    let text = &statement[attributes.clone()];
    let start = memchr::memmem::find(text, WORD)?;
    let length = text[start + WORD.len()..].iter().position(|&byte| byte == b'\'')?;
    let start = attributes.start + start;
    Some(start..start + WORD.len() + length + 1)
}

struct Words<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Words<'t> {
    fn skip_blanks(&mut self) {
        self.at += self.text[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
    }

    fn next(&mut self) -> Option<&'t [u8]> {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let length = rest
            .iter()
            .take_while(|byte| !byte.is_ascii_whitespace() && **byte != b';')
            .count();
        self.at += length;
        (length > 0).then(|| &rest[..length])
    }

    fn is(&mut self, word: &[u8]) -> Option<()> {
        (self.next()? == word).then_some(())
    }

    /// A name, in quotes or without.
    fn name(&mut self) -> Option<Vec<u8>> {
        self.skip_blanks();
        let Some(quoted) = self.text[self.at..].strip_prefix(b"\"") else {
            return self.next().map(<[u8]>::to_vec);
        };
        let mut name = Vec::new();
        let mut bytes = quoted.iter().copied().enumerate().peekable();
        while let Some((index, byte)) = bytes.next() {
            match byte {
                b'"' if bytes.next_if(|&(_, next)| next == b'"').is_some() => name.push(byte),
                b'"' => {
                    self.at += index + 2;
                    return Some(name);
                }
                byte => name.push(byte),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart() {
        let name = |text: &str| text.as_bytes().to_vec();
        let parse = |text: &str| RoleStatement::parse(text.as_bytes());
        assert_eq!(
            parse("--\n-- Roles\n--\n\nCREATE ROLE app;"),
            Some(RoleStatement::Create { role: name("app") })
        );
        assert_eq!(
            parse("\nCREATE ROLE \"My \"\"App\";"),
            Some(RoleStatement::Create { role: name("My \"App") })
        );
        assert_eq!(
            parse("ALTER ROLE app SET work_mem TO '1';"),
            Some(RoleStatement::Set {
                role: name("app"),
                setting: name("work_mem")
            })
        );
        assert_eq!(
            parse("COMMENT ON ROLE app IS 'x';"),
            Some(RoleStatement::Comment { role: name("app") })
        );
        assert_eq!(parse("CREATE TABLESPACE fast LOCATION '/x';"), None);
        let text = "ALTER ROLE app WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:a' VALID UNTIL 'x';";
        let Some(RoleStatement::Alter {
            role,
            attributes,
            password: Some(password),
        }) = parse(text)
        else {
            panic!("{text}");
        };
        assert_eq!(role, b"app");
        assert_eq!(
            &text[attributes],
            " NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:a' VALID UNTIL 'x'"
        );
        assert_eq!(&text[password], " PASSWORD 'SCRAM-SHA-256$4096:a'");
        let text = "GRANT readers TO app WITH ADMIN OPTION GRANTED BY postgres;";
        let Some(RoleStatement::Grant { role, member, options }) = parse(text) else {
            panic!("{text}");
        };
        assert_eq!((role, member), (name("readers"), name("app")));
        assert_eq!(&text[options], " WITH ADMIN OPTION GRANTED BY postgres");
        for (how, expected) in [
            (" GRANTED BY a", Some("")),
            (" WITH ADMIN OPTION GRANTED BY a", Some("")),
            (" WITH ADMIN OPTION, INHERIT FALSE, SET FALSE GRANTED BY a", None),
            (" WITH INHERIT TRUE GRANTED BY a", Some(" WITH INHERIT TRUE")),
            (" WITH INHERIT FALSE GRANTED BY a", Some(" WITH INHERIT FALSE")),
            (
                " WITH ADMIN OPTION, INHERIT TRUE GRANTED BY a",
                Some(" WITH INHERIT TRUE"),
            ),
            (
                " WITH INHERIT TRUE, SET FALSE GRANTED BY a",
                Some(" WITH INHERIT TRUE, SET FALSE"),
            ),
        ] {
            let text = format!("GRANT app TO postgres{how};");
            let Some(RoleStatement::Grant { options, .. }) = parse(&text) else {
                panic!("{text}");
            };
            let own = RoleStatement::own_since_16(text.as_bytes(), &options);
            let own = own.map(|sql| String::from_utf8(sql).unwrap());
            assert_eq!(
                own,
                expected.map(|with| format!("GRANT app TO postgres{with};")),
                "{text}"
            );
        }
    }
}
