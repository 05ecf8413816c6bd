//! The optimiser is not told which columns are never NULL.
//!
//! It would take `a / b IS NULL` for false where neither is, and not divide: the rows on which that fails would not fail.
//! Nor are batch queries told, so that both look at the same. What needs to know, as NOT IN does, is rewritten
//! before (see [`super::subquery`]).

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{LogicalPlan, TableScan, TableScanBuilder};

use super::lower::{InputTable, nullable};

/// The plan over inputs each of whose columns may be NULL.
///
/// # Errors
/// When a node cannot be rebuilt, which would be a bug.
pub fn nullable_inputs(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source)?;
            let Some(input) = provider.downcast_ref::<InputTable>() else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let input = InputTable {
                object: input.object,
                schema: nullable(&input.schema),
                facts: input.facts.clone(),
                key: input.key.clone(),
                narrow: input.narrow,
            };
            let source = provider_as_source(Arc::new(input));
            let TableScan { table_name, projection, filters, fetch, .. } = scan;
            let scan = TableScanBuilder::new(table_name, source).with_projection(projection);
            let scan = scan.with_filters(filters).with_fetch(fetch).build()?;
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::yes(other.recompute_schema()?)),
    })?;
    Ok(plan.data)
}
