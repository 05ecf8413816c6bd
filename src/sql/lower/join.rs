//! Joins of every kind: equal keys by index, any other condition per pair.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, NullEquality};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Expr, ExprSchemable, Join as JoinPlan, JoinType, cast, lit};
use datafusion::physical_expr::PhysicalExpr;

use super::join_times::Ties;
use super::recompute::has_subquery;
use super::skip::may_fail;
use super::{Lowering, nullable, output};
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::join::{Condition, Join, Kind, NotIn, Place, Spec};
use crate::sql::expr::{Dependence, dependence, identity, physical};

/// An input of a join, with its keys as columns.
struct Input {
    node: NodeId,
    schema: SchemaRef,
    /// How many columns are its own; computed keys stand behind them.
    width: usize,
    keys: Vec<usize>,
    facts: Facts,
}

impl Lowering<'_> {
    pub(super) fn join(&mut self, plan: &JoinPlan) -> Result<Option<NodeId>> {
        for expr in plan.on.iter().flat_map(|(l, r)| [l, r]).chain(&plan.filter) {
            if dependence(expr)? == Dependence::Time || has_subquery(expr) {
                return Ok(None);
            }
        }
        if plan.null_aware && (plan.on.len() != 1 || plan.filter.is_some()) {
            return Ok(None);
        }
        if let Some(filter) = plan.filter.as_ref().filter(|f| plan.join_type != JoinType::Inner && may_fail(f)) {
            self.refuse_to_skip(
                &format!("the condition {filter} of a join that is not an inner one"),
                "a pair of rows that is left out would count as one that does not match",
            )?;
        }
        let Some((left_keys, right_keys)) = keys_of_one_type(plan)? else { return Ok(None) };
        let left = self.plan(&plan.left)?;
        let right = self.plan(&plan.right)?;
        let left = self.with_keys(left, &left_keys, plan.left.schema())?;
        let right = self.with_keys(right, &right_keys, plan.right.schema())?;
        let condition = condition(plan, &left, &right)?;
        let (kind, swapped) = match plan.join_type {
            JoinType::Inner => (Kind::Inner, false),
            JoinType::Left => (Kind::Left, false),
            JoinType::Right => (Kind::Left, true),
            JoinType::Full => (Kind::Full, false),
            JoinType::LeftSemi => (Kind::Semi, false),
            JoinType::RightSemi => (Kind::Semi, true),
            JoinType::LeftAnti => (Kind::Anti, false),
            JoinType::RightAnti => (Kind::Anti, true),
            JoinType::LeftMark => (Kind::Mark, false),
            JoinType::RightMark => (Kind::Mark, true),
        };
        let (first, second) = if swapped { (&right, &left) } else { (&left, &right) };
        if plan.null_aware {
            return self.not_in(plan, first, second).map(Some);
        }
        let pairs = matches!(kind, Kind::Inner | Kind::Left | Kind::Full);
        let out = match (pairs, kind) {
            (true, _) => beside(&first.schema, second.schema.fields().iter().map(|f| f.as_ref().clone())),
            (false, Kind::Mark) => beside(&first.schema, [plan.schema.fields()[first.width].as_ref().clone()]),
            (false, _) => first.schema.clone(),
        };
        let on: Vec<(usize, usize)> = first.keys.iter().copied().zip(second.keys.iter().copied()).collect();
        let (left_schema, right_schema) =
            if swapped { (plan.right.schema(), plan.left.schema()) } else { (plan.left.schema(), plan.right.schema()) };
        // Where NULL meets NULL, rows without a moment wait for others for ever.
        let tied = if plan.null_equality == NullEquality::NullEqualsNull { &[] } else { on.as_slice() };
        let ties = Ties::new(tied, plan.filter.as_ref(), left_schema, right_schema);
        let closing = ties.closing(&first.facts, &second.facts);
        let condition = condition
            .map(|(expr, places)| {
                let place = |place: Place| Place { right: place.right != swapped, ..place };
                let places: Vec<Place> = places.into_iter().map(place).collect();
                Condition::new(expr, &places, &first.schema, &second.schema)
            })
            .transpose()?;
        let nulls_equal = plan.null_equality == NullEquality::NullEqualsNull;
        let detail = match &condition {
            None => format!("{on:?} {nulls_equal}"),
            Some(c) => format!("{on:?} {nulls_equal} {:?} {}", c.places(), identity(std::slice::from_ref(c.expr()))?),
        };
        let detail = format!("{detail} {:?} {:?}", closing.left, closing.right);
        let spec = Spec {
            kind,
            on: on.clone(),
            nulls_equal,
            condition,
            append_only: (first.facts.append_only, second.facts.append_only),
            closing: (closing.left, closing.right),
            output: out,
        };
        let operator = Join::new(first.schema.clone(), second.schema.clone(), spec)?;
        let mut facts = facts(kind, first, second, &on);
        facts.closing = closing.of_left;
        if pairs {
            let width = first.schema.fields().len();
            facts.closing.extend(closing.of_right.iter().map(|closing| closing.at(width + closing.column)));
        }
        let node = self.add(operator, vec![first.node, second.node], facts, detail);
        // Key columns that were computed for the join stand behind each side's own.
        let of_first = 0..first.width;
        let of_second = first.schema.fields().len()..first.schema.fields().len() + second.width;
        let own: Vec<usize> = match (pairs, swapped) {
            (true, false) => of_first.chain(of_second).collect(),
            (true, true) => of_second.chain(of_first).collect(),
            (false, _) if kind == Kind::Mark => of_first.chain([first.schema.fields().len()]).collect(),
            (false, _) => of_first.collect(),
        };
        self.pick(node, &own, output(&plan.schema)).map(Some)
    }

    fn not_in(&mut self, plan: &JoinPlan, left: &Input, right: &Input) -> Result<NodeId> {
        let on = (left.keys[0], right.keys[0]);
        let operator = NotIn::new(left.schema.clone(), &right.schema, on, left.facts.append_only)?;
        let facts = Facts { append_only: false, key: left.facts.key.clone(), ..Facts::default() };
        let node = self.add(operator, vec![left.node, right.node], facts, format!("{on:?}"));
        self.pick(node, &(0..left.width).collect::<Vec<_>>(), output(&plan.schema))
    }

    /// The node with each key as a column: its own where the key is one, else computed and put behind.
    fn with_keys(&mut self, input: NodeId, keys: &[Expr], schema: &DFSchema) -> Result<Input> {
        let own: Vec<Expr> = schema.iter().map(|(qualifier, field)| Expr::Column((qualifier, field).into())).collect();
        let mut exprs = own.clone();
        let mut place = Vec::with_capacity(keys.len());
        for key in keys {
            let at = match key {
                Expr::Column(column) => schema.maybe_index_of_column(column),
                _ => exprs.iter().position(|e| e == key),
            };
            place.push(at.unwrap_or_else(|| {
                exprs.push(key.clone());
                exprs.len() - 1
            }));
        }
        let node = if exprs.len() == own.len() {
            input
        } else {
            let mut fields: Vec<_> = self.circuit.schema(input).fields().iter().map(|f| f.as_ref().clone()).collect();
            for expr in &exprs[own.len()..] {
                fields.push(expr.to_field(schema)?.1.as_ref().clone());
            }
            self.projected(input, &exprs, schema, nullable(&Schema::new(fields)))?
        };
        let facts = self.circuit.facts(node).clone();
        Ok(Input { node, schema: self.circuit.schema(node), width: own.len(), keys: place, facts })
    }
}

