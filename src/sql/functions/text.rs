//! `format`, and how Postgres writes names and texts between quotes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    let texts = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let mut all = vec![create_udf(
        "format",
        vec![DataType::Utf8, texts],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|args: &[ColumnarValue]| {
            let args = ColumnarValue::values_to_arrays(args)?;
            let (templates, lists) = (args[0].as_string::<i32>(), args[1].as_list::<i32>());
            let each = templates.iter().enumerate().map(|(row, template)| {
                let Some(template) = template else { return Ok(None) };
                let values = lists.value(row);
                format(template, values.as_string::<i32>()).map(Some)
            });
            Ok(ColumnarValue::Array(Arc::new(each.collect::<Result<StringArray>>()?)))
        }),
    )];
    for (name, quote) in [("quote_ident", quote_ident as fn(&str) -> String), ("quote_literal", quote_literal)] {
        all.push(of_text(name, move |text| text.map(quote)));
    }
    all.push(of_text("quote_nullable", |text| Some(text.map_or_else(|| "NULL".into(), quote_literal))));
    all
}

fn of_text(name: &str, function: impl Fn(Option<&str>) -> Option<String> + Send + Sync + 'static) -> ScalarUDF {
    let body = move |args: &[ColumnarValue]| {
        let args = ColumnarValue::values_to_arrays(args)?;
        let values: StringArray = args[0].as_string::<i32>().iter().map(&function).collect();
        Ok(ColumnarValue::Array(Arc::new(values) as ArrayRef))
    };
    create_udf(name, vec![DataType::Utf8], DataType::Utf8, Volatility::Immutable, Arc::new(body))
}

/// The template with values in the places of `%s`, `%I` and `%L`; `%2$s` is the second one, `%-5s` is five wide.
fn format(template: &str, values: &StringArray) -> Result<String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    let mut next = 0;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let (place, after) = match number(after) {
            (Some(place), after) if after.starts_with('$') => (Some(place), &after[1..]),
            _ => (None, after),
        };
        let (left, after) = match after.strip_prefix('-') {
            Some(after) => (true, after),
            None => (false, after),
        };
        let (width, after) = number(after);
        let place = match place {
            Some(0) => return exec_err!("format: places begin with 1, and '{template}' names place 0"),
            Some(place) => place - 1,
            None => next,
        };
        next = place + 1;
        let mut letters = after.chars();
        let Some(letter) = letters.next() else { return exec_err!("format: '{template}' ends within a place") };
        rest = letters.as_str();
        if place >= values.len() {
            return exec_err!("format: '{template}' has more places than there are values");
        }
        let value = values.is_valid(place).then(|| values.value(place));
        let written = match (letter, value) {
            ('s', value) => value.unwrap_or_default().to_string(),
            ('I', Some(value)) => quote_ident(value),
            ('I', None) => return exec_err!("format: NULL is not a name"),
            ('L', value) => value.map_or_else(|| "NULL".into(), quote_literal),
            _ => return exec_err!("format: `%{letter}` is none of %s, %I, %L and %%"),
        };
        let blanks = width.unwrap_or(0).min(WIDTH_MAX).saturating_sub(written.chars().count());
        let (before, after) = if left { (0, blanks) } else { (blanks, 0) };
        text.extend(std::iter::repeat_n(' ', before));
        text.push_str(&written);
        text.extend(std::iter::repeat_n(' ', after));
    }
    text.push_str(rest);
    Ok(text)
}

/// Characters that a value of `format` is made wide, at most.
const WIDTH_MAX: usize = 1 << 20;

/// The number that a text begins with, and what comes after.
fn number(text: &str) -> (Option<usize>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().ok(), &text[end..])
}

/// A name as it is written in SQL: between quotes where it must be.
fn quote_ident(name: &str) -> String {
    let is_plain = name.chars().enumerate().all(|(at, c)| match c {
        'a'..='z' | '_' => true,
        '0'..='9' => at > 0,
        _ => false,
    });
    let is_word = datafusion::sql::sqlparser::keywords::RESERVED_FOR_IDENTIFIER
        .iter()
        .chain(datafusion::sql::sqlparser::keywords::RESERVED_FOR_COLUMN_ALIAS)
        .any(|keyword| format!("{keyword:?}").eq_ignore_ascii_case(name));
    if is_plain && !is_word && !name.is_empty() { name.into() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn quote_literal(text: &str) -> String {
    let quoted = format!("'{}'", text.replace('\'', "''"));
    if text.contains('\\') { format!("E{}", quoted.replace('\\', "\\\\")) } else { quoted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_take_values_by_their_place() {
        let values = StringArray::from(vec![Some("a"), Some("b c"), Some("it's"), None]);
        let of = |template| format(template, &values).map_err(|e| e.strip_backtrace());
        assert_eq!(of("%s and %I, %L; %L 100%%").unwrap(), "a and \"b c\", 'it''s'; NULL 100%");
        assert_eq!(of("%2$s %1$s %s").unwrap(), "b c a b c");
        assert_eq!(of("[%3s][%-3s]").unwrap(), "[  a][b c]");
        assert_eq!(of("[%1$-3s]").unwrap(), "[a  ]");
        for wrong in ["%", "%d", "%5$s", "%0$s", "%4$I", "%s%s%s%s%s"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        assert_eq!((quote_ident("a_1"), quote_ident("select")), ("a_1".into(), "\"select\"".into()));
        assert_eq!(quote_literal(r"a\b"), r"E'a\\b'");
    }
}
