//! Cuts a text into statements, without understanding them.
//!
//! ```text
//! text    = { blank | comment | statement | command }
//! statement ends at the first `;` outside strings, quoted identifiers, comments and dollar quotes
//! command   is a line that starts with `.` where a statement could start (only if asked for)
//! ```
//!
//! The text may arrive in pieces (a pipe, a terminal): the splitter keeps what is not yet a statement.
//! It never fails: a string left open is part of the last, incomplete statement, and the parser says so.

use crate::error::{Error, Place, Result};

/// The most bytes one statement may have; a longer one is refused before it is parsed.
pub const STATEMENT_BYTES_MAX: usize = 16 << 20;

/// How much of the line before a statement is kept to show where an error is.
const LINE_BYTES_KEPT: usize = 512;

/// Text already cut is let go once there is this much of it.
const COMPACT_BYTES: usize = 1 << 16;

/// What a stretch of SQL text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Blanks and line ends.
    Blank,
    /// `-- ...` or `/* ... */`, nested.
    Comment,
    /// `'...'`, `E'...'` or `$tag$...$tag$`.
    Text,
    /// `"..."` or `` `...` ``.
    QuotedName,
    /// A keyword or a plain name.
    Word,
    /// Digits, with a point or an exponent.
    Number,
    /// `;`
    Semicolon,
    /// Any other character.
    Symbol,
}

/// The first token of a text that is not empty: what it is, how many bytes it has, and whether its end was seen
/// (only comments and quotes can lack it).
pub fn token(text: &str) -> (Token, usize, bool) {
    let bytes = text.as_bytes();
    let first = text.chars().next().expect("the caller checked that the text is not empty");
    match (bytes[0], bytes.get(1)) {
        (b'-', Some(b'-')) => (Token::Comment, text.find('\n').unwrap_or(text.len()), true),
        (b'/', Some(b'*')) => block_comment(bytes),
        (b'\'', _) => quoted(bytes, 0, false, Token::Text),
        (b'e' | b'E', Some(b'\'')) => quoted(bytes, 1, true, Token::Text),
        (b'"' | b'`', _) => quoted(bytes, 0, false, Token::QuotedName),
        (b'$', _) => dollar_quote(text),
        (b';', _) => (Token::Semicolon, 1, true),
        (b'0'..=b'9', _) => (Token::Number, number_length(bytes), true),
        _ if first.is_whitespace() => (Token::Blank, length_while(text, char::is_whitespace), true),
        _ if first.is_alphabetic() || first == '_' => {
            (Token::Word, length_while(text, |c| c.is_alphanumeric() || matches!(c, '_' | '$' | '#' | '@')), true)
        }
        _ => (Token::Symbol, first.len_utf8(), true),
    }
}

fn length_while(text: &str, keep: impl Fn(char) -> bool) -> usize {
    text.find(|c| !keep(c)).unwrap_or(text.len())
}

/// A number may hold letters (`0xff`, `1e9`); a sign belongs to it after an exponent.
fn number_length(bytes: &[u8]) -> usize {
    let mut end = 1;
    while let Some(byte) = bytes.get(end) {
        let sign_of_exponent = matches!(byte, b'+' | b'-')
            && matches!(bytes[end - 1], b'e' | b'E')
            && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || sign_of_exponent) {
            break;
        }
        end += 1;
    }
    end
}

fn block_comment(bytes: &[u8]) -> (Token, usize, bool) {
    let (mut at, mut depth) = (2, 1);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (at, depth) = (at + 2, depth + 1),
            b"*/" => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return (Token::Comment, at, true);
        }
    }
    (Token::Comment, bytes.len(), false)
}

/// A doubled quote inside is a quote; it may be read as the end of one string and the start of the next.
fn quoted(bytes: &[u8], prefix: usize, backslash: bool, token: Token) -> (Token, usize, bool) {
    let quote = bytes[prefix];
    let mut at = prefix + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if backslash => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return (token, at + 1, true),
            _ => at += 1,
        }
    }
    (token, bytes.len(), false)
}

/// `$tag$ ... $tag$`; a `$` that opens no such quote is a symbol (`$1` is a parameter).
fn dollar_quote(text: &str) -> (Token, usize, bool) {
    let tag = length_while(&text[1..], |c| c.is_alphanumeric() || c == '_');
    let Some(delimiter) = text.get(..tag + 2).filter(|d| d.ends_with('$')) else {
        return (Token::Symbol, 1, true);
    };
    match text[delimiter.len()..].find(delimiter) {
        Some(at) => (Token::Text, at + 2 * delimiter.len(), true),
        None => (Token::Text, text.len(), false),
    }
}

/// Whether a piece is for the engine or for the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One SQL statement.
    Statement,
    /// One line of the shell's own, such as `.mode csv`.
    Command,
}

/// A statement or a command, with its place in the whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// Where its first character stands in the whole text.
    pub start: Place,
    /// Whether its end was seen: the `;` of a statement.
    pub complete: bool,
    /// The text with what stands before it on its first line.
    source: String,
    text_from: usize,
}

