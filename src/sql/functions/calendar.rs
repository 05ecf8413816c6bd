//! Intervals made, measured and put in order as Postgres does it, and moments and buckets by number.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, IntervalMonthDayNanoArray, PrimitiveArray, TimestampNanosecondArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    TimeUnit, TimestampNanosecondType,
};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};
use datafusion::common::{exec_datafusion_err, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);
const DAY_NANOSECONDS: i64 = 86_400_000_000_000;
const SECOND_NANOSECONDS: i64 = 1_000_000_000;
const MONTH_DAYS: i32 = 30;

/// Puts the parts of an interval in order.
type Justify = fn(IntervalMonthDayNano) -> IntervalMonthDayNano;

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    let wholes = |count: usize| vec![DataType::Int64; count];
    let with_seconds = |count: usize| [wholes(count), vec![DataType::Float64]].concat();
    let buckets = [vec![DataType::Float64; 3], wholes(1)].concat();
    let immutable = Volatility::Immutable;
    let mut all = vec![
        create_udf("age", vec![TIMESTAMP; 2], INTERVAL, immutable, Arc::new(ages)),
        create_udf("make_interval", with_seconds(6), INTERVAL, immutable, Arc::new(intervals)),
        create_udf("make_timestamp", with_seconds(5), TIMESTAMP, immutable, Arc::new(moments)),
        create_udf("width_bucket", buckets, DataType::Int32, immutable, Arc::new(width_buckets)),
    ];
    let justified: [(&str, Justify); 3] =
        [("justify_days", justify_days), ("justify_hours", justify_hours), ("justify_interval", justify_interval)];
    for (name, justify) in justified {
        let body = move |args: &[ColumnarValue]| {
            let args = ColumnarValue::values_to_arrays(args)?;
            let justified =
                args[0].as_primitive::<IntervalMonthDayNanoType>().unary::<_, IntervalMonthDayNanoType>(justify);
            Ok(ColumnarValue::Array(Arc::new(justified) as ArrayRef))
        };
        all.push(create_udf(name, vec![INTERVAL], INTERVAL, immutable, Arc::new(body)));
    }
    all
}

/// The values of a function for the rows in which no argument is NULL.
fn each<T: ArrowPrimitiveType>(
    args: &[ArrayRef],
    value: impl Fn(usize) -> Result<T::Native>,
) -> Result<PrimitiveArray<T>> {
    let value = |row| match args.iter().all(|arg| arg.is_valid(row)) {
        true => value(row).map(Some),
        false => Ok(None),
    };
    (0..args[0].len()).map(value).collect()
}

/// `age(later, earlier)`, in years and months, days, and hours to seconds.
fn ages(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let args = ColumnarValue::values_to_arrays(args)?;
    let moment = |arg: usize, row| {
        let nanoseconds = args[arg].as_primitive::<TimestampNanosecondType>().value(row);
        DateTime::from_timestamp_nanos(nanoseconds).naive_utc()
    };
    let ages: IntervalMonthDayNanoArray = each(&args, |row| Ok(age(moment(0, row), moment(1, row))))?;
    Ok(ColumnarValue::Array(Arc::new(ages)))
}

/// Part by part; what is missing in one is borrowed from the next, a month of days being the earlier moment's month.
fn age(to: NaiveDateTime, from: NaiveDateTime) -> IntervalMonthDayNano {
    let (later, earlier, sign) = if to >= from { (to, from, 1) } else { (from, to, -1) };
    let of_day =
        |t: NaiveDateTime| i64::from(t.num_seconds_from_midnight()) * SECOND_NANOSECONDS + i64::from(t.nanosecond());
    let mut nanoseconds = of_day(later) - of_day(earlier);
    let mut days = later.day() as i32 - earlier.day() as i32;
    let mut months = (later.year() - earlier.year()) * 12 + later.month() as i32 - earlier.month() as i32;
    if nanoseconds < 0 {
        (nanoseconds, days) = (nanoseconds + DAY_NANOSECONDS, days - 1);
    }
    if days < 0 {
        (days, months) = (days + i32::from(earlier.num_days_in_month()), months - 1);
    }
    IntervalMonthDayNano::new(sign * months, sign * days, i64::from(sign) * nanoseconds)
}

