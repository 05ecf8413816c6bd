//! Colours of the line being typed.

use millstream::sql::split::{Token, token};

use super::words::is_keyword;

const KEYWORD: &str = "\x1b[1;34m";
const TEXT: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[36m";
const FAINT: &str = "\x1b[90m";
const COMMAND: &str = "\x1b[35m";
const PROMPT: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// The line with colours. `before` are the lines above it: a string may have begun there.
pub fn highlight(before: &str, line: &str) -> String {
    if before.is_empty() && line.trim_start().starts_with('.') {
        return paint(COMMAND, line);
    }
    let text = format!("{before}{line}");
    let mut coloured = String::with_capacity(2 * line.len());
    let mut at = 0;
    while at < text.len() {
        let (kind, length, _) = token(&text[at..]);
        let end = at + length;
        if end > before.len() {
            let shown = &text[at.max(before.len())..end];
            match colour(kind, &text[at..end]) {
                Some(colour) => coloured.push_str(&paint(colour, shown)),
                None => coloured.push_str(shown),
            }
        }
        at = end;
    }
    coloured
}

/// The prompt, set apart.
pub fn prompt(text: &str) -> String {
    paint(PROMPT, text)
}

/// What the user has not typed.
pub fn faint(text: &str) -> String {
    paint(FAINT, text)
}

fn colour(kind: Token, text: &str) -> Option<&'static str> {
    match kind {
        Token::Text => Some(TEXT),
        Token::Number => Some(NUMBER),
        Token::Comment => Some(FAINT),
        Token::Word if is_keyword(text) => Some(KEYWORD),
        Token::Word | Token::QuotedName | Token::Blank | Token::Semicolon | Token::Symbol => None,
    }
}

fn paint(colour: &str, text: &str) -> String {
    format!("{colour}{text}{PLAIN}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(before: &str, line: &str) -> String {
        let coloured = highlight(before, line);
        [(KEYWORD, "<k "), (TEXT, "<t "), (NUMBER, "<n "), (FAINT, "<c "), (COMMAND, "<d "), (PLAIN, ">")]
            .iter()
            .fold(coloured, |text, (code, mark)| text.replace(code, mark))
    }

    #[test]
    fn half_typed_lines_have_colours_too() {
        assert_eq!(marked("", "select a1, 'x;"), "<k select> a1, <t 'x;>");
        assert_eq!(marked("", "SELECT 1.5e-3 -- é"), "<k SELECT> <n 1.5e-3> <c -- é>");
        assert_eq!(marked("", ".mode csv"), "<d .mode csv>");
    }

    #[test]
    fn a_string_goes_on_from_the_line_above() {
        assert_eq!(marked("SELECT 'a\n", "from' FROM t"), "<t from'> <k FROM> t");
        assert_eq!(marked("SELECT 1 /* x\n", ".5"), "<c .5>");
    }
}
