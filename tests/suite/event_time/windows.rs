//! Queries over TUMBLE, HOP and CUMULATE, and the same written out: each row joined with every window that there is.

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

/// A query over the windows of the stream `s` with the watermark `w`.
pub fn query(random: &mut Random, s: &str, w: &str) -> Query {
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
