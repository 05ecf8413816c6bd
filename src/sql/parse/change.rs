//! Statements that change rows, where the parser does not know all of them: MERGE, whose `DO NOTHING` and
//! `INSERT DEFAULT VALUES` it refuses, WITH before it, and `INSERT INTO t AS name`.
//!
//! In the tree `DO NOTHING` is an UPDATE that sets no column, and `INSERT DEFAULT VALUES` an INSERT of no row of values:
//! neither can be written otherwise.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{IsOptional, Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::StatementParser;
use crate::error::Result;
use crate::sql::refuse::refuse_ignored;
use crate::sql::statement::Statement;

/// Whether a query is a change with WITH before it.
pub fn is_change(query: &ast::Query) -> bool {
    use ast::SetExpr::{Delete, Insert, Merge, Update};
    matches!(query.body.as_ref(), Insert(_) | Update(_) | Delete(_) | Merge(_))
}

/// Takes `AS name` behind the name of the table in `INSERT INTO t AS name`.
pub fn take_insert_alias(tokens: &mut Vec<TokenWithSpan>) -> Option<ast::Ident> {
    let blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let seen: Vec<usize> = (0..tokens.len()).filter(|at| !blank(&tokens[*at])).collect();
    let is = |at: usize, keyword| {
        seen.get(at).is_some_and(|at| matches!(&tokens[*at].token, Token::Word(word) if word.keyword == keyword))
    };
    let insert = (0..seen.len()).find(|at| is(*at, Keyword::INSERT) && is(at + 1, Keyword::INTO))?;
    let mut at = insert + 3;
    while seen.get(at).is_some_and(|at| tokens[*at].token == Token::Period) {
        at += 2;
    }
    if !is(at, Keyword::AS) {
        return None;
    }
    let name = &tokens[*seen.get(at + 1)?];
    let Token::Word(word) = &name.token else { return None };
    let alias = word.clone().into_ident(name.span);
    tokens.drain(seen[at]..=seen[at + 1]);
    Some(alias)
}

impl StatementParser<'_> {
    /// A statement that the parser has read.
    pub(super) fn change(&mut self, mut change: ast::Statement) -> Result<Statement> {
        refuse_ignored(&change)?;
        let insert = match &mut change {
            ast::Statement::Query(query) => match query.body.as_mut() {
                ast::SetExpr::Insert(ast::Statement::Insert(insert)) => Some(insert),
                _ => None,
            },
            ast::Statement::Insert(insert) => Some(insert),
            _ => None,
        };
        if let (Some(insert), Some(alias)) = (insert, self.insert_alias.take()) {
            insert.table_alias = Some(ast::TableAliasWithoutColumns { explicit: true, alias });
        }
        Ok(Statement::Change(Box::new(change)))
    }

    /// `MERGE ...`.
    pub(super) fn merge(&mut self) -> Result<Statement> {
        let merge = ast::Statement::Merge(merge(&mut self.parser.parser)?);
        refuse_ignored(&merge)?;
        Ok(Statement::Change(Box::new(merge)))
    }

    /// `WITH ... MERGE ...`; nothing, and nothing read, where something else follows the WITH.
    pub(super) fn with_merge(&mut self) -> Result<Option<Statement>> {
        let parser = &mut self.parser.parser;
        let Some(with) = parser.maybe_parse(with_before_merge)? else { return Ok(None) };
        let merge = ast::Statement::Merge(merge(parser)?);
        let query = ast::Query {
            with: Some(with),
            body: Box::new(ast::SetExpr::Merge(merge)),
            order_by: None,
            limit_clause: None,
            fetch: None,
            locks: Vec::new(),
            for_clause: None,
            settings: None,
            format_clause: None,
            pipe_operators: Vec::new(),
        };
        refuse_ignored(&query)?;
        Ok(Some(Statement::Change(Box::new(ast::Statement::Query(Box::new(query))))))
    }
}

fn with_before_merge(parser: &mut Parser<'_>) -> Result<ast::With, ParserError> {
    parser.expect_keyword_is(Keyword::WITH)?;
    let with_token = parser.get_current_token().clone().into();
    let recursive = parser.parse_keyword(Keyword::RECURSIVE);
    let cte_tables = parser.parse_comma_separated(Parser::parse_cte)?;
    match parser.peek_keyword(Keyword::MERGE) {
        true => Ok(ast::With { with_token, recursive, cte_tables }),
        false => parser.expected("MERGE", parser.peek_token()),
    }
}

