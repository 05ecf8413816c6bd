//! ORDER BY and LIMIT: an order alone says nothing about a bag of rows; with a limit it is top-k.

use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable, FetchType, Limit, LogicalPlan, SkipType, Sort, SortExpr};

use super::recompute::has_subquery;
use super::{Lowering, output};
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::row_codec::SortKey;
use crate::operators::topk::TopK;
use crate::sql::expr::{Dependence, dependence};

impl Lowering<'_> {
    pub(super) fn sort(&mut self, sort: &Sort) -> Result<Option<NodeId>> {
        match sort.fetch {
            None => Ok(Some(self.plan(&sort.input)?)),
            Some(fetch) => self.top(&sort.input, &sort.expr, 0, Some(fetch)),
        }
    }

    pub(super) fn limit(&mut self, limit: &Limit) -> Result<Option<NodeId>> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (limit.get_skip_type()?, limit.get_fetch_type()?)
        else {
            return Ok(None);
        };
        self.limited(&limit.input, skip, fetch)
    }

    fn limited(&mut self, plan: &LogicalPlan, skip: usize, fetch: Option<usize>) -> Result<Option<NodeId>> {
        match plan {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.top(&sort.input, &sort.expr, skip, fetch),
            LogicalPlan::SubqueryAlias(alias) => self.limited(&alias.input, skip, fetch),
            // A projection takes each row to one row: it may as well come after the limit.
            LogicalPlan::Projection(projection) => {
                for expr in &projection.expr {
                    if dependence(expr)? == Dependence::Time {
                        return Ok(None);
                    }
                }
                let Some(input) = self.limited(&projection.input, skip, fetch)? else {
                    return Ok(None);
                };
                let schema = projection.input.schema();
                self.projected(input, &projection.expr, schema, output(&projection.schema)).map(Some)
            }
            // Canonical plans have a sort under every limit; what is left has no order that matters.
            _ => Ok(None),
        }
    }

    fn top(
        &mut self,
        input: &LogicalPlan,
        order: &[SortExpr],
        skip: usize,
        fetch: Option<usize>,
    ) -> Result<Option<NodeId>> {
        let Some(Keys { keys, computed }) = sort_keys(order, input.schema())? else {
            return Ok(None);
        };
        let mut node = self.plan(input)?;
        let width = input.schema().fields().len();
        if !computed.is_empty() {
            node = self.with_computed(node, computed, input.schema())?;
        }
        let of = self.circuit.facts(node);
        let facts = Facts { append_only: false, key: of.key.clone(), ..Facts::default() };
        let append_only = of.append_only;
        let detail = format!("{keys:?} {skip} {fetch:?}");
        let operator = TopK::new(self.circuit.schema(node), keys, skip, fetch, append_only)?;
        let top = self.add(operator, vec![node], facts, detail);
        let columns: Vec<usize> = (0..width).collect();
        self.pick(top, &columns, output(input.schema())).map(Some)
    }

    /// The rows of a node with expressions over them as more columns.
    pub(super) fn with_computed(&mut self, node: NodeId, computed: Vec<Expr>, schema: &DFSchema) -> Result<NodeId> {
        let mut fields: Vec<FieldRef> = self.circuit.schema(node).fields().to_vec();
        for (at, expr) in computed.iter().enumerate() {
            fields.push(Arc::new(Field::new(format!("key {at}"), expr.get_type(schema)?, true)));
        }
        let columns = schema.iter().map(|(qualifier, field)| Expr::Column((qualifier, field).into()));
        let exprs: Vec<Expr> = columns.chain(computed).collect();
        self.projected(node, &exprs, schema, Arc::new(Schema::new(fields)))
    }
}

/// An order by columns.
struct Keys {
    keys: Vec<SortKey>,
    /// The expressions among them, which come as columns after those of the rows.
    computed: Vec<Expr>,
}

/// The order by columns and expressions; `None` where an expression depends on more than its row.
fn sort_keys(order: &[SortExpr], schema: &DFSchema) -> Result<Option<Keys>> {
    let (mut keys, mut computed) = (Vec::new(), Vec::new());
    for sort in order {
        let column = match &sort.expr {
            Expr::Column(column) => schema.maybe_index_of_column(column),
            _ => None,
        };
        let column = match column {
            Some(column) => column,
            None if dependence(&sort.expr)? == Dependence::Time || has_subquery(&sort.expr) => return Ok(None),
            None => {
                computed.push(sort.expr.clone());
                schema.fields().len() + computed.len() - 1
            }
        };
        keys.push(SortKey { column, descending: !sort.asc, nulls_first: sort.nulls_first });
    }
    Ok(Some(Keys { keys, computed }))
}
