//! ORDER BY and LIMIT: an order alone says nothing about a bag of rows; with a limit it is top-k.

use datafusion::common::DFSchema;
use datafusion::logical_expr::{FetchType, Limit, LogicalPlan, SkipType, Sort, SortExpr};

use super::{Lowering, output};
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::topk::{SortKey, TopK};
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
        let Some(keys) = sort_keys(order, input.schema()) else {
            return Ok(None);
        };
        let node = self.plan(input)?;
        let of = self.circuit.facts(node);
        let facts = Facts { append_only: false, key: of.key.clone() };
        let append_only = of.append_only;
        let detail = format!("{keys:?} {skip} {fetch:?}");
        let operator = TopK::new(self.circuit.schema(node), keys, skip, fetch, append_only)?;
        Ok(Some(self.add(operator, vec![node], facts, detail)))
    }
}

/// The order by columns; `None` where an expression is no column.
fn sort_keys(order: &[SortExpr], schema: &DFSchema) -> Option<Vec<SortKey>> {
    order
        .iter()
        .map(|sort| match &sort.expr {
            datafusion::logical_expr::Expr::Column(column) => Some(SortKey {
                column: schema.maybe_index_of_column(column)?,
                descending: !sort.asc,
                nulls_first: sort.nulls_first,
            }),
            _ => None,
        })
        .collect()
}
