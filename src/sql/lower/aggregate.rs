//! GROUP BY, DISTINCT and global aggregates.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Aggregate as AggregatePlan, Expr, ExprSchemable};
use datafusion::physical_expr::aggregate::LoweredAggregateBuilder;

use super::{Lowering, closing, grouping, nullable, output};
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::aggregate::{Aggregate, BatchCall, Call, Function, Part};
use crate::sql::expr::{Dependence, dependence};
use crate::sql::functions::is_order_sensitive;

impl Lowering<'_> {
    pub(super) fn aggregate(&mut self, plan: &AggregatePlan) -> Result<Option<NodeId>> {
        let Some(parts) = Parts::of(plan)? else {
            return Ok(None);
        };
        if parts.sets.is_some() {
            self.refuse_to_skip("GROUPING SETS", "a group that fails in one of the sets is still part of the others")?;
        }
        let input = self.plan(&plan.input)?;
        let (input, place) = self.columns_for(input, &parts.columns, plan.input.schema())?;
        let calls: Vec<Call> = parts.calls.iter().map(|call| placed(call, &place)).collect();
        let keys = (0..parts.keys).map(|key| place[key]).collect();
        match &parts.sets {
            None => self.grouped(input, keys, calls, output(&plan.schema)).map(Some),
            Some(sets) => self.grouped_by_sets(input, &keys, &calls, sets, output(&plan.schema)).map(Some),
        }
    }

    /// An aggregate with its keys and calls as columns of `input`.
    pub(super) fn grouped(
        &mut self,
        input: NodeId,
        keys: Vec<usize>,
        calls: Vec<Call>,
        output: SchemaRef,
    ) -> Result<NodeId> {
        let of = self.circuit.facts(input);
        let append_only = of.append_only;
        let closing = closing::picked(&of.closing, |column| keys.iter().position(|key| *key == column));
        let closes = closing.first().cloned();
        let key = Some((0..keys.len()).collect());
        let facts = Facts { append_only: append_only && calls.is_empty(), key, closing };
        let detail = format!("{keys:?} {calls:?} {closes:?}");
        let operator = Aggregate::new(self.circuit.schema(input), keys, calls, output, append_only)?.closing(closes);
        Ok(self.add(operator, vec![input], facts, detail))
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
        let fields = distinct.iter().map(|e| Ok(e.to_field(schema)?.1.as_ref().clone())).collect::<Result<Vec<_>>>()?;
        let schema_out = nullable(&arrow::datatypes::Schema::new(fields));
        Ok((self.projected(input, &distinct, schema, schema_out)?, place))
    }
}

/// A call whose columns are numbered among those of a node.
fn placed(call: &Call, place: &[usize]) -> Call {
    Call {
        function: call.function.clone(),
        args: call.args.iter().map(|a| place[*a]).collect(),
        filter: call.filter.map(|f| place[f]),
        distinct: call.distinct,
        order: call.order.iter().map(|(column, options)| (place[*column], *options)).collect(),
    }
}

/// An aggregate taken apart: every expression it needs, and what it does with them by their place.
struct Parts {
    columns: Vec<Expr>,
    keys: usize,
    /// Which of the keys each grouping set has, where there are sets.
    sets: Option<Vec<Vec<usize>>>,
    calls: Vec<Call>,
}

impl Parts {
    /// `None` where an incremental operator does not cover the aggregate.
    fn of(plan: &AggregatePlan) -> Result<Option<Parts>> {
        let (columns, sets) = match plan.group_expr.as_slice() {
            [Expr::GroupingSet(sets)] => match grouping::sets(sets) {
                Some((keys, sets)) => (keys, Some(sets)),
                None => return Ok(None),
            },
            keys => (keys.to_vec(), None),
        };
        let mut parts = Parts { keys: columns.len(), columns, sets, calls: Vec::new() };
        let values = &plan.schema.fields()[plan.schema.fields().len() - plan.aggr_expr.len()..];
        for (expr, value) in plan.aggr_expr.iter().zip(values) {
            let Expr::AggregateFunction(function) = expr.clone().unalias() else {
                return Ok(None);
            };
            let call = match parts.own(&function, plan.input.schema(), value.data_type())? {
                Some(call) => Some(call),
                None => parts.batch(function, plan.input.schema())?,
            };
            let Some(call) = call else {
                return Ok(None);
            };
            parts.calls.push(call);
        }
        for expr in &parts.columns {
            if dependence(expr)? == Dependence::Time {
                return Ok(None);
            }
        }
        Ok(Some(parts))
    }

