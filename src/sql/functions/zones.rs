//! `timezone(zone, moment)`, which is what `moment AT TIME ZONE zone` says.
//!
//! ```text
//! a moment (TIMESTAMP WITH TIME ZONE)     what a clock of the zone shows then (TIMESTAMP)
//! what a clock of the zone shows          the moment
//! ```
//!
//! A time that the clocks of a zone leave out is counted on from before the change, and of one that they show twice it is
//! the second time. A zone is a name, an abbreviation of fixed offset, an interval east of Greenwich, or, as POSIX has it,
//! hours west of it: `+2`, `UTC+2`.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowTimestampType, DataType, Field, FieldRef, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use datafusion::common::{ScalarValue, exec_datafusion_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const UTC: &str = "+00:00";
const SECOND_NANOSECONDS: i64 = 1_000_000_000;
const HOUR_SECONDS: i32 = 3_600;

/// Abbreviations that stand for one offset the year round, in quarters of an hour east of Greenwich, as in Postgres.
const ABBREVIATIONS: [(&str, i32); 46] = [
    ("ACDT", 42),
    ("ACST", 38),
    ("ADT", -12),
    ("AEDT", 44),
    ("AEST", 40),
    ("AKDT", -32),
    ("AKST", -36),
    ("AST", -16),
    ("AWST", 32),
    ("BRT", -12),
    ("BST", 4),
    ("CDT", -20),
    ("CEST", 8),
    ("CET", 4),
    ("CST", -24),
    ("EAT", 12),
    ("EDT", -16),
    ("EEST", 12),
    ("EET", 8),
    ("EST", -20),
    ("GMT", 0),
    ("HKT", 32),
    ("HST", -40),
    ("IDT", 12),
    ("IST", 8),
    ("JST", 36),
    ("KST", 36),
    ("MDT", -24),
    ("MEST", 8),
    ("MESZ", 8),
    ("MET", 4),
    ("MEZ", 4),
    ("MST", -28),
    ("NZDT", 52),
    ("NZST", 48),
    ("PDT", -28),
    ("PKT", 20),
    ("PST", -32),
    ("SAST", 8),
    ("SGT", 32),
    ("UT", 0),
    ("UTC", 0),
    ("WAT", 4),
    ("WET", 0),
    ("Z", 0),
    ("ZULU", 0),
];

/// The function.
pub fn all() -> Vec<ScalarUDF> {
    vec![ScalarUDF::from(TimeZoneOf { signature: Signature::user_defined(Volatility::Immutable) })]
}

/// Where clocks are, or by how much they are ahead.
#[derive(Debug, Clone, Copy)]
enum Zone {
    /// Seconds east of Greenwich.
    Fixed(i32),
    Named(Tz),
}

impl Zone {
    fn of_text(text: &str) -> Result<Zone> {
        let name = text.trim();
        let upper = name.to_uppercase();
        let short = ABBREVIATIONS.iter().find(|(short, _)| *short == upper);
        let zone = short.map(|(_, quarters)| Zone::Fixed(quarters * HOUR_SECONDS / 4));
        let zone = zone.or_else(|| west(name).map(|seconds| Zone::Fixed(-seconds)));
        let named = || [name, &capitalized(name), &upper].iter().find_map(|name| Tz::from_str(name).ok());
        zone.or_else(|| named().map(Zone::Named)).ok_or_else(|| {
            exec_datafusion_err!("there is no time zone '{text}': one is written as in 'Europe/Berlin', 'UTC' or 'EST'")
        })
    }

    fn of_interval(interval: IntervalMonthDayNano) -> Result<Zone> {
        let seconds = i32::try_from(interval.nanoseconds / SECOND_NANOSECONDS);
        match seconds {
            Ok(seconds) if interval.months == 0 && interval.days == 0 && seconds.abs() < 24 * HOUR_SECONDS => {
                Ok(Zone::Fixed(seconds))
            }
            _ => {
                Err(exec_datafusion_err!("an interval that is a time zone has less than a day, and no months or days"))
            }
        }
    }

    /// How many seconds the clocks are ahead at a moment.
    fn ahead(self, moment: NaiveDateTime) -> i32 {
        match self {
            Zone::Fixed(seconds) => seconds,
            Zone::Named(zone) => zone.offset_from_utc_datetime(&moment).fix().local_minus_utc(),
        }
    }

    /// How many seconds the clocks are ahead when they show this.
    fn ahead_at(self, shown: NaiveDateTime) -> i32 {
        let zone = match self {
            Zone::Fixed(seconds) => return seconds,
            Zone::Named(zone) => zone,
        };
        if let Some(offset) = zone.offset_from_local_datetime(&shown).latest() {
            return offset.fix().local_minus_utc();
        }
        // They never show it. Taken with the offset from before the change it is after that, and the other way round.
        let one = self.ahead(shown);
        let moment = shown.checked_sub_signed(chrono::TimeDelta::seconds(one.into()));
        moment.map_or(one, |moment| one.min(self.ahead(moment)))
    }
}

