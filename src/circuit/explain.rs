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
