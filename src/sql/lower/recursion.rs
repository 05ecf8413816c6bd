//! WITH RECURSIVE: the step becomes a circuit within the operator, where it has one that is incremental.

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::{LogicalPlan, RecursiveQuery};

use super::rounds::{Rounds, input_schema, work_tables};
use super::{Lowering, nullable, output};
use crate::circuit::{Circuit, Facts, NodeId, OWN_ROWS};
use crate::error::{Error, Result};
use crate::operators::recursion::{ROUNDS_MAX, Recursion, with_round};

/// The circuit of a step and the node of what it derives.
struct Step {
    circuit: Circuit,
    root: NodeId,
}

impl Lowering<'_> {
    pub(super) fn recursion(&mut self, plan: &RecursiveQuery) -> Result<Option<NodeId>> {
        self.refuse_to_skip("WITH RECURSIVE", "a row that fails in one round is missing from all that follow")?;
        let RecursiveQuery { name, static_term, recursive_term, is_distinct, .. } = plan;
        match work_tables(recursive_term, name)? {
            1 => {}
            0 => return Ok(None),
            _ => {
                return Err(Error::unsupported(format!("the recursive query `{name}` reads itself more than once"))
                    .with_hint("read it once, and join what it is to meet from a table or another query"));
            }
        }
        let schema = output(&plan.schema);
        let mut rounds = Rounds::new(name);
        let Some(step) = rounds.number(recursive_term)? else { return Ok(None) };
        // Whether the step is incremental does not depend on what is known of its inputs. Those are made when it is.
        let unknown = vec![Facts::default(); rounds.inputs.len()];
        if self.step(&step, &schema, &rounds.inputs, &unknown, false)?.is_none() {
            return Ok(None);
        }
        let base = self.plan(static_term)?;
        let others = rounds.inputs.iter().map(|input| self.plan(input)).collect::<Result<Vec<_>>>()?;
        let facts: Vec<Facts> = others.iter().map(|input| self.circuit.facts(*input).clone()).collect();
        // In a UNION a row can move to an earlier round, in a step that deletes even where nothing is deleted.
        let only_grows = !is_distinct && [&base].into_iter().chain(&others).all(|i| self.circuit.facts(*i).append_only);
        let mut append_only = only_grows;
        let mut made = self.step(&step, &schema, &rounds.inputs, &facts, append_only)?;
        if append_only && made.as_ref().is_some_and(|made| !made.circuit.facts(made.root).append_only) {
            append_only = false;
            made = self.step(&step, &schema, &rounds.inputs, &facts, append_only)?;
        }
        let Some(Step { circuit, root }) = made else { return Ok(None) };
        let key = is_distinct.then(|| (0..schema.fields().len()).collect());
        let detail = circuit.identity();
        let operator = Recursion::new(name.clone(), schema, circuit, root, *is_distinct, ROUNDS_MAX)?;
        let inputs = [base].into_iter().chain(others).collect();
        Ok(Some(self.add(operator, inputs, Facts { append_only, key, ..Facts::default() }, detail)))
    }

    /// The step as a circuit over its own rows and inputs; `None` where a part of it would be recomputed, at every round
    /// over the rows of all of them, or where it gives other columns than the recursion has.
    fn step(
        &self,
        step: &LogicalPlan,
        schema: &SchemaRef,
        inputs: &[LogicalPlan],
        facts: &[Facts],
        append_only: bool,
    ) -> Result<Option<Step>> {
        let mut circuit = Circuit::new();
        circuit.input(OWN_ROWS, with_round(schema), Facts { append_only, key: None, ..Facts::default() });
        for (at, (input, facts)) in inputs.iter().zip(facts).enumerate() {
            circuit.input(at as u32 + 1, nullable(&input_schema(input)), facts.clone());
        }
        let (session, nodes, on_error) = (self.session, self.nodes, self.on_error);
        let mut lowering = Lowering { circuit: &mut circuit, session, nodes, recomputes: 0, on_error };
        let root = lowering.plan(step)?;
        let recomputes = lowering.recomputes > 0;
        let types = |schema: &SchemaRef| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
        let fits = types(&circuit.schema(root)) == types(&with_round(schema));
        Ok((fits && !recomputes).then_some(Step { circuit, root }))
    }
}
