//! Text to [`Statement`].
//!
//! Most of the language is sqlparser's; this file adds the statements that it does not know, recognised by their
//! first words: `CREATE STREAM`, `SUBSCRIBE`, `VERIFY`, `CHECKPOINT`, and it takes the parts of `CREATE TABLE` and
//! `CREATE VIEW` that Millstream gives a meaning of its own.

mod alter;
pub mod as_of;
pub mod asof;
mod change;
mod create;
mod create_as;
mod emit;
mod function;
pub mod match_recognize;
mod prepare;
mod replay;
mod setting;
mod subscribe;
pub mod time_windows;

use datafusion::sql::parser::{CopyToSource, DFParser, DFParserBuilder, Statement as DfStatement};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

use self::as_of::read_as_of;
use self::asof::read_asof_joins;
use self::change::{is_change, take_insert_alias};
use self::emit::{Emit, take_emit};
use self::match_recognize::read_matches;
use self::time_windows::read_time_windows;
use super::dialect::{MillstreamDialect, PLAIN, read_as_postgres};
use super::locate::suggest;
use super::refuse::refuse_ignored;
use super::slips::numbers_alone;
use super::statement::{Explain, Savepoint, Show, Statement};
use crate::error::{Error, Place, Result};

/// Bytes of one statement's text.
pub const STATEMENT_BYTES_MAX: usize = 16 << 20;
/// Tokens of one statement.
pub const STATEMENT_TOKENS_MAX: usize = 100_000;
/// Operators at one level of a statement: the batch engine recurses over flat chains of them.
const RECURSION_MAX: usize = 1_000;

/// Parses exactly one statement; a `;` may follow it.
///
/// # Errors
/// With the place in the text of what was not understood.
pub fn parse(text: &str) -> Result<Statement> {
    if text.len() > STATEMENT_BYTES_MAX {
        return Err(Error::Limit(format!(
            "the statement has {} bytes and the limit is {STATEMENT_BYTES_MAX}",
            text.len()
        )));
    }
    let (parser, Taken { insert_alias, emit }) = df_parser(text)?;
    let mut parser = StatementParser { text, parser, insert_alias, emit };
    let statement = parser.statement().map_err(|e| suggest(e, text))?;
    let sql = &mut parser.parser.parser;
    while sql.consume_token(&Token::SemiColon) {}
    if sql.peek_token_ref().token != Token::EOF {
        let found = sql.peek_token();
        let error = sql.expected::<()>("end of statement", found).expect_err("always an error");
        return Err(suggest(error.into(), text));
    }
    if sql.index() > STATEMENT_TOKENS_MAX {
        return Err(Error::Limit(format!(
            "the statement has {} tokens and the limit is {STATEMENT_TOKENS_MAX}",
            sql.index()
        )));
    }
    Ok(statement)
}

/// Parses a query alone: the text kept for a view.
///
/// # Errors
/// When the text is not one query.
pub fn parse_query(text: &str) -> Result<Box<ast::Query>> {
    match parse(text)? {
        Statement::Query(query) => Ok(query),
        _ => Err(Error::input("a view is defined by a query")),
    }
}

/// Parses an expression alone: the text kept for a default or a check.
///
/// # Errors
/// When the text is not one expression.
pub fn parse_expression(text: &str) -> Result<ast::Expr> {
    Ok(df_parser(text)?.0.parser.parse_expr()?)
}

/// What is taken from a statement that the dialect does not read.
struct Taken {
    /// What `INSERT INTO t AS name` calls its table.
    insert_alias: Option<ast::Ident>,
    /// What stands behind the query of a view.
    emit: Option<Emit>,
}

/// A parser of the text, and what it leaves out.
fn df_parser(text: &str) -> Result<(DFParser<'static>, Taken)> {
    let tokens = Tokenizer::new(&PLAIN, text).tokenize_with_location().map_err(ParserError::from)?;
    let mut tokens =
        numbers_alone(read_matches(read_asof_joins(read_time_windows(read_as_of(read_as_postgres(tokens)))))?)?;
    let emit = take_emit(&mut tokens);
    let insert_alias = take_insert_alias(&mut tokens);
    let dialect = MillstreamDialect::of(&tokens);
    let parser = DFParserBuilder::new(tokens).with_dialect(dialect).with_recursion_limit(RECURSION_MAX).build()?;
    Ok((parser, Taken { insert_alias, emit }))
}

