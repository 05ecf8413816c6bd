//! Streams and tables that get columns while views over them live.
//!
//! ```text
//! before   (a, b) ─── views                after   (a, b, c) ─── new views
//!                                                  (a, b)    ─── the views there were
//! ```
//!
//! The views that there are go on with the node that they read, which from then on stands for the first columns.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use super::graph::NodeKey;
use super::{Circuit, Facts, NodeId, Outputs};
use crate::delta::Delta;
use crate::error::Result;

impl Circuit {
    /// The node that stands for the first columns of an object.
    pub fn narrow_input(&mut self, object: u32, schema: SchemaRef, facts: Facts) -> NodeId {
        self.input_of(NodeKey::Narrow(object, schema.fields().len()), schema, facts)
    }

    /// Gives an object a node with more columns.
    pub fn widen(&mut self, object: u32, schema: SchemaRef, facts: Facts) {
        if let Some(place) = self.by_key.remove(&NodeKey::Object(object)) {
            let narrow = NodeKey::Narrow(object, self.schema(place).fields().len());
            self.has_narrow = true;
            self.by_key.insert(narrow.clone(), place);
            self.nodes.get_mut(&place).expect("a node outlives those who name it").key = narrow;
        }
        self.input(object, schema, facts);
    }

    /// A change of an object, as changes of the nodes that stand for it.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub fn route(&self, object: u32, delta: &Delta, changes: &mut Outputs) -> Result<()> {
        for node in self.object(object).into_iter().chain(self.narrow(object)) {
            changes.insert(node, self.narrowed(node, delta)?);
        }
        Ok(())
    }

    /// The columns of a change that a node takes: the first ones.
    ///
    /// # Errors
    /// Never, short of a bug.
    pub fn narrowed(&self, node: NodeId, delta: &Delta) -> Result<Delta> {
        let schema = self.schema(node);
        let width = schema.fields().len();
        if width == delta.batch.num_columns() {
            return Ok(delta.clone());
        }
        let columns = delta.batch.columns()[..width].to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(delta.len()));
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
        Ok(Delta::new(batch, delta.weights.clone()))
    }

    /// Takes away the nodes of a dropped object's first columns.
    pub(super) fn withdraw_narrow(&mut self, object: u32) {
        for place in self.narrow(object) {
            let node = &self.nodes[&place];
            self.by_key.remove(&node.key);
            if node.users == 0 {
                self.nodes.remove(&place);
            }
        }
    }

    /// The nodes of an object's first columns; mostly there is none.
    fn narrow(&self, object: u32) -> Vec<NodeId> {
        if !self.has_narrow {
            return Vec::new();
        }
        let is_narrow = |(key, _): &(&NodeKey, &NodeId)| matches!(key, NodeKey::Narrow(of, _) if *of == object);
        let mut found: Vec<NodeId> = self.by_key.iter().filter(is_narrow).map(|(_, place)| *place).collect();
        found.sort_unstable();
        found
    }
}
