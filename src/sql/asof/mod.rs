//! ASOF JOIN: each left row with the right row of its key that is nearest in time, on one side of its own.
//!
//! ```text
//! trades ASOF JOIN quotes MATCH_CONDITION (trades.ts >= quotes.ts) ON trades.symbol = quotes.symbol
//!
//! trades 10:07      quotes 10:01  10:05  10:09      the one of 10:05, the last that is not after the trade
//! ```
//!
//! `orders o JOIN rates FOR SYSTEM_TIME AS OF o.ts AS r ON o.currency = r.currency` is one as well: the rate is the one that was
//! in force at the order's time, by the event time of `rates`.
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
    JoinConstraint, JoinOperator, ObjectName, Select, Spanned, TableFactor, TableVersion, TableWithJoins, VisitMut,
    VisitorMut,
};

use super::match_recognize::place_of;
use super::parse::asof::{LEFT, WITHIN_ON};
use super::parse::normalize;
use super::past::as_of;
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
/// For a join whose times are not compared once, and a version of a relation that has none.
pub fn write_out_asof(statement: &mut impl VisitMut, event_time: EventTime) -> Result<()> {
    match statement.visit(&mut Joins { event_time }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// The column of a relation's event times, by the relation's name.
type EventTime<'a> = &'a dyn Fn(&str) -> Option<String>;

struct Joins<'a> {
    event_time: EventTime<'a>,
}

impl VisitorMut for Joins<'_> {
    type Break = Box<Error>;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Box<Error>> {
        flow(select.from.iter_mut().try_for_each(|tables| self.each(tables)))
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Box<Error>> {
        match table {
            TableFactor::NestedJoin { table_with_joins, .. } => flow(self.each(table_with_joins)),
            // Those of joins have been written out.
            TableFactor::Table { name, version: Some(version), .. } => {
                let place = place_of(name.span().start);
                let version = match version {
                    TableVersion::ForSystemTimeAsOf(moment) => as_of(moment),
                    other => other.to_string(),
                };
                flow(Err(Error::unsupported(format!("`{name}` {version} here"))
                    .with_hint(
                        "queries and statements that change rows read the past, views and prepared statements do not; a \
                         join takes the time of its left rows: FOR SYSTEM_TIME AS OF o.ts",
                    )
                    .with_place(place)))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn flow(result: Result<()>) -> ControlFlow<Box<Error>> {
    result.map_or_else(|error| ControlFlow::Break(Box::new(error)), ControlFlow::Continue)
}

impl Joins<'_> {
    fn each(&self, tables: &mut TableWithJoins) -> Result<()> {
        tables.joins.iter_mut().try_for_each(|join| {
            write_out(join)?;
            self.write_out_version(join)
        })
    }

    /// A join with what a relation was at the times of the left rows.
    fn write_out_version(&self, join: &mut Join) -> Result<()> {
        let TableFactor::Table { name, alias, version: Some(TableVersion::ForSystemTimeAsOf(moment)), .. } =
            &join.relation
        else {
            return Ok(());
        };
        let place = place_of(name.span().start);
        let own = match (alias, name.0.last().and_then(|part| part.as_ident())) {
            (Some(alias), _) => alias.name.clone(),
            (None, Some(own)) => own.clone(),
            _ => return Ok(()),
        };
        let (on, left) = match &join.join_operator {
            JoinOperator::Join(JoinConstraint::On(on)) | JoinOperator::Inner(JoinConstraint::On(on)) => (on, false),
            JoinOperator::Left(JoinConstraint::On(on)) | JoinOperator::LeftOuter(JoinConstraint::On(on)) => (on, true),
            _ => {
                return Err(Error::unsupported(
                    "FOR SYSTEM_TIME AS OF in a join that is neither inner nor left, with ON",
                )
                .with_place(place));
            }
        };
        if !matches!(moment, Expr::CompoundIdentifier(_) | Expr::Identifier(_)) {
            return Err(Error::unsupported(format!("`{name}` {} here", as_of(moment)))
                .with_hint("a join takes the time of its left rows: FOR SYSTEM_TIME AS OF o.ts")
                .with_place(place_of(moment.span().start).or(place)));
        }
        let known = match name.0.as_slice() {
            [one] => one.as_ident().map(normalize).and_then(|name| (self.event_time)(&name)),
            _ => None,
        };
        let Some(time) = known else {
            return Err(Error::input(format!(
                "`{name}` has no event time, so it is not known when its rows were in force"
            ))
            .with_hint(
                "a stream with WATERMARK FOR has; ASOF JOIN ... MATCH_CONDITION (l.ts >= r.ts) names the columns",
            )
            .with_place(place));
        };
        let time = Expr::CompoundIdentifier(vec![own, Ident::with_quote('"', time)]);
        let in_force =
            Expr::BinaryOp { left: Box::new(moment.clone()), op: BinaryOperator::GtEq, right: Box::new(time) };
        let all = conjuncts(on).into_iter().fold(call(MARK, in_force), and);
        let on = JoinConstraint::On(all);
        join.join_operator = if left { JoinOperator::LeftOuter(on) } else { JoinOperator::Inner(on) };
        if let TableFactor::Table { version, .. } = &mut join.relation {
            *version = None;
        }
        Ok(())
    }
}

fn and(all: Expr, more: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(all), op: BinaryOperator::And, right: Box::new(more) }
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
