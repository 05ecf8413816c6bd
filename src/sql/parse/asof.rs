//! What the parser does not read of ASOF JOIN, put in words that it does.
//!
//! ```text
//! l LEFT ASOF JOIN r MATCH_CONDITION (c)    l ASOF JOIN r MATCH_CONDITION ("\u{1}left"(c))
//! l ASOF LEFT JOIN r MATCH_CONDITION (c)    the same
//! l ASOF JOIN r ON a AND c                  l ASOF JOIN r MATCH_CONDITION ("\u{1}within_on"()) ON a AND c
//! ```

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

/// The call around the condition of a join that keeps the left rows.
pub const LEFT: &str = "\u{1}left";
/// The call that stands for a condition within ON.
pub const WITHIN_ON: &str = "\u{1}within_on";

/// A join whose condition has not come yet.
struct Join {
    left: bool,
    /// Brackets that were open at its beginning.
    depth: usize,
}

/// The tokens with each ASOF JOIN in words that the parser knows.
pub fn read_asof_joins(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| keyword(token) == Some(Keyword::ASOF)) {
        return tokens;
    }
    let mut taken: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let (mut open, mut depth) = (Vec::<Join>::new(), 0_usize);
    // The brackets behind which a call ends.
    let mut calls: Vec<usize> = Vec::new();
    let (mut left_before, mut at) = (false, 0);
    while let Some(token) = tokens.get(at) {
        let next = |at: usize| (at + 1..tokens.len()).find(|at| !is_space(&tokens[*at]));
        let span = token.span;
        match (&token.token, keyword(token)) {
            (_, Some(Keyword::LEFT)) if next(at).is_some_and(|next| keyword(&tokens[next]) == Some(Keyword::ASOF)) => {
                // ASOF comes next.
                left_before = true;
                at += 1;
                continue;
            }
            (_, Some(Keyword::ASOF)) => {
                open.push(Join { left: std::mem::take(&mut left_before), depth });
                taken.push(token.clone());
                let mut behind = next(at);
                while let Some(word) = behind
                    .filter(|at| matches!(keyword(&tokens[*at]), Some(Keyword::LEFT | Keyword::OUTER | Keyword::INNER)))
                {
                    if keyword(&tokens[word]) == Some(Keyword::LEFT)
                        && let Some(join) = open.last_mut()
                    {
                        join.left = true;
                    }
                    taken.extend(tokens[at + 1..word].iter().cloned());
                    at = word;
                    behind = next(word);
                }
                at += 1;
                continue;
            }
            (_, Some(Keyword::MATCH_CONDITION)) if open.last().is_some_and(|join| join.depth == depth) => {
                let join = open.pop();
                taken.push(token.clone());
                at += 1;
                if let Some(bracket) =
                    next(at - 1).filter(|at| tokens[*at].token == Token::LParen && join.is_some_and(|join| join.left))
                {
                    taken.push(tokens[bracket].clone());
                    put_call(&mut taken, LEFT, tokens[bracket].span);
                    depth += 1;
                    calls.push(depth);
                    at = bracket + 1;
                }
                continue;
            }
            (_, Some(Keyword::ON)) if open.last().is_some_and(|join| join.depth == depth) => {
                let left = open.pop().is_some_and(|join| join.left);
                let word = |token: Token| TokenWithSpan { token, span };
                taken.push(word(Token::make_keyword("MATCH_CONDITION")));
                taken.push(word(Token::LParen));
                if left {
                    put_call(&mut taken, LEFT, span);
                }
                put_call(&mut taken, WITHIN_ON, span);
                taken.extend(std::iter::repeat_n(word(Token::RParen), 2 + usize::from(left)));
            }
            (Token::LParen, _) => depth += 1,
            (Token::RParen, _) => {
                if calls.last() == Some(&depth) {
                    calls.pop();
                    taken.push(token.clone());
                }
                open.retain(|join| join.depth < depth);
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        taken.push(token.clone());
        at += 1;
    }
    taken
}

fn put_call(taken: &mut Vec<TokenWithSpan>, name: &str, span: Span) {
    taken.push(TokenWithSpan { token: Token::make_word(name, Some('"')), span });
    taken.push(TokenWithSpan { token: Token::LParen, span });
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

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;
    use crate::sql::dialect::PLAIN;

    fn read(text: &str) -> String {
        let tokens = Tokenizer::new(&PLAIN, text).tokenize_with_location().unwrap();
        let text: String = read_asof_joins(tokens).iter().map(|token| token.token.to_string()).collect();
        text.replace(['\u{1}', ' '], "")
    }

    #[test]
    fn joins_are_read_in_each_form() {
        for (text, read_as) in [
            ("l ASOF JOIN r MATCH_CONDITION (a >= (b)) ON c", "l ASOF JOIN r MATCH_CONDITION (a >= (b)) ON c"),
            (
                "l LEFT ASOF JOIN r MATCH_CONDITION (a >= (b)) ON c",
                "l ASOF JOIN r MATCH_CONDITION (\"left\"(a >= (b))) ON c",
            ),
            (
                "l ASOF LEFT OUTER JOIN r MATCH_CONDITION (a) USING (k)",
                "l ASOF JOIN r MATCH_CONDITION (\"left\"(a)) USING (k)",
            ),
            ("l ASOF JOIN r ON a AND b", "l ASOF JOIN r MATCH_CONDITION(\"within_on\"())ON a AND b"),
            (
                "l ASOF LEFT JOIN (x LEFT JOIN y ON z) r ON a",
                "l ASOF JOIN (x LEFT JOIN y ON z) r MATCH_CONDITION(\"left\"(\"within_on\"()))ON a",
            ),
            (
                "l LEFT ASOF JOIN r MATCH_CONDITION (a) ON b ASOF JOIN s MATCH_CONDITION (c) LEFT JOIN t ON d",
                "l ASOF JOIN r MATCH_CONDITION (\"left\"(a)) ON b ASOF JOIN s MATCH_CONDITION (c) LEFT JOIN t ON d",
            ),
        ] {
            assert_eq!(read(text), read_as.replace(' ', ""), "{text}");
        }
    }
}
