//! Raw columns as the declared types.
//!
//! Columns are converted whole, by Arrow's casts; a value that does not convert comes out as NULL, so the rows at
//! fault are those that were not NULL before and are NULL now. A row at fault leaves the batch with its reason,
//! all others stay. Text is read a little more freely than Arrow does:
//!
//! - dates and times also as `2001/01/31 18:20`, and without seconds;
//! - whole numbers also as `12.0` and `1e3`;
//! - intervals as in SQL, where `100` is seconds;
//! - bytes as hexadecimal digits, perhaps after `\x`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, IntervalMonthDayNanoArray, RecordBatch, RecordBatchOptions,
    StringArray,
};
use arrow::compute::{self, CastOptions, can_cast_types};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, TimeUnit};

use super::Target;
use crate::error::{Error, Result};
use crate::interval::{Range, read as read_interval};

/// What a message quotes of the input is cut to this many characters.
const CHARS_SHOWN: usize = 120;

/// Floats hold every whole number up to here.
const FLOAT_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Rows that are not rows of the schema, with the reason.
pub(super) type Faults = BTreeMap<usize, String>;

/// The rows of `raw` as rows of the target; `None` is a column that the input does not have.
pub(super) fn conform(raw: &[Option<ArrayRef>], rows: usize, target: &Target) -> Result<(RecordBatch, Faults)> {
    let mut faults = Faults::new();
    let mut columns = Vec::with_capacity(raw.len());
    for (raw, field) in raw.iter().zip(target.schema.fields()) {
        let column = match raw {
            Some(raw) => convert(raw, field.data_type())?,
            None => arrow::array::new_null_array(field.data_type(), rows),
        };
        if let Some(raw) = raw {
            note_unconverted(raw, &column, field, &mut faults);
        }
        if !field.is_nullable() && column.null_count() > 0 {
            let reason = || format!("column `{}` is NOT NULL and the row has no value for it", field.name());
            for row in (0..rows).filter(|row| column.is_null(*row)) {
                faults.entry(row).or_insert_with(reason);
            }
        }
        columns.push(column);
    }
    if !faults.is_empty() {
        let keep: BooleanArray = (0..rows).map(|row| Some(!faults.contains_key(&row))).collect();
        columns = columns.iter().map(|column| compute::filter(column, &keep)).collect::<Result<_, _>>()?;
    }
    let count = RecordBatchOptions::new().with_row_count(Some(rows - faults.len()));
    let batch = RecordBatch::try_new_with_options(target.schema.clone(), columns, &count)?;
    let refused = (target.refused)(&batch)?;
    if refused.is_empty() {
        return Ok((batch, faults));
    }
    let places: Vec<usize> = (0..rows).filter(|row| !faults.contains_key(row)).collect();
    let mut keep = vec![true; places.len()];
    for (row, reason) in refused {
        keep[row] = false;
        faults.insert(places[row], reason);
    }
    Ok((compute::filter_record_batch(&batch, &BooleanArray::from(keep))?, faults))
}

fn note_unconverted(raw: &ArrayRef, column: &ArrayRef, field: &Field, faults: &mut Faults) {
    if raw.null_count() == column.null_count() {
        return;
    }
    for row in (0..raw.len()).filter(|row| raw.is_valid(*row) && column.is_null(*row)) {
        faults.entry(row).or_insert_with(|| {
            let value = arrow::util::display::array_value_to_string(raw, row).unwrap_or_else(|e| e.to_string());
            format!("column `{}`: '{}' is not {}", field.name(), shorten(&value), describe(field.data_type()))
        });
    }
}

/// The start of a text, for a message.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(CHARS_SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Whether values of `from` can be read into a column of type `to`.
pub(super) fn can_convert(from: &DataType, to: &DataType) -> bool {
    // Arrow would make lists of one element from scalars; a file that has none has no lists.
    let is_alike = from.is_nested() == to.is_nested();
    is_alike && (is_bytes(to) && is_text(from) || can_cast_types(from, to))
}

/// The column as another type; a value that does not convert is NULL.
pub(super) fn convert(raw: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if raw.data_type() == to {
        return Ok(raw.clone());
    }
    if is_text(raw.data_type()) {
        let text = compute::cast(raw, &DataType::Utf8)?;
        return text_to(text.as_string(), to);
    }
    let column = cast(raw, to)?;
    if to.is_integer() && !raw.data_type().is_integer() && raw.data_type().is_numeric() {
        // A cast cuts fractions off; a value with one is no whole number.
        let back = cast(&column, raw.data_type())?;
        let same = arrow::compute::kernels::cmp::not_distinct(&back, raw)?;
        return Ok(compute::nullif(&column, &compute::not(&same)?)?);
    }
    Ok(column)
}

