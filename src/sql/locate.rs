//! Where in a statement an error belongs, when all it has is words.
//!
//! Most of what is found wrong with a statement names its object in backquotes. The last of those names that the
//! statement holds is where the caret goes.

use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;

use super::split::{Token, token};
use crate::error::{Error, Place, nearest};

/// Words that a statement can begin with.
const FIRST: [&str; 25] = [
    "CREATE",
    "DROP",
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "TRUNCATE",
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
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "WITH",
    "VALUES",
    "FROM",
    "TABLE",
];

/// Keywords of ours that the parser does not know.
const OWN: [&str; 4] = ["STREAM", "SUBSCRIBE", "VERIFY", "CHECKPOINT"];

/// Shorter words are near to too many keywords.
const SLIP_CHARACTERS_MIN: usize = 3;

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

/// Words of Postgres at which the parser stops, and what to write instead.
const INSTEAD: [(&str, &str); 4] = [
    ("CYCLE", "there is no CYCLE: UNION in place of UNION ALL ends at rows that are there already"),
    ("EXCLUDE", "there is no EXCLUDE in window frames: two frames, before and behind the row, leave it out"),
    (
        "MATCH_RECOGNIZE",
        "it stands behind the name of a table: WITH q AS (SELECT ...) SELECT * FROM q MATCH_RECOGNIZE (...)",
    ),
    ("SEARCH", "there is no SEARCH: a column of the path so far, as an array, gives an order"),
];

/// The error with its place in the statement, if it has none and names a word of it.
pub fn locate(error: Error, text: &str) -> Error {
    let message = match &error {
        Error::Input(e) | Error::Unsupported(e) if e.place.is_none() => {
            e.message.lines().next().unwrap_or_default().to_string()
        }
        _ => return error,
    };
    let words = words(text);
    let names = message.split('`').skip(1).step_by(2).collect::<Vec<_>>().into_iter().rev();
    let texts = message.split('\'').skip(1).step_by(2);
    let found = names
        .map(|name| name.trim_end_matches("()"))
        .find_map(|name| {
            let last = name.rsplit('.').next().unwrap_or(name);
            words.iter().find(|word| word.is(name) || word.is(last))
        })
        .or_else(|| texts.filter(|t| !t.is_empty()).find_map(|text| words.iter().find(|word| word.is_text(text))));
    error.with_place(found.map(|word| word.place))
}

/// The error of the parser with the keyword that was most likely meant where it stopped, or just before.
pub fn suggest(error: Error, text: &str) -> Error {
    let words = words(text);
    let Some(first) = words.first() else { return error };
    if let Some(word) = slip(first, &FIRST) {
        return error.with_hint(format!("did you mean `{word}`?"));
    }
    let Some(place) = error.place() else { return error };
    // A misspelt keyword may have passed for an alias; the parser then stops at the word behind it.
    let at = words.iter().position(|word| word.place == place);
    let near =
        at.and_then(|at| words[at.saturating_sub(1)..=at].iter().rev().find_map(|w| Some((w, slip(w, &LATER)?))));
    let instead = at.and_then(|at| INSTEAD.iter().find(|(word, _)| words[at].is(word)));
    match (instead, near) {
        (Some((_, hint)), _) => error.with_hint(*hint),
        (None, Some((word, meant))) => error.with_hint(format!("did you mean `{meant}` for `{}`?", word.text)),
        (None, None) => error,
    }
}

/// The keyword that a word misspells, which is no keyword itself.
fn slip<'a>(word: &Word<'_>, keywords: &[&'a str]) -> Option<&'a str> {
    let upper = word.text.to_uppercase();
    let short = upper.chars().count() < SLIP_CHARACTERS_MIN;
    if short || ALL_KEYWORDS.binary_search(&upper.as_str()).is_ok() || OWN.contains(&upper.as_str()) {
        return None;
    }
    nearest(&upper, keywords.iter().copied())
}

/// A name, a keyword, a text or a number of a statement.
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

    fn is_text(&self, text: &str) -> bool {
        let number = text.strip_prefix('-').unwrap_or(text);
        self.text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) == Some(text) || self.text == number
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut at, mut place) = (0, Place { line: 1, column: 1 });
    while at < text.len() {
        let (token, length, _) = token(&text[at..]);
        let passed = &text[at..at + length];
        if matches!(token, Token::Word | Token::QuotedName | Token::Text | Token::Number) {
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
        assert_eq!(place("`random()` is volatile", "SELECT random()"), Some((1, 8)));
        assert_eq!(place("cannot read 'x' as INTEGER", "SELECT 1 + 'x'"), Some((1, 12)));
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
        assert!(hint("SELECT sum(a) OVER (ORDER BY a ROWS 1 PRECEDING EXCLUDE TIES) FROM t").contains("no EXCLUDE"));
        assert!(hint("WITH RECURSIVE r AS (SELECT 1) CYCLE a SET b USING c SELECT * FROM r").contains("no CYCLE"));
        for other in ["SELECT a FROM orders WHERE )", "SELECT a FROM orders b c", "CREATE SEQUENCE i"] {
            assert!(!hint(other).contains("did you mean"), "{other}");
        }
    }
}
