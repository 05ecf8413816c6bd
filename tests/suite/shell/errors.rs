//! What is said of a wrong statement: the object, the place under a caret, the nearest candidate.

use super::Place;

const SETUP: &str = "\
CREATE STREAM orders (id BIGINT NOT NULL, customer TEXT, price DOUBLE);
CREATE TABLE customers (id BIGINT PRIMARY KEY, name TEXT NOT NULL, CHECK (id > 0));
CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(price) AS total FROM orders GROUP BY customer;
";

/// The error of a statement: its first line, the word under the caret and the hint.
fn error(statement: &str) -> (String, String, String) {
    let place = Place::new();
    let run = place.sql(&format!("{SETUP}{statement}"));
    assert_eq!(run.code, 1, "{statement}: {}", run.err);
    let lines: Vec<&str> = run.err.lines().collect();
    let caret = lines.iter().position(|line| line.trim_start().starts_with('|') && line.ends_with('^'));
    let word = caret.map_or("", |at| {
        let column = lines[at].chars().count() - 1;
        let (byte, _) = lines[at - 1].char_indices().nth(column).unwrap_or((lines[at - 1].len(), ' '));
        let rest = &lines[at - 1][byte..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "_.'".contains(c))).unwrap_or(rest.len());
        &rest[..end.max(rest.chars().next().map_or(0, char::len_utf8))]
    });
    let message = lines[0].strip_prefix("error: ").unwrap_or_else(|| panic!("{}", run.err));
    let hint = lines.iter().find_map(|line| line.strip_prefix("hint: ")).unwrap_or_default();
    (message.to_string(), word.to_string(), hint.to_string())
}

#[track_caller]
fn check(statement: &str, message: &str, word: &str, hint: &str) {
    let (m, w, h) = error(statement);
    assert_eq!((m.as_str(), w.as_str(), h.as_str()), (message, word, hint), "{statement}");
}

#[test]
fn names_that_there_are_not() {
    check("SELECT pirce FROM orders", "no column `pirce`", "pirce", "did you mean `price`?");
    check("SELECT\n 1,\n o.pirce FROM orders o", "no column `o.pirce`", "o.pirce", "did you mean `price`?");
    check("SELECT 1 FROM ordrs", "no stream, table or view `ordrs`", "ordrs", "did you mean `orders`?");
    check("SELECT 1 FROM x", "no stream, table or view `x`", "x", "there are `customers`, `orders`, `totals`");
    check("SELECT upperr(customer) FROM orders", "no function `upperr`", "upperr", "did you mean `upper`?");
    check(
        "SELECT * FROM generat_series(1, 2)",
        "no table function `generat_series`",
        "generat_series",
        "did you mean `generate_series`?",
    );
    check("CREATE STREAM s (a BIGNT)", "no type `BIGNT`", "BIGNT", "did you mean `BIGINT`?");
    check("DROP VIEW total", "no stream, table or view `total`", "total", "did you mean `totals`?");
    check("UPDATE customers SET nmae = 'x'", "no column `nmae`", "nmae", "did you mean `name`?");
    check("DELETE FROM customrs", "no stream, table or view `customrs`", "customrs", "did you mean `customers`?");
    check("DESCRIBE order", "no stream, table or view `order`", "order", "did you mean `orders`?");
}