fn text_to(text: &StringArray, to: &DataType) -> Result<ArrayRef> {
    match to {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => cast(&tidy_times(text), to),
        DataType::Interval(_) => cast(&intervals(text), to),
        to if is_bytes(to) => cast(&hexadecimal(text), to),
        to if to.is_integer() => whole_numbers(text, to),
        to if to.is_floating() => floats(text, to),
        to => cast(text, to),
    }
}

fn cast(column: &dyn Array, to: &DataType) -> Result<ArrayRef> {
    Ok(compute::cast_with_options(column, to, &CastOptions { safe: true, ..CastOptions::default() })?)
}

fn intervals(text: &StringArray) -> IntervalMonthDayNanoArray {
    text.iter().map(|text| read_interval(text?, Range::default())).collect()
}

fn whole_numbers(text: &StringArray, to: &DataType) -> Result<ArrayRef> {
    let column = cast(text, to)?;
    if column.null_count() == text.null_count() {
        return Ok(column);
    }
    // Some did not convert: they may be whole numbers with a point, or written as floats.
    let digits: StringArray = text.iter().map(|value| value.map(without_fraction)).collect();
    let exact = cast(&digits, to)?;
    let column = compute::kernels::zip::zip(&compute::is_null(&column)?, &exact, &column)?;
    let floats = cast(text, &DataType::Float64)?;
    let whole = floats.as_primitive::<Float64Type>().unary_opt::<_, Int64Type>(|float| {
        let is_whole = float.fract() == 0.0 && float.abs() < FLOAT_WHOLE_MAX;
        // In this range the conversion is exact.
        is_whole.then_some(float as i64)
    });
    let missing = compute::is_null(&column)?;
    Ok(compute::kernels::zip::zip(&missing, &cast(&whole, to)?, &column)?)
}

/// `12` for `12.0`; other texts as they are.
fn without_fraction(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
        _ => text,
    }
}

/// Floats; what is too large for one is none, unless it says that it is infinite.
fn floats(text: &StringArray, to: &DataType) -> Result<ArrayRef> {
    let column = cast(text, to)?;
    let wide = cast(&column, &DataType::Float64)?;
    let overflows = |(float, text): (Option<f64>, Option<&str>)| {
        float.is_some_and(f64::is_infinite) && text.is_some_and(|text| text.bytes().any(|b| b.is_ascii_digit()))
    };
    let values = wide.as_primitive::<Float64Type>();
    if !values.values().iter().any(|float| float.is_infinite()) {
        return Ok(column);
    }
    let overflow: BooleanArray = values.iter().zip(text).map(|pair| Some(overflows(pair))).collect();
    Ok(compute::nullif(&column, &overflow)?)
}

fn tidy_times(text: &StringArray) -> StringArray {
    if text.iter().flatten().all(|value| matches!(tidy_time(value), Cow::Borrowed(_))) {
        return text.clone();
    }
    text.iter().map(|value| value.map(tidy_time)).collect()
}

/// Dashes for slashes between year, month and day; seconds where there are only hours and minutes.
fn tidy_time(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let has_slashes = bytes.len() >= 10 && bytes[4] == b'/' && bytes[7] == b'/';
    let lacks_seconds = bytes.len() >= 16
        && bytes[13] == b':'
        && matches!(bytes.get(16), None | Some(b'Z' | b'z' | b'+' | b'-' | b' '));
    if !text.is_ascii() || !has_slashes && !lacks_seconds {
        return Cow::Borrowed(text);
    }
    let mut tidy = String::with_capacity(text.len() + 3);
    if has_slashes {
        tidy.extend([&text[..4], "-", &text[5..7], "-", &text[8..]]);
    } else {
        tidy.push_str(text);
    }
    if lacks_seconds {
        tidy.insert_str(16, ":00");
    }
    Cow::Owned(tidy)
}

fn hexadecimal(text: &StringArray) -> BinaryArray {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let decode = |value: &str| {
        let digits = value.strip_prefix("\\x").unwrap_or(value).as_bytes();
        let pairs = digits.chunks(2).map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        pairs.collect::<Option<Vec<u8>>>()
    };
    text.iter().map(|value| value.and_then(decode)).collect()
}

/// Whether a type is text.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

pub(super) fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

/// A column of this type from this format is impossible, for the statement that asks for it.
pub(super) fn refuse(field: &Field, from: &str) -> Error {
    Error::unsupported(format!("column `{}`: {from} cannot be read as {}", field.name(), describe(field.data_type())))
}

/// The type in the words of SQL, with its article.
fn describe(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "a BOOLEAN",
        DataType::Int8 => "a TINYINT",
        DataType::Int16 => "a SMALLINT",
        DataType::Int32 => "an INT",
        DataType::Int64 => "a BIGINT",
        DataType::UInt8 => "a TINYINT UNSIGNED",
        DataType::UInt16 => "a SMALLINT UNSIGNED",
        DataType::UInt32 => "an INT UNSIGNED",
        DataType::UInt64 => "a BIGINT UNSIGNED",
        DataType::Float32 => "a REAL",
        DataType::Float64 => "a DOUBLE",
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => return format!("a DECIMAL({p}, {s})"),
        DataType::Date32 | DataType::Date64 => "a DATE",
        DataType::Time32(_) | DataType::Time64(_) => "a TIME",
        DataType::Timestamp(_, None) => "a TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "a TIMESTAMP WITH TIME ZONE",
        DataType::Interval(_) => "an INTERVAL",
        other if is_text(other) => "a VARCHAR",
        other if is_bytes(other) => "hexadecimal BYTEA",
        other => return format!("the type {other}"),
    };
    name.to_owned()
}

