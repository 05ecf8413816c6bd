//! Which columns tell that rows change no more: carried from the streams' watermarks through the operators.
//!
//! ```text
//! input          ts                                     behind the watermark of s
//! projection     date_bin('1 hour', ts) + '1 hour'      behind the same of the watermark: it never falls when ts rises
//! unnest         the moments of a list, behind its first one: windows of HOP and CUMULATE
//! filter         what its input says
//! union all      columns that say so in each input, behind the earliest
//! aggregate      its keys; DISTINCT is one
//! join           keys of both sides, behind the earlier one; where only one side changes, nothing else is known
//! partition-wise top-k and window functions: the columns of the partition
//! ```

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::circuit::time::{Bound, Closing, Rising, has_moments, moment_as, moments};
use crate::error::Result;
use crate::sql::expr::physical;
use crate::sql::time_windows::first_of_spread;

/// The column under which an expression sees the moment.
const MOMENT: &str = "moment";

/// What is known of the columns of a projection of rows of which `closing` is known; `schema` names their columns.
pub(super) fn projected(closing: &[Closing], exprs: &[Expr], schema: &DFSchema) -> Vec<Closing> {
    let mut found = Vec::new();
    for (at, expr) in exprs.iter().enumerate().filter(|_| !closing.is_empty()) {
        let Some(column) = risen(expr).and_then(|column| schema.maybe_index_of_column(column)) else { continue };
        let Some(of) = closing.iter().find(|closing| closing.column == column) else { continue };
        if matches!(expr.clone().unalias(), Expr::Column(_)) {
            found.push(of.at(at));
        } else if let Ok(Some(rising)) = rising(expr, schema.field(column).data_type()) {
            found.push(Closing { column: at, bound: Bound::Mapped(Box::new(of.bound.clone()), rising) });
        }
    }
    found
}

/// What is known of the moments in the lists of a projection, by the place of the list.
pub(super) fn spread(closing: &[Closing], exprs: &[Expr], schema: &DFSchema) -> Vec<Closing> {
    let list = |(at, expr): (usize, &Expr)| {
        let first = projected(closing, std::slice::from_ref(first_of_spread(expr)?), schema);
        Some(first.first()?.at(at))
    };
    exprs.iter().enumerate().filter_map(list).collect()
}

/// The column that an expression never falls with, if it is such a one.
pub(super) fn risen(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => risen(&alias.expr),
        Expr::Cast(Cast { expr, field }) if has_moments(field.data_type()) && has_even_days(field.data_type()) => {
            risen(expr)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (op, is_length(left), is_length(right)) {
            (Operator::Plus | Operator::Minus, _, true) => risen(left),
            (Operator::Plus, true, _) => risen(right),
            _ => None,
        },
        Expr::ScalarFunction(call) => match (call.func.name(), call.args.as_slice()) {
            ("date_bin" | "date_trunc", [Expr::Literal(..), of]) => risen(of),
            ("date_bin", [Expr::Literal(..), of, Expr::Literal(..)]) => risen(of),
            _ => None,
        },
        _ => None,
    }
}

fn is_length(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if matches!(value.data_type(), DataType::Interval(_) | DataType::Duration(_)))
}

/// Whether days of a type are all of one length: those of a time zone with summer time are not.
pub(super) fn has_even_days(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => ["UTC", "+00:00", "Z"].contains(&zone.as_ref()),
        _ => true,
    }
}

/// The microseconds of a timestamp's unit; one for what is finer.
pub(super) fn unit_of(data_type: &DataType) -> Option<i64> {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => Some(1_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => Some(1_000),
        DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _) => Some(1),
        _ => None,
    }
}

/// Whether timestamps of a type are those of another, more finely told.
pub(super) fn is_finer(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Timestamp(from, a), DataType::Timestamp(to, b)) => a == b && from <= to,
        _ => false,
    }
}

/// An expression over one column of moments, as what it makes of a moment.
fn rising(expr: &Expr, data_type: &DataType) -> Result<Option<Rising>> {
    if !has_even_days(data_type) {
        return Ok(None);
    }
    let data_type = data_type.clone();
    let schema = Schema::new(vec![Field::new(MOMENT, data_type.clone(), true)]);
    let named = DFSchema::try_from(schema)?;
    let over_moment = expr.clone().transform(|e| match e {
        Expr::Column(_) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(MOMENT)))),
        other => Ok(Transformed::no(other)),
    })?;
    let evaluated = physical(&over_moment.data, &named)?;
    let text = format!("{evaluated} of {data_type}");
    let schema = named.inner().clone();
    Ok(Some(Rising::new(text, move |moment| {
        let batch = RecordBatch::try_new(schema.clone(), vec![moment_as(moment, &data_type)?]).ok()?;
        moment_of(&evaluated.evaluate(&batch).ok()?.into_array(1).ok()?)
    })))
}

/// The moment of one value.
fn moment_of(value: &ArrayRef) -> Option<i64> {
    moments(value).filter(|moments| moments.is_valid(0)).map(|moments| moments.value(0))
}

/// What is known of some columns in other places.
pub(super) fn picked(closing: &[Closing], place: impl Fn(usize) -> Option<usize>) -> Vec<Closing> {
    closing.iter().filter_map(|closing| Some(closing.at(place(closing.column)?))).collect()
}

/// What is known of all rows of several inputs with the same columns.
pub(super) fn of_all<'a>(mut inputs: impl Iterator<Item = &'a [Closing]>) -> Vec<Closing> {
    let first = inputs.next().map(<[Closing]>::to_vec).unwrap_or_default();
    inputs.fold(first, |known, input| {
        let both = known.into_iter().filter_map(|closing| {
            let other = input.iter().find(|other| other.column == closing.column)?;
            Some(Closing { column: closing.column, bound: closing.bound.or(other.bound.clone()) })
        });
        both.collect()
    })
}
