//! Calls of TUMBLE, HOP, CUMULATE and SESSION in FROM, put in words that the parser knows.
//!
//! ```text
//! TUMBLE(TABLE s, DESCRIPTOR(ts), ...)                 TUMBLE((SELECT * FROM s), DESCRIPTOR(ts), ...)
//! tumble(s, ts, ...)                                   tumble((SELECT * FROM s), ts, ...)
//! TUMBLE(DATA => TABLE s, ...)                         TUMBLE(DATA => (SELECT * FROM s), ...)
//! SESSION(TABLE s PARTITION BY a, b, DESCRIPTOR(ts))   SESSION((SELECT * FROM s), "\u{1}keys"(a, b), DESCRIPTOR(ts))
//! ```

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Whitespace};

/// The call that has the keys of PARTITION BY.
pub const KEYS: &str = "\u{1}keys";
/// The functions that give rows their windows.
pub const WINDOWS: [&str; 4] = ["tumble", "hop", "cumulate", "session"];

/// The tokens with each call in words that the parser knows.
pub fn read_time_windows(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(is_window) {
        return tokens;
    }
    let mut reader = Reader { tokens, at: 0, taken: Vec::new() };
    let mut open = vec![Bracket::default()];
    while let Some(token) = reader.tokens.get(reader.at) {
        let in_from = open.last().is_some_and(|bracket| bracket.in_from);
        if is_window(token) && reader.is_call() && reader.stands_for_table(in_from) {
            reader.keep();
            reader.keep_until(&Token::LParen);
            reader.keep();
            open.push(Bracket::default());
            if reader.data() {
                open.push(Bracket { has_rows: true, in_from: false });
            }
            continue;
        }
        let (token, keyword) = (token.token.clone(), keyword(token));
        reader.keep();
        let in_from = match (token, keyword) {
            (Token::LParen, _) => {
                open.push(Bracket::default());
                continue;
            }
            (Token::RParen, _) => {
                if open.len() > 1 && open.pop().is_some_and(|bracket| bracket.has_rows) {
                    reader.keys_if_any();
                }
                continue;
            }
            (_, Some(Keyword::FROM | Keyword::JOIN)) => true,
            (_, Some(Keyword::SELECT | Keyword::WHERE | Keyword::GROUP | Keyword::ORDER | Keyword::HAVING)) => false,
            _ => in_from,
        };
        if let Some(bracket) = open.last_mut() {
            bracket.in_from = in_from;
        }
    }
    reader.taken
}

/// A bracket that is open.
#[derive(Default)]
struct Bracket {
    /// Whether it has the rows of a call, behind which PARTITION BY may stand.
    has_rows: bool,
    /// Whether what is read is in FROM.
    in_from: bool,
}

fn is_window(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none()
        && WINDOWS.iter().any(|name| word.value.eq_ignore_ascii_case(name)))
}

fn keyword(token: &TokenWithSpan) -> Option<Keyword> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

struct Reader {
    tokens: Vec<TokenWithSpan>,
    at: usize,
    taken: Vec<TokenWithSpan>,
}

impl Reader {
    /// Whether a bracket stands behind the next token.
    fn is_call(&self) -> bool {
        self.after(self.at).is_some_and(|token| token.token == Token::LParen)
    }

    /// Whether what comes next is where FROM has a table.
    fn stands_for_table(&self, in_from: bool) -> bool {
        let mut before = self.tokens[..self.at].iter().rev().filter(|token| !is_space(token));
        let Some(last) = before.next() else { return false };
        match (&last.token, keyword(last)) {
            (_, Some(Keyword::FROM | Keyword::JOIN)) => true,
            (Token::Comma, _) => in_from,
            (Token::LParen, _) => before.next().is_some_and(|token| keyword(token) == Some(Keyword::TABLE)),
            _ => false,
        }
    }

    /// The first argument, the rows that get windows, with their keys. Whether it stands in a bracket, which is then open.
    fn data(&mut self) -> bool {
        self.keep_spaces();
        if self.tokens.get(self.at).is_some_and(|token| matches!(token.token, Token::Word(_)))
            && self.after(self.at).is_some_and(|token| matches!(token.token, Token::RArrow | Token::Assignment))
        {
            self.keep();
            self.keep_spaces();
            self.keep();
            self.keep_spaces();
        }
        if self.is(Keyword::TABLE) {
            self.at += 1;
            self.keep_spaces();
        }
        match self.tokens.get(self.at).map(|token| &token.token) {
            Some(Token::LParen) => {
                self.keep();
                true
            }
            Some(Token::Word(_)) => {
                self.name();
                self.keys_if_any();
                false
            }
            // The parser says what is wrong.
            _ => false,
        }
    }

    /// PARTITION BY behind the rows.
    fn keys_if_any(&mut self) {
        let Some(next) = (self.at..self.tokens.len()).find(|at| !is_space(&self.tokens[*at])) else { return };
        if keyword(&self.tokens[next]) == Some(Keyword::PARTITION)
            && self.after(next).and_then(keyword) == Some(Keyword::BY)
        {
            self.at = next;
            self.keys();
        }
    }

