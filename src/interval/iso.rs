//! Intervals of ISO 8601: `P1Y2M3DT4H5M6S`, and `P0001-02-03T04:05:06`.

use super::words::decimal;
use super::{DAY, HOUR, MINUTE, MONTHS_PER_YEAR, NANOSECONDS, Number, Parts, Unit, time, whole};

/// The parts of an interval; nothing for other texts.
pub(super) fn read(text: &str) -> Option<Parts> {
    let rest = text.strip_prefix(['P', 'p'])?;
    let (date, clock) = match rest.split_once(['T', 't']) {
        Some((date, clock)) => (date, Some(clock)),
        None => (rest, None),
    };
    if date.is_empty() && clock.is_none_or(str::is_empty) {
        return None;
    }
    let mut parts = Parts::default();
    match dashes(date) {
        Some([years, months, days]) => {
            parts.months = years.checked_mul(MONTHS_PER_YEAR)?.checked_add(months)?;
            parts.days = days;
        }
        None => numbers(date, &mut parts, |letter| match letter {
            'Y' => Some(Unit::Months(MONTHS_PER_YEAR)),
            'M' => Some(Unit::Months(1)),
            'W' => Some(Unit::Days(7)),
            'D' => Some(Unit::Days(1)),
            _ => None,
        })?,
    }
    match clock {
        Some(clock) if clock.contains(':') => parts.nanoseconds += time(clock, Default::default())?,
        Some(clock) => numbers(clock, &mut parts, |letter| match letter {
            'H' => Some(Unit::Nanoseconds(HOUR)),
            'M' => Some(Unit::Nanoseconds(MINUTE)),
            'S' => Some(Unit::Nanoseconds(NANOSECONDS)),
            _ => None,
        })?,
        None => {}
    }
    (parts.nanoseconds.abs() < i128::from(i64::MAX) * DAY).then_some(parts)
}

/// `0001-02-03`.
fn dashes(date: &str) -> Option<[i128; 3]> {
    let parts = date.split('-').map(whole).collect::<Option<Vec<_>>>()?;
    parts.try_into().ok()
}

/// Numbers, each with the letter of its unit behind it.
fn numbers(text: &str, parts: &mut Parts, unit: impl Fn(char) -> Option<Unit>) -> Option<()> {
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, after) = rest.split_at(end);
        let letter = after.chars().next()?.to_ascii_uppercase();
        let negative = number.starts_with('-');
        let number: Number = decimal(number.strip_prefix(['-', '+']).unwrap_or(number), negative)?;
        parts.add(number, unit(letter)?)?;
        rest = &after[1..];
    }
    Some(())
}
