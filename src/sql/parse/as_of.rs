//! `FROM t AS OF OFFSET 12` and `FROM t AS OF TIMESTAMP '...'`, in words that the parser reads.
//!
//! ```text
//! t AS OF OFFSET 12 x             t FOR SYSTEM_TIME AS OF "\u{1}offset"(12) x
//! t AS OF TIMESTAMP '...'         t FOR SYSTEM_TIME AS OF TIMESTAMP '...'
//! ```

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

/// The call around an offset.
pub const OFFSET: &str = "\u{1}offset";

/// The tokens with each AS OF as the parser reads it.
pub fn read_as_of(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| is_word(token, "OF")) {
        return tokens;
    }
    let mut taken: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let next = |at: usize| (at + 1..tokens.len()).find(|at| !is_space(&tokens[*at]));
        let of = next(at).filter(|of| keyword(token) == Some(Keyword::AS) && is_word(&tokens[*of], "OF"));
        let kind = of.and_then(next).filter(|kind| {
            matches!(keyword(&tokens[*kind]), Some(Keyword::OFFSET | Keyword::TIMESTAMP | Keyword::TIMESTAMPTZ))
        });
        let (Some(of), Some(kind)) = (of, kind) else {
            taken.push(token.clone());
            at += 1;
            continue;
        };
        let span = token.span;
        let mut put = |token: Token| taken.push(TokenWithSpan { token, span });
        let said = tokens[..at].iter().rev().find(|token| !is_space(token));
        if said.and_then(keyword) != Some(Keyword::SYSTEM_TIME) {
            for word in ["FOR", "SYSTEM_TIME"] {
                put(Token::make_keyword(word));
                put(Token::Whitespace(Whitespace::Space));
            }
        }
        taken.extend(tokens[at..=of].iter().cloned());
        at = of + 1;
        if keyword(&tokens[kind]) != Some(Keyword::OFFSET) {
            continue;
        }
        let first = next(kind);
        let negated = first.filter(|at| tokens[*at].token == Token::Minus);
        let Some(value) = negated.map_or(first, next) else { continue };
        let word = |token: Token| TokenWithSpan { token, span: tokens[kind].span };
        taken.push(word(Token::Whitespace(Whitespace::Space)));
        taken.push(word(Token::make_word(OFFSET, Some('"'))));
        taken.push(word(Token::LParen));
        taken.extend(negated.map(|at| tokens[at].clone()));
        taken.push(tokens[value].clone());
        taken.push(word(Token::RParen));
        at = value + 1;
    }
    taken
}

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

fn keyword(token: &TokenWithSpan) -> Option<Keyword> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

fn is_word(token: &TokenWithSpan, text: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;
    use crate::sql::dialect::PLAIN;

    #[test]
    fn moments_are_read_in_each_form() {
        for (text, read_as) in [
            ("v AS OF OFFSET 12 x", "v FOR SYSTEM_TIME AS OF \"offset\"(12) x"),
            ("v for system_time as of offset $1", "v for system_time as of \"offset\"($1)"),
            ("v AS OF TIMESTAMP '2026-01-01'", "v FOR SYSTEM_TIME AS OF TIMESTAMP '2026-01-01'"),
            ("v FOR SYSTEM_TIME AS OF TIMESTAMP 'x'", "v FOR SYSTEM_TIME AS OF TIMESTAMP 'x'"),
            ("v FOR SYSTEM_TIME AS OF o.ts AS r", "v FOR SYSTEM_TIME AS OF o.ts AS r"),
            ("v AS of WHERE of.x = 1 OFFSET 2", "v AS of WHERE of.x = 1 OFFSET 2"),
        ] {
            let tokens = Tokenizer::new(&PLAIN, text).tokenize_with_location().unwrap();
            let read: String = read_as_of(tokens).iter().map(|token| token.token.to_string()).collect();
            assert_eq!(read.replace('\u{1}', ""), read_as, "{text}");
        }
    }
}
