//! The narrowest type that a sample of text fits.
//!
//! Law: every value of the sample converts to the inferred type, by the conversion that reads the file later. Of
//! whole numbers with leading zeros (postcodes, say) text is made, because numbers would lose the zeros.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Schema, SchemaRef, TimeUnit};

use super::convert::{convert, timestamp};
use crate::error::{Error, Result, nearest};

/// How many records types and names are inferred from, at most.
pub(super) const SAMPLE_ROWS: usize = 10_000;

/// BOOLEAN, BIGINT, DECIMAL, DOUBLE, DATE, TIMESTAMP or VARCHAR.
pub(super) fn narrowest(text: &ArrayRef) -> Result<DataType> {
    let values: &StringArray = text.as_string();
    if values.iter().flatten().all(|v| v.eq_ignore_ascii_case("true") || v.eq_ignore_ascii_case("false")) {
        let is_empty = values.null_count() == values.len();
        return Ok(if is_empty { DataType::Utf8 } else { DataType::Boolean });
    }
    if !values.iter().flatten().any(has_leading_zero) {
        if fits(text, &DataType::Int64)? {
            return Ok(DataType::Int64);
        }
        // A float would lose digits of whole numbers beyond BIGINT.
        let all_whole = values.iter().flatten().all(is_whole);
        let exact = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);
        match (all_whole, fits(text, &exact)?) {
            (true, true) => return Ok(exact),
            (true, false) => return Ok(DataType::Utf8),
            (false, _) if fits(text, &DataType::Float64)? => return Ok(DataType::Float64),
            (false, _) => {}
        }
    }
    narrowest_time(text)
}

/// DATE, TIMESTAMP with or without zone, or VARCHAR.
pub(super) fn narrowest_time(text: &ArrayRef) -> Result<DataType> {
    /// `2001-01-31`; a longer text has a time that a date would lose.
    const DATE_CHARS: usize = 10;
    let values: &StringArray = text.as_string();
    let mut lengths = values.iter().flatten().map(str::len);
    let (dates, times) = (lengths.clone().all(|n| n == DATE_CHARS), lengths.all(|n| n >= DATE_CHARS));
    if values.null_count() == values.len() {
        Ok(DataType::Utf8)
    } else if dates && fits(text, &DataType::Date32)? {
        Ok(DataType::Date32)
    } else if times && values.iter().flatten().all(has_zone) && fits(text, &zoned())? {
        Ok(zoned())
    } else if times && fits(text, &timestamp())? {
        Ok(timestamp())
    } else {
        Ok(DataType::Utf8)
    }
}

/// Whether a time ends with its distance from UTC.
fn has_zone(text: &str) -> bool {
    let time = text.get(11..).unwrap_or_default();
    time.ends_with(['Z', 'z']) || time.contains(['+', '-'])
}

fn zoned() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()))
}

fn fits(text: &ArrayRef, data_type: &DataType) -> Result<bool> {
    Ok(convert(text, data_type)?.null_count() == text.null_count())
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn has_leading_zero(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).as_bytes();
    matches!(digits, [b'0', next, ..] if next.is_ascii_digit())
}

/// Nullable columns as a schema; two of one name are refused.
pub(super) fn schema_of(path: &str, columns: Vec<(String, DataType)>) -> Result<SchemaRef> {
    let mut names = BTreeSet::new();
    for (name, _) in &columns {
        if !names.insert(name.to_lowercase()) {
            return Err(Error::input(format!("{path} has two columns `{name}`")).with_hint("declare the columns"));
        }
    }
    if columns.is_empty() {
        return Err(
            Error::input(format!("{path} holds no record to infer columns from")).with_hint("declare the columns")
        );
    }
    let fields: Vec<Field> = columns.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// The place among `names` of the column `name`: spelled alike, else alike but for case.
pub(super) fn position_of(name: &str, names: &[String]) -> Option<usize> {
    let alike = || names.iter().position(|n| n.to_lowercase() == name.to_lowercase());
    names.iter().position(|n| n == name).or_else(alike)
}

/// Refuses a declared column that the file has under a name that was misspelt in one of the two. Others that the file
/// lacks are NULL.
pub(super) fn refuse_misspelt(
    path: &str,
    schema: &SchemaRef,
    names: &[String],
    places: &[Option<usize>],
) -> Result<()> {
    let taken: BTreeSet<usize> = places.iter().flatten().copied().collect();
    let free = || names.iter().enumerate().filter(|(at, _)| !taken.contains(at)).map(|(_, name)| name.as_str());
    for (field, place) in schema.fields().iter().zip(places) {
        if let (None, Some(near)) = (place, nearest(field.name(), free())) {
            return Err(Error::input(format!("{path} has no column `{}`", field.name()))
                .with_hint(format!("did you mean `{near}`?")));
        }
    }
    Ok(())
}

/// None of the declared columns is in the file: it cannot be what was meant.
pub(super) fn no_column(path: &str, schema: &SchemaRef, names: &[String]) -> Error {
    let wanted: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let found: Vec<&str> = names.iter().map(String::as_str).collect();
    Error::input(format!("{path} has none of the columns {}", crate::error::list(&wanted)))
        .with_hint(format!("it has {}", crate::error::list(&found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_type_that_fits_all() {
        for (values, expected) in [
            (vec!["true", "False"], DataType::Boolean),
            (vec!["1", "-20"], DataType::Int64),
            (vec!["1", "0.5"], DataType::Float64),
            (vec!["0", "1e300"], DataType::Float64),
            (vec!["12345678901234567890", "1"], DataType::Decimal128(38, 0)),
            (vec!["12345678901234567890", "1.5"], DataType::Float64),
            (vec!["123456789012345678901234567890123456789"], DataType::Utf8),
            (vec!["00501", "10001"], DataType::Utf8),
            (vec!["2001-01-31", "2001/02/01"], DataType::Date32),
            (vec!["2001-01-31", "2001-02-01 10:00"], timestamp()),
            (vec!["2001-01-31T10:00:00Z", "2001-01-31 10:00:00+02:00"], zoned()),
            (vec!["2001-01-31T10:00:00Z", "2001-01-31 10:00:00"], timestamp()),
            (vec!["1", "x"], DataType::Utf8),
            (vec!["y", "n"], DataType::Utf8),
            (vec![], DataType::Utf8),
        ] {
            let text: ArrayRef = Arc::new(StringArray::from(values.clone()));
            assert_eq!(narrowest(&text).unwrap(), expected, "{values:?}");
        }
    }
}
