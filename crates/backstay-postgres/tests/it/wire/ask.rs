use std::time::Duration;

use backstay_postgres::{Answer, CancelToken, ask};

use super::connect;
use super::server::Server;

#[test]
fn questions_are_answered_and_change_nothing() {
    let server = Server::start("local all all trust\nhost all all 127.0.0.1/32 trust\n");
    let config = server.config();
    connect(&config)
        .execute(b"CREATE TABLE public.t AS SELECT generate_series(1, 5) AS n; CREATE SEQUENCE public.s")
        .unwrap();
    let value = |text: &str| Answer::Value(Some(text.to_owned()));
    let cases = [
        ("SELECT count(*) FROM public.t", value("5")),
        ("SELECT count(*) FROM public.t; ", value("5")),
        ("SELECT 'a;b' -- the end", value("a;b")),
        ("SELECT max(n) FROM public.t WHERE n > 9", Answer::Value(None)),
        ("VALUES (true)", value("t")),
        ("SELECT 'é'", value("é")),
        (
            "SELECT timestamptz '2025-01-01 00:00+02'",
            value("2024-12-31 22:00:00+00"),
        ),
        ("SELECT n FROM public.t", Answer::Rows(5)),
        ("SELECT n FROM public.t WHERE n > 9", Answer::Rows(0)),
        ("SELECT n, n FROM public.t WHERE n = 1", Answer::Rows(1)),
        ("WITH x AS (SELECT n FROM public.t) SELECT sum(n) FROM x", value("15")),
    ];
    let failing = [
        ("SELECT 1/0", "division by zero"),
        ("SELECT count(*) FROM t", "\"t\" does not exist"),
        ("SELECT 1; SELECT 2", "not one statement"),
        ("COMMIT; DELETE FROM public.t", "transaction"),
        ("ROLLBACK", "transaction"),
        ("DELETE FROM public.t RETURNING n", "syntax error"),
        (
            "WITH x AS (DELETE FROM public.t RETURNING n) SELECT count(*) FROM x",
            "data-modifying",
        ),
        ("SELECT nextval('public.s')", "read-only transaction"),
        ("SELECT pg_catalog.pg_sleep(600)", "statement timeout"),
        ("SELECT 'open", "a string literal is open"),
        ("", "syntax error"),
    ];
    let queries: Vec<String> = failing
        .iter()
        .map(|(query, _)| *query)
        // Behind each that fails, one that does not.
        .flat_map(|query| [query, "SELECT count(*) FROM public.t"])
        .chain(cases.iter().map(|(query, _)| *query))
        .map(str::to_owned)
        .collect();
    let answers = ask(&config, &queries, Duration::from_secs(2), &CancelToken::new());
    assert_eq!(answers.len(), queries.len());
    for ((query, expected), pair) in failing.iter().zip(answers.chunks(2)) {
        assert!(
            matches!(&pair[0], Answer::Failed(reason) if reason.contains(expected)),
            "{query}: {:?}",
            pair[0]
        );
        assert_eq!(pair[1], value("5"), "behind {query}");
    }
    for ((query, expected), answer) in cases.iter().zip(&answers[2 * failing.len()..]) {
        assert_eq!(answer, expected, "{query}");
    }
    let rows = connect(&config)
        .query(b"SELECT last_value, is_called FROM public.s")
        .unwrap();
    assert_eq!((rows[0].get(0), rows[0].get(1)), (Some(&b"1"[..]), Some(&b"f"[..])));

    let gone = "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())".to_owned();
    let answers = ask(
        &config,
        &[gone, "SELECT 1".to_owned()],
        Duration::from_secs(2),
        &CancelToken::new(),
    );
    assert!(
        answers.iter().all(|answer| matches!(answer, Answer::Failed(_))),
        "{answers:?}"
    );
}
