//! Rows that come from no stream, table or view: constants, and the elements of lists.

use datafusion::datasource::TableProvider;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan, TableScan, Unnest as UnnestPlan, Values};
use datafusion::physical_plan::unnest::ListUnnest;

use super::recompute::has_subquery;
use super::skip::may_fail;
use super::{Lowering, output};
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::constant::Constant;
use crate::operators::unnest::{Nested, Unnest};
use crate::sql::expr::{Dependence, dependence};

/// What the batch engine calls the columns that it takes apart.
const MADE_NAME: &str = "__unnest_placeholder(";

/// Rows of a VALUES that EXPLAIN shows.
const ROWS_SHOWN: usize = 3;

impl Lowering<'_> {
    pub(super) fn values(&mut self, values: &Values) -> Result<Option<NodeId>> {
        for expr in values.values.iter().flatten() {
            if dependence(expr)? == Dependence::Time || has_subquery(expr) {
                return Ok(None);
            }
        }
        if values.values.iter().flatten().any(may_fail) {
            self.refuse_to_skip("VALUES with an expression that may fail", "a constant fails for good")?;
        }
        let row = |row: &Vec<datafusion::logical_expr::Expr>| {
            format!("({})", row.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        };
        let mut shown: Vec<String> = values.values.iter().take(ROWS_SHOWN).map(row).collect();
        if values.values.len() > ROWS_SHOWN {
            shown.push(format!("and {} rows more", values.values.len() - ROWS_SHOWN));
        }
        let text = format!("Values: {}", shown.join(", "));
        let identity = format!("{:?}", values.values);
        Ok(Some(self.constant(LogicalPlan::Values(values.clone()), text, identity, None)))
    }

    pub(super) fn empty(&mut self, empty: &EmptyRelation) -> NodeId {
        let (text, key) = match empty.produce_one_row {
            true => ("Values: one row", Some(Vec::new())),
            false => ("Values: none", None),
        };
        self.constant(LogicalPlan::EmptyRelation(empty.clone()), text.into(), String::new(), key)
    }

    /// A call of a table function, whose arguments are constants.
    pub(super) fn table_function(&mut self, scan: &TableScan, provider: &dyn TableProvider) -> NodeId {
        // The function's own account of itself tells its arguments; the plan does not.
        let identity = format!("{provider:?} {:?}", scan.projection);
        let text = format!("Values of {}", scan.table_name);
        self.constant(LogicalPlan::TableScan(scan.clone()), text, identity, None)
    }

    fn constant(&mut self, plan: LogicalPlan, text: String, identity: String, key: Option<Vec<usize>>) -> NodeId {
        let operator = Constant::new(output(plan.schema()), plan, self.session.clone(), text);
        self.add(operator, Vec::new(), Facts { append_only: true, key, ..Facts::default() }, identity)
    }

    pub(super) fn unnest(&mut self, plan: &UnnestPlan) -> Result<Option<NodeId>> {
        let input = self.plan(&plan.input)?;
        let below = output(plan.input.schema());
        let list = |(column, list): &(usize, datafusion::logical_expr::ColumnUnnestList)| ListUnnest {
            index_in_input_schema: *column,
            depth: list.depth,
        };
        let nested = Nested {
            lists: plan.list_type_columns.iter().map(list).collect(),
            structs: plan.struct_type_columns.clone(),
            options: plan.options.clone(),
        };
        let columns = nested.lists.iter().map(|list| list.index_in_input_schema).chain(nested.structs.iter().copied());
        let mut columns: Vec<usize> = columns.collect();
        columns.dedup();
        let name = |column: &usize| {
            let name = below.field(*column).name();
            name.strip_prefix(MADE_NAME).and_then(|rest| rest.strip_suffix(')')).unwrap_or(name).to_string()
        };
        let names: Vec<String> = columns.iter().map(name).collect();
        let facts = Facts { append_only: self.circuit.facts(input).append_only, key: None, ..Facts::default() };
        let (text, detail) = (names.join(", "), format!("{nested:?}"));
        let context = self.session.task_ctx();
        let operator = Unnest::new(&below, output(&plan.schema), nested, context, text);
        Ok(Some(self.add(operator, vec![input], facts, detail)))
    }
}
