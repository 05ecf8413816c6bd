//! GROUP BY, DISTINCT and global aggregates.

use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate as AggregatePlan, Expr};

use super::{Lowering, nullable, output};
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::aggregate::{Aggregate, Call, Function};
use crate::sql::expr::{Dependence, dependence};

impl Lowering<'_> {
    pub(super) fn aggregate(&mut self, plan: &AggregatePlan) -> Result<Option<NodeId>> {
        let Some(parts) = Parts::of(plan)? else {
            return Ok(None);
        };
        let input = self.plan(&plan.input)?;
        let (input, place) = self.columns_for(input, &parts.columns, plan.input.schema())?;
        let keys: Vec<usize> = (0..parts.keys).map(|k| place[k]).collect();
        let calls: Vec<Call> = parts
            .calls
            .iter()
            .map(|call| Call {
                function: call.function,
                args: call.args.iter().map(|a| place[*a]).collect(),
                filter: call.filter.map(|f| place[f]),
                distinct: call.distinct,
            })
            .collect();
        let append_only = self.circuit.facts(input).append_only;
        let facts = Facts { append_only: append_only && calls.is_empty(), key: Some((0..keys.len()).collect()) };
        let detail = format!("{keys:?} {calls:?}");
        let operator = Aggregate::new(self.circuit.schema(input), keys, calls, output(&plan.schema), append_only)?;
        Ok(Some(self.add(operator, vec![input], facts, detail)))
    }

    /// A node with these expressions over `input` as columns, and where each of them is.
    pub(super) fn columns_for(
        &mut self,
        input: NodeId,
        exprs: &[Expr],
        schema: &DFSchema,
    ) -> Result<(NodeId, Vec<usize>)> {
        let plain: Option<Vec<usize>> = exprs
            .iter()
            .map(|e| match e {
                Expr::Column(column) => schema.maybe_index_of_column(column),
                _ => None,
            })
            .collect();
        if let Some(place) = plain {
            return Ok((input, place));
        }
        let mut distinct: Vec<Expr> = Vec::new();
        let mut place = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let at = distinct.iter().position(|e| e == expr).unwrap_or_else(|| {
                distinct.push(expr.clone());
                distinct.len() - 1
            });
            place.push(at);
        }
        let fields = distinct
            .iter()
            .map(|e| Ok(datafusion::logical_expr::ExprSchemable::to_field(e, schema)?.1.as_ref().clone()))
            .collect::<Result<Vec<_>>>()?;
        let schema_out = nullable(&arrow::datatypes::Schema::new(fields));
        Ok((self.projected(input, &distinct, schema, schema_out)?, place))
    }
}

/// An aggregate taken apart: every expression it needs, and what it does with them by their place.
struct Parts {
    columns: Vec<Expr>,
    keys: usize,
    calls: Vec<Call>,
}

impl Parts {
    /// `None` where an incremental operator does not cover the aggregate.
    fn of(plan: &AggregatePlan) -> Result<Option<Parts>> {
        let mut parts = Parts { columns: plan.group_expr.clone(), keys: plan.group_expr.len(), calls: Vec::new() };
        if plan.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
            return Ok(None);
        }
        for (at, expr) in plan.aggr_expr.iter().enumerate() {
            let Expr::AggregateFunction(AggregateFunction { func, params }) = expr.clone().unalias() else {
                return Ok(None);
            };
            let Some(function) = function(func.name()) else {
                return Ok(None);
            };
            // COUNT(1), which is also what COUNT(*) becomes, counts rows.
            let counts_rows = function == Function::Count
                && !params.distinct
                && params.args.iter().all(|a| matches!(a, Expr::Literal(value, _) if !value.is_null()));
            let args = if counts_rows { Vec::new() } else { params.args };
            let types = args
                .iter()
                .map(|a| Ok(datafusion::logical_expr::ExprSchemable::get_type(a, plan.input.schema())?))
                .collect::<Result<Vec<_>>>()?;
            if !Aggregate::supports(function, &types, plan.schema.field(parts.keys + at).data_type(), params.distinct) {
                return Ok(None);
            }
            let args = args.into_iter().map(|a| parts.push(a)).collect();
            let filter = params.filter.map(|f| parts.push(*f));
            parts.calls.push(Call { function, args, filter, distinct: params.distinct });
        }
        for expr in &parts.columns {
            if dependence(expr)? == Dependence::Time {
                return Ok(None);
            }
        }
        Ok(Some(parts))
    }

    fn push(&mut self, expr: Expr) -> usize {
        self.columns.push(expr);
        self.columns.len() - 1
    }
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "count" => Function::Count,
        "sum" => Function::Sum,
        "avg" => Function::Avg,
        "min" => Function::Min,
        "max" => Function::Max,
        _ => return None,
    })
}
