//! The graph as text: the tree below a node for `EXPLAIN`, and what tells one whole graph from another.

use super::{Body, Circuit, NodeId, NodeKey};
use crate::circuit::explain::as_sql;
use crate::circuit::{ExplainLine, Growth, OWN_ROWS};

/// What is said of a node that leaves failing rows out.
const SKIPS: &str = "on_error = 'skip'";

/// Prints an input of a circuit: gets its object and the line for it, which has no text yet.
type PrintInput<'a> = dyn Fn(u32, ExplainLine, &mut Vec<ExplainLine>) + 'a;

/// Gives the names of objects.
type Name<'a> = dyn Fn(u32) -> String + 'a;

impl Circuit {
    /// The tree below a node, for `EXPLAIN`: parents before children. `name` gives the names of objects.
    pub fn explain(&self, root: NodeId, name: &dyn Fn(u32) -> String) -> Vec<ExplainLine> {
        let mut lines = Vec::new();
        let input = |object, line, lines: &mut Vec<ExplainLine>| {
            lines.push(ExplainLine { text: format!("Input {}", name(object)), ..line });
        };
        self.explain_into(root, 0, (&input, name), &mut lines);
        lines
    }

    fn explain_into(
        &self,
        id: NodeId,
        depth: usize,
        (input, name): (&PrintInput, &Name),
        lines: &mut Vec<ExplainLine>,
    ) {
        let node = self.node(id);
        let line = ExplainLine {
            depth,
            text: String::new(),
            facts: match (node.facts.describe(&self.schema(id)), node.skips) {
                (facts, false) => facts,
                (facts, true) if facts.is_empty() => SKIPS.into(),
                (facts, true) => format!("{facts}, {SKIPS}"),
            },
            state: node.state(),
            growth: self.growth(id).describe(name),
            shared: node.users > 1,
        };
        let operator = match (&node.body, &node.key) {
            (Body::Operator(operator), _) => operator,
            (Body::Input(_), NodeKey::Object(object) | NodeKey::Narrow(object, _)) => {
                return input(*object, line, lines);
            }
            (Body::Input(_), NodeKey::Operator(identity, _)) => {
                return lines.push(ExplainLine { text: identity.clone(), ..line });
            }
        };
        lines.push(ExplainLine { text: as_sql(&operator.to_string()), ..line });
        let Some((inside, root)) = operator.inside() else {
            return node.inputs.iter().for_each(|below| self.explain_into(*below, depth + 1, (input, name), lines));
        };
        // What the inner circuit reads of the operator's inputs is printed where it reads it.
        let read: Vec<u32> = inside.inputs().into_iter().map(|(object, _)| object).collect();
        for (at, below) in node.inputs.iter().enumerate().filter(|(at, _)| !read.contains(&(*at as u32))) {
            debug_assert_ne!(at as u32, OWN_ROWS);
            self.explain_into(*below, depth + 1, (input, name), lines);
        }
        let inner_input = |object: u32, line: ExplainLine, lines: &mut Vec<ExplainLine>| match object {
            OWN_ROWS => {
                lines.push(ExplainLine { text: "Input rows of the round before".into(), facts: String::new(), ..line })
            }
            object => self.explain_into(node.inputs[object as usize], line.depth, (input, name), lines),
        };
        inside.explain_into(root, depth + 1, (&inner_input, name), lines);
    }

    /// The operators at or below a node whose state can grow for ever, in words.
    pub fn unbounded(&self, root: NodeId) -> Vec<String> {
        let below = self.below(root);
        let open =
            below.iter().filter(|id| self.growth(**id) == Growth::Open).filter_map(|id| match &self.node(*id).body {
                Body::Operator(operator) => Some(as_sql(&operator.to_string())),
                Body::Input(_) => None,
            });
        open.collect()
    }

    /// A text that is the same for two circuits only if their nodes compute the same from inputs of the same number.
    pub fn identity(&self) -> String {
        let node = |(id, node): (&NodeId, &super::Node)| format!("{}: {:?}\n", id.0, node.key);
        self.nodes.iter().map(node).collect()
    }
}
