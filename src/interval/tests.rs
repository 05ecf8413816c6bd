//! Texts, and what they are read as; expected values are those of Postgres.

use super::*;

/// Months, days, and seconds; or nothing.
fn parts(text: &str, range: Range) -> Option<(i32, i32, f64)> {
    read(text, range).map(|interval| (interval.months, interval.days, interval.nanoseconds as f64 / 1e9))
}

#[test]
fn texts_are_read_as_in_postgres() {
    for (text, expected) in [
        ("1 year 2 months 3 days 04:05:06", (14, 3, 14_706.0)),
        ("1-2", (14, 0, 0.0)),
        ("-1-2 +3 -4:05", (-14, 3, -14_700.0)),
        ("P1Y2M3DT4H5M6S", (14, 3, 14_706.0)),
        ("P0001-02-03T04:05:06", (14, 3, 14_706.0)),
        ("P1W", (0, 7, 0.0)),
        ("PT-1.5H", (0, 0, -5_400.0)),
        ("1:30", (0, 0, 5_400.0)),
        ("1:30:15.5", (0, 0, 5_415.5)),
        ("-1:30", (0, 0, -5_400.0)),
        ("1:30.5", (0, 0, 90.5)),
        ("@ 1 hour ago", (0, 0, -3_600.0)),
        ("1 year 2 days ago", (-12, -2, 0.0)),
        ("@ 1 day -2 hours", (0, 1, -7_200.0)),
        ("1 day, - 2 hours", (0, 1, -7_200.0)),
        ("-1 year 2 mons", (-10, 0, 0.0)),
        ("-1 day +04:05:06", (0, -1, 14_706.0)),
        ("3 4:05:06", (0, 3, 14_706.0)),
        ("1.5 months", (1, 15, 0.0)),
        ("1.5 years", (18, 0, 0.0)),
        ("1.5 weeks", (0, 10, 43_200.0)),
        ("-0.5 day", (0, 0, -43_200.0)),
        (".5 d", (0, 0, 43_200.0)),
        ("1 century 1 decade 1 mil", (12 * 1_110, 0, 0.0)),
        ("100", (0, 0, 100.0)),
        ("1year2mons", (14, 0, 0.0)),
        ("5 m 5 s 5 h 5 d 5 y", (60, 5, 18_305.0)),
        ("3 msec 2 us", (0, 0, 0.003_002)),
    ] {
        assert_eq!(parts(text, Range::default()), Some(expected), "{text}");
    }
    let too_long = "9999999999 years";
    for text in
        ["", "abc", "1 fortnight", "1 day 1 day", "day", "1 day ago 2", "1:2:3:4", "1:60", "1-12", "P", "PT", too_long]
    {
        assert_eq!(parts(text, Range::default()), None, "{text}");
    }
}

#[test]
fn fields_say_what_is_kept() {
    use Field::{Day, Hour, Minute, Month, Second, Year};
    for (text, first, last, expected) in [
        ("1-2", Year, Month, (14, 0, 0.0)),
        ("14", Year, Month, (14, 0, 0.0)),
        ("3", Year, Year, (36, 0, 0.0)),
        ("1 year 2 months", Year, Year, (12, 0, 0.0)),
        ("1 2:03:04", Day, Minute, (0, 1, 7_380.0)),
        ("1 2:03:04", Day, Second, (0, 1, 7_384.0)),
        ("2:03", Hour, Minute, (0, 0, 7_380.0)),
        ("2:03", Minute, Second, (0, 0, 123.0)),
        ("1 day 2:03", Day, Day, (0, 1, 0.0)),
        ("90", Minute, Minute, (0, 0, 5_400.0)),
    ] {
        assert_eq!(parts(text, Range { fields: Some((first, last)), digits: None }), Some(expected), "{text}");
    }
    let rounded = |text, digits| parts(text, Range { fields: None, digits: Some(digits) });
    assert_eq!(rounded("1.4 s", 0), Some((0, 0, 1.0)));
    assert_eq!(rounded("-1.235 s", 2), Some((0, 0, -1.24)));
}

#[test]
fn intervals_are_shown_as_in_postgres() {
    for (months, days, nanoseconds, expected) in [
        (0, 0, 0, "00:00:00"),
        (1, 1, 0, "1 mon 1 day"),
        (14, 3, 14_706_000_000_000, "1 year 2 mons 3 days 04:05:06"),
        (-14, 3, -14_706_000_000_000, "-1 years -2 mons +3 days -04:05:06"),
        (0, -1, 3_600_000_000_000, "-1 days +01:00:00"),
        (24, 0, 1_500_000_000, "2 years 00:00:01.5"),
        (0, 0, 360_000_000_000_001, "100:00:00.000000001"),
        (0, 0, -1, "-00:00:00.000000001"),
    ] {
        let interval = IntervalMonthDayNano::new(months, days, nanoseconds);
        assert_eq!(shown(interval), expected);
        assert_eq!(read(expected, Range::default()), Some(interval), "{expected}");
    }
}

#[test]
fn what_is_written_reads_the_same_here_and_there() {
    for text in ["1 year -2 days 3.000000001 s", "-0.000000009 s", "1 mon -1:00", "2562047 hours"] {
        let interval = read(text, Range::default()).expect(text);
        let text = written(interval);
        assert_eq!(read(&text, Range::default()), Some(interval), "{text}");
        assert_eq!(
            arrow::compute::kernels::cast_utils::parse_interval_month_day_nano(&text).ok(),
            Some(interval),
            "{text}"
        );
    }
}