impl Piece {
    /// The statement without its `;`, from its first word on; or the command's line.
    pub fn text(&self) -> &str {
        &self.source[self.text_from..]
    }

    /// A place within [`Piece::text`] as a place in the whole text.
    pub fn place(&self, within: Place) -> Place {
        let before = if within.line <= 1 { self.start.column - 1 } else { 0 };
        Place { line: self.start.line + within.line.saturating_sub(1), column: within.column + before }
    }

    /// The source line of a place in the whole text, and the column that line's text begins at: 1, or more where a
    /// very long line was cut. What follows the piece on its last line is not there.
    pub fn line(&self, place: Place) -> Option<(&str, u64)> {
        let index = usize::try_from(place.line.checked_sub(self.start.line)?).ok()?;
        let line = self.source.split('\n').nth(index)?.trim_end_matches('\r');
        let before = self.source[..self.text_from].chars().count() as u64;
        Some((line, if index == 0 { self.start.column - before } else { 1 }))
    }
}

/// Cuts text that arrives in parts into [`Piece`]s.
#[derive(Debug)]
pub struct Splitter {
    commands: bool,
    ended: bool,
    text: String,
    /// Bytes of `text` that were looked at; a token starts here.
    at: usize,
    /// The place of `at` in the whole text.
    here: Place,
    /// Where the line of `at` starts in `text`.
    line_from: usize,
    begun: Option<Begun>,
}

/// The start of a statement that has not ended yet.
#[derive(Debug, Clone, Copy)]
struct Begun {
    at: usize,
    line_from: usize,
    place: Place,
}

impl Splitter {
    /// Statements only: what the library reads.
    pub fn statements() -> Self {
        let here = Place { line: 1, column: 1 };
        Splitter { commands: false, ended: false, text: String::new(), at: 0, here, line_from: 0, begun: None }
    }

    /// Statements and the shell's commands.
    pub fn with_commands() -> Self {
        Splitter { commands: true, ..Splitter::statements() }
    }

    /// Adds text. It must end where a line ends, or be the last.
    pub fn push(&mut self, text: &str) {
        if self.begun.is_none() && self.at > COMPACT_BYTES && self.at > self.text.len() / 2 {
            let cut = self.text.floor_char_boundary(self.at.saturating_sub(LINE_BYTES_KEPT));
            self.text.drain(..cut);
            self.at -= cut;
            self.line_from = self.line_from.saturating_sub(cut);
        }
        self.text.push_str(text);
    }

    /// Says that no more text comes: what is left is the last piece.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether a statement has begun and not ended; to be asked when [`Splitter::next_piece`] has nothing more.
    pub fn pending(&self) -> bool {
        self.begun.is_some() || self.at < self.text.len()
    }

    /// The next piece, or nothing until more text comes.
    ///
    /// # Errors
    /// [`Error::Limit`] when a statement is longer than [`STATEMENT_BYTES_MAX`]; the rest cannot be cut then.
    pub fn next_piece(&mut self) -> Result<Option<Piece>> {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            if self.commands && self.begun.is_none() && rest.starts_with('.') {
                let line = rest.lines().next().map_or(0, str::len);
                return self.piece(Kind::Command, line, true).map(Some);
            }
            let (token, length, closed) = token(rest);
            if !closed && !self.ended {
                break;
            }
            match token {
                Token::Semicolon if self.begun.is_some() => {
                    let piece = self.piece(Kind::Statement, 0, true);
                    self.advance(length);
                    return piece.map(Some);
                }
                Token::Semicolon | Token::Blank => {}
                Token::Comment if closed => {}
                _ => {
                    self.begin();
                }
            }
            self.advance(length);
        }
        if self.ended && self.begun.is_some() {
            return self.piece(Kind::Statement, 0, false).map(Some);
        }
        check_length(self.text.len() - self.begun.map_or(self.at, |b| b.at))?;
        Ok(None)
    }

    fn begin(&mut self) -> Begun {
        *self.begun.get_or_insert(Begun { at: self.at, line_from: self.line_from, place: self.here })
    }

    /// Ends the statement that has begun, or takes the next `length` bytes.
    fn piece(&mut self, kind: Kind, length: usize, complete: bool) -> Result<Piece> {
        let begun = self.begin();
        self.begun = None;
        self.advance(length);
        let text = self.text[begun.at..self.at].trim_end();
        check_length(text.len())?;
        let from = begun.line_from.max(self.text.floor_char_boundary(begun.at.saturating_sub(LINE_BYTES_KEPT)));
        let source = self.text[from..begun.at + text.len()].to_string();
        Ok(Piece { kind, start: begun.place, complete, source, text_from: begun.at - from })
    }

    fn advance(&mut self, length: usize) {
        let passed = &self.text[self.at..self.at + length];
        match passed.rfind('\n') {
            None => self.here.column += passed.chars().count() as u64,
            Some(last) => {
                self.here.line += passed.matches('\n').count() as u64;
                self.here.column = 1 + passed[last + 1..].chars().count() as u64;
                self.line_from = self.at + last + 1;
            }
        }
        self.at += length;
    }
}

