//! The words of a text that is an interval: numbers, names of units, times.

use super::{Number, whole};

/// A word; its sign is part of it.
pub(super) enum Word {
    /// In lower case.
    Name(String),
    Number(Number),
    /// With `:` in it.
    Time(String),
    /// `1-2`, and whether a minus is before it.
    YearsAndMonths(bool, i128, i128),
}

/// The words of a text; nothing where a number is none. Other signs only divide.
pub(super) fn words(text: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '@' | ','));
        let Some(first) = rest.chars().next() else { return Some(words) };
        let length = if first.is_alphabetic() {
            let length = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
            words.push(Word::Name(rest[..length].to_lowercase()));
            length
        } else {
            let is_sign = matches!(first, '+' | '-');
            let space = if is_sign { rest[1..].len() - rest[1..].trim_start().len() } else { 0 };
            let begin = usize::from(is_sign) + space;
            let digits = &rest[begin..];
            let length = digits.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':' | '-')));
            let length = length.unwrap_or(digits.len());
            words.push(number(&digits[..length], if is_sign { Some(first) } else { None })?);
            begin + length
        };
        rest = &rest[length..];
    }
}

fn number(text: &str, sign: Option<char>) -> Option<Word> {
    let negative = sign == Some('-');
    if text.contains(':') {
        return Some(Word::Time(format!("{}{text}", sign.map_or(String::new(), String::from))));
    }
    if let Some((years, months)) = text.split_once('-') {
        return Some(Word::YearsAndMonths(negative, whole(years)?, whole(months)?));
    }
    decimal(text, negative).map(Word::Number)
}

/// `1.5`, `.5` or `1.`
pub(super) fn decimal(text: &str, negative: bool) -> Option<Number> {
    let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
    if digits.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = if digits.is_empty() { 0 } else { whole(digits)? };
    let is_number = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let part = if fraction.is_empty() { 0.0 } else { is_number.then(|| format!("0.{fraction}").parse().ok())?? };
    Some(match negative {
        true => Number { whole: -digits, fraction: -part },
        false => Number { whole: digits, fraction: part },
    })
}
