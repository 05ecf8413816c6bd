//! The nodes of our own: the one row of a scalar subquery, and bags of rows counted against each other.

use datafusion::logical_expr::LogicalPlan;

use super::{Lowering, output};
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::bag::Bag;
use crate::operators::single::Single;
use crate::sql::own_node::Own;

impl Lowering<'_> {
    pub(super) fn own(&mut self, own: Own, inputs: &[LogicalPlan]) -> Result<NodeId> {
        let nodes = inputs.iter().map(|input| self.plan(input)).collect::<Result<Vec<_>>>()?;
        let schema = output(inputs[0].schema());
        match own {
            // One row for each key: where the input is known for that, there is nothing to look after.
            Own::Single { keys } => {
                let known = self.circuit.facts(nodes[0]).key.as_ref();
                if known.is_some_and(|key| key.iter().all(|column| *column < keys)) {
                    return Ok(nodes[0]);
                }
                self.refuse_to_skip(
                    "a subquery that may give several rows",
                    "without them the row beside it would see NULL, which is not its value",
                )?;
                let facts = Facts { append_only: false, key: Some((0..keys).collect()), ..Facts::default() };
                let operator = Single::new(self.circuit.schema(nodes[0]), keys)?;
                let node = self.add(operator, nodes, facts, format!("{keys}"));
                self.pick(node, &(0..schema.fields().len()).collect::<Vec<_>>(), schema)
            }
            Own::Bag { except } => {
                let facts = Facts::default();
                Ok(self.add(Bag::new(schema, except)?, nodes, facts, String::new()))
            }
        }
    }
}
