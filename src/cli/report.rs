//! Errors as a person reads them: what, where, the line, a caret, what to try.
//!
//! ```text
//! error: no column `pirce`
//!   --> orders.sql:3:8
//!    |
//!  3 | SELECT pirce FROM orders;
//!    |        ^
//! hint: did you mean `price`?
//! ```

use std::io::Write;

use millstream::Error;
use millstream::error::Place;
use millstream::sql::split::Piece;
use unicode_width::UnicodeWidthStr;

use super::render::on_one_line;

/// Characters of a long line that are shown before the caret, and from it on.
const CONTEXT_CHARACTERS: usize = 80;

/// A tab, where a line with a caret is shown.
const TAB: &str = "    ";

/// Writes to standard error; if nobody reads it, there is nobody to tell.
pub fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The text of an error alone.
pub fn plain(error: &Error) -> String {
    format!("error: {error}\n")
}

/// The text of an error in a statement. `origin` is the file, or `None` at a prompt where the statement is in sight.
pub fn in_statement(error: &Error, piece: &Piece, origin: Option<&str>) -> String {
    let at = error.place().filter(|p| p.line > 0 && p.column > 0).map(|p| piece.place(p));
    let place = at.unwrap_or(piece.start);
    let (message, hint) = match error {
        Error::Input(e) | Error::Unsupported(e) => (e.message.clone(), e.hint.as_deref()),
        other => (other.to_string(), None),
    };
    let mut text = format!("error: {message}\n");
    if let Some(origin) = origin {
        text.push_str(&format!("  --> {origin}:{}:{}\n", place.line, place.column));
    }
    if at.is_some()
        && let Some((line, first)) = piece.line(place)
    {
        text.push_str(&caret(line, first, place));
    }
    if let Some(hint) = hint {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}

/// The source line, whose text begins at column `first`, with a caret under the place.
fn caret(line: &str, first: u64, place: Place) -> String {
    let column = usize::try_from(place.column.saturating_sub(first)).unwrap_or(usize::MAX);
    let show = |text: String| on_one_line(&text.replace('\t', TAB));
    let skipped = column.saturating_sub(CONTEXT_CHARACTERS);
    let start = if skipped > 0 || first > 1 { "..." } else { "" };
    let before = format!("{start}{}", show(line.chars().take(column).skip(skipped).collect()));
    let after = show(line.chars().skip(column).take(CONTEXT_CHARACTERS).collect());
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let indent = " ".repeat(before.width());
    format!(" {margin} |\n {number} | {before}{after}\n {margin} | {indent}^\n")
}

#[cfg(test)]
mod tests {
    use millstream::sql::split::statements;

    use super::*;

    fn report(text: &str, line: u64, column: u64) -> String {
        let pieces = statements(text).unwrap();
        let error = Error::input("no").with_place(Some(Place { line, column })).with_hint("yes");
        in_statement(&error, pieces.last().unwrap(), Some("a.sql"))
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        let text = "SELECT 1; SELECT pirce\nFROM t;";
        let expected = "\
error: no
  --> a.sql:1:18
   |
 1 | SELECT 1; SELECT pirce
   |                  ^
hint: yes
";
        assert_eq!(report(text, 1, 8), expected);
        assert!(report(text, 2, 6).contains("a.sql:2:6\n   |\n 2 | FROM t\n   |      ^\n"));
    }

    #[test]
    fn wide_characters_and_tabs_move_it() {
        let report = report("SELECT\n\t'日本é', x", 2, 9);
        assert!(report.contains(" 2 |     '日本é', x\n   |              ^\n"), "{report}");
    }

    #[test]
    fn long_lines_are_cut_around_it() {
        let text = format!("SELECT '{}', x, '{}'", "a".repeat(1_000), "b".repeat(1_000));
        let report = report(&text, 1, 1_012);
        let lines: Vec<&str> = report.lines().collect();
        assert_eq!(lines[3].find("x, 'b"), lines[4].find('^'));
        assert!(lines[3].len() < 2 * CONTEXT_CHARACTERS + 10);
    }

    #[test]
    fn without_a_place_the_statement_is_named() {
        let pieces = statements("SELECT 1;\n  SELECT 2").unwrap();
        let error = Error::Limit("too much".into());
        assert_eq!(in_statement(&error, &pieces[1], Some("-c")), "error: too much\n  --> -c:2:3\n");
        assert_eq!(in_statement(&error, &pieces[1], None), "error: too much\n");
    }
}
