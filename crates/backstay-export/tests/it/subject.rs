//! What belongs to one person, and what does not.

use backstay_core::store::MemoryStore;
use backstay_export::{ExportError, ExportOptions, Subject, SubjectLink, SubjectPlan, export_subject, plan_subject};
use backstay_postgres::CancelToken;
use backstay_testkit::{Fault, Faulty, ToyKey, When, objects};

use crate::support::{Database, NOW, piped, place};

const TABLES: &str = r#"
    CREATE SCHEMA auth;
    CREATE TABLE auth.users (id int PRIMARY KEY, email text UNIQUE);
    CREATE TABLE users (id int PRIMARY KEY REFERENCES auth.users, name text, invited_by int REFERENCES users, best_friend int UNIQUE REFERENCES users);
    COMMENT ON TABLE users IS 'Profiles'; COMMENT ON COLUMN users.name IS 'as shown; "quoted"';
    CREATE TABLE products (id int PRIMARY KEY, name text);
    CREATE TABLE orders (shop int, number int, user_id int NOT NULL REFERENCES users, product int REFERENCES products, PRIMARY KEY (shop, number));
    CREATE TABLE lines (shop int, number int, line int, note text, FOREIGN KEY (number, shop) REFERENCES orders (number, shop));
"#;
const MORE: &str = r#"
    CREATE TABLE comments (id int PRIMARY KEY, user_id int REFERENCES auth.users, parent int REFERENCES comments, body text);
    CREATE TABLE sessions (id int PRIMARY KEY, host int REFERENCES users);
    CREATE TABLE participants (session int REFERENCES sessions, "User" int REFERENCES users, PRIMARY KEY (session, "User"));
    CREATE TABLE payments (id int, user_id int REFERENCES users, at date) PARTITION BY RANGE (at);
    CREATE TABLE payments_1 PARTITION OF payments FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE payments_2 PARTITION OF payments FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY RANGE (at);
    CREATE TABLE payments_2a PARTITION OF payments_2 DEFAULT;
    CREATE TABLE cycle_a (id int PRIMARY KEY, b int, user_id int REFERENCES users);
    CREATE TABLE cycle_b (id int PRIMARY KEY, a int REFERENCES cycle_a);
    ALTER TABLE cycle_a ADD FOREIGN KEY (b) REFERENCES cycle_b;
    CREATE TABLE logins (email text, at int);
    CREATE TABLE answers (shop int, number int, author int REFERENCES auth.users, body text, FOREIGN KEY (shop, number) REFERENCES orders);
    CREATE TABLE "odd/na""me" (who int REFERENCES users, "a b" jsonb);
    INSERT INTO auth.users SELECT i, 'u' || i || '@example.org' FROM generate_series(1, 5) i;
    INSERT INTO users SELECT i, E'User "' || i || E'"\n', CASE WHEN i > 1 THEN 1 END, NULLIF(i - 1, 0) FROM generate_series(1, 5) i;
    INSERT INTO products VALUES (1, 'p');
    INSERT INTO orders VALUES (1, 1, 1, 1), (1, 2, 2, 1), (2, 1, 1, NULL);
    INSERT INTO lines VALUES (1, 1, 1, 'x'), (1, 1, 2, 'y'), (1, 2, 1, 'z'), (2, 1, 1, 'w'), (NULL, 1, 1, 'nobody');
    INSERT INTO comments VALUES (1, 1, NULL, 'mine'), (2, 2, 1, 'an answer'), (3, NULL, 1, 'by nobody'), (4, 1, 2, 'mine below'), (5, 2, NULL, 'other'), (6, NULL, 3, 'below nobody');
    INSERT INTO answers VALUES (1, 1, 1, 'mine'), (1, 1, 2, 'an answer too'), (1, 1, NULL, 'by nobody');
    INSERT INTO sessions VALUES (1, 1), (2, 2);
    INSERT INTO participants VALUES (1, 1), (1, 2), (2, 1), (2, 3);
    INSERT INTO payments VALUES (1, 1, '2024-05-01'), (2, 1, '2025-05-01'), (3, 2, '2025-06-01');
    INSERT INTO cycle_a VALUES (1, NULL, 1), (2, NULL, NULL), (3, NULL, NULL); INSERT INTO cycle_b VALUES (1, 1), (2, 2), (3, 3);
    UPDATE cycle_a SET b = CASE id WHEN 1 THEN 2 WHEN 2 THEN 1 END;
    INSERT INTO logins VALUES ('u1@example.org', 1), ('u2@example.org', 2), ('u1@example.org', 3);
    INSERT INTO "odd/na""me" VALUES (1, '{"k": [1, null]}'), (2, '{}');
