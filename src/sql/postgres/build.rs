//! Pieces of statements, made and taken apart.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Query, Value, Visit, Visitor,
};

use crate::error::{Error, Result};

/// The name of a function that is not quoted or qualified, in lower case.
pub fn name_of(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().filter(|ident| ident.quote_style.is_none()).map(|ident| ident.value.to_lowercase()),
        _ => None,
    }
}

/// The text of a literal.
pub fn literal<'a>(expr: &'a Expr, what: &str) -> Result<&'a str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Ok(text),
            Value::DollarQuotedString(text) => Ok(&text.value),
            _ => Err(not_literal(what)),
        },
        Expr::Nested(inner) => literal(inner, what),
        _ => Err(not_literal(what)),
    }
}

fn not_literal(what: &str) -> Error {
    Error::unsupported(format!("{what} takes its pattern as a text between quotes, not as an expression"))
}

/// A text between quotes.
pub fn string(text: String) -> Expr {
    Expr::Value(Value::SingleQuotedString(text).into())
}

/// A number.
pub fn number(value: u64) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).into())
}

/// An operator between two expressions.
pub fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// Whether an expression names a column, or asks a subquery.
pub fn names_column(expr: &Expr) -> bool {
    expr.visit(&mut Columns).is_break()
}

struct Columns;

impl Visitor for Columns {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let is_name =
            matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. });
        if is_name { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

/// A call of a function.
pub fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
