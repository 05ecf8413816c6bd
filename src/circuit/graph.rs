//! The graph: nodes, their sharing, and the step.
//!
//! A new view is lowered into a circuit of its own, filled from history there, and then *absorbed* into the live
//! one: nodes that compute what a live node already computes are dropped in favour of it, the others move over
//! with their state. Both have seen the same history, so it does not matter which of two equals is kept.

mod failure;
mod print;
mod size;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::errors::ErrorSet;
use super::time::Watermarks;
use super::{Facts, Operator, Tick};
use crate::delta::{Delta, RowError};
use crate::error::{Error, Result, caught};

/// Names a node within one circuit. Later nodes have greater ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

/// What a node computes: two nodes with equal keys hold equal bags at every offset.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeKey {
    /// The rows of a stream, table or view, by its object id.
    Object(u32),
    /// The first columns of a stream or table: those that it had when the views over them were made.
    Narrow(u32, usize),
    /// An operator: a text that tells everything about it, over nodes.
    Operator(String, Vec<NodeId>),
}

/// A new operator node.
pub struct NodeSpec {
    /// The operator.
    pub operator: Box<dyn Operator>,
    /// Where its inputs come from.
    pub inputs: Vec<NodeId>,
    /// What is known of its output.
    pub facts: Facts,
    /// Everything about the operator that `inputs` do not tell.
    pub identity: String,
    /// Whether the output can change although no input does (it depends on the commit's time).
    pub every_tick: bool,
    /// Whether the rows on which it fails are left out for good, rather than making its readers fail.
    pub skips: bool,
}

pub(super) struct Node {
    body: Body,
    inputs: Vec<NodeId>,
    facts: Facts,
    pub(super) key: NodeKey,
    every_tick: bool,
    pub(super) skips: bool,
    /// An operator's first step runs whatever its inputs: a global aggregate has a row over nothing.
    started: bool,
    /// An empty delta for each input, to stand for one that did not change.
    unchanged: Vec<Delta>,
    /// How many nodes and views read this one.
    pub(super) users: usize,
    errors: ErrorSet,
    /// Why the node can no longer be stepped; its state is then not to be trusted, nor what is computed from it.
    broken: Option<Error>,
}

enum Body {
    Input(SchemaRef),
    Operator(Box<dyn Operator>),
}

/// The operators of a set of views.
#[derive(Default)]
pub struct Circuit {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) by_key: HashMap<NodeKey, NodeId>,
    next: u32,
    /// Whether a node may stand for the first columns of an object.
    pub(super) has_narrow: bool,
    /// Bytes that nodes put out since [`Circuit::take_moved`].
    moved: usize,
    /// Whether a node broke since [`Circuit::take_broke`].
    broke: bool,
    /// Nodes that were asked for since [`Circuit::take_added`].
    added: Vec<NodeId>,
    /// The watermarks that operators were last told of.
    closed_at: Arc<Watermarks>,
    /// Failures that came and went at nodes that leave failing rows out, since [`Circuit::take_skipped`].
    skipped: Skipped,
}

/// Failures that came and went, by the node that left their rows out.
pub type Skipped = BTreeMap<NodeId, Vec<RowError>>;

/// What each node put out in one step; nodes that put out nothing are absent.
pub type Outputs = BTreeMap<NodeId, Delta>;

impl Circuit {
    /// A circuit without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The node that stands for an object's rows; changes are given to it in [`Circuit::step`].
    pub fn input(&mut self, object: u32, schema: SchemaRef, facts: Facts) -> NodeId {
        self.input_of(NodeKey::Object(object), schema, facts)
    }

    pub(super) fn input_of(&mut self, key: NodeKey, schema: SchemaRef, facts: Facts) -> NodeId {
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        self.insert(Node {
            body: Body::Input(schema),
            inputs: Vec::new(),
            facts,
            key,
            every_tick: false,
            skips: false,
            started: true,
            unchanged: Vec::new(),
            users: 0,
            errors: ErrorSet::default(),
            broken: None,
        })
    }

