//! What may follow, shown faintly after the cursor: the last such line of the history, or the shape of a command.

use rustyline::Context;
use rustyline::hint::{Hinter, HistoryHinter};

use crate::cli::command::COMMANDS;

/// How statements go on after their first words.
const SHAPES: [(&str, &str); 13] = [
    ("CREATE STREAM ", "name (column TYPE, ...) WITH (connector = 'file', path = '...');"),
    ("CREATE TABLE ", "name (column TYPE, ..., PRIMARY KEY (column));"),
    ("CREATE MATERIALIZED VIEW ", "name AS SELECT ...;"),
    ("CREATE VIEW ", "name AS SELECT ...;"),
    ("INSERT INTO ", "name VALUES (...), ...;"),
    ("UPDATE ", "table SET column = value WHERE ...;"),
    ("DELETE FROM ", "table WHERE ...;"),
    (
        "MERGE INTO ",
        "table USING source ON ... WHEN MATCHED THEN UPDATE SET ... WHEN NOT MATCHED THEN INSERT VALUES (...);",
    ),
    ("TRUNCATE ", "table, ...;"),
    ("SUBSCRIBE ", "view;"),
    ("REPLAY ", "stream INTO stream AT SPEED 10;"),
    ("VERIFY ", "view;"),
    ("COPY ", "(SELECT ...) TO 'file.csv';"),
];

/// The hint for a line.
pub fn hint(before: &str, line: &str, pos: usize, context: &Context<'_>) -> Option<String> {
    if pos < line.len() || line.is_empty() {
        return None;
    }
    HistoryHinter {}.hint(line, pos, context).or_else(|| if before.is_empty() { shape(line) } else { None })
}

fn shape(line: &str) -> Option<String> {
    let command = COMMANDS.iter().find(|u| line.trim_end() == u.name && !u.argument.is_empty());
    if let Some(usage) = command {
        return Some(format!("{}{}", if line.ends_with(' ') { "" } else { " " }, usage.argument));
    }
    let upper = line.to_uppercase();
    SHAPES.iter().find(|(words, _)| upper == *words).map(|(_, rest)| (*rest).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_the_first_words() {
        assert_eq!(shape(".timer").as_deref(), Some(" on|off"));
        assert_eq!(shape(".read ").as_deref(), Some("FILE"));
        assert_eq!(shape(".tables"), None);
        assert_eq!(shape("subscribe ").as_deref(), Some("view;"));
        assert_eq!(shape("SELECT "), None);
    }
}
