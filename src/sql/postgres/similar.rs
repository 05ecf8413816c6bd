//! The patterns of SIMILAR TO and LIKE.

use crate::error::{Error, Result};

/// A pattern of LIKE with its own escape character as one whose escape character is the backslash.
///
/// # Errors
/// When the escape is not one character, or has nothing after it.
pub(super) fn like(pattern: &str, escape: &str) -> Result<String> {
    let escape = escape_character(escape)?;
    let mut text = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            let next = characters.next().ok_or_else(|| unfinished(pattern))?;
            if matches!(next, '%' | '_' | '\\') {
                text.push('\\');
            }
            text.push(next);
        } else {
            if character == '\\' {
                text.push('\\');
            }
            text.push(character);
        }
    }
    Ok(text)
}

/// A pattern of SIMILAR TO as a regular expression: `%` and `_` stand for any characters, what else SQL gives a
/// meaning has the same one in both, and all the rest stands for itself.
///
/// # Errors
/// As [`like`].
pub(super) fn regular_expression(pattern: &str, escape: Option<&str>) -> Result<String> {
    let escape = match escape {
        None => Some('\\'),
        Some(escape) => escape_character(escape)?,
    };
    let mut text = String::from("^(?s:");
    let mut in_brackets = false;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            let next = characters.next().ok_or_else(|| unfinished(pattern))?;
            if !next.is_alphanumeric() && next != '%' && next != '_' {
                text.push('\\');
            }
            text.push(next);
            continue;
        }
        match character {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            _ => {}
        }
        match character {
            '%' if !in_brackets => text.push_str(".*"),
            '_' if !in_brackets => text.push('.'),
            '.' | '^' | '$' if !in_brackets => {
                text.push('\\');
                text.push(character);
            }
            '\\' => text.push_str("\\\\"),
            _ => text.push(character),
        }
    }
    text.push_str(")$");
    Ok(text)
}

/// The escape character; none where the text is empty.
fn escape_character(escape: &str) -> Result<Option<char>> {
    let mut characters = escape.chars();
    match (characters.next(), characters.next()) {
        (first, None) => Ok(first),
        _ => Err(Error::input(format!("ESCAPE '{escape}' is not one character"))),
    }
}

fn unfinished(pattern: &str) -> Error {
    Error::input(format!("the pattern '{pattern}' ends with the character that escapes another"))
}
