//! Errors of Arrow, DataFusion and the SQL parser as errors of ours, with the place and the nearest candidate where
//! they are known.

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;

use super::wording::{said, unsupported};
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
            DataFusionError::Internal(message) => {
                match INPUT.iter().find_map(|theirs| Some((theirs, message.split_once(theirs)?))) {
                    Some((theirs, (_, rest))) if theirs.ends_with(": ") => said(rest),
                    Some((theirs, (_, rest))) => said(&format!("{theirs}{rest}")),
                    None => Error::Internal(message),
                }
            }
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

/// How errors of the batch engine begin that it calls internal and that are the statement's.
const INPUT: [&str; 2] = ["failed to call 'regex_match_dyn_scalar' Compute error: ", "Failed to coerce types "];

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
}
