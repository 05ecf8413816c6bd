//! Inner joins: equal keys by index, any residual condition as a filter behind.

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{DFSchema, NullEquality};
use datafusion::logical_expr::{Expr, Join as JoinPlan};

use super::{Lowering, nullable, output};
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::join::Join;
use crate::sql::expr::{Dependence, dependence};

impl Lowering<'_> {
    pub(super) fn inner_join(&mut self, plan: &JoinPlan) -> Result<Option<NodeId>> {
        for expr in plan.on.iter().flat_map(|(l, r)| [l, r]).chain(&plan.filter) {
            if dependence(expr)? == Dependence::Time {
                return Ok(None);
            }
        }
        let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = plan.on.iter().cloned().unzip();
        let left = self.plan(&plan.left)?;
        let right = self.plan(&plan.right)?;
        let left_width = self.circuit.schema(left).fields().len();
        let right_width = self.circuit.schema(right).fields().len();
        let (left, left_keys) = self.with_keys(left, &left_keys, plan.left.schema())?;
        let (right, right_keys) = self.with_keys(right, &right_keys, plan.right.schema())?;
        let (left_schema, right_schema) = (self.circuit.schema(left), self.circuit.schema(right));
        let on: Vec<(usize, usize)> = left_keys.into_iter().zip(right_keys).collect();
        if on.iter().any(|(l, r)| left_schema.field(*l).data_type() != right_schema.field(*r).data_type()) {
            return Ok(None);
        }
        let facts = self.join_facts(left, right, &on);
        let nulls_equal = plan.null_equality == NullEquality::NullEqualsNull;
        let append_only = (self.circuit.facts(left).append_only, self.circuit.facts(right).append_only);
        let joined = beside(&left_schema, &right_schema);
        let detail = format!("{on:?} {nulls_equal}");
        let operator = Join::new(left_schema.clone(), right_schema, on, nulls_equal, append_only, joined)?;
        let mut node = self.add(operator, vec![left, right], facts, detail);
        // Key columns that were computed for the join stand behind each side's own.
        let own: Vec<usize> = (0..left_width).chain((0..right_width).map(|c| left_schema.fields().len() + c)).collect();
        node = self.pick(node, &own, output(&plan.schema))?;
        match &plan.filter {
            None => Ok(Some(node)),
            Some(filter) => self.filtered(node, filter, &plan.schema).map(Some),
        }
    }

    /// The node with each key as a column: its own where the key is one, else computed and put behind.
    fn with_keys(&mut self, input: NodeId, keys: &[Expr], schema: &DFSchema) -> Result<(NodeId, Vec<usize>)> {
        let own: Vec<Expr> = schema.iter().map(|(qualifier, field)| Expr::Column((qualifier, field).into())).collect();
        let mut exprs = own.clone();
        let mut place = Vec::with_capacity(keys.len());
        for key in keys {
            let at = match key {
                Expr::Column(column) => schema.maybe_index_of_column(column),
                _ => exprs.iter().position(|e| e == key),
            };
            place.push(at.unwrap_or_else(|| {
                exprs.push(key.clone());
                exprs.len() - 1
            }));
        }
        if exprs.len() == own.len() {
            return Ok((input, place));
        }
        let mut fields: Vec<_> = self.circuit.schema(input).fields().iter().map(|f| f.as_ref().clone()).collect();
        for expr in &exprs[own.len()..] {
            fields.push(datafusion::logical_expr::ExprSchemable::to_field(expr, schema)?.1.as_ref().clone());
        }
        let schema_out = nullable(&Schema::new(fields));
        Ok((self.projected(input, &exprs, schema, schema_out)?, place))
    }

    /// Each pair of rows is there once, so the keys of both sides together are a key; one of them is enough where
    /// the other side is joined on a whole key and so meets at most one row.
    fn join_facts(&self, left: NodeId, right: NodeId, on: &[(usize, usize)]) -> Facts {
        let (l, r) = (self.circuit.facts(left), self.circuit.facts(right));
        let width = self.circuit.schema(left).fields().len();
        let key = match (&l.key, &r.key) {
            (Some(left_key), Some(right_key)) => {
                if right_key.iter().all(|k| on.iter().any(|(_, c)| c == k)) {
                    Some(left_key.clone())
                } else if left_key.iter().all(|k| on.iter().any(|(c, _)| c == k)) {
                    Some(right_key.iter().map(|k| width + k).collect())
                } else {
                    Some(left_key.iter().copied().chain(right_key.iter().map(|k| width + k)).collect())
                }
            }
            _ => None,
        };
        Facts { append_only: l.append_only && r.append_only, key }
    }
}

fn beside(left: &Schema, right: &Schema) -> SchemaRef {
    let fields: Vec<_> = left.fields().iter().chain(right.fields()).map(|f| f.as_ref().clone()).collect();
    nullable(&Schema::new(fields))
}
