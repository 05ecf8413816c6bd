//! `SUBSCRIBE [TO] view [FROM OFFSET n] [AS PATCHES]`.

use super::StatementParser;
use crate::error::Result;
use crate::sql::statement::{Statement, Subscribe};

impl StatementParser<'_> {
    pub(super) fn subscribe(&mut self) -> Result<Statement> {
        self.words(1);
        if self.peek_word(0) == "TO" {
            self.words(1);
        }
        let view = self.name()?;
        let mut from = None;
        if (self.peek_word(0).as_str(), self.peek_word(1).as_str()) == ("FROM", "OFFSET") {
            self.words(2);
            from = Some(self.parser.parser.parse_literal_uint()?);
        }
        let patches = (self.peek_word(0).as_str(), self.peek_word(1).as_str()) == ("AS", "PATCHES");
        if patches {
            self.words(2);
        }
        Ok(Statement::Subscribe(Subscribe { view, from, patches }))
    }
}
