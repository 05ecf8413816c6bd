//! Texts that are intervals, as Postgres reads and shows them.
//!
//! ```text
//! 1 year 2 months 3 days 04:05:06     P1Y2M3DT4H5M6S          1-2        years and months
//! @ 1 day -2 hours ago                P0001-02-03T04:05:06    3 4:05     days, hours and minutes
//! ```
//!
//! A text is read from its end: a unit is for the number before it, and a number without a unit is seconds, or days
//! before a time. Where a type names fields (`INTERVAL '1:30' MINUTE TO SECOND`), they say what numbers without units
//! are, and what is smaller than the last of them is left out. After "Interval Input" in Postgres' manual, section 8.5.4.
//! Fractions of seconds are kept to nanoseconds, where Postgres has microseconds.

mod iso;
mod shown;
mod words;

use arrow::datatypes::IntervalMonthDayNano;

pub use self::shown::shown;
use self::words::{Word, words};

const NANOSECONDS: i128 = 1_000_000_000;
const MINUTE: i128 = 60 * NANOSECONDS;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;
const MONTHS_PER_YEAR: i128 = 12;
const DAYS_PER_MONTH: i128 = 30;

/// A part of an interval, the largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Years.
    Year,
    /// Months.
    Month,
    /// Days.
    Day,
    /// Hours.
    Hour,
    /// Minutes.
    Minute,
    /// Seconds.
    Second,
}

/// What a type such as `INTERVAL DAY TO SECOND(3)` says of its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first and the last field.
    pub fields: Option<(Field, Field)>,
    /// How many digits of a second's fraction are kept.
    pub digits: Option<u64>,
}

/// What a number stands for: so many months, days or nanoseconds each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unit {
    Months(i128),
    Days(i128),
    Nanoseconds(i128),
}

/// A whole number and the fraction behind it, both of one sign.
#[derive(Clone, Copy)]
struct Number {
    whole: i128,
    fraction: f64,
}

/// The sum of the parts so far.
#[derive(Default)]
struct Parts {
    months: i128,
    days: i128,
    nanoseconds: i128,
}

impl Parts {
    /// Adds a number of units; a fraction of months is days, and one of days is time.
    fn add(&mut self, number: Number, unit: Unit) -> Option<()> {
        match unit {
            Unit::Months(1) => {
                self.months = self.months.checked_add(number.whole)?;
                self.add_days(number.fraction * DAYS_PER_MONTH as f64);
            }
            Unit::Months(each) => {
                let more = (number.fraction * each as f64).round_ties_even() as i128;
                self.months = self.months.checked_add(number.whole.checked_mul(each)?)?.checked_add(more)?;
            }
            Unit::Days(each) => {
                self.days = self.days.checked_add(number.whole.checked_mul(each)?)?;
                self.add_days(number.fraction * each as f64);
            }
            Unit::Nanoseconds(each) => {
                let more = (number.fraction * each as f64).round_ties_even() as i128;
                self.nanoseconds = self.nanoseconds.checked_add(number.whole.checked_mul(each)?)?.checked_add(more)?;
            }
        }
        Some(())
    }

    /// Less than a month.
    fn add_days(&mut self, days: f64) {
        self.days += days.trunc() as i128;
        self.nanoseconds += (days.fract() * DAY as f64).round_ties_even() as i128;
    }

    fn negated(self) -> Parts {
        Parts { months: -self.months, days: -self.days, nanoseconds: -self.nanoseconds }
    }

    /// What a type with these fields keeps.
    fn within(mut self, range: Range) -> Parts {
        if let Some((_, last)) = range.fields {
            if last < Field::Day {
                self.days = 0;
            }
            let kept = match last {
                Field::Year | Field::Month | Field::Day => None,
                Field::Hour => Some(HOUR),
                Field::Minute => Some(MINUTE),
                Field::Second => Some(1),
            };
            self.nanoseconds = kept.map_or(0, |kept| self.nanoseconds / kept * kept);
            if last == Field::Year {
                self.months = self.months / MONTHS_PER_YEAR * MONTHS_PER_YEAR;
            }
        }
        if let Some(digits) = range.digits.filter(|digits| *digits < 9) {
            let step = 10_i128.pow(9 - digits as u32);
            let half = self.nanoseconds.signum() * (step / 2);
            self.nanoseconds = (self.nanoseconds + half) / step * step;
        }
        self
    }

    fn interval(self) -> Option<IntervalMonthDayNano> {
        let months = i32::try_from(self.months).ok()?;
        Some(IntervalMonthDayNano::new(months, i32::try_from(self.days).ok()?, i64::try_from(self.nanoseconds).ok()?))
    }
}

/// The interval that a text stands for; nothing for other texts, and for intervals that are too long.
pub fn read(text: &str, range: Range) -> Option<IntervalMonthDayNano> {
    let parts = in_words(text, range).or_else(|| iso::read(text.trim()))?;
    parts.within(range).interval()
}

/// The text that reads as an interval, for the batch engine as well.
pub fn written(interval: IntervalMonthDayNano) -> String {
    let seconds = interval.nanoseconds.unsigned_abs();
    let sign = if interval.nanoseconds < 0 { "-" } else { "" };
    let (seconds, fraction) = (seconds / NANOSECONDS as u64, seconds % NANOSECONDS as u64);
    format!("{} mons {} days {sign}{seconds}.{fraction:09} secs", interval.months, interval.days)
}

