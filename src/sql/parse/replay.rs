//! `REPLAY stream INTO stream [BY column] [AT SPEED x]`.

use super::{StatementParser, normalize};
use crate::error::{Error, Result};
use crate::sql::statement::{Replay, Statement};

impl StatementParser<'_> {
    pub(super) fn replay(&mut self) -> Result<Statement> {
        let place = self.place();
        self.words(1);
        let from = self.name()?;
        let (mut into, mut by, mut speed) = (None, None, None);
        loop {
            match (self.peek_word(0).as_str(), self.peek_word(1).as_str()) {
                ("INTO", _) if into.is_none() => {
                    self.words(1);
                    into = Some(self.name()?);
                }
                ("BY", _) if by.is_none() => {
                    self.words(1);
                    by = Some(normalize(&self.parser.parser.parse_identifier()?));
                }
                ("AT", "SPEED") if speed.is_none() => {
                    self.words(2);
                    let place = self.place();
                    let given = self.parser.parser.parse_expr()?.to_string();
                    let number = given.parse::<f64>();
                    let error = |_| Error::input(format!("AT SPEED {given}: not a number")).with_place(Some(place));
                    speed = Some(number.map_err(error)?);
                }
                _ => break,
            }
        }
        let Some(into) = into else {
            return Err(Error::input(format!("REPLAY `{from}`: it is not said where its events are to go"))
                .with_hint("REPLAY s INTO t AT SPEED 10, t being another stream of the same columns")
                .with_place(Some(place)));
        };
        Ok(Statement::Replay(Replay { from, into, by, speed }))
    }
}