/// `make_interval(years, months, weeks, days, hours, minutes, seconds)`.
fn intervals(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let args = ColumnarValue::values_to_arrays(args)?;
    let intervals: IntervalMonthDayNanoArray = each(&args, |row| {
        let whole = |arg: usize| i128::from(args[arg].as_primitive::<Int64Type>().value(row));
        let seconds = args[6].as_primitive::<Float64Type>().value(row);
        let months = i32::try_from(whole(0) * 12 + whole(1));
        let days = i32::try_from(whole(2) * 7 + whole(3));
        let nanoseconds = (whole(4) * 3_600 + whole(5) * 60) * i128::from(SECOND_NANOSECONDS);
        let nanoseconds = i64::try_from(nanoseconds + microseconds(seconds)? * 1_000);
        match (months, days, nanoseconds) {
            (Ok(months), Ok(days), Ok(nanoseconds)) => Ok(IntervalMonthDayNano::new(months, days, nanoseconds)),
            _ => exec_err!("the interval is out of range"),
        }
    })?;
    Ok(ColumnarValue::Array(Arc::new(intervals)))
}

/// Seconds as microseconds, which is as fine as Postgres has them.
fn microseconds(seconds: f64) -> Result<i128> {
    let microseconds = (seconds * 1e6).round_ties_even();
    if microseconds.abs() < 1e18 { Ok(microseconds as i128) } else { exec_err!("{seconds} seconds are out of range") }
}

/// `make_timestamp(year, month, day, hour, minute, seconds)`.
fn moments(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let args = ColumnarValue::values_to_arrays(args)?;
    let moments: TimestampNanosecondArray = each(&args, |row| {
        let whole = |arg: usize| args[arg].as_primitive::<Int64Type>().value(row);
        let part = |arg: usize| u32::try_from(whole(arg)).unwrap_or(u32::MAX);
        let seconds = args[5].as_primitive::<Float64Type>().value(row);
        let no_moment = || {
            let [year, month, day, hour, minute] = [0, 1, 2, 3, 4].map(whole);
            exec_datafusion_err!("there is no moment {year}-{month}-{day} {hour}:{minute}:{seconds}")
        };
        let year = i32::try_from(whole(0)).map_err(|_| no_moment())?;
        let minute =
            NaiveDate::from_ymd_opt(year, part(1), part(2)).and_then(|date| date.and_hms_opt(part(3), part(4), 0));
        let minute = minute.and_then(|minute| minute.and_utc().timestamp_nanos_opt()).ok_or_else(no_moment)?;
        let rest = i64::try_from(microseconds(seconds)? * 1_000).unwrap_or(-1);
        if !(0..=60 * SECOND_NANOSECONDS).contains(&rest) {
            return Err(no_moment());
        }
        minute.checked_add(rest).ok_or_else(no_moment)
    })?;
    Ok(ColumnarValue::Array(Arc::new(moments)))
}

/// Days over thirty are months.
fn justify_days(interval: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let (mut months, mut days) =
        (interval.months.saturating_add(interval.days / MONTH_DAYS), interval.days % MONTH_DAYS);
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + MONTH_DAYS);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - MONTH_DAYS);
    }
    IntervalMonthDayNano::new(months, days, interval.nanoseconds)
}

/// Hours over twenty-four are days.
fn justify_hours(interval: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let (days, nanoseconds) = whole_days(interval);
    let (days, nanoseconds) = of_one_sign(days, nanoseconds);
    IntervalMonthDayNano::new(interval.months, days, nanoseconds)
}

