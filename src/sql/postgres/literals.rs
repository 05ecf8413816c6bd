//! Texts that Postgres reads as values of a type.

use datafusion::sql::sqlparser::ast::{Array, ArrayElemTypeDef, DataType, Expr, Value};

use super::numerals::without_exponent;
use super::{intervals, string};
use crate::error::{Error, Result};
use crate::interval::{self, Range};

/// The value that a literal stands for when it is cast to a type, where the batch engine would read it otherwise.
///
/// # Errors
/// When the text is not one of the type.
pub(super) fn typed(value: &Expr, data_type: &DataType) -> Result<Option<Expr>> {
    match (text(value), data_type) {
        (Some(text), DataType::Bytea) => bytes(text),
        (Some(text), DataType::Array(ArrayElemTypeDef::SquareBracket(..))) => array(text),
        (Some(text), DataType::Interval { .. }) => Ok(intervals::typed(text, data_type)?.map(string)),
        (Some(text), data_type) => {
            Ok(moment(text, data_type).or_else(|| without_exponent(text, data_type)).map(string))
        }
        _ => Ok(None),
    }
}

/// The text of a literal that is one.
pub(super) fn text(value: &Expr) -> Option<&str> {
    let Expr::Value(value) = value else { return None };
    match &value.value {
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
        _ => None,
    }
}

/// Puts in the place of a literal what it stands for in a column of bytes or of arrays.
///
/// # Errors
/// When the text is not one of the type.
pub fn read_as(value: &mut Expr, data_type: &arrow::datatypes::DataType) -> Result<()> {
    let read = match (text(value), data_type) {
        (Some(text), arrow::datatypes::DataType::Binary) => bytes(text)?,
        (Some(text), arrow::datatypes::DataType::List(_)) => array(text)?,
        (Some(text), arrow::datatypes::DataType::Interval(_)) => {
            interval::read(text, Range::default()).map(interval::written).map(string)
        }
        (Some(text), arrow::datatypes::DataType::Timestamp(..)) => with_seconds(text).map(string),
        _ => None,
    };
    if let Some(read) = read {
        *value = read;
    }
    Ok(())
}

/// A moment without seconds, as the batch engine reads it; nothing for texts that it reads as they are.
pub(super) fn moment(text: &str, data_type: &DataType) -> Option<String> {
    matches!(data_type, DataType::Timestamp(..) | DataType::Datetime(_)).then(|| with_seconds(text))?
}

/// `2024-02-29 12:00` with its seconds.
fn with_seconds(text: &str) -> Option<String> {
    let (date, time) = text.split_once([' ', 'T'])?;
    let minutes = time.get(..5)?.as_bytes();
    let digits = [0, 1, 3, 4].iter().all(|at| minutes[*at].is_ascii_digit());
    let rest = &time[5..];
    let ends = digits && minutes[2] == b':' && !rest.starts_with(|c: char| c == ':' || c.is_ascii_digit());
    ends.then(|| format!("{date} {}:00{rest}", &time[..5]))
}

/// `\x00ff`.
fn bytes(text: &str) -> Result<Option<Expr>> {
    let Some(digits) = text.strip_prefix("\\x") else { return Ok(None) };
    if digits.len() % 2 != 0 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Error::input(format!("'{text}' is not bytes: two hexadecimal digits stand for each")));
    }
    Ok(Some(Expr::Value(Value::HexStringLiteral(digits.to_string()).into())))
}

/// Elements of an array that is written as a text: each is planned by itself.
const ELEMENTS_MAX: usize = 100_000;

/// `{1,NULL,"a, b"}`, of one dimension.
fn array(text: &str) -> Result<Option<Expr>> {
    let Some(inner) = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')) else { return Ok(None) };
    let wrong = || Error::input(format!("'{text}' is not an array of one dimension")).with_hint("write ARRAY[...]");
    let mut elements = Vec::new();
    let mut rest = inner.trim();
    while !rest.is_empty() {
        let (element, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (element, after) = quoted_element(quoted).ok_or_else(wrong)?;
                (string(element), after.trim_start())
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let element = rest[..end].trim();
                if element.is_empty() || element.contains(['{', '}', '"', '\\']) {
                    return Err(wrong());
                }
                let is_null = element.eq_ignore_ascii_case("null");
                let element = if is_null { Expr::Value(Value::Null.into()) } else { string(element.to_string()) };
                (element, &rest[end..])
            }
        };
        elements.push(element);
        if elements.len() > ELEMENTS_MAX {
            let error =
                format!("an array that is written as a text has more elements than the limit of {ELEMENTS_MAX}");
            return Err(Error::Limit(error));
        }
        rest = match after.strip_prefix(',') {
            Some(more) if more.trim().is_empty() => return Err(wrong()),
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return Err(wrong()),
        };
    }
    Ok(Some(Expr::Array(Array { elem: elements, named: true })))
}

/// An element up to its closing quote, and what comes after.
fn quoted_element(text: &str) -> Option<(String, &str)> {
    let mut element = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((element, &text[at + 1..])),
            '\\' => element.push(characters.next()?.1),
            other => element.push(other),
        }
    }
    None
}
