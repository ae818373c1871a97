//! The database that is measured: that of an application, the same rows every time.

use std::thread;

use backstay::{CancelToken, ConnectionConfig};
use backstay_postgres::Installation;

use crate::client::query;
use crate::failure::Failure;

/// Tables that other tables point to.
const FIRST: &str = "
CREATE TABLE users (
    id bigint NOT NULL, key uuid NOT NULL, email text NOT NULL, name text, settings jsonb, bio text,
    created_at timestamptz NOT NULL);
CREATE TABLE products (id bigint NOT NULL, sku text NOT NULL, title text NOT NULL, price numeric(10,2), details jsonb);
CREATE TABLE events (
    id bigint NOT NULL, user_id bigint NOT NULL, kind text NOT NULL, created_at timestamptz NOT NULL,
    payload jsonb NOT NULL, note text);
CREATE TABLE orders (
    id bigint NOT NULL, user_id bigint NOT NULL, status text NOT NULL, total numeric(12,2), placed_at timestamptz,
    reference text);
CREATE TABLE order_lines (
    order_id bigint NOT NULL, line int NOT NULL, product_id bigint NOT NULL, quantity int NOT NULL,
    price numeric(10,2) NOT NULL);
CREATE TABLE documents (id bigint NOT NULL, user_id bigint NOT NULL, title text, body text);

