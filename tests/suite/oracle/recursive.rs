//! Random recursive queries: over edges among few nodes, so that there are circles, and rows of many derivations.

use super::query::{Queries, Query};
use super::value::Kind;

impl Queries<'_> {
    /// A recursive query that ends. Its columns are two numbers and perhaps something else.
    pub fn recursive(&mut self, depth: usize) -> Query {
        let name = self.name();
        let (sql, kinds) = match self.random.below(if self.fallible { 2 } else { 10 }) {
            0 => self.series(&name, depth),
            1 => self.quotients(&name, depth),
            2..5 => self.reach(&name, depth),
            5 => self.paths(&name, depth),
            6 => self.labelled(&name, depth),
            7 => self.guarded_by_others(&name, depth),
            8 => self.grouped_by_round(&name, depth),
            _ => self.reach_within_reach(&name, depth),
        };
        let columns: Vec<String> = (0..kinds.len()).map(|at| format!("c{at}")).collect();
        let condition = *self.random.pick(&["", "", " WHERE c0 <> c1", " WHERE c1 > 0"]);
        let sql = format!("WITH RECURSIVE {name} AS ({sql}) SELECT {} FROM {name}{condition}", columns.join(", "));
        Query { sql, kinds }
    }

    /// Edges between few nodes, under `name`, with columns `a` and `b`.
    fn edges(&mut self, name: &str, depth: usize) -> String {
        let from = self.one(depth);
        let nodes = self.random.between(3, 7);
        let mut node = || {
            let number = self.expressions(&from.columns).of(Kind::Int, 0);
            format!("CAST({number} AS BIGINT) % {nodes}")
        };
        let (a, b) = (node(), node());
        let condition = self.condition(&from.columns, 20);
        format!("(SELECT {a} AS a, {b} AS b FROM {}{condition}) AS {name}", from.sql)
    }

    fn series(&mut self, name: &str, depth: usize) -> (String, Vec<Kind>) {
        let from = self.one(depth);
        let start = self.expressions(&from.columns).of(Kind::Int, 0);
        let union = *self.random.pick(&["UNION", "UNION ALL"]);
        let sql = format!(
            "SELECT CAST({start} AS BIGINT) % 5 AS c0, 1 AS c1 FROM {} \
             {union} SELECT c0 + 1 AS c0, c1 + 1 AS c1 FROM {name} WHERE c1 < 4",
            from.sql
        );
        (sql, vec![Kind::Int, Kind::Int])
    }

    /// Where expressions may fail, one that does in some round.
    fn quotients(&mut self, name: &str, depth: usize) -> (String, Vec<Kind>) {
        let from = self.one(depth);
        let start = self.expressions(&from.columns).of(Kind::Int, 0);
        let divisor = if self.fallible { "c1" } else { "7" };
        let sql = format!(
            "SELECT 100 AS c0, CAST({start} AS BIGINT) % 4 AS c1 FROM {} \
             UNION SELECT c0 / {divisor} AS c0, c1 - 1 AS c1 FROM {name} WHERE c1 > -2",
            from.sql
        );
        (sql, vec![Kind::Int, Kind::Int])
    }

    fn reach(&mut self, name: &str, depth: usize) -> (String, Vec<Kind>) {
        let (base, step) = (self.edges("base", depth), self.edges("e", depth));
        let start = *self.random.pick(&["base.a", "0", "base.b"]);
        let condition = *self.random.pick(&["", " WHERE e.b <> 2", " AND e.a <> w.c0"]);
        let sql = format!(
            "SELECT {start} AS c0, base.b AS c1 FROM {base} \
             UNION SELECT w.c0, e.b FROM {name} AS w JOIN {step} ON w.c1 = e.a{condition}"
        );
        (sql, vec![Kind::Int, Kind::Int])
    }

    fn paths(&mut self, name: &str, depth: usize) -> (String, Vec<Kind>) {
        let (base, step) = (self.edges("base", depth), self.edges("e", depth));
        let sql = format!(
            "SELECT base.b AS c0, 1 AS c1, CAST(base.b AS TEXT) AS c2 FROM {base} WHERE base.a = 1 \
             UNION ALL SELECT e.b, w.c1 + 1, w.c2 || CAST(e.b AS TEXT) \
             FROM {step} JOIN {name} AS w ON w.c0 = e.a WHERE w.c1 < 3"
        );
        (sql, vec![Kind::Int, Kind::Int, Kind::Text])
    }

    /// Rows that carry a value of any type.
    fn labelled(&mut self, name: &str, depth: usize) -> (String, Vec<Kind>) {
        let (from, step) = (self.one(depth), self.edges("e", depth));
        let number = self.expressions(&from.columns).of(Kind::Int, 0);
        let (label, kind) = self.expressions(&from.columns).any(1);
        let sql = format!(
            "SELECT CAST({number} AS BIGINT) % 4 AS c0, 0 AS c1, {label} AS c2 FROM {} \
             UNION SELECT e.b, e.a, w.c2 FROM {name} AS w JOIN {step} ON w.c0 = e.a",
            from.sql
        );
        (sql, vec![Kind::Int, Kind::Int, kind])
    }

    /// A step that asks whether there is something else, or takes it where there is.
    fn guarded_by_others(&mut self, name: &str, depth: usize) -> (String, Vec<Kind>) {
        let (base, step, other) = (self.edges("base", depth), self.edges("e", depth), self.edges("o", 0));
        let step = match self.random.below(5) {
            0 => format!("SELECT w.c1, coalesce(e.b, 1) FROM {name} AS w LEFT JOIN {step} ON w.c1 = e.a"),
            1 => format!("SELECT w.c1, coalesce(e.b, 1) FROM {step} RIGHT JOIN {name} AS w ON w.c1 = e.a"),
            2 => format!(
                "SELECT w.c0, e.b FROM {name} AS w JOIN {step} ON w.c1 = e.a WHERE w.c1 IN (SELECT o.b FROM {other})"
            ),
            3 => format!(
                "SELECT w.c0, e.b FROM {name} AS w JOIN {step} ON w.c1 = e.a \
                 WHERE NOT EXISTS (SELECT 1 FROM {other} WHERE o.a = w.c0)"
            ),
            _ => format!("SELECT DISTINCT w.c0, e.b FROM {name} AS w CROSS JOIN {step} WHERE w.c1 < e.a"),
        };
        (format!("SELECT base.a AS c0, base.b AS c1 FROM {base} UNION {step}"), vec![Kind::Int, Kind::Int])
    }

    /// A step that takes the rows of a round together.
    fn grouped_by_round(&mut self, name: &str, depth: usize) -> (String, Vec<Kind>) {
        let (base, step) = (self.edges("base", depth), self.edges("e", depth));
        let step = match self.random.below(4) {
            0 => format!("SELECT w.c0, max(e.b) FROM {name} AS w JOIN {step} ON w.c1 = e.a GROUP BY w.c0"),
            1 => format!("SELECT e.b, count(*) % 3 FROM {name} AS w JOIN {step} ON w.c1 = e.a GROUP BY e.b"),
            2 => format!("SELECT max(e.b), 1 FROM {name} AS w JOIN {step} ON w.c1 = e.a"),
            _ => format!(
                "SELECT c0, c1 FROM (SELECT e.b AS c0, row_number() OVER (PARTITION BY w.c0 ORDER BY e.b) % 3 AS c1 \
                 FROM {name} AS w JOIN {step} ON w.c1 = e.a) AS numbered"
            ),
        };
        (format!("SELECT base.a AS c0, base.b AS c1 FROM {base} UNION {step}"), vec![Kind::Int, Kind::Int])
    }

    /// A recursion over another.
    fn reach_within_reach(&mut self, name: &str, depth: usize) -> (String, Vec<Kind>) {
        let (base, inner) = (self.edges("base", depth), self.name());
        let (reach, _) = self.reach(&inner, depth);
        let union = *self.random.pick(&["UNION", "UNION ALL"]);
        let sql = format!(
            "SELECT base.a AS c0, 1 AS c1 FROM {base} {union} SELECT e.c1, w.c1 + 1 FROM {name} AS w \
             JOIN (WITH RECURSIVE {inner} AS ({reach}) SELECT c0, c1 FROM {inner}) AS e ON w.c0 = e.c0 WHERE w.c1 < 3"
        );
        (sql, vec![Kind::Int, Kind::Int])
    }
}
