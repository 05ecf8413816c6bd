//! Random queries over two streams `a` and `b` and a table `t`, each with what it takes for a row to change no more.

use super::model::{Stream, moment};
use super::{nearest, windows};
use crate::oracle::random::Random;

/// A query, and the condition on its rows under which they change no more: `{Wa}` and `{Wb}` are the watermarks.
#[derive(Debug, Clone)]
pub struct Query {
    pub sql: String,
    pub closed: Option<Closed>,
    /// The same in other words, for the batch.
    pub written_out: Option<String>,
}

/// When rows change no more.
#[derive(Debug, Clone)]
pub struct Closed {
    pub condition: String,
    /// The column that the rows come in the order of.
    pub column: &'static str,
    /// A moment that the column comes to when the rows close.
    pub bound: String,
}

/// When a view shows its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    Changes,
    OnClose,
    /// Seconds.
    Retained(i64),
}

/// A view.
#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    pub query: Query,
    pub emit: Emit,
    /// What it is in batch, over streams without watermarks; `{Wa}` and `{Wb}` are the watermarks.
    pub expected: String,
}

const SIZES: [i64; 4] = [7, 10, 30, 60];

impl View {
    pub fn random(random: &mut Random, number: usize, others: &[View]) -> View {
        let (query, below) = Query::random(random, others);
        let emit = match (&query.closed, random.below(4)) {
            (None, _) | (_, 0) => Emit::Changes,
            (_, 1) => Emit::Retained(random.below(90) as i64),
            _ => Emit::OnClose,
        };
        let batch = match below {
            Some(view) => query.sql.replace(&view.name, &format!("({})", view.expected)),
            None => query.written_out.clone().unwrap_or_else(|| query.sql.clone()),
        };
        let expected = match (emit, &query.closed) {
            (Emit::OnClose, Some(closed)) => format!("SELECT * FROM ({batch}) AS q WHERE {}", closed.condition),
            (Emit::Retained(seconds), Some(Closed { column, bound, .. })) => format!(
                "SELECT * FROM ({batch}) AS q WHERE ({column} < {bound} - INTERVAL '{seconds} seconds') IS NOT TRUE"
            ),
            _ => batch,
        };
        View { name: format!("view{number}"), query, emit, expected }
    }

    pub fn create(&self) -> String {
        let View { name, query: Query { sql, .. }, emit, .. } = self;
        match emit {
            Emit::Changes => format!("CREATE MATERIALIZED VIEW {name} AS {sql}"),
            Emit::OnClose => format!("CREATE MATERIALIZED VIEW {name} AS {sql} EMIT ON WINDOW CLOSE"),
            Emit::Retained(seconds) => {
                format!("CREATE MATERIALIZED VIEW {name} WITH (retention = '{seconds} seconds') AS {sql}")
            }
        }
    }

    /// The batch query at a moment.
    pub fn batch(&self, a: &Stream, b: &Stream) -> String {
        self.expected.replace("{Wa}", &moment(a.bound())).replace("{Wb}", &moment(b.bound()))
    }
}

fn bin(size: i64, column: &str) -> String {
    format!("date_bin(INTERVAL '{size} seconds', {column})")
}

pub fn until(condition: String, column: &'static str, bound: String) -> Option<Closed> {
    Some(Closed { condition, column, bound })
}

/// Rows of windows that are over.
fn window(size: i64, watermark: &str) -> Option<Closed> {
    until(format!("w + INTERVAL '{size} seconds' <= {watermark}"), "w", bin(size, watermark))
}

pub const BOTH: &str = "least({Wa}, {Wb})";

