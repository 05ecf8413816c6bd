//! Constructs that are rewritten before they are planned, against queries that do without them.
//!
//! The rewrites take part in views and in batch alike, so a wrong one shows only beside a query that says the same in other
//! words: USING and NATURAL beside ON with COALESCE, windows that add to a named one beside windows written in full,
//! grouping by several columns at once beside a UNION ALL of groupings.

use millstream::Database;

use super::bag::{bag, difference};
use super::random::Random;

const CASES: u64 = 40;

/// A table, its columns, and what its rows look like.
const TABLES: [(&str, [&str; 3]); 3] = [("a", ["n1", "id", "x"]), ("b", ["n2", "id", "x"]), ("c", ["n3", "id", "z"])];

/// Columns as they can be named without a table, each with what it stands for.
type Columns = Vec<(String, String)>;

#[test]
fn merged_columns_are_what_they_stand_for() {
    compare(joins);
}

#[test]
fn windows_that_add_to_a_named_one_are_what_both_say() {
    compare(windows);
}

#[test]
fn sets_of_columns_are_the_sets_that_they_stand_for() {
    compare(sets);
}

/// Makes a view of the one and runs both, over changing rows.
fn compare(pair: fn(&mut Random) -> (String, String)) {
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let database = Database::in_memory().unwrap();
        let run = |sql: &str| {
            database.execute(sql).unwrap_or_else(|error| panic!("seed {seed}: {sql}: {error}"));
        };
        for (table, [key, second, third]) in TABLES {
            run(&format!("CREATE TABLE {table} ({key} INT PRIMARY KEY, {second} INT, {third} INT)"));
        }
        let (with, without) = pair(&mut random);
        run(&format!("CREATE MATERIALIZED VIEW v AS {with}"));
        for _ in 0..3 {
            for (table, [key, ..]) in TABLES {
                run(&format!("DELETE FROM {table} WHERE {key} = {}", random.below(6)));
                let mut value = || random.pick(&["NULL", "0", "1", "2", "3"]).to_string();
                let (second, third) = (value(), value());
                run(&format!(
                    "INSERT INTO {table} VALUES ({}, {second}, {third}) ON CONFLICT DO NOTHING",
                    random.below(6)
                ));
                run(&format!(
                    "INSERT INTO {table} VALUES ({}, {third}, {second}) ON CONFLICT DO NOTHING",
                    random.below(6)
                ));
            }
            let rows = |sql: &str| {
                let rows = database.query(sql).unwrap_or_else(|error| panic!("seed {seed}: {sql}: {error}"));
                bag(&rows.batches)
            };
            let expected = rows(&without);
            for sql in [with.as_str(), "SELECT * FROM v"] {
                let got = rows(sql);
                assert!(expected == got, "seed {seed}: {with}\nbeside {without}\n{}", difference(&expected, &got));
            }
        }
    }
}

fn joins(random: &mut Random) -> (String, String) {
    let table = |random: &mut Random, at: usize| {
        let (name, columns) = TABLES[random.below(TABLES.len())];
        let columns: Columns = columns.iter().map(|column| (column.to_string(), format!("s{at}.{column}"))).collect();
        (format!("{name} AS s{at}"), columns)
    };
    let (first, mut columns) = table(random, 1);
    let (mut with, mut without) = (first.clone(), first);
    let mut of_sides = columns.clone();
    for at in 2..=random.between(2, 4) {
        let (second, other) = table(random, at);
        let common: Vec<String> = columns
            .iter()
            .map(|(name, _)| name.clone())
            .filter(|name| other.iter().any(|(other, _)| other == name))
            .collect();
        let is_one = |name: &String| columns.iter().filter(|(other, _)| other == name).count() == 1;
        let join = *random.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let names: Vec<String> = if common.iter().all(is_one) && random.percent(40) {
            with = format!("{with} NATURAL {join} {second}");
            common
        } else {
            let mut names: Vec<String> = common.into_iter().filter(is_one).collect();
            if names.len() > 1 && random.percent(50) {
                names.swap(0, 1);
            }
            names.truncate(random.between(1, 2));
            if names.is_empty() {
                continue;
            }
            with = format!("{with} {join} {second} USING ({})", names.join(", "));
            names
        };
        let value = |columns: &Columns, name: &String| {
            columns.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone()).unwrap()
        };
        let (mut on, mut merged) = (vec!["true".to_string()], Columns::new());
        for name in &names {
            let (l, r) = (value(&columns, name), value(&other, name));
            on.push(format!("{l} = {r}"));
            merged.push((name.clone(), format!("COALESCE({l}, {r})")));
        }
        without = format!("{without} {join} {second} ON {}", on.join(" AND "));
        of_sides.extend(other.clone());
        columns.extend(other);
        columns.retain(|(name, _)| !names.contains(name));
        columns.splice(0..0, merged);
    }
    let named: Columns = columns
        .iter()
        .filter(|(name, _)| columns.iter().filter(|(other, _)| other == name).count() == 1)
        .cloned()
        .collect();
    let (name, value) = random.pick(&named).clone();
    let side = random.pick(&of_sides).1.clone();
    let both = |format: &dyn Fn(&str, &str) -> String| (format(&name, &with), format(&value, &without));
    match random.below(6) {
        // A view's columns have one name each.
        0 if named.len() == columns.len() => {
            let list: Vec<String> = columns.iter().map(|(name, value)| format!("{value} AS {name}")).collect();
            (format!("SELECT * FROM {with}"), format!("SELECT {} FROM {without}", list.join(", ")))
        }
        1 => both(&|it, from| format!("SELECT {it} AS c0, {side} AS c1 FROM {from} WHERE {it} + 1 > 1")),
        2 => both(&|it, from| format!("SELECT {it} AS c0, count(*) AS c1, max({it}) AS c2 FROM {from} GROUP BY {it}")),
        3 => both(&|it, from| {
            format!("SELECT {it} AS c0, sum({side}) OVER (PARTITION BY {it}) AS c1 FROM {from} WHERE {it} IS NOT NULL")
        }),
        4 => both(&|it, from| format!("SELECT c0 FROM (SELECT DISTINCT {it} AS c0 FROM {from}) AS q WHERE c0 > 0")),
        _ => both(&|it, from| {
            format!(
                "SELECT {it} AS c0 FROM {from} WHERE EXISTS (SELECT 1 FROM (SELECT n3 + 1 AS m FROM c) AS q WHERE m = {it})"
            )
        }),
    }
}

