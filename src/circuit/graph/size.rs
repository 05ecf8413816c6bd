//! How much the operators of a circuit hold, and how far that can grow.

use super::{Body, Circuit, Node, NodeId};
use crate::circuit::{Growth, StateSize};

impl Circuit {
    /// Bytes of state in all operators.
    pub fn state_bytes(&self) -> usize {
        self.nodes.keys().map(|id| self.node_bytes(*id)).sum()
    }

    /// What all operators hold together.
    pub fn state(&self) -> StateSize {
        let states = self.nodes.values().filter_map(Node::state);
        states.fold(StateSize::default(), |sum, of| StateSize { rows: sum.rows + of.rows, bytes: sum.bytes + of.bytes })
    }

    /// Bytes of state in one operator.
    pub fn node_bytes(&self, id: NodeId) -> usize {
        self.node(id).state().map_or(0, |state| state.bytes)
    }
}

impl Node {
    pub(super) fn growth(&self) -> Growth {
        match &self.body {
            Body::Input(_) => Growth::None,
            Body::Operator(operator) => operator.growth(),
        }
    }

    pub(super) fn state(&self) -> Option<StateSize> {
        match &self.body {
            Body::Input(_) => None,
            Body::Operator(operator) => operator.state(),
        }
    }
}