#[test]
fn names_within_a_view() {
    let view =
        "CREATE MATERIALIZED VIEW v AS\n  SELECT customer,\n         sum(pirce)\n  FROM orders GROUP BY customer";
    check(view, "no column `pirce`", "pirce", "did you mean `price`?");
    check(
        "CREATE VIEW v AS SELECT * FROM\n\tordrs",
        "no stream, table or view `ordrs`",
        "ordrs",
        "did you mean `orders`?",
    );
    check(
        "CREATE VIEW v AS SELECT customer, price FROM orders GROUP BY customer",
        "column `orders.price` is neither in GROUP BY nor within an aggregate function",
        "price",
        "group by it, or say which of a group's values is meant: min, max, first_value, ...",
    );
    let volatile = "`random()` gives another value at each call, so a view over it could not be rebuilt from the log";
    let hint = "compute `random()` when inserting the row";
    check("CREATE MATERIALIZED VIEW v AS SELECT random() FROM orders", volatile, "random", hint);
    check("CREATE MATERIALIZED VIEW v AS SELECT id FROM orders ORDER BY random()", volatile, "random", hint);
    let twice = "the query has two columns `id`";
    check("CREATE VIEW v AS SELECT id, id FROM orders", twice, "id", "give one of them another name with AS");
}

#[test]
fn keywords() {
    check("SELEC 1", "expected an SQL statement, found SELEC", "SELEC", "did you mean `SELECT`?");
    check("SELECT * FORM orders", "expected end of statement, found FORM", "FORM", "did you mean `FROM` for `FORM`?");
    check(
        "SELECT id FROM orders WEHRE id = 1",
        "expected end of statement, found id",
        "id",
        "did you mean `WHERE` for `WEHRE`?",
    );
    check("SELECT (1", "expected ), found the end of the statement", "", "");
    check("VACUUM", "VACUUM is not a statement of Millstream", "VACUUM", "");
    let settings = "SET takes settings of Postgres that change no result; SHOW ALL lists those there are";
    check("SET x = 1", "no setting `x`", "x", settings);
    let found = "expected STREAM, TABLE, VIEW or MATERIALIZED VIEW after CREATE, found SEQUENCE";
    check("CREATE SEQUENCE s", found, "SEQUENCE", "");
}

#[test]
fn types_and_values() {
    let cast = "CAST one of them to the type of the other";
    check("SELECT customer + price FROM orders", "`+` cannot take VARCHAR and DOUBLE", "customer", cast);
    let called = "function `upper` cannot be called as upper(DOUBLE, BIGINT)";
    check("SELECT upper(price, 1) FROM orders", called, "upper", "it is called as upper(VARCHAR)");
    let large = "99999999999999999999";
    check(
        &format!("INSERT INTO customers VALUES ({large}, 'x')"),
        &format!("cannot read '{large}' as BIGINT: column `id` of table `customers`, in row 1"),
        large,
        "",
    );
    let half = "cannot read '1.5' as BIGINT: column `id` of table `customers`, in row 2";
    check("INSERT INTO customers VALUES (7, 'x'), (1.5, 'x')", half, "1.5", "");
    check(
        "INSERT INTO orders SELECT 1, 'x', 2, 3",
        "the rows have another number of columns than are inserted into `orders`",
        "orders",
        "",
    );
    check("SELECT 1 LIMIT -1", "LIMIT cannot be negative, as '-1' is", "1", "");
    check("SELECT 1 LIMIT 1 OFFSET -2", "OFFSET cannot be negative, as '-2' is", "2", "");
    check("SELECT cuont(*) FROM orders", "no function `cuont`", "cuont", "did you mean `count`?");
    let named = "give one of them another name with AS";
    check("CREATE VIEW v AS SELECT 1, 1", "the query has two columns `1`", "1", named);
    let length = "table `short`: check `name is VARCHAR(3)` is not met in the row (name = long)";
    check("CREATE TABLE short (name VARCHAR(3)); INSERT INTO short VALUES ('long')", length, "short", "");
    check("SELECT CAST('abc' AS INT)", "cannot read 'abc' as INTEGER", "'abc'", "");
    check("SELECT 1 / 0", "division by zero", "", "");
    let columns = "its columns are `id`, `customer`, `price`";
    let many = "row 1 for `orders` has 4 values where 3 are expected";
    check("INSERT INTO orders VALUES (1, 'x', 2, 3)", many, "orders", columns);
    let check_failed = "table `customers`: check `id > 0` is not met in the row (id = -1, name = x)";
    check("INSERT INTO customers VALUES (-1, 'x')", check_failed, "customers", "");
    let null = "table `customers`: column `name` is NULL in the row (id = 5, name = NULL)";
    check("INSERT INTO customers (id) VALUES (5)", null, "customers", "");
    check(
        "SELECT (SELECT x FROM (VALUES (1), (2)) t (x))",
        "a scalar subquery gives more than one row",
        "",
        "aggregate it, or add a LIMIT 1 with an ORDER BY",
    );
}