    /// A name, as a query of all its rows.
    fn name(&mut self) {
        let span = self.tokens[self.at].span;
        let space = Token::Whitespace(Whitespace::Space);
        let words = [
            Token::make_keyword("SELECT"),
            space.clone(),
            Token::Mul,
            space.clone(),
            Token::make_keyword("FROM"),
            space,
        ];
        self.put(Token::LParen, span);
        words.into_iter().for_each(|token| self.put(token, span));
        while self.tokens.get(self.at).is_some_and(|token| matches!(token.token, Token::Word(_))) {
            self.keep();
            if self.tokens.get(self.at).is_none_or(|token| token.token != Token::Period) {
                break;
            }
            self.keep();
        }
        self.put(Token::RParen, span);
    }

    /// `PARTITION BY a, b` up to what is no key.
    fn keys(&mut self) {
        let span = self.tokens[self.at].span;
        self.put(Token::Comma, span);
        self.put(Token::make_word(KEYS, Some('"')), span);
        self.put(Token::LParen, span);
        self.at += 1;
        while self.is_space() {
            self.at += 1;
        }
        self.at += 1;
        let mut depth = 0_usize;
        while let Some(token) = self.tokens.get(self.at) {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen if depth == 0 => break,
                Token::RParen => depth -= 1,
                Token::Comma if depth == 0 && self.is_other_argument() => break,
                _ => {}
            }
            self.keep();
        }
        self.put(Token::RParen, span);
    }

    /// Whether DESCRIPTOR, or an argument with a name, stands behind the comma that is next.
    fn is_other_argument(&self) -> bool {
        let mut behind = self.tokens[self.at + 1..].iter().filter(|token| !is_space(token));
        let (first, second) = (behind.next(), behind.next());
        let is_descriptor = first.is_some_and(
            |token| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case("descriptor")),
        );
        is_descriptor || second.is_some_and(|token| matches!(token.token, Token::RArrow | Token::Assignment))
    }

    fn put(&mut self, token: Token, span: Span) {
        self.taken.push(TokenWithSpan { token, span });
    }

    fn keep(&mut self) {
        self.taken.extend(self.tokens.get(self.at).cloned());
        self.at += 1;
    }

    fn keep_until(&mut self, wanted: &Token) {
        while self.tokens.get(self.at).is_some_and(|token| token.token != *wanted) {
            self.keep();
        }
    }

    fn keep_spaces(&mut self) {
        while self.is_space() {
            self.keep();
        }
    }

    fn is_space(&self) -> bool {
        self.tokens.get(self.at).is_some_and(is_space)
    }

    fn is(&self, wanted: Keyword) -> bool {
        self.tokens.get(self.at).and_then(keyword) == Some(wanted)
    }

    /// The token behind one, but for spaces.
    fn after(&self, at: usize) -> Option<&TokenWithSpan> {
        self.tokens.get(at + 1..)?.iter().find(|token| !is_space(token))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;
    use crate::sql::dialect::PLAIN;

    fn read(text: &str) -> String {
        let tokens = Tokenizer::new(&PLAIN, text).tokenize_with_location().unwrap();
        read_time_windows(tokens).iter().map(|token| token.token.to_string()).collect::<String>().replace('\u{1}', "")
    }

    #[test]
    fn tables_become_queries() {
        for (text, read_as) in [
            ("FROM TUMBLE(TABLE s, DESCRIPTOR(ts), x)", "FROM TUMBLE( (SELECT * FROM s), DESCRIPTOR(ts), x)"),
            ("FROM a, hop ( s.t , ts)", "FROM a, hop ( (SELECT * FROM s.t) , ts)"),
            ("FROM TABLE(HOP(DATA => TABLE s, SIZE => x))", "FROM TABLE(HOP(DATA =>  (SELECT * FROM s), SIZE => x))"),
            ("JOIN tumble((SELECT a FROM b), ts)", "JOIN tumble((SELECT a FROM b), ts)"),
            (
                "FROM session(TABLE s PARTITION BY a, f(b, c), DESCRIPTOR(ts), x)",
                "FROM session( (SELECT * FROM s),\"keys\"( a, f(b, c)), DESCRIPTOR(ts), x)",
            ),
            ("FROM tumble(tumble(s, ts), ts)", "FROM tumble((SELECT * FROM tumble)(s, ts), ts)"),
            ("SELECT a, hop(x) FROM hop WHERE session(s)", "SELECT a, hop(x) FROM hop WHERE session(s)"),
            (
                "FROM tumble((SELECT * FROM hop(t, ts)) PARTITION BY a, DESCRIPTOR(x))",
                "FROM tumble((SELECT * FROM hop((SELECT * FROM t), ts)),\"keys\"( a), DESCRIPTOR(x))",
            ),
            ("FROM tumble(", "FROM tumble("),
            ("FROM session(TABLE s PARTITION", "FROM session( (SELECT * FROM s) PARTITION"),
        ] {
            assert_eq!(read(text), read_as, "{text}");
        }
    }
}