"#;

fn scene(name: &str) -> Database {
    let database = Database::create(
        name,
        &TABLES.replace(
            "PRIMARY KEY (shop, number))",
            "PRIMARY KEY (shop, number), UNIQUE (number, shop))",
        ),
    );
    database.sql(MORE);
    database
}

fn plan(database: &Database, subject: &[&str], links: &[&str]) -> Result<SubjectPlan, ExportError> {
    let subject = Subject::parse(subject.iter().copied()).unwrap();
    let links: Vec<SubjectLink> = links.iter().map(|link| link.parse().unwrap()).collect();
    plan_subject(
        &database.config(),
        &subject,
        &links,
        &ExportOptions::default(),
        &CancelToken::new(),
    )
}

fn told(plan: &SubjectPlan) -> Vec<String> {
    plan.tables
        .iter()
        .map(|table| format!("{} {} by {}", table.table, table.rows, table.by.join(", ")))
        .collect()
}

#[test]
fn what_belongs_to_a_person_follows_from_keys() {
    let database = scene("subject");
    let account = plan(
        &database,
        &["auth.users.email=u1@example.org", "auth.users.id=1"],
        &["logins.email = auth.users.email"],
    )
    .unwrap();
    let expected = [
        "auth.users 1 by ",
        "public.\"odd/na\"\"me\" 1 by public.\"odd/na\"\"me\".who = public.users.id",
        "public.answers 2 by public.answers.(shop, number) = public.orders.(shop, number), public.answers.author = auth.users.id",
        "public.comments 4 by public.comments.parent = public.comments.id, public.comments.user_id = auth.users.id",
        // By way of cycle_b 2, which nobody else's row refers to: what refers to that belongs to the person.
        "public.cycle_a 2 by public.cycle_a.b = public.cycle_b.id, public.cycle_a.user_id = public.users.id",
        "public.cycle_b 2 by public.cycle_b.a = public.cycle_a.id",
        "public.lines 3 by public.lines.(number, shop) = public.orders.(number, shop)",
        "public.logins 2 by public.logins.email = auth.users.email",
        "public.orders 2 by public.orders.user_id = public.users.id",
        "public.participants 2 by public.participants.\"User\" = public.users.id",
        "public.payments 2 by public.payments.user_id = public.users.id",
        "public.sessions 1 by public.sessions.host = public.users.id",
        // The profile is of the same person.
        "public.users 1 by public.users.id = auth.users.id",
    ];
    assert_eq!(told(&account), expected);
    // From the profile, what refers to the account would lack, and the answer of another account would be taken for theirs.
    let profile = plan(&database, &["users.id=1"], &[]);
    assert!(
        matches!(&profile, Err(ExportError::SubjectAdds { table, to }) if table == "public.users" && to == "auth.users"),
        "{profile:?}"
    );
}

#[test]
fn tables_that_refer_to_each_other_by_their_keys_are_of_one_person() {
    let database = Database::create(
        "mutual",
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a); \
         INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1), (2); ALTER TABLE a ADD FOREIGN KEY (id) REFERENCES b",
    );
    for (subject, expected) in [
        ("a.id=1", ["public.a 1 by ", "public.b 1 by public.b.id = public.a.id"]),
        ("b.id=1", ["public.a 1 by public.a.id = public.b.id", "public.b 1 by "]),
    ] {
        assert_eq!(told(&plan(&database, &[subject], &[]).unwrap()), expected);
    }
}