struct StatementParser<'a> {
    text: &'a str,
    parser: DFParser<'a>,
    insert_alias: Option<ast::Ident>,
    emit: Option<Emit>,
}

impl StatementParser<'_> {
    fn statement(&mut self) -> Result<Statement> {
        let first = self.peek_word(0);
        let second = self.peek_word(1);
        match (first.as_str(), second.as_str()) {
            ("CREATE", _) => self.create(),
            ("ALTER", "STREAM" | "TABLE" | "VIEW" | "MATERIALIZED") => self.alter(),
            ("DROP", "FUNCTION") => {
                self.words(2);
                self.drop_function()
            }
            ("COMMENT", "ON") => self.comment(),
            ("PREPARE", _) => self.prepare(),
            ("EXECUTE", _) => self.execute().map(Statement::Execute),
            ("DEALLOCATE", _) => self.deallocate(),
            ("DROP", "STREAM" | "TABLE" | "VIEW" | "MATERIALIZED" | "INDEX") => self.drop(),
            ("SUBSCRIBE", _) => self.subscribe(),
            ("REPLAY", _) => self.replay(),
            ("VERIFY", _) => {
                self.words(1);
                let ends = matches!(self.parser.parser.peek_token_ref().token, Token::EOF | Token::SemiColon);
                Ok(Statement::Verify(if ends { None } else { Some(self.name()?) }))
            }
            ("CHECKPOINT", _) => {
                self.words(1);
                Ok(Statement::Checkpoint)
            }
            ("SHOW", "STREAMS") => self.show(2, Show::Streams),
            ("SHOW", "TABLES") => self.show(2, Show::Tables),
            ("SHOW", "VIEWS") => self.show(2, Show::Views),
            ("SHOW", "INDEXES") => self.show(2, Show::Indexes),
            ("SHOW", "MATERIALIZED") => self.show(3, Show::MaterializedViews),
            ("SHOW", "FUNCTIONS") => self.show(2, Show::Functions),
            ("SHOW", "CREATE") => {
                self.words(2);
                if ["TABLE", "STREAM", "VIEW", "MATERIALIZED"].contains(&self.peek_word(0).as_str()) {
                    self.words(1);
                }
                let _ = self.parser.parser.parse_keyword(Keyword::VIEW);
                Ok(Statement::Show(Show::Create(self.name()?)))
            }
            ("SHOW", "COLUMNS") if ["FROM", "IN"].contains(&self.peek_word(2).as_str()) => {
                self.words(3);
                Ok(Statement::Describe(self.name()?))
            }
            ("SHOW", "ALL") => self.show(2, Show::Setting(None)),
            ("SHOW", _) => {
                self.words(1);
                let name = self.parser.parser.parse_object_name(false)?.to_string();
                Ok(Statement::Show(Show::Setting(Some(name.to_lowercase()))))
            }
            ("DESCRIBE" | "DESC", _) => {
                self.words(1);
                let _ = self.parser.parser.parse_keyword(Keyword::TABLE);
                Ok(Statement::Describe(self.name()?))
            }
            ("SET", _) => self.set(),
            ("RESET", _) => self.reset(),
            ("EXPLAIN", _) => self.explain(),
            ("MERGE", _) => self.merge(),
            ("WITH", _) => match self.with_merge()? {
                Some(merge) => Ok(merge),
                None => self.other(),
            },
            _ => self.other(),
        }
    }

    fn show(&mut self, words: usize, what: Show) -> Result<Statement> {
        self.words(words);
        Ok(Statement::Show(what))
    }

    fn other(&mut self) -> Result<Statement> {
        let first = self.peek_word(0);
        let place = self.place();
        match self.parser.parse_statement()? {
            DfStatement::Statement(statement) => match *statement {
                ast::Statement::Query(query) if is_change(&query) => self.change(ast::Statement::Query(query)),
                ast::Statement::Query(query) => {
                    refuse_ignored(&query)?;
                    Ok(Statement::Query(query))
                }
                ast::Statement::StartTransaction { .. } => Ok(Statement::Begin),
                ast::Statement::Commit { .. } => Ok(Statement::Commit),
                ast::Statement::Rollback { savepoint: None, .. } => Ok(Statement::Rollback),
                ast::Statement::Rollback { savepoint: Some(name), .. } => {
                    Ok(Statement::Savepoint(Savepoint::RollBackTo(normalize(&name))))
                }
                ast::Statement::Savepoint { name } => Ok(Statement::Savepoint(Savepoint::Set(normalize(&name)))),
                ast::Statement::ReleaseSavepoint { name } => {
                    Ok(Statement::Savepoint(Savepoint::Release(normalize(&name))))
                }
                change @ (ast::Statement::Insert(_)
                | ast::Statement::Update { .. }
                | ast::Statement::Delete(_)
                | ast::Statement::Truncate(_)) => self.change(change),
                _ => {
                    Err(Error::unsupported(format!("{first} is not a statement of Millstream")).with_place(Some(place)))
                }
            },
            DfStatement::CopyTo(copy) => {
                if let CopyToSource::Query(query) = &copy.source {
                    refuse_ignored(query)?;
                }
                Ok(Statement::Copy(Box::new(copy)))
            }
            _ => Err(Error::unsupported(format!("{first} is not a statement of Millstream")).with_place(Some(place))),
        }
    }

    fn explain(&mut self) -> Result<Statement> {
        self.words(1);
        let analyze = self.parser.parser.parse_keyword(Keyword::ANALYZE);
        let verbose = self.parser.parser.parse_keyword(Keyword::VERBOSE);
        match (self.peek_word(0).as_str(), self.peek_word(1).as_str()) {
            ("CREATE", _) => match self.create()? {
                Statement::CreateView(view) => Ok(Statement::Explain(Explain::NewView(view))),
                _ => Err(Error::unsupported("EXPLAIN takes a query, a view or CREATE MATERIALIZED VIEW")),
            },
            ("SELECT" | "WITH" | "VALUES" | "FROM" | "TABLE" | "", _) => {
                let query = self.parser.parser.parse_query()?;
                Ok(Statement::Explain(Explain::Query { query, analyze, verbose }))
            }
            ("EXECUTE", _) => Ok(Statement::Explain(Explain::Execute(self.execute()?))),
            ("MATERIALIZED", "VIEW") => {
                self.words(2);
                Ok(Statement::Explain(Explain::View(self.name()?)))
            }
            ("VIEW", _) => {
                self.words(1);
                Ok(Statement::Explain(Explain::View(self.name()?)))
            }
            (word @ ("INSERT" | "UPDATE" | "DELETE" | "MERGE" | "TRUNCATE" | "COPY" | "DROP"), _) => {
                Err(Error::unsupported(format!("EXPLAIN takes a query or a view, not {word}"))
                    .with_place(Some(self.place())))
            }
            _ => Ok(Statement::Explain(Explain::View(self.name()?))),
        }
    }

    /// One name; `public.` before it is accepted.
    fn name(&mut self) -> Result<String> {
        let place = self.place();
        let name = self.parser.parser.parse_object_name(false)?;
        object_name(&name).map_err(|e| e.with_place(Some(place)))
    }

    /// The upper-case text of an unquoted word some tokens ahead, or nothing.
    fn peek_word(&self, ahead: usize) -> String {
        match &self.parser.parser.peek_nth_token_ref(ahead).token {
            Token::Word(word) if word.quote_style.is_none() => word.value.to_uppercase(),
            _ => String::new(),
        }
    }

    fn words(&mut self, count: usize) {
        for _ in 0..count {
            self.parser.parser.next_token();
        }
    }

    fn place(&self) -> Place {
        let start = self.parser.parser.peek_token_ref().span.start;
        Place { line: start.line, column: start.column }
    }
}

