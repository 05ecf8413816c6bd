//! ALTER and COMMENT ON.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{StatementParser, normalize};
use crate::error::{Error, Result};
use crate::sql::statement::{Alter, AlterAction, DropKind, Statement};

impl StatementParser<'_> {
    pub(super) fn alter(&mut self) -> Result<Statement> {
        self.words(1);
        let kind = self.relation_kind()?;
        let if_exists = self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let name = self.name()?;
        if kind == DropKind::Stream
            && (self.peek_word(0).as_str(), self.peek_word(1).as_str()) == ("ADVANCE", "WATERMARK")
        {
            self.words(2);
            self.parser.parser.expect_keyword(Keyword::TO)?;
            let to = Box::new(self.parser.parser.parse_expr()?);
            return Ok(Statement::AdvanceWatermark { stream: name, to });
        }
        let mut actions = vec![self.alter_action()?];
        while self.parser.parser.consume_token(&Token::Comma) {
            actions.push(self.alter_action()?);
        }
        Ok(Statement::Alter(Alter { kind: Some(kind), if_exists, name, actions }))
    }

    fn alter_action(&mut self) -> Result<AlterAction> {
        let place = self.place();
        let (first, second) = (self.peek_word(0), self.peek_word(1));
        let sql = &mut self.parser.parser;
        match (first.as_str(), second.as_str()) {
            ("ADD", _) if !["CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK"].contains(&second.as_str()) => {
                sql.next_token();
                let _ = sql.parse_keyword(Keyword::COLUMN);
                let if_not_exists = sql.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
                let column = Box::new(sql.parse_column_def()?);
                Ok(AlterAction::AddColumn { if_not_exists, column })
            }
            ("RENAME", "TO") => {
                self.words(2);
                self.name().map(AlterAction::Rename)
            }
            ("RENAME", _) => {
                sql.next_token();
                let _ = sql.parse_keyword(Keyword::COLUMN);
                let from = normalize(&sql.parse_identifier()?);
                sql.expect_keyword(Keyword::TO)?;
                let to = normalize(&sql.parse_identifier()?);
                Ok(AlterAction::RenameColumn { from, to })
            }
            _ => Err(Error::unsupported(format!("ALTER ... {first} {second}").trim_end().to_string())
                .with_hint("ALTER does ADD COLUMN, RENAME TO and RENAME COLUMN; the rows in the log stay as they are")
                .with_place(Some(place))),
        }
    }

    pub(super) fn comment(&mut self) -> Result<Statement> {
        self.words(2);
        let (kind, name, column) = if self.peek_word(0) == "COLUMN" {
            self.words(1);
            let place = self.place();
            let mut path = self.parser.parser.parse_object_name(false)?;
            let column = path.0.pop().and_then(|part| part.as_ident().map(normalize));
            if path.0.is_empty() {
                let error = Error::input("COMMENT ON COLUMN names a relation and its column, as in t.a");
                return Err(error.with_place(Some(place)));
            }
            (None, super::object_name(&path)?, column)
        } else {
            (Some(self.relation_kind()?), self.name()?, None)
        };
        self.parser.parser.expect_keyword(Keyword::IS)?;
        let text = match self.parser.parser.parse_keyword(Keyword::NULL) {
            true => None,
            false => Some(self.parser.parser.parse_literal_string()?),
        };
        let actions = vec![AlterAction::Comment { column, text }];
        Ok(Statement::Alter(Alter { kind, if_exists: false, name, actions }))
    }

    /// `TABLE`, `STREAM`, `VIEW` or `MATERIALIZED VIEW`.
    fn relation_kind(&mut self) -> Result<DropKind> {
        let kind = match self.peek_word(0).as_str() {
            "STREAM" => DropKind::Stream,
            "TABLE" => DropKind::Table,
            "VIEW" => DropKind::View,
            "MATERIALIZED" => DropKind::MaterializedView,
            _ => {
                let found = self.parser.parser.peek_token();
                let expected = "STREAM, TABLE, VIEW or MATERIALIZED VIEW";
                return Err(self.parser.parser.expected::<()>(expected, found).expect_err("always an error").into());
            }
        };
        self.words(1);
        if kind == DropKind::MaterializedView {
            self.parser.parser.expect_keyword(Keyword::VIEW)?;
        }
        Ok(kind)
    }
}
