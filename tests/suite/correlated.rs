//! Correlated subqueries against what they mean: for each outer row the subquery is run by itself, with the row's
//! values written into it. IN, EXISTS, ANY and ALL are then decided here, with SQL's three values.

use std::collections::BTreeMap;

use arrow::array::Array;
use arrow::util::display::array_value_to_string;
use millstream::{Database, Rows};

use crate::oracle::random::Random;

/// Subqueries of one column over `b`, with `$x`, `$y` and `$id` for the columns of the outer row.
const SUBQUERIES: [&str; 33] = [
    "SELECT x FROM b",
    "SELECT x FROM b WHERE b.y = $y",
    "SELECT b.x + $x AS v FROM b WHERE b.id > $id",
    "SELECT count(*) AS n FROM b WHERE b.x = $x",
    "SELECT count(x) + 1 AS n FROM b WHERE b.y <> $y",
    "SELECT sum(x) AS n FROM b WHERE b.x = $x HAVING count(*) > 1",
    "SELECT max(id) AS m FROM b WHERE b.x < $x GROUP BY y",
    "SELECT DISTINCT x FROM b WHERE b.y IS NOT DISTINCT FROM $y",
    "SELECT x FROM b WHERE b.y = $y ORDER BY id DESC LIMIT 1",
    "SELECT id FROM b WHERE b.x <= $x ORDER BY x DESC NULLS LAST, id LIMIT 1 OFFSET 1",
    "SELECT x FROM b WHERE b.y = $y UNION SELECT id FROM b WHERE b.x = $x",
    "SELECT x FROM b WHERE b.y = $y UNION ALL SELECT $x",
    "SELECT x FROM b INTERSECT ALL SELECT x FROM b WHERE b.id <> $id",
    "SELECT x FROM b EXCEPT ALL SELECT x FROM b WHERE b.y = $y",
    "SELECT b.x FROM b LEFT JOIN b c ON b.x = c.id AND c.y = $y WHERE c.id IS NULL",
    "SELECT row_number() OVER (PARTITION BY b.y ORDER BY b.id) AS n FROM b WHERE b.x = $x",
    "SELECT x FROM b WHERE EXISTS (SELECT 1 FROM b c WHERE c.id = b.x AND c.y = $y)",
    "SELECT x FROM b WHERE b.id = (SELECT max(c.id) FROM b c WHERE c.x = $x AND c.y = b.y)",
    "SELECT v FROM unnest([$x, $id, 1]) AS u(v) WHERE v > 0",
    "SELECT unnest([$id, $x]) AS v",
    "SELECT v + n FROM unnest([$x, 7]) WITH ORDINALITY AS u(v, n)",
    "SELECT count(*) FROM b, unnest([b.x, $x]) AS u(v) WHERE v = b.id",
    "SELECT i FROM generate_series(1, $x) AS g(i)",
    "SELECT sum(i) FROM generate_series($id, $x, -1) AS g(i)",
    "SELECT v FROM (VALUES ($x), ($id), (2)) AS w(v) ORDER BY v LIMIT 2",
    "SELECT c.id FROM (SELECT * FROM b WHERE b.y = $y) p RIGHT JOIN b c ON p.x = c.x WHERE p.id IS NULL",
    "SELECT b.id FROM b RIGHT JOIN b c ON b.x = c.id AND c.y = $y WHERE c.x > 0",
    "SELECT coalesce(p.id, q.x) FROM (SELECT * FROM b WHERE b.y = $y) p FULL JOIN (SELECT * FROM b WHERE x < $x) q ON p.id = q.x",
    "SELECT p.id FROM b FULL JOIN (SELECT * FROM b WHERE b.x = $x) p ON p.id = b.x",
    "SELECT sum(x) + grouping(y) FROM b WHERE b.id >= $id GROUP BY ROLLUP (y)",
    "SELECT count(*) FROM b WHERE b.x = $x GROUP BY GROUPING SETS ((y), (x), ())",
    "SELECT b.id FROM b LEFT JOIN b c ON b.x = c.x AND c.id IN (SELECT d.x FROM b d WHERE d.y = $y) WHERE c.id IS NULL",
    "SELECT l.v FROM b, LATERAL (SELECT c.id AS v FROM b c WHERE c.x = b.x AND c.y = $y ORDER BY c.id LIMIT 1) l",
];