/// The keys of both sides, each pair of one type; nothing where two cannot be compared.
fn keys_of_one_type(plan: &JoinPlan) -> Result<Option<(Vec<Expr>, Vec<Expr>)>> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (l, r) in &plan.on {
        let (l_type, r_type) = (l.get_type(plan.left.schema())?, r.get_type(plan.right.schema())?);
        let of = |expr: &Expr, from: &DataType, to: &DataType| {
            if from == to { expr.clone() } else { cast(expr.clone(), to.clone()) }
        };
        let common = if l_type == r_type { Some(l_type.clone()) } else { comparison_coercion(&l_type, &r_type) };
        let Some(common) = common else { return Ok(None) };
        left.push(of(l, &l_type, &common));
        right.push(of(r, &r_type, &common));
    }
    Ok(Some((left, right)))
}

/// A condition, and where its columns are.
type Placed = (Arc<dyn PhysicalExpr>, Vec<Place>);

/// The condition beyond the keys.
fn condition(plan: &JoinPlan, left: &Input, right: &Input) -> Result<Option<Placed>> {
    let Some(filter) = plan.filter.as_ref().filter(|filter| **filter != lit(true)) else { return Ok(None) };
    let schema = plan.left.schema().join(plan.right.schema())?;
    let place = |right| move |column| Place { right, column };
    let places = (0..left.width).map(place(false)).chain((0..right.width).map(place(true))).collect();
    Ok(Some((physical(filter, &schema)?, places)))
}

/// Each pair of rows is there once, so the keys of both sides together are a key; one of them is enough where the other
/// side is joined on a whole key and so meets at most one row. A row that stands beside NULLs is there for no pair, so
/// that this holds of left joins too; of full ones it does not, where two such rows may have NULLs for keys.
fn facts(kind: Kind, left: &Input, right: &Input, on: &[(usize, usize)]) -> Facts {
    let both_append = left.facts.append_only && right.facts.append_only;
    let width = left.schema.fields().len();
    let whole_left = |key: &[usize]| key.iter().all(|k| on.iter().any(|(c, _)| c == k));
    let whole_right = |key: &[usize]| key.iter().all(|k| on.iter().any(|(_, c)| c == k));
    let key = match (kind, &left.facts.key, &right.facts.key) {
        (Kind::Semi | Kind::Anti | Kind::Mark, key, _) => key.clone(),
        (Kind::Inner | Kind::Left, Some(left), Some(right)) if whole_right(right) => Some(left.clone()),
        (Kind::Inner, Some(left), Some(right)) if whole_left(left) => Some(right.iter().map(|k| width + k).collect()),
        (Kind::Inner | Kind::Left, Some(left), Some(right)) => {
            Some(left.iter().copied().chain(right.iter().map(|k| width + k)).collect())
        }
        _ => None,
    };
    Facts { append_only: both_append && matches!(kind, Kind::Inner | Kind::Semi), key, ..Facts::default() }
}

fn beside(left: &Schema, right: impl IntoIterator<Item = Field>) -> SchemaRef {
    let fields: Vec<_> = left.fields().iter().map(|f| f.as_ref().clone()).chain(right).collect();
    nullable(&Schema::new(fields))
}
