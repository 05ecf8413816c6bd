//! Conditions on the clock, `ts > now() - INTERVAL '1 hour'`: found in a filter, and made operators that need no recompute.
//!
//! One side of the comparison is of the row alone, the other of the time alone and never falls. Each such condition is
//! an operator of its own; what else the filter asks is asked first.

use std::sync::Arc;

use arrow::datatypes::{DataType, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Filter, Operator, binary_expr, cast};
use datafusion::physical_expr::PhysicalExpr;

use super::closing::risen;
use super::{Lowering, OnError};
use crate::circuit::time::has_moments;
use crate::circuit::{Facts, NodeId, NodeSpec};
use crate::error::Result;
use crate::operators::temporal_filter::{Clock, LAST_TIME, NOW, Passing, TemporalFilter};
use crate::sql::expr::{Dependence, dependence, identity, physical};

/// A condition on the clock.
struct Timed {
    moment: Arc<dyn PhysicalExpr>,
    passing: Passing,
    clock: Arc<dyn PhysicalExpr>,
    text: String,
}

impl Lowering<'_> {
    /// A filter of which some conditions depend on the time of the commit; nothing where one of them has another form.
    pub(super) fn temporal_filter(&mut self, filter: &Filter) -> Result<Option<NodeId>> {
        // Since which commit a row fails could not be told.
        if self.on_error == OnError::Skip {
            return Ok(None);
        }
        let schema = filter.input.schema();
        let (mut rest, mut timed) = (Vec::new(), Vec::new());
        for condition in split_conjunction(&filter.predicate) {
            if dependence(condition)? == Dependence::Row {
                rest.push(condition.clone());
                continue;
            }
            match comparisons(condition, schema)? {
                Some(found) => timed.extend(found),
                None => return Ok(None),
            }
        }
        let mut node = match conjunction(rest) {
            Some(rest) => {
                let below = Filter::try_new(rest, filter.input.clone())?;
                let Some(node) = self.filter(&below)? else { return Ok(None) };
                node
            }
            None => self.plan(&filter.input)?,
        };
        for Timed { moment, passing, clock, text } in timed {
            let of = self.circuit.facts(node);
            let facts = Facts {
                append_only: of.append_only && !passing.goes(),
                key: of.key.clone(),
                // A row comes or goes by the clock, whatever watermarks say.
                closing: Vec::new(),
            };
            let detail = identity(&[moment.clone(), clock.clone()])?;
            let operator = TemporalFilter::new(self.circuit.schema(node), moment, passing, Clock::new(clock, text))?;
            let identity = format!("{operator}|{detail}|{:?}", self.circuit.schema(node).fields());
            let (operator, inputs) = (Box::new(operator), vec![node]);
            node = self.circuit.add(NodeSpec { operator, inputs, facts, identity, every_tick: true, skips: false });
        }
        Ok(Some(node))
    }
}

/// The comparisons with the clock that a condition comes to; equality is two of them.
fn comparisons(condition: &Expr, schema: &DFSchema) -> Result<Option<Vec<Timed>>> {
    let apart = as_moments(condition)?;
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = apart.as_ref().unwrap_or(condition) else {
        return Ok(None);
    };
    let (moment, op, clock) = match (dependence(left)?, dependence(right)?) {
        (Dependence::Row, Dependence::Time) => (left, Some(*op), right),
        (Dependence::Time, Dependence::Row) => (right, op.swap(), left),
        _ => return Ok(None),
    };
    let passings: &[Passing] = match op {
        Some(Operator::Gt) => &[Passing::After],
        Some(Operator::GtEq) => &[Passing::NotBefore],
        Some(Operator::Lt) => &[Passing::Before],
        Some(Operator::LtEq) => &[Passing::NotAfter],
        Some(Operator::Eq) => &[Passing::NotAfter, Passing::NotBefore],
        _ => return Ok(None),
    };
    let Some(expr) = clock_of(clock)? else { return Ok(None) };
    let moment = physical(moment, schema)?;
    let data_type = moment.data_type(schema.as_arrow())?;
    // What fails at some time, or gives no moments, is for the batch engine.
    let usable = |time| {
        let value = Clock::new(expr.clone(), String::new()).at(time);
        value.is_ok_and(|value| has_moments(&data_type) && *value.data_type() == data_type)
    };
    if ![0, LAST_TIME].into_iter().all(usable) {
        return Ok(None);
    }
    let timed = |passing: &Passing| Timed {
        moment: moment.clone(),
        passing: *passing,
        clock: expr.clone(),
        text: clock.to_string(),
    };
    Ok(Some(passings.iter().map(timed).collect()))
}

/// `now() - ts < length` as `now() - length < ts`, the clock on one side; nothing for what is no such condition.
fn as_moments(condition: &Expr) -> Result<Option<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return Ok(None) };
    let (difference, op, length) = match (left.as_ref(), right.as_ref()) {
        (difference, Expr::Literal(length, _)) => (difference, Some(*op), length),
        (Expr::Literal(length, _), difference) => (difference, op.swap(), length),
        _ => return Ok(None),
    };
    let ScalarValue::Decimal128(Some(length), _, 0) = length else { return Ok(None) };
    let ((Some((later, earlier)), Some(op)), Ok(length)) = ((length_of(difference), op), i64::try_from(*length)) else {
        return Ok(None);
    };
    let interval = |nanoseconds| {
        let value = IntervalMonthDayNanoType::make_value(0, 0, nanoseconds);
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(value)), None)
    };
    let (later, earlier) = match dependence(later)? {
        Dependence::Time => (later.clone() - interval(length), earlier.clone()),
        Dependence::Row => (later.clone(), earlier.clone() + interval(length)),
    };
    Ok(Some(binary_expr(later, op, earlier)))
}

/// The two timestamps whose difference's length an expression is.
fn length_of(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match expr {
        Expr::ScalarFunction(call) => match (call.func.name(), call.args.as_slice()) {
            ("interval_length", [of]) => length_of(of),
            ("timestamp_difference", [later, earlier]) => Some((later, earlier)),
            _ => None,
        },
        Expr::Cast(Cast { expr, field }) if *field.data_type() == DataType::Interval(IntervalUnit::MonthDayNano) => {
            length_of(expr)
        }
        _ => None,
    }
}

/// An expression over the time alone, over the column [`NOW`]; nothing where it may fall as time passes.
fn clock_of(expr: &Expr) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let columns = DFSchema::try_from(Clock::columns())?;
    let now = || Expr::Column(Column::new_unqualified(NOW));
    let over_now = expr.clone().transform_up(|e| match &e {
        Expr::ScalarFunction(call) if call.func.name() == "now" => {
            let same = e.get_type(&columns)? == *columns.field(0).data_type();
            Ok(if same { Transformed::yes(now()) } else { Transformed::no(e) })
        }
        // Its zone is UTC where that of now() is.
        Expr::ScalarFunction(call) if call.func.name() == "current_date" => {
            Ok(Transformed::yes(cast(now(), DataType::Date32)))
        }
        _ => Ok(Transformed::no(e)),
    })?;
    if dependence(&over_now.data)? == Dependence::Time || risen(&over_now.data).is_none() {
        return Ok(None);
    }
    Ok(Some(physical(&over_now.data, &columns)?))
}