/// Contents of the tables; each tries a part of the subqueries.
const SEEDS: u64 = 3;

#[test]
fn correlated_subqueries_mean_what_they_mean_row_by_row() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let db = Database::in_memory().unwrap();
        for table in ["a", "b"] {
            db.execute(&format!("CREATE TABLE {table} (id BIGINT PRIMARY KEY, x BIGINT, y TEXT)")).unwrap();
            // Now and then there is nothing on one side.
            let count = if random.percent(15) { 0 } else { random.between(2, 7) };
            for id in 0..count {
                let x = *random.pick(&["0", "1", "2", "3", "NULL"]);
                let y = *random.pick(&["'p'", "'q'", "NULL"]);
                db.execute(&format!("INSERT INTO {table} VALUES ({id}, {x}, {y})")).unwrap();
            }
        }
        let outer = cells(&db, "SELECT id, x, y FROM a");
        for (at, subquery) in SUBQUERIES.iter().enumerate() {
            if at as u64 % 3 == seed % 3 {
                check(&db, &outer, subquery, &mut random);
            }
        }
    }
}

fn check(db: &Database, outer: &[Vec<Option<String>>], subquery: &str, random: &mut Random) {
    let correlated = subquery.replace("$id", "a.id").replace("$x", "a.x").replace("$y", "a.y");
    let mut values: BTreeMap<&str, Vec<Option<i64>>> = BTreeMap::new();
    for row in outer {
        let [id, x, y] = row.as_slice() else { panic!("{row:?}") };
        let number = |value: &Option<String>| match value {
            Some(value) => format!("CAST({value} AS BIGINT)"),
            None => "CAST(NULL AS BIGINT)".into(),
        };
        let y = y.as_ref().map_or("CAST(NULL AS TEXT)".into(), |y| format!("'{y}'"));
        let own = subquery.replace("$id", &number(id)).replace("$x", &number(x)).replace("$y", &y);
        let found = cells(db, &own).into_iter().map(|row| row[0].as_ref().map(|v| v.parse().unwrap()));
        values.insert(id.as_deref().unwrap(), found.collect());
    }
    let number = |value: &Option<String>| value.as_ref().map(|value| value.parse::<i64>().unwrap());
    type Meaning = fn(Option<i64>, &[Option<i64>]) -> Option<bool>;
    let forms: [(&str, Meaning); 7] = [
        ("EXISTS (Q)", |_, rows| Some(!rows.is_empty())),
        ("NOT EXISTS (Q)", |_, rows| Some(rows.is_empty())),
        ("a.x IN (Q)", |x, rows| any(x, rows, |a, b| a == b)),
        ("a.x NOT IN (Q)", |x, rows| any(x, rows, |a, b| a == b).map(|found| !found)),
        ("a.x < ANY (Q)", |x, rows| any(x, rows, |a, b| a < b)),
        ("a.x >= ALL (Q)", |x, rows| any(x, rows, |a, b| a < b).map(|found| !found)),
        ("a.x <> ALL (Q)", |x, rows| any(x, rows, |a, b| a == b).map(|found| !found)),
    ];
    for (form, meaning) in forms {
        if random.percent(50) {
            continue;
        }
        let condition = form.replace('Q', &correlated);
        let expected = |keep: &dyn Fn(Option<bool>) -> Option<String>| -> Vec<String> {
            let line = |row: &Vec<Option<String>>| {
                keep(meaning(number(&row[1]), &values[row[0].as_deref().unwrap()]))
                    .map(|shown| format!("{}{shown}", row[0].as_deref().unwrap()))
            };
            let mut lines: Vec<String> = outer.iter().filter_map(line).collect();
            lines.sort();
            lines
        };
        let is_true = |value: Option<bool>| (value == Some(true)).then(String::new);
        let is_false = |value: Option<bool>| (value == Some(false)).then(String::new);
        let shown = |value: Option<bool>| Some(value.map_or(" NULL".to_string(), |value| format!(" {value}")));
        match random.below(4) {
            0 => compare(db, &format!("SELECT a.id FROM a WHERE {condition}"), expected(&is_true)),
            1 => compare(db, &format!("SELECT a.id FROM a WHERE NOT ({condition})"), expected(&is_false)),
            2 => compare(db, &format!("SELECT a.id FROM a WHERE {condition} OR a.id < 0"), expected(&is_true)),
            _ => compare(db, &format!("SELECT a.id, {condition} AS c FROM a"), expected(&shown)),
        }
    }
    let mut single = Vec::new();
    let mut lateral = Vec::new();
    for (id, rows) in &values {
        let shown = |value: &Option<i64>| value.map_or("NULL".to_string(), |value| value.to_string());
        single.push(format!("{id} {}", rows.first().map_or("NULL".into(), shown)));
        lateral.extend(rows.iter().map(|value| format!("{id} {}", shown(value))));
    }
    single.sort();
    lateral.sort();
    let sql = format!("SELECT a.id, ({correlated}) AS v FROM a");
    match values.values().any(|rows| rows.len() > 1) {
        false => compare(db, &sql, single),
        true => {
            let error = db.query(&sql).expect_err(&sql).to_string();
            assert!(error.contains("more than one row"), "{sql}: {error}");
        }
    }
    let sql = format!("SELECT a.id, l.v FROM a CROSS JOIN LATERAL ({correlated}) AS l(v)");
    compare(db, &sql, lateral.clone());
    let none = values.iter().filter(|(_, rows)| rows.is_empty()).map(|(id, _)| format!("{id} NULL"));
    lateral.extend(none);
    lateral.sort();
    let sql = format!("SELECT a.id, l.v FROM a LEFT JOIN LATERAL ({correlated}) AS l(v) ON true");
    compare(db, &sql, lateral);
}

