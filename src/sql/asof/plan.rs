//! From a join with a marked condition to the node.

use std::collections::HashSet;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, cast, col,
};

use super::{AsOfNode, MARK};
use crate::circuit::time::has_moments;
use crate::error::{Error, Result, sql_types};
use crate::operators::asof::Nearest;

/// How the names begin of what rows are compared by.
const MADE: &str = "__asof";

/// Makes nodes of the joins with a mark.
///
/// # Errors
/// For conditions that are no equalities, and times of no one type.
pub fn planned(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut failed = None;
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if join.filter.as_ref().is_some_and(has_mark) => match node_of(join) {
            Ok(node) => Ok(Transformed::yes(node)),
            Err(error) => {
                let empty = LogicalPlanBuilder::empty(false).build()?;
                failed.get_or_insert(error);
                Ok(Transformed::yes(empty))
            }
        },
        other => Ok(Transformed::no(other)),
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(plan?.data),
    }
}

fn has_mark(filter: &Expr) -> bool {
    filter.exists(|expr| Ok(marked(expr).is_some())).unwrap_or(false)
}

fn marked(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == MARK => call.args.first(),
        _ => None,
    }
}

/// A side of the join, with columns for what it is compared by.
struct Side {
    plan: LogicalPlan,
    made: Vec<Expr>,
}

impl Side {
    /// The name of the column that an expression over the side becomes.
    fn place(&mut self, expr: Expr) -> Expr {
        if matches!(expr, Expr::Column(_)) {
            return expr;
        }
        let column = Column::new_unqualified(format!("{MADE}{}", self.made.len()));
        self.made.push(expr.alias(column.name.clone()));
        col(column)
    }

    fn has(&self, expr: &Expr) -> bool {
        let columns: HashSet<&Column> = expr.column_refs();
        !columns.is_empty() && columns.iter().all(|column| self.plan.schema().has_column(column))
    }

    fn plan(self) -> Result<LogicalPlan> {
        if self.made.is_empty() {
            return Ok(self.plan);
        }
        let columns = self.plan.schema().columns().into_iter().map(Expr::Column).chain(self.made);
        Ok(LogicalPlanBuilder::from(self.plan.clone()).project(columns.collect::<Vec<_>>())?.build()?)
    }
}

fn node_of(join: Join) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = join.schema.columns().into_iter().map(Expr::Column).collect();
    let schema = join.schema.clone();
    let keep_left = join.join_type == JoinType::Left;
    let (left, right) = (join.left.as_ref().clone(), join.right.as_ref().clone());
    let mut sides = (Side { plan: left, made: Vec::new() }, Side { plan: right, made: Vec::new() });
    let (mut keys, mut times) = ((Vec::new(), Vec::new()), None);
    let equal = join.on.into_iter().map(|(left, right)| left.eq(right));
    for condition in join.filter.into_iter().flat_map(split_conjunction_owned).chain(equal) {
        let (marked, condition) = match marked(&condition) {
            Some(inner) => (true, inner.clone()),
            None => (false, condition),
        };
        let Some((left, op, right)) = compared(&condition, &sides) else {
            return Err(Error::input(format!(
                "ASOF JOIN: `{}` does not compare the left side with the right",
                condition.human_display()
            ))
            .with_hint(
                "ON takes equalities of both sides; conditions on one of them go into a subquery or into WHERE",
            ));
        };
        let (left, right) = one_type(left, right, &schema)?;
        match (marked, op) {
            (false, Operator::Eq) => {
                keys.0.push(sides.0.place(left));
                keys.1.push(sides.1.place(right));
            }
            (true, op) if times.is_none() => {
                let data_type = left.get_type(&schema)?;
                if !has_moments(&data_type) && !data_type.is_integer() {
                    let shown = sql_types(&data_type.to_string());
                    return Err(Error::input(format!("ASOF JOIN compares {shown}, which is no time"))
                        .with_hint("times are TIMESTAMP, DATE or whole numbers"));
                }
                let nearest = match op {
                    Operator::GtEq => Nearest::NotAfter,
                    Operator::Gt => Nearest::Before,
                    Operator::LtEq => Nearest::NotBefore,
                    _ => Nearest::After,
                };
                times = Some((nearest, sides.0.place(left), sides.1.place(right)));
            }
            _ => {
                return Err(Error::input(format!(
                    "ASOF JOIN: `{}` beside the comparison of times",
                    condition.human_display()
                ))
                .with_hint("ON takes equalities of both sides"));
            }
        }
    }
    let Some((nearest, left_time, right_time)) = times else {
        return Err(Error::Internal("ASOF JOIN without a comparison".into()));
    };
    keys.0.push(left_time);
    keys.1.push(right_time);
    let node = AsOfNode::plan((sides.0.plan()?, keys.0), (sides.1.plan()?, keys.1), nearest, keep_left)?;
    Ok(LogicalPlanBuilder::from(node).project(columns)?.build()?)
}

/// The two sides of a comparison, the left one first.
fn compared(condition: &Expr, sides: &(Side, Side)) -> Option<(Expr, Operator, Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    match (sides.0.has(left) && sides.1.has(right), sides.0.has(right) && sides.1.has(left)) {
        (true, false) => Some((left.as_ref().clone(), *op, right.as_ref().clone())),
        (false, true) => Some((right.as_ref().clone(), op.swap()?, left.as_ref().clone())),
        _ => None,
    }
}

/// Both in the type that they are compared in.
fn one_type(left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    let (of_left, of_right) = (left.get_type(schema)?, right.get_type(schema)?);
    if of_left == of_right {
        return Ok((left, right));
    }
    let both = comparison_coercion(&of_left, &of_right).ok_or_else(|| {
        let shown = |data_type: &arrow::datatypes::DataType| sql_types(&data_type.to_string());
        Error::input(format!("ASOF JOIN compares {} with {}", shown(&of_left), shown(&of_right)))
    })?;
    let of_type = |expr: Expr, is| if is == both { expr } else { cast(expr, both.clone()) };
    Ok((of_type(left, of_left), of_type(right, of_right)))
}
