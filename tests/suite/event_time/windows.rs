//! Queries over TUMBLE, HOP, CUMULATE and SESSION, and the same written out: each row joined with every window that there
//! is, and sessions as gaps and islands.

use super::queries::{Query, until};
use crate::oracle::random::Random;

/// How windows lie, in seconds.
#[derive(Debug, Clone, Copy)]
struct Windows {
    kind: &'static str,
    step: i64,
    size: i64,
    offset: i64,
}

impl Windows {
    fn random(random: &mut Random) -> Windows {
        let kind = *random.pick(&["TUMBLE", "HOP", "HOP", "CUMULATE"]);
        let step = *random.pick(&[3, 7, 10, 30]);
        let size = match kind {
            "TUMBLE" => step,
            "HOP" => *random.pick(&[2, 10, 14, 45]),
            _ => step * random.between(1, 5) as i64,
        };
        Windows { kind, step, size, offset: *random.pick(&[0, 0, 4, -9]) }
    }

    fn call(self, stream: &str) -> String {
        let Windows { kind, step, size, offset } = self;
        let of = |seconds| format!("INTERVAL '{seconds} seconds'");
        let lengths = match kind {
            "TUMBLE" => of(size),
            _ => format!("{}, {}", of(step), of(size)),
        };
        format!("{kind}(TABLE {stream}, DESCRIPTOR(ts), {lengths}, {})", of(offset))
    }

    fn written_out(self, stream: &str) -> String {
        let Windows { kind, step, size, offset } = self;
        let (apart, ends) = match kind {
            "CUMULATE" => (size, (1..=size / step).map(|n| n * step).collect()),
            _ => (step, vec![size]),
        };
        let first = format!(
            "date_bin(INTERVAL '{apart} seconds', TIMESTAMP '2026-01-01 00:00:00') + INTERVAL '{offset} seconds'"
        );
        let ends: Vec<String> = ends.iter().map(|end| format!("(INTERVAL '{end} seconds')")).collect();
        format!(
            "(SELECT r.*, g.w AS window_start, g.w + c.e AS window_end, g.w + c.e - INTERVAL '1 microsecond' AS window_time \
             FROM {stream} AS r JOIN generate_series({first}, {first} + INTERVAL '3000 seconds', INTERVAL '{apart} seconds') \
             AS g(w) ON r.ts >= g.w CROSS JOIN (VALUES {}) AS c(e) WHERE r.ts < g.w + c.e)",
            ends.join(", ")
        )
    }

    /// Where the windows begin, or end, that a moment is the first one of.
    fn bound(self, moment: &str) -> String {
        let Windows { kind, step, size, offset } = self;
        let (apart, earlier) = if kind == "HOP" { (step, size - step) } else { (size, 0) };
        format!(
            "(date_bin(INTERVAL '{apart} seconds', {moment} - INTERVAL '{earlier} seconds' - INTERVAL '{offset} seconds') \
             + INTERVAL '{offset} seconds')"
        )
    }
}

/// A query over the sessions of the stream `s` with the watermark `w`.
fn session(random: &mut Random, s: &str, w: &str) -> Query {
    let gap = format!("INTERVAL '{} seconds'", random.pick(&[1, 4, 9, 25]));
    let (partition, keys) = *random.pick(&[("", ""), ("PARTITION BY k", "k"), ("PARTITION BY k, x % 2", "k, x % 2")]);
    let call = format!("SESSION(TABLE {s} {partition}, DESCRIPTOR(ts), {gap})");
    let and = |more: &str| if keys.is_empty() { more.to_string() } else { format!("{keys}, {more}") };
    let written_out = format!(
        "(SELECT *, min(ts) OVER (PARTITION BY {0}) AS window_start, max(ts) OVER (PARTITION BY {0}) + {gap} AS window_end \
         FROM (SELECT *, sum(begins) OVER ({partition} ORDER BY ts ROWS UNBOUNDED PRECEDING) AS island FROM (SELECT *, \
         CASE WHEN ts < lag(ts) OVER ({partition} ORDER BY ts) + {gap} THEN 0 ELSE 1 END AS begins FROM {s}) AS a) AS b)",
        and("island")
    );
    let sql = match random.below(3) {
        0 => format!("SELECT window_end AS w, window_start AS s, k, x, ts FROM {call} AS q WHERE x <> 3"),
        1 => format!(
            "SELECT window_end AS w, {} count(*) AS n, sum(x) AS v FROM {call} AS q GROUP BY {}",
            if keys == "k" { "k," } else { "" },
            and("window_start, window_end")
        ),
        _ => {
            format!("SELECT window_end AS w, max(window_end - window_start) AS longest FROM {call} GROUP BY window_end")
        }
    };
    let closed = until(format!("w < {w}"), "w", w.to_string());
    let written_out = Some(sql.replace(&call, &written_out));
    Query { sql, closed, written_out }
}

/// A query over the windows of the stream `s` with the watermark `w`.
pub fn query(random: &mut Random, s: &str, w: &str) -> Query {
    if random.percent(40) {
        return session(random, s, w);
    }
    let windows = Windows::random(random);
    let call = windows.call(s);
    let (sql, closed) = match random.below(3) {
        0 => {
            let filter = if random.percent(30) { " WHERE x <> 2" } else { "" };
            (
                format!(
                    "SELECT window_start AS w, window_end AS e, k, count(*) AS n, sum(x) AS v FROM {call} AS q{filter} \
                     GROUP BY window_start, window_end, k"
                ),
                format!("e <= {w}"),
            )
        }
        1 => (
            format!(
                "SELECT window_start AS w, max(x) AS x, count(window_time) AS n FROM {call} GROUP BY 1, window_end"
            ),
            // Of the windows of CUMULATE that begin together the last one ends with the size.
            format!("w + INTERVAL '{} seconds' <= {w}", windows.size),
        ),
        _ => (
            format!("SELECT window_start AS w, ts, x, window_end AS e FROM {call} AS q WHERE x > 1"),
            format!("ts < {w} OR e <= {w}"),
        ),
    };
    let written_out = sql.replace(&call, &windows.written_out(s));
    Query { sql, closed: until(closed, "w", windows.bound(w)), written_out: Some(written_out) }
}
