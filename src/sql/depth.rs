//! How deep a statement's tree can get, found from its tokens before it is parsed.
//!
//! The parser, the batch engine and the trees themselves (when they are copied, shown and dropped) recurse, so a text
//! of a few kilobytes could end the program by its stack: the parser bounds brackets, but `1 + 1 + ...` nests
//! without any. The depth found here is never less than the tree's:
//!
//! ```text
//! a + b * c          2   operators since the last separator, on every open level
//! (a + f(b + c))     4   and each bracket that is open
//! a + b, c + d       1   a comma, a clause and a CASE branch begin anew
//! ```
//!
//! A statement that is deeper than the smallest stacks allow is run on a thread of its own; one past the limit is
//! refused.

use std::ops::ControlFlow;

use super::split::{Token, token};
use crate::error::{Error, Place, Result};

/// Depth of one statement.
pub const DEPTH_MAX: usize = 1_000;
/// Brackets and CASEs within each other. Past its own limit, which is higher, the parser tries again and again.
pub const BRACKETS_MAX: usize = 180;
/// Queries within one statement: each is planned within the others.
pub const QUERIES_MAX: usize = 500;
/// Joins of one statement: planning time grows with their cube.
pub const JOINS_MAX: usize = 100;
/// The depth for which any thread's stack is large enough.
const DEPTH_ANYWHERE: usize = 16;
/// The stack for a statement of the greatest depth, many times over.
const STACK_BYTES: usize = 128 << 20;

/// Does the work of a statement where the stack is deep enough for it. `beneath` is the depth that it may have beyond
/// its own text, as it reads views.
///
/// # Errors
/// [`Error::Limit`] when the statement is too deep for any; [`Error::Internal`] when the work panics.
pub fn with_stack<R: Send>(text: &str, beneath: usize, work: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    if is_deep(text, beneath)? { with_room(work) } else { work() }
}

/// Does some work on a thread whose stack has room for any statement.
///
/// # Errors
/// [`Error::Limit`] when there is no such thread to have; [`Error::Internal`] when the work panics.
pub fn with_room<R: Send>(work: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("millstream-deep".into()).stack_size(STACK_BYTES);
        let thread = builder.spawn_scoped(scope, work);
        let thread = thread.map_err(|e| Error::Limit(format!("no thread for a deep statement: {e}")))?;
        thread.join().unwrap_or_else(|_| Err(Error::Internal("a statement panicked".into())))
    })
}

/// Whether the work of a statement, with what it may have beneath it by the views that it reads, needs a stack of its own.
///
/// # Errors
/// As [`depth`].
pub fn is_deep(text: &str, beneath: usize) -> Result<bool> {
    Ok(depth(text)?.saturating_add(beneath) > DEPTH_ANYWHERE)
}

/// The depth that the tree of a statement has at most.
///
/// # Errors
/// [`Error::Limit`] when it is past [`DEPTH_MAX`], [`BRACKETS_MAX`], [`QUERIES_MAX`] or [`JOINS_MAX`].
pub fn depth(text: &str) -> Result<usize> {
    let mut scan = Scan { levels: vec![Level::default()], deepest: 0, queries: 0, joins: 0 };
    let mut at = 0;
    while at < text.len() {
        let (token, length, _) = token(&text[at..]);
        if let ControlFlow::Break(what) = scan.token(token, &text[at..at + length]) {
            let place = place(text, at);
            return Err(Error::Limit(format!("{what}, at line {}, column {}", place.line, place.column)));
        }
        at += length;
    }
    Ok(scan.deepest)
}

fn place(text: &str, at: usize) -> Place {
    let before = &text[..at];
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) as u64 + 1;
    Place { line, column }
}

/// What is open at one level of brackets.
#[derive(Default)]
struct Level {
    /// UNION and the like, which no clause ends.
    sets: usize,
    /// AND, OR and JOIN, within which other operators begin anew.
    loose: usize,
    /// Other operators.
    tight: usize,
    /// Whether CASE opened it, and END closes it.
    case: bool,
}

struct Scan {
    levels: Vec<Level>,
    deepest: usize,
    queries: usize,
    joins: usize,
}

impl Scan {
    fn token(&mut self, token: Token, text: &str) -> ControlFlow<String> {
        match token {
            Token::Symbol => self.symbol(text),
            Token::Word => self.word(&text.to_ascii_uppercase()),
            _ => {}
        }
        let depth = self.levels.iter().map(|l| l.sets + l.loose + l.tight).sum();
        self.deepest = self.deepest.max(depth);
        let past = [
            (depth, DEPTH_MAX, "nests operators and brackets deeper than"),
            (self.levels.len() - 1, BRACKETS_MAX, "nests brackets deeper than"),
            (self.queries, QUERIES_MAX, "has more queries within it than"),
            (self.joins, JOINS_MAX, "has more joins than"),
        ];
        match past.iter().find(|(is, most, _)| is > most) {
            Some((_, most, what)) => ControlFlow::Break(format!("the statement {what} the limit of {most}")),
            None => ControlFlow::Continue(()),
        }
    }

