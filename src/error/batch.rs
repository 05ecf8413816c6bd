//! What Arrow, DataFusion and the SQL parser say, as errors of ours: in our words where they are wrong ones for a
//! user, with the types that SQL has, and with the place and the nearest candidate where they are known.

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;

use super::{Error, Place, list, nearest};

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
                Ok(error) => *error,
                Err(inner) => said(&inner.to_string()),
            },
            ArrowError::NotYetImplemented(message) => unsupported(&message),
            ArrowError::IoError(message, source) => {
                Error::Io { context: message, message: source.to_string(), kind: source.kind() }
            }
            ArrowError::ComputeError(message)
            | ArrowError::CastError(message)
            | ArrowError::InvalidArgumentError(message)
            | ArrowError::ParseError(message)
            | ArrowError::ArithmeticOverflow(message) => said(&message),
            ArrowError::DivideByZero => Error::input("division by zero"),
            other => said(&other.to_string()),
        }
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        let place = place_of(&error);
        let translated = match error {
            DataFusionError::ArrowError(inner, _) => (*inner).into(),
            DataFusionError::External(inner) => match inner.downcast::<Error>() {
                Ok(error) => *error,
                Err(inner) => said(&inner.to_string()),
            },
            DataFusionError::Context(_, inner) => (*inner).into(),
            DataFusionError::Diagnostic(_, inner) => (*inner).into(),
            DataFusionError::Shared(inner) => shared(&inner),
            DataFusionError::Collection(mut errors) if !errors.is_empty() => errors.swap_remove(0).into(),
            DataFusionError::NotImplemented(message) => unsupported(&message),
            DataFusionError::ResourcesExhausted(message) => Error::Limit(message),
            DataFusionError::IoError(inner) => {
                Error::Io { context: "reading".into(), message: inner.to_string(), kind: inner.kind() }
            }
            DataFusionError::Plan(message)
            | DataFusionError::Execution(message)
            | DataFusionError::Configuration(message) => said(&message),
            DataFusionError::SchemaError(inner, _) => schema_error(&inner),
            DataFusionError::SQL(inner, _) => parser_error(&inner),
            DataFusionError::Internal(message) => Error::Internal(message),
            other => said(&other.strip_backtrace()),
        };
        translated.with_place(place)
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

/// An error behind an `Arc` cannot be taken apart by value: one of ours is cloned, others keep their text.
fn shared(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(error) => error.clone(),
            None => said(&inner.to_string()),
        },
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::DivideByZero => Error::input("division by zero"),
            other => said(&other.to_string()),
        },
        DataFusionError::ResourcesExhausted(message) => Error::Limit(message.clone()),
        DataFusionError::Context(_, inner) => shared(inner),
        DataFusionError::Shared(inner) => shared(inner),
        other => said(&other.strip_backtrace()),
    }
}

fn place_of(error: &DataFusionError) -> Option<Place> {
    let span = error.diagnostic()?.span?;
    Some(Place { line: span.start.line, column: span.start.column })
}

fn schema_error(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
            let shown = match &field.relation {
                Some(relation) => format!("{relation}.{}", field.name),
                None => field.name.clone(),
            };
            let error = Error::input(format!("no column `{shown}`"));
            match nearest(&field.name, names.iter().copied()) {
                Some(name) => error.with_hint(format!("did you mean `{name}`?")),
                None if names.is_empty() => error,
                None => error.with_hint(format!("the columns here are {}", list(&names))),
            }
        }
        SchemaError::AmbiguousReference { field } => {
            Error::input(format!("column `{}` could be any of several; name its table", field.name))
        }
        other => said(&other.to_string()),
    }
}

/// What they put before the text itself.
const PREFIXES: [&str; 12] = [
    "Error during planning: ",
    "Schema error: ",
    "Execution error: ",
    "This feature is not implemented: ",
    "Arrow error: ",
    "Cast error: ",
    "Compute error: ",
    "Parser error: ",
    "Invalid argument error: ",
    "Optimizer rule ",
    "External error: ",
    "sql parser error: ",
];

