//! What Tab offers: commands, keywords, relations, columns, functions and file names.

use clap::ValueEnum;
use millstream::Relation;
use millstream::sql::split::{Token, token};
use rustyline::completion::{FilenameCompleter, Pair};

use super::words::keywords;
use crate::cli::command::COMMANDS;
use crate::cli::render::Format;

/// What can be named now.
pub struct Names {
    /// Streams, tables and views.
    pub relations: Vec<Relation>,
    /// Functions.
    pub functions: Vec<String>,
}

/// The candidates for the word before `pos`, and where that word starts. `before` are the lines above.
pub fn complete(names: &Names, before: &str, line: &str, pos: usize) -> rustyline::Result<(usize, Vec<Pair>)> {
    let typed = &line[..pos];
    if before.is_empty() && typed.starts_with('.') {
        return command(names, line, pos);
    }
    if in_string(&format!("{before}{typed}")) {
        return FilenameCompleter::new().complete_path(line, pos);
    }
    let start = typed
        .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
        .map_or(0, |at| at + typed[at..].chars().next().map_or(0, char::len_utf8));
    let word = &typed[start..];
    let offered = match typed[..start].strip_suffix('.') {
        Some(owner) => columns_of(names, owner),
        None => words(names, &format!("{before}{}", &typed[..start]), word),
    };
    Ok((start, matching(word, offered)))
}

fn command(names: &Names, line: &str, pos: usize) -> rustyline::Result<(usize, Vec<Pair>)> {
    let typed = &line[..pos];
    let Some((name, rest)) = typed.split_once(char::is_whitespace) else {
        return Ok((0, matching(typed, COMMANDS.iter().map(|u| u.name.to_string()))));
    };
    let word = rest.trim_start();
    let start = pos - word.len();
    let offered = match name {
        ".read" | ".output" => return FilenameCompleter::new().complete_path(line, pos),
        ".mode" => Format::value_variants().iter().map(|f| f.name()).collect(),
        ".timer" | ".bail" => vec!["on".to_string(), "off".to_string()],
        ".schema" | ".unsubscribe" => names.relations.iter().map(|r| r.name.clone()).collect(),
        _ => Vec::new(),
    };
    Ok((start, matching(word, offered)))
}

/// Whether the text ends inside a string: file names stand there.
fn in_string(text: &str) -> bool {
    let mut at = 0;
    while at < text.len() {
        let (kind, length, closed) = token(&text[at..]);
        if kind == Token::Text && !closed {
            return true;
        }
        at += length;
    }
    false
}

/// The columns of the relation whose name stands before the dot; of all, where it may be an alias.
fn columns_of(names: &Names, owner: &str) -> Vec<String> {
    let from = owner.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '"')).map_or(0, |at| at + 1);
    let owner = owner.get(from..).unwrap_or_default().trim_matches('"');
    let named = names.relations.iter().find(|r| r.name.eq_ignore_ascii_case(owner));
    let relations = named.map_or(names.relations.as_slice(), std::slice::from_ref);
    relations.iter().flat_map(|r| &r.columns).map(|c| quoted(c)).collect()
}

/// After words that want a relation, relations; elsewhere everything, once there is a letter to go by.
fn words(names: &Names, before: &str, word: &str) -> Vec<String> {
    let relations = names.relations.iter().map(|r| quoted(&r.name));
    let last = before.split_whitespace().next_back().unwrap_or_default().to_uppercase();
    if matches!(
        last.as_str(),
        "FROM" | "JOIN" | "INTO" | "UPDATE" | "REPLAY" | "SUBSCRIBE" | "VERIFY" | "DESCRIBE" | "TABLE"
    ) {
        return relations.collect();
    }
    if word.is_empty() {
        return Vec::new();
    }
    let lower = word.chars().all(char::is_lowercase);
    let keywords = keywords().map(|k| if lower { k.to_lowercase() } else { k.to_string() });
    let columns = names.relations.iter().flat_map(|r| &r.columns).map(|c| quoted(c));
    let functions = names.functions.iter().map(|f| format!("{f}("));
    relations.chain(columns).chain(functions).chain(keywords).collect()
}

/// A name as SQL wants it: in quotes, if it would not be read as it is.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn matching(word: &str, offered: impl IntoIterator<Item = String>) -> Vec<Pair> {
    let prefix = word.to_lowercase();
    let fits = |text: &String| text.trim_start_matches('"').to_lowercase().starts_with(&prefix);
    let mut fitting: Vec<String> = offered.into_iter().filter(fits).collect();
    fitting.sort();
    fitting.dedup();
    fitting.into_iter().map(|text| Pair { display: text.clone(), replacement: text }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let relation = |name: &str, columns: &[&str]| Relation {
            name: name.into(),
            kind: "stream".into(),
            columns: columns.iter().map(|c| (*c).to_string()).collect(),
            sql: String::new(),
        };
        let relations = vec![relation("flights", &["origin", "Delay"]), relation("airports", &["code", "origin"])];
        Names { relations, functions: vec!["floor".into()] }
    }

    fn offers(before: &str, line: &str) -> String {
        let (start, pairs) = complete(&names(), before, line, line.len()).unwrap();
        let texts: Vec<String> = pairs.into_iter().map(|p| p.replacement).collect();
        format!("{start} {}", texts.join(" "))
    }

    #[test]
    fn words_in_their_place() {
        assert_eq!(offers("", "SELECT fl"), "7 flights float floor(");
        assert_eq!(offers("", "SELECT FL"), "7 FLOAT flights floor(");
        assert_eq!(offers("", "SELECT * FROM "), "14 airports flights");
        assert_eq!(offers("SELECT *\nFROM\n", "f"), "0 flights");
        assert_eq!(offers("", "SELECT flights."), "15 \"Delay\" origin");
        assert_eq!(offers("", "SELECT max(a.co"), "13 code");
        assert_eq!(offers("", "SELECT "), "7 ");
        assert_eq!(offers("", "SELECT é, de"), "11 \"Delay\" deallocate decimal default delete desc describe");
    }

    #[test]
    fn commands_and_their_words() {
        assert_eq!(offers("", ".t"), "0 .tables .timer");
        assert_eq!(offers("", ".mode j"), "6 json");
        assert_eq!(offers("", ".bail o"), "6 off on");
        assert_eq!(offers("", ".schema air"), "8 airports");
    }

    #[test]
    fn files_inside_quotes() {
        assert!(in_string("SELECT 'a', '/tmp/"));
        assert!(!in_string("SELECT 'a', \"x"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("flights.csv"), "").unwrap();
        let line = format!("COPY t TO '{}/fl", folder.path().display());
        assert!(offers("", &line).ends_with("flights.csv"), "{}", offers("", &line));
    }
}
