//! What fails in a graph: nodes that broke, and rows on which an expression fails.
//!
//! A node keeps its failures, and whatever reads it fails with them. One that leaves failing rows out for good hands its
//! failures to the view that it is of, and its readers know nothing of them.

use std::collections::BTreeSet;

use super::{Circuit, NodeId, Skipped};
use crate::error::Error;

impl Circuit {
    /// Why a node's output cannot be trusted: an operator below it broke, or a row is present on which an expression
    /// fails. The first one in the order of the nodes.
    pub fn failure(&self, id: NodeId) -> Option<String> {
        if !self.nodes.values().any(|node| node.broken.is_some() || !node.errors.is_empty()) {
            return None;
        }
        let below = self.below(id);
        let broken = below.iter().find_map(|id| self.node(*id).broken.as_ref().map(ToString::to_string));
        broken.or_else(|| below.iter().find_map(|id| self.node(*id).errors.first().map(str::to_string)))
    }

    /// Why a node was taken out of service, if it was.
    pub fn broken(&self, id: NodeId) -> Option<&Error> {
        self.node(id).broken.as_ref()
    }

    /// The node and all that it reads, directly or through others.
    pub fn below(&self, id: NodeId) -> BTreeSet<NodeId> {
        let mut below = BTreeSet::from([id]);
        let mut todo = vec![id];
        while let Some(next) = todo.pop() {
            todo.extend(self.node(next).inputs.iter().filter(|input| below.insert(**input)));
        }
        below
    }

    /// Failures at nodes that leave failing rows out, since this was last asked.
    pub fn take_skipped(&mut self) -> Skipped {
        std::mem::take(&mut self.skipped)
    }

    /// Whether a node's rows can change with the time alone.
    pub fn depends_on_time(&self, id: NodeId) -> bool {
        self.below(id).iter().any(|id| self.node(*id).every_tick)
    }
}
