//! Where in a statement an error belongs, when all it has is words.
//!
//! Most of what is found wrong with a statement names its object in backquotes. The last of those names that the
//! statement holds is where the caret goes.

use super::split::{Token, token};
use crate::error::{Error, Place, nearest};

/// Words that a statement can begin with.
const FIRST: [&str; 20] = [
    "CREATE",
    "DROP",
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "COPY",
    "EXPLAIN",
    "SUBSCRIBE",
    "VERIFY",
    "CHECKPOINT",
    "SHOW",
    "DESCRIBE",
    "WITH",
    "VALUES",
    "FROM",
    "TABLE",
];

/// Words that join the parts of a statement.
const LATER: [&str; 32] = [
    "FROM",
    "WHERE",
    "GROUP",
    "ORDER",
    "BY",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "ON",
    "USING",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "VALUES",
    "INTO",
    "SET",
    "AS",
    "AND",
    "BETWEEN",
    "DISTINCT",
    "MATERIALIZED",
    "STREAM",
    "TABLE",
    "VIEW",
    "WITH",
    "WINDOW",
];

/// The error with its place in the statement, if it has none and names a word of it.
pub fn locate(error: Error, text: &str) -> Error {
    let message = match &error {
        Error::Input(e) | Error::Unsupported(e) if e.place.is_none() => e.message.clone(),
        _ => return error,
    };
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let words = words(text);
    let found = names.iter().rev().find_map(|name| {
        let last = name.rsplit('.').next().unwrap_or(name);
        words.iter().find(|word| word.is(name) || word.is(last))
    });
    error.with_place(found.map(|word| word.place))
}

/// The error of the parser with the keyword that was most likely meant where it stopped, or just before.
pub fn suggest(error: Error, text: &str) -> Error {
    let words = words(text);
    let Some(first) = words.first() else { return error };
    if let Some(word) = slip(first.text, &FIRST) {
        return error.with_hint(format!("did you mean `{word}`?"));
    }
    let Some(place) = error.place() else { return error };
    let before = words.iter().take_while(|word| (word.place.line, word.place.column) <= (place.line, place.column));
    let near =
        before.collect::<Vec<_>>().into_iter().rev().take(2).find_map(|word| Some((word, slip(word.text, &LATER)?)));
    match near {
        Some((word, meant)) => error.with_hint(format!("did you mean `{meant}` for `{}`?", word.text)),
        None => error,
    }
}

/// The keyword that a word misspells.
fn slip<'a>(word: &str, keywords: &[&'a str]) -> Option<&'a str> {
    let word = word.to_uppercase();
    if keywords.contains(&word.as_str()) || word.len() < 2 { None } else { nearest(&word, keywords.iter().copied()) }
}

/// A name or a keyword of a statement.
struct Word<'a> {
    text: &'a str,
    place: Place,
}

impl Word<'_> {
    fn is(&self, name: &str) -> bool {
        let quote = self.text.chars().next().filter(|c| matches!(c, '"' | '`'));
        match quote {
            Some(quote) => {
                self.text.trim_matches(quote).replace(&String::from_iter([quote, quote]), &quote.to_string()) == name
            }
            None => self.text.eq_ignore_ascii_case(name),
        }
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut at, mut place) = (0, Place { line: 1, column: 1 });
    while at < text.len() {
        let (token, length, _) = token(&text[at..]);
        let passed = &text[at..at + length];
        if matches!(token, Token::Word | Token::QuotedName) {
            words.push(Word { text: passed, place });
        }
        match passed.rfind('\n') {
            None => place.column += passed.chars().count() as u64,
            Some(last) => {
                place.line += passed.matches('\n').count() as u64;
                place.column = 1 + passed[last + 1..].chars().count() as u64;
            }
        }
        at += length;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_name_that_the_statement_holds_is_the_place() {
        let place = |message: &str, text: &str| locate(Error::input(message), text).place().map(|p| (p.line, p.column));
        assert_eq!(place("no column `nmae`", "UPDATE t\n  SET nmae = 1"), Some((2, 7)));
        assert_eq!(place("no column `t.nmae`", "UPDATE t SET nmae = 1"), Some((1, 14)));
        assert_eq!(place("`t` is read by `v`", "DROP TABLE 't', t"), Some((1, 17)));
        assert_eq!(place("no table `a\"b`", "DROP TABLE \"a\"\"b\""), Some((1, 12)));
        assert_eq!(place("division by zero", "SELECT 1 / 0"), None);
    }

    #[test]
    fn keywords_are_suggested_where_the_parser_stopped() {
        let hint = |text: &str| super::super::parse::parse(text).expect_err(text).to_string();
        assert!(hint("SELEC 1").ends_with("did you mean `SELECT`?"));
        assert!(hint("SELECT * FORM t").ends_with("did you mean `FROM` for `FORM`?"), "{}", hint("SELECT * FORM t"));
        assert!(hint("SELECT * FROM t WEHRE a = 1").ends_with("did you mean `WHERE` for `WEHRE`?"));
        assert!(hint("SELECT a FROM t GROPU BY a").ends_with("did you mean `GROUP` for `GROPU`?"));
        assert!(
            hint("CREATE MATERIALISED VIEW v AS SELECT 1").ends_with("did you mean `MATERIALIZED` for `MATERIALISED`?")
        );
        assert!(!hint("SELECT a FROM t WHERE )").contains("did you mean"));
    }
}
