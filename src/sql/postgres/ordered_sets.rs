//! Aggregates over values in an order, as elements of the list of those values.
//!
//! ```text
//! percentile_disc(0.5) WITHIN GROUP (ORDER BY a)
//!     (array_agg(a ORDER BY a) FILTER (WHERE a IS NOT NULL))[greatest(ceil(0.5 * count(a)), 1)]
//! mode() WITHIN GROUP (ORDER BY a)
//!     most_frequent(array_agg(a ORDER BY a) FILTER (WHERE a IS NOT NULL))
//! ```

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    OrderByExpr, Value,
};

use super::calls::cast;
use super::{binary, call, number};
use crate::error::{Error, Result};

/// The function in words of the batch engine; nothing for other functions.
///
/// # Errors
/// For arguments that the function does not take.
pub fn element(name: &str, function: &Function) -> Result<Option<Expr>> {
    if !["percentile_disc", "mode"].contains(&name) || function.over.is_some() {
        return Ok(None);
    }
    let [key] = function.within_group.as_slice() else {
        return Err(Error::input(format!("`{name}` takes one value in its order"))
            .with_hint(format!("{name}(...) WITHIN GROUP (ORDER BY a)")));
    };
    let args: Vec<&FunctionArg> = match &function.args {
        FunctionArguments::List(list) => list.args.iter().collect(),
        _ => Vec::new(),
    };
    match (name, args.as_slice()) {
        ("mode", []) => Ok(Some(call("most_frequent", vec![values(key, function)]))),
        ("percentile_disc", [FunctionArg::Unnamed(FunctionArgExpr::Expr(share))]) => {
            let share = share_of(share)?;
            let count = filtered(call("count", vec![key.expr.clone()]), function.filter.clone());
            let place =
                call("ceil", vec![binary(cast(share, DataType::DoublePrecision), BinaryOperator::Multiply, count)]);
            let place = call("greatest", vec![cast(place, DataType::BigInt(None)), number(1)]);
            Ok(Some(call("array_element", vec![values(key, function), place])))
        }
        ("mode", _) => Err(Error::input("`mode` takes no argument: mode() WITHIN GROUP (ORDER BY a)")),
        _ => Err(Error::input("`percentile_disc` takes one share: percentile_disc(0.5) WITHIN GROUP (ORDER BY a)")),
    }
}

/// A number from 0 to 1.
fn share_of(share: &Expr) -> Result<Expr> {
    let number = match share {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse::<f64>().ok(),
            _ => None,
        },
        _ => None,
    };
    match number {
        Some(number) if (0.0..=1.0).contains(&number) => Ok(share.clone()),
        Some(number) => Err(Error::input(format!("`percentile_disc` takes a share from 0 to 1, not {number}"))),
        None => Err(Error::unsupported("`percentile_disc` of a share that is not a number from 0 to 1")),
    }
}

/// The values that are not NULL, in order.
fn values(key: &OrderByExpr, function: &Function) -> Expr {
    let mut list = call("array_agg", vec![key.expr.clone()]);
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = &mut list {
        list.clauses.push(FunctionArgumentClause::OrderBy(vec![key.clone()]));
    }
    let known = Expr::IsNotNull(Box::new(Expr::Nested(Box::new(key.expr.clone()))));
    let filter = match &function.filter {
        Some(filter) => binary(known, BinaryOperator::And, Expr::Nested(filter.clone())),
        None => known,
    };
    filtered(list, Some(Box::new(filter)))
}

fn filtered(mut aggregate: Expr, by: Option<Box<Expr>>) -> Expr {
    if let Expr::Function(Function { filter, .. }) = &mut aggregate {
        *filter = by;
    }
    aggregate
}
