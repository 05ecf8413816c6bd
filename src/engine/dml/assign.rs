//! `SET`: which columns get which values.
//!
//! Columns that are set together from one subquery get the fields of a struct that it makes, so that they come from one
//! row.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::nullif;
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::fit::fit_column;
use super::names::Context;
use super::scope::Scope;
use crate::engine::catalog::Object;
use crate::engine::literals::fit;
use crate::error::{Error, Place, Result, list, nearest};
use crate::sql::parse::{normalize, parse_expression};

/// Columns, by place, and the value that they get.
pub struct Assignment {
    columns: Vec<usize>,
    value: ast::Expr,
    /// Whether the value is a struct of one for each.
    is_struct: bool,
}

/// The column of a target by its name as it is written.
///
/// # Errors
/// When there is none.
pub fn column(target: &Object, name: &ast::Ident) -> Result<usize> {
    let normalized = normalize(name);
    target.schema.index_of(&normalized).map_err(|_| {
        let names: Vec<&str> = target.schema.fields().iter().map(|f| f.name().as_str()).collect();
        let error = Error::input(format!("no column `{normalized}`"));
        let error = error.with_place(place(name.span));
        match nearest(&normalized, names.iter().copied()) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint(format!("its columns are {}", list(&names))),
        }
    })
}

/// Where something begins in the statement, if the parser noted it.
pub fn place(span: Span) -> Option<Place> {
    let start = span.start;
    (start.line > 0).then_some(Place { line: start.line, column: start.column })
}

/// The assignments of a `SET`, each column at most once.
///
/// # Errors
/// When a column does not exist or is set twice, or there are not as many values as columns.
pub fn assignments(set: Vec<ast::Assignment>, target: &Object, verb: &str) -> Result<Vec<Assignment>> {
    let mut made = Vec::new();
    let mut assigned = HashSet::new();
    for ast::Assignment { target: names, value } in set {
        let (names, together) = match names {
            ast::AssignmentTarget::ColumnName(name) => (vec![name], false),
            ast::AssignmentTarget::Tuple(names) => (names, true),
        };
        let mut columns = Vec::with_capacity(names.len());
        for name in &names {
            let ident = name.0.last().and_then(|part| part.as_ident());
            let ident = ident.ok_or_else(|| Error::unsupported(format!("{verb} sets columns, not `{name}`")))?;
            let at = column(target, ident)?;
            if !assigned.insert(at) {
                let message = format!("{verb} sets column `{}` twice", target.schema.field(at).name());
                return Err(Error::input(message).with_place(place(ident.span)));
            }
            columns.push(at);
        }
        match together {
            false => made.push(one(columns[0], value, target)?),
            true => made.extend(several(columns, value, target, verb)?),
        }
    }
    Ok(made)
}

fn one(column: usize, mut value: ast::Expr, target: &Object) -> Result<Assignment> {
    fit(&mut value, target, Some(column))?;
    Ok(Assignment { columns: vec![column], value, is_struct: false })
}

fn several(columns: Vec<usize>, value: ast::Expr, target: &Object, verb: &str) -> Result<Vec<Assignment>> {
    let at = place(value.span());
    let wrong_width = |found: usize| {
        Err(Error::input(format!("{verb} sets {} columns together to {found} values", columns.len())).with_place(at))
    };
    let values = match value {
        ast::Expr::Subquery(query) => {
            let (value, width) = struct_of(*query)?;
            return match width == columns.len() {
                true => Ok(vec![Assignment { columns, value, is_struct: true }]),
                false => wrong_width(width),
            };
        }
        ast::Expr::Tuple(values) => values,
        ast::Expr::Nested(value) => vec![*value],
        ast::Expr::Function(ast::Function { args: ast::FunctionArguments::List(list), name, .. })
            if name.to_string().eq_ignore_ascii_case("row") =>
        {
            let expr = |arg| match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Ok(expr),
                other => Err(Error::unsupported(format!("{verb} takes no `{other}` in a row"))),
            };
            list.args.into_iter().map(expr).collect::<Result<_>>()?
        }
        _ => {
            let message = format!("{verb} sets columns together to a row of values or to a subquery");
            return Err(Error::input(message).with_place(at));
        }
    };
    if values.len() != columns.len() {
        return wrong_width(values.len());
    }
    columns.into_iter().zip(values).map(|(column, value)| one(column, value, target)).collect()
}