/// Seconds west of Greenwich of `+2`, `-2:30` and `UTC+2`; nothing for other texts.
fn west(text: &str) -> Option<i32> {
    let offset = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    if !matches!(text.len() - offset.len(), 0 | 3..) {
        return None;
    }
    let (sign, clock) = match offset.strip_prefix('-') {
        Some(clock) => (-1, clock),
        None => (1, offset.strip_prefix('+').unwrap_or(offset)),
    };
    let mut parts = clock.split(':');
    let mut part = |max: i32| match parts.next() {
        None => Some(0),
        Some(digits) => {
            let is_number = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse::<i32>().ok())?.filter(|number| *number <= max)
        }
    };
    let seconds = part(23)? * HOUR_SECONDS + part(59)? * 60 + part(59)?;
    parts.next().is_none().then_some(sign * seconds)
}

/// `europe/berlin` as `Europe/Berlin`.
fn capitalized(name: &str) -> String {
    let mut first = true;
    let one = |c: char| {
        let one = if first { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        first = !c.is_ascii_alphabetic();
        one
    };
    name.chars().map(one).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeZoneOf {
    signature: Signature,
}

impl ScalarUDFImpl for TimeZoneOf {
    fn name(&self) -> &str {
        "timezone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [zone, moment] = types else { return plan_err!("timezone takes a time zone and a timestamp") };
        let zone = match zone {
            DataType::Interval(_) => INTERVAL,
            DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
            DataType::Dictionary(_, value) if value.is_string() => DataType::Utf8,
            other => return plan_err!("a time zone is a text or an interval, not {other}"),
        };
        let moment = match moment {
            DataType::Timestamp(unit, None) => DataType::Timestamp(*unit, None),
            DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some(UTC.into())),
            DataType::Date32 | DataType::Date64 | DataType::Null => {
                DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into()))
            }
            other => {
                return plan_err!("AT TIME ZONE takes a timestamp, not {other}: cast it to TIMESTAMP or TIMESTAMPTZ");
            }
        };
        Ok(vec![zone, moment])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [_, DataType::Timestamp(unit, None)] => Ok(DataType::Timestamp(*unit, Some(UTC.into()))),
            [_, DataType::Timestamp(unit, Some(_))] => Ok(DataType::Timestamp(*unit, None)),
            _ => plan_err!("AT TIME ZONE takes a timestamp"),
        }
    }

    /// A zone that is written out is one, or the query is refused.
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        if let Some(Some(ScalarValue::Utf8(Some(zone)))) = args.scalar_arguments.first() {
            Zone::of_text(zone)?;
        }
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let returned = args.return_field.data_type();
        let DataType::Timestamp(unit, _) = returned else { return plan_err!("AT TIME ZONE gives timestamps") };
        let moments = args.args[1].to_array(args.number_rows)?;
        let shifted = match unit {
            TimeUnit::Second => shifted::<TimestampSecondType>(&args.args[0], &moments, 1),
            TimeUnit::Millisecond => shifted::<TimestampMillisecondType>(&args.args[0], &moments, 1_000),
            TimeUnit::Microsecond => shifted::<TimestampMicrosecondType>(&args.args[0], &moments, 1_000_000),
            TimeUnit::Nanosecond => shifted::<TimestampNanosecondType>(&args.args[0], &moments, SECOND_NANOSECONDS),
        }?;
        Ok(ColumnarValue::Array(arrow::compute::cast(&shifted, returned)?))
    }
}

/// The moments of clocks' times, or the other way round.
fn shifted<T: ArrowTimestampType>(zones: &ColumnarValue, moments: &ArrayRef, per_second: i64) -> Result<ArrayRef> {
    let zones = Zones::of(zones, moments.len())?;
    let to_moment = matches!(moments.data_type(), DataType::Timestamp(_, None));
    let moments = moments.as_primitive::<T>();
    let shift = |row: usize| {
        let Some(zone) = zones.at(row)?.filter(|_| moments.is_valid(row)) else { return Ok(None) };
        let value = moments.value(row);
        let out_of_range = || exec_datafusion_err!("the timestamp is out of range in that time zone");
        let time = DateTime::from_timestamp(value.div_euclid(per_second), 0).ok_or_else(out_of_range)?.naive_utc();
        let seconds = if to_moment { -zone.ahead_at(time) } else { zone.ahead(time) };
        value.checked_add(i64::from(seconds) * per_second).map(Some).ok_or_else(out_of_range)
    };
    let shifted: PrimitiveArray<T> = (0..moments.len()).map(shift).collect::<Result<_>>()?;
    let zone = if to_moment { Some(UTC.into()) } else { None };
    Ok(Arc::new(shifted.with_timezone_opt::<Arc<str>>(zone)))
}

/// The zone of each row.
enum Zones {
    One(Option<Zone>),
    Each(ArrayRef),
}

impl Zones {
    fn of(zones: &ColumnarValue, rows: usize) -> Result<Zones> {
        Ok(match zones {
            ColumnarValue::Scalar(zone) => Zones::One(Zones::Each(zone.to_array()?).at(0)?),
            ColumnarValue::Array(_) => Zones::Each(zones.to_array(rows)?),
        })
    }

    fn at(&self, row: usize) -> Result<Option<Zone>> {
        match self {
            Zones::One(zone) => Ok(*zone),
            Zones::Each(zones) if zones.is_null(row) => Ok(None),
            Zones::Each(zones) => match zones.as_primitive_opt::<IntervalMonthDayNanoType>() {
                Some(intervals) => Zone::of_interval(intervals.value(row)).map(Some),
                None => Zone::of_text(zones.as_string::<i32>().value(row)).map(Some),
            },
        }
    }
}