/// Whether a comparison with any of the rows holds, as SQL has it.
fn any(x: Option<i64>, rows: &[Option<i64>], holds: impl Fn(i64, i64) -> bool) -> Option<bool> {
    let found = rows.iter().any(|row| matches!((x, row), (Some(x), Some(row)) if holds(x, *row)));
    let unknown = !rows.is_empty() && (x.is_none() || rows.iter().any(Option::is_none));
    if found {
        Some(true)
    } else if unknown {
        None
    } else {
        Some(false)
    }
}

/// The query gives these rows, and so does a view of it.
fn compare(db: &Database, sql: &str, expected: Vec<String>) {
    let lines = |rows: Vec<Vec<Option<String>>>| {
        let line = |row: Vec<Option<String>>| row.into_iter().map(|v| v.unwrap_or("NULL".into())).collect::<Vec<_>>();
        let mut lines: Vec<String> = rows.into_iter().map(|row| line(row).join(" ")).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(cells(db, sql)), expected, "{sql}");
    db.execute(&format!("CREATE OR REPLACE MATERIALIZED VIEW v AS {sql}")).unwrap_or_else(|e| panic!("{sql}: {e}"));
    assert_eq!(lines(cells(db, "SELECT * FROM v")), expected, "view {sql}");
}

fn cells(db: &Database, sql: &str) -> Vec<Vec<Option<String>>> {
    let Rows { batches, .. } = db.query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            rows.push(
                batch
                    .columns()
                    .iter()
                    .map(|column| {
                        let value = array_value_to_string(column, row);
                        (!column.is_null(row)).then(|| value.unwrap())
                    })
                    .collect(),
            );
        }
    }
    rows
}
