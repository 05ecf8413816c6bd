//! GROUPING SETS, CUBE and ROLLUP: one aggregate per set over the same input.
//!
//! ```text
//! input ──┬── aggregate by a, b ── a,    b,    id 0, calls ──┐
//!         ├── aggregate by a    ── a,    NULL, id 1, calls ──┼── union all
//!         └── aggregate         ── NULL, NULL, id 3, calls ──┘
//! ```
//!
//! The id tells which keys a set leaves out, one bit each, the last key lowest; a set that comes again has the number of
//! its turn above these bits. So DataFusion numbers them, and `grouping()` is an expression over the id.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, GroupingSet};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};

use super::{Lowering, closing, nullable};
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::aggregate::Call;
use crate::operators::union::UnionAll;

/// Sets of one aggregate: each is an operator with a state.
const SETS_MAX: usize = 4096;

/// The distinct keys of all sets in the order in which they are first named, which is that of the output, and which of
/// them each set has. `None` where there are too many sets.
pub(super) fn sets(grouping: &GroupingSet) -> Option<(Vec<Expr>, Vec<Vec<usize>>)> {
    let keys: Vec<Expr> = grouping.distinct_expr().into_iter().cloned().collect();
    let sets: Vec<Vec<usize>> = match grouping {
        GroupingSet::Rollup(exprs) => (0..=exprs.len()).map(|length| (0..length).collect()).collect(),
        GroupingSet::Cube(exprs) => {
            let count = 1usize.checked_shl(exprs.len() as u32).filter(|count| *count <= SETS_MAX)?;
            (0..count).map(|set| (0..exprs.len()).filter(|key| set >> key & 1 == 1).collect()).collect()
        }
        GroupingSet::GroupingSets(sets) => {
            let members = |set: &Vec<Expr>| (0..keys.len()).filter(|key| set.contains(&keys[*key])).collect();
            sets.iter().map(members).collect()
        }
    };
    (sets.len() <= SETS_MAX).then_some((keys, sets))
}

impl Lowering<'_> {
    /// The union of one aggregate for each of `sets`, which name some of `keys`. Columns of the output: the keys, the id of
    /// the set, the calls.
    pub(super) fn grouped_by_sets(
        &mut self,
        input: NodeId,
        keys: &[usize],
        calls: &[Call],
        sets: &[Vec<usize>],
        output: SchemaRef,
    ) -> Result<NodeId> {
        let mut turns: HashMap<&[usize], u64> = HashMap::new();
        let mut nodes = Vec::with_capacity(sets.len());
        for set in sets {
            let turn = turns.entry(set).or_default();
            let left_out = (0..keys.len()).fold(0, |id, key| id << 1 | u64::from(!set.contains(&key)));
            let id = if *turn == 0 { left_out } else { left_out | *turn << keys.len() };
            *turn += 1;
            nodes.push(self.grouped_by_set(input, keys, calls, set, id, &output)?);
        }
        let closing = closing::of_all(nodes.iter().map(|node| self.circuit.facts(*node).closing.as_slice()));
        let facts = Facts { closing, ..Facts::default() };
        Ok(self.add(UnionAll::new(output), nodes, facts, String::new()))
    }

    fn grouped_by_set(
        &mut self,
        input: NodeId,
        keys: &[usize],
        calls: &[Call],
        set: &[usize],
        id: u64,
        output: &SchemaRef,
    ) -> Result<NodeId> {
        let values = &output.fields()[keys.len() + 1..];
        let fields: Vec<Field> =
            set.iter().map(|key| output.field(*key)).chain(values.iter().map(AsRef::as_ref)).cloned().collect();
        let own = nullable(&Schema::new(fields));
        let node = self.grouped(input, set.iter().map(|key| keys[*key]).collect(), calls.to_vec(), own.clone())?;
        let column = |at: usize| Arc::new(Column::new(own.field(at).name(), at)) as Arc<dyn PhysicalExpr>;
        let constant = |value: ScalarValue| Arc::new(Literal::new(value)) as Arc<dyn PhysicalExpr>;
        let mut exprs = Vec::with_capacity(output.fields().len());
        for key in 0..keys.len() {
            exprs.push(match set.iter().position(|member| *member == key) {
                Some(at) => column(at),
                None => constant(ScalarValue::try_new_null(output.field(key).data_type())?),
            });
        }
        let id_type = output.field(keys.len()).data_type();
        exprs.push(constant(ScalarValue::UInt64(Some(id)).cast_to(id_type)?));
        exprs.extend((set.len()..set.len() + calls.len()).map(column));
        self.project(node, exprs, output.clone())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::col;

    use super::*;

    #[test]
    fn sets_name_their_keys() {
        let (a, b) = (col("a"), col("b"));
        let of = |grouping: GroupingSet| sets(&grouping).map(|(keys, sets)| (keys.len(), sets));
        let rollup = GroupingSet::Rollup(vec![a.clone(), b.clone()]);
        assert_eq!(of(rollup), Some((2, vec![vec![], vec![0], vec![0, 1]])));
        let cube = GroupingSet::Cube(vec![a.clone(), b.clone()]);
        assert_eq!(of(cube), Some((2, vec![vec![], vec![0], vec![1], vec![0, 1]])));
        let twice = GroupingSet::GroupingSets(vec![vec![b.clone()], vec![b, a.clone()], vec![]]);
        assert_eq!(of(twice), Some((2, vec![vec![0], vec![0, 1], vec![]])));
        assert_eq!(of(GroupingSet::Cube(vec![a; 40])), None);
    }
}