#[test]
fn what_cannot_be_changed() {
    let facts = "UPDATE: `orders` is a stream, whose events are facts and do not change";
    check(
        "UPDATE orders SET price = 1",
        facts,
        "orders",
        "keep what changes in a TABLE, or record a correction as a new event",
    );
    check("DELETE FROM totals", "DELETE: `totals` is a materialized view, which its query alone changes", "totals", "");
    check("CREATE TABLE orders (a INT)", "there is a stream `orders` already", "orders", "");
    check("DROP STREAM orders", "`orders` is read by `totals`", "orders", "DROP ... CASCADE drops them too");
    check("DROP STREAM customers", "`customers` is a table", "customers", "DROP TABLE customers");
    let wrong = "`totals` reads `orders`";
    let run = Place::new().sql(&format!("{SETUP}CREATE OR REPLACE VIEW totals AS SELECT * FROM totals;"));
    assert!(run.err.contains("view `totals` would read itself"), "{wrong}: {}", run.err);
}

#[test]
fn nothing_of_the_batch_engine_leaks() {
    let leaks = [
        "DataFusion",
        "Error during planning",
        "Schema error",
        "This feature is not implemented",
        "Arrow error",
        "Utf8",
        "Float64",
        "Execution error",
    ];
    for statement in [
        "SELECT customer * 2 FROM orders",
        "SELECT sum(customer) FROM orders",
        "SELECT id FROM orders WHERE price",
        "SELECT id FROM orders WHERE count(*) > 1",
        "SELECT id FROM orders ORDER BY 9",
        "SELECT id FROM orders UNION SELECT id, name FROM customers",
        "SELECT id FROM orders, customers",
        "SELECT sum(sum(price)) FROM orders",
        "SELECT lag(price) FROM orders",
        "SELECT $1",
        "SELECT price[1] FROM orders",
        "SELECT id FROM orders FETCH FIRST 3 PERCENT ROWS ONLY",
        "INSERT INTO orders VALUES ('x', 1, 2)",
        "INSERT INTO customers SELECT name FROM customers",
        "SELECT CAST(customer AS INT[]) FROM orders",
        "SELECT * FROM orders PIVOT (sum(price) FOR customer IN ('a'))",
        "WITH RECURSIVE r AS (SELECT 1) SELECT * FROM q",
        "SELECT date_trunc('eon', now())",
        "SELECT CAST('2024-13-01' AS DATE)",
        "SELECT now() + 1",
        "SELECT rank() FROM orders",
        "SELECT * FROM orders TABLESAMPLE (10)",
        "SELECT * FROM orders FOR UPDATE",
        "SELECT id FROM orders GROUP BY ALL WITH CUBE",
        "SELECT max() FROM orders",
        "INSERT INTO orders (id, id) VALUES (1, 2)",
        "UPDATE customers SET id = 1, id = 2",
        "SELECT a.* FROM orders",
    ] {
        let rows = "INSERT INTO orders VALUES (1, 'ann', 2.5); INSERT INTO customers VALUES (1, 'ann');";
        let run = Place::new().sql(&format!("{SETUP}{rows}{statement}"));
        assert_eq!(run.code, 1, "{statement}: {}", run.out);
        for leak in leaks {
            assert!(!run.err.contains(leak), "{statement}: {}", run.err);
        }
    }
}