    /// A call of a function that has a state of its own.
    fn own(&mut self, call: &AggregateFunction, input: &DFSchema, output: &DataType) -> Result<Option<Call>> {
        let params = &call.params;
        let Some(function) = Function::named(call.func.name()) else {
            return Ok(None);
        };
        // COUNT(1), which is also what COUNT(*) becomes, counts rows.
        let counts_rows = matches!(function, Function::Count)
            && !params.distinct
            && params.args.iter().all(|a| matches!(a, Expr::Literal(value, _) if !value.is_null()));
        let args = if counts_rows { &[] } else { params.args.as_slice() };
        let types = args.iter().map(|a| Ok(a.get_type(input)?)).collect::<Result<Vec<_>>>()?;
        if !Aggregate::supports(&function, &types, output, params.distinct) {
            return Ok(None);
        }
        let args = args.iter().map(|a| self.push(a.clone())).collect();
        let filter = params.filter.as_ref().map(|f| self.push(f.as_ref().clone()));
        Ok(Some(Call { function, args, filter, distinct: params.distinct, order: Vec::new() }))
    }

    /// A call of any other function of the batch engine, over the rows of each group.
    fn batch(&mut self, mut call: AggregateFunction, input: &DFSchema) -> Result<Option<Call>> {
        let params = &call.params;
        let constants: Vec<Option<ScalarValue>> = params
            .args
            .iter()
            .map(|arg| match arg {
                Expr::Literal(value, _) => Some(value.clone()),
                _ => None,
            })
            .collect();
        let (order, distinct) = (params.order_by.clone(), params.distinct);
        let variable = params.args.iter().filter(|arg| !matches!(arg, Expr::Literal(..)));
        for (expr, is_key) in variable.clone().map(|a| (a, false)).chain(order.iter().map(|o| (&o.expr, true))) {
            let data_type = expr.get_type(input)?;
            // The values of a DISTINCT aggregate are put in order by the function itself.
            if !RowConverter::supports_fields(&[SortField::new(data_type.clone())])
                || is_key && !distinct && !has_one_order(&data_type)
            {
                return Ok(None);
            }
        }
        let args = variable.cloned().collect::<Vec<_>>();
        let args = args.into_iter().map(|a| self.push(a)).collect();
        let filter = params.filter.as_ref().map(|f| self.push(f.as_ref().clone()));
        let keys = order
            .into_iter()
            .map(|sort| {
                let options = SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
                (self.push(sort.expr), options)
            })
            .collect();
        let name = call.func.name().to_owned();
        let ignores_nulls = call.params.null_treatment == Some(NullTreatment::IgnoreNulls);
        let (part, skips_nulls) = match (name.as_str(), constants.get(1)) {
            _ if distinct => (Part::All, false),
            ("first_value", _) => (Part::First(1), ignores_nulls),
            ("last_value", _) => (Part::Last(1), ignores_nulls),
            ("nth_value", Some(Some(ScalarValue::Int64(Some(n))))) if *n > 0 => (Part::First(*n as usize), false),
            ("nth_value", Some(Some(ScalarValue::Int64(Some(n))))) if *n < 0 => {
                (Part::Last(n.unsigned_abs() as usize), false)
            }
            _ => (Part::All, false),
        };
        if is_order_sensitive(&name) && !distinct {
            // The rows come in order; a function that is told of it sorts them once more.
            call.params.order_by = Vec::new();
        }
        let expr = Expr::AggregateFunction(call);
        let (props, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
        let lowered = LoweredAggregateBuilder::new(&expr, input, input.as_arrow(), &props, &context).build()?;
        let aggregate = lowered.aggregate.as_ref().clone();
        let function = BatchCall::new(name, aggregate, constants, part, skips_nulls);
        Ok(Some(Call { function: Function::Batch(Arc::new(function)), args, filter, distinct, order: keys }))
    }

    fn push(&mut self, expr: Expr) -> usize {
        self.columns.push(expr);
        self.columns.len() - 1
    }
}

/// Whether the batch engine puts values of a type in one order wherever it compares them. Structs come here field by
/// field; within lists it compares them in part only.
fn has_one_order(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            !item.data_type().is_nested()
        }
        other => !other.is_nested(),
    }
}
