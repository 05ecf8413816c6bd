//! The printed circuit: one line per node, inputs below it.

use std::fmt;

use arrow::datatypes::Schema;

use super::{Facts, StateSize};

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
                let names: Vec<&str> = key.iter().map(|c| schema.field(*c).name().as_str()).collect();
                words.push(format!("key ({})", names.join(", ")));
            }
            None => {}
        }
        words.join(", ")
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
    let open = text.find('(')?;
    let (name, inside) = (&text[..open], &text[open + 1..]);
    if NUMBERS.contains(&name) {
        let close = inside.find(')')?;
        return Some((inside[..close].to_string(), open + close + 2));
    }
    let quoted = inside.strip_prefix('"').filter(|_| name == "Utf8")?;
    let close = quoted.find("\")")?;
    Some((format!("'{}'", quoted[..close].replace('\'', "''")), open + close + 4))
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
        assert_eq!(as_sql("MyInt64(1) (Int64 (é Int64(2"), "MyInt64(1) (Int64 (é Int64(2");
    }
}
