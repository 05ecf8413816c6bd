//! ASOF JOIN.

use datafusion::logical_expr::UserDefinedLogicalNodeCore;

use super::{Lowering, output};
use crate::circuit::time::Closing;
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::asof::AsOf;
use crate::sql::asof::AsOfNode;

impl Lowering<'_> {
    pub(super) fn asof(&mut self, node: &AsOfNode) -> Result<NodeId> {
        let (left, right) = node.sides();
        let inputs = (self.plan(left)?, self.plan(right)?);
        let spec = node.spec()?;
        let bound = |input: NodeId, time: usize| {
            let known = &self.circuit.facts(input).closing;
            known.iter().find(|closing| closing.column == time).map(|closing| closing.bound.clone())
        };
        let closing = (bound(inputs.0, spec.times.0), bound(inputs.1, spec.times.1));
        let schemas = (self.circuit.schema(inputs.0), self.circuit.schema(inputs.1));
        let detail = format!("{spec:?} {closing:?}");
        let time = spec.times.0;
        let operator = AsOf::new(schemas, output(node.schema()), spec, closing)?;
        // A left row is there as often as before.
        let key = self.circuit.facts(inputs.0).key.clone();
        let closing = operator.bound().map(|bound| Closing { column: time, bound }).into_iter().collect();
        Ok(self.add(operator, vec![inputs.0, inputs.1], Facts { append_only: false, key, closing }, detail))
    }
}