/// Their names of types, and SQL's. Longer ones come first.
const TYPES: [(&str, &str); 18] = [
    ("Timestamp(ns, \"+00:00\")", "TIMESTAMP WITH TIME ZONE"),
    ("Timestamp(ns)", "TIMESTAMP"),
    ("Interval(MonthDayNano)", "INTERVAL"),
    ("Time64(ns)", "TIME"),
    ("Decimal128", "DECIMAL"),
    ("Decimal256", "DECIMAL"),
    ("Date32", "DATE"),
    ("Boolean", "BOOLEAN"),
    ("LargeUtf8", "VARCHAR"),
    ("Utf8View", "VARCHAR"),
    ("Utf8", "VARCHAR"),
    ("Float32", "REAL"),
    ("Float64", "DOUBLE"),
    ("Int8", "TINYINT"),
    ("Int16", "SMALLINT"),
    ("Int32", "INTEGER"),
    ("Int64", "BIGINT"),
    ("Binary", "BYTEA"),
];

/// Types that a column can be declared with, for "did you mean".
const TYPE_NAMES: [&str; 28] = [
    "TINYINT",
    "SMALLINT",
    "INT",
    "INTEGER",
    "BIGINT",
    "UNSIGNED",
    "FLOAT",
    "REAL",
    "DOUBLE",
    "DECIMAL",
    "NUMERIC",
    "TEXT",
    "VARCHAR",
    "CHAR",
    "STRING",
    "BOOLEAN",
    "BOOL",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "INTERVAL",
    "BYTEA",
    "BLOB",
    "BINARY",
    "VARBINARY",
    "ARRAY",
    "STRUCT",
];

/// An error of the user's from their text.
fn said(text: &str) -> Error {
    let mut text = text.trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    reworded(text).unwrap_or_else(|| Error::input(sql_types(text)))
}

fn unsupported(text: &str) -> Error {
    match said(text) {
        Error::Input(error) => Error::Unsupported(error),
        other => other,
    }
}

/// The texts that say it in the words of their own inside.
fn reworded(text: &str) -> Option<Error> {
    let quoted = |mark: char| text.split(mark).nth(1);
    if text == "Divide by zero error" {
        return Some(Error::input("division by zero"));
    }
    if text.starts_with("Invalid function '") {
        let error = Error::input(format!("no function `{}`", quoted('\'')?));
        return Some(match text.split_once("Did you mean '") {
            Some((_, near)) => error.with_hint(format!("did you mean `{}`?", near.split('\'').next()?)),
            None => error,
        });
    }
    if let Some(name) = text.strip_prefix("Unsupported SQL type ") {
        let error = Error::input(format!("no type `{name}`"));
        return Some(match nearest(&name.to_uppercase(), TYPE_NAMES) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        });
    }
    if text.contains("must appear in the GROUP BY clause") {
        let name = quoted('"')?;
        return Some(
            Error::input(format!("column `{name}` is neither in GROUP BY nor within an aggregate function"))
                .with_hint("group by it, or say which of a group's values is meant: min, max, first_value, ..."),
        );
    }
    if text.starts_with("Projections require unique expression names") {
        return Some(
            Error::input(format!("the query has two columns `{}`", quoted('"')?))
                .with_hint("give one of them another name with AS"),
        );
    }
    if let Some((message, candidates)) = text.split_once("Candidate functions:") {
        return Some(wrong_call(message, candidates));
    }
    if let Some(rest) = text.strip_prefix("Inconsistent data length across values list: got ") {
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<usize>().ok());
        let (got, row, expected) = (numbers.next()?, numbers.next()?, numbers.next()?);
        return Some(Error::input(format!("row {} of VALUES has {got} values where {expected} are expected", row + 1)));
    }
    if let Some(rest) = text.strip_prefix("Cannot coerce arithmetic expression ") {
        let mut words = rest.strip_suffix(" to valid types")?.splitn(3, ' ');
        let (left, operator, right) = (words.next()?, words.next()?, words.next()?);
        let text = format!("`{operator}` cannot take {} and {}", sql_types(left), sql_types(right));
        return Some(Error::input(text).with_hint("CAST one of them to the type of the other"));
    }
    if let Some(rest) = text.strip_prefix("Cannot cast string ") {
        let (value, name) = rest.strip_suffix(" type")?.rsplit_once(" to value of ")?;
        return Some(Error::input(format!("cannot read {value} as {}", sql_types(name))));
    }
    if text.starts_with("Placeholder ") || text.contains("has no type information") {
        return Some(Error::unsupported(format!("parameters and variables: {text}")));
    }
    if text.contains("Scalar subquery returned more than one row") {
        return Some(
            Error::input("a subquery that stands for one value gave more than one row")
                .with_hint("aggregate it, or add a LIMIT 1 with an ORDER BY"),
        );
    }
    None
}

