//! CREATE FUNCTION and DROP FUNCTION.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{StatementParser, normalize, object_name, parse_expression, parse_query};
use crate::error::{Error, Result};
use crate::sql::statement::{Argument, CreateFunction, DropFunction, Statement};

impl StatementParser<'_> {
    /// After `CREATE [OR REPLACE] FUNCTION`.
    pub(super) fn create_function(&mut self, or_replace: bool) -> Result<Statement> {
        let place = self.place();
        let refused = |what: String| Error::unsupported(what).with_place(Some(place));
        let ast::Statement::CreateFunction(create) =
            self.parser.parser.parse_create_function(false, or_replace, false)?
        else {
            return Err(refused("this form of CREATE FUNCTION".into()));
        };
        let name = object_name(&create.name).map_err(|e| e.with_place(Some(place)))?;
        if let Some(language) = create.language.filter(|language| !language.value.eq_ignore_ascii_case("sql")) {
            return Err(refused(format!("function `{name}`: the language {language}"))
                .with_hint("functions in Rust are registered with Options::functions"));
        }
        if create.behavior == Some(ast::FunctionBehavior::Volatile) {
            return Err(refused(format!("function `{name}` is VOLATILE: a view over it could not be rebuilt")));
        }
        if create.called_on_null.is_some_and(|c| !matches!(c, ast::FunctionCalledOnNull::CalledOnNullInput)) {
            return Err(refused(format!("function `{name}`: STRICT")).with_hint("CASE WHEN a IS NULL THEN NULL ..."));
        }
        let Some(ast::FunctionReturnType::DataType(returns)) = create.return_type else {
            return Err(refused(format!("function `{name}` must say RETURNS and one type")));
        };
        let mut arguments = Vec::new();
        for (at, argument) in create.args.unwrap_or_default().into_iter().enumerate() {
            if argument.default_expr.is_some() || matches!(argument.mode, Some(mode) if mode != ast::ArgMode::In) {
                return Err(refused(format!("function `{name}`: an argument has a name and a type alone")));
            }
            let name = argument.name.as_ref().map_or_else(|| format!("${}", at + 1), normalize);
            arguments.push(Argument { name, data_type: argument.data_type });
        }
        let body = match create.function_body {
            Some(ast::CreateFunctionBody::Return(expr)) => expr,
            Some(
                ast::CreateFunctionBody::AsBeforeOptions { body, .. } | ast::CreateFunctionBody::AsAfterOptions(body),
            ) => selected(&body).ok_or_else(|| {
                refused(format!("function `{name}`: its body is one SELECT of one expression, without FROM"))
            })?,
            _ => {
                return Err(refused(format!("function `{name}` has no body"))
                    .with_hint("RETURN expression, or AS 'SELECT expression'"));
            }
        };
        Ok(Statement::CreateFunction(Box::new(CreateFunction { or_replace, name, arguments, returns, body })))
    }

    /// After `DROP FUNCTION`.
    pub(super) fn drop_function(&mut self) -> Result<Statement> {
        let if_exists = self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let name = self.name()?;
        if self.parser.parser.consume_token(&Token::LParen) {
            // There is one function of a name, whatever its arguments.
            while !self.parser.parser.consume_token(&Token::RParen) {
                if self.parser.parser.next_token().token == Token::EOF {
                    return Err(Error::input("DROP FUNCTION lacks a closing parenthesis"));
                }
            }
        }
        Ok(Statement::DropFunction(DropFunction { if_exists, name }))
    }
}

/// The expression of `SELECT expression`, given as a text or as a tree.
fn selected(body: &ast::Expr) -> Option<ast::Expr> {
    let text = match body {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) | ast::Value::EscapedStringLiteral(text) => text.clone(),
            ast::Value::DollarQuotedString(text) => text.value.clone(),
            _ => return None,
        },
        _ => return None,
    };
    let query = parse_query(text.trim()).ok()?;
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return None };
    match select.projection.as_slice() {
        [ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. }] => {
            // What the query says beside the expression would be lost.
            let alone = format!("SELECT {}", select.projection[0]) == query.to_string();
            if alone { parse_expression(&expr.to_string()).ok() } else { None }
        }
        _ => None,
    }
}
