//! `EMIT ON WINDOW CLOSE` and `EMIT CHANGES` at the end of a CREATE VIEW, which the parser would take for names.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// When a view shows its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emit {
    /// Once they can change no more; else at once, and each change of them.
    pub on_close: bool,
    /// Where it stands.
    pub start: Location,
}

/// Takes the clause from the end of a statement that makes a view.
pub fn take_emit(tokens: &mut Vec<TokenWithSpan>) -> Option<Emit> {
    let is_view =
        tokens.iter().any(|token| matches!(&token.token, Token::Word(word) if word.keyword == Keyword::CREATE));
    let ends = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_) | Token::SemiColon | Token::EOF);
    let seen: Vec<usize> = (0..tokens.len()).filter(|at| !ends(&tokens[*at])).collect();
    let word = |at: usize| match &tokens[seen[at]].token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_uppercase(),
        _ => String::new(),
    };
    for (words, on_close) in [(vec!["EMIT", "ON", "WINDOW", "CLOSE"], true), (vec!["EMIT", "CHANGES"], false)] {
        let Some(first) = seen.len().checked_sub(words.len()).filter(|_| is_view) else { continue };
        if (first..seen.len()).map(word).eq(words) {
            let start = tokens[seen[first]].span.start;
            tokens.drain(seen[first]..=seen[seen.len() - 1]);
            return Some(Emit { on_close, start });
        }
    }
    None
}