/// Both, and all parts of one sign.
fn justify_interval(interval: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let (days, nanoseconds) = whole_days(interval);
    let (mut months, mut days) = (interval.months.saturating_add(days / MONTH_DAYS), days % MONTH_DAYS);
    if months > 0 && (days < 0 || days == 0 && nanoseconds < 0) {
        (months, days) = (months - 1, days + MONTH_DAYS);
    } else if months < 0 && (days > 0 || days == 0 && nanoseconds > 0) {
        (months, days) = (months + 1, days - MONTH_DAYS);
    }
    let (days, nanoseconds) = of_one_sign(days, nanoseconds);
    IntervalMonthDayNano::new(months, days, nanoseconds)
}

fn whole_days(interval: IntervalMonthDayNano) -> (i32, i64) {
    // The time of an interval has at most 106,751 days.
    let days = (interval.nanoseconds / DAY_NANOSECONDS) as i32;
    (interval.days.saturating_add(days), interval.nanoseconds % DAY_NANOSECONDS)
}

fn of_one_sign(days: i32, nanoseconds: i64) -> (i32, i64) {
    if days > 0 && nanoseconds < 0 {
        (days - 1, nanoseconds + DAY_NANOSECONDS)
    } else if days < 0 && nanoseconds > 0 {
        (days + 1, nanoseconds - DAY_NANOSECONDS)
    } else {
        (days, nanoseconds)
    }
}

/// `width_bucket(value, low, high, count)`.
fn width_buckets(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let args = ColumnarValue::values_to_arrays(args)?;
    let buckets: Int32Array = each(&args, |row| {
        let number = |arg: usize| args[arg].as_primitive::<Float64Type>().value(row);
        let count = i32::try_from(args[3].as_primitive::<Int64Type>().value(row)).unwrap_or(0);
        let (value, low, high) = (number(0), number(1), number(2));
        if count <= 0 || count == i32::MAX {
            return exec_err!("width_bucket: the number of buckets is at least 1 and less than {}", i32::MAX);
        }
        if value.is_nan() || !low.is_finite() || !high.is_finite() || low == high {
            return exec_err!("width_bucket: {value} has no place between {low} and {high}");
        }
        let part = (value - low) / (high - low);
        // Bounds that go down number the buckets down.
        Ok(if part < 0.0 {
            0
        } else if part >= 1.0 {
            count + 1
        } else {
            ((part * f64::from(count)).floor() as i32).min(count - 1) + 1
        })
    })?;
    Ok(ColumnarValue::Array(Arc::new(buckets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_borrow_from_the_earlier_month() {
        let at = |text: &str| text.parse::<NaiveDateTime>().unwrap();
        let of = |to: &str, from: &str| {
            let age = age(at(to), at(from));
            (age.months, age.days, age.nanoseconds / SECOND_NANOSECONDS)
        };
        assert_eq!(of("2001-04-10T00:00:00", "1957-06-13T00:00:00"), (43 * 12 + 9, 27, 0));
        assert_eq!(of("2024-03-01T00:00:00", "2024-01-31T12:00:00"), (1, 0, 43_200));
        assert_eq!(of("2024-01-31T12:00:00", "2024-03-01T00:00:00"), (-1, 0, -43_200));
    }

    #[test]
    fn parts_are_put_in_order() {
        let interval =
            |months, days, hours: i64| IntervalMonthDayNano::new(months, days, hours * 3_600 * SECOND_NANOSECONDS);
        assert_eq!(justify_days(interval(0, 65, 0)), interval(2, 5, 0));
        assert_eq!(justify_hours(interval(0, 0, 50)), interval(0, 2, 2));
        assert_eq!(justify_interval(interval(1, 0, -1)), interval(0, 29, 23));
        assert_eq!(justify_interval(interval(-1, 0, 1)), interval(0, -29, -23));
        assert_eq!(justify_hours(interval(0, 1, -1)), interval(0, 0, 23));
    }
}
