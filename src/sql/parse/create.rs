//! CREATE and DROP.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{StatementParser, byte_at, normalize};
use crate::error::{Error, Place, Result};
use crate::sql::refuse::refuse_ignored;
use crate::sql::statement::{CreateRelation, CreateView, Drop, DropKind, Statement, WatermarkClause};

/// What can be temporary.
const TEMPORARY_KINDS: [&str; 3] = ["TABLE", "VIEW", "MATERIALIZED"];

impl StatementParser<'_> {
    pub(super) fn create(&mut self) -> Result<Statement> {
        let place = self.place();
        self.words(1);
        let sql = &mut self.parser.parser;
        let or_replace = sql.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
        let temporary = self.temporary();
        let kind = self.peek_word(0);
        match (kind.as_str(), or_replace) {
            (kind, _) if temporary && !TEMPORARY_KINDS.contains(&kind) => {
                let error = Error::unsupported(format!("CREATE TEMPORARY {kind}")).with_place(Some(place));
                Err(error.with_hint("tables and views can be temporary"))
            }
            ("STREAM" | "TABLE", false) => {
                self.words(1);
                self.create_relation(kind == "STREAM", temporary)
            }
            ("STREAM" | "TABLE", true) => Err(Error::unsupported(format!(
                "CREATE OR REPLACE {kind}: its events are facts in the log; drop it first"
            ))
            .with_place(Some(place))),
            ("INDEX" | "UNIQUE", false) => self.create_index(),
            ("VIEW" | "MATERIALIZED", _) => self.create_view(or_replace, temporary).map(Statement::CreateView),
            ("FUNCTION", _) => {
                self.words(1);
                self.create_function(or_replace)
            }
            ("SOURCE" | "SINK", _) => {
                let (error, hint) = match kind.as_str() {
                    "SOURCE" => (
                        "CREATE SOURCE is spelled CREATE STREAM here",
                        "CREATE STREAM name (columns) WITH (connector = 'file', path = '...', format = 'csv')",
                    ),
                    _ => ("there is no CREATE SINK", "COPY name TO 'file' writes rows; SUBSCRIBE name gives changes"),
                };
                Err(Error::unsupported(error).with_hint(hint).with_place(Some(place)))
            }
            _ => {
                let found = self.parser.parser.peek_token();
                Err(self
                    .parser
                    .parser
                    .expected::<()>("STREAM, TABLE, VIEW or MATERIALIZED VIEW after CREATE", found)
                    .expect_err("always an error")
                    .into())
            }
        }
    }

    /// `TEMP` or `TEMPORARY`, which Postgres lets be `LOCAL` or `GLOBAL` without a difference.
    fn temporary(&mut self) -> bool {
        let is_temporary = |word: &str| ["TEMP", "TEMPORARY"].contains(&word);
        if ["LOCAL", "GLOBAL"].contains(&self.peek_word(0).as_str()) && is_temporary(&self.peek_word(1)) {
            self.words(1);
        }
        let found = is_temporary(&self.peek_word(0));
        self.words(usize::from(found));
        found
    }

    /// `ON COMMIT PRESERVE ROWS` is what a temporary table does.
    pub(super) fn on_commit(&mut self, temporary: bool) -> Result<()> {
        let place = self.place();
        if !self.parser.parser.parse_keywords(&[Keyword::ON, Keyword::COMMIT]) {
            return Ok(());
        }
        let what = [self.peek_word(0), self.peek_word(1)];
        let what = what.iter().map(String::as_str).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        match (temporary, what.as_str()) {
            (true, "PRESERVE ROWS") => {
                self.words(2);
                Ok(())
            }
            (true, _) => Err(Error::unsupported(format!("ON COMMIT {what}"))
                .with_hint("a temporary table keeps its rows: DELETE or DROP it when the work is done")
                .with_place(Some(place))),
            (false, _) => Err(Error::input("ON COMMIT is for temporary tables").with_place(Some(place))),
        }
    }

    fn create_relation(&mut self, is_stream: bool, temporary: bool) -> Result<Statement> {
        let if_not_exists = self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = self.name()?;
        if let Some(columns) = self.columns_of_query()? {
            let create = (temporary, name, if_not_exists, columns);
            return self.table_as(is_stream, create).map(|create| Statement::CreateTableAs(Box::new(create)));
        }
        let (mut constraints, mut watermark) = (Vec::new(), None);
        let columns = if self.parser.parser.consume_token(&Token::LParen) {
            let mut columns = Vec::new();
            loop {
                if (self.peek_word(0).as_str(), self.peek_word(1).as_str()) == ("WATERMARK", "FOR") {
                    let clause = self.watermark()?;
                    if watermark.is_some() {
                        let error = Error::input(format!("`{name}` has two watermarks"));
                        return Err(error.with_place(clause.place));
                    }
                    watermark = Some(clause);
                    if self.parser.parser.consume_token(&Token::RParen) {
                        break;
                    }
                    self.parser.parser.expect_token(&Token::Comma)?;
                    continue;
                }
                // Other dialects begin an index with these words; here they are names of columns.
                let is_column = ["KEY", "INDEX", "FULLTEXT", "SPATIAL"].contains(&self.peek_word(0).as_str());
                let sql = &mut self.parser.parser;
                let constraint = if is_column { None } else { sql.parse_optional_table_constraint()? };
                match constraint {
                    Some(constraint) => constraints.push(constraint),
                    None => columns.push(sql.parse_column_def()?),
                }
                if sql.consume_token(&Token::RParen) {
                    break;
                }
                sql.expect_token(&Token::Comma)?;
            }
            // A watermark alone: the columns are those of the source.
            (watermark.is_none() || !columns.is_empty()).then_some(columns)
        } else {
            None
        };
        let options = self.options()?;
        self.on_commit(temporary)?;
        let create =
            CreateRelation { is_stream, temporary, name, if_not_exists, columns, constraints, watermark, options };
        Ok(Statement::CreateRelation(Box::new(create)))
    }

    /// `WATERMARK FOR column [AS column [- INTERVAL ...]]`.
    fn watermark(&mut self) -> Result<WatermarkClause> {
        let place = Some(self.place());
        self.words(2);
        let sql = &mut self.parser.parser;
        let column = normalize(&sql.parse_identifier()?);
        let is_column = |expr: &ast::Expr| matches!(expr, ast::Expr::Identifier(ident) if normalize(ident) == column);
        let delay = match sql.parse_keyword(Keyword::AS) {
            false => None,
            true => match sql.parse_expr()? {
                expr if is_column(&expr) => None,
                ast::Expr::BinaryOp { left, op: ast::BinaryOperator::Minus, right } if is_column(&left) => Some(*right),
                other => {
                    let error = Error::unsupported(format!("WATERMARK FOR {column} AS {other}")).with_place(place);
                    return Err(error.with_hint(format!(
                        "a watermark is how late rows can be: WATERMARK FOR {column} AS {column} - INTERVAL '5' SECOND"
                    )));
                }
            },
        };
        Ok(WatermarkClause { column, delay, place })
    }

    fn create_view(&mut self, or_replace: bool, temporary: bool) -> Result<CreateView> {
        let materialized = self.parser.parser.parse_keyword(Keyword::MATERIALIZED);
        self.parser.parser.expect_keyword(Keyword::VIEW)?;
        let if_not_exists = self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = self.name()?;
        let mut columns = Vec::new();
        if self.parser.parser.consume_token(&Token::LParen) {
            columns =
                self.parser.parser.parse_comma_separated(|p| p.parse_identifier())?.iter().map(normalize).collect();
            self.parser.parser.expect_token(&Token::RParen)?;
        }
        let options = self.options()?;
        self.parser.parser.expect_keyword(Keyword::AS)?;
        let start = self.parser.parser.peek_token_ref().span.start;
        refuse_ignored(&self.parser.parser.parse_query()?)?;
        let end = match (self.emit, &self.parser.parser.peek_token_ref().token) {
            (Some(emit), _) => byte_at(self.text, emit.start),
            (None, Token::EOF) => self.text.len(),
            _ => byte_at(self.text, self.parser.parser.peek_token_ref().span.start),
        };
        let query = self.text[byte_at(self.text, start)..end].trim_end().to_string();
        let query_place = Place { line: start.line, column: start.column };
        self.with_data()?;
        Ok(CreateView {
            materialized,
            temporary,
            or_replace,
            if_not_exists,
            name,
            columns,
            on_close: self.emit.take().is_some_and(|emit| emit.on_close),
            query,
            query_place,
            options,
        })
    }

    /// `WITH DATA` is what every materialized view is.
    fn with_data(&mut self) -> Result<()> {
        let place = self.place();
        let sql = &mut self.parser.parser;
        if sql.parse_keywords(&[Keyword::WITH, Keyword::NO, Keyword::DATA]) {
            return Err(Error::unsupported("WITH NO DATA: a materialized view always has its rows")
                .with_hint("leave it out; the view is filled at once")
                .with_place(Some(place)));
        }
        let _ = sql.parse_keywords(&[Keyword::WITH, Keyword::DATA]);
        Ok(())
    }

    pub(super) fn drop(&mut self) -> Result<Statement> {
        self.words(1);
        let kind = match self.peek_word(0).as_str() {
            "INDEX" => return self.drop_index(),
            "STREAM" => DropKind::Stream,
            "TABLE" => DropKind::Table,
            "VIEW" => DropKind::View,
            _ => {
                self.words(1);
                DropKind::MaterializedView
            }
        };
        if kind == DropKind::MaterializedView {
            self.parser.parser.expect_keyword(Keyword::VIEW)?;
        } else {
            self.words(1);
        }
        let if_exists = self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let mut names = vec![self.name()?];
        while self.parser.parser.consume_token(&Token::Comma) {
            names.push(self.name()?);
        }
        let cascade = self.parser.parser.parse_keyword(Keyword::CASCADE);
        let _ = self.parser.parser.parse_keyword(Keyword::RESTRICT);
        Ok(Statement::Drop(Drop { kind, names, if_exists, cascade }))
    }

    /// `WITH (key = value, ...)`, keys in lower case, or nothing.
    fn options(&mut self) -> Result<BTreeMap<String, String>> {
        let mut options = BTreeMap::new();
        if self.peek_word(0) != "WITH" {
            return Ok(options);
        }
        let place = self.place();
        for option in self.parser.parser.parse_options(Keyword::WITH)? {
            let ast::SqlOption::KeyValue { key, value } = &option else {
                return Err(
                    Error::input(format!("`{option}`: options are written key = 'value'")).with_place(Some(place))
                );
            };
            let value = match value {
                ast::Expr::Value(value) => match value.value.clone().into_string() {
                    Some(text) => text,
                    None => value.to_string(),
                },
                ast::Expr::Identifier(ident) => ident.value.clone(),
                other => other.to_string(),
            };
            if options.insert(key.value.to_lowercase(), value).is_some() {
                return Err(Error::input(format!("option `{}` is given twice", key.value)).with_place(Some(place)));
            }
        }
        Ok(options)
    }
}
