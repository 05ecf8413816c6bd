//! What has no incremental operator: the node runs as a batch plan over its inputs' rows.

use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, RecursiveQuery};

use super::{InputTable, Lowering, output};
use crate::circuit::{Facts, NodeId, NodeSpec};
use crate::error::Result;
use crate::operators::recompute::Recompute;
use crate::operators::slot::Slot;
use crate::sql::expr::uses_time;
use crate::sql::total_order::TotalOrder;

impl Lowering<'_> {
    pub(super) fn recompute(&mut self, plan: &LogicalPlan) -> Result<NodeId> {
        self.recomputes += 1;
        self.tells_rows(plan)?;
        let mut cut = Cut { inputs: Vec::new(), slots: Vec::new(), lowering: self };
        let body = if needs_whole_tree(plan) { cut.leaves(plan)? } else { cut.children(plan)? };
        let (inputs, slots) = (cut.inputs, cut.slots);
        let uses_time = uses_time(&body)?;
        let name = plan.display().to_string();
        let identity = format!("Recompute {}", body.display_indent_schema());
        let operator = Recompute::new(output(plan.schema()), name, body, slots, self.session.clone(), uses_time)?;
        let operator = Box::new(operator);
        let (facts, every_tick, skips) = (Facts::default(), uses_time, false);
        Ok(self.circuit.add(NodeSpec { operator, inputs, facts, identity, every_tick, skips }))
    }
}

/// Whether the node means nothing without the nodes below it: a recursive query reads its own rows there, and a
/// subquery in an expression may read any relation.
fn needs_whole_tree(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::RecursiveQuery(_)) || plan.expressions().iter().any(has_subquery)
}

/// Whether an expression reads more rows than its own.
pub(super) fn has_subquery(expr: &Expr) -> bool {
    let mut found = false;
    let _ = expr.apply(|e| {
        found |= matches!(
            e,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        );
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Whether the rows of a plan come in an order that was put there for the node above.
fn carries_order(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(sort) => sort.fetch.is_none(),
        LogicalPlan::Projection(projection) => carries_order(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => carries_order(&alias.input),
        other => TotalOrder::of(other).is_some(),
    }
}

fn nullable_columns(schema: &DFSchema) -> datafusion::common::Result<DFSchema> {
    let nullable = |(qualifier, field): (Option<&TableReference>, &Arc<Field>)| {
        (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(true)))
    };
    DFSchema::new_with_metadata(schema.iter().map(nullable).collect(), schema.metadata().clone())
}

/// Cuts inputs off a plan, putting a slot in the place of each.
struct Cut<'a, 'b> {
    inputs: Vec<NodeId>,
    slots: Vec<Arc<Slot>>,
    lowering: &'a mut Lowering<'b>,
}

impl Cut<'_, '_> {
    /// The node with each child replaced by a slot that the lowered child fills.
    fn children(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let mut children = Vec::new();
        for child in plan.inputs() {
            children.push(self.child(child)?);
        }
        Ok(plan.with_new_exprs(plan.expressions(), children)?)
    }

    /// An order of the input belongs to the node above: below it there are only bags of rows.
    fn child(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        if let Some(order) = TotalOrder::of(plan) {
            return Ok(order.over(self.child(order.input())?));
        }
        match plan.inputs().as_slice() {
            [input] if carries_order(plan) => {
                let input = self.child(input)?;
                Ok(plan.with_new_exprs(plan.expressions(), vec![input])?)
            }
            _ => {
                let node = self.lowering.plan(plan)?;
                self.slot(plan, node)
            }
        }
    }

    /// The tree with each stream, table or view replaced by a slot.
    fn leaves(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let mut failed = None;
        let body = plan.clone().transform_up_with_subqueries(|node| {
            let scan = match &node {
                LogicalPlan::TableScan(scan) => scan,
                // Its columns come from slots, which may hold NULL.
                LogicalPlan::RecursiveQuery(query) => {
                    let schema = Arc::new(nullable_columns(&query.schema)?);
                    return Ok(Transformed::yes(LogicalPlan::RecursiveQuery(RecursiveQuery {
                        schema,
                        ..query.clone()
                    })));
                }
                _ => return Ok(Transformed::no(node)),
            };
            if source_as_provider(&scan.source)?.downcast_ref::<InputTable>().is_none() {
                return Ok(Transformed::no(node));
            }
            let slot = self.lowering.plan(&node).and_then(|input| self.slot(&node, input));
            match slot {
                Ok(slot) => Ok(Transformed::yes(slot)),
                Err(error) => {
                    failed.get_or_insert(error);
                    Ok(Transformed::no(node))
                }
            }
        })?;
        failed.map_or(Ok(body.data), Err)
    }

    /// A scan of a new slot, under the names of the plan that it stands for.
    fn slot(&mut self, plan: &LogicalPlan, node: NodeId) -> Result<LogicalPlan> {
        let (slot, plan) = scan_of_slot(&format!("input{}", self.slots.len()), plan.schema())?;
        self.slots.push(slot);
        self.inputs.push(node);
        Ok(plan)
    }
}

/// A new slot, and a plan that scans it under the names of `schema`.
///
/// # Errors
/// Never, short of a bug.
pub fn scan_of_slot(name: &str, schema: &DFSchema) -> Result<(Arc<Slot>, LogicalPlan)> {
    let slot = Arc::new(Slot::new(schema.as_arrow()));
    let column = |(at, (qualifier, field)): (usize, (Option<&TableReference>, &Arc<Field>))| {
        let column = Expr::Column(Column::new(Some(name), format!("c{at}")));
        column.alias_qualified(qualifier.cloned(), field.name())
    };
    let columns: Vec<Expr> = schema.iter().enumerate().map(column).collect();
    let scan = LogicalPlanBuilder::scan(TableReference::bare(name), provider_as_source(slot.clone()), None)?;
    Ok((slot, scan.project(columns)?.build()?))
}
