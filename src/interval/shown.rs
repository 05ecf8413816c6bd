//! Intervals as Postgres shows them: `1 year 2 mons -3 days +04:05:06.7`, and `00:00:00` for none.

use arrow::datatypes::IntervalMonthDayNano;

const SECOND: u64 = 1_000_000_000;

/// The text of an interval. A part behind a negative one has a sign.
pub fn shown(interval: IntervalMonthDayNano) -> String {
    let mut text = String::new();
    let mut negative = false;
    for (number, unit) in [(interval.months / 12, "year"), (interval.months % 12, "mon"), (interval.days, "day")] {
        if number == 0 {
            continue;
        }
        let space = if text.is_empty() { "" } else { " " };
        let sign = if negative && number > 0 { "+" } else { "" };
        let plural = if number == 1 { "" } else { "s" };
        text.push_str(&format!("{space}{sign}{number} {unit}{plural}"));
        negative = number < 0;
    }
    if text.is_empty() || interval.nanoseconds != 0 {
        let space = if text.is_empty() { "" } else { " " };
        let sign = match interval.nanoseconds {
            ..0 => "-",
            _ if negative => "+",
            _ => "",
        };
        let (seconds, rest) =
            (interval.nanoseconds.unsigned_abs() / SECOND, interval.nanoseconds.unsigned_abs() % SECOND);
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        text.push_str(&format!("{space}{sign}{hours:02}:{minutes:02}:{seconds:02}"));
        if rest != 0 {
            text.push_str(format!(".{rest:09}").trim_end_matches('0'));
        }
    }
    text
}