/// A subquery whose one column is a struct of those that it had, and how many these were.
fn struct_of(mut query: ast::Query) -> Result<(ast::Expr, usize)> {
    let not_plain = || {
        Error::unsupported("columns are set together from a plain SELECT of expressions")
            .with_hint("put the query into another one: (SELECT a, b FROM (...) AS q)")
    };
    let ast::SetExpr::Select(select) = query.body.as_mut() else { return Err(not_plain()) };
    if select.distinct.is_some() {
        return Err(not_plain());
    }
    let mut items = Vec::new();
    for item in &select.projection {
        match item {
            ast::SelectItem::UnnamedExpr(expr) => items.push((None, expr.clone())),
            ast::SelectItem::ExprWithAlias { expr, alias } => items.push((Some(alias.clone()), expr.clone())),
            _ => return Err(not_plain()),
        }
    }
    // The names and numbers of the columns that ORDER BY may use are gone with them.
    if let Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(keys), .. }) = &mut query.order_by {
        for key in keys {
            let meant = match &key.expr {
                ast::Expr::Identifier(name) => {
                    items.iter().find(|(alias, _)| alias.as_ref().is_some_and(|a| normalize(a) == normalize(name)))
                }
                ast::Expr::Value(value) => match &value.value {
                    ast::Value::Number(number, _) => {
                        let number = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                        Some(number.and_then(|n| items.get(n)).ok_or_else(not_plain)?)
                    }
                    _ => None,
                },
                _ => None,
            };
            if let Some((_, expr)) = meant {
                key.expr = expr.clone();
            }
        }
    }
    let width = items.len();
    let mut maker = parse_expression("named_struct(1)")?;
    if let ast::Expr::Function(ast::Function { args: ast::FunctionArguments::List(list), .. }) = &mut maker {
        let argument = |expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr));
        let name = |at: usize| ast::Expr::value(ast::Value::SingleQuotedString(format!("value {at}")));
        let fields = items.into_iter().enumerate().flat_map(|(at, (_, expr))| [name(at), expr]);
        list.args = fields.map(argument).collect();
    }
    let alias = ast::Ident::with_quote('"', "values");
    select.projection = vec![ast::SelectItem::ExprWithAlias { expr: maker, alias }];
    Ok((ast::Expr::Subquery(Box::new(query)), width))
}

/// The rows after a `SET`: `old` by column of the target, with what the assignments give instead.
///
/// # Errors
/// When an expression fails, or a column cannot hold its value.
pub fn assigned(
    context: &Context<'_>,
    scope: &Scope,
    old: &[ArrayRef],
    set: &[Assignment],
    row: &dyn Fn(usize) -> String,
) -> Result<Vec<ArrayRef>> {
    let values: Vec<ast::Expr> = set.iter().map(|assignment| assignment.value.clone()).collect();
    let values = scope.evaluate(context, "SET", &values)?;
    let mut new = old.to_vec();
    for (Assignment { columns, is_struct, .. }, values) in set.iter().zip(values) {
        let values = if *is_struct { fields(&values)? } else { vec![values] };
        for (at, values) in columns.iter().zip(values) {
            new[*at] = fit_column(context.target, *at, values, row)?;
        }
    }
    Ok(new)
}

/// The fields of structs; of a struct that is NULL, NULL.
fn fields(values: &ArrayRef) -> Result<Vec<ArrayRef>> {
    let is_null = match values.nulls() {
        Some(nulls) => BooleanArray::from_iter(nulls.iter().map(|valid| Some(!valid))),
        None => BooleanArray::from(vec![false; values.len()]),
    };
    let Some(structs) = values.as_struct_opt() else {
        return Err(Error::Internal("a row of values was planned as something else".into()));
    };
    Ok(structs.columns().iter().map(|column| nullif(column, &is_null)).collect::<Result<_, _>>()?)
}