/// Numbers with units, times, and numbers that need no unit.
fn in_words(text: &str, range: Range) -> Option<Parts> {
    let words = words(text)?;
    let (ago, words) = match words.as_slice() {
        [before @ .., Word::Name(name)] if name == "ago" => (true, before),
        all => (false, all),
    };
    let mut parts = Parts::default();
    let mut seen: Vec<Unit> = Vec::new();
    let mut unit = None;
    // A unit waits for the number before it.
    let mut waits = false;
    for word in words.iter().rev() {
        match word {
            Word::Name(name) => {
                if waits {
                    return None;
                }
                (unit, waits) = (Some(unit_of(name)?), true);
            }
            Word::Time(text) => {
                let all = [HOUR, MINUTE, NANOSECONDS].map(Unit::Nanoseconds);
                if waits || seen.iter().any(|unit| all.contains(unit)) {
                    return None;
                }
                parts.nanoseconds += time(text, range)?;
                seen.extend(all);
                unit = Some(Unit::Days(1));
            }
            Word::YearsAndMonths(negative, years, months) => {
                if waits || *months >= MONTHS_PER_YEAR {
                    return None;
                }
                let months = years.checked_mul(MONTHS_PER_YEAR)?.checked_add(*months)?;
                parts.months = parts.months.checked_add(if *negative { -months } else { months })?;
                if seen.contains(&Unit::Months(1)) {
                    return None;
                }
                seen.push(Unit::Months(1));
                unit = Some(Unit::Months(1));
            }
            Word::Number(number) => {
                let of = unit.unwrap_or_else(|| smallest(range));
                if seen.contains(&of) {
                    return None;
                }
                parts.add(*number, of)?;
                seen.push(of);
                (unit, waits) = (Some(of), false);
            }
        }
    }
    if seen.is_empty() || waits {
        return None;
    }
    Some(if ago { parts.negated() } else { parts })
}

/// What a number at the end stands for that has no unit.
fn smallest(range: Range) -> Unit {
    match range.fields.map(|(_, last)| last) {
        Some(Field::Year) => Unit::Months(MONTHS_PER_YEAR),
        Some(Field::Month) => Unit::Months(1),
        Some(Field::Day) => Unit::Days(1),
        Some(Field::Hour) => Unit::Nanoseconds(HOUR),
        Some(Field::Minute) => Unit::Nanoseconds(MINUTE),
        Some(Field::Second) | None => Unit::Nanoseconds(NANOSECONDS),
    }
}

fn unit_of(name: &str) -> Option<Unit> {
    Some(match name {
        "millennium" | "millennia" | "mil" | "mils" => Unit::Months(1_000 * MONTHS_PER_YEAR),
        "century" | "centuries" | "cent" | "c" => Unit::Months(100 * MONTHS_PER_YEAR),
        "decade" | "decades" | "dec" | "decs" => Unit::Months(10 * MONTHS_PER_YEAR),
        "year" | "years" | "yr" | "yrs" | "y" => Unit::Months(MONTHS_PER_YEAR),
        "month" | "months" | "mon" | "mons" => Unit::Months(1),
        "week" | "weeks" | "w" => Unit::Days(7),
        "day" | "days" | "d" => Unit::Days(1),
        "hour" | "hours" | "hr" | "hrs" | "h" => Unit::Nanoseconds(HOUR),
        "minute" | "minutes" | "min" | "mins" | "m" => Unit::Nanoseconds(MINUTE),
        "second" | "seconds" | "sec" | "secs" | "s" => Unit::Nanoseconds(NANOSECONDS),
        "millisecond" | "milliseconds" | "msecond" | "mseconds" | "msec" | "msecs" | "ms" => {
            Unit::Nanoseconds(1_000_000)
        }
        "microsecond" | "microseconds" | "usecond" | "useconds" | "usec" | "usecs" | "us" => Unit::Nanoseconds(1_000),
        "nanosecond" | "nanoseconds" => Unit::Nanoseconds(1),
        _ => return None,
    })
}

/// `4:05:06.7`, `4:05`, or `5:06` of minutes and seconds; in nanoseconds.
fn time(text: &str, range: Range) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (clock, fraction) = text.split_once('.').map_or((text, ""), |(clock, fraction)| (clock, fraction));
    let fields = clock.split(':').map(whole).collect::<Option<Vec<_>>>()?;
    let in_seconds = text.contains('.') || range.fields == Some((Field::Minute, Field::Second));
    let [hours, minutes, seconds] = match fields.as_slice() {
        [minutes, seconds] if in_seconds => [0, *minutes, *seconds],
        [hours, minutes] => [*hours, *minutes, 0],
        [hours, minutes, seconds] => [*hours, *minutes, *seconds],
        _ => return None,
    };
    if minutes > 59 || seconds > 60 {
        return None;
    }
    let fraction = if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse::<f64>().ok()? };
    let part = (fraction * NANOSECONDS as f64).round_ties_even() as i128;
    let all = hours.checked_mul(HOUR)?.checked_add(minutes * MINUTE + seconds * NANOSECONDS + part)?;
    Some(if negative { -all } else { all })
}

/// A number of digits alone.
fn whole(digits: &str) -> Option<i128> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse::<i64>().ok().map(i128::from))?
}

#[cfg(test)]
mod tests;
