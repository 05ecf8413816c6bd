//! Literals that are intervals, with their units written out.
//!
//! ```text
//! INTERVAL '1-2' YEAR TO MONTH     INTERVAL '14 mons 0 days 0.000000000 secs'
//! '1:30'::interval                 '0 mons 0 days 5400.000000000 secs'::interval
//! ```

use arrow::compute::kernels::cast_utils::{IntervalParseConfig, IntervalUnit, parse_interval_month_day_nano_config};
use arrow::datatypes::IntervalMonthDayNano;
use datafusion::sql::sqlparser::ast::{DataType, DateTimeField, Expr, Interval, IntervalFields, UnaryOperator, Value};

use super::string;
use crate::error::{Error, Result};
use crate::interval::{Field, Range, read, written};

/// Rewrites an expression that is an interval; whether it is one.
///
/// # Errors
/// When a text is no interval.
pub(super) fn rewritten(expr: &mut Expr) -> Result<bool> {
    match expr {
        Expr::Interval(interval) => write_out(interval)?,
        Expr::TypedString(typed) if matches!(typed.data_type, DataType::Interval { .. }) => {
            let text = typed.value.clone().into_string().unwrap_or_default();
            if let Some(text) = self::typed(&text, &typed.data_type)? {
                typed.value.value = Value::SingleQuotedString(text);
                typed.data_type = DataType::Interval { fields: None, precision: None };
            }
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: operand } => match negated(operand) {
            Some(interval) => *expr = interval,
            None => return Ok(false),
        },
        _ => return Ok(false),
    }
    Ok(true)
}

/// Writes out an interval whose value is a text that the batch engine would read otherwise.
fn write_out(interval: &mut Interval) -> Result<()> {
    let Some(text) = super::literals::text(&interval.value) else { return Ok(()) };
    let range = Range {
        fields: match (&interval.leading_field, &interval.last_field) {
            (None, _) => None,
            (Some(first), last) => match (field(first), field(last.as_ref().unwrap_or(first))) {
                (Some(first), Some(last)) => Some((first, last)),
                // A unit of which the batch engine has more than Postgres.
                _ => return Ok(()),
            },
        },
        // SECOND has its digits in the place of another field's.
        digits: interval.fractional_seconds_precision.or(interval.leading_precision),
    };
    let value = read(text, range).ok_or_else(|| no_interval(text))?;
    let theirs = match (&interval.leading_field, &interval.last_field, range.digits) {
        (None, _, None) => Some(text.to_string()),
        (Some(field), None, None) => Some(format!("{text} {field}")),
        _ => None,
    };
    let seconds = IntervalParseConfig::new(IntervalUnit::Second);
    if theirs.and_then(|text| parse_interval_month_day_nano_config(&text, seconds).ok()) == Some(value) {
        return Ok(());
    }
    let value = string(written(value));
    *interval = Interval {
        value: Box::new(value),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    };
    Ok(())
}

/// An interval that was written out, with each of its parts negated: the batch engine puts the sign before the first.
fn negated(interval: &Expr) -> Option<Expr> {
    let Expr::Interval(interval) = interval else { return None };
    let fields = interval.leading_field.as_ref().map(|field| format!(" {field}")).unwrap_or_default();
    let text = format!("{}{fields}", super::literals::text(&interval.value)?);
    let IntervalMonthDayNano { months, days, nanoseconds } = read(&text, Range::default())?;
    let negated = IntervalMonthDayNano::new(months.checked_neg()?, days.checked_neg()?, nanoseconds.checked_neg()?);
    let value = Box::new(string(written(negated)));
    let negated = Interval { value, leading_field: None, ..interval.clone() };
    Some(Expr::Nested(Box::new(Expr::Interval(negated))))
}

/// The text for one that is cast to an interval; nothing for other types.
///
/// # Errors
/// When the text is no interval.
pub(super) fn typed(text: &str, data_type: &DataType) -> Result<Option<String>> {
    let DataType::Interval { fields, precision } = data_type else { return Ok(None) };
    let range = Range { fields: fields.as_ref().map(both), digits: *precision };
    read(text, range).map(|interval| Some(written(interval))).ok_or_else(|| no_interval(text))
}

fn no_interval(text: &str) -> Error {
    Error::input(format!("cannot read '{text}' as INTERVAL"))
        .with_hint("it is written as in '1 year 2 months 3 days 04:05:06'")
}

fn field(field: &DateTimeField) -> Option<Field> {
    Some(match field {
        DateTimeField::Year | DateTimeField::Years => Field::Year,
        DateTimeField::Month | DateTimeField::Months => Field::Month,
        DateTimeField::Day | DateTimeField::Days => Field::Day,
        DateTimeField::Hour | DateTimeField::Hours => Field::Hour,
        DateTimeField::Minute | DateTimeField::Minutes => Field::Minute,
        DateTimeField::Second | DateTimeField::Seconds => Field::Second,
        _ => return None,
    })
}

fn both(fields: &IntervalFields) -> (Field, Field) {
    match fields {
        IntervalFields::Year => (Field::Year, Field::Year),
        IntervalFields::Month => (Field::Month, Field::Month),
        IntervalFields::Day => (Field::Day, Field::Day),
        IntervalFields::Hour => (Field::Hour, Field::Hour),
        IntervalFields::Minute => (Field::Minute, Field::Minute),
        IntervalFields::Second => (Field::Second, Field::Second),
        IntervalFields::YearToMonth => (Field::Year, Field::Month),
        IntervalFields::DayToHour => (Field::Day, Field::Hour),
        IntervalFields::DayToMinute => (Field::Day, Field::Minute),
        IntervalFields::DayToSecond => (Field::Day, Field::Second),
        IntervalFields::HourToMinute => (Field::Hour, Field::Minute),
        IntervalFields::HourToSecond => (Field::Hour, Field::Second),
        IntervalFields::MinuteToSecond => (Field::Minute, Field::Second),
    }
}