fn merge(parser: &mut Parser<'_>) -> Result<ast::Merge, ParserError> {
    parser.expect_keyword_is(Keyword::MERGE)?;
    let merge_token = parser.get_current_token().clone().into();
    let into = parser.parse_keyword(Keyword::INTO);
    let table = parser.parse_table_factor()?;
    parser.expect_keyword_is(Keyword::USING)?;
    let source = parser.parse_table_factor()?;
    parser.expect_keyword_is(Keyword::ON)?;
    let on = Box::new(parser.parse_expr()?);
    let mut clauses = Vec::new();
    while parser.parse_keyword(Keyword::WHEN) {
        clauses.push(clause(parser)?);
    }
    if clauses.is_empty() {
        return parser.expected("WHEN", parser.peek_token());
    }
    let output = match parser.parse_keyword(Keyword::RETURNING) {
        true => {
            let returning_token = parser.get_current_token().clone().into();
            let select_items = parser.parse_comma_separated(Parser::parse_select_item)?;
            Some(ast::OutputClause::Returning { returning_token, select_items })
        }
        false => None,
    };
    Ok(ast::Merge { merge_token, optimizer_hints: Vec::new(), into, table, source, on, clauses, output })
}

fn clause(parser: &mut Parser<'_>) -> Result<ast::MergeClause, ParserError> {
    use ast::MergeClauseKind::{Matched, NotMatched, NotMatchedBySource, NotMatchedByTarget};
    let when_token = parser.get_current_token().clone().into();
    let not = parser.parse_keyword(Keyword::NOT);
    parser.expect_keyword_is(Keyword::MATCHED)?;
    let clause_kind = match not {
        false => Matched,
        true if parser.parse_keywords(&[Keyword::BY, Keyword::SOURCE]) => NotMatchedBySource,
        true if parser.parse_keywords(&[Keyword::BY, Keyword::TARGET]) => NotMatchedByTarget,
        true => NotMatched,
    };
    let predicate = match parser.parse_keyword(Keyword::AND) {
        true => Some(parser.parse_expr()?),
        false => None,
    };
    parser.expect_keyword_is(Keyword::THEN)?;
    let is_there = matches!(clause_kind, Matched | NotMatchedBySource);
    let action = match is_there {
        _ if parser.parse_keywords(&[Keyword::DO, Keyword::NOTHING]) => update(parser, Vec::new()),
        true if parser.parse_keyword(Keyword::UPDATE) => {
            parser.expect_keyword_is(Keyword::SET)?;
            let assignments = parser.parse_comma_separated(Parser::parse_assignment)?;
            update(parser, assignments)
        }
        true if parser.parse_keyword(Keyword::DELETE) => {
            ast::MergeAction::Delete { delete_token: parser.get_current_token().clone().into() }
        }
        true => return parser.expected("UPDATE, DELETE or DO NOTHING", parser.peek_token()),
        false if parser.parse_keyword(Keyword::INSERT) => insert(parser)?,
        false => return parser.expected("INSERT or DO NOTHING", parser.peek_token()),
    };
    Ok(ast::MergeClause { when_token, clause_kind, predicate, action })
}

fn update(parser: &Parser<'_>, assignments: Vec<ast::Assignment>) -> ast::MergeAction {
    let update_token = parser.get_current_token().clone().into();
    let (update_predicate, delete_predicate) = (None, None);
    ast::MergeAction::Update(ast::MergeUpdateExpr { update_token, assignments, update_predicate, delete_predicate })
}

fn insert(parser: &mut Parser<'_>) -> Result<ast::MergeAction, ParserError> {
    let insert_token = parser.get_current_token().clone().into();
    let columns = parser.parse_parenthesized_qualified_column_list(IsOptional::Optional, false)?;
    let none = ast::Values { explicit_row: false, value_keyword: false, rows: Vec::new() };
    let values = match parser.parse_keywords(&[Keyword::DEFAULT, Keyword::VALUES]) {
        true if columns.is_empty() => none,
        true => return parser.expected("VALUES", parser.peek_token()),
        false => {
            parser.expect_keyword_is(Keyword::VALUES)?;
            let values = parser.parse_values(false, false)?;
            if values.rows.len() > 1 {
                return parser.expected("one row of values", parser.peek_token());
            }
            values
        }
    };
    if parser.peek_token_ref().token == Token::Comma {
        return parser.expected("WHEN", parser.peek_token());
    }
    let kind_token = parser.get_current_token().clone().into();
    let kind = ast::MergeInsertKind::Values(values);
    Ok(ast::MergeAction::Insert(ast::MergeInsertExpr {
        insert_token,
        columns,
        kind_token,
        kind,
        insert_predicate: None,
    }))
}