/// The statements of a text, in order; the last may lack its `;`.
///
/// # Errors
/// [`Error::Limit`] when a statement is longer than [`STATEMENT_BYTES_MAX`].
pub fn statements(text: &str) -> Result<Vec<Piece>> {
    let mut splitter = Splitter::statements();
    splitter.push(text);
    splitter.end();
    std::iter::from_fn(|| splitter.next_piece().transpose()).collect()
}

fn check_length(bytes: usize) -> Result<()> {
    if bytes <= STATEMENT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::Limit(format!("a statement of {bytes} bytes is longer than the limit of {STATEMENT_BYTES_MAX}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        statements(text).unwrap().iter().map(|p| p.text().to_string()).collect()
    }

    #[test]
    fn cuts_only_outside_quotes_and_comments() {
        assert_eq!(
            texts("SELECT ';', \"a;b\", `;` -- ; here\n, 1; /* ; /* ; */ ; */ SELECT $$;$$, $t$ ; $$ $t$;;\nSELECT 3"),
            ["SELECT ';', \"a;b\", `;` -- ; here\n, 1", "SELECT $$;$$, $t$ ; $$ $t$", "SELECT 3"]
        );
        assert_eq!(
            texts(r"SELECT E'\';', 'it''s;', $1; SELECT '\'; SELECT a$b$c"),
            [r"SELECT E'\';', 'it''s;', $1", r"SELECT '\'", "SELECT a$b$c"]
        );
        assert_eq!(texts(" ;; -- nothing\n /* nothing */ ;"), Vec::<String>::new());
    }

    #[test]
    fn what_is_left_open_is_the_last_statement() {
        assert_eq!(texts("SELECT 1; SELECT 'a; b\nc;"), ["SELECT 1", "SELECT 'a; b\nc;"]);
        assert_eq!(texts("/* open; "), ["/* open;"]);
        assert!(!statements("SELECT 1").unwrap()[0].complete);
        assert!(statements("SELECT 1 ;").unwrap()[0].complete);
    }

    #[test]
    fn places_count_characters_of_the_whole_text() {
        let pieces = statements("-- first\nSELECT 'é'; SELECT\n  x;").unwrap();
        assert_eq!(pieces[1].start, Place { line: 2, column: 13 });
        assert_eq!(pieces[1].place(Place { line: 1, column: 8 }), Place { line: 2, column: 20 });
        let x = pieces[1].place(Place { line: 2, column: 3 });
        assert_eq!(x, Place { line: 3, column: 3 });
        assert_eq!(pieces[1].line(x), Some(("  x", 1)));
        assert_eq!(pieces[1].line(pieces[1].start), Some(("SELECT 'é'; SELECT", 1)));
    }

    #[test]
    fn text_may_come_line_by_line() {
        let mut splitter = Splitter::with_commands();
        let mut seen = Vec::new();
        for line in [".mode csv\n", "SELECT 'a\n", ".5;'\n", "; .print ok;\n", "SELECT\n", "2"] {
            splitter.push(line);
            while let Some(piece) = splitter.next_piece().unwrap() {
                seen.push(format!("{:?} {} {}", piece.kind, piece.start.line, piece.text()));
            }
        }
        assert!(splitter.pending());
        splitter.end();
        seen.push(splitter.next_piece().unwrap().unwrap().text().to_string());
        assert!(!splitter.pending());
        assert_eq!(seen, ["Command 1 .mode csv", "Statement 2 SELECT 'a\n.5;'", "Command 4 .print ok;", "SELECT\n2"]);
    }

    #[test]
    fn many_statements_on_one_line_stay_small() {
        let mut splitter = Splitter::statements();
        let (mut count, mut last) = (0, None);
        for _ in 0..2_000 {
            splitter.push(&"SELECT 'ä';".repeat(10));
            while let Some(piece) = splitter.next_piece().unwrap() {
                assert!(piece.source.len() < 2 * LINE_BYTES_KEPT);
                count += 1;
                last = Some(piece);
            }
        }
        let last = last.unwrap();
        assert_eq!((count, last.start.column), (20_000, 19_999 * 11 + 1));
        let (line, column) = last.line(last.start).unwrap();
        assert_eq!(column + line.chars().count() as u64, last.start.column + 10);
        assert!(splitter.text.len() < 2 * COMPACT_BYTES + 1_000);
    }

    #[test]
    fn too_long_a_statement_is_refused() {
        let text = format!("SELECT '{}", "x".repeat(STATEMENT_BYTES_MAX));
        assert!(matches!(statements(&text), Err(Error::Limit(_))));
        let mut splitter = Splitter::statements();
        splitter.push(&text);
        assert!(matches!(splitter.next_piece(), Err(Error::Limit(_))));
    }
}
