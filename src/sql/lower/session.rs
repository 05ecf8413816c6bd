//! SESSION windows.

use super::{Lowering, output};
use crate::circuit::time::Closing;
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::sessions::Sessions;
use crate::sql::time_windows::SessionNode;

impl Lowering<'_> {
    pub(super) fn session(&mut self, node: &SessionNode) -> Result<NodeId> {
        let input = self.plan(node.input())?;
        let spec = node.spec()?;
        let schema = output(datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(node));
        let of = self.circuit.facts(input);
        let closing =
            of.closing.iter().find(|closing| closing.column == spec.time).map(|closing| closing.bound.clone());
        // A session that ends before the bound gets no row any more; where one begins says nothing of how long it is.
        let end = schema.fields().len() - 1;
        let closes = closing.clone().map(|bound| Closing { column: end, bound });
        let facts = Facts { append_only: false, key: of.key.clone(), closing: closes.into_iter().collect() };
        let detail = format!("{spec:?} {closing:?}");
        let operator = Sessions::new(self.circuit.schema(input), schema, spec, closing)?;
        Ok(self.add(operator, vec![input], facts, detail))
    }
}