/// An unquoted identifier in lower case, a quoted one as it is.
pub fn normalize(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The last part of a name whose first parts, if any, are ours.
///
/// # Errors
/// When the name is qualified by another schema.
pub fn object_name(name: &ast::ObjectName) -> Result<String> {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(normalize).collect();
    match parts.as_slice() {
        [.., name] if name.is_empty() => Err(Error::input("a name cannot be empty")),
        [name] => Ok(name.clone()),
        [schema, name] if schema == super::SCHEMA => Ok(name.clone()),
        [catalog, schema, name] if catalog == super::CATALOG && schema == super::SCHEMA => Ok(name.clone()),
        _ => Err(Error::input(format!("`{name}`: the only schema is `{}`", super::SCHEMA))),
    }
}

/// The byte where a token begins.
fn byte_at(text: &str, location: Location) -> usize {
    let line_start =
        text.split_inclusive('\n').take(location.line.saturating_sub(1) as usize).map(str::len).sum::<usize>();
    let line = &text[line_start..];
    line.char_indices().nth(location.column.saturating_sub(1) as usize).map_or(text.len(), |(at, _)| line_start + at)
}

impl From<ParserError> for Error {
    fn from(error: ParserError) -> Self {
        datafusion::error::DataFusionError::SQL(Box::new(error), None).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statement::CreateView;

    fn view(text: &str) -> CreateView {
        match parse(text) {
            Ok(Statement::CreateView(view)) => view,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_view_keeps_the_text_of_its_query() {
        let v = view("CREATE OR REPLACE MATERIALIZED VIEW \"Ö\" AS\n  SELECT 'é;' AS a -- tail\n ;");
        assert_eq!(v.name, "Ö");
        assert!(v.or_replace && v.materialized);
        assert!(v.query.starts_with("SELECT 'é;' AS a"), "{}", v.query);
        assert_eq!(v.query_place, Place { line: 2, column: 3 });
        parse_query(&v.query).expect("the text parses alone");
    }

    #[test]
    fn a_stream_has_columns_constraints_and_options() {
        let Ok(Statement::CreateRelation(s)) = parse(
            "create stream if not exists S (a bigint not null, b text default 'x', check (a > 0)) with (connector = 'file', 'Path' = 'x.csv')",
        ) else {
            panic!("a stream")
        };
        assert!(s.is_stream && s.if_not_exists);
        assert_eq!(s.name, "s");
        assert_eq!(s.columns.map(|c| c.len()), Some(2));
        assert_eq!(s.constraints.len(), 1);
        assert_eq!(s.options["path"], "x.csv");
    }

    #[test]
    fn a_column_can_be_called_key() {
        let Ok(Statement::CreateRelation(t)) = parse("create table t (key int primary key, index text)") else {
            panic!("a table")
        };
        assert_eq!(t.columns.map(|c| c.len()), Some(2));
    }

    #[test]
    fn errors_have_a_place_and_a_candidate() {
        let error = parse("SELEC 1").expect_err("a slip");
        assert!(error.to_string().contains("did you mean `SELECT`?"), "{error}");
        let error = parse("SELECT a FROM t WHERE").expect_err("half a statement");
        assert!(error.place().is_none() || error.place().is_some_and(|p| p.line == 1));
        assert!(parse("SELECT 1 SELECT 2").is_err());
    }

    #[test]
    fn statements_of_our_own() {
        assert!(matches!(parse("verify"), Ok(Statement::Verify(None))));
        assert!(matches!(parse("verify v;"), Ok(Statement::Verify(Some(v))) if v == "v"));
        assert!(matches!(parse("subscribe v"), Ok(Statement::Subscribe(s)) if s.view == "v"));
        assert!(matches!(parse("explain v"), Ok(Statement::Explain(Explain::View(v))) if v == "v"));
        assert!(matches!(parse("begin"), Ok(Statement::Begin)));
        assert!(matches!(parse("copy (select 1) to 'x.csv'"), Ok(Statement::Copy(_))));
    }
}
