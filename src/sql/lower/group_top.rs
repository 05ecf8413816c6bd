//! Top-k of each group: a filter on ROW_NUMBER, RANK or DENSE_RANK.
//!
//! ```text
//! [projection]             top-k of each group, with the number only if somebody asks for it
//!   filter number <= k
//!     [projection]
//!       window number
//! ```

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, Projection, Window};

use super::window::{Ordered, in_words};
use super::{Lowering, OnError, may_fail, output};
use crate::circuit::{Facts, NodeId};
use crate::error::Result;
use crate::operators::group_top::{Best, GroupTop, Numbering};
use crate::sql::expr::{Dependence, dependence};

impl Lowering<'_> {
    /// A filter on the number of a row in its partition, with the projection above it if there is one; nothing where it is
    /// not that.
    pub(super) fn group_top(&mut self, filter: &Filter, above: Option<&Projection>) -> Result<Option<NodeId>> {
        let (between, window) = match filter.input.as_ref() {
            LogicalPlan::Window(window) => (None, window),
            LogicalPlan::Projection(projection) if projection.expr.iter().all(is_column) => {
                match projection.input.as_ref() {
                    LogicalPlan::Window(window) => (Some(projection), window),
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let Some(numbering) = numbering(window) else { return Ok(None) };
        let number = window.schema.fields().len() - 1;
        let is_number = |expr: &Expr| match expr {
            Expr::Column(column) => window.schema.maybe_index_of_column(column) == Some(number),
            _ => false,
        };

        let predicate = below(filter.predicate.clone(), between)?;
        let Some(Bound { most, rest }) = Bound::of(predicate, &is_number) else { return Ok(None) };
        let shown: Option<Vec<Expr>> = match above.or(between) {
            Some(projection) if above.is_some() => {
                Some(projection.expr.iter().map(|expr| below(expr.clone(), between)).collect::<Result<_>>()?)
            }
            projection => projection.map(|projection| projection.expr.clone()),
        };
        for expr in rest.iter().chain(shown.iter().flatten()) {
            if dependence(expr)? == Dependence::Time {
                return Ok(None);
            }
        }
        // The plan says that every row is put to the rest; here only the rows that are among the best are.
        if self.on_error == OnError::Skip && rest.iter().any(may_fail) {
            return Ok(None);
        }
        let uses_number = |expr: &Expr| expr.exists(|e| Ok(is_number(e))).unwrap_or(true);
        let numbered = rest.iter().chain(shown.iter().flatten()).any(uses_number) || shown.is_none();

        let Some(mut node) = self.best(window, Best { numbering, most, numbered })? else { return Ok(None) };
        let schema = if numbered { &window.schema } else { window.input.schema() };
        if let Some(rest) = conjunction(rest) {
            node = self.filtered(node, &rest, schema)?;
        }
        let Some(shown) = shown else { return Ok(Some(node)) };
        let columns = above.or(between).expect("what is shown is a projection's").schema.as_ref();
        self.projected(node, &shown, schema, output(columns)).map(Some)
    }

    fn best(&mut self, window: &Window, best: Best) -> Result<Option<NodeId>> {
        let Some(Ordered { node, width, order, .. }) = self.ordered(window)? else { return Ok(None) };
        let Expr::WindowFunction(function) = window.window_expr[0].clone().unalias() else { return Ok(None) };
        let params = function.params;
        let mut text = String::new();
        for (at, expr) in params.partition_by.iter().enumerate() {
            text.push_str(if at == 0 { " per " } else { ", " });
            text.push_str(&expr.to_string());
        }
        // In a group what it is grouped by is no order.
        let order_by = params.order_by.iter().filter(|sort| !params.partition_by.contains(&sort.expr));
        for (at, sort) in order_by.enumerate() {
            text.push_str(if at == 0 { " by " } else { ", " });
            text.push_str(&in_words(sort));
        }
        let schema = if best.numbered { output(&window.schema) } else { output(window.input.schema()) };
        let groups: Option<Vec<usize>> = Some(order.partition.clone()).filter(|p| p.iter().all(|c| *c < width));
        let key = match (best.numbering, groups) {
            (Numbering::Row, Some(groups)) if best.most <= 1 => Some(groups),
            (Numbering::Row, Some(groups)) if best.numbered => {
                self.key_within(node, width).or(Some(groups.into_iter().chain([width]).collect()))
            }
            _ => self.key_within(node, width),
        };
        let append_only = self.circuit.facts(node).append_only;
        let detail = format!("{best:?} {order:?}");
        let operator = GroupTop::new(self.circuit.schema(node), schema, &order, best, append_only, text)?;
        let closing = self.closing_of(node, &order, width);
        Ok(Some(self.add(operator, vec![node], Facts { append_only: false, key, closing }, detail)))
    }
}

/// How a window numbers its rows, where it does nothing else.
fn numbering(window: &Window) -> Option<Numbering> {
    let [expr] = window.window_expr.as_slice() else { return None };
    let Expr::WindowFunction(function) = expr.clone().unalias() else { return None };
    Some(match function.fun.name() {
        "row_number" => Numbering::Row,
        "rank" => Numbering::Rank,
        "dense_rank" => Numbering::Dense,
        _ => return None,
    })
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr.clone().unalias(), Expr::Column(_))
}

/// An expression over a projection's columns as one over the columns below it.
fn below(expr: Expr, projection: Option<&Projection>) -> Result<Expr> {
    let Some(projection) = projection else { return Ok(expr) };
    let replaced = expr.transform(|e| {
        let at = match &e {
            Expr::Column(column) => projection.schema.maybe_index_of_column(column),
            _ => None,
        };
        Ok(at.map_or(Transformed::no(e), |at| Transformed::yes(projection.expr[at].clone().unalias())))
    })?;
    Ok(replaced.data)
}

/// A condition taken apart.
struct Bound {
    /// The greatest number that it lets pass.
    most: i64,
    /// What else it asks.
    rest: Vec<Expr>,
}

impl Bound {
    fn of(predicate: Expr, is_number: &dyn Fn(&Expr) -> bool) -> Option<Bound> {
        let (mut most, mut rest) = (None, Vec::new());
        for term in split_conjunction_owned(predicate) {
            match bound(&term, is_number) {
                Some((bound, exact)) => {
                    most = Some(most.map_or(bound, |most: i64| most.min(bound)));
                    // Of `= 3` the numbers one and two are left to be filtered.
                    if exact && bound != 1 {
                        rest.push(term);
                    }
                }
                None => rest.push(term),
            }
        }
        most.map(|most| Bound { most, rest })
    }
}

/// The greatest number that a term lets pass, and whether it is the only one.
fn bound(term: &Expr, is_number: &dyn Fn(&Expr) -> bool) -> Option<(i64, bool)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = term else { return None };
    let (op, literal) = match (is_number(left), is_number(right)) {
        (true, false) => (*op, right),
        (false, true) => (op.swap()?, left),
        _ => return None,
    };
    let Expr::Literal(literal, _) = literal.as_ref() else { return None };
    let value = match literal {
        ScalarValue::UInt64(Some(value)) => i64::try_from(*value).unwrap_or(i64::MAX),
        ScalarValue::Int64(Some(value)) => *value,
        _ => return None,
    };
    match op {
        Operator::LtEq => Some((value, false)),
        Operator::Lt => Some((value.saturating_sub(1), false)),
        Operator::Eq => Some((value, true)),
        _ => None,
    }
}