-- Words as they come in texts, and hashes that no codec can shorten.
CREATE FUNCTION word(h bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT (ARRAY[
    'session','credit','payment','morning','teacher','student','recording','camera','question','answer','garden','music',
    'painting','history','language','kitchen','balance','refund','invitation','message','profile','picture','window',
    'journey','weather','market','station','library','village','harbour','mountain','river'])[1 + (h & 31)] $$;
CREATE FUNCTION phrase(h bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT (ARRAY[
    'joined the room a few minutes late','asked for a refund of the last payment','shared the screen with everybody',
    'left without saying good-bye','uploaded a new picture','changed the password after a reminder',
    'was moved to the waiting list','said \"thank you\" twice','opened the door to the garden','paid with credits',
    'could not hear the teacher','started a recording of the session','wrote a long message','invited two friends',
    'asked: when is the next session?','reported a problem with the camera'])[1 + (h & 15)] $$;
CREATE FUNCTION hash(n bigint, seed bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT hashint8extended(n, seed) $$;
";

/// One list for each connection; `:name` stands for a number of rows. The first takes about as long as the second.
const ROWS: [&[&str]; 2] = [
    &["
INSERT INTO events SELECT n, 1 + abs(h % :users), word(h >> 7), timestamptz '2024-01-01 UTC' + n * interval '7 seconds',
    jsonb_build_object('session', md5((n / 8)::text), 'path', '/' || word(h >> 12) || '/' || word(h >> 17),
        'duration_ms', (h >> 22) & 16383, 'ok', h & 64 <> 0, 'agent', 'Mozilla/5.0 (' || word(h >> 36) || ')',
        'tags', jsonb_build_array(word(h >> 41), word(h >> 46)), 'trace', md5(n::text), 'score', round(((h >> 3) & 1048575) / 1000.0, 3)),
    CASE WHEN h & 3 > 0 THEN phrase(h >> 24) || ', ' || phrase(h >> 28) || E'\\n' || phrase(h >> 32) || '; '
        || phrase(h >> 51) || ' (' || (h >> 33) || ')' END
FROM (SELECT n, hash(n, 1) h FROM generate_series(1::bigint, :events) n) s"],
    &[
        "
INSERT INTO users SELECT n, md5('u' || n)::uuid, word(h) || n || '@example.org', initcap(word(h >> 5) || ' ' || word(h >> 10)),
    jsonb_build_object('theme', word(h >> 15), 'language', 'de', 'mails', h & 1 = 0, 'since', (h >> 20) & 4095),
    phrase(h >> 25) || '. ' || phrase(h >> 29) || '.', timestamptz '2023-01-01 UTC' + n * interval '3 minutes'
FROM (SELECT n, hash(n, 2) h FROM generate_series(1::bigint, :users) n) s",
        "
INSERT INTO products SELECT n, md5('p' || n), initcap(word(h) || ' ' || word(h >> 5)), abs(h % 100000) / 100.0,
    jsonb_build_object('colour', word(h >> 10), 'weight', (h >> 15) & 4095, 'text', phrase(h >> 30))
FROM (SELECT n, hash(n, 3) h FROM generate_series(1::bigint, :products) n) s",
        "
INSERT INTO orders SELECT n, 1 + abs(h % :users), (ARRAY['paid','sent','open','returned'])[1 + (h >> 8 & 3)],
    abs(h % 1000000) / 100.0, timestamptz '2024-01-01 UTC' + n * interval '40 seconds',
    CASE WHEN h & 7 = 0 THEN md5('o' || n) END
FROM (SELECT n, hash(n, 4) h FROM generate_series(1::bigint, :orders) n) s",
        "
INSERT INTO order_lines SELECT 1 + (n - 1) / 3, 1 + (n - 1) % 3, 1 + abs(h % :products), 1 + (h >> 8 & 7), abs(h % 10000) / 100.0
FROM (SELECT n, hash(n, 5) h FROM generate_series(1::bigint, 3 * :orders) n) s",
        "
INSERT INTO documents SELECT n, 1 + n % :users, 'Document ' || n,
    (SELECT string_agg(md5(n || '.' || k) || ' ' || phrase(hash(n, k)), E'\\n') FROM generate_series(1, 120) k)
FROM generate_series(1::bigint, :documents) n",
    ],
];

const INDEXES: [&[&str]; 2] = [
    &[
        "ALTER TABLE events ADD PRIMARY KEY (id)",
        "CREATE INDEX events_of_user ON events (user_id, created_at)",
        "CREATE INDEX events_by_kind ON events (kind, created_at)",
    ],
    &[
        "ALTER TABLE users ADD PRIMARY KEY (id)",
        "CREATE UNIQUE INDEX users_email ON users (lower(email))",
        "ALTER TABLE products ADD PRIMARY KEY (id)",
        "ALTER TABLE orders ADD PRIMARY KEY (id)",
        "CREATE INDEX orders_of_user ON orders (user_id)",
        "ALTER TABLE order_lines ADD PRIMARY KEY (order_id, line)",
        "CREATE INDEX order_lines_of_product ON order_lines (product_id)",
        "ALTER TABLE documents ADD PRIMARY KEY (id)",
        "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users",
        "ALTER TABLE order_lines ADD FOREIGN KEY (order_id) REFERENCES orders",
        "ALTER TABLE order_lines ADD FOREIGN KEY (product_id) REFERENCES products",
        "ALTER TABLE documents ADD FOREIGN KEY (user_id) REFERENCES users",
    ],
];

/// What needs both lists of indexes.
const LAST_KEY: &str = "ALTER TABLE events ADD FOREIGN KEY (user_id) REFERENCES users";

/// A table of 2 GiB at scale 1 for looking at memory, with rows that no codec makes less than half as long: what waits to
/// be written is long then, too.
const LARGE: &str = "
CREATE TABLE large (id bigint NOT NULL, body text NOT NULL);
ALTER TABLE large ALTER body SET STORAGE PLAIN;
INSERT INTO large SELECT n, (SELECT string_agg(encode(sha512((n || '.' || k)::bytea), 'hex'), '') FROM generate_series(1, 15) k)
FROM generate_series(1::bigint, :large) n;
ALTER TABLE large ADD PRIMARY KEY (id)";

/// Rows at scale 1, which makes about 1 GiB of heap, 70 % of it in `events`.
const ROWS_AT_SCALE_1: [(&str, f64); 6] = [
    (":events", 1_760_000.0),
    (":users", 300_000.0),
    (":products", 30_000.0),
    (":orders", 850_000.0),
    (":documents", 1500.0),
    (":large", 1_048_576.0),
];

/// A database that is filled or filled again.
pub(super) struct Filling<'f> {
    pub(super) installation: &'f Installation,
    pub(super) config: ConnectionConfig,
    pub(super) scale: f64,
    pub(super) cancel: &'f CancelToken,
}

impl Filling<'_> {
    /// Fills an empty database. When it is done, no read has anything left to write.
    pub(super) fn application(&self) -> Result<(), Failure> {
        self.tables()?;
        self.side_by_side(ROWS)?;
        self.keys()?;
        self.run("VACUUM (FREEZE, ANALYZE)")?;
        self.run("CHECKPOINT")
    }

    /// Makes the tables, without anything that rows are held to.
    pub(super) fn tables(&self) -> Result<(), Failure> {
        self.run(FIRST)
    }

    /// Builds indexes and keys, with two connections.
    pub(super) fn keys(&self) -> Result<(), Failure> {
        self.side_by_side(INDEXES)?;
        self.run(LAST_KEY)
    }

    /// Fills an empty database with one large table.
    pub(super) fn large_table(&self) -> Result<(), Failure> {
        self.run(LARGE)
    }

    fn run(&self, sql: &str) -> Result<(), Failure> {
        let sql = with_numbers(sql, self.scale);
        query(self.installation, &self.config, &sql, self.cancel).map(drop)
    }

    fn side_by_side(&self, lists: [&[&str]; 2]) -> Result<(), Failure> {
        thread::scope(|scope| {
            let workers = lists.map(|list| scope.spawn(move || list.iter().try_for_each(|sql| self.run(sql))));
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(Failure::new("a worker panicked"))))
        })
    }
}

/// What a copy must have too: rows of every table and the number of objects of each kind.
pub(super) const FINGERPRINT: &str = "
SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM users), (SELECT count(*) FROM products),
    (SELECT count(*) FROM orders), (SELECT count(*) FROM order_lines), (SELECT sum(length(body)) FROM documents),
    (SELECT count(*) FROM pg_index WHERE indrelid >= 16384 AND indisvalid),
    (SELECT count(*) FROM pg_constraint WHERE conrelid >= 16384 AND convalidated)";

fn with_numbers(sql: &str, scale: f64) -> String {
    let numbers = ROWS_AT_SCALE_1.map(|(name, rows)| (name, (rows * scale).max(10.0).round().to_string()));
    numbers
        .iter()
        .fold(sql.to_owned(), |sql, (name, rows)| sql.replace(name, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_rows_follow_the_scale() {
        let check = |scale, expected: &str| assert_eq!(with_numbers("3 * :orders, :documents", scale), expected);
        check(1.0, "3 * 850000, 1500");
        check(0.25, "3 * 212500, 375");
        check(0.000_001, "3 * 10, 10");
    }
}
