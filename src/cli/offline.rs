//! `millstream query`: an archive folder alone, without a log or a lock.

use std::path::Path;

use millstream::sql::split::{Piece, statements};
use millstream::{Cancel, Error, Result, query_archive};

use super::interrupt::{Interrupt, Mode};
use super::output::Output;
use super::render::Style;
use super::report;

/// What errors call the query.
const ORIGIN: &str = "SQL";

/// Prints the result of one query over an archive; gives the exit code.
pub fn query(archive: &Path, sql: &str, memory_limit: Option<usize>, style: Style) -> u8 {
    let mut output = Output::new(style, Interrupt::install(Mode::Script));
    let piece = match one_statement(sql) {
        Ok(piece) => piece,
        Err(error) => {
            report::say(&report::plain(&error));
            return error.exit_code();
        }
    };
    let printed = query_archive(archive, piece.text(), memory_limit, &Cancel::default())
        .map_err(Into::into)
        .and_then(|rows| output.rows(&rows));
    let Err(failure) = printed else { return 0 };
    output.discard();
    let Some(error) = output.explain(failure) else { return 0 };
    report::say(&report::in_statement(&error, &piece, Some(ORIGIN)));
    error.exit_code()
}

fn one_statement(sql: &str) -> Result<Piece> {
    let mut pieces = statements(sql)?;
    match (pieces.pop(), pieces.is_empty()) {
        (Some(piece), true) => Ok(piece),
        (None, _) => Err(Error::input("there is no query")),
        (Some(_), false) => Err(Error::input("`millstream query` takes one query at a time")),
    }
}
