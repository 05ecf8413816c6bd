//! `(a, b) IN (SELECT ...)`: rows among those of a query.
//!
//! ```text
//! as a condition    EXISTS (SELECT 1 FROM (SELECT ...) AS made("row 1", "row 2") WHERE "row 1" = a AND "row 2" = b)
//! as a value        CASE WHEN that THEN true
//!                        WHEN EXISTS (... WHERE ("row 1" = a AND "row 2" = b) IS NULL) THEN NULL ELSE false END
//! NOT IN            NOT EXISTS (... WHERE ("row 1" = a AND "row 2" = b) IS NOT FALSE)
//! ```

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Ident, Query, SetExpr, TableAliasColumnDef, TableFactor, UnaryOperator, Value,
    helpers::attached_token::AttachedToken,
};

use super::binary;
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
        Expr::InSubquery { expr: value, .. } if matches!(value.as_ref(), Expr::Tuple(_)) => {
            *expr = within(expr.clone(), true)?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether a row is among those of a query; `is_condition` says that NULL is as good as false.
pub fn within(expr: Expr, is_condition: bool) -> Result<Expr> {
    let Expr::InSubquery { expr, subquery, negated } = expr else { return Ok(expr) };
    let Expr::Tuple(values) = *expr else { return Err(Error::Internal("a row is expected".into())) };
    let names: Vec<Ident> = (1..=values.len()).map(|at| Ident::with_quote('"', format!("row {at}"))).collect();
    let pairs = names.iter().zip(values);
    let equal = pairs
        .map(|(name, value)| binary(Expr::Identifier(name.clone()), BinaryOperator::Eq, Expr::Nested(Box::new(value))));
    let Some(equal) = equal.reduce(|all, one| binary(all, BinaryOperator::And, one)) else {
        return Err(Error::input("a row of no values with IN"));
    };
    let equal = Box::new(Expr::Nested(Box::new(equal)));
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
    let mut asked = parse_query("SELECT 1 FROM (SELECT 1) AS made")?;
    let SetExpr::Select(select) = asked.body.as_mut() else {
        return Err(Error::Internal("a text of our own is another query".into()));
    };
    select.selection = Some(condition);
    if let Some(TableFactor::Derived { subquery, alias: Some(alias), .. }) =
        select.from.first_mut().map(|item| &mut item.relation)
    {
        **subquery = query.clone();
        alias.columns = names.iter().map(|name| TableAliasColumnDef { name: name.clone(), data_type: None }).collect();
    }
    Ok(Expr::Exists { subquery: asked, negated })
}