/// `Function 'upper' expects ... No function matches the given name and argument types 'upper(Utf8, Int64)'. ...`
fn wrong_call(message: &str, candidates: &str) -> Error {
    let call = message.split_once("argument types '").and_then(|(_, rest)| rest.split_once("'.")).map(|(call, _)| call);
    let error = match call {
        Some(call) => {
            let name = call.split('(').next().unwrap_or(call);
            Error::input(format!("function `{name}` cannot be called as {}", sql_types(call)))
        }
        None => Error::input(sql_types(message.trim())),
    };
    let forms: Vec<String> = candidates.split('\n').map(|c| sql_types(c.trim())).filter(|c| !c.is_empty()).collect();
    if forms.is_empty() { error } else { error.with_hint(format!("it is called as {}", forms.join(" or "))) }
}

/// The text with SQL's names of types.
fn sql_types(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let within_word = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let found = TYPES.iter().find(|(theirs, _)| {
            let rest = text[at..].strip_prefix(theirs);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        });
        match found {
            Some((theirs, ours)) if !within_word => {
                out.push_str(ours);
                at += theirs.len();
            }
            _ => {
                out.push(next);
                at += next.len_utf8();
            }
        }
    }
    out
}

/// The SQL parser writes the place at the end of its message: `... at Line: 1, Column: 8`.
fn parser_error(error: &ParserError) -> Error {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return Error::Limit("the statement nests deeper than the limit of the parser".into());
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let (text, place) = match message.rsplit_once(" at Line: ") {
        Some((text, at)) => (text, parse_place(at)),
        None => (message.as_str(), None),
    };
    let text = match text.strip_prefix("Expected: ").and_then(|text| text.rsplit_once(", found: ")) {
        Some((expected, "EOF")) => format!("expected {expected}, found the end of the statement"),
        Some((expected, found)) => format!("expected {expected}, found {}", found.escape_debug()),
        None => text.to_string(),
    };
    Error::input(text).with_place(place)
}

/// `1, Column: 8`
fn parse_place(at: &str) -> Option<Place> {
    let (line, column) = at.split_once(", Column: ")?;
    let digits: String = column.chars().take_while(char::is_ascii_digit).collect();
    Some(Place { line: line.trim().parse().ok()?, column: digits.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parser_errors_carry_their_place() {
        let error = ParserError::ParserError("Expected: an expression, found: EOF at Line: 3, Column: 14".into());
        let error = parser_error(&error);
        assert_eq!(error.place(), Some(Place { line: 3, column: 14 }));
        assert_eq!(error.to_string(), "expected an expression, found the end of the statement");
    }

    #[test]
    fn their_texts_become_ours() {
        let cases = [
            ("Execution error: Divide by zero error", "division by zero"),
            ("Invalid function 'upperr'.\nDid you mean 'upper'?", "no function `upperr`\nhint: did you mean `upper`?"),
            ("Unsupported SQL type BIGNT", "no type `BIGNT`\nhint: did you mean `BIGINT`?"),
            (
                "Function 'upper' expects 1 arguments but received 2. No function matches the given name and argument \
                 types 'upper(Float64, Int64)'. You might need to add explicit type casts.\n\tCandidate functions:\n\tupper(String)",
                "function `upper` cannot be called as upper(DOUBLE, BIGINT)\nhint: it is called as upper(String)",
            ),
            (
                "Cannot coerce arithmetic expression Utf8 + Float64 to valid types",
                "`+` cannot take VARCHAR and DOUBLE\nhint: CAST one of them to the type of the other",
            ),
            (
                "Inconsistent data length across values list: got 1 values in row 0 but expected 4",
                "row 1 of VALUES has 1 values where 4 are expected",
            ),
            ("Cannot cast string 'Utf8x' to value of Int32 type", "cannot read 'Utf8x' as INTEGER"),
        ];
        for (theirs, ours) in cases {
            assert_eq!(said(theirs).to_string(), ours);
        }
    }
}
