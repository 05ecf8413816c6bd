//! The printed circuit: one line per node, inputs below it.

use std::fmt;

use arrow::datatypes::{IntervalMonthDayNano, Schema};

use super::{Facts, Growth, StateSize};
use crate::interval::shown;

/// One node of the printed circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainLine {
    /// How far below the view.
    pub depth: usize,
    /// The operator in words.
    pub text: String,
    /// What is known of its output.
    pub facts: String,
    /// What it holds.
    pub state: Option<StateSize>,
    /// How far that can grow, in words; nothing where it holds nothing.
    pub growth: Option<String>,
    /// Whether several nodes or views read it.
    pub shared: bool,
}

impl Facts {
    /// The facts in words, for `EXPLAIN`.
    pub fn describe(&self, schema: &Schema) -> String {
        let mut words = Vec::new();
        if self.append_only {
            words.push("append-only".to_string());
        }
        match self.key.as_deref() {
            Some([]) => words.push("one row".to_string()),
            Some(key) => {
                let names: Vec<String> = key.iter().map(|c| as_sql(schema.field(*c).name())).collect();
                words.push(format!("key ({})", names.join(", ")));
            }
            None => {}
        }
        if !self.closing.is_empty() {
            let names: Vec<String> = self.closing.iter().map(|c| as_sql(schema.field(c.column).name())).collect();
            words.push(format!("closes by {}", names.join(", ")));
        }
        words.join(", ")
    }
}

impl Growth {
    /// The growth in words, for `EXPLAIN`; `name` gives the names of streams.
    pub fn describe(&self, name: &dyn Fn(u32) -> String) -> Option<String> {
        Some(match self {
            Growth::None => return None,
            Growth::Fixed => "fixed".into(),
            Growth::Clock => "by now()".into(),
            Growth::Open => "unbounded".into(),
            Growth::Closed(bound) => {
                let names: Vec<String> = bound.streams().into_iter().map(name).collect();
                format!("by the watermark of {}", names.join(", "))
            }
        })
    }
}

/// An operator's text with literals as SQL writes them: the batch engine names columns by its plan, `count(Int64(1))`.
pub(super) fn as_sql(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let begins_word = !out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        match literal(rest).filter(|_| begins_word) {
            Some((value, length)) => {
                out.push_str(&value);
                rest = &rest[length..];
            }
            None => {
                let next = rest.chars().next().map_or(0, char::len_utf8);
                // Expressions give the place of a column with its name.
                let place = rest.strip_prefix('@').filter(|_| !begins_word).map_or(0, digits);
                if place == 0 {
                    out.push_str(&rest[..next]);
                }
                rest = &rest[next + place..];
            }
        }
    }
    out.replace("count(1)", "count(*)")
}

/// How many digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The literal that a text begins with, and its length there.
fn literal(text: &str) -> Option<(String, usize)> {
    const NUMBERS: [&str; 11] =
        ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64", "Boolean"];
    if let Some((value, length)) = interval(text) {
        return Some((value, length));
    }
    let open = text.find('(')?;
    let (name, inside) = (&text[..open], &text[open + 1..]);
    if NUMBERS.contains(&name) {
        let close = inside.find(')')?;
        return Some((inside[..close].to_string(), open + close + 2));
    }
    if name == INTERVAL {
        let (value, length) = interval(inside.strip_prefix('"')?)?;
        return inside[length + 1..].starts_with("\")").then(|| (value, open + length + 4));
    }
    let quoted = inside.strip_prefix('"').filter(|_| name == "Utf8")?;
    let close = quoted.find("\")")?;
    Some((format!("'{}'", quoted[..close].replace('\'', "''")), open + close + 4))
}

/// What the batch engine calls intervals.
const INTERVAL: &str = "IntervalMonthDayNano";

/// The interval that a text begins with as its parts, and its length there.
fn interval(text: &str) -> Option<(String, usize)> {
    let parts = text.strip_prefix(INTERVAL)?.strip_prefix(" { months: ")?;
    let (months, rest) = parts.split_once(", days: ")?;
    let (days, rest) = rest.split_once(", nanoseconds: ")?;
    let (nanoseconds, rest) = rest.split_once(" }")?;
    let value = IntervalMonthDayNano::new(months.parse().ok()?, days.parse().ok()?, nanoseconds.parse().ok()?);
    Some((format!("INTERVAL '{}'", shown(value)), text.len() - rest.len()))
}

impl fmt::Display for ExplainLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:indent$}{}", "", self.text, indent = self.depth * 2)?;
        if !self.facts.is_empty() {
            write!(f, "  [{}]", self.facts)?;
        }
        if self.shared {
            f.write_str("  shared")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::as_sql;

    #[test]
    fn literals_read_as_sql() {
        assert_eq!(as_sql("Project b, count(Int64(1)) AS n"), "Project b, count(*) AS n");
        assert_eq!(as_sql("sum(t.x * Float64(-1.5))"), "sum(t.x * -1.5)");
        assert_eq!(as_sql("max(t.a = Utf8(\"it's (x)\"))"), "max(t.a = 'it''s (x)')");
        assert_eq!(as_sql("CAST(x@1 AS Int64) AS t.x, 'a@b'"), "CAST(x AS Int64) AS t.x, 'a@b'");
        let minutes = "IntervalMonthDayNano { months: 0, days: 1, nanoseconds: 600000000000 }";
        let text = format!("date_bin({minutes}, ts) AS date_bin(IntervalMonthDayNano(\"{minutes}\"),s.ts)");
        let interval = "INTERVAL '1 day 00:10:00'";
        assert_eq!(as_sql(&text), format!("date_bin({interval}, ts) AS date_bin({interval},s.ts)"));
        assert_eq!(as_sql("MyInt64(1) (Int64 (é Int64(2"), "MyInt64(1) (Int64 (é Int64(2");
    }
}
