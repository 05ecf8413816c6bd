//! Filter, projection and union all.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, Filter as FilterPlan, LogicalPlan, Projection, Union};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use super::{Lowering, closing, output};
use crate::circuit::time::Closing;
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::filter::Filter;
use crate::operators::project::Project;
use crate::operators::union::UnionAll;
use crate::sql::expr::{Dependence, dependence, identity, physical};

impl Lowering<'_> {
    pub(super) fn filter(&mut self, filter: &FilterPlan) -> Result<Option<NodeId>> {
        if dependence(&filter.predicate)? == Dependence::Time {
            return self.temporal_filter(filter);
        }
        if let Some(top) = self.group_top(filter, None)? {
            return Ok(Some(top));
        }
        let input = self.plan(&filter.input)?;
        self.filtered(input, &filter.predicate, filter.input.schema()).map(Some)
    }

    /// A filter by a predicate over the columns of `input`, which `schema` names.
    pub(super) fn filtered(&mut self, input: NodeId, predicate: &Expr, schema: &DFSchema) -> Result<NodeId> {
        let predicate = physical(predicate, schema)?;
        let facts = self.circuit.facts(input).clone();
        let detail = identity(std::slice::from_ref(&predicate))?;
        Ok(self.add(Filter::new(self.circuit.schema(input), predicate), vec![input], facts, detail))
    }

    pub(super) fn projection(&mut self, projection: &Projection) -> Result<Option<NodeId>> {
        for expr in &projection.expr {
            if dependence(expr)? == Dependence::Time {
                return Ok(None);
            }
        }
        if let LogicalPlan::Filter(filter) = projection.input.as_ref()
            && let Some(top) = self.group_top(filter, Some(projection))?
        {
            return Ok(Some(top));
        }
        let input = self.plan(&projection.input)?;
        self.projected(input, &projection.expr, projection.input.schema(), output(&projection.schema)).map(Some)
    }

    /// A projection to expressions over the columns of `input`, which `schema` names.
    pub(super) fn projected(
        &mut self,
        input: NodeId,
        exprs: &[Expr],
        schema: &DFSchema,
        output: SchemaRef,
    ) -> Result<NodeId> {
        let closing = closing::projected(&self.circuit.facts(input).closing, exprs, schema);
        let exprs = exprs.iter().map(|e| physical(e, schema)).collect::<Result<Vec<_>>>()?;
        self.project_closing(input, exprs, output, closing)
    }

    /// Some columns of `input`.
    pub(super) fn pick(&mut self, input: NodeId, columns: &[usize], output: SchemaRef) -> Result<NodeId> {
        let schema = self.circuit.schema(input);
        let exprs = columns
            .iter()
            .map(|c| Arc::new(Column::new(schema.field(*c).name(), *c)) as Arc<dyn PhysicalExpr>)
            .collect();
        self.project(input, exprs, output)
    }

    pub(super) fn project(
        &mut self,
        input: NodeId,
        exprs: Vec<Arc<dyn PhysicalExpr>>,
        output: SchemaRef,
    ) -> Result<NodeId> {
        let is =
            |expr: &Arc<dyn PhysicalExpr>, column| expr.downcast_ref::<Column>().is_some_and(|c| c.index() == column);
        let place = |column| exprs.iter().position(|expr| is(expr, column));
        let closing = closing::picked(&self.circuit.facts(input).closing, place);
        self.project_closing(input, exprs, output, closing)
    }

    fn project_closing(
        &mut self,
        input: NodeId,
        exprs: Vec<Arc<dyn PhysicalExpr>>,
        output: SchemaRef,
        closing: Vec<Closing>,
    ) -> Result<NodeId> {
        let columns: Vec<Option<usize>> = exprs.iter().map(|e| e.downcast_ref::<Column>().map(Column::index)).collect();
        let unchanged = columns.len() == self.circuit.schema(input).fields().len()
            && columns.iter().enumerate().all(|(at, c)| *c == Some(at))
            && self.circuit.schema(input) == output;
        if unchanged {
            return Ok(input);
        }
        let of = self.circuit.facts(input);
        let key = of.key.as_ref().and_then(|key| {
            key.iter().map(|k| columns.iter().position(|c| c == &Some(*k))).collect::<Option<Vec<_>>>()
        });
        let facts = Facts { append_only: of.append_only, key, closing };
        let detail = identity(&exprs)?;
        Ok(self.add(Project::new(output, exprs), vec![input], facts, detail))
    }

    pub(super) fn union(&mut self, union: &Union) -> Result<Option<NodeId>> {
        let schema = output(&union.schema);
        let inputs = union.inputs.iter().map(|input| self.plan(input)).collect::<Result<Vec<_>>>()?;
        let same_types = inputs.iter().all(|input| {
            let of = self.circuit.schema(*input);
            of.fields().iter().map(|f| f.data_type()).eq(schema.fields().iter().map(|f| f.data_type()))
        });
        if !same_types {
            return Ok(None);
        }
        let append_only = inputs.iter().all(|input| self.circuit.facts(*input).append_only);
        let closing = closing::of_all(inputs.iter().map(|input| self.circuit.facts(*input).closing.as_slice()));
        let facts = Facts { append_only, key: None, closing };
        Ok(Some(self.add(UnionAll::new(schema), inputs, facts, String::new())))
    }
}
