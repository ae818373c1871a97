use crate::migrate::{Outcome, migrate};
use crate::support::Shop;

const STATE: &str = "SELECT (SELECT count(*) || ' ' || sum(amount) FROM sale), (SELECT count(*) FROM product),
    (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'sale'::regclass AND attnum > 0
       AND NOT attisdropped),
    (SELECT count(*) FROM pg_constraint WHERE conrelid = 'sale'::regclass)";

fn run(shop: &Shop, sql: &str) -> Result<Outcome, backstay_examples::Failure> {
    migrate(&shop.database(), &shop.repository(), &shop.programs(), &shop.file(sql))
}

#[test]
fn a_migration_that_works_stays() {
    let shop = Shop::open();
    let outcome = run(&shop, "ALTER TABLE sale ADD COLUMN note text;").unwrap();
    assert!(matches!(outcome, Outcome::Migrated { .. }), "{outcome:?}");
    assert_eq!(shop.sql("SELECT count(note) FROM sale"), "0");
}

#[test]
fn a_migration_that_fails_half_way_is_undone() {
    let shop = Shop::open();
    let before = shop.sql(STATE);
    let sql = "ALTER TABLE sale ADD COLUMN note text;
        DELETE FROM sale WHERE amount > 100;
        ALTER TABLE sale DROP CONSTRAINT sale_product_id_fkey;
        DROP TABLE product;
        CREATE TABLE journal (id int);
        SELECT 1 / 0;";
    let outcome = run(&shop, sql).unwrap();
    let Outcome::Restored { cause, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert!(cause.to_string().contains("division by zero"), "{cause}");
    assert_eq!(shop.sql(STATE), before);
    assert_eq!(shop.sql("SELECT count(*) FROM journal"), "0", "what is new stays");
}

#[test]
fn nothing_is_dropped_that_something_new_depends_on() {
    let shop = Shop::open();
    let sql = "DELETE FROM sale; CREATE TABLE journal (sale_id int REFERENCES sale); SELECT 1 / 0;";
    let error = run(&shop, sql).unwrap_err().to_string();
    assert!(
        error.contains("division by zero") && error.contains("nothing was changed"),
        "{error}"
    );
    assert_eq!(shop.sql("SELECT count(*) FROM sale"), "0");
}
