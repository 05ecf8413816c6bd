//! Rows that come from no stream, table or view: constants, and the elements of lists.

use datafusion::datasource::TableProvider;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan, TableScan, Unnest as UnnestPlan, Values};
use datafusion::physical_plan::unnest::ListUnnest;

use super::recompute::has_subquery;
use super::skip::may_fail;
use super::{Lowering, closing, output};
use crate::circuit::time::Closing;
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::constant::Constant;
use crate::operators::unnest::{Nested, Unnest};
use crate::sql::expr::{Dependence, dependence};
use crate::sql::time_windows::first_of_spread;

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
        let (input, mut known) = self.spread(&plan.input)?;
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
        let of = self.circuit.facts(input);
        known.extend(of.closing.iter().cloned());
        let place = |column| plan.dependency_indices.iter().position(|from| *from == column);
        let facts = Facts { append_only: of.append_only, key: None, closing: closing::picked(&known, place) };
        let (text, detail) = (names.join(", "), format!("{nested:?}"));
        let context = self.session.task_ctx();
        let operator = Unnest::new(&below, output(&plan.schema), nested, context, text);
        Ok(Some(self.add(operator, vec![input], facts, detail)))
    }

    /// The input of an unnest, and what is known of the moments in its lists.
    fn spread(&mut self, plan: &LogicalPlan) -> Result<(NodeId, Vec<Closing>)> {
        if let LogicalPlan::Projection(projection) = plan
            && projection.expr.iter().any(|expr| first_of_spread(expr).is_some())
            && projection.expr.iter().all(|expr| matches!(dependence(expr), Ok(Dependence::Row)))
        {
            let input = self.plan(&projection.input)?;
            let (schema, exprs) = (projection.input.schema(), &projection.expr);
            let known = closing::spread(&self.circuit.facts(input).closing, exprs, schema);
            return Ok((self.projected(input, exprs, schema, output(&projection.schema))?, known));
        }
        Ok((self.plan(plan)?, Vec::new()))
    }
}
