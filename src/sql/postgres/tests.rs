//! What the rewrites of this folder make of a text.

use super::*;
use crate::sql::parse::{parse_expression, parse_query};

fn rewritten(text: &str) -> String {
    let mut expr = parse_expression(text).unwrap();
    rewrite(&mut expr).map_or_else(|error| format!("error: {error}"), |()| expr.to_string())
}

#[test]
fn expressions_in_words_of_the_batch_engine() {
    for (text, expected) in [
        ("a SIMILAR TO '(x|y)%_.'", r"(a) ~ '^(?s:(x|y).*.\.)$'"),
        ("a NOT SIMILAR TO 'x!%' ESCAPE '!'", "(a) !~ '^(?s:x%)$'"),
        (r"a LIKE '5!%\' ESCAPE '!'", r"a LIKE '5\%\\'"),
        ("x::varchar(3)", "left(x::TEXT, 3)"),
        ("x::varchar", "x::VARCHAR"),
        (r"'\x00fF'::bytea", "X'00fF'"),
        ("'{1, NULL,3}'::int[]", "ARRAY['1', NULL, '3']::INT[]"),
        ("to_char(t, 'YYYY-MM-DD HH24:MI')", "to_char(t, '%Y-%m-%d %H:%M')"),
        ("to_char(t, '%Y')", "to_char(t, '%Y')"),
        ("mod(a + 1, b)", "((a + 1) % (b))"),
        ("ceiling(x)", "ceil(x)"),
        ("localtimestamp", "CAST(now() AS TIMESTAMP)"),
    ] {
        assert_eq!(rewritten(text), expected, "{text}");
    }
    for text in ["a ^ 2", "a SIMILAR TO b", "to_char(t, f)", r"'\xf'::bytea", "to_char(t, 'Month')"] {
        assert!(rewritten(text).starts_with("error: "), "{text}: {}", rewritten(text));
    }
}

#[test]
fn queries_in_words_of_the_batch_engine() {
    let rewritten = |text: &str| {
        let mut query = parse_query(text).unwrap();
        rewrite(&mut query).unwrap();
        query.to_string()
    };
    assert_eq!(rewritten("SELECT a FROM t FETCH FIRST ROW ONLY"), "SELECT a FROM t LIMIT 1");
    assert_eq!(
        rewritten("SELECT a FROM t OFFSET 2 ROWS FETCH NEXT 3 ROWS ONLY"),
        "SELECT a FROM t LIMIT 3 OFFSET 2 ROWS"
    );
    assert_eq!(
        rewritten("SELECT generate_series(1, 2) UNION SELECT g FROM generate_series(1, 2) AS g"),
        "SELECT unnest(generate_series(1, 2)) UNION SELECT g FROM generate_series(1, 2) AS g (g)"
    );
}
