//! Regular expressions as Postgres reads them: `.` is any character, also the end of a line, and `$` in what replaces a
//! match is a dollar.
//!
//! ```text
//! x ~ 'a.b'                            x ~ '(?s)a.b'
//! regexp_replace(x, p, '$1 \1 \&')     regexp_replace(x, '(?s)' || p, '$$1 ${1} ${0}')
//! ```

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

use super::{binary, call, literal, string};

/// Functions with a pattern as their second argument, and where their flags are.
const OF_PATTERNS: [(&str, usize); 8] = [
    ("regexp_count", 3),
    ("regexp_instr", 5),
    ("regexp_like", 2),
    ("regexp_match", 2),
    ("regexp_matches", 2),
    ("regexp_replace", 3),
    ("regexp_split_to_array", 2),
    ("regexp_substr", 4),
];

/// Flags with which a point is no end of a line, or of which nobody knows what they are.
const BY_LINES: [char; 4] = ['m', 'n', 'p', 's'];

/// The pattern with points that are any character.
pub(super) fn any_character(pattern: &Expr) -> Expr {
    match literal(pattern, "a pattern") {
        Ok(text) if !text.contains('.') => pattern.clone(),
        Ok(text) => string(format!("(?s){text}")),
        Err(_) => {
            let pattern = Expr::Nested(Box::new(pattern.clone()));
            Expr::Nested(Box::new(binary(string("(?s)".into()), BinaryOperator::StringConcat, pattern)))
        }
    }
}

/// Whether an operator has a pattern on its right.
pub(super) fn is_match(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
    )
}

/// Gives the arguments of a function their meaning in Postgres.
pub(super) fn arguments(name: &str, args: &mut [&mut Expr]) {
    let Some((_, flags)) = OF_PATTERNS.iter().find(|(of, _)| *of == name) else { return };
    if let ("regexp_replace", Some(replacement)) = (name, args.get_mut(2)) {
        **replacement = match literal(replacement, name) {
            Ok(text) => string(replaced_by(text)),
            Err(_) => call("replace", vec![replacement.clone(), string("$".into()), string("$$".into())]),
        };
    }
    let by_lines =
        args.get(*flags).is_some_and(|flags| literal(flags, name).map_or(true, |flags| flags.contains(BY_LINES)));
    if let (false, Some(pattern)) = (by_lines, args.get_mut(1)) {
        **pattern = any_character(pattern);
    }
}

/// What replaces a match in words of the batch engine: groups have one digit, and `\&` is all of the match.
fn replaced_by(text: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = characters.peek().copied().filter(|_| character == '\\');
        match (character, escaped) {
            (_, Some(group @ '0'..='9')) => replaced.push_str(&format!("${{{group}}}")),
            (_, Some('&')) => replaced.push_str("${0}"),
            (_, Some('\\')) => replaced.push('\\'),
            ('$', _) => {
                replaced.push_str("$$");
                continue;
            }
            (other, _) => {
                replaced.push(other);
                continue;
            }
        }
        characters.next();
    }
    replaced
}
