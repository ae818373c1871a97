use super::{Incomplete, Outline};
use crate::script::{Name, QualifiedName, ScriptReader};

const DUMP: &str = r#"--
-- PostgreSQL database dump
--

\restrict aB1

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 17.2

SET standard_conforming_strings = on;

--
-- Name: pg_trgm; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

--
-- Name: films; Type: TABLE; Schema: public; Owner: kulti
--

CREATE TABLE public.films (
    id integer, -- Name: no; Type: TABLE; Schema: x; Owner: y
    title text DEFAULT '
-- PostgreSQL database dump complete
'
);

--
-- Name: seats; Type: TABLE; Schema: public; Owner: kulti
--

CREATE TABLE public."Seats" (id integer);

--
-- Data for Name: films; Type: TABLE DATA; Schema: public; Owner: kulti
--

COPY public.films (id, title) FROM stdin;
1	-- PostgreSQL database dump complete
2	\\.
\.

COPY public."Seats" (id) FROM stdin;
\.

--
-- Name: films films_read; Type: POLICY; Schema: public; Owner: kulti
--

CREATE POLICY films_read ON public.films FOR SELECT USING (true);

--
-- Name: films; Type: ROW SECURITY; Schema: public; Owner: kulti
--

ALTER TABLE public.films ENABLE ROW LEVEL SECURITY;
ALTER TABLE ONLY public."Seats" FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS ONLY public."Seats"
    ENABLE ROW LEVEL SECURITY;

--
-- PostgreSQL database dump complete
--

\unrestrict aB1

"#;

fn outline(script: &str) -> Outline {
    Outline::read(ScriptReader::new(script.as_bytes()))
}

fn table(schema: Option<&str>, name: &str) -> QualifiedName {
    QualifiedName {
        schema: schema.map(Name::new),
        name: Name::new(name),
    }
}

fn rows_of(outline: &Outline) -> Vec<(String, u64, u64)> {
    let tables = outline.tables().iter();
    tables
        .map(|(table, rows)| (table.to_string(), rows.rows, rows.bytes))
        .collect()
}

#[test]
fn tells_what_a_dump_holds() {
    let outline = outline(DUMP);
    assert_eq!(outline.completeness(), []);
    assert_eq!(outline.server_version(), Some("15.18 (Debian 15.18-0+deb12u1)"));
    assert_eq!(outline.dumper_version(), Some("17.2"));
    assert_eq!(outline.restrict_pairs(), 1);
    assert_eq!(outline.commands(), []);
    assert_eq!(outline.statement_count(), 10);
    let kinds: Vec<_> = outline.entries().iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["EXTENSION", "TABLE", "TABLE", "TABLE DATA", "POLICY", "ROW SECURITY"]
    );
    let policy = outline.entries_of("POLICY").next().unwrap();
    assert_eq!(policy.name, Name::new("films films_read"));
    assert_eq!(policy.line, 48);
    assert_eq!(
        rows_of(&outline),
        [("public.Seats".to_owned(), 0, 0), ("public.films".to_owned(), 2, 45)]
    );
    let secured: Vec<_> = outline.row_security().iter().cloned().collect();
    assert_eq!(
        secured,
        [table(Some("public"), "Seats"), table(Some("public"), "films")]
    );
    let extensions: Vec<_> = outline.extensions().iter().cloned().collect();
    assert_eq!(extensions, [Name::new("pg_trgm")]);
    assert_eq!(outline.left_out(), 0);
}

#[test]
fn every_cut_is_seen() {
    let end = DUMP.rfind("-- PostgreSQL database dump complete").unwrap();
    let marker_len = "-- PostgreSQL database dump complete".len();
    for len in 0..DUMP.trim_end().len() {
        let problems = outline(&DUMP[..len]).completeness();
        assert_ne!(problems, [], "cut at {len}");
        let cut_in_marker = len < end + marker_len;
        let has_header = len >= "--\n-- PostgreSQL database dump".len();
        assert_eq!(problems.contains(&Incomplete::NoHeader), !has_header, "{len}");
        assert_eq!(
            problems.contains(&Incomplete::NoCompletionMarker),
            has_header && cut_in_marker,
            "cut at {len}"
        );
    }
    let in_rows = DUMP.find("2\t\\").unwrap();
    assert_eq!(
        outline(&DUMP[..in_rows]).completeness(),
        [
            Incomplete::NoCompletionMarker,
            Incomplete::CopyNotEnded {
                table: table(Some("public"), "films"),
                line: 39
            },
            Incomplete::RestrictNotEnded { line: 5 },
        ]
    );
    let in_statement = DUMP.find("id integer").unwrap();
    assert!(
        outline(&DUMP[..in_statement])
            .completeness()
            .contains(&Incomplete::StatementNotEnded { line: 22 })
    );
}