fn windows(random: &mut Random) -> (String, String) {
    let partition = *random.pick(&["", "PARTITION BY id", "PARTITION BY id, x"]);
    let order = *random.pick(&["ORDER BY n1", "ORDER BY x DESC, n1"]);
    let frame = *random.pick(&["", "ROWS UNBOUNDED PRECEDING", "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING"]);
    let (named, used) = match random.below(4) {
        0 => (format!("w AS ({partition})"), format!("(w {order} {frame})")),
        1 => (format!("w AS ({partition} {order})"), format!("(w {frame})")),
        2 => (format!("w AS ({partition}), W2 AS (w {order})"), format!("(w2 {frame})")),
        _ => (format!("w AS ({partition}), w2 AS (w {order} {frame})"), "w2".to_string()),
    };
    let call = *random.pick(&["sum(x)", "count(*)", "last_value(n1)", "min(id)"]);
    (
        format!("SELECT n1, {call} OVER {used} AS c1 FROM a WINDOW {named}"),
        format!("SELECT n1, {call} OVER ({partition} {order} {frame}) AS c1 FROM a"),
    )
}

fn sets(random: &mut Random) -> (String, String) {
    let part = |random: &mut Random| random.pick(&[&["n1"][..], &["id"], &["x"], &["id", "x"], &["n1", "x"]]).to_vec();
    let parts: Vec<Vec<&str>> = (0..random.between(1, 3)).map(|_| part(random)).collect();
    let text: Vec<String> = parts.iter().map(|part| format!("({})", part.join(", "))).collect();
    let all = text.join(", ");
    let alone = part(random);
    let by_cube: Vec<Vec<&str>> = (0..1 << parts.len())
        .map(|bits: usize| {
            parts.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).flat_map(|(_, part)| part.clone()).collect()
        })
        .collect();
    let by_rollup: Vec<Vec<&str>> = (0..=parts.len()).map(|count| parts[..count].concat()).collect();
    let (group_by, sets) = match random.below(4) {
        0 => (format!("CUBE ({all})"), by_cube),
        1 => (format!("ROLLUP ({all})"), by_rollup),
        2 => (format!("GROUPING SETS (({}), CUBE ({all}))", alone.join(", ")), [vec![alone], by_cube].concat()),
        _ => (format!("GROUPING SETS (ROLLUP ({all}), ({}))", alone.join(", ")), [by_rollup, vec![alone]].concat()),
    };
    let columns = ["n1", "id", "x"];
    let used: Vec<&str> =
        columns.into_iter().filter(|column| sets.iter().flatten().any(|other| other == column)).collect();
    let one =
        |set: &Vec<&str>| {
            let list: Vec<String> =
                used.iter()
                    .map(|column| {
                        if set.contains(column) { column.to_string() } else { format!("CAST(NULL AS INT) AS {column}") }
                    })
                    .collect();
            let mut keys = set.clone();
            keys.sort_unstable();
            keys.dedup();
            // Grouping by nothing is one group, also of no rows.
            let keys = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
            format!("SELECT {}, count(*) AS n FROM a{keys}", list.join(", "))
        };
    let without: Vec<String> = sets.iter().map(one).collect();
    (format!("SELECT {}, count(*) AS n FROM a GROUP BY {group_by}", used.join(", ")), without.join(" UNION ALL "))
}