    fn symbol(&mut self, text: &str) {
        match text {
            "," => {
                let top = self.top();
                (top.loose, top.tight) = (0, 0);
            }
            "." => {}
            "(" | "[" | "{" => {
                self.top().tight += 1;
                self.levels.push(Level::default());
            }
            ")" | "]" | "}" => self.close(|_| true),
            _ => self.top().tight += 1,
        }
    }

    fn word(&mut self, word: &str) {
        match word {
            "AND" | "OR" | "XOR" => self.loosely(),
            "JOIN" => {
                self.joins += 1;
                self.loosely();
            }
            "UNION" | "EXCEPT" | "INTERSECT" | "MINUS" => {
                let top = self.top();
                *top = Level { sets: top.sets + 1, case: top.case, ..Level::default() };
            }
            "SELECT" | "WHERE" | "HAVING" | "WHEN" | "THEN" | "ELSE" => {
                self.queries += usize::from(word == "SELECT");
                let top = self.top();
                (top.loose, top.tight) = (0, 0);
            }
            "CASE" => {
                self.top().tight += 1;
                self.levels.push(Level { case: true, ..Level::default() });
            }
            "END" => self.close(|level| level.case),
            "ON" | "BY" => self.top().tight = 0,
            "NOT" | "IS" | "IN" | "LIKE" | "ILIKE" | "SIMILAR" | "BETWEEN" | "COLLATE" | "AT" | "DIV" | "MOD"
            | "INTERVAL" | "PRIOR" | "CONNECT_BY_ROOT" => {
                self.top().tight += 1;
            }
            _ => {}
        }
    }

    fn loosely(&mut self) {
        let top = self.top();
        (top.loose, top.tight) = (top.loose + 1, 0);
    }

    fn close(&mut self, fits: impl Fn(&Level) -> bool) {
        if self.levels.len() > 1 && self.levels.last().is_some_and(fits) {
            self.levels.pop();
        }
    }

    fn top(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the outermost level stays")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_nests_and_not_what_is_listed() {
        assert_eq!(depth("SELECT a, b + c * d, 'x+y' -- + + +\n FROM t").unwrap(), 2);
        assert_eq!(depth("SELECT (a + f(b + c))").unwrap(), 4);
        assert_eq!(depth("INSERT INTO t VALUES (-1), (-2), (-3)").unwrap(), 2);
        assert_eq!(depth("SELECT a = 1 OR a = 2 OR a = 3").unwrap(), 3);
        assert!(depth(&format!("SELECT CASE {} END", "WHEN a = 1 AND b = 2 THEN c + 1 ".repeat(5_000))).unwrap() < 10);
        assert!(depth(&format!("INSERT INTO t VALUES {}", "(1, 'a', x.y), ".repeat(20_000))).unwrap() < 10);
    }

    #[test]
    fn chains_and_towers_past_the_limit_are_refused() {
        let chains = ["+1", " OR a", "::INT", "[1]", " UNION SELECT 1", " IS NULL", " PIVOT(1)", " JOIN t ON a = b"];
        for chain in chains {
            let text = format!("SELECT 1{}", chain.repeat(2_000));
            assert!(matches!(depth(&text), Err(Error::Limit(_))), "{chain}");
        }
        for tower in ["(", "f(", "[", "CASE WHEN ", "NOT ", "- ", "ARRAY<", "(SELECT * FROM ", "INTERVAL "] {
            let text = format!("SELECT {}", tower.repeat(2_000));
            assert!(matches!(depth(&text), Err(Error::Limit(_))), "{tower}");
        }
    }

    #[test]
    fn a_deep_statement_has_room_and_its_panic_is_an_error() {
        fn recurse(depth: usize) -> usize {
            let here = std::hint::black_box([depth; 64]);
            if depth == 0 { 0 } else { recurse(depth - 1) + here[63] - depth + 1 }
        }
        let text = format!("SELECT 1{}", "+1".repeat(900));
        assert_eq!(with_stack(&text, 0, || Ok(recurse(50_000))).unwrap(), 50_000);
        assert!(matches!(with_stack::<()>(&text, 0, || panic!("on purpose")), Err(Error::Internal(_))));
    }
}
