//! Queries over ASOF JOIN, and the same written out: the nearest time first, and then the rows of it.

use super::queries::{BOTH, Query, until};
use crate::oracle::random::Random;

/// A query over both streams.
pub fn query(random: &mut Random) -> Query {
    let (sign, aggregate) = *random.pick(&[(">=", "max"), (">", "max"), ("<=", "min"), ("<", "min"), (">=", "max")]);
    let keyed = random.percent(70);
    let keep_left = random.percent(50);
    let join = if keep_left { "LEFT" } else { "" };
    let (equal, of_key, by) = if keyed { (" ON a.k = b.k", "b.k = a.k AND ", "k, ts") } else { ("", "", "ts") };
    // Of rows with one time the greatest, by its columns in their order.
    let greatest = if keyed { "max(x) AS x" } else { "max(k) AS k, max(10 * k + x) % 10 AS x" };
    let same_key = if keyed { "m.k = a.k AND " } else { "" };
    let select = format!("SELECT a.ts AS w, a.k, a.x, {}.ts AS t, {}.x AS y", "{b}", "{b}");
    let sql =
        format!("{} FROM a {join} ASOF JOIN b MATCH_CONDITION (a.ts {sign} b.ts){equal}", select.replace("{b}", "b"));
    let written_out = format!(
        "{} FROM (SELECT a.k, a.x, a.ts, (SELECT {aggregate}(b.ts) FROM b WHERE {of_key}a.ts {sign} b.ts) AS t FROM a) AS a \
         {join} JOIN (SELECT {by}, {greatest} FROM b GROUP BY {by}) AS m ON {same_key}m.ts = a.t",
        select.replace("{b}", "m")
    );
    let closed = match sign {
        ">=" | ">" => until(format!("w < {BOTH}"), "w", BOTH.to_string()),
        _ => None,
    };
    Query { sql, closed, written_out: Some(written_out) }
}
