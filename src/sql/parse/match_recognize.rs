//! What the parser does not read of MATCH_RECOGNIZE, put in words that it does.
//!
//! ```text
//! PATTERN (A+? B?)                   question marks as the parser knows them
//! AFTER MATCH SKIP TO b              ... TO LAST b
//! WITHIN INTERVAL '1' HOUR           DEFINE "\u{1}within" AS (INTERVAL '1' HOUR), ...
//! SUBSET u = (a, b)                  DEFINE "\u{1}subset u" AS (a, b), ...
//! FINAL last(a.x)                    "\u{1}final"(last(a.x))
//! count(a.*)                         count(a."\u{1}row")
//! ```

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use crate::error::{Error, Place, Result};

/// The name of the definition that is the time of WITHIN.
pub const WITHIN: &str = "\u{1}within";
/// How the name of a definition begins that is a subset.
pub const SUBSET: &str = "\u{1}subset ";
/// The function that FINAL is.
pub const FINAL: &str = "\u{1}final";
/// The function that RUNNING is.
pub const RUNNING: &str = "\u{1}running";
/// The column that stands for whole rows.
pub const ROW: &str = "\u{1}row";

/// Brackets within each other in a pattern: the parser recurses over them.
const PATTERN_DEPTH_MAX: usize = 64;

/// The tokens with each MATCH_RECOGNIZE in words that the parser knows.
///
/// # Errors
/// For a clause that ends nowhere, and [`Error::Limit`] for brackets in brackets.
pub fn read_matches(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    if !tokens.iter().any(|token| is_word(token, "MATCH_RECOGNIZE")) {
        return Ok(tokens);
    }
    let mut reader = Reader { tokens, at: 0, taken: Vec::new() };
    while let Some(token) = reader.tokens.get(reader.at) {
        let begins = is_word(token, "MATCH_RECOGNIZE") && reader.next_after(reader.at) == Some(&Token::LParen);
        reader.keep();
        if begins {
            while !reader.is(&Token::LParen) {
                reader.keep();
            }
            reader.keep();
            reader.clauses()?;
        }
    }
    Ok(reader.taken)
}

