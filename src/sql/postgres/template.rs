//! The patterns of `to_char`, `to_timestamp` and `to_date`.

use crate::error::{Error, Result};

/// Patterns, the longer of two that begin alike first, and what the batch engine writes for them.
const PATTERNS: [(&str, &str); 41] = [
    ("FMHH24", "%-H"),
    ("FMHH12", "%-I"),
    ("FMMonth", "%B"),
    ("FMDay", "%A"),
    ("FMMon", "%b"),
    ("FMDDD", "%-j"),
    ("FMHH", "%-I"),
    ("FMMM", "%-m"),
    ("FMDD", "%-d"),
    ("FMMI", "%-M"),
    ("FMSS", "%-S"),
    ("FMDy", "%a"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("HH", "%I"),
    ("hh24", "%H"),
    ("hh12", "%I"),
    ("hh", "%I"),
    ("MI", "%M"),
    ("mi", "%M"),
    ("SS", "%S"),
    ("ss", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("am", "%P"),
    ("pm", "%P"),
    ("IYYY", "%G"),
    ("YYYY", "%Y"),
    ("yyyy", "%Y"),
    ("YY", "%y"),
    ("yy", "%y"),
    ("Mon", "%b"),
    ("MM", "%m"),
    ("mm", "%m"),
    ("DDD", "%j"),
    ("DD", "%d"),
    ("dd", "%d"),
    ("Dy", "%a"),
    ("IW", "%V"),
];

/// Patterns of Postgres that have no counterpart.
const UNKNOWN: [&str; 26] = [
    "FM", "TH", "th", "Month", "MONTH", "month", "MON", "mon", "Day", "DAY", "day", "DY", "dy", "Y,YYY", "YYY", "IYY",
    "BC", "AD", "CC", "RM", "WW", "TZ", "OF", "SSSS", "TM", "FX",
];

/// Patterns of one letter that have no counterpart.
const UNKNOWN_LETTERS: [char; 6] = ['Y', 'I', 'D', 'W', 'J', 'Q'];

/// A template of Postgres as the batch engine's. One with a `%` is the batch engine's already.
///
/// # Errors
/// When a pattern has no counterpart.
pub(super) fn strftime(template: &str) -> Result<String> {
    if template.contains('%') {
        return Ok(template.to_string());
    }
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (inside, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            text.push_str(inside);
            rest = after;
        } else if let Some((pattern, ours)) = PATTERNS.iter().find(|(pattern, _)| rest.starts_with(pattern)) {
            text.push_str(ours);
            rest = &rest[pattern.len()..];
        } else if let Some(pattern) = UNKNOWN.iter().find(|pattern| rest.starts_with(**pattern)) {
            return Err(unknown(pattern, template));
        } else if UNKNOWN_LETTERS.contains(&first) {
            return Err(unknown(&first.to_string(), template));
        } else {
            text.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(text)
}

fn unknown(pattern: &str, template: &str) -> Error {
    let error = Error::unsupported(format!("the pattern `{pattern}` in '{template}'"));
    match pattern {
        "Month" | "Day" => error.with_hint(format!("FM{pattern} is the name without blanks after it")),
        _ => error.with_hint("text that is no pattern goes between double quotes"),
    }
}
