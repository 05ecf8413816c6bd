//! Statements with something wrong in them: the texts of `slt/` and `docs/sql.md`, changed token by token at random.
//!
//! Each must end in an answer or in an error that is the statement's own: no panic, no crash, no internal error.
//! `MUTATION_SEED=7` runs one seed again, `MUTATION_CASES=10000` more of them. `fuzz/` has the same entry for cargo-fuzz.

mod entry;

use std::fs;
use std::path::Path;

use millstream::sql::split::{Token, token};

use crate::oracle::random::Random;

/// Databases that are made, each with some texts in it.
const CASES: u64 = 100;
/// Texts of one database.
const TEXTS: usize = 10;
/// Tokens that put a text to the test.
const EDGES: [&str; 40] = [
    "NULL",
    "0",
    "-1",
    "9223372036854775808",
    "1e400",
    "''",
    "'x'",
    "(",
    ")",
    ",",
    ".",
    "::",
    "*",
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "LIMIT 1",
    "UNION ALL",
    "DISTINCT",
    "NOT",
    "AND",
    "OR",
    "IN",
    "CASE",
    "END",
    "OVER ()",
    "count(*)",
    "sum",
    "[1]",
    "ARRAY[]",
    "INTERVAL '1' DAY",
    "now()",
    "EXISTS",
    "LATERAL",
    "JOIN",
    "\"é\"",
    "\0",
    "$1",
];

#[test]
fn mutated_statements_end_in_an_answer_or_an_error() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match (number("MUTATION_SEED"), number("MUTATION_CASES")) {
        (Some(seed), cases) => seed..seed + cases.unwrap_or(1),
        (None, cases) => 0..cases.unwrap_or(CASES),
    };
    let corpora = corpora();
    assert!(corpora.len() > 3 && corpora.iter().map(|c| c.texts.len()).sum::<usize>() > 200);
    let mut wrong = Vec::new();
    for seed in seeds {
        let mut random = Random::new(seed);
        let corpus = random.pick(&corpora);
        let db = entry::database(corpus.prelude.iter().map(String::as_str));
        for _ in 0..TEXTS {
            let text = mutated(&mut random, corpus);
            if let Err(error) = entry::run(&db, &text) {
                wrong.push(format!("MUTATION_SEED={seed}: {error}\n  {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} texts:\n{}", wrong.len(), wrong.join("\n"));
}

/// Texts over the same relations.
struct Corpus {
    /// What makes the relations, and puts rows in them.
    prelude: Vec<String>,
    texts: Vec<String>,
}

/// One for each file of `slt/`, and one for the page.
fn corpora() -> Vec<Corpus> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/sql.md")).unwrap();
    let (_, relations) = page.split_once("```sql\n").unwrap();
    let (relations, _) = relations.split_once("```").unwrap();
    let mut prelude: Vec<String> = relations.split(";\n").map(String::from).collect();
    prelude.push("INSERT INTO t (id, k, a, b) VALUES (1, 'x', 2, 3), (2, 'y', NULL, 0)".into());
    prelude.push("INSERT INTO edges VALUES (1, 2), (2, 3), (3, 1)".into());
    let texts = page.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`').nth(1));
    let mut corpora = vec![Corpus { prelude, texts: texts.map(|text| text.replace("\\|", "|")).collect() }];
    let mut files: Vec<_> = fs::read_dir(root.join("tests/suite/slt")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let records = text.split("\n\n").filter_map(|record| {
            let start = record.find("statement ").or(record.find("query "))?;
            let (_, sql) = record[start..].split_once('\n')?;
            Some(sql.split("\n----").next().unwrap_or_default().to_string())
        });
        let texts: Vec<String> = records.filter(|sql| !sql.trim().is_empty()).collect();
        let makes =
            |sql: &&String| ["CREATE TABLE", "CREATE STREAM", "INSERT"].iter().any(|begin| sql.starts_with(begin));
        corpora.push(Corpus { prelude: texts.iter().filter(makes).take(12).cloned().collect(), texts });
    }
    corpora.retain(|corpus| !corpus.texts.is_empty());
    corpora
}

/// A text with one to four things changed.
fn mutated(random: &mut Random, corpus: &Corpus) -> String {
    let mut tokens = tokens(random.pick::<String>(&corpus.texts));
    for _ in 0..random.between(1, 4) {
        let at = random.below(tokens.len().max(1)).min(tokens.len().saturating_sub(1));
        match random.below(9) {
            _ if tokens.is_empty() => tokens.push("SELECT".into()),
            0 => drop(tokens.remove(at)),
            1 => tokens.insert(at, tokens[at].clone()),
            2 => {
                let other = random.below(tokens.len());
                tokens.swap(at, other);
            }
            3..5 => tokens[at] = (*random.pick(&EDGES)).to_string(),
            5 => tokens.insert(at, (*random.pick(&EDGES)).to_string()),
            6 => {
                let other = self::tokens(random.pick::<String>(&corpus.texts));
                let from = random.below(other.len().max(1));
                let some = other.into_iter().skip(from).take(random.between(1, 12)).collect::<Vec<_>>();
                tokens.splice(at..at, some);
            }
            7 => {
                let part = format!("({})", tokens[at..(at + random.between(1, 6)).min(tokens.len())].join(" "));
                tokens.insert(at, part);
            }
            _ => tokens.truncate(at),
        }
    }
    tokens.join(" ")
}

/// The tokens of a text, without blanks and comments.
fn tokens(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (kind, length, _) = token(rest);
        if !matches!(kind, Token::Blank | Token::Comment) {
            found.push(rest[..length].to_string());
        }
        rest = &rest[length..];
    }
    found
}
