//! Texts and JSON taken apart into lists: at a regular expression, by its matches, by the elements of an array.
//!
//! In Postgres some of them give rows; `sql/postgres` has those as UNNEST of the lists here.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{exec_datafusion_err, exec_err};
use datafusion::error::Result;
use datafusion::functions::regex::compile_and_cache_regex;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use serde_json::value::RawValue;

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    let texts = || DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let lists = DataType::List(Arc::new(Field::new_list_field(texts(), true)));
    let patterns = vec![DataType::Utf8; 3];
    let immutable = Volatility::Immutable;
    vec![
        create_udf("regexp_split_to_array", patterns.clone(), texts(), immutable, Arc::new(split)),
        create_udf("regexp_matches", patterns, lists, immutable, Arc::new(matches)),
        create_udf(
            "json_array_elements",
            vec![DataType::Utf8],
            texts(),
            immutable,
            Arc::new(|args| elements(args, false)),
        ),
        create_udf(
            "json_array_elements_text",
            vec![DataType::Utf8],
            texts(),
            immutable,
            Arc::new(|args| elements(args, true)),
        ),
        create_udf("json_typeof", vec![DataType::Utf8], DataType::Utf8, immutable, Arc::new(json_types)),
    ]
}

/// `regexp_split_to_array(text, pattern, flags)`: what is between the matches. A match of nothing divides characters, and
/// counts neither at the ends nor right after another.
fn split(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let args = ColumnarValue::values_to_arrays(args)?;
    let (texts, patterns, flags) = (args[0].as_string::<i32>(), args[1].as_string::<i32>(), args[2].as_string::<i32>());
    let mut known = HashMap::new();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for ((text, pattern), flags) in texts.iter().zip(patterns).zip(flags) {
        let (Some(text), Some(pattern), Some(flags)) = (text, pattern, flags) else {
            lists.append(false);
            continue;
        };
        let mut begin = 0;
        for found in compile_and_cache_regex(pattern, Some(flags), &mut known)?.find_iter(text) {
            if found.start() < text.len() && found.end() > begin {
                lists.values().append_value(&text[begin..found.start()]);
                begin = found.end();
            }
        }
        lists.values().append_value(&text[begin..]);
        lists.append(true);
    }
    Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
}

/// `regexp_matches(text, pattern, flags)`: for each match (the first alone without the flag `g`) its groups, or all of it.
fn matches(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let args = ColumnarValue::values_to_arrays(args)?;
    let (texts, patterns, flags) = (args[0].as_string::<i32>(), args[1].as_string::<i32>(), args[2].as_string::<i32>());
    let others: StringArray = flags.iter().map(|flags| flags.map(|flags| flags.replace('g', ""))).collect();
    let mut known = HashMap::new();
    let mut lists = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    for (row, ((text, pattern), flags)) in texts.iter().zip(patterns).zip(flags).enumerate() {
        let (Some(text), Some(pattern), Some(flags)) = (text, pattern, flags) else {
            lists.append(false);
            continue;
        };
        let expression = compile_and_cache_regex(pattern, Some(others.value(row)), &mut known)?;
        let most = if flags.contains('g') { usize::MAX } else { 1 };
        for found in expression.captures_iter(text).take(most) {
            let groups = if found.len() > 1 { 1..found.len() } else { 0..1 };
            for group in groups {
                lists.values().values().append_option(found.get(group).map(|part| part.as_str()));
            }
            lists.values().append(true);
        }
        lists.append(true);
    }
    Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
}

/// The elements of a JSON array, as JSON or as text.
fn elements(args: &[ColumnarValue], as_text: bool) -> Result<ColumnarValue> {
    let args = ColumnarValue::values_to_arrays(args)?;
    let mut lists = ListBuilder::new(StringBuilder::new());
    for text in args[0].as_string::<i32>() {
        let Some(text) = text else {
            lists.append(false);
            continue;
        };
        let elements: Vec<&RawValue> = serde_json::from_str(text)
            .map_err(|_| exec_datafusion_err!("'{}' is not a JSON array", shortened(text)))?;
        for element in elements {
            match element.get() {
                "null" if as_text => lists.values().append_null(),
                string if as_text && string.starts_with('"') => {
                    let text: String = serde_json::from_str(string)
                        .map_err(|e| exec_datafusion_err!("{} is not a text: {e}", shortened(string)))?;
                    lists.values().append_value(text);
                }
                other => lists.values().append_value(other),
            }
        }
        lists.append(true);
    }
    Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
}

/// `json_typeof(text)`: object, array, string, number, boolean or null.
fn json_types(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let args = ColumnarValue::values_to_arrays(args)?;
    let types = args[0].as_string::<i32>().iter().map(|text| text.map(json_type).transpose());
    Ok(ColumnarValue::Array(Arc::new(types.collect::<Result<StringArray>>()?) as ArrayRef))
}

fn json_type(text: &str) -> Result<&'static str> {
    let Ok(value) = serde_json::from_str::<&RawValue>(text) else {
        return exec_err!("'{}' is not JSON", shortened(text));
    };
    Ok(match value.get().as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    })
}

/// A text as it is shown in an error.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_string(),
    }
}