fn is_word(token: &TokenWithSpan, wanted: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

struct Reader {
    tokens: Vec<TokenWithSpan>,
    at: usize,
    taken: Vec<TokenWithSpan>,
}

impl Reader {
    /// Reads up to the bracket that closes the clause.
    fn clauses(&mut self) -> Result<()> {
        let (mut depth, mut moved) = (0_usize, Vec::new());
        while let Some(token) = self.tokens.get(self.at) {
            match &token.token {
                Token::LParen => depth += 1,
                Token::RParen if depth == 0 => break,
                Token::RParen => depth -= 1,
                _ if depth == 0 && is_word(token, "PATTERN") && self.next_after(self.at) == Some(&Token::LParen) => {
                    self.pattern()?;
                    continue;
                }
                _ if depth == 0 && is_word(token, "WITHIN") => {
                    self.within(&mut moved);
                    continue;
                }
                _ if depth == 0 && is_word(token, "SUBSET") => {
                    self.subsets(&mut moved)?;
                    continue;
                }
                _ if depth == 0 && is_word(token, "DEFINE") => {
                    self.keep();
                    self.taken.append(&mut moved);
                    continue;
                }
                Token::Mul if self.taken.last().is_some_and(|last| last.token == Token::Period) => {
                    let span = token.span;
                    self.taken.push(TokenWithSpan { token: Token::make_word(ROW, Some('"')), span });
                    self.at += 1;
                    continue;
                }
                _ if is_word(token, "SKIP") => {
                    self.skip();
                    continue;
                }
                _ if (is_word(token, "FINAL") || is_word(token, "RUNNING")) && self.is_before_call() => {
                    self.whole();
                    continue;
                }
                _ => {}
            }
            self.keep();
        }
        match moved.is_empty() {
            true => Ok(()),
            false => Err(Error::input("MATCH_RECOGNIZE has no DEFINE behind its PATTERN").with_place(self.place())),
        }
    }

    /// The pattern, with its question marks as the parser reads them.
    fn pattern(&mut self) -> Result<()> {
        self.keep();
        let mut depth = 0_usize;
        while let Some(token) = self.tokens.get(self.at).cloned() {
            let of = |token: Token| TokenWithSpan { token, span: self.tokens[self.at].span };
            match &token.token {
                Token::LParen if depth >= PATTERN_DEPTH_MAX => {
                    return Err(Error::Limit(format!(
                        "the pattern has more brackets within each other than the limit of {PATTERN_DEPTH_MAX}"
                    )));
                }
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                Token::LBrace if self.next_after(self.at) == Some(&Token::Minus) => {
                    let error = Error::unsupported("PATTERN with `{- ... -}`");
                    let hint = "a WHERE over ALL ROWS PER MATCH and CLASSIFIER() leaves rows out";
                    return Err(error.with_hint(hint).with_place(self.place()));
                }
                Token::Question => {
                    self.taken.push(of(Token::Placeholder("?".into())));
                    self.at += 1;
                    continue;
                }
                Token::QuestionPipe => {
                    let both = [of(Token::Placeholder("?".into())), of(Token::Pipe)];
                    self.taken.extend(both);
                    self.at += 1;
                    continue;
                }
                Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("PERMUTE") => {
                    self.taken.push(of(Token::make_word("PERMUTE", None)));
                    self.at += 1;
                    continue;
                }
                _ => {}
            }
            self.keep();
            if depth == 0 && token.token == Token::RParen {
                break;
            }
        }
        Ok(())
    }

    /// `WITHIN expression`, as a definition.
    fn within(&mut self, moved: &mut Vec<TokenWithSpan>) {
        self.define(WITHIN.into(), moved);
        self.bracket(Token::LParen, moved);
        let mut depth = 0_usize;
        while let Some(token) = self.tokens.get(self.at) {
            let ends = matches!(&token.token, Token::RParen if depth == 0);
            if ends || is_word(token, "DEFINE") || is_word(token, "SUBSET") {
                break;
            }
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            moved.push(token.clone());
            self.at += 1;
        }
        self.bracket(Token::RParen, moved);
        self.bracket(Token::Comma, moved);
    }

    /// `SUBSET a = (b, c), ...`, as definitions.
    fn subsets(&mut self, moved: &mut Vec<TokenWithSpan>) -> Result<()> {
        self.at += 1;
        loop {
            self.pass();
            let place = self.place();
            let wrong = || Error::input("SUBSET takes `name = (variable, ...)`").with_place(place);
            let Some(Token::Word(name)) = self.tokens.get(self.at).map(|token| token.token.clone()) else {
                return Err(wrong());
            };
            let name = if name.quote_style.is_some() { name.value } else { name.value.to_lowercase() };
            if self.next_after(self.at) != Some(&Token::Eq) {
                return Err(wrong());
            }
            self.define(format!("{SUBSET}{name}"), moved);
            self.pass();
            self.at += 1;
            self.pass();
            if !self.is(&Token::LParen) {
                return Err(wrong());
            }
            loop {
                let Some(token) = self.tokens.get(self.at).cloned() else { return Err(wrong()) };
                let ends = token.token == Token::RParen;
                moved.push(token);
                self.at += 1;
                if ends {
                    break;
                }
            }
            self.bracket(Token::Comma, moved);
            self.pass();
            if !self.is(&Token::Comma) {
                return Ok(());
            }
            self.at += 1;
        }
    }

    /// `"name" AS`, in the place of the token that is next.
    fn define(&mut self, name: String, moved: &mut Vec<TokenWithSpan>) {
        let span = self.tokens[self.at].span;
        let words = [Token::make_word(&name, Some('"')), Token::make_keyword("AS")];
        for token in words {
            moved.push(TokenWithSpan { token, span });
            moved.push(TokenWithSpan { token: Token::Whitespace(Whitespace::Space), span });
        }
        self.at += 1;
    }

    fn bracket(&self, token: Token, moved: &mut Vec<TokenWithSpan>) {
        let span = self.tokens[self.at.min(self.tokens.len() - 1)].span;
        moved.push(TokenWithSpan { token, span });
    }

    /// `SKIP TO name`.
    fn skip(&mut self) {
        self.keep();
        self.keep_spaces();
        if !self.tokens.get(self.at).is_some_and(|token| is_word(token, "TO")) {
            return;
        }
        self.keep();
        self.keep_spaces();
        if let Some(token) = self.tokens.get(self.at)
            && !["NEXT", "FIRST", "LAST"].iter().any(|word| is_word(token, word))
        {
            let span = token.span;
            self.taken.push(TokenWithSpan { token: Token::make_keyword("LAST"), span });
            self.taken.push(TokenWithSpan { token: Token::Whitespace(Whitespace::Space), span });
        }
    }

    /// Whether a name and a bracket stand behind the next token.
    fn is_before_call(&self) -> bool {
        let Some(name) = self.place_after(self.at) else { return false };
        matches!(self.tokens[name].token, Token::Word(_)) && self.next_after(name) == Some(&Token::LParen)
    }

    /// FINAL, or RUNNING, and a call.
    fn whole(&mut self) {
        let TokenWithSpan { token, span } = self.tokens[self.at].clone();
        let is_final = matches!(token, Token::Word(word) if word.value.eq_ignore_ascii_case("FINAL"));
        let name = Token::make_word(if is_final { FINAL } else { RUNNING }, Some('"'));
        self.taken.push(TokenWithSpan { token: name, span });
        self.taken.push(TokenWithSpan { token: Token::LParen, span });
        self.at += 1;
        let mut depth = 0_usize;
        while let Some(token) = self.tokens.get(self.at) {
            let span = token.span;
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            let ends = depth == 0 && token.token == Token::RParen;
            self.keep();
            if ends {
                self.taken.push(TokenWithSpan { token: Token::RParen, span });
                break;
            }
        }
    }

    fn keep(&mut self) {
        self.taken.extend(self.tokens.get(self.at).cloned());
        self.at += 1;
    }

    fn keep_spaces(&mut self) {
        while self.tokens.get(self.at).is_some_and(|token| matches!(token.token, Token::Whitespace(_))) {
            self.keep();
        }
    }

    /// Passes over spaces.
    fn pass(&mut self) {
        while self.tokens.get(self.at).is_some_and(|token| matches!(token.token, Token::Whitespace(_))) {
            self.at += 1;
        }
    }

    fn is(&self, wanted: &Token) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.token == *wanted)
    }

    fn place_after(&self, at: usize) -> Option<usize> {
        (at + 1..self.tokens.len()).find(|at| !matches!(self.tokens[*at].token, Token::Whitespace(_)))
    }

    fn next_after(&self, at: usize) -> Option<&Token> {
        self.place_after(at).map(|at| &self.tokens[at].token)
    }

    fn place(&self) -> Option<Place> {
        let start = self.tokens.get(self.at).or(self.tokens.last())?.span.start;
        Some(Place { line: start.line, column: start.column })
    }
}
