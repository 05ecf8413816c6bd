//! How much the operators of a circuit hold, and how far that can grow.

use super::{Body, Circuit, Node, NodeId};
use crate::circuit::{Growth, Operator, StateSize};

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

    /// The logged time at which some node's rows change without a commit, as far as operators know it. An operator that
    /// cannot tell is of no interest.
    pub fn next_change(&mut self) -> Option<i64> {
        let timed = self.nodes.values_mut().filter(|node| node.every_tick && node.broken.is_none());
        let next = timed.filter_map(|node| match &mut node.body {
            Body::Input(_) => None,
            Body::Operator(operator) => operator.next_change().ok().flatten(),
        });
        next.min()
    }

    /// Bytes of state in one operator.
    pub fn node_bytes(&self, id: NodeId) -> usize {
        self.node(id).state().map_or(0, |state| state.bytes)
    }
}

impl Circuit {
    /// How far a node's state can grow. What holds no more than its inputs' rows is bounded by the clock where these are.
    pub(super) fn growth(&self, id: NodeId) -> Growth {
        match &self.node(id).body {
            Body::Input(_) => Growth::None,
            Body::Operator(operator) => match operator.growth() {
                Growth::Open if self.inputs_go(id) => Growth::Clock,
                growth => growth,
            },
        }
    }

    fn inputs_go(&self, id: NodeId) -> bool {
        let node = self.node(id);
        let goes = |input: &NodeId| {
            let clock = |operator: &dyn Operator| operator.growth() == Growth::Clock;
            let of = self.node(*input);
            match &of.body {
                Body::Input(_) => false,
                Body::Operator(operator) => !of.facts.append_only && clock(operator.as_ref()) || self.inputs_go(*input),
            }
        };
        !node.inputs.is_empty() && node.inputs.iter().all(goes)
    }
}

impl Node {
    pub(super) fn state(&self) -> Option<StateSize> {
        match &self.body {
            Body::Input(_) => None,
            Body::Operator(operator) => operator.state(),
        }
    }
}
