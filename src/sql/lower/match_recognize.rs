//! MATCH_RECOGNIZE over rows in order.

use datafusion::logical_expr::LogicalPlan;

use super::{Lowering, nullable};
use crate::circuit::time::Closing;
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::match_recognize::MatchRecognize;
use crate::sql::expr::{Dependence, dependence};
use crate::sql::match_recognize::MatchNode;

impl Lowering<'_> {
    pub(super) fn match_recognize(&mut self, node: &MatchNode) -> Result<NodeId> {
        self.refuse_to_skip("MATCH_RECOGNIZE", "a search that fails leaves open which rows of its partition match")?;
        let input = self.stored_columns(node)?;
        let schema = self.circuit.schema(input);
        let spec = node.spec(&schema, nullable(&node.output()))?;
        let order = node.order();
        let time = order.keys.first().filter(|key| !key.descending && !key.nulls_first).map(|key| key.column);
        let known = &self.circuit.facts(input).closing;
        let closing = known.iter().find(|closing| Some(closing.column) == time).map(|closing| closing.bound.clone());
        // A match that begins so long before the bound changes no more, and no more begin there.
        let ends = closing.clone().zip(spec.within_micros()).filter(|_| !spec.looks_ahead());
        let ends = ends.map(|(bound, within)| bound.shifted(within.saturating_neg()));
        let shown = time.map(|time| spec.moments(time)).unwrap_or_default();
        let closing_of = |column| ends.clone().map(|bound| Closing { column, bound });
        let facts =
            Facts { append_only: false, key: None, closing: shown.into_iter().filter_map(closing_of).collect() };
        let detail = format!("{order:?} {} {closing:?}", node.identity()?);
        let operator = MatchRecognize::new(spec, schema, &order, closing, node.to_string())?;
        Ok(self.add(operator, vec![input], facts, detail))
    }

    /// The columns of the input that hold something.
    fn stored_columns(&mut self, node: &MatchNode) -> Result<NodeId> {
        let columns: Vec<usize> = (0..node.stored()).collect();
        if let LogicalPlan::Projection(projection) = node.input()
            && !matches!(projection.input.as_ref(), LogicalPlan::Filter(_))
        {
            let exprs = &projection.expr[..columns.len()];
            let depends = exprs.iter().map(dependence).collect::<Result<Vec<_>>>()?;
            if depends.iter().all(|depends| *depends == Dependence::Row) {
                let schema = nullable(&projection.schema.as_arrow().project(&columns)?);
                let input = self.plan(&projection.input)?;
                return self.projected(input, exprs, projection.input.schema(), schema);
            }
        }
        let input = self.plan(node.input())?;
        let schema = nullable(&self.circuit.schema(input).project(&columns)?);
        self.pick(input, &columns, schema)
    }
}