#[test]
fn pairs_restrict_and_unrestrict() {
    let check = |script: &str, expected: &[Incomplete], pairs| {
        let header = "-- PostgreSQL database dump\n-- PostgreSQL database dump complete\n";
        let outline = outline(&format!("{header}{script}"));
        assert_eq!(outline.completeness(), expected, "{script:?}");
        assert_eq!(outline.restrict_pairs(), pairs, "{script:?}");
    };
    check("\\restrict a\n\\unrestrict a\n\\restrict b\n\\unrestrict b\n", &[], 2);
    check("\\restrict a\n", &[Incomplete::RestrictNotEnded { line: 3 }], 0);
    check("\\unrestrict a\n", &[Incomplete::UnrestrictMismatch { line: 3 }], 0);
    check(
        "\\restrict a\n\\unrestrict b\n",
        &[
            Incomplete::UnrestrictMismatch { line: 4 },
            Incomplete::RestrictNotEnded { line: 3 },
        ],
        0,
    );
    check(
        "\\restrict a\n\\restrict b\n\\unrestrict b\n",
        &[Incomplete::RestrictNotEnded { line: 3 }],
        1,
    );
}

#[test]
fn lists_commands_that_need_psql() {
    let outline = outline("\\restrict x\n\\connect kulti\n\\unrestrict x\n\\.\nSELECT 1 \\gexec\n");
    let commands: Vec<_> = outline
        .commands()
        .iter()
        .map(|command| (command.name.to_string(), command.line))
        .collect();
    assert_eq!(
        commands,
        [("connect".to_owned(), 2), (".".to_owned(), 4), ("gexec".to_owned(), 5)]
    );
    assert_eq!(outline.completeness(), [Incomplete::NoHeader]);
}

#[test]
fn counts_inserted_rows() {
    for (statement, rows) in [
        ("INSERT INTO s.t VALUES (1, '(', f(2), $$(;$$);", 1),
        ("insert into s.t (a, b) overriding system value values (1, 2);", 1),
        (
            "INSERT INTO s.t VALUES\n\t(1, (2)),\n\t(3, 4) ON CONFLICT (a) DO NOTHING;",
            2,
        ),
        ("INSERT INTO s.t DEFAULT VALUES;", 1),
        ("INSERT INTO s.t (a) SELECT (1);", 0),
    ] {
        let len = statement.len() as u64;
        assert_eq!(
            rows_of(&outline(statement)),
            [("s.t".to_owned(), rows, len)],
            "{statement}"
        );
    }
}

#[test]
fn finds_schemas_that_search_path_decides() {
    let script = "SET search_path = public;\n-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: o\n\
                  COPY t (a) FROM stdin;\n1\n\\.\nCOPY u (a) FROM stdin;\n\\.\n";
    assert_eq!(
        rows_of(&outline(script)),
        [("u".to_owned(), 0, 0), ("public.t".to_owned(), 1, 2)]
    );
}

#[test]
fn every_dump_of_a_cluster_must_be_complete() {
    let one = "-- PostgreSQL database dump\n-- PostgreSQL database dump complete\n";
    let cluster = |databases: &str| {
        format!("-- PostgreSQL database cluster dump\n{databases}-- PostgreSQL database cluster dump complete\n")
    };
    assert_eq!(outline(&cluster(&one.repeat(2))).completeness(), []);
    assert_eq!(
        outline(&cluster("-- PostgreSQL database dump\n")).completeness(),
        [Incomplete::NoCompletionMarker]
    );
}