    /// The node for an operator: an existing one, where it computes the same from the same.
    pub fn add(&mut self, spec: NodeSpec) -> NodeId {
        // What leaves failing rows out computes something else than what does not.
        let identity = if spec.skips { format!("skip {}", spec.identity) } else { spec.identity };
        let key = NodeKey::Operator(identity, spec.inputs.clone());
        if let Some(id) = self.by_key.get(&key) {
            self.added.push(*id);
            return *id;
        }
        for input in &spec.inputs {
            self.node_mut(*input).users += 1;
        }
        let unchanged = spec.inputs.iter().map(|input| Delta::empty(self.schema(*input))).collect();
        let id = self.insert(Node {
            body: Body::Operator(spec.operator),
            inputs: spec.inputs,
            facts: spec.facts,
            key,
            every_tick: spec.every_tick,
            skips: spec.skips,
            started: false,
            unchanged,
            users: 0,
            errors: ErrorSet::default(),
            broken: None,
        });
        self.added.push(id);
        id
    }

    /// The nodes that [`Circuit::add`] gave since this was last asked, be they new or there before.
    pub fn take_added(&mut self) -> BTreeSet<NodeId> {
        std::mem::take(&mut self.added).into_iter().collect()
    }

    fn insert(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.next);
        self.next += 1;
        self.has_narrow |= matches!(node.key, NodeKey::Narrow(..));
        self.by_key.insert(node.key.clone(), id);
        self.nodes.insert(id, node);
        id
    }

    /// Lets an object's rows be read from the node that computes them: how a view becomes an input of others.
    pub fn publish(&mut self, object: u32, node: NodeId) {
        self.node_mut(node).users += 1;
        self.by_key.insert(NodeKey::Object(object), node);
    }

    /// Ends what [`Circuit::publish`] began, and drops every node that nobody needs any more.
    pub fn withdraw(&mut self, object: u32) {
        self.withdraw_narrow(object);
        if let Some(node) = self.by_key.remove(&NodeKey::Object(object)) {
            let node_ref = self.node_mut(node);
            node_ref.users = node_ref.users.saturating_sub(1);
            // The input of a stream or table goes with it. One that a view hands on as it is stays when the view goes.
            if node_ref.key == NodeKey::Object(object) && node_ref.users == 0 {
                self.nodes.remove(&node);
            } else {
                self.drop_unused(node);
            }
        }
    }

    fn drop_unused(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else { return };
        // An input of the circuit stays: its object lives on without readers.
        if node.users > 0 || matches!(node.body, Body::Input(_)) {
            return;
        }
        let node = self.nodes.remove(&id).expect("just seen");
        if self.by_key.get(&node.key) == Some(&id) {
            self.by_key.remove(&node.key);
        }
        for input in node.inputs {
            self.node_mut(input).users -= 1;
            self.drop_unused(input);
        }
    }

    /// The node of a stream, table or view.
    pub fn object(&self, object: u32) -> Option<NodeId> {
        self.by_key.get(&NodeKey::Object(object)).copied()
    }

    /// Moves the nodes of a circuit that has seen the same history into this one and returns the place of each.
    /// The other circuit's inputs are found here by their objects.
    ///
    /// # Errors
    /// When an input of the other circuit is unknown here.
    pub fn absorb(&mut self, other: Circuit) -> Result<HashMap<NodeId, NodeId>> {
        let mut places: HashMap<NodeId, NodeId> = HashMap::new();
        for (old, mut node) in other.nodes {
            let inputs: Vec<NodeId> = node.inputs.iter().map(|i| places[i]).collect();
            let key = match &node.key {
                NodeKey::Operator(identity, _) => NodeKey::Operator(identity.clone(), inputs.clone()),
                input => input.clone(),
            };
            // A node that is out of service is not shared with anybody new.
            let live = self.by_key.get(&key).filter(|id| self.nodes[*id].broken.is_none());
            let place = match (live, &node.body) {
                (Some(place), _) => *place,
                (None, Body::Input(_)) if matches!(key, NodeKey::Narrow(..)) => self.insert(node),
                (None, Body::Input(_)) => {
                    return Err(Error::Internal("an absorbed circuit reads an unknown object".into()));
                }
                (None, Body::Operator(_)) => {
                    for input in &inputs {
                        self.node_mut(*input).users += 1;
                    }
                    node.inputs = inputs;
                    node.key = key;
                    node.users = 0;
                    self.insert(node)
                }
            };
            places.insert(old, place);
        }
        Ok(places)
    }

    /// Brings every node from one moment to the next: `changes` holds the inputs' deltas. Returns what each node
    /// put out. A node that fails takes the nodes that read it out of service, and no others.
    pub fn step(&mut self, mut changes: Outputs, tick: &Tick) -> Outputs {
        let mut outputs = Outputs::new();
        let mut broken: BTreeMap<NodeId, Error> = BTreeMap::new();
        let (mut moved, mut broke) = (0, false);
        let closes = self.closed_at != tick.watermarks;
        for (id, node) in &mut self.nodes {
            if let Some(error) = node.inputs.iter().find_map(|input| broken.get(input)) {
                node.broken.get_or_insert_with(|| error.clone());
            }
            if let Some(error) = &node.broken {
                broken.insert(*id, error.clone());
                continue;
            }
            let delta = match &mut node.body {
                Body::Input(_) => changes.remove(id).map(Ok),
                Body::Operator(operator) => {
                    let moved = node.inputs.iter().any(|input| outputs.contains_key(input));
                    if !moved && !node.every_tick && node.started {
                        if closes && let Err(error) = operator.close(&tick.watermarks) {
                            broke = true;
                            node.broken = Some(error);
                        }
                        continue;
                    }
                    node.started = true;
                    let inputs: Vec<&Delta> = node
                        .inputs
                        .iter()
                        .zip(&node.unchanged)
                        .map(|(input, unchanged)| outputs.get(input).unwrap_or(unchanged))
                        .collect();
                    let stepped = guarded(operator.as_mut(), &inputs, tick);
                    Some(stepped.and_then(|delta| match closes {
                        true => operator.close(&tick.watermarks).map(|()| delta),
                        false => Ok(delta),
                    }))
                }
            };
            match delta {
                Some(Ok(mut delta)) => {
                    let errors = std::mem::take(&mut delta.errors);
                    if !node.skips {
                        node.errors.apply(errors);
                    } else if !errors.is_empty() {
                        self.skipped.entry(*id).or_default().extend(errors);
                    }
                    if delta.has_rows() {
                        moved += delta.bytes();
                        outputs.insert(*id, delta);
                    }
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "an operator failed; the views over it are out of service");
                    broke = true;
                    node.broken = Some(error.clone());
                    broken.insert(*id, error);
                }
                None => {}
            }
        }
        if closes {
            self.closed_at = tick.watermarks.clone();
        }
        self.moved += moved;
        self.broke |= broke;
        outputs
    }

    /// Bytes that nodes put out since this was last asked: state grows by no more than a small multiple of them.
    pub fn take_moved(&mut self) -> usize {
        std::mem::take(&mut self.moved)
    }

    /// Whether a node broke since this was last asked.
    pub fn take_broke(&mut self) -> bool {
        std::mem::take(&mut self.broke)
    }

    /// The inputs by object.
    pub fn inputs(&self) -> Vec<(u32, NodeId)> {
        let input = |(id, node): (&NodeId, &Node)| match (&node.body, &node.key) {
            (Body::Input(_), NodeKey::Object(object) | NodeKey::Narrow(object, _)) => Some((*object, *id)),
            _ => None,
        };
        self.nodes.iter().filter_map(input).collect()
    }

    /// Columns of a node's output.
    pub fn schema(&self, id: NodeId) -> SchemaRef {
        match &self.node(id).body {
            Body::Input(schema) => schema.clone(),
            Body::Operator(operator) => operator.schema(),
        }
    }

    /// What is known of a node's output.
    pub fn facts(&self, id: NodeId) -> &Facts {
        &self.node(id).facts
    }

    /// How many operators there are.
    pub fn operators(&self) -> usize {
        self.nodes.values().filter(|node| matches!(node.body, Body::Operator(_))).count()
    }

    fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(&id).expect("a node outlives those who name it")
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node outlives those who name it")
    }
}

/// A step whose panic is an error: one view's bug must not take the log or the other views along.
fn guarded(operator: &mut dyn Operator, inputs: &[&Delta], tick: &Tick) -> Result<Delta> {
    caught("an operator", || operator.step(inputs, tick))
}
