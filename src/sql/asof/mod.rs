//! ASOF JOIN: each left row with the right row of its key that is nearest in time, on one side of its own.
//!
//! ```text
//! trades ASOF JOIN quotes MATCH_CONDITION (trades.ts >= quotes.ts) ON trades.symbol = quotes.symbol
//!
//! trades 10:07      quotes 10:01  10:05  10:09      the one of 10:05, the last that is not after the trade
//! ```
//!
//! The statement is planned with an inner or left join whose condition is marked, so that names mean what they mean in
//! any join; then the join becomes a node of our own. Of right rows with one key and one time it is the greatest one, by
//! its columns from the first to the last.

mod node;
mod plan;

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::logical_expr::{ScalarUDF, Volatility, create_udf};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, Join,
    JoinConstraint, JoinOperator, ObjectName, Select, Spanned, TableFactor, TableWithJoins, VisitMut, VisitorMut,
};

use super::match_recognize::place_of;
use super::parse::asof::{LEFT, WITHIN_ON};
use crate::error::{Error, Result};
pub use node::{AsOfNode, AsOfPlanner};
pub use plan::planned;

/// The function around the condition of times.
pub const MARK: &str = "\u{1}asof";

/// The function, which is never run.
pub fn mark() -> Arc<ScalarUDF> {
    static MARKED: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let body = |_: &[_]| exec_err!("ASOF JOIN outside of a join");
        Arc::new(create_udf(MARK, vec![DataType::Boolean], DataType::Boolean, Volatility::Immutable, Arc::new(body)))
    });
    MARKED.clone()
}

/// Makes joins with a mark of the ASOF JOINs of a statement.
///
/// # Errors
/// For a join whose times are not compared once.
pub fn write_out_asof(statement: &mut impl VisitMut) -> Result<()> {
    match statement.visit(&mut Joins) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Joins;

impl VisitorMut for Joins {
    type Break = Box<Error>;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Box<Error>> {
        flow(select.from.iter_mut().try_for_each(each))
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Box<Error>> {
        match table {
            TableFactor::NestedJoin { table_with_joins, .. } => flow(each(table_with_joins)),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn flow(result: Result<()>) -> ControlFlow<Box<Error>> {
    result.map_or_else(|error| ControlFlow::Break(Box::new(error)), ControlFlow::Continue)
}

fn each(tables: &mut TableWithJoins) -> Result<()> {
    tables.joins.iter_mut().try_for_each(write_out)
}

fn write_out(join: &mut Join) -> Result<()> {
    let JoinOperator::AsOf { match_condition, constraint } = &join.join_operator else { return Ok(()) };
    let place = place_of(join.relation.span().start);
    let (left, condition) = match argument(match_condition, LEFT) {
        Some(inner) => (true, inner.clone()),
        None => (false, match_condition.clone()),
    };
    let mut on = match constraint {
        JoinConstraint::On(on) => conjuncts(on),
        JoinConstraint::None => Vec::new(),
        JoinConstraint::Using(_) | JoinConstraint::Natural => {
            return Err(Error::unsupported("ASOF JOIN with NATURAL or with USING of columns that have no names here")
                .with_place(place));
        }
    };
    let condition = match is_call(&condition, WITHIN_ON) {
        false => condition,
        true => {
            let Some(at) = on.iter().position(is_inequality) else {
                return Err(Error::input("ASOF JOIN does not compare times")
                    .with_hint("MATCH_CONDITION (l.time >= r.time) stands before ON")
                    .with_place(place));
            };
            on.remove(at)
        }
    };
    if !is_inequality(&condition) {
        let error = Error::input(format!("ASOF JOIN: `{condition}` is no comparison of two times"));
        let at = place_of(condition.span().start).or(place);
        return Err(error.with_hint("MATCH_CONDITION takes one `>=`, `>`, `<=` or `<`").with_place(at));
    }
    let and = |all, more| Expr::BinaryOp { left: Box::new(all), op: BinaryOperator::And, right: Box::new(more) };
    let on = JoinConstraint::On(on.into_iter().fold(call(MARK, condition), and));
    join.join_operator = if left { JoinOperator::LeftOuter(on) } else { JoinOperator::Inner(on) };
    Ok(())
}

fn conjuncts(expr: &Expr) -> Vec<Expr> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => [conjuncts(left), conjuncts(right)].concat(),
        Expr::Nested(inner) => conjuncts(inner),
        other => vec![other.clone()],
    }
}

fn is_inequality(expr: &Expr) -> bool {
    use BinaryOperator::{Gt, GtEq, Lt, LtEq};
    match expr {
        Expr::Nested(inner) => is_inequality(inner),
        Expr::BinaryOp { op: GtEq | Gt | LtEq | Lt, .. } => true,
        _ => false,
    }
}

fn is_call(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Function(call) if matches!(call.name.0.as_slice(), [part] if part.as_ident().is_some_and(|ident| ident.value == name)))
}

fn argument<'a>(expr: &'a Expr, name: &str) -> Option<&'a Expr> {
    match expr {
        Expr::Function(Function { args: FunctionArguments::List(list), .. }) if is_call(expr, name) => {
            match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))] => Some(inner),
                _ => None,
            }
        }
        _ => None,
    }
}

fn call(name: &str, argument: Expr) -> Expr {
    let args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))];
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_quote('"', name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
