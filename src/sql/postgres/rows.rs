//! `(a, b) IN (SELECT ...)`: rows among those of a query.
//!
//! ```text
//! as a condition    EXISTS (SELECT 1 FROM (SELECT ...) AS made("row 1", "row 2") WHERE "row 1" = a AND "row 2" = b)
//! as a value        CASE WHEN that THEN true
//!                        WHEN EXISTS (... WHERE ("row 1" = a AND "row 2" = b) IS NULL) THEN NULL ELSE false END
//! NOT IN            NOT EXISTS (... WHERE ("row 1" = a AND "row 2" = b) IS NOT FALSE)
//! ```

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Ident, Query, Select, SelectItem, SetExpr, TableAliasColumnDef, TableFactor,
    UnaryOperator, Value, helpers::attached_token::AttachedToken,
};

use super::compared::{equal, row};
use crate::error::{Error, Result};
use crate::sql::parse::parse_query;

/// Rewrites the rows of a condition that are among those of a query, or are not.
pub fn condition(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            condition(left)?;
            condition(right)
        }
        Expr::Nested(inner) => condition(inner),
        Expr::InSubquery { expr: value, .. } if row(value).is_some() => {
            *expr = within(expr.clone(), true)?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether a row is among those of a query; `is_condition` says that NULL is as good as false.
pub fn within(expr: Expr, is_condition: bool) -> Result<Expr> {
    let Expr::InSubquery { expr, subquery, negated } = expr else { return Ok(expr) };
    let values = row(&expr).ok_or_else(|| Error::Internal("a row is expected".into()))?;
    if values.is_empty() {
        return Err(Error::input("a row of no values with IN"));
    }
    let names = names(values.len());
    let equal = Box::new(equal(&columns(&names), &values));
    let asks = |condition: Expr, negated: bool| exists(&subquery, &names, condition, negated);
    match (is_condition, negated) {
        (true, false) => asks(*equal, false),
        (true, true) => asks(Expr::IsNotFalse(equal), true),
        (false, _) => {
            let boolean = |value: Value| Expr::Value(value.into());
            let conditions = vec![
                CaseWhen { condition: asks(*equal.clone(), false)?, result: boolean(Value::Boolean(true)) },
                CaseWhen { condition: asks(Expr::IsNull(equal), false)?, result: boolean(Value::Null) },
            ];
            let found = Expr::Case {
                case_token: AttachedToken::empty(),
                end_token: AttachedToken::empty(),
                operand: None,
                conditions,
                else_result: Some(Box::new(boolean(Value::Boolean(false)))),
            };
            Ok(match negated {
                true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(found))) },
                false => found,
            })
        }
    }
}

/// Whether a query has a row of which something holds.
fn exists(query: &Query, names: &[Ident], condition: Expr, negated: bool) -> Result<Expr> {
    let subquery = made(query, names, |select| select.selection = Some(condition))?;
    Ok(Expr::Exists { subquery, negated })
}

/// A query for a value of each row of another, which has so many columns.
pub fn of_rows(query: &Query, width: usize, value: impl Fn(&[Expr]) -> Expr) -> Result<Box<Query>> {
    let names = names(width);
    let value = value(&columns(&names));
    made(query, &names, |select| select.projection = vec![SelectItem::UnnamedExpr(value)])
}

/// Gives names to the columns of VALUES that stand for a query: the batch engine looks for them.
pub fn name_values(query: &mut Box<Query>) -> Result<()> {
    if let SetExpr::Values(values) = query.body.as_ref()
        && let Some(width) = values.rows.first().map(|row| row.len())
    {
        let names = names(width);
        let item = |name: &Ident| SelectItem::UnnamedExpr(Expr::Identifier(name.clone()));
        *query = made(query, &names, |select| select.projection = names.iter().map(item).collect())?;
    }
    Ok(())
}

/// The rows of a query under names for its columns, as something else is to be selected from them.
fn made(query: &Query, names: &[Ident], change: impl FnOnce(&mut Select)) -> Result<Box<Query>> {
    let mut asked = parse_query("SELECT 1 FROM (SELECT 1) AS made")?;
    let SetExpr::Select(select) = asked.body.as_mut() else {
        return Err(Error::Internal("a text of our own is another query".into()));
    };
    change(select);
    if let Some(TableFactor::Derived { subquery, alias: Some(alias), .. }) =
        select.from.first_mut().map(|item| &mut item.relation)
    {
        **subquery = query.clone();
        alias.columns = names.iter().map(|name| TableAliasColumnDef { name: name.clone(), data_type: None }).collect();
    }
    Ok(asked)
}

fn names(width: usize) -> Vec<Ident> {
    (1..=width).map(|at| Ident::with_quote('"', format!("row {at}"))).collect()
}

fn columns(names: &[Ident]) -> Vec<Expr> {
    names.iter().map(|name| Expr::Identifier(name.clone())).collect()
}
