//! Queries whose rows are put together, and tables that are joined.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{JoinType, NullEquality, ScalarValue};
use datafusion::logical_expr::{Distinct, Expr, Join, LogicalPlan, Projection, Union, cast};

use super::{common, is_untyped, own_type, readable, refused, strangers};
use crate::error::Result;

/// The node with literals of the types that stand beside them.
///
/// # Errors
/// When columns of two kinds meet.
pub(super) fn matched(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Union(union) => matched_union(union),
        LogicalPlan::Join(join) => {
            refuse_keys(&join)?;
            Ok(Transformed::no(LogicalPlan::Join(join)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The literals that a column of a query is in all of its rows; nothing for other columns.
fn literals(plan: &LogicalPlan, column: usize) -> Option<Vec<ScalarValue>> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let expr = projection.expr.get(column).filter(|expr| is_untyped(expr))?;
            match expr.clone().unalias_nested().data {
                Expr::Literal(value, _) => Some(vec![value]),
                _ => Some(Vec::new()),
            }
        }
        LogicalPlan::Union(union) => {
            let each = union.inputs.iter().map(|input| literals(input, column)).collect::<Option<Vec<_>>>()?;
            Some(each.concat())
        }
        LogicalPlan::Distinct(Distinct::All(input)) => literals(input, column),
        LogicalPlan::Sort(sort) => literals(&sort.input, column),
        LogicalPlan::Limit(limit) => literals(&limit.input, column),
        _ => None,
    }
}

fn type_of(plan: &LogicalPlan, column: usize) -> Option<DataType> {
    match literals(plan, column) {
        Some(_) => None,
        None => plan.schema().fields().get(column).map(|field| field.data_type().clone()),
    }
}

fn matched_union(union: Union) -> Result<Transformed<LogicalPlan>> {
    let columns = union.inputs.iter().map(|input| input.schema().fields().len()).min().unwrap_or_default();
    // The type that literals of each column are to have.
    let mut wanted = Vec::with_capacity(columns);
    for column in 0..columns {
        let types: Vec<Option<DataType>> = union.inputs.iter().map(|input| type_of(input, column)).collect();
        if let Some(types) = strangers(&types) {
            return Err(refused(&format!("column {} of a `UNION`", column + 1), &types));
        }
        wanted.push(common(&types));
    }
    let mut changed = false;
    let mut inputs = Vec::with_capacity(union.inputs.len());
    for input in union.inputs {
        let mut reads = vec![None; columns];
        for (column, wanted) in wanted.iter().enumerate() {
            let (Some(wanted), Some(literals)) = (wanted, literals(&input, column)) else { continue };
            for literal in literals {
                if let ScalarValue::Utf8(Some(text)) = literal {
                    readable(&text, wanted)?;
                    reads[column] = Some(wanted.clone());
                }
            }
        }
        if reads.iter().all(Option::is_none) {
            inputs.push(input);
            continue;
        }
        changed = true;
        let exprs = input.schema().iter().zip(reads).map(|((qualifier, field), wanted)| {
            let column = Expr::Column((qualifier, field).into());
            match wanted {
                Some(wanted) => cast(column, wanted).alias_qualified(qualifier.cloned(), field.name()),
                None => column,
            }
        });
        let exprs = exprs.collect();
        inputs.push(Arc::new(LogicalPlan::Projection(Projection::try_new(exprs, input)?)));
    }
    Ok(match changed {
        true => Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)),
        false => Transformed::no(LogicalPlan::Union(Union { inputs, schema: union.schema })),
    })
}

/// The keys of a join, which are also the columns of INTERSECT and EXCEPT.
fn refuse_keys(join: &Join) -> Result<()> {
    let is_set_operation = join.null_equality == NullEquality::NullEqualsNull;
    let place = match join.join_type {
        JoinType::LeftSemi if is_set_operation => "INTERSECT",
        JoinType::LeftAnti if is_set_operation => "EXCEPT",
        _ => "",
    };
    for (at, (left, right)) in join.on.iter().enumerate() {
        let types = match place {
            "" => [own_type(left, join.left.schema()), own_type(right, join.right.schema())],
            _ => [type_of(&join.left, at), type_of(&join.right, at)],
        };
        let Some(types) = strangers(&types) else { continue };
        return Err(match (place, left) {
            ("", Expr::Column(column)) => refused(&format!("a join by `{}`", column.name), &types),
            ("", _) => refused("a join", &types),
            (place, _) => refused(&format!("column {} of `{place}`", at + 1), &types),
        });
    }
    Ok(())
}

/// Looks at the rows that a recursive query begins with, and at those that come to them.
///
/// # Errors
/// When columns of two kinds meet.
pub fn rounds_of_one_kind(name: &str, base: &LogicalPlan, step: &LogicalPlan) -> Result<()> {
    for (column, field) in base.schema().fields().iter().enumerate() {
        if let Some(types) = strangers(&[Some(field.data_type().clone()), type_of(step, column)]) {
            return Err(refused(&format!("column {} of the recursive `{name}`", column + 1), &types));
        }
    }
    Ok(())
}
