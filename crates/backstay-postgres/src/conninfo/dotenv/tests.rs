use super::*;

#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    let entries = parse_dotenv(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let entries: Vec<_> = entries
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(entries, expected, "{text:?}");
}

#[track_caller]
fn check_error(text: &str, line: usize, problem: DotenvProblem) {
    assert_eq!(parse_dotenv(text), Err(DotenvError { line, problem }), "{text:?}");
}

#[test]
fn entries() {
    check("", &[]);
    check("A=1\nB=2\n", &[("A", "1"), ("B", "2")]);
    check("\u{feff}A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")]);
    check(
        "export A=1\nexport\tB=2\nexport=3",
        &[("A", "1"), ("B", "2"), ("export", "3")],
    );
    check("  A = a b  \n", &[("A", "a b")]);
    check("A=\nB=\n", &[("A", ""), ("B", "")]);
    check("A=1\nA=2", &[("A", "1"), ("A", "2")]);
    check("_a1=é", &[("_a1", "é")]);
    check("A=$B ${C}", &[("A", "$B ${C}")]);
    check("A=a\\nb'c\"d", &[("A", "a\\nb'c\"d")]);
    check("A=postgres://u:p#a=b@h/d?x=y", &[("A", "postgres://u:p#a=b@h/d?x=y")]);
}

#[test]
fn comments() {
    check("# A=1\n\n   # B=2\nC=3", &[("C", "3")]);
    check(
        "A=1 # one\nB=2\t#\nC=#3\nD= # 4\nE=a#b",
        &[("A", "1"), ("B", "2"), ("C", ""), ("D", ""), ("E", "a#b")],
    );
    check("A='1' # one\nB=\"2\"#two", &[("A", "1"), ("B", "2")]);
}

#[test]
fn quotes() {
    check("A='a # b'", &[("A", "a # b")]);
    check(r"A='a\nb\'", &[("A", r"a\nb\")]);
    check(r#"A="a\nb\t\"\\\$\d$B""#, &[("A", "a\nb\t\"\\$\\d$B")]);
    check("A=\"one\ntwo\"\nB=1", &[("A", "one\ntwo"), ("B", "1")]);
    check("A=''\nB=\"\"", &[("A", ""), ("B", "")]);
    check("A='  a  '", &[("A", "  a  ")]);
}

#[test]
fn errors_name_the_line_and_nothing_else() {
    use DotenvProblem::*;
    check_error("A=1\nB\n", 2, MissingEquals);
    check_error("A: 1", 1, MissingEquals);
    check_error("export A B=1", 1, MissingEquals);
    check_error("A B=1", 1, MissingEquals);
    check_error("=1", 1, InvalidName);
    check_error("1A=1", 1, InvalidName);
    check_error("A-B=1", 1, InvalidName);
    check_error("A='x\ny'\nB='z\n\n", 3, Unterminated);
    check_error("A=\"x\\", 1, Unterminated);
    check_error("A='x'y", 1, AfterQuote);
    check_error("A=x\0", 1, ZeroByte);
    let error = parse_dotenv("A=1\nhunter2").unwrap_err();
    assert_eq!(error.to_string(), "line 2: missing `=` after the name");
    assert!(!format!("{error:?}").contains("hunter2"));
}

proptest::proptest! {
    #[test]
    fn quoted_values_come_back(value in "[^\0]{0,20}") {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        let entries = parse_dotenv(&format!("A=\"{escaped}\" # comment\nB=1")).unwrap();
        proptest::prop_assert_eq!(entries, [("A".to_owned(), value), ("B".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,40}") {
        let _ = parse_dotenv(&text);
    }
}
