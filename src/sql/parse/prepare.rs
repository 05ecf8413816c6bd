//! PREPARE, EXECUTE and DEALLOCATE; CREATE INDEX and DROP INDEX: what makes reading fast.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{StatementParser, normalize, object_name};
use crate::error::{Error, Result};
use crate::sql::statement::{CreateIndex, Execute, Prepare, Statement};

impl StatementParser<'_> {
    /// `PREPARE name [(type, ...)] AS statement`.
    pub(super) fn prepare(&mut self) -> Result<Statement> {
        self.words(1);
        let sql = &mut self.parser.parser;
        let name = normalize(&sql.parse_identifier()?);
        let mut types = Vec::new();
        if sql.consume_token(&Token::LParen) {
            types = sql.parse_comma_separated(Parser::parse_data_type)?;
            sql.expect_token(&Token::RParen)?;
        }
        sql.expect_keyword(Keyword::AS)?;
        let place = self.place();
        let first = self.peek_word(0);
        match self.statement()? {
            statement @ (Statement::Query(_) | Statement::Change(_)) => {
                Ok(Statement::Prepare(Prepare { name, types, statement: Box::new(statement) }))
            }
            _ => Err(Error::unsupported(format!("PREPARE takes a query, INSERT, UPDATE or DELETE, not {first}"))
                .with_place(Some(place))),
        }
    }

    /// `EXECUTE name [(value, ...)]`.
    pub(super) fn execute(&mut self) -> Result<Execute> {
        self.words(1);
        let sql = &mut self.parser.parser;
        let name = normalize(&sql.parse_identifier()?);
        let mut arguments = Vec::new();
        if sql.consume_token(&Token::LParen) && !sql.consume_token(&Token::RParen) {
            arguments = sql.parse_comma_separated(Parser::parse_expr)?;
            sql.expect_token(&Token::RParen)?;
        }
        Ok(Execute { name, arguments })
    }

    /// `DEALLOCATE [PREPARE] name | ALL`.
    pub(super) fn deallocate(&mut self) -> Result<Statement> {
        self.words(1);
        if self.peek_word(0) == "PREPARE" {
            self.words(1);
        }
        if self.peek_word(0) == "ALL" {
            self.words(1);
            return Ok(Statement::Deallocate(None));
        }
        Ok(Statement::Deallocate(Some(normalize(&self.parser.parser.parse_identifier()?))))
    }

    /// `CREATE [UNIQUE] INDEX [CONCURRENTLY] [IF NOT EXISTS] [name] ON relation (column, ...)`, from INDEX or UNIQUE on.
    /// How the index is built and in which order it would hold its keys makes no difference to what is read.
    pub(super) fn create_index(&mut self) -> Result<Statement> {
        let place = self.place();
        let unique = self.peek_word(0) == "UNIQUE";
        self.words(1 + usize::from(unique));
        let index = self.parser.parser.parse_create_index(unique)?;
        let refused = |what: &str, hint: &str| {
            Err(Error::unsupported(format!("CREATE INDEX with {what} is not supported"))
                .with_hint(hint)
                .with_place(Some(place)))
        };
        if unique {
            return refused("UNIQUE", "the PRIMARY KEY of a table keeps its rows apart");
        }
        if index.predicate.is_some() {
            return refused("WHERE", "index a view of those rows");
        }
        if !index.include.is_empty() || !index.with.is_empty() || index.nulls_distinct.is_some() {
            return refused("INCLUDE, WITH or NULLS", "an index finds whole rows");
        }
        let column = |column: &ast::IndexColumn| match &column.column.expr {
            ast::Expr::Identifier(name) => Ok(normalize(name)),
            expr => Err(Error::unsupported(format!("an index on the expression {expr} is not supported"))
                .with_hint("give the view a column for it")
                .with_place(Some(place))),
        };
        Ok(Statement::CreateIndex(CreateIndex {
            name: index.name.as_ref().map(object_name).transpose()?,
            relation: object_name(&index.table_name)?,
            columns: index.columns.iter().map(column).collect::<Result<_>>()?,
            if_not_exists: index.if_not_exists,
        }))
    }

    /// `DROP INDEX [IF EXISTS] name, ...`, from INDEX on.
    pub(super) fn drop_index(&mut self) -> Result<Statement> {
        self.words(1);
        let if_exists = self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let mut names = vec![self.name()?];
        while self.parser.parser.consume_token(&Token::Comma) {
            names.push(self.name()?);
        }
        Ok(Statement::DropIndex { names, if_exists })
    }
}