#[test]
fn a_subject_that_is_not_one_row_is_told() {
    let database = scene("no_subject");
    assert!(matches!(
        plan(&database, &["auth.users.id=99"], &[]),
        Err(ExportError::NoSubject { .. })
    ));
    // Two orders of one shop may be of two persons.
    assert!(matches!(
        plan(&database, &["orders.shop=1"], &[]),
        Err(ExportError::SeveralSubjects { .. })
    ));
    assert!(plan(&database, &["orders.shop=1", "orders.number=2"], &[]).is_ok());
    assert!(matches!(
        plan(&database, &["users.idd=1"], &[]),
        Err(ExportError::NoSuchColumn { .. })
    ));
    assert!(matches!(
        plan(&database, &["users.id=1", "auth.users.id=1"], &[]),
        Err(ExportError::NoSuchColumn { .. })
    ));
    assert!(matches!(
        plan(&database, &["nowhere.id=1"], &[]),
        Err(ExportError::Wire { .. })
    ));
    assert!(matches!(
        plan(&database, &["auth.users.id=x"], &[]),
        Err(ExportError::Wire { .. })
    ));
    assert!(matches!(
        plan(&database, &["users.id=1"], &["logins.x = users.id"]),
        Err(ExportError::NoSuchColumn { .. })
    ));
}

#[test]
fn rows_of_a_person_are_written_with_what_they_mean() {
    let database = scene("portable");
    let store = MemoryStore::new();
    let subject = Subject::parse(["auth.users.id=1"]).unwrap();
    let run = |place: &backstay_export::ExportPlace| {
        let now = NOW.parse().unwrap();
        export_subject(
            &database.config(),
            &subject,
            &[],
            place,
            now,
            &ExportOptions::default(),
            &CancelToken::new(),
        )
    };
    let made = run(&place(store.clone())).unwrap();
    let folder = "exports/subject_export_20250116_143022";
    let read = |name: &str| objects::read(&store, &format!("{folder}/{name}")).unwrap();
    assert_eq!(made.description.as_str(), format!("{folder}/description.json"));
    let csv = database.psql(&["-c", "\\copy (SELECT * FROM users WHERE id = 1) TO STDOUT CSV HEADER"]);
    assert_eq!(String::from_utf8(read("public.users.csv")), String::from_utf8(csv));
    let rows = piped("jq", &["-c", "map([.id, .at])"], &read("public.payments.json"));
    assert_eq!(
        String::from_utf8_lossy(&rows),
        "[[1,\"2024-05-01\"],[2,\"2025-05-01\"]]\n"
    );
    let rows = String::from_utf8(read("public.payments.csv")).unwrap();
    assert_eq!(rows, "id,user_id,at\n1,1,2024-05-01\n2,1,2025-05-01\n");
    let odd = piped("jq", &["-c", "."], &read("public.odd-name.json"));
    assert_eq!(
        String::from_utf8_lossy(&odd),
        "[{\"who\":1,\"a b\":{\"k\":[1,null]}}]\n"
    );
    let users = piped(
        "jq",
        &[
            "-c",
            ".tables[] | select(.table == \"public.users\") | [.comment, .rows, .by, [.columns[] | [.name, .type, .nullable, .comment]]]",
        ],
        &read("description.json"),
    );
    let expected = "[\"Profiles\",1,[\"public.users.id = auth.users.id\"],[[\"id\",\"integer\",false,null],\
                    [\"name\",\"text\",true,\"as shown; \\\"quoted\\\"\"],[\"invited_by\",\"integer\",true,null],\
                    [\"best_friend\",\"integer\",true,null]]]\n";
    assert_eq!(String::from_utf8_lossy(&users), expected);
    // Nobody else's data, and all files are there with their sums.
    for name in objects::names(&store) {
        let text = String::from_utf8(objects::read(&store, &name).unwrap()).unwrap();
        assert!(
            !text.contains("u2@example.org") && !text.contains("an answer") && !text.contains("User \"2"),
            "{name}"
        );
    }
    assert_eq!(made.files.len(), 2 * made.plan.tables.len());
    assert_eq!(objects::names(&store).len(), 2 * made.files.len() + 1);
    assert!(matches!(run(&place(store)), Err(ExportError::Exists { .. })));

    // Sealed, all of it is.
    let store = MemoryStore::new();
    let mut sealed = place(store.clone());
    sealed.sealer = Some(ToyKey::new("ann").seals().packs);
    run(&sealed).unwrap();
    assert!(
        objects::names(&store)
            .iter()
            .all(|name| name.ends_with(".age") || name.ends_with(".age.sha256"))
    );
    // A store that fails keeps nothing of it.
    for nth in [2, 20, 50] {
        let store = MemoryStore::new();
        let failing = Faulty::new(store.clone())
            .with_fault(When::nth_call(nth), Fault::Error(backstay_core::store::ErrorKind::Full));
        assert!(run(&place(failing)).is_err());
        assert!(objects::names(&store).is_empty(), "{nth}");
    }
}