/// TIMESTAMP, as SQL's type without precision means it.
pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, None)
}

/// A column of text.
pub(super) fn text_column(values: StringArray) -> ArrayRef {
    Arc::new(values)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{IntervalUnit, Schema};

    use super::*;

    /// Each text as `to`, or the reason why not.
    fn read(to: DataType, texts: &[&str]) -> Vec<String> {
        let schema = Arc::new(Schema::new(vec![Field::new("c", to, true)]));
        let raw = text_column(StringArray::from(texts.to_vec()));
        let (batch, faults) = conform(&[Some(raw)], texts.len(), &Target::from(&schema)).unwrap();
        let mut good = 0..batch.num_rows();
        (0..texts.len())
            .map(|row| match faults.get(&row) {
                Some(reason) => reason.clone(),
                None => {
                    let row = good.next().unwrap();
                    arrow::util::display::array_value_to_string(batch.column(0), row).unwrap()
                }
            })
            .collect()
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        assert_eq!(
            read(DataType::Int64, &["12", "-7.0", "1e3", "1.5", "9223372036854775808"]),
            [
                "12",
                "-7",
                "1000",
                "column `c`: '1.5' is not a BIGINT",
                "column `c`: '9223372036854775808' is not a BIGINT"
            ]
        );
        assert_eq!(read(DataType::Int8, &["127", "128"]), ["127", "column `c`: '128' is not a TINYINT"]);
    }

    #[test]
    fn times_in_the_common_forms() {
        let shown = "2001-01-31T18:20:00";
        let given = ["2001-01-31T18:20:00", "2001-01-31 18:20", "2001/01/31 18:20", "2001-01-31T18:20Z"];
        assert_eq!(read(timestamp(), &given), [shown; 4]);
        assert_eq!(
            read(timestamp(), &["2001-01-31", "soon"]),
            ["2001-01-31T00:00:00", "column `c`: 'soon' is not a TIMESTAMP"]
        );
        assert_eq!(
            read(DataType::Date32, &["2001/01/31", "2001-02-30"]),
            ["2001-01-31", "column `c`: '2001-02-30' is not a DATE"]
        );
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("+02:00".into()));
        assert_eq!(read(zoned, &["2001-01-31T18:20Z"]), ["2001-01-31T20:20:00+02:00"]);
        assert_eq!(
            read(DataType::Time64(TimeUnit::Nanosecond), &["18:20", "18:20:30.5", "25:00"]),
            ["18:20:00", "18:20:30.500", "column `c`: '25:00' is not a TIME"]
        );
    }

    #[test]
    fn other_types() {
        assert_eq!(
            read(DataType::Decimal128(5, 2), &["1.10", "1234.5"]),
            ["1.10", "column `c`: '1234.5' is not a DECIMAL(5, 2)"]
        );
        assert_eq!(read(DataType::Boolean, &["TRUE", "f", "2"]), ["true", "false", "column `c`: '2' is not a BOOLEAN"]);
        assert_eq!(
            read(DataType::Binary, &["c0ffEE", "\\x00", "abc"]),
            ["c0ffee", "00", "column `c`: 'abc' is not hexadecimal BYTEA"]
        );
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        assert_eq!(
            read(interval, &["1 day 2 hours", "100", "x"]),
            ["1 days 2 hours", "1 mins 40.000000000 secs", "column `c`: 'x' is not an INTERVAL"]
        );
        assert_eq!(
            read(DataType::Float64, &["1e-3", "NaN", "1,5"]),
            ["0.001", "NaN", "column `c`: '1,5' is not a DOUBLE"]
        );
    }

    #[test]
    fn numbers_with_a_fraction_are_no_whole_numbers() {
        let floats: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![Some(1.0), Some(1.5), None]));
        let column = convert(&floats, &DataType::Int32).unwrap();
        assert_eq!(column.as_primitive::<arrow::datatypes::Int32Type>(), &vec![Some(1), None, None].into());
    }

    #[test]
    fn missing_values_of_not_null_columns_are_faults() {
        let schema = Arc::new(Schema::new(vec![Field::new("c", DataType::Utf8, false)]));
        let (batch, faults) =
            conform(&[Some(text_column(vec![Some("a"), None].into()))], 2, &Target::from(&schema)).unwrap();
        assert_eq!(batch.num_rows(), 1);
        assert_eq!(faults[&1], "column `c` is NOT NULL and the row has no value for it");
    }
}
