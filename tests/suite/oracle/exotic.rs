//! Random queries of what has no incremental operator yet.

use super::query::{Queries, Query};
use super::value::Kind;

impl Queries<'_> {
    /// A recursive query with a step that has no incremental form: which rows a round brings is not decided row by row.
    pub fn exotic_query(&mut self, depth: usize) -> Query {
        let from = self.one(depth.saturating_sub(1));
        let start = self.expressions(&from.columns).of(Kind::Int, 1);
        let (rows, limit, rounds) = (self.name(), self.limit(), self.random.between(1, 3));
        let step = match self.random.below(3) {
            0 => format!("SELECT max(n) + 1, min(k) FROM {rows} WHERE n < {rounds} HAVING count(*) > 0"),
            1 => format!("SELECT n + 1, k FROM (SELECT * FROM {rows} WHERE n < {rounds} ORDER BY k {limit}) AS few"),
            _ => {
                let other = self.one(0);
                let key = self.expressions(&other.columns).of(Kind::Int, 0);
                let found = format!("(SELECT * FROM {rows} WHERE n < {rounds} ORDER BY k DESC {limit}) AS few");
                format!("SELECT few.n + 1, few.k FROM {found} JOIN {} ON few.k = {key}", other.sql)
            }
        };
        let union = *self.random.pick(&["UNION", "UNION ALL"]);
        let with = format!("WITH RECURSIVE {rows} AS (SELECT 0 AS n, {start} AS k FROM {} {union} {step})", from.sql);
        let (list, kinds) = match self.random.percent(30) {
            true => {
                (format!("n AS c0, count(*) AS c1, sum(k % 1000) AS c2 FROM {rows} GROUP BY n"), vec![Kind::Int; 3])
            }
            false => (format!("n AS c0, k AS c1 FROM {rows}"), vec![Kind::Int; 2]),
        };
        Query { sql: format!("{with} SELECT {list}"), kinds }
    }
}