impl Query {
    /// A query, and the view that it reads if it reads one.
    fn random<'a>(random: &mut Random, others: &'a [View]) -> (Query, Option<&'a View>) {
        let kinds = if others.is_empty() { 16 } else { 18 };
        let (s, w) = *random.pick(&[("a", "{Wa}"), ("b", "{Wb}")]);
        let size = *random.pick(&SIZES);
        let query = match random.below(kinds) {
            0 | 1 => Query::windowed(random, s, w, size),
            2 => Query::distinct(random, s, w, size),
            3 => Query::united(random, size),
            4 => Query::window_join(random, size),
            5 | 6 => Query::interval_join(random),
            7 => Query::exists(random),
            8 => Query::top(random, s, w, size),
            9 => Query::unbounded(random, size),
            10 | 11 => Query::matches(random, s, w, size),
            12 | 13 => windows::query(random, s, w),
            14 | 15 => nearest::query(random),
            _ => {
                let below = random.pick(others);
                return match Query::over(random, below) {
                    Some(query) => (query, Some(below)),
                    None => (Query::windowed(random, s, w, size), None),
                };
            }
        };
        (query, None)
    }

    fn windowed(random: &mut Random, s: &str, w: &str, size: i64) -> Query {
        let aggregates = *random.pick(&[
            "count(*) AS n, sum(x) AS v",
            "min(x) AS n, max(x) AS v",
            "count(DISTINCT x) AS n, avg(x) AS v",
            "median(x) AS n, array_agg(x ORDER BY x) AS v",
        ]);
        let filter = if random.percent(30) { " WHERE x <> 2" } else { "" };
        let (key, group) = *random.pick(&[("", ""), (", k", ", k"), (", k, ts", ", k, ts")]);
        let (bin, length) = match random.percent(15) {
            true => ("date_trunc('minute', ts)".to_string(), "1 minute".to_string()),
            false => (bin(size, "ts"), format!("{size} seconds")),
        };
        let end = if random.percent(30) { format!(", {bin} + INTERVAL '{length}' AS e") } else { String::new() };
        let by_end = if end.is_empty() { "" } else { ", e" };
        let sql = format!("SELECT {bin} AS w{end}{key}, {aggregates} FROM {s}{filter} GROUP BY w{by_end}{group}");
        // By the event time itself rows are over before their window is.
        let closed = match key.contains("ts") {
            true => until(format!("w + INTERVAL '{length}' <= {w} OR ts < {w}"), "w", bin_of(&bin, w)),
            false => until(format!("w + INTERVAL '{length}' <= {w}"), "w", bin_of(&bin, w)),
        };
        Query { sql, closed, written_out: None }
    }

    fn matches(random: &mut Random, s: &str, w: &str, size: i64) -> Query {
        let (pattern, defined) = *random.pick(&[
            ("a b* c", "b AS x >= LAST(x, 1), c AS x < FIRST(x)"),
            ("a b+", "b AS x > PREV(x)"),
            ("a+ b", "a AS x < 4, b AS x > avg(a.x)"),
            ("a? b{2}", "a AS x > PREV(x), b AS sum(x) < 9"),
            ("a (b | c)+? d", "b AS x < 2, c AS x > 3, d AS count(b.*) > 0"),
            ("^? a b", "b AS x <> a.x"),
            ("a b $", "b AS x <> a.x"),
            ("a b", "b AS NEXT(x) > x"),
        ]);
        let skip = *random.pick(&["PAST LAST ROW", "TO NEXT ROW", "PAST LAST ROW"]);
        let number = if random.percent(20) { ", MATCH_NUMBER() AS m" } else { "" };
        let partition = if random.percent(70) { "PARTITION BY k " } else { "" };
        let bounded = random.percent(80);
        let within = if bounded { format!("WITHIN INTERVAL '{size} seconds' ") } else { String::new() };
        let sql = format!(
            "SELECT * FROM {s} MATCH_RECOGNIZE ({partition}ORDER BY ts, x MEASURES FIRST(ts) AS w, LAST(x) AS x, \
             count(*) AS n, sum(a.x) AS v{number} AFTER MATCH SKIP {skip} PATTERN ({pattern}) {within}DEFINE {defined}) AS q"
        );
        let closed = match bounded && !pattern.contains('$') && !defined.contains("NEXT") {
            true => {
                until(format!("w < {w} - INTERVAL '{size} seconds'"), "w", format!("({w} - INTERVAL '{size} seconds')"))
            }
            false => None,
        };
        Query { sql, closed, written_out: None }
    }

    fn distinct(random: &mut Random, s: &str, w: &str, size: i64) -> Query {
        match random.percent(50) {
            true => Query {
                sql: format!("SELECT DISTINCT {} AS w, k FROM {s}", bin(size, "ts")),
                closed: window(size, w),
                written_out: None,
            },
            false => Query {
                sql: format!("SELECT DISTINCT ts - INTERVAL '3 seconds' AS w, x FROM {s}"),
                closed: until(format!("w < {w} - INTERVAL '3 seconds'"), "w", format!("({w} - INTERVAL '3 seconds')")),
                written_out: None,
            },
        }
    }

    fn united(random: &mut Random, size: i64) -> Query {
        let union = if random.percent(50) { "UNION ALL" } else { "UNION" };
        Query {
            sql: format!(
                "SELECT {} AS w, count(*) AS n, sum(x) AS v \
                 FROM (SELECT ts, k, x FROM a {union} SELECT ts, k, x + 1 FROM b) AS u GROUP BY 1",
                bin(size, "ts")
            ),
            closed: window(size, BOTH),
            written_out: None,
        }
    }

    fn window_join(random: &mut Random, size: i64) -> Query {
        let side = |s: &str| format!("(SELECT {} AS w, k, count(*) AS n FROM {s} GROUP BY 1, 2)", bin(size, "ts"));
        let kind = *random.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
        let (select, closed) = match kind {
            // Rows of the right side alone are known by its column.
            "FULL JOIN" => {
                ("p.w, p.k, p.n, q.w AS w2, q.n AS m", format!("coalesce(w, w2) + INTERVAL '{size} seconds' <= {BOTH}"))
            }
            _ => ("p.w, p.k, p.n, q.n AS m", format!("w + INTERVAL '{size} seconds' <= {BOTH}")),
        };
        let sql =
            format!("SELECT {select} FROM {} AS p {kind} {} AS q ON p.w = q.w AND p.k = q.k", side("a"), side("b"));
        Query { sql, closed: until(closed, "w", bin(size, BOTH)), written_out: None }
    }

    fn interval_join(random: &mut Random) -> Query {
        let (before, after) = (random.below(20), random.below(20));
        let kind = *random.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let condition = match random.percent(50) {
            true => format!("a.ts BETWEEN b.ts - INTERVAL '{before} seconds' AND b.ts + INTERVAL '{after} seconds'"),
            false => {
                format!("b.ts <= a.ts + INTERVAL '{before} seconds' AND a.ts - INTERVAL '{after} seconds' <= b.ts")
            }
        };
        let more = if random.percent(30) { " AND a.x <= b.x" } else { "" };
        // Of a pair whose two sides are known, either is enough.
        let of_a = format!("least({{Wa}}, {{Wb}} - INTERVAL '{before} seconds')");
        let of_b = format!("least({{Wb}}, {{Wa}} - INTERVAL '{after} seconds')");
        Query {
            sql: format!(
                "SELECT a.ts AS w, a.k, a.x, b.ts AS u, b.x AS y FROM a {kind} b ON a.k = b.k AND {condition}{more}"
            ),
            closed: until(format!("w < {of_a} OR u < {of_b}"), "w", of_a),
            written_out: None,
        }
    }

    fn exists(random: &mut Random) -> Query {
        let (before, after) = (random.below(20), random.below(20));
        let not = if random.percent(50) { "NOT " } else { "" };
        let of_a = format!("least({{Wa}}, {{Wb}} - INTERVAL '{after} seconds')");
        Query {
            sql: format!(
                "SELECT ts AS w, k, x FROM a WHERE {not}EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.ts BETWEEN \
                 a.ts - INTERVAL '{before} seconds' AND a.ts + INTERVAL '{after} seconds')"
            ),
            closed: until(format!("w < {of_a}"), "w", of_a),
            written_out: None,
        }
    }

    fn top(random: &mut Random, s: &str, w: &str, size: i64) -> Query {
        let number = *random.pick(&["row_number()", "rank()", "sum(x)", "lag(x)"]);
        let order = if number == "rank()" { "x" } else { "x DESC, k, ts" };
        let rows = format!(
            "SELECT w, k, x, {number} OVER (PARTITION BY k, w ORDER BY {order}) AS r \
             FROM (SELECT {} AS w, k, x, ts FROM {s}) AS z",
            bin(size, "ts")
        );
        let filter = if number.contains('x') { "" } else { " WHERE r <= 2" };
        Query {
            sql: format!("SELECT w, k, x, r FROM ({rows}) AS y{filter}"),
            closed: window(size, w),
            written_out: None,
        }
    }

    /// What keeps its state for ever, and must be right all the same.
    fn unbounded(random: &mut Random, size: i64) -> Query {
        let sql = match random.below(4) {
            0 => "SELECT k, count(*) AS n, max(ts) AS m FROM a GROUP BY k".to_string(),
            1 => {
                format!("SELECT {} AS w, t.y, count(*) AS n FROM a JOIN t ON a.k = t.k GROUP BY 1, 2", bin(size, "ts"))
            }
            2 => format!("SELECT {} AS w, a.k, t.y FROM a LEFT JOIN t ON a.k = t.k AND a.x < t.y", bin(size, "ts")),
            _ => "SELECT a.k, a.x, b.x AS y FROM a JOIN b ON a.k = b.k AND a.ts > b.ts".to_string(),
        };
        Query { sql, closed: None, written_out: None }
    }

    /// A query over another view.
    fn over(random: &mut Random, below: &View) -> Option<Query> {
        // One that keeps rows for a while takes them back when it lets go of them.
        let Some(Closed { bound, .. }) =
            below.query.closed.as_ref().filter(|_| !matches!(below.emit, Emit::Retained(_)))
        else {
            return Some(Query {
                sql: format!("SELECT count(*) AS n FROM {} AS o", below.name),
                closed: None,
                written_out: None,
            });
        };
        let size = *random.pick(&SIZES);
        Some(Query {
            sql: format!("SELECT {} AS w, count(*) AS n FROM {} AS o GROUP BY 1", bin(size, "o.w"), below.name),
            closed: until(format!("w + INTERVAL '{size} seconds' <= {bound}"), "w", bin(size, bound)),
            written_out: None,
        })
    }
}

fn bin_of(bin: &str, watermark: &str) -> String {
    bin.replace("ts", watermark)
}
